"""The needed part of a problem: built from the end quantity down, with an exact budget of operations.

Quantities stand in a queue; the end quantity is its first. Each is defined in turn, by quantities behind it: some that
are open (in the queue, not yet defined), some that it opens. So everything opened is needed, nothing is circular, and
no draw is rejected: an operation is reserved for each open quantity, what is `left` may be spent, and the last open
quantity must open another one until nothing is left.
"""

from dataclasses import dataclass

import numpy as np

from tasks.gsm_infinite.generator import forms
from tasks.gsm_infinite.generator.fields import Fields, Ints, below
from tasks.gsm_infinite.generator.shape import Shape
from tasks.gsm_infinite.graphs import NONE


@dataclass(frozen=True, slots=True)
class NeededPart:
    """The needed quantities of B problems, in queue order: C rows, a short queue padded at its end."""

    count: Ints  # [B] quantities in the queue
    what: Ints  # [C, B] as in `forms.KINDS`: 0 a count or rate, else a total
    form: Ints  # [C, B] NONE for totals and padding
    operands: Ints  # [3, C, B] positions in the queue, NONE after the last
    totals: Ints  # [B] totals in the queue, each of a place of its own
    pairs: Ints  # [B] (kind, place) pairs under them
    partners: Ints  # [B] those of the pairs whose rate is under no total, the total being T
    operations: Ints  # [B]


class _Queue:
    """What is known of the queues while they are built; see `NeededPart`."""

    def __init__(self, shape: Shape, operations: Ints) -> None:
        rows, batch = int(operations.max(initial=1)), len(operations)
        self.shape = shape
        self.left = operations - 1
        self.count = np.zeros(batch, np.int32)
        self.plain = np.zeros(batch, np.int32)  # counts and rates not under a total
        self.what = np.zeros((rows, batch), np.int32)
        self.totals, self.pairs, self.partners = (np.zeros(batch, np.int32) for _ in range(3))

    def open(self, openings: Ints, bits: Fields, *, end: bool = False) -> None:
        """Append `openings` [B] quantities to the queues, the last of them a total where chance and room allow."""
        self.count += openings
        self.plain += openings
        table = forms.opened_table(self.shape.subset, self.shape.kinds, end, self.shape.published)
        what = table[(self.left << 8) | (bits & 255)] * (openings > 0)
        at = np.flatnonzero(what)
        what = what[at]
        kinds, extra, product = forms.KINDS[what], forms.EXTRA[what], forms.IS_PRODUCT[what]
        places = self.shape.places - self.totals[at] - 1
        free = self.shape.most_pairs - self.pairs[at] - kinds  # pairs not under totals that the text has room for
        partners = self.partners[at] + np.where(product, 0, kinds) * (self.shape.roles - 1)
        room = self.shape.roles * np.minimum(places * self.shape.kinds, free) + partners
        # At worst all operations that are left go into copies, each of a count or rate of its own.
        fits = (places >= 0) & (free >= 0) & (self.plain[at] - 1 + self.left[at] - extra <= room)
        at, what = at[fits], what[fits]
        self.what[self.count[at] - 1, at] = what
        self.count[at] += forms.CHILDREN[what]
        self.left[at] -= extra[fits]
        self.plain[at] -= 1
        self.totals[at] += 1
        self.pairs[at] += kinds[fits]
        self.partners[at] = partners[fits]


def draw_needed(shape: Shape, operations: Ints, bits: Fields, end: Fields) -> NeededPart:
    """The needed parts of problems of `operations` [B], from random `bits` [4, at least that many, B] and `end` [B]."""
    queue = _Queue(shape, operations)
    rows, batch = queue.what.shape
    form = np.full((rows, batch), NONE, np.int32)
    operands = np.full((3, rows, batch), NONE, np.int32)
    table = forms.needed_table(shape.published)
    queue.open(np.ones(batch, np.int32), end, end=True)
    for row in range(rows):
        others = queue.count - (row + 1)
        active = (others >= 0) & (queue.what[row] == 0)
        state = np.minimum(queue.left, forms.MOST_COST) * 3 + np.clip(others, 0, 2)
        choice = np.where(active, table[(state << 8) | (bits[0, row] & 255)], forms.NO_CHOICE)
        form[row] = forms.FORM[choice]
        reuses, openings, used = forms.REUSED[choice], forms.OPENED[choice], forms.OPERANDS[form[row]]
        queue.left -= forms.COST[choice]
        first = below(bits[1, row], others)
        second = below(bits[2, row], others - 1)
        second += second >= first
        new = queue.count - reuses
        for number, old in enumerate((first, second, second)):
            operand = np.where(number < reuses, row + 1 + old, new + number)
            operands[number, row] = np.where(number < used, operand, NONE)
        queue.open(openings, bits[0, row] >> 8)
    # So that the order in a sentence does not tell what was open already.
    for number, used in ((0, 2), (1, 3)):
        swap = (forms.OPERANDS[form] >= used) & (bits[3, :rows] >> number & 1 > 0)
        operands[number : number + 2] = np.where(swap, operands[[number + 1, number]], operands[number : number + 2])
    return NeededPart(queue.count, queue.what, form, operands, queue.totals, queue.pairs, queue.partners, operations)
