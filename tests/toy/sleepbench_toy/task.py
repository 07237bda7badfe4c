"""A task to copy: read bits, then tell their parity. `python -m sleepbench_toy.task` draws an example.

With `bits` = 8 in windows of 4:

    1 1 0 0    consolidated, then evicted
    0 0 0 0    consolidated, then evicted
    ?          predicted: target 0, for an even number of ones
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tasks import rng
from tasks.base import IGNORE, Episode, Task, Tokens, check_whole

QUERY = 2  # the token that asks; 0 and 1 are bits


@dataclass(frozen=True, kw_only=True)
class ToyTask(Task):
    """Parity of bits read before; whole strings of bits are held out."""

    name: ClassVar[str] = "toy-task"
    version: ClassVar[int] = 1  # raise it when the same settings and seed give other examples
    axis: ClassVar[str] = "bits"  # the setting that makes it harder

    bits: int = 64
    bits_per_window: int = 16

    vocab_size = 3
    answers = 1

    def __post_init__(self) -> None:
        """Refuse what does not fit, or leaves too few strings to hold some out."""
        check_whole("bits_per_window", self.bits_per_window, 1)
        check_whole("bits", self.bits, 8)
        if self.bits % self.bits_per_window:
            raise ValueError(f"bits = {self.bits} do not fill windows of {self.bits_per_window}")

    @property
    def window(self) -> int:
        """L: the bits of a window."""
        return self.bits_per_window

    @property
    def seq_len(self) -> int:
        """T: the bits and the question."""
        return self.bits + 1

    def chance(self, difficulty: int, answer: int | None = None) -> float:
        """Half of all strings are even."""
        self.check_answer(answer)
        return 0.5

    def word(self, token: int) -> str:
        """The question is a question mark."""
        return "?" if token == QUERY else str(token)

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = bits, question."""

        def draw(rows: Tokens, attempt: Tokens) -> tuple[Tokens, rng.Words]:
            bits = rng.integers(rng.words(key, rows, self.bits, start=attempt * self.bits), 2)
            return bits, rng.content_hash(bits << 32 | np.arange(self.bits))  # the hash knows no order by itself

        bits, hashes, _ = rng.draw_in_split(draw, split, indices)
        inputs = np.concatenate([bits, np.full((len(indices), 1), QUERY)], axis=1)
        targets = np.full_like(inputs, IGNORE)
        answer, difficulty = np.full_like(inputs, -1), np.full_like(inputs, -1)
        targets[:, -1] = bits.sum(axis=1) % 2
        answer[:, -1], difficulty[:, -1] = 0, self.bits
        return Episode(
            inputs=inputs,
            targets=targets,
            window=self.window,
            difficulty=difficulty,
            answer=answer,
            content=hashes[:, None],
        )


if __name__ == "__main__":
    from tasks.command import main

    main(ToyTask)
