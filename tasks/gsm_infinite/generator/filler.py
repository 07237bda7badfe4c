"""Filler: quantities of other kinds and places that use those of the core, and that nothing uses.

Each copies a core quantity, or is the sum or the difference of two; none holds a number. So filler makes a problem
longer and leaves it as it is. Filler quantity j of an example is the same however many there are.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.gsm_infinite.generator.fields import below, key_of, row_fields, shuffle
from tasks.gsm_infinite.generator.shape import Shape
from tasks.gsm_infinite.graphs import COUNT, NONE, RATE, TOTAL, Graphs

_COPIES, _SUMS = {False: 0.4, True: 0.48}, {False: 0.3, True: 0.26}  # shares; the rest are differences
_TOTALS = 0.08  # of published hard problems with totals: share whose first operand is one, beside those by chance
_FIELDS = 8  # random fields per quantity


def add_filler(shape: Shape, graphs: Graphs, indices: NDArray[np.int64], key: np.uint64, filler: int) -> Graphs:
    """The problems `indices` [B] with `filler` quantities more, from the stream `key`.

    Filler place after filler place holds every filler kind once, in random order: its count or, in the hard subset, its
    rate.
    """
    if not filler:
        return graphs
    batch, sentences = graphs.order.shape
    places = -(-filler // shape.filler_kinds)
    whole = places * shape.filler_kinds
    fields = row_fields(key, indices, 2 * sentences + _FIELDS * whole)
    own, fields = fields[:, : 2 * sentences], fields[:, 2 * sentences :].reshape(batch, whole, _FIELDS)
    keys = fields[:, :, 0].reshape(batch * places, shape.filler_kinds)
    kinds = shuffle(np.broadcast_to(np.arange(shape.filler_kinds), keys.shape), keys).reshape(batch, whole)
    kinds, fields = kinds[:, :filler], fields[:, :filler]

    count = (graphs.role != NONE).sum(axis=1, keepdims=True, dtype=np.int32)
    one, other = below(fields[:, :, 1], count), below(fields[:, :, 2], count - 1)
    if shape.published and shape.hard:
        is_total = graphs.role >= TOTAL
        totals, many = np.argsort(~is_total, axis=1, kind="stable"), is_total.sum(axis=1, keepdims=True, dtype=np.int32)
        total = np.take_along_axis(totals, below(fields[:, :, 4], many), axis=1)
        one = np.where((fields[:, :, 7] < _TOTALS * 2**16) & (many > 0), total, one)
    other += other >= one
    form = fields[:, :, 3]
    copies, sums = _COPIES[shape.published], _SUMS[shape.published]
    copy, difference = form < copies * 2**16, form >= (copies + sums) * 2**16
    values = [np.take_along_axis(graphs.value, source, axis=1) for source in (one, other)]
    swap = difference & (values[0] < values[1])
    first, second = np.where(swap, other, one), np.where(copy, NONE, np.where(swap, one, other))
    value = np.where(difference, np.abs(values[0] - values[1]), values[0] + np.where(copy, 0, values[1]))

    row, number = np.arange(batch)[:, None], count + np.arange(filler)
    new = {
        "role": np.where(fields[:, :, 4] & 1 > 0, RATE, COUNT) if shape.hard else np.full_like(number, COUNT),
        "kind": shape.kinds + kinds,
        "place": np.broadcast_to(shape.places + np.arange(filler) // shape.filler_kinds, number.shape),
        "difference": difference,
        "operands": np.stack([first, second, np.full_like(first, NONE)], axis=2),
        "value": value,
    }
    wider: dict[str, Any] = {}
    for name in ("role", "kind", "place", "constant", "times", "difference", "operands", "value", "needed"):
        core = getattr(graphs, name)
        padding = NONE if name in ("role", "kind", "place", "operands") else 0
        wider[name] = np.full((batch, core.shape[1] + filler, *core.shape[2:]), padding, core.dtype)
        wider[name][:, : core.shape[1]] = core
        if name in new:
            wider[name][row, number] = new[name]

    # Sorted, the keys leave the core's sentences in their order; each is as likely to stand anywhere as filler is.
    core_keys = key_of(own.reshape(batch, sentences, 2))
    core_keys[graphs.order == NONE] = np.iinfo(np.uint32).max
    all_keys = np.concatenate([np.sort(core_keys, axis=1), key_of(fields[:, :, 5:7])], axis=1)
    order = shuffle(np.concatenate([graphs.order, number], axis=1), all_keys).astype(np.int64)
    return replace(graphs, **wider, order=order)
