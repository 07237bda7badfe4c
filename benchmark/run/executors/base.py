"""What runs the cells of a sweep: jobs go in, events come out."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmark.cells.cell import Cell
from benchmark.rows import Row, Status
from tasks.base import nearest

DEVICES = ("cpu", "cuda")
BACKENDS = ("torch", "native", "auto")
"""What runs the blocks of a network; auto is native where it can be."""
CHECKPOINTING = ("auto", "never", "always")
"""When activations are computed again in the backward pass; auto is where a step would not fit a GPU otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A cell to train, and where."""

    cell: Cell
    folder: Path
    """The cell's own folder, where its rows and checkpoint lie."""
    device: str
    """One of `DEVICES`."""
    backend: str = "torch"
    """One of `BACKENDS`."""
    checkpointing: str = "auto"
    """One of `CHECKPOINTING`."""
    context: Row
    """Columns of every row that are not the cell's: suite, scale, audit, commit."""

    def as_json(self) -> dict[str, Any]:
        """The job as plain data, for another process."""
        place = str(self.folder.resolve())
        facts = {name: getattr(self, name) for name in ("device", "backend", "checkpointing", "context")}
        return {"cell": self.cell.as_json(), "folder": place, **facts}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The job that `as_json` wrote."""
        cell, folder = Cell.from_json(data["cell"]), Path(data["folder"])
        facts = {name: data[name] for name in ("device", "backend", "checkpointing", "context")}
        return cls(cell=cell, folder=folder, **facts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What is told of a cell.

    Its kind is "start", "counted" (`step_flops`, the FLOPs of a step and a test; `train_flops` of all training),
    "progress" (`trainer.Progress`), "note" (`text`) or "end" (`status` and `reason`).
    """

    cell: Cell
    kind: str
    contents: dict[str, Any]

    @classmethod
    def lost(cls, cell: Cell, reason: str, *, status: Status = Status.CRASHED, step: int | None = None) -> Self:
        """The end of a cell whose worker could not write down why: the sweep does it in its place.

        Args:
            cell: The cell.
            reason: Why, for people.
            status: CRASHED, TIMED_OUT or CANCELLED.
            step: The last step that was heard of.
        """
        contents = {"status": status, "reason": reason, "step": step, "unrecorded": True}
        return cls(cell=cell, kind="end", contents=contents)


class Executor(ABC):
    """Trains the cells of a sweep somewhere. `EXECUTORS` names those that there are."""

    cell_timeout: float | None = None
    """Seconds that a cell may take from its start; None for as long as it makes steps."""

    checkpointing: str = "auto"
    """When activations are computed again instead of being kept, one of `CHECKPOINTING`."""

    stop_wait_s: float = 60.0
    """The longest that a cell may take to save once the sweep is stopped; one that hangs gets less."""

    def __init__(self, device: str = "cpu", jobs: int | None = None, backend: str = "torch") -> None:
        """Prepare to run cells.

        Args:
            device: What they are trained on, one of `DEVICES`.
            jobs: Cells at once; None leaves it to the executor.
            backend: What runs the blocks, one of `BACKENDS`.

        Raises:
            ValueError: an unknown device or backend, fewer than one job, or what is not to be had here.
        """
        if device not in DEVICES:
            raise ValueError(nearest(device, DEVICES, kind="device"))
        if jobs is not None and jobs < 1:
            raise ValueError(f"jobs must be at least 1; given {jobs}")
        if backend not in BACKENDS:
            raise ValueError(nearest(backend, BACKENDS, kind="backend"))
        if backend == "native" and device != "cpu":
            raise ValueError(f"backend 'native' runs on the CPU; given device {device!r}")
        self.device, self.backend = device, backend
        self.cut_off: list[Event] = []
        """After a stop: the ends of cells that did not save in time, which the generator could no longer yield."""

    @abstractmethod
    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """Run the jobs in their order, yielding events as they come.

        A cell has a "start" and, unless the sweep is stopped first, an "end". Closing the generator stops the cells
        that run: each saves at its next step, and all have ended when `close` returns; `cut_off` has those that did
        not save in time. A KeyboardInterrupt meanwhile ends them at once.
        """
