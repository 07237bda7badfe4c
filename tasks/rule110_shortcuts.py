"""How far Rule 110 is solved by a predictor that sees only some of the cells: what is no sign of depth.

The first cell after t steps depends on the 2t + 1 cells around it, or on the whole ring. The best predictor that sees
only the w nearest gives the more frequent value among all strings that look alike to it.
"""

from functools import cache

import numpy as np

from tasks.automaton import evolve
from tasks.base import check_whole


@cache
def seen_cells(cells: int, steps: int) -> dict[int, float]:
    """Share of strings that the best predictor of the first cell gets right, by the w cells around it that it sees.

    w = 1, 3, 5, ... below all that matter: 2 * `steps` + 1, or the `cells` of the ring, 3 to 24. Exact, by enumeration;
    some seconds for 24 cells and 32 steps, once per process.
    """
    cells = check_whole("cells", cells, 3, 24, "more are too many to enumerate")
    steps = check_whole("steps", steps, 0)
    heard = min(cells, 2 * steps + 1)  # a ring of that size is enough: all cells are alike
    middle = (heard - 1) // 2
    states = evolve(np.arange(1 << heard, dtype=np.uint32), heard, steps)
    # How many strings end in 1, of those that look alike to who sees the cells around the middle one.
    ones = (states >> np.uint32(heard - 1 - middle) & np.uint32(1)).astype(np.int32)
    width, shares = heard, {}
    if not width % 2:  # one cell more to the right of the middle than to its left
        ones, width = ones.reshape(-1, 2).sum(axis=1), width - 1
        shares[width] = _right(ones, heard - width)
    while width > 1:
        ones, width = ones.reshape(2, -1, 2).sum(axis=(0, 2)), width - 2
        shares[width] = _right(ones, heard - width)
    return dict(sorted(shares.items()))


def _right(ones: np.ndarray[tuple[int, ...], np.dtype[np.int32]], hidden: int) -> float:
    """Share that the more frequent value gets right: `ones` of 2^`hidden` strings each."""
    each = 1 << hidden
    return float(np.maximum(ones, each - ones).sum(dtype=np.int64) / (len(ones) * each))
