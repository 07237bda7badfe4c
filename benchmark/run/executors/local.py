"""Runs cells in processes of this machine, as many at once as there are slots: cores, or GPUs."""

import math
import os
import queue
import threading
import time
from collections.abc import Generator, Iterator, Sequence

from benchmark.environment import cores
from benchmark.rows import Status
from benchmark.rows.text import error_line
from benchmark.run.executors.base import Event, Executor, Job
from benchmark.run.executors.patience import LEAST_S, Patience
from benchmark.run.executors.process import EXIT_WAIT_S, Process, exit_name

TICK_S = 0.2
"""How often a slot looks whether its cell is overdue, or is to stop."""


class Local(Executor):
    """A process per cell; one thread per core, or one process per GPU."""

    least_patience_s = LEAST_S
    """A cell without a step for less than that never counts as hanging."""

    def __init__(self, device: str = "cpu", jobs: int | None = None, backend: str = "torch") -> None:
        """See `Executor`; by default as many cells at once as there are cores, or GPUs.

        Raises:
            ValueError: as `Executor`; or CUDA is asked for and absent.
        """
        super().__init__(device, jobs, backend)
        self.slots = slots(device, jobs)

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`."""
        waiting = queue.SimpleQueue[Job]()
        for job in jobs:
            waiting.put(job)
        events = queue.SimpleQueue[Event | None]()
        stopping, hurrying = threading.Event(), threading.Event()

        def serve(slot: int) -> None:
            try:
                while not stopping.is_set():
                    try:
                        job = waiting.get_nowait()
                    except queue.Empty:
                        return
                    try:
                        for event in self._run(job, self.slots[slot], stopping, hurrying):
                            events.put(event)
                    except Exception as error:  # of this cell alone: the slot goes on with the next
                        events.put(Event.lost(job.cell, error_line(error)))
            finally:
                events.put(None)

        serving = 0

        def news() -> Iterator[Event]:
            """What the slots say until all of them have ended."""
            nonlocal serving
            while serving:
                try:
                    event = events.get(timeout=TICK_S)  # polars has the system resume a wait that a signal interrupts
                except queue.Empty:
                    continue
                if event is None:
                    serving -= 1
                else:
                    yield event

        try:
            for slot in range(len(self.slots)):
                threading.Thread(target=serve, args=(slot,), daemon=True).start()
                serving += 1
            yield from news()
        finally:
            stopping.set()
            self.cut_off = []
            try:
                self.cut_off += (event for event in news() if event.contents.get("unrecorded"))
            except KeyboardInterrupt:  # a second one: at once
                hurrying.set()
                self.cut_off += (event for event in news() if event.contents.get("unrecorded"))
                raise

    def _run(
        self, job: Job, environment: dict[str, str], stopping: threading.Event, hurrying: threading.Event
    ) -> Iterator[Event]:
        """Train one cell in a process; what it tells. Whatever it does, nothing of it is left afterwards."""
        job.folder.mkdir(exist_ok=True)  # not its parents: a folder that was renamed meanwhile is not made anew
        process = Process(job, environment)
        patience = Patience(cell_timeout=self.cell_timeout, least_s=self.least_patience_s)
        has_end, cut_off, stop_by, late = False, False, math.inf, None
        try:
            yield Event(cell=job.cell, kind="start", contents={})
            while not (has_end or process.over or late or cut_off):
                is_gone = process.is_gone  # asked first: what it said before is still in the pipe
                for event in process.hear(0.0 if is_gone else TICK_S):
                    patience.hear(event)
                    has_end |= event["event"] == "end"
                    if (kind := event.pop("event")) != "alive":
                        yield Event(cell=job.cell, kind=kind, contents=event)
                if is_gone:
                    break
                if stopping.is_set() and stop_by == math.inf:
                    process.ask_to_stop()
                    stop_by = time.monotonic() + patience.stop_s(self.stop_wait_s)
                cut_off = hurrying.is_set() or time.monotonic() > stop_by
                late = patience.overdue
        finally:
            code = process.end(EXIT_WAIT_S if has_end or process.over else 0.0)
        if has_end:
            return
        status = Status.CANCELLED if cut_off else Status.TIMED_OUT if late else Status.CRASHED
        reason = "the sweep was stopped, and it did not save in time" if cut_off else late
        reason = f"{reason or f'the worker ended with {exit_name(code)}'}; see {process.log}"
        yield Event.lost(job.cell, reason, status=status, step=patience.step)


def slots(device: str, jobs: int | None) -> list[dict[str, str]]:
    """The environment of each process that may run at once.

    Raises:
        ValueError: CUDA is asked for and absent.
    """
    if device == "cpu":
        threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        return [threads] * (jobs or cores())
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise ValueError("device 'cuda' was asked for, but torch sees no CUDA device here; allowed now: cpu")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(i) for i in range(count)]
    return [{"CUDA_VISIBLE_DEVICES": names[i % count]} for i in range(jobs or count)]
