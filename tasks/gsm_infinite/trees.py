"""The trees of symbolic problems, for a batch of problems: what each variable is computed from, and by which step.

The root of the *core* tree has a number; every other core variable is a copy of a uniformly chosen earlier one, or that
plus 1, or that minus 1, a third each. Values may be negative. *Filler* is a second tree of the same make whose root has
no number: nothing in it has a value.
"""

from dataclasses import dataclass

import numpy as np

from tasks import rng
from tasks.base import SPLITS, check_whole, nearest
from tasks.gsm_infinite.graphs import NONE, Numbers

OPERATIONS = 64  # most core variables
ROOTS = 11  # the root's value is in 0..10
NAMES = 1_000_000  # V000000..V999999

# Where the random words of each purpose start. None of them needs 2^20 columns, so no two share a word, and what one
# purpose draws for a variable does not depend on how many variables there are.
_CORE, _NAMES, _ORDER, _FILLER = (purpose << 20 for purpose in range(4))

# Every split must own some of the 11 contents of one operation and of the 55 of two, which a hash alone would not
# promise. This constant makes it so: shares of 7, 2 and 2, and of 41, 7 and 7; the tests enumerate them.
_SALT = np.uint64(11)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trees:
    """B problems of V core variables, and of one filler root and F filler variables after them where F > 0.

    Variables are numbered from 0, parents before children: W = V, or V + 1 + F with filler. S = V + F sentences.
    """

    parent: Numbers  # [B, W] the variable that a variable is computed from; NONE for the roots, 0 and V
    step: Numbers  # [B, W] -1, 0 or 1: what is added to it; 0 for the roots
    names: Numbers  # [B, W] 0..999999, distinct within a problem
    value: Numbers  # [B, V] of the core variables; value[:, 0] is the root's, 0..10
    asked: Numbers  # [B] the value that the question asks about
    order: Numbers  # [B, S] the variable whose sentence stands at each position; NONE: no sentence
    content: rng.Words  # [B] hash of the core tree and of the value asked about; names and order left out


def draw(operations: int, split: str, indices: Numbers, key: np.uint64, *, filler: int = 0) -> tuple[Trees, int]:
    """The trees of the examples `indices` [B] (>= 0) of a split, from the stream `key` (as in `rng.words`).

    Args:
        operations: V, core variables, 1..64.
        split: One of `tasks.base.SPLITS`; it owns every core drawn.
        indices: The examples.
        key: The stream.
        filler: F, filler variables that have a sentence. The first ones are the same, and their sentences stand in the
            same order among themselves and the core's, however many there are.

    Returns:
        The trees, and how many draws of a core were rejected because another split owns them.

    Raises:
        ValueError: one of the arguments is not as said above.
    """
    check_whole("operations", operations, 1, OPERATIONS, "core variables")
    check_whole("filler", filler, 0, NAMES - 1 - operations, "names have six digits and are distinct")
    if split not in SPLITS:
        raise ValueError(nearest(split, SPLITS, kind="split"))

    def draw_core(rows: Numbers, attempt: Numbers) -> tuple[Numbers, rng.Words]:
        words = rng.words(key, rows, operations, _CORE + attempt * operations)
        parent, step = _attach(words)
        root, which = np.divmod(rng.integers(words[:, 0], ROOTS * operations), operations)
        value = descend(parent, step, root)
        asked = value[np.arange(len(rows)), which]
        return np.column_stack([parent, step, value, asked]), _content(parent, step, root, asked)

    core, content, rejected = rng.draw_in_split(draw_core, split, indices)
    parent, step, value, asked = np.split(core, [operations, 2 * operations, 3 * operations], axis=1)
    variables = np.arange(operations)  # those that have a sentence
    if filler:
        filler_parent, filler_step = _attach(rng.words(key, indices, 1 + filler, _FILLER))
        filler_parent[:, 1:] += operations
        parent, step = np.hstack([parent, filler_parent]), np.hstack([step, filler_step])
        variables = np.append(variables, np.arange(operations + 1, operations + 1 + filler))
    places = rng.words(key, indices, parent.shape[1], _ORDER)[:, variables]
    trees = Trees(
        parent=parent,
        step=step,
        names=_names(key, indices, parent.shape[1]),
        value=value,
        asked=asked[:, 0],
        order=variables[np.argsort(places, axis=1, kind="stable")],
        content=content,
    )
    return trees, rejected


def _attach(words: rng.Words) -> tuple[Numbers, Numbers]:
    """Parent and step [B, n] of a tree's variables, from a word for each: a uniform earlier one, a uniform step."""
    earlier = np.arange(words.shape[1]).clip(1)
    parent, step = np.divmod((words % (3 * earlier).astype(np.uint64)).astype(np.int64), 3)
    step -= 1
    parent[:, 0], step[:, 0] = NONE, 0
    return parent, step


def descend(parent: Numbers, step: Numbers, root: Numbers | int) -> Numbers:
    """A number for each variable [B, V]: `root` [B] for the root, that of its parent plus `step` for another."""
    numbers = np.empty_like(parent)
    numbers[:, 0] = root
    rows = np.arange(len(parent))
    for variable in range(1, parent.shape[1]):
        numbers[:, variable] = numbers[rows, parent[:, variable]] + step[:, variable]
    return numbers


def _content(parent: Numbers, step: Numbers, root: Numbers, asked: Numbers) -> rng.Words:
    """Hash [B] of rooted trees whose edges are steps: a node's is made of its step and the sum of its children's.

    So trees that differ only in how their variables are numbered have one hash, always.
    """
    below = np.zeros(parent.shape, dtype=np.uint64)
    rows = np.arange(len(parent))
    for variable in range(parent.shape[1] - 1, 0, -1):
        node = below[:, variable] + (step[:, variable] + 2).astype(np.uint64)
        below[rows, parent[:, variable]] += rng.mix(node)
    offset = asked - root + OPERATIONS  # >= 0
    return rng.mix(below[:, 0] + (root << 8 | offset).astype(np.uint64) + _SALT)


def _names(key: np.uint64, indices: Numbers, count: int) -> Numbers:
    """Distinct names [B, count]: a permutation of 0..999999 (a Feistel network of four rounds) of 0..count - 1."""
    first, second = np.divmod(np.arange(count), 1000)
    for round_key in rng.words(key, indices, 4, _NAMES).T[..., None]:
        noise = rng.integers(rng.mix(round_key + second.astype(np.uint64)), 1000)
        first, second = second, (first + noise) % 1000
    return 1000 * first + second
