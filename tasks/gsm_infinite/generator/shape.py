"""What problem graphs to draw: subset, mode and sizes, and how many operations these allow."""

from dataclasses import dataclass

import numpy as np

from tasks.base import check_whole, nearest
from tasks.gsm_infinite.graphs import Numbers

SUBSETS = ("medium", "hard")
MODES = ("forward", "reverse")
MOST_OPERATIONS = 16

_FEWEST = 4  # sentences that leave each held-out split some problems


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Subset, mode and sizes of the problems of a batch; operations are asked for one by one."""

    subset: str = "hard"  # "medium": counts and T; "hard": rates and P too
    mode: str = "forward"  # or "reverse"
    kinds: int = 8  # core kinds there are
    places: int = 8  # core places there are
    max_value: int = 1000  # needed values are 1..max_value; distractors and filler may be larger, never negative
    max_stated: int = 24  # most core sentences, distractors included
    filler_kinds: int = 20  # filler kinds there are: a filler place holds each once before the next place begins
    published: bool = False  # totals and numbers are as frequent as in published problems; see `forms`

    def __post_init__(self) -> None:
        """Refuse what is impossible."""
        if self.subset not in SUBSETS:
            raise ValueError(nearest(self.subset, SUBSETS, kind="subset"))
        if self.mode not in MODES:
            raise ValueError(nearest(self.mode, MODES, kind="mode"))
        check_whole("kinds", self.kinds, 1)
        check_whole("places", self.places, 1)
        # Sixteen operations stay below 20 in about every third draw; below that, draws are mostly rejected.
        check_whole("max_value", self.max_value, 20, 10**6)
        check_whole("max_stated", self.max_stated, 2)
        check_whole("filler_kinds", self.filler_kinds, 1)
        if self.most_stated < _FEWEST:
            raise ValueError(
                f"too few different problems to hold some out: kinds={self.kinds}, places={self.places}, "
                f"max_stated={self.max_stated} leave {self.most_stated} sentences; at least {_FEWEST} are needed"
            )

    @property
    def hard(self) -> bool:
        """Whether there are rates and P."""
        return self.subset == "hard"

    @property
    def reverse(self) -> bool:
        """Whether a leaf is asked for."""
        return self.mode == "reverse"

    @property
    def roles(self) -> int:
        """Sentences per mentioned (kind, place): its count and, in the hard subset, its rate."""
        return 2 if self.hard else 1

    @property
    def most_pairs(self) -> int:
        """Most (kind, place) pairs that a problem may mention."""
        return min(self.kinds * self.places, self.max_stated // self.roles)

    @property
    def most_stated(self) -> int:
        """Most core sentences that these sizes leave."""
        return self.roles * self.most_pairs

    @property
    def most_quantities(self) -> int:
        """Most core quantities: the stated ones, a total per two operations (one per place) and a distractor's."""
        return self.most_stated + min(self.places, self.most_operations // 2) + 1

    @property
    def fewest_operations(self) -> int:
        """A leaf is one operation; a medium problem asks for a total, or at least for a copy."""
        return 1 if self.hard else 2

    @property
    def most_operations(self) -> int:
        """Each operation may need a stated quantity of its own."""
        return min(MOST_OPERATIONS, self.most_stated)

    def check(self, operations: Numbers) -> None:
        """Raise ValueError unless these sizes allow every number of `operations` [B]."""
        why = f"{self.subset}, kinds={self.kinds}, places={self.places}, max_stated={self.max_stated}"
        for count in np.unique(operations).tolist():
            check_whole("operations", count, self.fewest_operations, self.most_operations, why)
