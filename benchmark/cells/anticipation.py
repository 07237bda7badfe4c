"""Suites of questions that are known before they are asked: how likely that has to be, and how many share a sleep."""

from dataclasses import fields, replace

from benchmark.cells.cell import Cell
from benchmark.cells.grids import Grid
from benchmark.cells.scales import cycle, seeds
from tasks.depo.foretold import ForetoldDepo

BUDGETS = {"tiny": 100_000, "cpu": 10_000_000, "gpu": 80_000_000, "paper": 100_000 * 128 * 360}
"""Tokens: those of the suite `hops`, but for `gpu`, where there are more cells."""


def foretold(scale: str) -> Cell:
    """The Depo setting of a scale whose questions are foretold; where one window holds the cycle it holds them too."""
    base = cycle(scale)
    settings = {f.name: getattr(base.task, f.name) for f in fields(base.task)}
    if scale in ("tiny", "cpu"):
        settings["window_tokens"] += 2 * settings["questions"]
    return replace(base, task=ForetoldDepo(**settings))


def predictability(scale: str) -> Grid:
    """Depo whose questions are told before the last sleep with probability p, x N: does sleep gain by knowing them?"""
    return Grid(
        base=foretold(scale).with_settings({"tokens": BUDGETS[scale]}),
        axes={
            "seed": seeds(scale),
            "predictability": (0.0, 1.0) if scale == "tiny" else (0.0, 0.5, 1.0),
            "sleep_passes": (1, 2) if scale == "tiny" else (1, 2, 4),
        },
    )
