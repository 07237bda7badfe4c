"""How often each right-hand side is chosen: the weights that give problems their shape, as lookup tables.

A table turns 8 random bits into a choice, so that a whole batch chooses with one gather. The weights were set by
measurement: chain depth and binary operations of hard problems follow those of the public generator, operation count
by operation count.

There are two sets. The first, which compact problems keep, has fewer questions for totals, fewer numbers and fewer
totals among distractors than published problems; the second (`Shape.published`) follows these there too.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.gsm_infinite.generator.shape import MOST_OPERATIONS
from tasks.gsm_infinite.graphs import NONE

Table = NDArray[np.int32]

# Forms: leaf, copy, k with one, sum or difference of two, the same with k, sum of three, the same with k.
LEAF, COPY = 0, 1
OPERANDS = np.array([0, 1, 1, 2, 2, 3, 3, 0], np.int32)  # the last entry is form NONE
CONSTANT = np.array([1, 0, 1, 0, 1, 0, 1, 0], bool)

_NEEDED = {False: np.array([10, 14, 56, 10, 6, 2, 2]), True: np.array([7, 10, 82, 6, 8, 1, 2])}
_DISTRACTOR = np.array([22, 16, 26, 14, 12, 5, 5])
_PUBLISHED_DISTRACTOR = {
    "hard": np.array([42, 20, 14, 11, 5, 5, 3]),
    "medium": np.array([49, 19, 12, 8, 5, 4, 3]),
}
_REUSED = np.array([70, 30, 12])  # of a needed form's operands, this many are opened already

# Choices of a needed quantity: (form, operands that are reused). The last is no choice at all.
CHOICES = [(form, reuses) for form in range(7) for reuses in range(min(int(OPERANDS[form]), 2) + 1)]
NO_CHOICE = len(CHOICES)
FORM = np.array([form for form, _ in CHOICES] + [NONE], np.int32)
REUSED = np.array([reuses for _, reuses in CHOICES] + [0], np.int32)
OPENED = OPERANDS[FORM] - REUSED
# Operations beyond the one that an open quantity has reserved: in-degree less one, and one for each quantity it opens.
COST = np.where(FORM == NONE, 0, OPERANDS[FORM] + CONSTANT[FORM] - 1 + OPENED).astype(np.int32)
MOST_COST = int(COST.max())

# What a newly opened quantity is: a count or rate (0), T over 1..4 kinds (1..4), P over 1..4 kinds (5..8).
KINDS = np.array([0, 1, 2, 3, 4, 1, 2, 3, 4], np.int32)
IS_PRODUCT = np.arange(9) >= 5
CHILDREN = np.where(IS_PRODUCT, 2, 1) * KINDS
EXTRA = np.maximum(2 * CHILDREN - 1, 0)  # operations beyond the one of a count or rate: own in-degree, a leaf per child
_END = {"hard": np.array([60, 3, 8, 5, 3, 8, 6, 4, 3]), "medium": np.array([6, 18, 35, 25, 16, 0, 0, 0, 0])}
_PUBLISHED_END = _END | {"hard": np.array([60, 3, 4, 2, 1, 12, 14, 8, 4])}
# Published problems: how often the end quantity is a total, by operations, the last for all that are more.
_END_TOTALS = {"hard": [0, 0.07, 0.1, 0.76, 0.6, 0.56], "medium": [0, 1, 1, 0.97, 0.9, 0.87]}
_OPEN = {"hard": np.array([88, 3, 3, 2, 1, 2, 2, 1, 1]), "medium": np.array([85, 3, 6, 4, 2, 0, 0, 0, 0])}


def _table(weights: NDArray[Any]) -> Table:
    """256 choices in proportion to `weights` [n]."""
    shares = np.cumsum(weights) / np.sum(weights)
    return np.searchsorted(shares, (np.arange(256) + 0.5) / 256).astype(np.int32)


@cache
def needed_table(published: bool) -> Table:
    """Choices [7 * 3 * 256] by operations left (7: that many or more), others open (2 likewise), random byte.

    A choice must be affordable; where no other quantity is open and operations are left, it must open one.
    """
    rows = []
    for budget in range(MOST_COST + 1):
        for others in range(3):
            weights = [
                _NEEDED[published][form] * _REUSED[reuses]
                if COST[choice] <= budget and reuses <= others and (others or not budget or OPENED[choice])
                else 0
                for choice, (form, reuses) in enumerate(CHOICES)
            ]
            rows.append(_table(np.array(weights)))
    return np.concatenate(rows)


@cache
def distractor_table(subset: str, published: bool) -> Table:
    """Forms [4 * 256] by number of earlier quantities (3: that many or more), random byte."""
    weights = _PUBLISHED_DISTRACTOR[subset] if published else _DISTRACTOR
    return np.concatenate([_table(np.where(OPERANDS[:7] <= earlier, weights, 0)) for earlier in range(4)])


@cache
def opened_table(subset: str, kinds: int, end: bool, published: bool) -> Table:
    """What a new quantity is, or the end quantity [16 * 256], by operations left, random byte."""
    of = (_PUBLISHED_END if published else _END) if end else _OPEN
    weights = np.where(kinds >= KINDS, of[subset], 0)
    rows = []
    for budget in range(MOST_OPERATIONS):
        row = np.where(budget >= EXTRA, weights, 0).astype(np.float64)
        if end and published and row[1:].any():
            totals = _END_TOTALS[subset][min(budget, len(_END_TOTALS[subset]) - 1)]
            row[0] = 1 - totals
            row[1:] *= totals / row[1:].sum()
        rows.append(_table(row))
    return np.concatenate(rows)
