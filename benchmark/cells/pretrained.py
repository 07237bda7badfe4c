"""The suite of a pretrained decoder that learns to sleep: facts in sentences, and what outlives their window.

Which decoder is said by `--model hf:FOLDER`. In every arm the same inserted layers learn, on the same tokens, and
nothing else does.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from baselines.pretrained.config import Pretrained
from benchmark.cells.cell import Cell
from benchmark.cells.grids import Grid
from benchmark.cells.scales import seeds, training
from tasks.base import nearest
from tasks.colors import Colors

ARMS: dict[str, dict[str, Any]] = {
    "sleep": {},
    "plain": {"sleep_passes": 1},
    "whole-cache": {"sleep_passes": 1, "eviction": "none", "insert_carried": False},
    "nothing-kept": {"sleep_passes": 1, "insert_carried": False},
}
"""Each arm by what it changes of the sleeping one: fast weights at N = 1, all keys and values, nothing."""


def arms(sleep: Cell, *, only: Sequence[str] | None = None) -> dict[str, Cell]:
    """The cells of every arm, by variant.

    Args:
        sleep: The cell that sleeps, of a decoder with inserted layers.
        only: These arms alone, in this order. None: all.

    Raises:
        ValueError: an arm that is unknown.
    """
    for name in only or ():
        if name not in ARMS:
            raise ValueError(nearest(name, ARMS, kind="variant"))
    return {name: replace(sleep.with_settings(ARMS[name]), variant=name) for name in only or ARMS}


def pretrained(scale: str) -> Grid:
    """A pretrained decoder (`--model hf:FOLDER`) learns to sleep: inserted fast weights, its whole cache, or nothing.

    `cpu` suits a decoder of about 135 million parameters and width 576, of which six Jet layers of 9 heads are 8 %;
    `tiny` one of the tests.
    """
    tiny, small = scale == "tiny", scale in ("tiny", "cpu")
    small_layers = {"insert_layers": 2, "insert_heads": 2, "insert_size": 16}
    inserted: dict[str, Any] = small_layers if tiny else {"insert_heads": 9}
    budget: dict[str, Any] = {
        "tokens": {"tiny": 2_000, "cpu": 64_000}.get(scale, 10_000_000),
        "batch": 8 if small else 64,
        "test_examples": 256 if small else 2048,
        "evaluations": 4 if tiny else 10,
    }
    sleep = Cell(
        task=Colors(facts=2 if small else 4),
        model=Pretrained(insert="jet", trained="memory", **inserted),
        training=replace(training(scale, muon_lr=0.01, adam_lr=3e-3), sleep_passes=2, **budget),
    )
    return Grid(base=sleep, axes={"seed": seeds(scale), "sleep_passes": (2,)}, variants=arms)
