"""Runs cells in processes of this machine, as many at once as there are slots: cores, or GPUs."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from baselines.addresses import FOLDER
from benchmark.environment import ROOT, cores
from benchmark.run.executors.base import Event, Executor, Job

STOP_WAIT_S = 60.0
"""How long a worker may take to finish its step or test and write its checkpoint."""


class Local(Executor):
    """A process per cell; one thread per core, or one process per GPU."""

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
        stopping, running = threading.Event(), dict[int, subprocess.Popen[str]]()

        def serve(slot: int) -> None:
            try:
                while not stopping.is_set():
                    try:
                        job = waiting.get_nowait()
                    except queue.Empty:
                        return
                    try:
                        for event in _run(job, self.slots[slot], slot, running, stopping):
                            events.put(event)
                    except Exception as error:  # of this cell alone: the slot goes on with the next
                        events.put(Event.lost(job.cell, f"{type(error).__name__}: {error}"))
            finally:
                events.put(None)

        threads = [threading.Thread(target=serve, args=(slot,), daemon=True) for slot in range(len(self.slots))]
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


def _run(
    job: Job,
    environment: dict[str, str],
    slot: int,
    running: dict[int, subprocess.Popen[str]],
    stopping: threading.Event,
) -> Iterator[Event]:
    """Train one cell in a process; what it tells.

    Events come through a pipe of their own. Whatever a model, its libraries or Python's start-up print goes to the
    cell's log, as errors do.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    told, tell = os.pipe()
    with os.fdopen(told, encoding="utf-8") as events:
        try:
            process = _started(job, environment, tell)
        finally:
            os.close(tell)  # the worker's end is its own: when it dies, the pipe ends
        running[slot] = process
        yield Event(cell=job.cell, kind="start", contents={})
        ended = False
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(job.as_json()) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass
        if stopping.is_set():
            _close(process)
        for line in events:
            if not line.endswith("\n"):
                break  # killed while it spoke
            contents = json.loads(line)
            ended |= contents["event"] == "end"
            yield Event(cell=job.cell, kind=contents.pop("event"), contents=contents)
        code = process.wait()
        del running[slot]
        _close(process)
    if not ended:
        reason = f"the worker ended with {_exit_name(code)}; see {job.folder / 'log.txt'}"
        yield Event.lost(job.cell, reason)


def _started(job: Job, environment: dict[str, str], events: int) -> subprocess.Popen[str]:
    """The worker of a job, which tells events through a file descriptor."""
    with (job.folder / "log.txt").open("a", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmark.run.worker", str(events)],
            cwd=ROOT,  # `-m` then finds this checkout, whatever lies in the caller's folder
            env={FOLDER: str(Path.cwd())} | os.environ | _import_path() | environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(events,),
            text=True,
            start_new_session=True,  # Ctrl-C reaches the sweep alone, which lets the worker save
        )


def _import_path() -> dict[str, str]:
    """PYTHONPATH with folders as this process means them: a worker runs elsewhere."""
    if not (given := os.environ.get("PYTHONPATH")):
        return {}
    return {"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in given.split(os.pathsep))}


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
