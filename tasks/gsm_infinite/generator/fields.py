"""Random fields of 16 bits, one row of a batch each, and what is made of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks import rng
from tasks.gsm_infinite.graphs import NONE

Ints = NDArray[np.int32]
Fields = NDArray[np.uint16]


def row_fields(key: np.uint64, addresses: NDArray[np.integer[Any]], count: int) -> Fields:
    """Random fields [B, count] for the `addresses` [B] (>= 0) in the stream `key`, the first whatever the count."""
    words = rng.words(key, addresses, -(-count // 4)).astype("<u8", copy=False)
    return words.view("<u2")[:, :count]


def draw_fields(key: np.uint64, addresses: NDArray[np.integer[Any]], sizes: list[int]) -> list[Fields]:
    """Random fields [size, B] for each of `sizes`."""
    rows = np.ascontiguousarray(row_fields(key, addresses, sum(sizes)).T)
    return np.split(rows, np.cumsum(sizes)[:-1])


def key_of(halves: Fields) -> NDArray[np.uint32]:
    """Sorting keys of 32 bits from fields [..., 2]."""
    return halves[..., 0].astype(np.uint32) << np.uint32(16) | halves[..., 1]


def below(fields: Fields, bound: Ints | int) -> Ints:
    """Random whole numbers in [0, bound), same shape; 0 where the bound is 0 or less."""
    chosen: Ints = np.maximum((fields.astype(np.int32) * bound) >> 16, 0)
    return chosen


def shuffle(items: NDArray[np.integer[Any]], keys: NDArray[np.integer[Any]]) -> Ints:
    """The `items` [B, n] of each row in the order of their `keys` [B, n] (below 2^32), NONE last.

    One sort of key and item in one number; equal keys leave the smaller item first.
    """
    packed = keys.astype(np.uint64) << np.uint64(32) | items.astype(np.int32).view(np.uint32)
    packed[items == NONE] = np.iinfo(np.uint64).max  # which ends in NONE
    return np.sort(packed, axis=1).astype(np.uint32).view(np.int32)
