"""The table that computes nothing: all parts that fix an answer, of as many training examples as a suite has."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks import rng
from tasks.base import Task
from tasks.export import chunks


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingTable:
    """What a table holds that answers whatever it has met.

    Attributes:
        determinants: Different hashes of what fixes an answer, as in `Task.determinants`.
        examples: Training examples that it was made of.
    """

    determinants: rng.Words
    examples: int


def training_table(
    task: Task, examples: int, advance: Callable[[int], object] = lambda count: None
) -> TrainingTable | None:
    """The table of the first training examples; None where the task does not say what fixes an answer."""
    parts = []
    for indices in chunks(task, examples):
        hashes = task.determinants(task.episodes("train", indices))
        if hashes is None:
            return None
        parts.append(np.unique(hashes))
        advance(len(indices))
    every = np.unique(np.concatenate(parts))
    return TrainingTable(determinants=every[every != 0], examples=examples)
