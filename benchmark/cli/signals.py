"""Signals while a sweep runs: the first stops it and lets the cells save, the second ends it at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.run.executors import Executor

TERMINATED_WAIT_S = 15.0
"""How long cells may take to save after SIGTERM: what sends it kills some seconds later (Slurm, spot machines)."""


class Termination(KeyboardInterrupt):
    """A signal other than Ctrl-C asks this process to end soon."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """128 and the number of the signal, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (interrupt.number if isinstance(interrupt, Termination) else signal.SIGINT)


@contextmanager
def stop_signals(executor: "Executor | None" = None, *, ctrl_c: bool = True) -> Iterator[None]:
    """While it lasts, SIGTERM and the end of the terminal stop a sweep as Ctrl-C does.

    Signals that somebody else handles or ignores (nohup), and those of a thread beside the main one, are left alone.

    Args:
        executor: What runs the cells. It is told how long they may take to save before anything is raised: Ray raises
            an interrupt of its own in the place of the one that comes while it waits.
        ctrl_c: Whether a second Ctrl-C is told from the first. If not, whoever has it keeps it: polars ends by it what
            it computes, and would go on for hours if its handler were replaced.

    Raises:
        Termination: whatever interrupt was raised, if the first signal was another than Ctrl-C.
    """
    numbers = list[int]()

    def stop(number: int, frame: FrameType | None) -> None:
        numbers.append(number)
        if len(numbers) > 1:  # the end is near, and a third must not get in its way
            for each in before:
                signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        if executor is not None:
            executor.stop_wait_s = min(executor.stop_wait_s, TERMINATED_WAIT_S)
        raise Termination(number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for each in (*((signal.SIGINT,) if ctrl_c else ()), signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler):
                before[each] = signal.signal(each, stop)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt, Termination) or numbers[:1] in ([], [signal.SIGINT]):
            raise
        raise Termination(numbers[0]) from interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: a module in C that is interrupted while it loads says something else."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
