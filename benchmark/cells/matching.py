"""Cells made equal in cost, with the match measured: of whole trainings, of one sequence's sleep, or in tokens."""

import math
from collections.abc import Callable

from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost

TOLERANCE = 0.05
"""Largest relative difference that still counts as a match."""

MATCHES = ("train_flops", "sleep_flops", "tokens")


def expense(cell: Cell, by: str) -> int:
    """What is to be equal: FLOPs of the whole training, forward FLOPs of one sequence's sleep, or tokens."""
    sequences = cell.steps * cell.training.batch
    if by == "tokens":
        return sequences * cell.task.seq_len
    return cost(cell).sleep_flops if by == "sleep_flops" else sequences * cost(cell).train_flops


def excess(cell: Cell, sleep: Cell, by: str) -> float:
    """By how much a cell costs more than the sleep model, relative to it."""
    return expense(cell, by) / expense(sleep, by) - 1


def check_match(name: str, cell: Cell, sleep: Cell, by: str = "train_flops") -> None:
    """Refuse a cell that costs more or less than the sleep model by over `TOLERANCE`.

    Raises:
        ValueError: saying by how much.
    """
    if abs(off := excess(cell, sleep, by)) > TOLERANCE:
        raise ValueError(
            f"{name} cannot be matched by {by}: {expense(cell, by):,} against {expense(sleep, by):,} of the sleep "
            f"model is {off:+.1%}, beyond {TOLERANCE:.0%}"
            + (f"; its budget is {cell.steps} whole steps, and more tokens give finer ones" if cell.steps < 20 else "")
        )


def at_budget_of(cell: Cell, sleep: Cell) -> Cell:
    """The cell with the tokens on which its training costs as much as that of the sleep model."""
    steps = max(1, round(sleep.steps * cost(sleep).train_flops / cost(cell).train_flops))
    return cell.with_settings({"tokens": steps * cell.training.batch * cell.task.seq_len})


def sizes_by_nearness(name: str, flops: Callable[[int], int], start: int, target: int) -> list[int]:
    """The neighbours above `start` between whose rising `flops` the target lies, the nearer first; one if it is below.

    Counting a large network takes seconds, so sizes are guessed by the power law through the bracket's ends.
    """
    low, high = start, None
    while high is None or high > low + 1:
        exponent = 1.0 if high is None else math.log(high / low) / math.log(flops(high) / flops(low))
        guess = max(low + 1, int(low * (target / flops(low)) ** exponent))
        guess = guess if high is None else min(guess, high - 1)
        if flops(guess) <= flops(low):
            raise ValueError(
                f"{name}: going from {low} to {guess} leaves the cost at {flops(low):,} FLOPs per sequence, so no size "
                f"reaches the {target:,} of the sleep model"
            )
        low, high = (guess, high) if flops(guess) <= target else (low, guess)
    return sorted((size for size in (low, high) if size > start), key=lambda size: abs(flops(size) - target))
