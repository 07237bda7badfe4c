"""Rule 110 itself: packed strings evolved step by step, how often a cell ends as 1, and what few cells tell of it.

Packed strings are integers whose highest bit (of `cells`) is the first, leftmost cell; the string is a ring.
"""

from functools import cache
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.base import check_whole

_BLOCK = 1 << 15  # strings evolved together: the four work arrays of this many words fit in a core's cache


@overload
def evolve(states: int, cells: int, steps: int) -> int: ...
@overload
def evolve(states: ArrayLike, cells: int, steps: int) -> NDArray[Any]: ...
def evolve(states: ArrayLike, cells: int, steps: int) -> Any:
    """Packed Rule 110 states after `steps` steps on a ring of `cells` cells.

    Args:
        states: integers in [0, 2^cells), any shape and integer dtype; the highest of the `cells` bits is the
            first cell.
        cells: 1 to 64.
        steps: >= 0.

    Returns:
        Same shape; the dtype of `states` where it holds `cells` bits, else uint32 or uint64; int for an int.

    Raises:
        ValueError: a state, `cells` or `steps` out of range, or states that are not integers.
    """
    cells, steps = check_whole("cells", cells, 1, 64), check_whole("steps", steps, 0)
    flat = flat_states(states, cells)
    word = np.dtype(np.uint32 if cells <= 32 else np.uint64)
    out = np.empty(flat.size, dtype=flat.dtype if np.iinfo(flat.dtype).max >> cells - 1 else word)
    one, last, mask = word.type(1), word.type(cells - 1), word.type((1 << cells) - 1)
    # In place, block by block: whole-array temporaries would go through main memory eleven times per step.
    for start in range(0, flat.size, _BLOCK):
        centre = flat[start : start + _BLOCK].astype(word)
        left, right, wrapped = np.empty_like(centre), np.empty_like(centre), np.empty_like(centre)
        for _ in range(steps):
            np.right_shift(centre, one, out=left)
            np.left_shift(centre, last, out=wrapped)
            left |= wrapped
            np.left_shift(centre, one, out=right)
            np.right_shift(centre, last, out=wrapped)
            right |= wrapped
            # The rule: a cell lives if it or its right neighbour does, unless all three do.
            left &= centre
            left &= right
            centre |= right
            centre ^= left
            centre &= mask  # the shifts have left cells beyond the ring
        out[start : start + _BLOCK] = centre
    return int(out[0]) if isinstance(states, int) else out.reshape(np.shape(states))[()]


@cache
def first_cell_ones(cells: int, steps: int) -> int:
    """Number of the 2^cells strings whose first cell is 1 after `steps` steps; cells 1..24.

    By enumeration, about a second for 24 cells and 32 steps, once per process. Within `steps` steps a cell
    hears of 2 * steps + 1 cells only, and on a ring all cells are alike: a ring of that size is enough.
    """
    cells = check_whole("cells", cells, 1, 24, "more are too many to enumerate")
    steps = check_whole("steps", steps, 0)
    reach = min(cells, 2 * steps + 1)
    ones = 0
    for start in range(0, 1 << reach, 1 << 20):
        states = np.arange(start, min(start + (1 << 20), 1 << reach), dtype=np.uint32)
        ones += int(np.count_nonzero(evolve(states, reach, steps) >> np.uint32(reach - 1)))
    return ones << cells - reach


def unpack(states: NDArray[Any], cells: int) -> NDArray[Any]:
    """Cells [..., cells], first cell first, of packed states [...]."""
    shifts = np.arange(cells, dtype=states.dtype)[::-1]
    bits: NDArray[Any] = states[..., None] >> shifts & states.dtype.type(1)
    return bits


def flat_states(states: ArrayLike, cells: int) -> NDArray[Any]:
    """`states` as a flat integer array, after a check that they are states of `cells` cells."""
    flat: NDArray[Any] = np.asarray(states).reshape(-1)
    if not flat.size:
        return np.empty(0, dtype=np.uint64)  # an empty list has no integer dtype of its own
    allowed = f"states must be integers that fit in {cells} cells (0..2^{cells} - 1); given"
    if flat.dtype.kind not in "iu":
        raise ValueError(f"{allowed} {flat.dtype} values")
    if flat.min() < 0 or int(flat.max()) >> cells:
        raise ValueError(f"{allowed} {flat.min()}..{flat.max()}")
    return flat


# --- what is no sign of depth: a predictor that sees only some of the cells ---


@cache
def seen_cells(cells: int, steps: int) -> dict[int, float]:
    """Share of strings that the best predictor of the first cell gets right, by the w cells around it that it sees.

    It gives the more frequent value among all strings that look alike to it.

    w = 1, 3, 5, ... below all that matter: 2 * `steps` + 1, or the `cells` of the ring, 3 to 24. Exact, by enumeration;
    some seconds for 24 cells and 32 steps, once per process.
    """
    cells = check_whole("cells", cells, 3, 24, "more are too many to enumerate")
    steps = check_whole("steps", steps, 0)
    reach = min(cells, 2 * steps + 1)  # a ring of that size is enough: all cells are alike
    middle = (reach - 1) // 2
    states = evolve(np.arange(1 << reach, dtype=np.uint32), reach, steps)
    # How many strings end in 1, of those that look alike to who sees the cells around the middle one.
    ones = (states >> np.uint32(reach - 1 - middle) & np.uint32(1)).astype(np.int32)
    width, shares = reach, {}
    if not width % 2:  # one cell more to the right of the middle than to its left
        ones, width = ones.reshape(-1, 2).sum(axis=1), width - 1
        shares[width] = _majority_share(ones, reach - width)
    while width > 1:
        ones, width = ones.reshape(2, -1, 2).sum(axis=(0, 2)), width - 2
        shares[width] = _majority_share(ones, reach - width)
    return dict(sorted(shares.items()))


def _majority_share(ones: np.ndarray[tuple[int, ...], np.dtype[np.int32]], hidden: int) -> float:
    """Share that the more frequent value gets right: `ones` of 2^`hidden` strings each."""
    each = 1 << hidden
    return float(np.maximum(ones, each - ones).sum(dtype=np.int64) / (len(ones) * each))
