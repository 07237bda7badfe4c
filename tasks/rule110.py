"""Rule 110: read binary strings, then tell the first cell of each after t steps of the automaton.

Source: arXiv 2605.26099, Figure 2. An example of `cells` = 4, `strings` = 2, one row per window:

    0 1 1 0      string 1: consolidated, then evicted
    1 0 0 1      string 2: consolidated, then evicted
    ? y1         predicted: targets y1 y2, the first cell of each string after `rollout_steps` steps

The prediction window starts with a query token and goes on with the labels so far, so every consolidated
window is exactly one string. At 0 steps the task is pure storage; each step adds a round of computation.
Packed strings are integers whose highest bit (of `cells`) is the first, leftmost cell.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks import rng
from tasks.base import IGNORE, Episode, Task, Tokens, check_whole
from tasks.memories import Memory, rollouts

QUERY = 2  # the token that opens the prediction window; 0 and 1 are cells

_BLOCK = 1 << 15  # strings evolved together: the four work arrays of this many words fit in a core's cache


@dataclass(frozen=True, kw_only=True)
class Rule110(Task):
    """First cell of each of several binary strings after t steps of Rule 110.

    The strings of an example are independent and uniform over the strings their split owns: whole strings are
    held out, so a table of the strings seen in training cannot pass the test.

    Attributes:
        cells: Cells of a string, a token each.
        strings: Strings of an example, and its answers.
        rollout_steps: t: the first cell after this many steps is asked.
        boundary: "periodic": the string is a ring.
        window_tokens: L in whole strings; 0 for one string.
    """

    name: ClassVar[str] = "rule110"
    version: ClassVar[int] = 1
    axis: ClassVar[str] = "rollout_steps"

    cells: int = 24
    strings: int = 4
    rollout_steps: int = 4
    boundary: str = "periodic"
    window_tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse what has no exact chance, does not fit, or is trivial."""
        check_whole("cells", self.cells, 3, 24, "chance is exact by enumeration of all strings")
        check_whole("strings", self.strings, 1, self.cells, "their labels must fit in one window")
        check_whole("rollout_steps", self.rollout_steps, 0)
        if self.boundary != "periodic":
            raise ValueError(
                f"boundary must be 'periodic'; given {self.boundary!r} (with a fixed-zero edge the first "
                "cell after t steps is the OR of cells 0..t, and a constant guess of 1 is nearly always right)"
            )
        check_whole("window_tokens", self.window_tokens, 0)
        if self.cells > self.window:
            raise ValueError(f"a string of {self.cells} cells does not fit in a window of {self.window} tokens")
        if self.window % self.cells:
            raise ValueError(
                f"a window of {self.window} tokens cuts a string of {self.cells} cells; "
                f"allowed: multiples of {self.cells}"
            )
        if self.strings * self.cells % self.window:
            raise ValueError(
                f"{self.strings} strings of {self.cells} cells do not fill whole windows of {self.window} tokens: "
                "the labels would share a window with a string"
            )

    @property
    def vocab_size(self) -> int:
        """Two cell values and the query token."""
        return 3

    @property
    def window(self) -> int:
        """L: `window_tokens`, or one string."""
        return self.window_tokens or self.cells

    @property
    def seq_len(self) -> int:
        """T: the strings, then one token per label."""
        return self.strings * self.cells + self.strings

    @property
    def answers(self) -> int:
        """One per string."""
        return self.strings

    @property
    def windows_alike(self) -> bool:
        """Nothing in a string says which one it is."""
        return self.strings * self.cells > self.window

    @property
    def landmarks(self) -> tuple[int, ...]:
        """Storage alone, and the doublings up to the paper's deepest."""
        return 0, 1, 2, 4, 8, 16, 32

    def chance(self, difficulty: int, answer: int | None = None) -> float:
        """Best constant guess after `difficulty` steps: max(p, 1 - p) per string, its power for all.

        p is the share of first cells that are 1 over *all* strings; over those of one split it differs by
        sampling only (below 0.001 for 24 cells, more for a handful of cells).
        """
        self.check_answer(answer)
        p = first_cell_ones(self.cells, difficulty) / (1 << self.cells)
        one = max(p, 1 - p)
        return one if answer is not None else float(one**self.strings)

    def shortcuts(self, difficulty: int) -> dict[str, float]:
        """`cells_w`: the best predictor that sees only the w cells around each first one, exact by enumeration."""
        from tasks.rule110_shortcuts import seen_cells  # needs this module

        return {f"cells_{w}": float(p**self.strings) for w, p in seen_cells(self.cells, difficulty).items()}

    def memories(self, episode: Episode) -> tuple[Memory, ...]:
        """The first cell of each string, and all of its cells, after 0..t steps."""
        strings = episode.inputs[:, : -self.strings].reshape(-1, self.strings, self.cells)
        return rollouts(strings, [self.chance(step, 0) for step in range(self.rollout_steps + 1)])

    def word(self, token: int) -> str:
        """The query token is a question mark."""
        return "?" if token == QUERY else str(token)

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = the strings, the query, all labels but the last."""
        strings = _draw(rng.words(key, indices, self.strings), split, self.cells)  # [B, strings]
        labels = evolve(strings, self.cells, self.rollout_steps) >> np.uint64(self.cells - 1)
        query = np.full((len(indices), 1), QUERY)
        cells = _unpack(strings, self.cells).reshape(len(indices), self.strings * self.cells)
        inputs = np.concatenate([cells, query, labels[:, :-1]], axis=1).astype(np.int64)
        targets = np.full_like(inputs, IGNORE)
        answer, difficulty = np.full_like(inputs, -1), np.full_like(inputs, -1)
        targets[:, -self.strings :] = labels
        answer[:, -self.strings :] = np.arange(self.strings)
        difficulty[:, -self.strings :] = self.rollout_steps
        content = rng.content_hash(strings[..., None])
        return Episode(
            inputs=inputs, targets=targets, window=self.window, difficulty=difficulty, answer=answer, content=content
        )

    def example(self, index: int = 0, split: str = "train", seed: int = 0) -> str:
        """One example drawn for a human: its windows, then the roll-outs of its strings side by side."""
        lines = [super().example(index, split, seed), ""]
        tokens = self.episodes(split, [index], seed).inputs[0, : -self.strings]
        states = tokens.reshape(self.strings, self.cells) @ (1 << np.arange(self.cells)[::-1])
        for step in range(self.rollout_steps + 1):
            rows = _unpack(states, self.cells)
            art = "  ".join("".join(".#"[cell] for cell in row) for row in rows)
            lines.append(f"step {step:<{len(str(self.rollout_steps))}}  {art}")
            states = evolve(states, self.cells, 1)
        return "\n".join(lines)


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
    flat = _packed(states, cells)
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
    heard = min(cells, 2 * steps + 1)
    ones = 0
    for start in range(0, 1 << heard, 1 << 20):
        states = np.arange(start, min(start + (1 << 20), 1 << heard), dtype=np.uint32)
        ones += int(np.count_nonzero(evolve(states, heard, steps) >> np.uint32(heard - 1)))
    return ones << cells - heard


def split_of(states: ArrayLike, cells: int) -> NDArray[np.str_]:
    """The split that owns each string (packed, [...]), "train", "validation" or "test"; same shape.

    Args:
        states: integers in [0, 2^cells), any shape and integer dtype.
        cells: 3 to 24.

    Raises:
        ValueError: a state or `cells` out of range, or states that are not integers.
    """
    cells = check_whole("cells", cells, 3, 24)
    ranks = _rank(_packed(states, cells).astype(np.uint64), cells)
    return rng.split_of(ranks).reshape(np.shape(states))


# Every string has a rank: a fixed scrambling of the 2^cells integers, one to one and invertible. The rank
# modulo 8 says which split owns the string. So a string of a split is drawn at once (draw a rank, take its
# string), and the splits are disjoint by construction, however few the cells, with no draw ever rejected.
_ODD = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xBF58476D1CE4E5B9)


def _draw(words: rng.Words, split: str, cells: int) -> NDArray[np.uint32]:
    """Strings [...] uniform over those `split` owns, from random words [...]."""
    owned = rng.CLASSES[split]
    share = np.uint64(len(owned))
    pick = words % np.uint64(len(owned) << cells - 3)  # which of the split's strings
    rank = pick // share * np.uint64(8) + np.uint64(owned.start) + pick % share
    return _string(rank, cells).astype(np.uint32)


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


def _unpack(states: NDArray[Any], cells: int) -> NDArray[Any]:
    """Cells [..., cells], first cell first, of packed states [...]."""
    shifts = np.arange(cells, dtype=states.dtype)[::-1]
    bits: NDArray[Any] = states[..., None] >> shifts & states.dtype.type(1)
    return bits


def _packed(states: ArrayLike, cells: int) -> NDArray[Any]:
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


if __name__ == "__main__":
    from tasks.command import main

    main(Rule110)
