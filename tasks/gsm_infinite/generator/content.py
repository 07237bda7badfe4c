"""The hash of a problem's content: what it computes, without names, numbering, order of sentences and filler.

A Merkle hash: that of a leaf is from its role and constant, that of any other quantity from what it is defined by, in
whatever order where order does not matter. The problem's is from those of all stated core quantities, distractors
included, and of the end quantity and the unknown. So isomorphic problems are always equal.

What fixes the answer is less: the hash of the end quantity, whether counts or rates are added up; in reverse the
unknown is a leaf without a constant, and the value that is given for the end quantity belongs to it. It is not held
out: the same needed part is in problems of all splits, among other distractors.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks import rng
from tasks.gsm_infinite.generator.values import Core
from tasks.gsm_infinite.graphs import COUNT, NONE, PRODUCT, RATE, TOTAL, Flags, Graphs

Hashes = rng.Words

# Odd factors, for sums whose terms must not change places.
_ITSELF, _SECOND, _UNKNOWN = (np.uint64(odd) for odd in (0xD1B54A32D192ED03, 0x9E3779B97F4A7C15, 0x8CB92BA72F3D8DD7))
_ONE = np.uint64(1)  # in place of the rate where a total is T
_ANY = 7  # in place of the constant of an unknown; those of others are 4 at most


def _labels(role: NDArray[np.integer[Any]], constant: NDArray[np.integer[Any]], times: Flags, minus: Flags) -> Hashes:
    """What a quantity is, whatever it is defined by; any shape."""
    return ((((role + 1) * 8 + constant) * 2 + times) * 2 + minus).astype(np.uint64) * _ITSELF


def _product(count: Hashes, rate: Hashes) -> Hashes:
    """What the product of a count and a rate adds to a total."""
    return rng.mix(count + rate * _SECOND)


def _problem(statements: Hashes, end: Hashes, unknown: Hashes | None) -> Hashes:
    """The hash [B] of problems, from the sum over stated quantities, the end quantity, the unknown (None: forward)."""
    total = statements + end * _ITSELF
    return rng.mix(total if unknown is None else rng.mix(total) + unknown * _UNKNOWN)


def core_hashes(core: Core) -> Hashes:
    """The hashes [Q + 2, B] of all quantities."""
    return _hashes(core, _labels(core.role, core.constant, core.times, core.difference), len(core.role))


def core_determinant(core: Core, unknown: NDArray[np.integer[Any]] | None) -> Hashes:
    """The hash [B] of what fixes the answer of each problem, names and numbering removed."""
    column, needed = np.arange(core.role.shape[1]), core.structure.needed
    constant, role = core.constant, np.where(core.role == RATE, COUNT, core.role)
    if unknown is not None:
        constant = constant.copy()
        constant[unknown, column] = _ANY
    rows = int(needed.max(initial=1))
    end = _hashes(core, _labels(role, constant, core.times, core.difference), rows)[needed - 1, column]
    return end if unknown is None else rng.mix(end + core.value[needed - 1, column].astype(np.uint64) * _UNKNOWN)


def _hashes(core: Core, label: Hashes, until: int) -> Hashes:
    """The hashes [Q + 2, B] of the quantities below `until`, from their labels [Q, B]; 0 for the others."""
    rows, batch = core.role.shape
    second = np.where(core.difference, 1 + _SECOND, np.uint64(1))
    hashes = np.zeros((rows + 2, batch), np.uint64)
    hashes[rows + 1] = _ONE
    flat = hashes.reshape(-1)
    for q in range(until):
        operands = flat[core.operands[:, q]]
        total = label[q] + operands[0] + operands[1] * second[q] + operands[2]
        if (of_total := core.totals.at(q)) is not None:
            problem, counts, rates = of_total
            total[problem] += (_product(flat[counts], flat[rates]) * (counts < rows * batch)).sum(axis=1)
        hashes[q] = rng.mix(total)
    return hashes


def core_content(core: Core, hashes: Hashes, unknown: NDArray[np.integer[Any]] | None) -> Hashes:
    """The content [B] of problems, from the hashes of their quantities."""
    column = np.arange(core.role.shape[1])
    statements = np.sum(hashes[:-2] * ((core.role >= 0) & (core.role < TOTAL)), axis=0)
    end = hashes[core.structure.needed - 1, column]
    return _problem(statements, end, None if unknown is None else hashes[unknown, column])


def content(graphs: Graphs) -> Hashes:
    """The content [B] of any graphs, however they are numbered; of drawn ones it is `graphs.content`."""
    core = (graphs.role != NONE) & (graphs.place < graphs.filler_place)
    columns = np.flatnonzero(core.any(axis=0))
    core = core[:, columns]
    role, kind, place = (array[:, columns] for array in (graphs.role, graphs.kind, graphs.place))
    minus, operands = graphs.difference[:, columns], graphs.operands[:, columns]
    label = _labels(role, graphs.constant[:, columns], graphs.times[:, columns], minus)
    same_place = (place[:, :, None] == place[:, None]) & core[:, :, None] & core[:, None]
    under = same_place & (role >= TOTAL)[:, :, None] & (role == COUNT)[:, None]
    partner = same_place & (kind[:, :, None] == kind[:, None]) & (role == COUNT)[:, :, None] & (role == RATE)[:, None]

    row = np.arange(len(core))
    hashes = np.zeros((len(core), graphs.role.shape[1] + 1), np.uint64)  # the last column, always 0, is that of NONE
    for _ in range(len(columns) + 1):  # more rounds than the longest chain has quantities
        own, used = hashes[:, columns], hashes[row[:, None, None], operands]
        total = label + used.sum(axis=2) + used[:, :, 1] * minus * _SECOND
        products = _product(own, (partner * own[:, None]).sum(axis=2))
        counts = _product(own, np.broadcast_to(_ONE, own.shape))
        terms = np.where((role == PRODUCT)[:, :, None], products[:, None], counts[:, None])
        hashes[:, columns] = rng.mix(total + (under * terms).sum(axis=2)) * core
    statements = (hashes[:, columns] * (core & (role < TOTAL))).sum(axis=1)
    reverse = graphs.given != NONE
    end = hashes[row, np.where(reverse, graphs.given, graphs.asked)]
    return np.where(reverse, _problem(statements, end, hashes[row, graphs.asked]), _problem(statements, end, None))
