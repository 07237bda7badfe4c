"""How the cells of a folder stand, read as plain data.

It imports neither tasks nor models, reads of each cell its plan, the last lines of its rows and how it ended, and looks
at nothing twice: thousands of cells take a second. What is damaged is named; whether values are those that were written
is for a run to check.
"""

import fcntl
import gc
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.cells.words import Description
from benchmark.rows import Row, Status, stamps

TAIL = 16_384
"""Bytes of a rows file that mostly hold its last test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a cell stands."""

    cell_id: str
    cell: Description
    status: Status
    reason: str | None
    step: int
    """Steps at its last test; where it failed, if anybody knows."""
    steps: int | None
    """Steps of its budget; None of an older plan without rows."""
    tests: tuple[Row, ...]
    """Rows of its last test, all answers together, one per difficulty."""
    wall_s: float | None
    """Seconds of training until its last test."""
    folder: str
    ended_at: float | None
    """When it was finished, in seconds since the epoch."""

    @property
    def log(self) -> Path:
        """Where whatever it printed is."""
        return Path(self.folder, "log.txt")

    @property
    def scores(self) -> list[dict[str, Any]]:
        """Its last scores, by difficulty."""
        return [{name: row.get(name) for name in ("difficulty", "exact_match", "chance")} for row in self.tests]


class SweepStanding:
    """How all cells of a folder stand."""

    def __init__(self, folder: Path) -> None:
        """Read it.

        Raises:
            ValueError: it has no cells, or none that can be read.
        """
        self.cells: list[Standing] = []
        self.unreadable: list[str] = []
        """A line for each cell that cannot be read."""
        holder = _holder(str(folder / "lock"))
        self.running_pid: int | None = holder
        """The process that holds the folder."""
        with _without_collector():
            for path in sorted(_cell_folders(folder)):
                try:
                    there = _names(path)
                    if "cell.json" in there:
                        self.cells.append(_standing(path, there, running=holder is not None))
                except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
                    self.unreadable.append(f"{error}" if isinstance(error, _DamageError) else f"{path}: {error!r}")
        if not self.cells:
            why = "\n".join(self.unreadable) or "`bench run` makes them"
            raise ValueError(f"{folder} holds no cells; {why}")
        self.cells.sort(key=lambda s: (s.cell.task, _order(s.cell), s.cell.seed, s.cell_id))

    @property
    def counts(self) -> Counter[Status]:
        """How many cells stand how."""
        return Counter(standing.status for standing in self.cells)

    @property
    def progress(self) -> float:
        """Share of all steps that were made."""
        counts = [(min(s.step, s.steps) if s.status != Status.OK else s.steps, s.steps) for s in self.cells if s.steps]
        return sum(step for step, _ in counts) / sum(steps for _, steps in counts) if counts else 0.0

    @property
    def per_hour(self) -> int:
        """Cells that were finished within the last hour."""
        now = time.time()
        return sum(s.ended_at is not None and now - s.ended_at < 3600 for s in self.cells)

    @property
    def left_s(self) -> float | None:
        """Seconds of one core that are left, at the pace of cells alike, else of all; None before any test."""
        paces: dict[object, list[float]] = {}
        for s in self.cells:
            if s.wall_s and s.step:
                for kind in (None, _kind(s.cell)):
                    paces.setdefault(kind, []).append(s.wall_s / s.step)
        if not paces:
            return None
        mean = {kind: sum(seconds) / len(seconds) for kind, seconds in paces.items()}
        steps_to_go = ((s.steps or 0) - s.step for s in self.cells if not s.status.final)
        unfinished = (s.cell for s in self.cells if not s.status.final)
        return sum(
            max(0, steps) * mean.get(_kind(cell), mean[None])
            for steps, cell in zip(steps_to_go, unfinished, strict=True)
        )

    @property
    def eta_s(self) -> float | None:
        """Seconds until the end with as many cells at once as run now; None if none runs, or before any test."""
        running = self.counts[Status.RUNNING]
        return self.left_s / running if running and self.left_s is not None else None


