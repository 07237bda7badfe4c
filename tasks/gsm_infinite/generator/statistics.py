"""How hard the structure of a problem is, beyond its number of operations."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.gsm_infinite.graphs import COUNT, NONE, PRODUCT, RATE, TOTAL, Graphs


def statistics(graphs: Graphs) -> dict[str, NDArray[Any]]:
    """What is known of each problem's structure, by name, each [B].

    chain_depth: Quantities of the longest chain from the end quantity to a leaf; a leaf alone is 1.
    binary_operations: Additions, subtractions and multiplications that the needed part takes; a total over m kinds
        takes m - 1, the product total 2 m - 1.
    stated: Core sentences that define a quantity.
    needed: Quantities in the needed part.
    """
    columns = np.flatnonzero(graphs.needed.any(axis=0))
    needed, role, place = (array[:, columns] for array in (graphs.needed, graphs.role, graphs.place))
    operands, constant = graphs.operands[:, columns], graphs.constant[:, columns]
    # All stated quantities that are needed at the place of a needed total are under it, but for rates where it is T.
    under = (role >= TOTAL)[:, :, None] & (place[:, :, None] == place[:, None]) & (needed[:, :, None] & needed[:, None])
    under &= (role == COUNT)[:, None] | ((role == PRODUCT)[:, :, None] & (role == RATE)[:, None])

    row = np.arange(len(role))[:, None]
    depth = np.zeros((len(role), graphs.role.shape[1] + 1), np.int64)  # the last column, always 0, is that of NONE
    for _ in columns:  # more rounds change nothing
        below = depth[row[:, :, None], operands].max(axis=2, initial=0)
        below = np.maximum(below, (under * depth[:, None, columns]).max(axis=2, initial=0))
        depth[:, columns] = (1 + below) * needed
    used = np.sum(operands != NONE, axis=2) + under.sum(axis=2)
    binary = np.where(used > 0, used - 1 + (constant > 0), 0) * needed
    core = (graphs.role == COUNT) | (graphs.role == RATE)
    return {
        "chain_depth": depth.max(axis=1),
        "binary_operations": binary.sum(axis=1),
        "stated": np.sum(core & (graphs.place < graphs.filler_place), axis=1),
        "needed": graphs.needed.sum(axis=1),
    }
