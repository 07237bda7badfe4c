"""Rows of unequal length in one array: values first, then ABSENT. Random orders, samples, and tokens side by side."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.base import Tokens
from tasks.rng import Words

ABSENT = -1

_LAST = np.uint32(0xFFFFFFFF)


def at(values: Tokens, places: Tokens) -> Tokens:
    """`values` [B, N] at `places` [B, M]; ABSENT where the place is."""
    width = values.shape[1]
    absent = places == ABSENT
    flat = places + np.arange(len(values))[:, None] * width
    chosen: Tokens = values.reshape(-1).take(flat, mode="clip")  # a place that is ABSENT is no place before the first
    chosen[absent] = ABSENT
    return chosen


def pack(values: NDArray[Any], present: NDArray[np.bool_], width: int, fill: int, *, right: bool = False) -> Tokens:
    """The values [B, ...] that are present, in order, at the left (or right) end of rows [B, width] of `fill`."""
    out = np.full((len(values), width), fill, dtype=np.int64)
    slots = math.prod(values.shape[1:])
    lengths = present.reshape(len(values), slots).sum(axis=1, dtype=np.int32)[:, None]
    place = np.arange(width, dtype=np.int32)
    out[place >= width - lengths if right else place < lengths] = np.compress(present.reshape(-1), values.reshape(-1))
    return out


def halves(words: Words) -> NDArray[np.uint32]:
    """Random words of 32 bits [B, 2 C] from those of 64 [B, C], the same on every machine."""
    return words.astype("<u8", copy=False).view("<u4")


def permutations(words: NDArray[np.uint32], n: Tokens, most: int) -> Tokens:
    """The numbers below `n` [B] in random order, then ABSENT, [B, N], from random words [B, N].

    A number rides in the low bits of its random key, as many as `most` takes, the largest N there is: so an order does
    not depend on the N of its batch. Two keys of a row are equal, and the lower number is then first, in about
    N^2 most / 2^32 of all rows: one in 10,000 for N = 75.
    """
    number = np.arange(words.shape[1], dtype=np.uint32)
    low = np.uint32((1 << most.bit_length()) - 1)
    beyond = number >= n[:, None]
    keys = words & ~low | number
    keys[beyond] = _LAST
    keys.sort(axis=1)
    order = (keys & low).astype(np.int64)
    order[beyond] = ABSENT
    return order


def distinct_numbers(picks: Words, ranks: Words, n: Tokens) -> Tokens:
    """Different numbers below `n` [B] in random order, as many as fit in Q, then ABSENT, from random words [B, Q] each.

    Floyd's sampling: the j-th pick is among one number more than the one before, and takes that number if it picks
    one that is taken already.
    """
    counts = np.minimum(n, picks.shape[1])
    chosen = np.full(picks.shape[::-1], ABSENT, dtype=np.int64)  # [Q, B]: a pick is one row of it
    for j, words in enumerate(np.ascontiguousarray(picks.T)):
        top = np.maximum(n - counts + j, 0)
        pick = (words % (top + 1).astype(np.uint64)).astype(np.int64)
        pick = np.where((chosen[:j] == pick).any(axis=0), top, pick)
        chosen[j] = np.where(j < counts, pick, ABSENT)
    late = np.where(chosen.T == ABSENT, np.uint64(0xFFFFFFFFFFFFFFFF), ranks)
    return np.take_along_axis(chosen.T, np.argsort(late, axis=1, kind="stable"), axis=1)


def first_occurrences(numbers: Tokens, bound: int) -> NDArray[np.bool_]:
    """Where a number [B, D], of those in [0, bound), stands for the first time in its row."""
    width = numbers.shape[1]
    shift = width.bit_length()
    kind = np.int32 if bound << shift < 1 << 31 else np.int64
    ranked = numbers.astype(kind) << shift | np.arange(width, dtype=kind)
    ranked.sort(axis=1)  # by number, then by place
    rows, columns = np.nonzero(ranked[:, 1:] >> shift == ranked[:, :-1] >> shift)
    is_first = np.ones(numbers.shape, dtype=bool)
    is_first[rows, ranked[rows, columns + 1] & (1 << shift) - 1] = False
    return is_first
