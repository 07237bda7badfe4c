"""One cell in a process of its own: `python -m benchmark.run.worker`, spoken to over pipes.

The job comes as one line of JSON on stdin; events go out as lines of JSON on a file descriptor of their own, whose
number is the argument. At the next line, or when stdin closes because the sweep died, the worker writes a checkpoint
and ends: no orphan goes on training. What it cannot see to itself, its guard does (`executors.guard`).
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
from typing import Any, NamedTuple, TextIO

from benchmark import rows
from benchmark.cells.cost import work_of
from benchmark.cells.facts import cell_facts, failure_row
from benchmark.rows import Status
from benchmark.rows.text import error_line, tail
from benchmark.run import checkpoint, code
from benchmark.run.executors.base import Job
from benchmark.run.folder import CellFolder, State
from benchmark.run.trainer import Progress, Trainer

LOCK_WAIT_S = 30.0
"""Longer than a worker may outlive its sweep."""

MICRO_BATCHES = 8
"""Parts of a batch in the one attempt that follows where memory did not suffice."""

LOG_LIMIT = 100_000
"""Characters of a traceback that go to the log; its end counts."""

BEAT_S = 5.0
"""How often a worker says that it is there."""


def main() -> None:
    """Read the job and do it, until it is done, the sweep says stop or stdin closes."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)  # no program that a model starts may speak here, or keep the pipe open
    parent, stopping = _kept_from_models(sys.stdin), threading.Event()

    def send(**event: Any) -> None:
        try:
            os.write(descriptor, (json.dumps(event) + "\n").encode())
        except OSError:  # nobody listens any more, or the model has closed what it knows nothing of
            stopping.set()

    send(event="alive")  # from now on the sweep's clock runs
    threading.Thread(target=_beat, args=(send, stopping), daemon=True).start()
    line = parent.readline()
    threading.Thread(target=_wait_for_end, args=(parent, stopping), daemon=True).start()
    try:
        job = Job.from_json(json.loads(line))
    except BaseException as error:  # of a plug-in that is imported here; there is no cell to write a row of
        traceback.print_exc()
        send(event="end", status=Status.CRASHED, reason=error_line(error), step=None, unrecorded=True)
        return
    work(job, send, stopping.is_set)


def work(job: Job, send: Callable[..., None], stop: Callable[[], bool], *, in_parts: bool = True) -> None:
    """Train the cell of a job in this process, say how it goes, and write down how it ended.

    Args:
        job: What to train, and where.
        send: Is called with every event.
        stop: Whether to save and end; asked after every step.
        in_parts: Whether to train again with each batch in parts where memory does not suffice.
    """
    with (job.folder / "lock").open("w") as lock:
        if not _acquire(lock):
            # Its rows are the other process's to write.
            send(event="end", status=Status.STOPPED, reason=f"{job.folder} is being trained by another process")
            return
        if text := code.begin(job.cell, job.folder):
            send(event="note", text=text)
        status, reason = _train(job, stop, send, in_parts=in_parts)
        if status.final:
            CellFolder(job.folder).finish(status, reason)
    send(event="end", status=status, reason=reason)


def _train(job: Job, stop: Callable[[], bool], send: Callable[..., None], *, in_parts: bool) -> State:
    """Train the cell; if it does not fit into memory once more, each batch in parts."""
    end = _attempt(job, stop, send, micro_batches=1)
    if end.status != Status.OUT_OF_MEMORY or job.cell.training.batch == 1 or not in_parts:
        return _record(job, end)
    parts = min(MICRO_BATCHES, job.cell.training.batch)
    text = f"out of memory at step {end.step}: trained again with each batch in {parts} parts"
    print(text, file=sys.stderr)
    send(event="note", text=text)
    if (again := _attempt(job, stop, send, micro_batches=parts)).status == Status.OUT_OF_MEMORY:
        again = again._replace(reason=f"{again.reason} (with each batch in {parts} parts too)")
    return _record(job, again)


class _End(NamedTuple):
    status: Status
    reason: str | None
    step: int | None


def _attempt(job: Job, stop: Callable[[], bool], send: Callable[..., None], *, micro_batches: int) -> _End:
    """Train the cell from where it stands; how that ended, whatever the model does in this process."""
    import torch

    if job.device == "cpu":
        torch.set_num_threads(1)

    def report(progress: Progress) -> None:
        send(event="progress", **asdict(progress))

    trainer = None
    try:
        trainer = Trainer(
            job.cell,
            job.folder,
            device=job.device,
            backend=job.backend,
            context=job.context,
            micro_batches=micro_batches,
            checkpointing=job.checkpointing,
        )
        send(event="counted", **work_of(job.cell, trainer.cost))
        status = trainer.run(report=report, stop=stop)
    except checkpoint.UnfitCheckpointError as error:  # whole, so that nobody saw it before the network was there
        aside = rows.set_aside(CellFolder(job.folder).checkpoint)
        send(event="note", text=f"{error}\n  set aside as {aside}")
        return _attempt(job, stop, send, micro_batches=micro_batches)
    except BaseException as error:  # a model may raise what it likes
        print(tail(traceback.format_exc(), LOG_LIMIT), file=sys.stderr, flush=True)
        status = Status.OUT_OF_MEMORY if _out_of_memory(error) else Status.CRASHED
        return _End(status, error_line(error), trainer.step if trainer else None)
    reason = CellFolder(job.folder).rows[-1]["reason"] if status == Status.DIVERGED else None
    return _End(status, reason, trainer.step)


def _record(job: Job, end: _End) -> State:
    """Append the row of a failure; a divergence has written its own."""
    import torch

    if end.status in (Status.CRASHED, Status.OUT_OF_MEMORY):
        facts = cell_facts(job.cell, device=torch.device(job.device).type, context=job.context)
        CellFolder(job.folder).add(failure_row(facts, end.status, str(end.reason), step=end.step))
    return State(end.status, end.reason)


def _out_of_memory(error: BaseException) -> bool:
    import torch

    text = error_line(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text


def _kept_from_models(stdin: TextIO) -> TextIO:
    """A stdin of this module's own, as a model may read or close the one that everybody knows."""
    own = os.fdopen(os.dup(stdin.fileno()), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, stdin.fileno())
    os.close(nothing)
    return own


def _wait_for_end(parent: TextIO, stopping: threading.Event) -> None:
    with parent:
        parent.readline()  # "stop", or the end of the pipe
    stopping.set()


def _beat(send: Callable[..., None], stopping: threading.Event) -> None:
    while not stopping.wait(BEAT_S):
        send(event="alive")


def _acquire(lock: TextIO) -> bool:
    """Take the cell's lock; a worker of a killed sweep may still be writing its last checkpoint."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            with rows.path_in_errors(Path(lock.name)):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)


if __name__ == "__main__":
    main()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)  # whatever threads a model has left, its cell is done
