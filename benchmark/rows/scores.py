"""The score of a test, as it becomes columns of a row and outcomes of single examples."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """How one difficulty, and one answer (None: all of them), was solved.

    All answers are right or wrong together if the task's are joint; else each counts as an example.
    """

    difficulty: int
    answer: int | None
    n_examples: int
    loss: float
    """Nats per target token."""
    token_accuracy: float
    exact_match: float
    asked: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)
    """Which of the held-out examples this score is of [examples]; None where each answer counts by itself and this is
    of all of them."""
    right: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)
    """Which of those are right [examples]; None as `asked`."""

    @property
    def columns(self) -> dict[str, Any]:
        """What of it is a column of rows."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("asked", "right")}
