"""Cycles of Depo: as many different names as a cycle has nodes, drawn until the cycle belongs to the split."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks import rng
from tasks.base import Tokens
from tasks.depo.codec import Codec
from tasks.ragged import ABSENT, first_occurrences, halves, pack

_BLOCK = 384


def sizes_of_cycles(words: rng.Words, nodes: int, law: str) -> Tokens:
    """Nodes of each cycle [B], from a random word each, by one of `tasks.depo.task.DISTRIBUTIONS` up to `nodes`."""
    if law == "fixed":
        return np.full(len(words), nodes)
    sizes = np.arange(3, nodes + 1)
    weights = 1 / (sizes + math.sqrt(nodes)) if law == "peer" else np.ones(len(sizes))
    upper = np.cumsum(weights) / weights.sum()
    return sizes[np.searchsorted(upper[:-1], (words >> np.uint64(11)) * 2.0**-53, side="right")]


def blocks(n: Tokens) -> Iterator[Tokens]:
    """The numbers of all rows of lengths `n` [B], rows of about the same length together, the longest one last.

    A block's arrays stay in a core's cache, and are not much wider than its rows.
    """
    by_length = np.argsort(n, kind="stable")
    return (by_length[first : first + _BLOCK] for first in range(0, len(n), _BLOCK))


@dataclass(frozen=True)
class CycleSampler:
    """Cycles of up to `nodes` nodes with names of a codec, which must have at least 5/4 as many."""

    coder: Codec
    nodes: int

    def draw(self, split: str, key: np.uint64, indices: Tokens, n: Tokens, first: int) -> tuple[Tokens, rng.Words]:
        """The names along cycles of `n` [B] nodes, [B, nodes], then ABSENT, and the hash [B] of their sets of edges.

        All randomness is from the words of the examples `indices` [B] from column `first` on, attempt after attempt.
        """

        def attempted(rows: Tokens, attempt: Tokens) -> tuple[Tokens, rng.Words]:
            cycles, hashes = np.full((len(rows), self.nodes), ABSENT, dtype=np.int64), np.empty(len(rows), np.uint64)
            for block in blocks(n[rows]):
                of_block = rows[block]
                start = first + attempt[block] * self._most_words
                named = self._names(key, indices[of_block], n[of_block], start)
                after = np.concatenate([named[:, 1:], named[:, :1]], axis=1)
                after[np.arange(len(block)), n[of_block] - 1] = named[:, 0]
                cycles[block, : named.shape[1]] = named
                hashes[block] = rng.content_hash((named + 1) << 32 | (after + 1), where=named != ABSENT)
            return cycles, hashes

        cycles, hashes, _ = rng.draw_in_split(attempted, split, np.arange(len(indices)))
        return cycles, hashes

    def _names(self, key: np.uint64, indices: Tokens, n: Tokens, first: Tokens) -> Tokens:
        """Different names [b, most of `n`], then ABSENT.

        Names are drawn one after the other and those met before are left out, so how many are drawn at once does not
        change them.
        """
        most = int(n.max())
        width = self._enough_words[most]
        while True:
            codes = self.coder.draw(halves(rng.words(key, indices, width, first)))
            fresh = first_occurrences(codes, self.coder.words)
            named = np.cumsum(fresh, axis=1, dtype=np.int16)
            if (named[:, -1] >= n).all():
                return pack(codes, fresh & (named <= n[:, None].astype(named.dtype)), most, ABSENT)
            if width == self._most_words:
                raise RuntimeError(f"{2 * width} names drawn were not enough for {most} different ones")
            width = min(2 * width, self._most_words)

    @property
    def _most_words(self) -> int:
        """Random words for one attempt at a cycle, two names each.

        With all but a fifth of the names in use a draw is new once in five, so this is plenty.
        """
        return 16 * self.nodes

    @cached_property
    def _enough_words(self) -> list[int]:
        """Random words that are nearly always enough for 0..nodes names: expected different ones, less 4 deviations."""
        sizes = np.diff(self.coder.starts)
        names = np.arange(1, 2 * self._most_words + 1)
        share = 1 - np.exp(-names[:, None] / len(sizes) / sizes)  # [draws, lengths] share of the names of each length
        different = (sizes * share).sum(axis=1)
        # Two variances, neither too small: of repeats among draws, and of names met or not each by itself.
        variance = np.minimum((names - different) * different / names, (sizes * share * (1 - share)).sum(axis=1))
        safe = different - 4 * np.sqrt(np.maximum(variance, 0))
        draws = [int(np.argmax(safe >= n)) + 1 if safe[-1] >= n else len(names) for n in range(self.nodes + 1)]
        return [-(-count // 2) for count in draws]
