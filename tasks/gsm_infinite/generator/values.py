"""The values of all quantities of a batch, lowest numbers first.

Values decide the last details of a form. A difference is taken the way it is positive, and is a sum where its operands
are equal; what would pass the largest value is made smaller where that is possible: a sum of two becomes their
difference, "times" becomes "plus". So no value is below 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.gsm_infinite.generator import forms
from tasks.gsm_infinite.generator.distractors import Names, Structure
from tasks.gsm_infinite.generator.fields import Fields, Ints, below
from tasks.gsm_infinite.graphs import COUNT, NONE, PRODUCT, RATE, TOTAL, Flags, Numbers

Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Totals:
    """The n totals of a batch, by number; T is handled as P over rates that are 1.

    Quantity q of problem b is at place q * B + b of a flat array of Q + 2 rows: two more than the quantities, the first
    for what does not exist (value 0), the second for a rate that is 1.
    """

    first: Places  # [Q + 1] those of quantity q are from first[q] to first[q + 1]
    problem: Places  # [n] b
    counts: Places  # [n, kinds] places in flat arrays
    rates: Places  # [n, kinds]

    @staticmethod
    def of(names: Names, role: Ints, place: Ints, kind: Ints) -> "Totals":
        """The totals of a batch, from role, place and kind [Q, B]."""
        rows, batch = role.shape
        members = np.full((2, names.places, names.kinds, batch), rows, np.intp)
        at, problem = np.nonzero((role == COUNT) | (role == RATE))
        members[role[at, problem], place[at, problem], kind[at, problem], problem] = at
        at, problem = np.nonzero(role >= TOTAL)
        counts, rates = members[:, place[at, problem], :, problem].swapaxes(0, 1) * batch + problem[:, None]
        ones = (rows + 1) * batch + problem[:, None]
        rates = np.where((role[at, problem] == PRODUCT)[:, None], rates, ones)
        return Totals(np.searchsorted(at, np.arange(rows + 1)), problem, counts, rates)

    def at(self, q: int) -> tuple[Places, Places, Places] | None:
        """The totals among the quantities q: problems, counts, rates; None if there are none."""
        part = slice(self.first[q], self.first[q + 1])
        return None if part.start == part.stop else (self.problem[part], self.counts[part], self.rates[part])


@dataclass(frozen=True, slots=True)
class Core:
    """B problems in Q rows, all but the order of sentences and what is asked; numbers as in `Structure`."""

    structure: Structure
    role: Ints  # [Q, B]
    place: Ints
    kind: Ints
    constant: Ints
    times: Flags
    difference: Flags
    operands: Places  # [3, Q, B] places in flat arrays, as in `Totals`
    totals: Totals
    value: Numbers  # [Q + 2, B]


def evaluate(names: Names, structure: Structure, bits: Fields, max_value: int) -> Core:
    """The problems with `structure`; random `bits` [2, >= Q, B] choose constants, plus or times, sum or difference."""
    rows, batch = structure.code.shape
    role, place, kind = names.parts(structure.code)
    used, has_constant = forms.OPERANDS[structure.form], forms.CONSTANT[structure.form]
    times = has_constant & (used > 0) & (bits[1, :rows] & 1 > 0)
    constant = (1 + times + below(bits[0, :rows], 4 - times.astype(np.int32))) * has_constant
    two = used == 2
    difference = two & (bits[1, :rows] & 2 > 0)
    operands = np.where(structure.operands == NONE, rows, structure.operands) * batch + np.arange(batch)
    totals = Totals.of(names, role, place, kind)

    value = np.zeros((rows + 2, batch), np.int64)
    value[rows + 1] = 1
    flat = value.reshape(-1)
    swap = np.zeros_like(two)
    for q in range(rows):
        first, second, third = flat[operands[:, q]]
        inner = first + second + third
        difference[q] = (difference[q] | (two[q] & (inner > max_value))) & (first != second)
        inner = np.where(difference[q], np.abs(first - second), inner)
        np.less(first, second, out=swap[q], where=difference[q])
        if (total := totals.at(q)) is not None:
            problem, counts, rates = total
            inner[problem] = (flat[counts] * flat[rates]).sum(axis=1)
        product = inner * constant[q]
        times[q] &= product <= max_value
        value[q] = np.where(times[q], product, inner + constant[q])
    operands[:2] = np.where(swap, operands[1::-1], operands[:2])
    return Core(structure, role, place, kind, constant, times, difference, operands, totals, value)
