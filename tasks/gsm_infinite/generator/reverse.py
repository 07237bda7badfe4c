"""The unknown of a reverse problem: a needed leaf that the end quantity determines.

The end quantity must be linear in it, with a coefficient other than 0; it is a polynomial in any leaf, nonlinear only
where a total multiplies a count by a rate that both depend on the leaf.
"""

import numpy as np

from tasks.gsm_infinite.generator import forms
from tasks.gsm_infinite.generator.fields import Fields, Ints, below
from tasks.gsm_infinite.generator.values import Core
from tasks.gsm_infinite.graphs import NONE


def draw_unknown(core: Core, choices: Fields) -> Ints:
    """The number [B] of the unknown, uniform among the leaves that may be it; NONE where none may. `choices` [B]."""
    needed = core.structure.needed
    rows, batch = int(needed.max(initial=1)), len(needed)
    depends = np.zeros((len(core.value), batch), np.int32)  # on which needed quantities, one bit for each
    nonlinear = np.zeros(batch, np.int32)
    flat = depends.reshape(-1)
    for q in range(rows):
        depends[q] = np.bitwise_or.reduce(flat[core.operands[:, q]]) | 1 << q
        if (total := core.totals.at(q)) is not None:
            problem, counts, rates = total
            depends[q, problem] |= np.bitwise_or.reduce(flat[counts] | flat[rates], axis=1)
            both = np.bitwise_or.reduce(flat[counts] & flat[rates], axis=1)
            nonlinear[problem] |= np.where(q < needed[problem], both, 0)

    # The coefficient of the end quantity in every quantity, from the end quantity down.
    slope = np.zeros_like(core.value)
    slope[needed - 1, np.arange(batch)] = 1
    slopes, values = slope.reshape(-1), core.value.reshape(-1)
    for q in range(rows - 1, -1, -1):
        own = np.where(core.times[q], core.constant[q], 1) * slope[q]
        for operand, sign in zip(core.operands[:, q], (1, np.where(core.difference[q], -1, 1), 1), strict=True):
            slopes[operand] += own * sign
        if (total := core.totals.at(q)) is not None:
            problem, counts, rates = total
            slopes[counts] += own[problem, None] * values[rates]
            slopes[rates] += own[problem, None] * values[counts]

    number = np.arange(rows, dtype=np.int32)[:, None]
    may = (core.structure.form[:rows] == forms.LEAF) & (number < needed) & (slope[:rows] != 0)
    may &= nonlinear >> number & 1 == 0
    rank = np.cumsum(may, axis=0, dtype=np.int32)
    chosen = np.argmax(rank == below(choices, rank[-1]) + 1, axis=0)
    return np.where(rank[-1] > 0, chosen, NONE).astype(np.int32)
