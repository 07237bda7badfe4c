"""A function in a process of its own, in milliseconds: a fork of one that has imported everything and used nothing.

Thread pools of torch and polars do not survive a fork, so whoever forks computes nothing itself.
"""

import contextlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple


class Done(NamedTuple):
    """How a fork ended."""

    code: int
    """Its exit code; a signal as a negative number; -999 if it had to be killed after the time that it had."""
    said: str
    """What it printed."""


@dataclass
class Fork:
    """A forked process, leader of a session of its own; `ended` has the end of it."""

    pid: int
    printed: IO[bytes]
    ended: Done | None = field(default=None)

    def poll(self) -> Done | None:
        """How it ended; None while it runs."""
        if self.ended is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.printed.seek(0)
                said = self.printed.read().decode(errors="replace")
                self.ended = Done(os.waitstatus_to_exitcode(status), said)
                self.printed.close()
        return self.ended

    def wait(self, limit_s: float) -> Done:
        """How it ended, killed if it takes longer than that."""
        deadline, late = time.monotonic() + limit_s, False
        while (done := self.poll()) is None:
            if time.monotonic() > deadline and not late:
                late = True
                self.send(signal.SIGKILL)
            time.sleep(0.002)
        return Done(-999, f"{done.said}\nkilled after {limit_s:g} s") if late else done

    def send(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.ended is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def begin(function: Callable[..., Any], *arguments: Any) -> Fork:
    """Call a function in a fork. What it prints is kept; what it raises is a traceback and exit code 70."""
    printed = tempfile.TemporaryFile()  # noqa: SIM115
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return Fork(pid, printed)
    code = 70
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for stream, target in ((nothing, 0), (printed.fileno(), 1), (printed.fileno(), 2)):
            os.dup2(stream, target)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        function(*arguments)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:  # outside of what handles it, as when the interpreter starts or ends
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def call(function: Callable[..., Any], *arguments: Any, limit_s: float = 60.0) -> Done:
    """Call a function in a fork and wait for its end."""
    return begin(function, *arguments).wait(limit_s)


class Descent:
    """The processes that descend from this one, and those that did: who is adopted by the system is still known.

    Python's own children by fork share its environment, so that a mark there would not tell them; a process is told
    from a later one of its number by when it began.
    """

    def __init__(self) -> None:
        self.known = dict[int, str]()

    def look(self) -> dict[int, str]:
        """Those that are alive, by number, with their command lines; zombies are none."""
        parents, begun, own = dict[int, int](), dict[int, str](), os.getpid()
        for place in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                state, parent, *rest = place.read_text(errors="replace").rpartition(")")[2].split()
                if state not in "ZX":
                    parents[int(place.parent.name)], begun[int(place.parent.name)] = int(parent), rest[17]
        self.known = {pid: start for pid, start in self.known.items() if begun.get(pid) == start}
        newest = {own, *self.known}
        while newest := {pid for pid, parent in parents.items() if parent in newest and pid not in self.known}:
            self.known |= {pid: begun[pid] for pid in newest}
        return {pid: _command(pid) for pid in self.known}


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""
