"""Executors: where the cells of a sweep are trained. `EXECUTORS` is the whole registry: one line per executor."""

from importlib import import_module

from benchmark.run.executors.base import Event, Executor, Job
from tasks.base import nearest

EXECUTORS: dict[str, str] = {
    "local": "benchmark.run.executors.local:Local",
    "serial": "benchmark.run.executors.serial:Serial",
}

__all__ = ["EXECUTORS", "Event", "Executor", "Job", "executor"]


def executor(name: str = "local", *, device: str = "cpu", jobs: int | None = None, backend: str = "torch") -> Executor:
    """The executor of that name, ready to run.

    Raises:
        ValueError: an unknown name, or what `Executor` refuses.
    """
    if name not in EXECUTORS:
        raise ValueError(nearest(name, EXECUTORS, kind="executor"))
    module, _, kind = EXECUTORS[name].partition(":")
    made: Executor = getattr(import_module(module), kind)(device, jobs, backend)
    return made
