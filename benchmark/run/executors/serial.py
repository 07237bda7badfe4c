"""Runs cells one after the other in this process: for notebooks, debuggers, models that no other process can load."""

import queue
import threading
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import torch

from benchmark.cells.cell import Cell
from benchmark.run import worker
from benchmark.run.executors.base import Event, Executor, Job


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
                    events.put(Event.lost(job.cell, f"{type(error).__name__}: {error}"))
            events.put(None)

        def tell(cell: Cell, *, event: str, **contents: Any) -> None:
            events.put(Event(cell=cell, kind=event, contents=contents))

        threads = torch.get_num_threads()  # a cell takes one
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            while (event := events.get()) is not None:
                yield event
        finally:
            stopping.set()
            thread.join()
            torch.set_num_threads(threads)
