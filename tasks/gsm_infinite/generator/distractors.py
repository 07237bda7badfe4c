"""Names for all quantities, and the stated quantities that are not needed.

A problem mentions (kind, place) pairs: those under the needed totals, each total at a place of its own, and some at
other places. Every mentioned pair has its count stated, in the hard subset its rate too. The slots that are under no
total, in random order, are first the needed quantities, then the distractors, each of which may use all that comes
before it. A place with a needed total gets no other pair, so that the total stays what it is.
"""

from dataclasses import dataclass

import numpy as np

from tasks.gsm_infinite.generator import forms
from tasks.gsm_infinite.generator.fields import Fields, Ints, below, shuffle
from tasks.gsm_infinite.generator.needed import NeededPart
from tasks.gsm_infinite.generator.shape import Shape
from tasks.gsm_infinite.graphs import COUNT, NONE, PRODUCT, RATE, TOTAL

CHOICES = 4  # random fields that `structure` takes per example

_PAIRS = {"hard": (5, 9), "medium": (5, 10)}  # fewest and most mentioned pairs, unless the needed ones ask for more
_FEW, _MANY = (2, 8), (5, 13)  # likewise in published medium problems of up to 4 operations, and of more
_PLACES = (2, 5)  # likewise places
_KINDS = 4  # kinds per place, unless there are too few places
_TOTAL = {False: 0.6, True: 0.9}  # how often a total that only distractors use is tried: in published problems True
_TOTAL_AGAIN = 0.1  # how often, in published problems, each distractor after the first uses it


@dataclass(frozen=True, slots=True)
class Names:
    """Codes of quantities: role, place and kind in one number, places and kinds as numbered within a problem."""

    places: int
    kinds: int

    @staticmethod
    def of(shape: Shape) -> "Names":
        """Room for all that a problem can mention."""
        return Names(min(shape.places, shape.most_pairs), min(shape.kinds, shape.most_pairs))

    def code(self, role: Ints | int, place: Ints, kind: Ints | int) -> Ints:
        """The code of a quantity, >= 0; totals have kind 0."""
        return ((role * self.places + place) * self.kinds + kind).astype(np.int32)

    def parts(self, code: Ints) -> tuple[Ints, Ints, Ints]:
        """Role, place and kind; role NONE for code NONE."""
        rest, kind = np.divmod(code, np.int32(self.kinds))
        role, place = np.divmod(rest, np.int32(self.places))
        return role, place, kind


@dataclass(frozen=True, slots=True)
class Structure:
    """What the quantities of B problems are, in Q rows; a quantity uses lower numbers only.

    The needed quantities come first, the end quantity is the last of them.
    """

    needed: Ints  # [B] how many are needed
    count: Ints  # [B] how many there are
    code: Ints  # [Q, B] as in `Names`, NONE for padding
    form: Ints  # [Q, B] as in `forms`, NONE for totals and padding
    operands: Ints  # [3, Q, B] numbers, NONE after the last


def slot_keys(shape: Shape) -> int:
    """How many keys the order of the slots takes: one per free slot and per rate of a needed count."""
    return shape.most_stated + shape.most_operations


def structure(shape: Shape, names: Names, needed: NeededPart, bits: Fields, keys: Fields, choices: Fields) -> Structure:
    """Names and distractors for the needed parts of B problems.

    Args:
        shape: What is asked for.
        names: `Names.of(shape)`.
        needed: The needed parts.
        bits: Random [4, shape.most_quantities, B]; those of the needed quantities have been used.
        keys: Random [slot_keys(shape), B].
        choices: Random [CHOICES, B].
    """
    code, rates = _under_totals(names, needed)
    is_plain = (needed.form != NONE) & (code == NONE)  # a count or rate that is under no total
    rank = np.cumsum(is_plain, axis=0, dtype=np.int32)
    plain = rank[-1]
    slots, places = _free_slots(shape, names, needed, plain, choices)
    if shape.hard:
        keys = np.concatenate([keys[: len(slots)], keys[shape.most_stated :][: len(rates)]])
        slots = np.concatenate([slots, rates])
    if not len(slots):  # no problem of a small batch has a place: one that nobody takes
        slots, keys = np.full((1, slots.shape[1]), NONE, slots.dtype), np.zeros((1, keys.shape[1]), keys.dtype)
    order = shuffle(slots.T, keys[: len(slots)].T).T
    distractors = np.sum(slots != NONE, axis=0, dtype=np.int32) - plain
    code = np.where(is_plain, np.take_along_axis(order, rank - 1, axis=0), code)

    own, before = _own_total(shape, names, order, plain, distractors, places, choices[2:])
    exists = (before < distractors) & ~(code == own).any(axis=0) & (choices[3] >> 1 < _TOTAL[shape.published] * 2**15)
    total = np.where(exists, needed.count + before, np.iinfo(np.int32).max - 1)  # its number, beyond all if none

    count = needed.count + distractors + exists
    number = np.arange(count.max(initial=1), dtype=np.int32)[:, None]
    is_needed = number < needed.count
    position = np.where(is_needed, needed.count - 1 - number, 0)  # in the queue
    slot = np.clip(number - needed.count - (number > total) + plain, 0, len(order) - 1)
    distractor = np.where(number == total, own, np.take_along_axis(order, slot, axis=0))
    code = np.where(is_needed, np.take_along_axis(code, position, axis=0), distractor)
    code[number >= count] = NONE

    choice = forms.distractor_table(shape.subset, shape.published)[
        (np.minimum(number, 3) << 8) | (bits[0, : len(number)] & 255)
    ]
    uses = number == total + 1
    if shape.published:
        uses |= (number > total + 1) & (bits[0, : len(number)] >> 8 < _TOTAL_AGAIN * 2**8)
    choice = np.where(uses, np.maximum(choice, forms.COPY), choice)  # those that use the total
    choice[(number == total) | (number >= count)] = NONE
    form = np.where(is_needed, np.take_along_axis(needed.form, position, axis=0), choice)
    operands = np.stack(_earlier(number, np.where(uses, total, NONE), bits[1:, : len(number)]))
    queued = np.take_along_axis(needed.operands, position[None], axis=1)
    operands = np.where(is_needed, needed.count - 1 - queued, operands)
    operands[np.arange(3)[:, None, None] >= forms.OPERANDS[form]] = NONE
    return Structure(needed.count, count, code, form, operands)


