"""Runs cells in local processes, as many at once as there are slots (cores, or GPUs)."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baselines.given import FOLDER
from benchmark.cells.cell import Cell
from benchmark.environment import ROOT
from tasks.base import nearest

STOP_WAIT_S = 60.0
"""How long a worker may take to finish its step or test and write its checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What a worker said about a cell: "start", "progress" or "end", with its contents."""

    cell: Cell
    kind: str
    contents: dict[str, Any]


def slots(device: str, jobs: int | None) -> list[dict[str, str]]:
    """The environment of each process that may run at once: one thread per core, or one process per GPU.

    Raises:
        ValueError: an unknown device, CUDA asked for and absent, or fewer than one job.
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(nearest(device, ("cpu", "cuda"), kind="device"))
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1; given {jobs}")
    if device == "cpu":
        threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        return [threads] * (jobs or _cores())
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise ValueError("device 'cuda' was asked for, but torch sees no CUDA device here; allowed now: cpu")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(i) for i in range(count)]
    return [{"CUDA_VISIBLE_DEVICES": names[i % count]} for i in range(jobs or count)]


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_local(
    cells: Sequence[Cell], folders: Sequence[Path], environments: Sequence[dict[str, str]], job: dict[str, Any]
) -> Generator[Event, None, None]:
    """Run the cells, yielding events as they come; closing the iterator stops the workers at their next step.

    Args:
        cells: What to run, in this order.
        folders: The folder of each cell.
        environments: One per process that may run at once (`slots`).
        job: Device and context, handed to every worker.
    """
    waiting = queue.SimpleQueue[tuple[Cell, Path]]()
    for pair in zip(cells, folders, strict=True):
        waiting.put(pair)
    events = queue.SimpleQueue[Event | None]()
    stopping, running = threading.Event(), dict[int, subprocess.Popen[str]]()

    def serve(slot: int) -> None:
        try:
            while not stopping.is_set():
                try:
                    cell, folder = waiting.get_nowait()
                except queue.Empty:
                    return
                for event in _run_cell(cell, folder, environments[slot], job, slot, running, stopping):
                    events.put(event)
        finally:
            events.put(None)

    threads = [threading.Thread(target=serve, args=(slot,), daemon=True) for slot in range(len(environments))]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            while (event := events.get()) is not None:
                yield event
    finally:
        stopping.set()
        for process in list(running.values()):
            _close(process)
        for thread in threads:
            thread.join(STOP_WAIT_S)
        for process in list(running.values()):
            process.kill()


def _run_cell(
    cell: Cell,
    folder: Path,
    environment: dict[str, str],
    job: dict[str, Any],
    slot: int,
    running: dict[int, subprocess.Popen[str]],
    stopping: threading.Event,
) -> Iterator[Event]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmark.run.worker"],
            cwd=ROOT,  # `-m` then finds this checkout, whatever lies in the caller's folder
            env={FOLDER: str(Path.cwd())} | os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the sweep alone, which lets the worker save
        )
        running[slot] = process
        assert process.stdin is not None and process.stdout is not None
        yield Event(cell=cell, kind="start", contents={})
        ended = False
        try:
            process.stdin.write(json.dumps({"cell": cell.as_json(), "folder": str(folder.resolve()), **job}) + "\n")
            process.stdin.flush()
            if stopping.is_set():
                _close(process)
            for line in process.stdout:
                if not line.endswith("\n"):
                    break  # killed while it spoke
                contents = json.loads(line)
                ended |= contents["event"] == "end"
                yield Event(cell=cell, kind=contents.pop("event"), contents=contents)
        except BrokenPipeError:
            pass
        code = process.wait()
        del running[slot]
        process.stdout.close()
        _close(process)
    if not ended:
        reason = f"the worker ended with {_exit_name(code)}; see {folder / 'log.txt'}"
        yield Event(cell=cell, kind="end", contents={"status": "crashed", "reason": reason, "unrecorded": True})


def _close(process: subprocess.Popen[str]) -> None:
    """Close a worker's stdin: the sign to save and end."""
    try:
        if process.stdin is not None:
            process.stdin.close()
    except BrokenPipeError:
        pass


def _exit_name(code: int) -> str:
    if code < 0:
        return f"signal {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
    return f"exit code {code}"
