"""A worker as the sweep sees it: a process that is told a job, says events, and is asked or made to end."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from baselines.addresses import FOLDER
from benchmark.environment import ROOT
from benchmark.run.executors import guard
from benchmark.run.executors.base import Job

ORPHAN_WAIT_S = 20.0
"""How long a worker may go on once its sweep has died: enough to finish a step and write its checkpoint."""

WORKER = ("-m", "benchmark.run.worker")
"""What Python is to run; the number of the pipe for events follows."""

EXIT_WAIT_S = 5.0
"""How long a worker whose cell has ended may take to be gone."""


class Process:
    """One worker, behind its guard, from its start until nothing of it is left."""

    def __init__(self, job: Job, environment: dict[str, str]) -> None:
        """Start it.

        Events come through a pipe of their own. Whatever a model, its libraries or Python's start-up print goes to the
        cell's log, as errors do.
        """
        self.job, self.log, self.text = job, job.folder / "log.txt", b""
        self.pipe, tell = os.pipe()
        os.set_blocking(self.pipe, False)
        worker = [sys.executable, *WORKER, str(tell)]
        command = [sys.executable, "-I", "-S", str(guard.__file__), str(ORPHAN_WAIT_S), str(tell), *worker]
        try:
            with self.log.open("a", encoding="utf-8") as log:
                self.guard = subprocess.Popen(
                    command,
                    cwd=ROOT,  # `-m` then finds this checkout, whatever lies in the caller's folder
                    env={FOLDER: str(Path.cwd())} | os.environ | import_path() | environment,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=(tell,),
                    start_new_session=True,  # Ctrl-C reaches the sweep alone, which lets the worker save
                )
        except BaseException:
            os.close(self.pipe)
            raise
        finally:
            os.close(tell)  # the worker's end is its own: when it dies, the pipe ends
        self._write(json.dumps(job.as_json()) + "\n")

    def hear(self, wait_s: float) -> Iterator[dict[str, Any]]:
        """The events that have come, waiting so long for the first; a line that was cut off is none."""
        if select.select([self.pipe], [], [], wait_s)[0]:
            try:
                new = os.read(self.pipe, 1 << 20)
            except BlockingIOError:
                return
            self.over = not new
            *lines, self.text = (self.text + new).split(b"\n")
            yield from map(json.loads, lines)

    over = False
    """Whether the pipe has ended: nothing more will come."""

    @property
    def is_gone(self) -> bool:
        """Whether the guard has ended, and so everything that it guarded."""
        return self.guard.poll() is not None

    def ask_to_stop(self) -> None:
        """Ask the worker to save and end."""
        self._write("stop\n")

    def end(self, wait_s: float = 0.0) -> int:
        """See that nothing is left of it, after so many seconds by force; the exit code, a signal as 128 + N."""
        deadline = time.monotonic() + wait_s
        while not self.is_gone and time.monotonic() < deadline:
            time.sleep(0.005)
        try:
            # Even a guard that was stopped: by its model, as it is none of this project's business to anyone else.
            for number in (signal.SIGTERM, signal.SIGCONT):
                if not self.is_gone:
                    self.guard.send_signal(number)
            code = self.guard.wait(guard.KILL_S + 1)
        except subprocess.TimeoutExpired:
            self.guard.kill()  # and with it the worker
            code = self.guard.wait()
        with contextlib.suppress(OSError):
            self.guard.stdin.close()  # type: ignore[union-attr]
        os.close(self.pipe)
        return 128 - code if code < 0 else code

    def _write(self, text: str) -> None:
        assert self.guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died, which the pipe of events tells
            self.guard.stdin.write(text.encode())
            self.guard.stdin.flush()


def import_path() -> dict[str, str]:
    """PYTHONPATH with folders as this process means them: a worker runs elsewhere."""
    if not (path := os.environ.get("PYTHONPATH")):
        return {}
    return {"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in path.split(os.pathsep))}


def exit_name(code: int) -> str:
    """An exit code in words; a signal is 128 + its number."""
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"exit code {code}"
    return f"signal {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
