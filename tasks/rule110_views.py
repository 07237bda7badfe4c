"""Which part of a string fixes what a cell of it becomes, and which split owns that part: what Rule 110 holds out.

Within t steps a cell hears of itself and of t cells on either side. So what fixes the answer, the *view*, is that light
cone of 2t + 1 cells, or the whole ring where the cone would close it. Were whole strings held out, the cone of nearly
every test string would be met in training: with 16 cells and 5 million tokens all of them up to t = 6.

A split therefore owns views, the same ones whatever else is set: how many cells there are, which one is asked. All
strings are read here from the asked cell on, as a ring, packed as in `tasks.automaton`.

- Light cones: a fixed scrambling puts those that end in 0 in order, and those that end in 1; the place in that order
  modulo 8 says the split. An answer is as often 1 in every split as among all cones.
- Whole rings: their rank in a fixed scrambling, modulo 8, whatever t is.
- Cones of up to 5 cells are too few, 32 at most: a split would own 4. They are in every split, a table of them passes,
  and whole rings are held out as if they mattered.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks import rng
from tasks.automaton import evolve, flat_states
from tasks.base import check_whole

LEAST_WIDTH = 7
"""Cells of the smallest light cone that is held out: there are 128 of that size, about 16 of them for the test."""

_AT_ONCE = 1 << 18  # cones sorted together, so that the table is all the memory there is need for


def reach(cells: int, steps: int) -> int:
    """Cells that fix what one of them becomes, itself included."""
    return min(cells, 2 * steps + 1)


def owns_cones(cells: int, steps: int) -> bool:
    """Whether splits own light cones, of `reach` cells; else whole rings."""
    return LEAST_WIDTH <= 2 * steps + 1 <= cells


def are_held_out(cells: int, steps: int) -> bool:
    """Whether what fixes an answer is in one split alone."""
    return owns_cones(cells, steps) or reach(cells, steps) == cells


def views(rings: rng.Words, cells: int, steps: int) -> rng.Words:
    """The packed cells that fix the answer of each ring [...], as they lie around the asked cell.

    The whole ring is read from the asked cell on; where it is a light cone at once, the asked cell is in its middle.
    """
    if 2 * steps + 1 > cells:
        return rings
    return turn(rings, -steps, cells) >> np.uint64(cells - reach(cells, steps))


def turn(states: rng.Words, by: int | NDArray[np.int64], cells: int) -> rng.Words:
    """Packed rings read from another cell on: `by` cells (any whole numbers) further to the right."""
    left = np.asarray(by % cells).astype(np.uint64)
    mask = np.uint64((1 << cells) - 1)
    return (states << left | states >> np.uint64(cells) - left) & mask


def each(steps: int | NDArray[np.int64], make: Callable[[int, Any], rng.Words]) -> rng.Words:
    """What `make(t, at)` gives of the rings at an index, for those of every t; all at once where t is one number."""
    if not isinstance(steps, np.ndarray):
        return make(steps, ...)
    values = np.empty(steps.shape, dtype=np.uint64)
    for t in np.unique(steps).tolist():
        values[steps == t] = make(t, steps == t)
    return values


def codes(rings: rng.Words, cells: int, steps: int, *, of_split: bool) -> rng.Words:
    """Hashes of the views [...], or, if `of_split`, of what a split owns of the rings, which may be more.

    Equal views of equal t have equal hashes whatever else is set, and so have equal rings that are owned whole.
    """
    whole = of_split and not owns_cones(cells, steps)
    view = rings if whole else views(rings, cells, steps)
    kind = 0 if whole else 1 + steps
    width = cells if whole else reach(cells, steps)
    return rng.content_hash((view | np.uint64(kind << 32 | 1 << width))[..., None])


def draw(words: rng.Words, split: str, cells: int, steps: int) -> rng.Words:
    """Rings [...] from random words [..., 3]: the view uniform among those of a split, all other cells uniform.

    An answer is 1 exactly as often as among all light cones, so those that a split owns of one answer and of the other
    may differ in weight by a rounding.
    """
    classes = rng.CLASSES[split]
    share, start = np.uint64(len(classes)), np.uint64(classes.start)
    if not owns_cones(cells, steps):
        pick = words[..., 0] % np.uint64(len(classes) << cells - 3)
        return _string(pick // share * np.uint64(8) + start + pick % share, cells)
    cones, zeros = _by_answer(steps)
    one = words[..., 0] % np.uint64(len(cones)) >= np.uint64(zeros)
    count = np.where(one, len(cones) - zeros, zeros)  # of all cones with that answer; then of those the split owns
    count = count // 8 * len(classes) + np.clip(count % 8 - classes.start, 0, len(classes))
    pick = words[..., 1] % count.astype(np.uint64)
    place = pick // share * np.uint64(8) + start + pick % share + one * np.uint64(zeros)
    free = np.uint64(cells - reach(cells, steps))
    view = cones[place.astype(np.intp)].astype(np.uint64)
    return turn(view << free | words[..., 2] % (np.uint64(1) << free), steps, cells)


def split_of(states: ArrayLike, cells: int, steps: int, asked: int = 0) -> NDArray[np.str_]:
    """The split that may ask what cell `asked` of each string (packed, [...]) is after `steps` steps; same shape.

    Args:
        states: integers in [0, 2^cells), any shape and integer dtype.
        cells: 3 to 24.
        steps: t, >= 0.
        asked: 0 to cells - 1, from the left.

    Returns:
        "train", "validation" or "test": the owner of the light cone around the asked cell or, where there are too few
        cones or none smaller than the ring, of the whole ring as it is read from that cell.

    Raises:
        ValueError: a state, `cells`, `steps` or `asked` out of range, or states that are not integers.
    """
    cells, steps = check_whole("cells", cells, 3, 24), check_whole("steps", steps, 0)
    asked = check_whole("asked", asked, 0, cells - 1)
    rings = turn(flat_states(states, cells).astype(np.uint64), asked, cells)
    if not owns_cones(cells, steps):
        return rng.split_of(_rank(rings, cells)).reshape(np.shape(states))
    cones, zeros = _by_answer(steps)
    places = np.empty(len(cones), dtype=np.uint64)
    places[cones] = np.concatenate([np.arange(zeros), np.arange(len(cones) - zeros)])
    return rng.split_of(places[views(rings, cells, steps).astype(np.intp)]).reshape(np.shape(states))


@cache
def _by_answer(steps: int) -> tuple[NDArray[np.uint32], int]:
    """All 2^(2t + 1) light cones, scrambled, those whose middle cell ends as 0 first; and how many those are.

    At most 2^23 (t = 11): about a second and 32 MiB, once per process.
    """
    width = 2 * steps + 1
    sorted_: tuple[list[NDArray[np.uint32]], list[NDArray[np.uint32]]] = ([], [])
    for start in range(0, 1 << width, _AT_ONCE):
        cones = _string(np.arange(start, min(start + _AT_ONCE, 1 << width), dtype=np.uint64), width).astype(np.uint32)
        ends = evolve(cones, width, steps) >> np.uint32(steps) & np.uint32(1)
        for answer, of_answer in enumerate(sorted_):
            of_answer.append(cones[ends == answer])
    return np.concatenate([*sorted_[0], *sorted_[1]]), sum(map(len, sorted_[0]))


# A fixed scrambling of the integers below 2^cells, one to one and invertible: the rank of a string. Drawing a rank and
# taking its string draws from a split at once, however few the cells, and rejects no draw.
_ODD = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xBF58476D1CE4E5B9)


def _string(rank: rng.Words, cells: int) -> rng.Words:
    """The string of each rank: multiplications carry low bits upwards, shifts bring high bits down."""
    half, mask = np.uint64((cells + 1) // 2), np.uint64((1 << cells) - 1)
    for odd in _ODD:
        rank = (rank ^ (rank >> half)) * np.uint64(odd) & mask
    return rank ^ (rank >> half)


def _rank(string: rng.Words, cells: int) -> rng.Words:
    """The inverse of `_string`: a shift by half the bits undoes itself, an odd factor has an inverse."""
    half, mask = np.uint64((cells + 1) // 2), np.uint64((1 << cells) - 1)
    string = string ^ (string >> half)
    for odd in reversed(_ODD):
        string = string * np.uint64(pow(odd, -1, 1 << cells)) & mask
        string = string ^ (string >> half)
    return string
