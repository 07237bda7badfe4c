"""The compact form of GSM-Infinite: the tokens of a problem's sentences, a vocabulary of 150.

    N k3 p2 3 times sum N k1 p2 R k1 p4 ;    The number of .. equals 3 times the sum of .. and ..
    R k1 p4 2 ;                              The average number of .. equals 2
    N k1 p2 any ;                            The number of .. exists, and its number is greater than 0
    T p2 14 ;                                The total number in .. equals 14

What is said is what the English sentence says: a token for a role, a kind, a place, a number, an operator. A role says
how long its name is, so nothing need stand between a name and what it equals.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.gsm_infinite.graphs import COUNT, NONE, RATE, TOTAL, VALUE_SENTENCE, Graphs, Numbers
from tasks.ragged import ABSENT

KINDS, PLACES = 8, 8  # core names
FILLER_KINDS, FILLER_PLACES = 12, 8
MOST_NUMBER = 99

_ROLES = ("N", "R", "T", "P")
_WORDS = ("_", "<bos>", "Q", "?", "A", ";", "any", "plus", "times", "sum", "minus", *_ROLES)
VOCABULARY = (
    *_WORDS,
    *(f"k{i}" for i in range(KINDS + FILLER_KINDS)),
    *(f"p{i}" for i in range(PLACES + FILLER_PLACES)),
    *(str(i) for i in range(MOST_NUMBER + 1)),
)
"""How each token is drawn."""

ID = {word: token for token, word in enumerate(VOCABULARY)}
PAD = ID["_"]
FIRST_NUMBER = ID["0"]

Slots = NDArray[np.int16]


def names(graphs: Graphs) -> Slots:
    """Tokens [B, Q + 1, 3] of each quantity, ABSENT where a total has no kind; the last row is no quantity."""
    role, kind, place = graphs.role, graphs.kind, graphs.place
    slots = np.stack([ID["N"] + role, ID["k0"] + kind, ID["p0"] + place], axis=-1).astype(np.int16)
    slots[..., 1][kind == NONE] = ABSENT
    slots[role == NONE] = ABSENT
    return np.concatenate([slots, np.full_like(slots[:, :1], ABSENT)], axis=1)


def sentences(graphs: Graphs) -> Slots:
    """Tokens [B, S, slots] of each sentence in order, ABSENT in slots that are not needed."""
    order = graphs.order
    name, row = names(graphs), np.arange(len(order))[:, None]
    given = order == VALUE_SENTENCE
    quantity = np.where(given, graphs.given[:, None], order)  # NONE is the last row, of no quantity

    def of(values: NDArray[np.generic], none: int) -> Numbers:
        """Values [B, Q, ...] of each sentence's quantity."""
        numbers = values[row, quantity].astype(np.int64)
        numbers[order == NONE] = none
        return numbers

    operands, constant = of(graphs.operands, NONE), of(graphs.constant, 0)
    unknown = (quantity == graphs.asked[:, None]) & (graphs.given != NONE)[:, None] & ~given
    # A value that is given stands alone, as a leaf's constant does.
    operands[given | unknown] = NONE
    constant = np.where(given, of(graphs.value, 0), np.where(unknown, 0, constant))
    count = (operands != NONE).sum(axis=-1)
    several = np.where(of(graphs.difference, 0) > 0, ID["minus"], ID["sum"])
    combined = np.where(of(graphs.times, 0) > 0, ID["times"], ID["plus"])
    spoken = order != NONE
    used = name[row[..., None], operands].reshape(*order.shape, 3 * operands.shape[-1])
    slots = np.concatenate(
        [
            name[row, quantity],
            np.stack(
                [
                    np.where(unknown & spoken, ID["any"], np.where(constant > 0, constant + FIRST_NUMBER, ABSENT)),
                    np.where((constant > 0) & (count > 0), combined, ABSENT),
                    np.where(count > 1, several, ABSENT),
                ],
                axis=-1,
            ),
            used,
            np.where(spoken, ID[";"], ABSENT)[..., None],
        ],
        axis=-1,
    )
    return slots.astype(np.int16)


def core_tokens(graphs: Graphs) -> Numbers:
    """How many tokens [B] all `sentences` of problems without filler have, counted without writing them."""
    role, constant = graphs.role, graphs.constant > 0
    used = graphs.operands != NONE
    row = np.arange(len(role))[:, None, None]
    short = used & (role[row, graphs.operands] >= TOTAL)  # a total's name has 2 tokens, any other 3
    count = used.sum(axis=2)
    each = 4 + constant + (constant & (count > 0)) + (count > 1) + 3 * count - short.sum(axis=2)
    tokens: Numbers = (each * ((role == COUNT) | (role == RATE))).sum(axis=1)
    end = np.take_along_axis(role, np.maximum(graphs.given, 0)[:, None], axis=1)[:, 0]
    return tokens + np.where(graphs.given == NONE, 0, np.where(end >= TOTAL, 4, 5))
