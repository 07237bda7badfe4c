"""One cell in a process of its own: `python -m benchmark.run.worker`, spoken to over pipes.

The job comes as one line of JSON on stdin; events go out as lines of JSON on a file descriptor of their own, whose
number is the argument. When stdin closes, because the sweep wants to stop or because it died, the worker writes a
checkpoint and ends: no orphan goes on training.
"""

import fcntl
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from benchmark.cells.facts import cell_facts, failure_row
from benchmark.rows import Status
from benchmark.run.executors.base import Job
from benchmark.run.folder import CellFolder, State
from benchmark.run.trainer import Progress, Trainer

LOCK_WAIT_S = 30.0


def main() -> None:
    """Read the job and do it, until it is done or stdin closes."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)  # no process that a model starts may speak here, or keep the pipe open
    job = Job.from_json(json.loads(sys.stdin.readline()))
    stopping = threading.Event()
    threading.Thread(target=_wait_for_end, args=(sys.stdin, stopping), daemon=True).start()

    def send(**event: Any) -> None:
        try:
            os.write(descriptor, (json.dumps(event) + "\n").encode())
        except BrokenPipeError:  # nobody listens any more
            stopping.set()

    try:
        work(job, send, stopping.is_set)
    finally:
        os.close(descriptor)


def work(job: Job, send: Callable[..., None], stop: Callable[[], bool]) -> None:
    """Train the cell of a job in this process, say how it goes, and write down how it ended.

    Args:
        job: What to train, and where.
        send: Is called with every event.
        stop: Whether to save and end; asked after every step.
    """
    with (job.folder / "lock").open("w") as lock:
        _acquire(lock, job.folder)
        status, reason = _train(job, stop, send)
        if status.final:
            CellFolder(job.folder).finish(status, reason)
    send(event="end", status=status, reason=reason)


def _train(job: Job, stop: Callable[[], bool], send: Callable[..., None]) -> State:
    import torch

    if job.device == "cpu":
        torch.set_num_threads(1)

    def report(progress: Progress) -> None:
        send(event="progress", **asdict(progress))

    try:
        trainer = Trainer(job.cell, job.folder, device=job.device, backend=job.backend, context=job.context)
        status = trainer.run(report=report, stop=stop)
    except Exception as error:
        traceback.print_exc()
        status = Status.OUT_OF_MEMORY if _out_of_memory(error) else Status.CRASHED
        reason = f"{type(error).__name__}: {error}"
        facts = cell_facts(job.cell, device=torch.device(job.device).type, context=job.context)
        CellFolder(job.folder).add(failure_row(facts, status, reason))
        return State(status, reason)
    return State(status, CellFolder(job.folder).rows[-1]["reason"] if status == Status.DIVERGED else None)


def _out_of_memory(error: Exception) -> bool:
    import torch

    said = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in said


def _wait_for_end(stdin: TextIO, stopping: threading.Event) -> None:
    while stdin.read(4096):
        pass
    stopping.set()


def _acquire(lock: TextIO, folder: Path) -> None:
    """Take the cell's lock; a worker of a killed sweep may still be writing its last checkpoint."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(f"{folder} is being trained by another process")
            time.sleep(0.2)


if __name__ == "__main__":
    main()