@contextmanager
def _without_collector() -> Iterator[None]:
    """Let Python not look for garbage meanwhile: there is none, and looking takes a fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _DamageError(ValueError):
    """A file that cannot be read; the message names it."""


def _kind(cell: Description) -> tuple[Any, ...]:
    return cell.task, cell.model, cell.axes.get("sleep_passes"), cell.axes.get(cell.axis)


def _order(cell: Description) -> tuple[float, float]:
    numbers = (cell.axes.get(cell.axis), cell.axes.get("sleep_passes"))
    first, second = (float(value) if isinstance(value, int | float) else 0.0 for value in numbers)
    return first, second


def _cell_folders(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder / "cells") as entries:
            yield from (entry.path for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return


def _names(path: str) -> Set[str]:
    """The files in the folder of a cell.

    Raises:
        ValueError: one that would be read is no plain file: a pipe would be waited for.
    """
    with os.scandir(path) as entries:
        plain = {entry.name: entry.is_file() for entry in entries}
    if strange := [name for name in ("cell.json", "rows.jsonl", "finished.json") if plain.get(name) is False]:
        raise _DamageError(f"{path}/{strange[0]} is no plain file")
    return plain.keys()


def _standing(path: str, there: Set[str], *, running: bool) -> Standing:
    """How the cell of a folder stands, in which there are the files of these names.

    Raises:
        ValueError, KeyError, TypeError: its files are not what was written.
    """
    plan = _json(f"{path}/cell.json")
    axes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for part in ("task", "model", "training")
        for name, value in plan[part].items()
        if part == "training" or name not in ("name", "version")
    }
    last, tests = _last_test(f"{path}/rows.jsonl") if "rows.jsonl" in there else (None, [])
    axis = plan.get("axis") or (last or {}).get("axis") or "difficulty"
    cell = Description(plan["task"]["name"], plan["model"]["name"], plan.get("variant"), axis, plan["seed"], axes)
    steps = plan.get("steps")
    _check(cell, steps, tests)
    if steps is None and last:
        steps = -(-axes["tokens"] // (axes["batch"] * last["seq_len"]))
    status, reason, ended_at = _state(path, there, last, running=running)
    last_test = tests[0]["step"] if tests else 0
    step = last_test if last is None or last["step"] is None else max(last_test, last["step"])
    return Standing(
        cell_id=os.path.basename(path),  # noqa: PTH119
        cell=cell,
        status=status,
        reason=reason,
        step=step,
        steps=steps,
        tests=tuple(tests),
        wall_s=tests[0].get("wall_s") if tests and last_test == step else None,
        folder=path,
        ended_at=ended_at,
    )


def _check(cell: Description, steps: Any, tests: Sequence[Row]) -> None:
    """Refuse values of other types than those that are counted with, compared or printed.

    Raises:
        ValueError, TypeError, KeyError: there are some.
    """
    hash((cell.variant, *cell.axes.values()))
    texts, wholes = (cell.task, cell.model, cell.axis, cell.variant or ""), (cell.seed, 0 if steps is None else steps)
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in wholes):
        raise ValueError("its plan has values of other types than a plan has")
    for row in tests:
        numbers = (row["step"], row["exact_match"], row["chance"], row.get("wall_s") or 0.0)
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("its rows have values of other types than rows have")
        hash(row["difficulty"])


def _state(path: str, there: Set[str], last: Row | None, *, running: bool) -> tuple[Status, str | None, float | None]:
    if "finished.json" in there:
        end = _json(end_path := f"{path}/finished.json")
        if "rows" in end and stamps.Seal.of(end["rows"]).check != (last or {}).get(stamps.NAME):
            raise _DamageError(f"{path}/rows.jsonl does not end with the line that finished.json knows of")
        return Status(end["status"]), end["reason"], os.stat(end_path).st_mtime  # noqa: PTH116
    if running and _holder(f"{path}/lock") is not None:
        return Status.RUNNING, None, None
    if last and last["status"] != Status.OK:
        return Status(last["status"]), last["reason"], None
    return (Status.INTERRUPTED if "checkpoint.safetensors" in there else Status.WAITING), None, None


def _last_test(path: str) -> tuple[Row | None, list[Row]]:
    """The last row of a file, and the rows of its last test with scores, all answers together; of a torn line nothing.

    Raises:
        ValueError: they are not rows.
    """
    with open(path, "rb") as file:  # noqa: PTH123
        size = file.seek(0, os.SEEK_END)
        for length in (TAIL, size):
            start = max(0, size - length)
            file.seek(start)
            lines = file.read().split(b"\n")[1 if start else 0 : -1]
            last, tests, whole = _read_back(path, lines)
            if whole or not start:
                break
    return last, tests


def _read_back(path: str, lines: Sequence[bytes]) -> tuple[Row | None, list[Row], bool]:
    """The same of some last lines, and whether a line before those of the test was among them."""
    last, tests, of_test = None, list[Row](), None
    for number, line in enumerate(reversed(lines)):
        if of_test is not None and of_test not in line and b'"status": "ok"' in line:
            return last, tests[::-1], True
        if of_test is not None and b'"answer": null' not in line:
            continue  # of one answer: nothing to read
        try:
            row = json.loads(line.decode())
            status, step, answer = row["status"], row["step"], row.get("answer")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _DamageError(f"{path}, line {number + 1} from its end: not a row of sleepbench") from error
        last = row if last is None else last
        if status == Status.OK:
            of_test = b'"step": %d,' % step
            if answer is None:
                tests.append(row)
    return last, tests[::-1], False


def _json(path: str) -> Any:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return json.loads(file.read().decode())
    except (OSError, ValueError, RecursionError) as error:
        raise _DamageError(f"{path}: {error}") from error


def _holder(path: str) -> int | None:
    """The process that holds a lock, 0 if it does not say which; None if nobody does."""
    try:
        with open(path, "r+b") as file:  # noqa: PTH123
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text.isdigit() else 0
    except OSError:
        pass
    return None