def _under_totals(names: Names, needed: NeededPart) -> tuple[Ints, Ints]:
    """Codes [C, B] of the totals and the quantities under them; of the rates of the counts under T. Else NONE."""
    code, rates = (np.full(needed.what.shape, NONE, np.int32) for _ in range(2))
    at, column = np.nonzero(needed.what)
    what = needed.what[at, column]
    product = forms.IS_PRODUCT[what]
    place = np.cumsum(needed.what > 0, axis=0, dtype=np.int32)[at, column] - 1
    code[at, column] = names.code(np.where(product, PRODUCT, TOTAL), place, 0)

    children = forms.CHILDREN[what]
    total = np.repeat(np.arange(len(what)), children)
    child = np.arange(len(total)) - np.repeat(np.cumsum(children) - children, children)
    rate, kind = np.divmod(child, forms.KINDS[what[total]])
    at, column, place = at[total] + 1 + child, column[total], place[total]
    code[at, column] = names.code(np.where(rate, RATE, COUNT), place, kind)
    rates[at, column] = np.where(product[total], NONE, names.code(RATE, place, kind))
    return code, rates


def _free_slots(shape: Shape, names: Names, needed: NeededPart, plain: Ints, choices: Fields) -> tuple[Ints, Ints]:
    """Slots [., B] of pairs at places without a needed total, NONE after the last; places mentioned in all [B].

    As many pairs as the `plain` [B] needed quantities and the wish for some variety ask for, as far as there is room.
    """
    fewest, most = np.array(_PAIRS[shape.subset])
    if shape.published and not shape.hard:
        fewest, most = np.where(needed.operations <= 4, np.array(_FEW)[:, None], np.array(_MANY)[:, None])
    least = np.maximum(-((needed.partners - plain) // shape.roles), 0)
    places = shape.places - needed.totals
    room = np.minimum(places * shape.kinds, shape.most_pairs - needed.pairs)
    pairs = fewest + below(choices[0], most - fewest + 1) - needed.pairs
    pairs = np.clip(pairs, least, room).astype(np.int32)
    fewest, most = _PLACES
    wish = fewest + below(choices[1], most - fewest + 1) - needed.totals
    least = -(-pairs // min(_KINDS, shape.kinds))
    places = np.maximum(np.minimum(np.maximum(wish, least), np.minimum(places, pairs)), 1)

    slot = np.arange(shape.roles * pairs.max(initial=0), dtype=np.int32)[:, None]
    role, pair = np.divmod(slot, np.maximum(pairs, 1))
    kind, place = np.divmod(pair, places)
    codes = np.where(slot < shape.roles * pairs, names.code(role, needed.totals + place, kind), np.int32(NONE))
    return codes, needed.totals + np.minimum(places, pairs)


def _own_total(
    shape: Shape, names: Names, order: Ints, plain: Ints, distractors: Ints, places: Ints, choices: Fields
) -> tuple[Ints, Ints]:
    """A total for distractors to use: its code [B], and how many distractors [B] must come before it.

    These are the ones under it; quantities at its place that are needed come before it anyway.
    """
    place = below(choices[0], places)
    role = np.where((choices[1] & 1 > 0) & shape.hard, PRODUCT, TOTAL)
    number = np.arange(1, len(order) + 1, dtype=np.int32)[:, None] - plain
    under = (names.parts(order)[1] == place) & (number <= distractors)
    return names.code(role, place, 0), np.max(np.where(under, number, 0), axis=0, initial=0)


def _earlier(number: Ints, total: Ints, bits: Fields) -> tuple[Ints, Ints, Ints]:
    """Three different quantities below each number [Q, B]; the first is the `total` [Q, B] where there is one."""
    first = np.where(total == NONE, below(bits[0], number), total)
    second = below(bits[1], number - 1)
    second += second >= first
    third = below(bits[2], number - 2)
    third += third >= np.minimum(first, second)
    third += third >= np.maximum(first, second)
    return first, second, third
