"""Executors: where the cells of a sweep are trained. `EXECUTORS` is the whole registry: one line per executor."""

from importlib import import_module
from typing import Any

from benchmark.run.executors.base import CHECKPOINTING, Event, Executor, Job
from tasks.base import nearest

EXECUTORS: dict[str, str] = {
    "local": "benchmark.run.executors.local:Local",
    "serial": "benchmark.run.executors.serial:Serial",
    "ray": "benchmark.run.executors.ray:Ray",
}

OPTIONS = {"address": "ray", "gpu_share": "ray"}
"""What one executor alone takes, and which."""

__all__ = ["EXECUTORS", "Event", "Executor", "Job", "executor"]


def executor(
    name: str = "local",
    *,
    device: str = "cpu",
    jobs: int | None = None,
    backend: str = "torch",
    cell_timeout: float | None = None,
    checkpointing: str = "auto",
    **options: Any,
) -> Executor:
    """The executor of that name, ready to run.

    Args:
        name: One of `EXECUTORS`.
        device: See `Executor`.
        jobs: See `Executor`.
        backend: See `Executor`.
        cell_timeout: See `Executor.cell_timeout`.
        checkpointing: See `Executor.checkpointing`.
        options: Those of `OPTIONS`; None is as if left out.

    Raises:
        ValueError: an unknown name, an option of another executor, or what `Executor` refuses.
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
    own = {option: value for option, value in options.items() if value is not None}
    for option in own:
        if OPTIONS[option] != name:
            raise ValueError(f"{option} is for executor {OPTIONS[option]!r}; given executor {name!r}")
    executor: Executor = getattr(import_module(module), kind)(device, jobs, backend, **own)
    executor.cell_timeout, executor.checkpointing = cell_timeout, checkpointing
    return executor
