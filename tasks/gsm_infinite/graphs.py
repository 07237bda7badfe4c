"""The graph of a problem, for a batch of problems: which quantities are stated, and what each equals.

A quantity is one of four: the count N(kind, place); in the hard subset the rate R(kind, place), the average number of
offspring per individual of that kind and place; and two totals over the kinds that the problem mentions for a place,
T(place) = sum of N(kind, place) and P(place) = sum of N(kind, place) * R(kind, place). Counts and rates are defined by
one sentence each. Totals are implied and never defined; in reverse mode the value of one may be given.

Quantities of a problem are numbered from 0. A number says nothing of the order of sentences, which is `order`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NONE = -1  # no quantity, no kind, no operand; padding
COUNT, RATE, TOTAL, PRODUCT = range(4)  # values of `Graphs.role`
VALUE_SENTENCE = -2  # in `Graphs.order`: the sentence that gives the value of the quantity `Graphs.given`

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Graphs:
    """B problems of at most Q quantities and S sentences; the right-hand side of a sentence has at most M operands.

    The right-hand side of a stated quantity q reads, from inside out: nothing, one operand, the sum of several or the
    difference of two (`difference`, first minus second); then `constant` plus that or, where `times`, times that. One
    that has no operand is the constant alone. In-degree: operands, plus one if there is a constant; of T over m kinds
    m, of P over m kinds 2 m. The number of operations is the sum of in-degrees over `needed`.
    """

    role: Numbers  # [B, Q] COUNT, RATE, TOTAL, PRODUCT or NONE
    kind: Numbers  # [B, Q] kind, from 0; NONE for totals; filler has kinds and places of its own, from
    place: Numbers  # [B, Q] place, from 0     `filler_kind` and `filler_place` on
    constant: Numbers  # [B, Q] k, 1..4 (2..4 where times); 0 where there is none
    times: Flags  # [B, Q] the constant multiplies the rest instead of being added to it
    difference: Flags  # [B, Q] the two operands are subtracted, first minus second, instead of added
    operands: Numbers  # [B, Q, M] numbers of quantities, NONE after the last; all NONE for totals
    value: Numbers  # [B, Q]
    needed: Flags  # [B, Q] the end quantity and all it depends on, the quantities under a total included
    order: Numbers  # [B, S] the quantity whose sentence stands at each position, or GIVEN; NONE after the last
    asked: Numbers  # [B] the quantity the question is about
    given: Numbers  # [B] reverse mode: the end quantity, whose value is given; else NONE
    # In reverse mode `asked` is the unknown: a leaf whose sentence says only that it exists. Its `constant` is the
    # answer and appears nowhere else. The end quantity is `given` in reverse mode, `asked` in forward mode.
    operations: Numbers  # [B] in-degrees over `needed`
    content: NDArray[np.uint64]  # [B] hash of the core problem with names, order and filler removed
    determinant: NDArray[np.uint64]  # [B] hash of what fixes the answer: of these only what is needed
    filler_kind: int
    filler_place: int

    @property
    def answer(self) -> Numbers:
        """The value asked for [B]."""
        return np.take_along_axis(self.value, self.asked[:, None], axis=1)[:, 0]
