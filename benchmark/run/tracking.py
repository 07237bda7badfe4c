"""Live curves of a sweep in a tracker, trackio or Weights & Biases, through what both of their Python interfaces share.

Nothing waits for the tracker: a thread of its own makes every call to it, from a queue that drops what no longer fits.
It is told what the board is told, after the rows were written, so that no number depends on it.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmark.cells.cell import Cell
from benchmark.cells.words import distinctions, label
from benchmark.rows import Status
from benchmark.rows.text import error_line
from benchmark.run.executors import Event
from tasks.base import nearest

TRACKERS: dict[str, dict[str, Any]] = {
    "trackio": {"resume": "allow", "embed": False},
    "wandb": {"resume": "allow", "reinit": "create_new"},
}
"""The modules, and what their `init` takes beside project, group, name and config; cells at once are runs at once."""

QUEUE_LIMIT = 1000
"""Events that may wait for the tracker."""

LAST_WAIT_S = 5.0
"""How long the end of a sweep waits for the tracker to take the last of them."""

SCORES = ("exact_match", "loss", "train_loss", "lift")
"""The columns of rows that are sent."""


class Tracker:
    """Sends what cells tell to a tracker.

    Args:
        name: One of `TRACKERS`.

    Raises:
        ValueError: an unknown name, or a module that is not installed. It is imported only when a sweep begins.
    """

    def __init__(self, name: str) -> None:
        if name not in TRACKERS:
            raise ValueError(nearest(name, TRACKERS, kind="tracker"))
        if find_spec(name) is None:
            raise ValueError(f"tracker {name!r} is not installed: pip install {name}")
        self.name = name

    @contextmanager
    def follow(
        self, cells: Sequence[Cell], group: str, note: Callable[[str], None]
    ) -> Iterator[Callable[[Event], None]]:
        """Follow a sweep while it runs.

        Args:
            cells: Its cells.
            group: What the runs of these cells are put together under.
            note: Is told in a line, at most once each, that the tracker fails, lags behind or does not end.

        Yields:
            What is to be told every event. It returns at once and raises nothing.
        """
        waiting, ending = queue.Queue[Event](QUEUE_LIMIT), threading.Event()
        runs, subjects = _Runs(self.name, cells, group), set[str]()

        def once(about: str, text: str) -> None:
            if about not in subjects:
                subjects.add(about)
                note(f"{self.name}: {text}; rows and the sweep go on without it")

        def attempt(call: Callable[..., None], *arguments: Any) -> None:
            try:
                call(*arguments)
            except BaseException as error:  # whatever a library of others raises, on a thread of its own
                once("error", error_line(error))

        def serve() -> None:
            while not (ending.is_set() and waiting.empty()):
                try:
                    event = waiting.get(timeout=0.2)
                except queue.Empty:
                    continue
                attempt(runs.take, event)
            attempt(runs.finish)

        def tell(event: Event) -> None:
            try:
                waiting.put_nowait(event)
            except queue.Full:
                once("lag", f"{QUEUE_LIMIT} events wait for it, and what does not fit is dropped")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield tell
        finally:
            ending.set()
            thread.join(LAST_WAIT_S)
            if thread.is_alive():
                once("end", f"it has not taken everything within {LAST_WAIT_S:.0f} s")


class _Runs:
    """The runs of a tracker, one per cell that has begun and not ended."""

    def __init__(self, name: str, cells: Sequence[Cell], group: str) -> None:
        self.name, self.others, self.group = name, distinctions(cells), group
        self.open: dict[str, Any] = {}

    def take(self, event: Event) -> None:
        """Pass an event on."""
        cell = event.cell
        if event.kind == "start":
            names = {"project": "sleepbench", "group": self.group, "name": f"{label(cell, self.others)}, {cell.id}"}
            config = {"cell_id": cell.id, "task": cell.task.name, "model": cell.model.name, "seed": cell.seed}
            init = import_module(self.name).init
            # A context of its own: trackio ends the run that it last began in the same one.
            run = Context().run(init, **names, config=config | cell.axes, **TRACKERS[self.name])
            self.open[cell.id] = run
        elif event.kind == "progress" and cell.id in self.open:
            self.open[cell.id].log(_numbers(cell, event.contents), step=event.contents["step"])
        elif event.kind == "end" and cell.id in self.open:
            self.open.pop(cell.id).finish()

    def finish(self) -> None:
        """End the runs of cells that were cut off."""
        while self.open:
            self.open.popitem()[1].finish()


def _numbers(cell: Cell, contents: dict[str, Any]) -> dict[str, float]:
    """What a cell told, by name: speed, and the scores of all answers together if it was tested."""
    numbers = {"tokens_per_s": contents["tokens_per_s"]}
    for row in contents["new_rows"]:
        if row["status"] == Status.OK and row["answer"] is None:
            passes = f", N {row['tested_passes']}" if cell.training.test_passes else ""
            place = f" at {row['difficulty']}{passes}" if len(cell.levels) > 1 or passes else ""
            numbers |= {f"{name}{place}": row[name] for name in SCORES if row.get(name) is not None}
    return numbers
