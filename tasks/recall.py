"""Recall: read key-value pairs, then tell the values of some keys. Storage without computation: the control.

What sleep adds on a task that asks for computation must not show here. An example of 3 pairs, 2 queries, and
windows of 4 tokens, one row per window:

    _ _ k5 v0    consolidated, then evicted (left-padded: no pair is ever cut)
    k2 v7 k9 v7  consolidated, then evicted
    k2 v7 k5     predicted: targets v7 at k2, v0 at k5; the values between are given, not asked

Keys of an example are distinct and in random order, queries are distinct, values are independent and may
repeat. Source: multi-query associative recall (arXiv 2312.04927), with the windows and the eviction of arXiv
2605.26099.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tasks import rng
from tasks.base import IGNORE, Episode, Task, Tokens, check_whole
from tasks.memories import Memory, values_of_keys

PAD = 0  # then the keys' tokens, then the values'

_FEWEST = 256  # contents that leave each held-out split some: an eighth of 256 is none once in 10^15


@dataclass(frozen=True, kw_only=True)
class Recall(Task):
    """Values of some of the key-value pairs read and evicted before.

    Held out by content: the set of pairs, whatever their order, belongs to one split.

    Attributes:
        pairs: Key-value pairs that are read.
        keys: Different keys there are.
        values: Different values there are.
        queries: Keys whose values are asked.
        window_tokens: L: two tokens a pair.
    """

    name: ClassVar[str] = "recall"
    version: ClassVar[int] = 1
    axis: ClassVar[str] = "pairs"

    pairs: int = 8
    keys: int = 16
    values: int = 16
    queries: int = 4
    window_tokens: int = 8

    def __post_init__(self) -> None:
        """Refuse what does not fit, or leaves nothing to hold out."""
        check_whole("keys", self.keys, 1, most=2**12)
        check_whole("values", self.values, 2, why="a single value asks nothing")
        check_whole("values", self.values, 2, most=2**12)
        check_whole("pairs", self.pairs, 1, self.keys, "keys of an example are distinct")
        check_whole("queries", self.queries, 1, self.pairs, "queried keys are distinct")
        check_whole("window_tokens", self.window_tokens, 2, most=2**20)
        if self.window_tokens % 2:
            raise ValueError(f"window_tokens must be even (no pair is cut); given {self.window_tokens}")
        if 2 * self.queries - 1 > self.window:
            raise ValueError(
                f"{self.queries} queries take {2 * self.queries - 1} tokens and must fit in one window of "
                f"{self.window} tokens; allowed here: 1..{self.window // 2} queries"
            )
        contents = math.comb(self.keys, self.pairs) * self.values**self.pairs
        if contents < _FEWEST:
            raise ValueError(
                f"too few contents to hold some out: pairs={self.pairs}, keys={self.keys}, "
                f"values={self.values} make {contents}; at least {_FEWEST} are needed"
            )

    @property
    def vocab_size(self) -> int:
        """Padding, keys, values."""
        return 1 + self.keys + self.values

    @property
    def window(self) -> int:
        """L: `window_tokens`."""
        return self.window_tokens

    @property
    def _read_windows(self) -> int:
        """Windows that hold the pairs."""
        return -(-2 * self.pairs // self.window)

    @property
    def seq_len(self) -> int:
        """T: the padded pairs, then the questions; the last value is asked, so never given."""
        return self._read_windows * self.window + 2 * self.queries - 1

    @property
    def answers(self) -> int:
        """One per query."""
        return self.queries

    @property
    def landmarks(self) -> tuple[int, ...]:
        """As many pairs as queries, and the doublings up to as many as keys."""
        return tuple(self.queries << i for i in range(8) if self.queries << i <= self.keys)

    def chance(self, difficulty: int, answer: int | None = None) -> float:
        """1 / values per answer, whatever the number of pairs, to the power `queries` for all.

        This is a guess without having read; one that knows which values occur, but not where, does better.
        """
        check_whole("difficulty", difficulty, 1, self.keys, "number of pairs")
        self.check_answer(answer)
        return (1 / self.values) ** (1 if answer is not None else self.queries)

    def memories(self, episode: Episode) -> tuple[Memory, ...]:
        """The value of each key that was read."""
        asking = self._read_windows * self.window
        pairs = episode.inputs[:, asking - 2 * self.pairs : asking].reshape(-1, self.pairs, 2)
        return values_of_keys(pairs - np.array([1, 1 + self.keys]), self.keys, self.values, self.levels[0])

    def determinants(self, episode: Episode) -> rng.Words:
        """Hashes [B, queries] of the key asked and its value: this asks for storage, so a pair is its own answer."""
        asking = slice(self._read_windows * self.window, None, 2)
        keys, values = episode.inputs[:, asking] - 1, episode.targets[:, asking] - 1 - self.keys
        return rng.content_hash((keys << 32 | values)[..., None])

    def word(self, token: int) -> str:
        """k0, k1, ... v0, v1, ... and an underscore for padding."""
        if token == PAD:
            return "_"
        return f"k{token - 1}" if token <= self.keys else f"v{token - 1 - self.keys}"

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = padding, pairs, queries with all values but the last."""
        pairs, questions, hashes = self._facts(split, indices, key)
        return self._episode(pairs.reshape(len(indices), 2 * self.pairs), questions, hashes)

    def _facts(self, split: str, indices: Tokens, key: np.uint64) -> tuple[Tokens, Tokens, rng.Words]:
        """Tokens of the pairs [B, pairs, 2] and of those asked for [B, queries, 2]; hashes [B] of the sets of pairs."""
        # Columns 0..pairs choose the questions; every attempt at the content has its own columns after them.
        asked = np.argsort(rng.words(key, indices, self.pairs), axis=1, kind="stable")[:, : self.queries]

        def draw(rows: Tokens, attempt: Tokens) -> tuple[Tokens, rng.Words]:
            start = self.pairs + attempt * (self.keys + self.pairs)
            words = rng.words(key, rows, self.keys + self.pairs, start)
            keys = np.argsort(words[:, : self.keys], axis=1, kind="stable")[:, : self.pairs]
            values = rng.integers(words[:, self.keys :], self.values)
            # A pair's code holds no size of this config: equal pairs are in one split in every config.
            return np.stack([keys, values], axis=-1), rng.content_hash(keys << 32 | values)

        pairs, hashes, _ = rng.draw_in_split(draw, split, indices)  # [B, pairs, 2]
        pairs += [1, 1 + self.keys]  # from numbers to tokens
        return pairs, np.take_along_axis(pairs, asked[..., None], axis=1), hashes

    def _episode(self, read: Tokens, questions: Tokens, hashes: rng.Words) -> Episode:
        """Examples that read tokens [B, R], padded on the left to whole windows, then are asked the questions."""
        inputs = np.full((len(read), self.seq_len), PAD, dtype=np.int64)
        targets = np.full_like(inputs, IGNORE)
        answer, difficulty = np.full_like(inputs, -1), np.full_like(inputs, -1)
        asking = self._read_windows * self.window
        inputs[:, asking - read.shape[1] : asking] = read
        inputs[:, asking:] = questions.reshape(len(read), 2 * self.queries)[:, :-1]
        targets[:, asking::2] = questions[..., 1]
        answer[:, asking::2] = np.arange(self.queries)
        difficulty[:, asking::2] = self.levels[0]
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

    main(Recall)
