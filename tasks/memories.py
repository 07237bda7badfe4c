"""What a memory may hold of the examples it has read: what was stored, and what follows from it step by step.

A probe of fast weights looks for these. A task names them in `Task.memories`; they are computed from the tokens of the
windows that were read, so examples are drawn as ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.base import Tokens
from tasks.ragged import ABSENT

MOST_NAMES = 64
"""Nodes of Depo are looked for name by name: with more names, too few examples have any one of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Some items of every example, each one of `classes` values, after `step` steps of computation.

    Attributes:
        kind: What an item is, in words for a reader: "first cell".
        step: Steps of computation from what was read: t' of Rule 110, k' of Depo. Where nothing is computed, 0.
        values: [B, M] in [0, classes), M items; ABSENT where an example has no such item.
        classes: How many values there are.
        chance: Accuracy of a guess without computation on what was read; None where the task has no exact one.
        stored: Whether the items were read as they are, so that no computation is needed.
        asked: The difficulty of the questions that ask for such items, so that the model's own accuracy can stand
            beside a probe's; None where none do.
    """

    kind: str
    step: int
    values: Tokens
    classes: int
    chance: float | None
    stored: bool
    asked: int | None

    def __post_init__(self) -> None:
        """Check that values are of the classes."""
        if self.values.ndim != 2 or (self.values.size and not -1 <= self.values.min() <= self.values.max()):
            raise ValueError(f"values must be [B, M], whole numbers >= 0 or ABSENT; given shape {self.values.shape}")
        if self.values.size and self.values.max() >= self.classes:
            raise ValueError(f"values must be below {self.classes}; given {self.values.max()}")


def rollouts(strings: Tokens, chances: Sequence[float], *, first: bool) -> tuple[Memory, ...]:
    """Every cell of each string after 0, 1, ... steps of Rule 110, and the first one by itself if that is asked.

    Args:
        strings: Cells [B, S, C] of the strings as they were read.
        chances: Of the best constant guess at a cell, per step from 0; all cells of a ring are alike.
        first: Whether the first cell is what is asked; else any is.
    """
    memories, state = [], strings
    for step, chance in enumerate(chances):
        both = {"step": step, "classes": 2, "chance": chance, "stored": step == 0}
        if first:
            memories.append(Memory(kind="first cell", values=state[..., 0], asked=step, **both))  # type: ignore[arg-type]
        every = state.reshape(len(state), state.shape[1] * state.shape[2])
        asked = None if first else step
        memories.append(Memory(kind="every cell", values=every, asked=asked, **both))  # type: ignore[arg-type]
        left, right = np.roll(state, 1, axis=-1), np.roll(state, -1, axis=-1)
        state = (state | right) & ~(left & state & right)
    return tuple(memories)


def values_of_keys(pairs: Tokens, keys: int, values: int, asked: int) -> tuple[Memory, ...]:
    """The value of each of `keys` keys, where it was read; pairs [B, P, 2] of a key and a value, both from 0.

    `asked` is the difficulty of the questions.
    """
    stored = np.full((len(pairs), keys), ABSENT, dtype=np.int64)
    np.put_along_axis(stored, pairs[..., 0], pairs[..., 1], axis=1)
    memory = Memory(kind="value", step=0, values=stored, classes=values, chance=1 / values, stored=True, asked=asked)
    return (memory,)


def answers_by_step(values: Tokens, steps: Tokens, levels: Sequence[int], classes: int) -> tuple[Memory, ...]:
    """The answers [B], those of each number of steps [B] by themselves, where all are asked before they are read."""
    return tuple(
        Memory(
            kind="answer",
            step=level,
            values=np.where(steps == level, values, ABSENT)[:, None],
            classes=classes,
            chance=None,
            stored=False,
            asked=level,
        )
        for level in levels
    )
