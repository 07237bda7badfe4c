"""Between a sweep and a worker: nothing that a cell started outlives it, whatever its model does.

`python -I -S guard.py WAIT_S EVENTS COMMAND...` starts the worker and becomes the parent of whatever the worker's own
processes leave behind (on Linux). It kills all of them when the worker ends, when it is told to by SIGTERM, or WAIT_S
seconds after the other end of stdin has closed: then the sweep has died, and the worker has had time to save. A worker
that is stopped, or that is stuck in code which lets no other thread run, could not do that itself.

It ends as the worker did, a signal N as exit code 128 + N. EVENTS is the worker's pipe to the sweep, which this process
lets go of. Nothing but the standard library is imported: it starts in a few milliseconds.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

KILL_S = 3.0
"""How long a process may take to be gone once it is killed; one in the middle of a system call can take longer."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LINUX = sys.platform == "linux"


def main() -> int:
    """Start the worker, wait, and leave nothing behind; the exit code."""
    wait_s, events, command = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    told_to_end: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told_to_end.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    worker = os.fork()
    if not worker:
        os.setpgid(0, 0)
        end_with_parent()  # should this process be killed, the worker is too
        with contextlib.suppress(OSError):  # where memory runs out, the system ends the worker rather than the sweep
            Path("/proc/self/oom_score_adj").write_text("500")
        os.execv(command[0], command)
    os.close(events)
    deadline: float | None = None
    code: int | None = None
    poll = select.poll()
    poll.register(woken, select.POLLIN)
    poll.register(0, 0)  # nothing to read: only whether the other end is there
    while code is None and not told_to_end:
        rest_s = None if deadline is None else deadline - time.monotonic()
        if rest_s is not None and rest_s < 0:
            break
        for descriptor, _ in poll.poll(None if rest_s is None else 1000 * rest_s):
            if descriptor == woken:
                os.read(woken, 4096)
            else:
                poll.unregister(0)
                deadline = time.monotonic() + wait_s
        code = reap(worker)
    end = end_all(worker)
    status = end if code is None else code
    return 128 - status if status < 0 else status


def end_with_parent() -> None:
    """Let the system kill this process when its parent ends, even while it is stopped (on Linux)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def reap(worker: int) -> int | None:
    """Take in children that ended; the exit code of the worker if it is among them, a signal as a negative number."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG))[0]:
            if child[0] == worker:
                code = os.waitstatus_to_exitcode(child[1])
    return code


def end_all(worker: int) -> int:
    """Kill everything that descends from here, until there is nothing left of it; how the worker ended."""
    code, deadline = -signal.SIGKILL, time.monotonic() + KILL_S
    while time.monotonic() < deadline:
        if not _LINUX:
            with contextlib.suppress(OSError):
                os.killpg(worker, signal.SIGKILL)
        for process in (there := descendants()):
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        exit_code = reap(worker)
        code = code if exit_code is None else exit_code
        if not there:
            break
        time.sleep(0.005)
    return int(code)


def descendants() -> list[int]:
    """The processes that descend from this one, as far as the system tells; none where there is no /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile
            parents[int(entry.parent.name)] = int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])
    below, newest = list[int](), [os.getpid()]
    while newest := [process for process, parent in parents.items() if parent in newest]:
        below += newest
    return below


if __name__ == "__main__":
    sys.exit(main())
