"""One attempt at a cell on a node of a Ray cluster, and what travels between that node and the driver.

The attempt trains in a scratch folder and streams messages back: what the worker says, with the files that it wrote. A
checkpoint never travels without the rows that it counts on, and the driver writes it after them, so that its folder is
whole at any moment.
"""

import asyncio
import fcntl
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from benchmark import rows
from benchmark.rows import Status
from benchmark.rows.text import error_line
from benchmark.run import worker
from benchmark.run.executors.base import Job
from benchmark.run.executors.guard import end_with_parent

LOG, LOCK = "log.txt", "lock"

SENT_BYTES_PER_S = 2e6
"""What checkpoints of a cell may take of the network: one of 200 MB travels every 100 s, small ones whenever saved."""

UNHEARD = 4
"""Messages that may wait for the driver before training does."""


class Message(NamedTuple):
    """What an attempt says."""

    kind: str
    """That of an event; or "memory": see `_memory`."""
    contents: dict[str, Any]
    files: dict[str, bytes]
    """Files of the cell by name, in the order to write them; of the log what is new."""


class Control:
    """A Ray actor beside the driver, which ends with it: says when to stop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()

    async def stop(self) -> None:
        """Let every attempt save and end."""
        self.stopping.set()

    async def stopped(self) -> None:
        """Return when they are to."""
        await self.stopping.wait()


def attempt(job: dict[str, Any], files: dict[str, bytes], control: Any, *, in_parts: bool = True) -> Iterator[Message]:
    """Train a cell on this node, from the files of an earlier attempt.

    Args:
        job: The job as JSON.
        files: What the driver has of the cell.
        control: The `Control` of the sweep.
        in_parts: See `worker.work`.
    """
    stop = _stop(control)
    if stop.is_set():
        return
    end_with_parent()  # Ray's raylet asks its workers to end, which one that is stopped does not hear
    # In Ray's own folder, which it clears when a killed worker cannot.
    folder = Path(tempfile.mkdtemp(prefix="cell-", dir=Path.cwd()))
    messages = queue.Queue[Message | None](UNHEARD)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    unsent = _Unsent(folder)

    def send(*, event: str, **contents: Any) -> None:
        messages.put(Message(event, contents, unsent.take(everything=event == "end")))
        if event == "progress" and contents["new_rows"] and job["device"] == "cuda":
            messages.put(Message("memory", _memory(), {}))

    def train() -> None:
        try:
            worker.work(Job.from_json(job | {"folder": str(folder)}), send, stop.is_set, in_parts=in_parts)
        except BaseException as error:  # of a plug-in that cannot be imported here, say
            traceback.print_exc()
            end = {"status": Status.CRASHED, "reason": error_line(error), "step": None, "unrecorded": True}
            messages.put(Message("end", end, unsent.log()))
        finally:
            messages.put(None)

    try:
        with _printing_to(folder / LOG):
            yield Message("start", {}, {})
            threading.Thread(target=train, daemon=True).start()
            while (message := messages.get()) is not None:
                yield message
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Unsent:
    """What of a cell's folder the driver does not have yet."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sent_stamps, self.log_bytes, self.next_save = folder, _stamps(folder), 0, 0.0

    def take(self, *, everything: bool) -> dict[str, bytes]:
        """The files that have changed, which count as sent; checkpoints only now and then, or if `everything` is asked.

        Called by the thread that writes the files, so that they are of one moment.
        """
        stamps = _stamps(self.folder)
        news = {name for name, stamp in stamps.items() if self.sent_stamps.get(name) != stamp}
        heavy = {name for name in news if is_checkpoint(name)}
        if heavy and not everything and time.monotonic() < self.next_save:
            news -= heavy
        elif heavy:
            news = set(stamps)  # whatever became of earlier messages, the rows up to the checkpoint come with it
        files = {name: (self.folder / name).read_bytes() for name in sorted(news, key=_last_of_all)}
        self.sent_stamps |= {name: stamps[name] for name in news}
        size = sum(len(data) for name, data in files.items() if is_checkpoint(name))
        if size:
            self.next_save = time.monotonic() + size / SENT_BYTES_PER_S
        return files | self.log()

    def log(self) -> dict[str, bytes]:
        """What was printed since the last message."""
        with (self.folder / LOG).open("rb") as file:
            file.seek(self.log_bytes)
            new = file.read()
        self.log_bytes += len(new)
        return {LOG: new} if new else {}


def files_of(folder: Path) -> dict[str, bytes]:
    """What an attempt goes on from."""
    return {name: (folder / name).read_bytes() for name in _stamps(folder)}


def deliver(files: dict[str, bytes], folder: Path) -> None:
    """Write files that an attempt sent, each whole or not at all."""
    for name, data in files.items():
        if name == LOG:
            with rows.path_in_errors(folder / LOG), (folder / LOG).open("ab") as log:
                log.write(data)
        else:
            rows.write_atomically(folder / name, data)


def is_checkpoint(name: str) -> bool:
    """Whether a file of a cell holds its parameters."""
    return name.startswith("checkpoint.")


def hold(folder: Path) -> TextIO | None:
    """The lock of a cell's folder, until it is closed; None while another process has it."""
    lock = (folder / LOCK).open("w")
    try:
        with rows.path_in_errors(folder / LOCK):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _stamps(folder: Path) -> dict[str, tuple[int, ...]]:
    """The files that travel, each with what changes when it is written."""
    stamps = dict[str, tuple[int, ...]]()
    for path in folder.iterdir():
        kept_here = path.name in (LOG, LOCK) or path.suffix == ".partial" or ".damaged-" in path.name
        if path.is_file() and not kept_here:
            stat = path.stat()
            stamps[path.name] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return stamps


def _last_of_all(name: str) -> tuple[bool, bool, str]:
    """The order of writing: rows, then the checkpoint that counts on them, then the word that all is done."""
    return name == "finished.json", is_checkpoint(name), name


@cache
def _stop(control: Any) -> threading.Event:
    """Is set when the sweep stops, or its driver is gone; one for all cells of this process."""
    import ray

    stop, answer = threading.Event(), control.stopped.remote()

    def wait() -> None:
        try:
            ray.get(answer)
        finally:  # whatever it raises, nobody is left to train for
            stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return stop


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Whatever this process and programs that it starts print goes to a file."""
    originals = {stream: os.dup(stream) for stream in (1, 2)}
    with log.open("ab") as file:
        for stream in originals:
            os.dup2(file.fileno(), stream)
    try:
        yield
    finally:
        for name in ("stdout", "stderr"):
            getattr(sys, name).flush()
        for stream, before in originals.items():
            os.dup2(before, stream)
            os.close(before)


def _memory() -> dict[str, int]:
    """The most bytes of its GPU that the cell has held, and all that there are."""
    import torch

    return {"peak": torch.cuda.max_memory_reserved(), "total": torch.cuda.mem_get_info()[1]}
