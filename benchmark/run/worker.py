"""One cell in a process of its own: `python -m benchmark.run.worker`, spoken to over pipes.

The job comes as one line of JSON on stdin; events go out as lines of JSON on stdout. When stdin closes, because the
sweep wants to stop or because it died, the worker writes a checkpoint and ends: no orphan goes on training.
"""

import fcntl
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.facts import cell_facts, failure_row
from benchmark.run.trainer import Progress, Trainer

LOCK_WAIT_S = 30.0


def main() -> None:
    """Read the job and do it, until it is done or stdin closes."""
    events = sys.stdout
    sys.stdout = sys.stderr  # whatever a model prints must not mix with the events
    job = json.loads(sys.stdin.readline())
    stopping = threading.Event()
    threading.Thread(target=_wait_for_end, args=(sys.stdin, stopping), daemon=True).start()

    def send(**event: Any) -> None:
        try:
            print(json.dumps(event), file=events, flush=True)
        except BrokenPipeError:  # nobody listens any more
            stopping.set()

    work(job, send, stopping.is_set)


def work(job: dict[str, Any], send: Callable[..., None], stop: Callable[[], bool]) -> None:
    """Train the cell of a job in this process, say how it goes, and write down how it ended.

    Args:
        job: `cell` (as JSON), `folder`, `device` and `context`.
        send: Is called with every event.
        stop: Whether to save and end; asked after every step.
    """
    folder = Path(job["folder"])
    with (folder / "lock").open("w") as lock:
        _acquire(lock, folder)
        status, reason = _train(Cell.from_json(job["cell"]), folder, job, stop, send)
        if status in ("ok", "diverged"):  # ends that a second run would only repeat
            rows.write_atomically(folder / "finished.json", json.dumps({"status": status, "reason": reason}).encode())
    send(event="end", status=status, reason=reason)


def _train(
    cell: Cell, folder: Path, job: dict[str, Any], stop: Callable[[], bool], send: Callable[..., None]
) -> tuple[str, str | None]:
    import torch

    if job["device"] == "cpu":
        torch.set_num_threads(1)

    def report(progress: Progress) -> None:
        send(event="progress", **asdict(progress))

    try:
        trainer = Trainer(cell, folder, device=job["device"], context=job["context"])
        status = trainer.run(report=report, stop=stop)
    except Exception as error:
        traceback.print_exc()
        status = "out_of_memory" if _out_of_memory(error) else "crashed"
        reason = f"{type(error).__name__}: {error}"
        facts = cell_facts(cell, device=torch.device(job["device"]).type, context=job["context"])
        rows.append(folder / "rows.jsonl", [failure_row(facts, status, reason, step=None, wall_s=None)])
        return status, reason
    return status, rows.read(trainer.rows_path)[-1]["reason"] if status == "diverged" else None


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
