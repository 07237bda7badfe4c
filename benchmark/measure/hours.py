"""How long cells take: by steps timed on this machine or, of a GPU that is not here, estimated from a counted step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost, test_flops
from benchmark.measure.step_cost import step_cost
from benchmark.run import estimate
from benchmark.run.executors.base import BACKENDS, DEVICES
from tasks.base import nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """Seconds of cells, and what they rest on."""

    seconds: Callable[[Cell], float]
    """Of training and testing a cell."""
    basis: str
    """In words, to follow a duration."""


def clock(device: str, backend: str = "torch") -> Clock:
    """The seconds of a device, of a GPU with blocks in torch.

    Raises:
        ValueError: an unknown device or backend; `seconds` raises it where the backend cannot run a model.
    """
    if device not in DEVICES:
        raise ValueError(nearest(device, DEVICES, kind="device"))
    if backend not in BACKENDS:
        raise ValueError(nearest(backend, BACKENDS, kind="backend"))
    if device == "cpu":
        return Clock(seconds=lambda cell: estimate.seconds(cell, backend=backend), basis="of one core of this machine")
    if torch.cuda.is_available():
        basis = f"of one {torch.cuda.get_device_name()}, by steps timed on it"
        return Clock(seconds=lambda cell: estimate.seconds(cell, device), basis=basis)
    return Clock(seconds=h100_seconds, basis="of one H100, estimated from counts, not measured")


def h100_seconds(cell: Cell) -> float:
    """Seconds of training and testing on one H100, by `step_cost`; a test takes as long per FLOP as a step."""
    of_step, count = step_cost(cell), cost(cell)
    tests = len(cell.evaluation_steps) * test_flops(cell, count) / (cell.training.batch * count.train_flops)
    return of_step.seconds * (cell.steps + tests)


def of_step(cell: Cell) -> dict[str, Any]:
    """What a step of a cell asks of a GPU: counts and peak memory, and what a card of 80 GB has to do for it."""
    step = step_cost(cell)
    return {
        "step_kernels": step.kernels,
        "step_bytes": step.bytes_moved,
        "peak_bytes": step.peak_bytes(again=False),
        "recomputed_peak_bytes": step.peak_bytes(again=True),
        "recompute": step.again,
        "micro_batches": step.parts,
    }
