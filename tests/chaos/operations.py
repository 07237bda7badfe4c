"""Faults at one file operation after the other: the process dies before, after or in the middle, or the system refuses.

What is replaced are the functions of `os` and `io` through which Python writes; of other libraries nothing writes into
a folder of results.
"""

import errno
import io
import os
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.cells.cell import Cell
from chaos import forks
from chaos.study import Study, drive, expect

CALLS = ("fsync", "replace", "rename", "unlink", "mkdir")
HOW = ("killed before", "killed after", "torn", "EIO", "ENOSPC", "EROFS", "ENOSPC for good")


class Moment(NamedTuple):
    """The operation at which something happens, counted from 1, and what."""

    number: int
    how: str


def campaign(study: Study, count: int) -> None:
    """A fault at as many moments, all of them if there are so few; after each a clean run must make all whole."""
    done = forks.call(disturbed, study.planned, study.folder(), None)
    study.ended(done, {0}, "counting")
    operations = int(done.said.rpartition("operations: ")[2])
    moments = [Moment(number, how) for number in range(1, operations + 1) for how in HOW]
    for moment in study.random.sample(moments, min(count, len(moments))):
        out = study.folder()
        done = forks.call(disturbed, study.planned, out, moment)
        # What is torn or killed after can come at an operation that writes nothing or fails: then nothing happens.
        study.ended(done, {-signal.SIGKILL, 0} if "E" not in moment.how else {0, 1, 2}, moment)
        said = re.findall(r"^(?:bench|crashed): .*", done.said, re.MULTILINE)
        expect(all(str(out) in line for line in said), f"{moment}: which file is not said", *said)
        study.whole(out, moment)
        study.counts[f"{'kills' if 'E' not in moment.how else 'refusals'} at file operations"] += 1
        shutil.rmtree(out)


def disturbed(planned: Sequence[Cell], out: Path, moment: Moment | None) -> None:
    """A sweep with a fault at one of its file operations; without, print how many there are."""
    counter = Counter(out, moment)
    counter.watch()
    try:
        drive(planned, out)
    finally:
        if moment is None:
            print(f"operations: {counter.count}")


class Counter:
    """Counts what is done to files below a folder, and lets something happen at one of them."""

    def __init__(self, folder: Path, moment: Moment | None) -> None:
        self.folder, self.moment, self.count = str(folder), moment, 0

    def watch(self) -> None:
        """Put itself in front of the functions."""
        for name in CALLS:
            setattr(os, name, self._through(getattr(os, name)))
        opened = io.open

        def open_(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            ours = str(path).startswith(self.folder) and not str(path).endswith("lock") and set(mode) & set("wxa+")
            if not ours:
                return opened(path, mode, *arguments, **options)
            file = self._through(opened)(path, mode, *arguments, **options)
            return _Writing(file, self)

        io.open = open_  # type: ignore[assignment]

    def _through(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.begin(arguments[0])
            result = function(*arguments, **options)
            self.end()
            return result

        return call

    @property
    def _now(self) -> str | None:
        if not self.moment or self.count < self.moment.number:
            return None
        return self.moment.how if self.count == self.moment.number or self.moment.how.endswith(" for good") else None

    def begin(self, file: object) -> None:
        """An operation is about to be done on a file; the system tells its name where it was asked by name."""
        self.count += 1
        if self._now in ("killed before", "torn"):  # what is written is torn by `_Writing`
            die()
        if (name := (self._now or "").removesuffix(" for good")).startswith("E"):
            number = getattr(errno, name)
            raise OSError(number, os.strerror(number), *([] if isinstance(file, int) else [str(file)]))

    def end(self) -> None:
        """It is done."""
        if self._now == "killed after":
            die()


class _Writing:
    """A file, opened to be written."""

    def __init__(self, file: Any, counter: Counter) -> None:
        self.file, self.counter = file, counter

    def write(self, data: Any) -> int:
        counter, half = self.counter, data[: len(data) // 2]
        if counter.moment and counter.count + 1 == counter.moment.number and counter.moment.how in ("torn", "ENOSPC"):
            self.file.write(half)
            self.file.flush()
        counter.begin(self.file.fileno())
        written: int = self.file.write(data)
        counter.end()
        return written

    def __enter__(self) -> "_Writing":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __iter__(self) -> Any:
        return iter(self.file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def die() -> None:
    """As kill -9 does it."""
    os.kill(os.getpid(), signal.SIGKILL)
