"""Retention: read key-value pairs, then windows of others, then tell the values of some of the first. What fades?

Between the facts that matter and the question, any number of windows is consolidated, but never more is to be kept: a
memory that keeps `pairs` facts while others are written and overwritten is right at every distance. So what falls
with the distance is what the update rule and the state let fade, and at distances that were not trained also what the
model has not learned to keep. An example of 2 pairs, 1 query, 5 keys and 3 windows after, one row per window:

    k4 v7 k1 v2  consolidated, then evicted: the facts that matter fill it
    k0 v5 k3 v2  consolidated, then evicted: pairs under the other keys
    k2 v9 k0 v1  consolidated, then evicted: k0 is overwritten
    k3 v3 k2 v9  consolidated, then evicted
    k1           predicted: target v2

Within a window keys are distinct, which of the others it writes is random, values are independent and may repeat. With
no window after, this is `tasks.recall` with one window. The other keys are never asked, so a model that can tell the
first window from the rest, as by a window index, may learn to write it alone.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tasks import rng
from tasks.base import Episode, Tokens, check_whole
from tasks.memories import Memory, values_of_keys
from tasks.recall import PAD, Recall


@dataclass(frozen=True, kw_only=True)
class Retention(Recall):
    """Values of some of the key-value pairs read before a number of windows that hold other pairs.

    Held out by content: the set of the first window's pairs, whatever their order, belongs to one split, the one that
    `Recall` gives it.

    Attributes:
        windows_after: Windows consolidated between the one that is asked about and the question.
    """

    name: ClassVar[str] = "retention"
    version: ClassVar[int] = 1
    axis: ClassVar[str] = "windows_after"

    pairs: int = 4
    keys: int = 12
    values: int = 16
    queries: int = 2
    window_tokens: int = 8
    windows_after: int = 8

    def __post_init__(self) -> None:
        """Refuse what does not fit, or leaves nothing to hold out."""
        super().__post_init__()
        check_whole("windows_after", self.windows_after, 0, most=2**12)
        if self.window != 2 * self.pairs:
            raise ValueError(
                f"window_tokens must be 2 * pairs = {2 * self.pairs} (the facts that matter fill the first window, and "
                f"no other); given {self.window}"
            )
        if self.keys < 2 * self.pairs:
            raise ValueError(
                f"keys must be >= 2 * pairs = {2 * self.pairs} (later windows write as many pairs, under other keys "
                f"than the {self.pairs} that matter); given {self.keys}"
            )

    @property
    def _read_windows(self) -> int:
        """The window that matters, and those after it."""
        return 1 + self.windows_after

    @property
    def landmarks(self) -> tuple[int, ...]:
        """Recall, and the doublings up to 64 windows."""
        return 0, 1, 2, 4, 8, 16, 32, 64

    def chance(self, difficulty: int, answer: int | None = None) -> float:
        """1 / values per answer, however many windows came between, to the power `queries` for all.

        This is a guess without having read; one that knows which values occur, but not where, does better.
        """
        check_whole("difficulty", difficulty, 0)
        self.check_answer(answer)
        return (1 / self.values) ** (1 if answer is not None else self.queries)

    def memories(self, episode: Episode) -> tuple[Memory, ...]:
        """The value of each key of the first window, the one that matters."""
        pairs = episode.inputs[:, : self.window].reshape(-1, self.pairs, 2)
        return values_of_keys(pairs - np.array([1, 1 + self.keys]), self.keys, self.values, self.levels[0])

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = pairs, later pairs, queries with all values but the last."""
        facts, questions, hashes = self._facts(split, indices, key)
        later = self._others(facts[..., 0], indices, rng.stream("later", key))
        read = np.concatenate([facts[:, None], later], axis=1)  # [B, 1 + windows_after, pairs, 2]
        return self._episode(read.reshape(len(indices), self._read_windows * self.window), questions, hashes)

    def _others(self, facts: Tokens, indices: Tokens, key: np.uint64) -> Tokens:
        """Tokens [B, windows_after, pairs, 2] of pairs under other keys than those `taken` [B, pairs]."""
        count = self.keys - self.pairs
        barred = np.zeros((len(indices), 1 + self.keys), dtype=bool)  # by token; that of padding is no key
        barred[:, PAD] = True
        np.put_along_axis(barred, facts, True, axis=1)
        others = np.argsort(barred, axis=1, kind="stable")[:, None, :count]  # [B, 1, count]
        drawn = rng.words(key, indices, self.windows_after * self.keys)
        words = drawn.reshape(len(indices), self.windows_after, self.keys)
        chosen = np.argsort(words[..., :count], axis=-1, kind="stable")[..., : self.pairs]
        keys = np.take_along_axis(others, chosen, axis=-1)
        return np.stack([keys, 1 + self.keys + rng.integers(words[..., count:], self.values)], axis=-1)


if __name__ == "__main__":
    from tasks.command import main

    main(Retention)
