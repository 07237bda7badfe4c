"""Runs cells one after the other in this process: for notebooks, debuggers, models that no other process can load."""

import queue
import threading
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import torch

from benchmark.cells.cell import Cell
from benchmark.rows.text import error_line
from benchmark.run import worker
from benchmark.run.executors.base import Event, Executor, Job

TICK_S = 0.2


class Serial(Executor):
    """One cell at a time, on a thread of this process, so that Ctrl-C finds the main thread waiting."""

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`."""
        events, stopping = queue.SimpleQueue[Event | None](), threading.Event()

        def serve() -> None:
            for job in jobs:
                if stopping.is_set():
                    break
                events.put(Event(cell=job.cell, kind="start", contents={}))
                try:
                    worker.work(job, partial(tell, job.cell), stopping.is_set)
                except BaseException as error:  # the cell's alone, a SystemExit of its model too
                    events.put(Event.lost(job.cell, error_line(error)))
            events.put(None)

        def tell(cell: Cell, *, event: str, **contents: Any) -> None:
            events.put(Event(cell=cell, kind=event, contents=contents))

        threads = torch.get_num_threads()  # a cell takes one
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            while True:
                try:
                    event = events.get(timeout=TICK_S)  # as in `Local.run`
                except queue.Empty:
                    continue
                if event is None:
                    return
                yield event
        finally:
            stopping.set()
            thread.join(self.stop_wait_s)  # one that hangs cannot be ended here; it saves and ends should it go on
            torch.set_num_threads(threads)
