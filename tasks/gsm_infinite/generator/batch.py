"""Problem graphs of the medium and hard subsets, forward and reverse, drawn by the batch.

    graphs, rejected = draw(Shape(subset="hard"), 8, "train", np.arange(1024), key)

A draw builds the needed part from the end quantity down (needed.py), adds distractors (distractors.py), computes values
(values.py), in reverse picks the unknown (reverse.py), and hashes the content (content.py). It is repeated where
another split owns the content, a needed value is too large or no leaf can be the unknown. Filler is added last.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks import rng
from tasks.base import SPLITS, check_whole, nearest
from tasks.gsm_infinite.generator import distractors
from tasks.gsm_infinite.generator.content import core_content, core_determinant, core_hashes
from tasks.gsm_infinite.generator.distractors import Names
from tasks.gsm_infinite.generator.fields import Fields, Ints, draw_fields, key_of, shuffle
from tasks.gsm_infinite.generator.filler import add_filler
from tasks.gsm_infinite.generator.needed import draw_needed
from tasks.gsm_infinite.generator.reverse import draw_unknown
from tasks.gsm_infinite.generator.shape import Shape
from tasks.gsm_infinite.generator.values import Core, evaluate
from tasks.gsm_infinite.graphs import NONE, TOTAL, VALUE_SENTENCE, Flags, Graphs

ATTEMPTS = 1024  # most draws per example
# Where few examples are left, several draws of each at once cost as much as one.
_GROUP = 16  # at most so many of one example
_ROWS = 256  # and so many in all

_LARGEST = 10**8  # value of a distractor, so that no product overflows


def draw(
    shape: Shape,
    operations: ArrayLike,
    split: str,
    indices: NDArray[np.int64],
    key: np.uint64,
    *,
    filler: int = 0,
    accept: Callable[[Graphs], Flags] | None = None,
) -> tuple[Graphs, int]:
    """The problems `indices` [B] of a split.

    Problem i is a pure function of shape, its operations, split, i, key and `accept`, whatever the batch. With filler
    it is the same problem, its sentences in the same order, others between them. Quantities are numbered without gaps,
    what a quantity uses before it: the needed ones, the distractors, filler.

    Args:
        shape: Subset, mode and sizes.
        operations: Operations of each [B], or of all, as `shape.check` allows.
        split: The split that must own the content.
        indices: Examples, >= 0.
        key: The stream, as in `rng.words`.
        filler: Quantities of filler per problem.
        accept: Which problems will do, seen without filler; it must judge each on its own.

    Returns:
        The graphs, and how many draws were rejected in all.

    Raises:
        ValueError: An unknown split, or what the shape does not allow.
        RuntimeError: Some example found no problem in `ATTEMPTS` draws.
    """
    if split not in SPLITS:
        raise ValueError(nearest(split, SPLITS, kind="split"))
    check_whole("filler", filler, 0)
    counts = np.broadcast_to(np.asarray(operations), indices.shape)
    shape.check(counts)
    counts = counts.astype(np.int32)
    stream, attempts = rng.stream("core", key), rng.stream("attempts", key)
    graphs, pending, attempt, rejected = None, np.arange(len(indices)), 0, 0
    while attempt < ATTEMPTS and (graphs is None or len(pending)):
        together = min(max(_ROWS // max(len(pending), 1), 1), _GROUP, ATTEMPTS - attempt)
        addresses = rng.words(attempts, indices[pending], together, attempt).reshape(-1)
        drawn = _draw(shape, np.repeat(counts[pending], together), stream, addresses)
        right = drawn.valid & rng.in_split(drawn.content, split)
        able = np.flatnonzero(right)
        graphs_drawn = _graphs(shape, drawn, able)
        if accept is not None:
            right[able] = accept(graphs_drawn)
        right = right.reshape(len(pending), together)
        first = np.argmax(right, axis=1)
        successes = right.any(axis=1)
        chosen = np.searchsorted(able, (np.arange(len(pending)) * together + first)[successes])
        if graphs is None:  # rows that are still pending hold anything until they are written
            graphs = _rows(graphs_drawn, len(indices))
        for name in _ARRAYS:
            getattr(graphs, name)[pending[successes]] = getattr(graphs_drawn, name)[chosen]
        rejected += int(np.where(successes, first, together).sum())
        pending = pending[~successes]
        attempt += together
    if graphs is None or len(pending):
        raise RuntimeError(
            f"{len(pending)} of {len(indices)} examples found no {split} problem in {attempt} draws: too few different "
            "problems, or too few that are accepted or stay within max_value"
        )
    return add_filler(shape, graphs, indices, rng.stream("filler", key), filler), rejected


@dataclass(frozen=True, slots=True)
class _Draw:
    """B problems, some of which may not do."""

    core: Core
    unknown: Ints | None  # [B]
    content: NDArray[np.uint64]  # [B]
    determinant: NDArray[np.uint64]  # [B]
    operations: Ints  # [B]
    valid: Flags  # [B] needed values are small enough, and there is an unknown where there should be one
    order: Fields  # [2, Q + 1, B] halves of sorting keys: of each sentence, last of the one that gives a value
    kinds: Ints  # [B, kinds] kinds in random order
    places: Ints  # [B, places] likewise
    shift: Fields  # [places, B] which kind is the first of a place


def _draw(shape: Shape, operations: Ints, stream: np.uint64, addresses: rng.Words) -> _Draw:
    """The problems at `addresses` [B], each of `operations` [B]."""
    names, most = Names.of(shape), shape.most_quantities + 1
    sizes = [8 * most, distractors.slot_keys(shape), distractors.CHOICES, 2, names.places, shape.kinds, shape.places]
    bits, slots, choices, (end, leaf), shift, kinds, places = draw_fields(stream, addresses, sizes)
    bits = bits.reshape(8, most, -1)
    needed = draw_needed(shape, operations, bits[:4], end)
    structure = distractors.structure(shape, names, needed, bits[:4], slots, choices)
    core = evaluate(names, structure, bits[4:6], shape.max_value)
    hashes = core_hashes(core)
    number = np.arange(len(core.role))[:, None]
    valid = np.all(core.value[:-2] <= np.where(number < needed.count, shape.max_value, _LARGEST), axis=0)
    unknown = None
    if shape.reverse:
        unknown = draw_unknown(core, leaf)
        valid &= unknown != NONE
    return _Draw(
        core=core,
        unknown=unknown,
        content=core_content(core, hashes, unknown),
        determinant=core_determinant(core, unknown),
        operations=operations,
        valid=valid,
        order=bits[6:],
        kinds=shuffle(np.broadcast_to(np.arange(shape.kinds), kinds.T.shape), kinds.T),
        places=shuffle(np.broadcast_to(np.arange(shape.places), places.T.shape), places.T),
        shift=shift,
    )


_ARRAYS = [field.name for field in fields(Graphs) if field.name not in ("filler_kind", "filler_place")]


def _rows(like: Graphs, count: int) -> Graphs:
    """Graphs with room for `count` problems, otherwise like some; their arrays hold anything."""
    arrays: dict[str, Any] = {name: getattr(like, name) for name in _ARRAYS}
    room: dict[str, Any] = {name: np.empty((count, *a.shape[1:]), a.dtype) for name, a in arrays.items()}
    return replace(like, **room)


def _graphs(shape: Shape, drawn: _Draw, chosen: NDArray[np.intp]) -> Graphs:
    """The problems `chosen` [b] among those drawn, named and in the order of their sentences."""
    core, structure = drawn.core, drawn.core.structure
    rows, batch = core.role.shape
    width, number = shape.most_quantities, np.arange(shape.most_quantities)

    def by_problem(array: NDArray[np.generic], fill: int) -> NDArray[np.int64]:
        """[Q, B] as [b, most_quantities], padded."""
        padded = np.full((len(chosen), width), fill, np.int64)
        padded[:, :rows] = array[:, chosen].T
        return padded

    role = by_problem(core.role, NONE)
    local, first = by_problem(core.place, 0), drawn.shift.T[chosen].astype(np.int64)
    kind = by_problem(core.kind, 0) + np.take_along_axis(first, local, axis=1)
    kind = np.take_along_axis(drawn.kinds[chosen], kind % shape.kinds, axis=1)
    place = np.take_along_axis(drawn.places[chosen], local, axis=1)
    used = np.where(core.operands[:, :, chosen] < rows * batch, core.operands[:, :, chosen] // batch, NONE)
    operands = np.full((len(chosen), width, 3), NONE, np.int64)
    operands[:, :rows] = used.transpose(2, 1, 0)

    end = structure.needed[chosen].astype(np.int64) - 1
    asked = end if drawn.unknown is None else drawn.unknown[chosen].astype(np.int64)
    end_given = np.full_like(end, NONE) if drawn.unknown is None else end
    sentences = np.where((role >= 0) & (role < TOTAL), number, NONE)
    if drawn.unknown is not None:
        sentences = np.concatenate([sentences, np.full_like(end, VALUE_SENTENCE)[:, None]], axis=1)
    # A total and padding have keys too, so the last sentence, which gives a value, has one of its own.
    order = shuffle(sentences, key_of(drawn.order[:, : sentences.shape[1], chosen].T)).astype(np.int64)
    return Graphs(
        role=role,
        kind=np.where((role >= 0) & (role < TOTAL), kind, NONE),
        place=np.where(role == NONE, NONE, place),
        constant=by_problem(core.constant, 0),
        times=by_problem(core.times, 0).astype(bool),
        difference=by_problem(core.difference, 0).astype(bool),
        operands=operands,
        value=by_problem(core.value[:rows], 0),
        needed=number <= end[:, None],
        order=order[:, : shape.most_stated + shape.reverse],
        asked=asked,
        given=end_given,
        operations=drawn.operations[chosen].astype(np.int64),
        content=drawn.content[chosen],
        determinant=drawn.determinant[chosen],
        filler_kind=shape.kinds,
        filler_place=shape.places,
    )
