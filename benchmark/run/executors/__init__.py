"""Executors: where the cells of a sweep are trained. `EXECUTORS` is the whole registry: one line per executor."""

from importlib import import_module

from benchmark.run.executors.base import CHECKPOINTING, Event, Executor, Job
from tasks.base import nearest

EXECUTORS: dict[str, str] = {
    "local": "benchmark.run.executors.local:Local",
    "serial": "benchmark.run.executors.serial:Serial",
}

__all__ = ["EXECUTORS", "Event", "Executor", "Job", "executor"]


def executor(
    name: str = "local",
    *,
    device: str = "cpu",
    jobs: int | None = None,
    backend: str = "torch",
    cell_timeout: float | None = None,
    checkpointing: str = "auto",
) -> Executor:
    """The executor of that name, ready to run.

    Raises:
        ValueError: an unknown name, or what `Executor` refuses.
    """
    if name not in EXECUTORS:
        raise ValueError(nearest(name, EXECUTORS, kind="executor"))
    module, _, kind = EXECUTORS[name].partition(":")
    if cell_timeout is not None and not cell_timeout > 0:
        raise ValueError(f"cell_timeout must be above 0 seconds; given {cell_timeout}")
    if cell_timeout is not None and name == "serial":
        raise ValueError("executor 'serial' cannot end a cell that hangs: it trains in this process")
    if checkpointing not in CHECKPOINTING:
        raise ValueError(nearest(checkpointing, CHECKPOINTING, kind="value of checkpointing"))
    made: Executor = getattr(import_module(module), kind)(device, jobs, backend)
    made.cell_timeout, made.checkpointing = cell_timeout, checkpointing
    return made
