"""The folder of a sweep and those of its cells: what lies where, who holds it, what is damaged.

The folder: `rows.parquet` (all rows), `outcomes.parquet` (which examples were right), `environment.json`, `cells/<id>/`
with each cell's `cell.json`, `rows.jsonl`, `outcomes.jsonl`, `checkpoint.pt`, `finished.json` and `log.txt`.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.rows import DamagedFileError, Row, Status, outcomes
from benchmark.run import checkpoint

_SWEEP = ("suite", "scale")


class FolderInUseError(ValueError):
    """Another sweep is writing to the folder."""


class State(NamedTuple):
    """How a cell stands, and why."""

    status: Status
    reason: str | None


class CellFolder:
    """A cell's own folder. What it holds is read once, until `changed` says that there is more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan, self.rows_file, self.outcomes_file = path / "cell.json", path / "rows.jsonl", path / outcomes.LINES
        self.checkpoint, self.finished = path / "checkpoint.pt", path / "finished.json"

    @cached_property
    def rows(self) -> list[Row]:
        """Its rows, in the order they were written.

        Raises:
            DamagedFileError: they are not what was written.
        """
        return rows.read(self.rows_file)

    @cached_property
    def outcomes(self) -> list[Row]:
        """Its lines of outcomes.

        Raises:
            DamagedFileError: they are not what was written.
        """
        return outcomes.read_lines(self.outcomes_file)

    def changed(self) -> None:
        """Forget what was read: a worker has written since."""
        for name in ("rows", "outcomes"):
            self.__dict__.pop(name, None)

    @property
    def cell(self) -> Cell:
        """The cell, as it was planned.

        Raises:
            DamagedFileError: the plan is no JSON, or describes no cell of this code: of another version, for example.
        """
        try:
            return Cell.from_json(_json(self.plan))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(f"{self.plan} describes no cell of this code: {error}") from error

    @property
    def end(self) -> State | None:
        """How it ended; None while it has not.

        Raises:
            DamagedFileError: the file that says so is not what was written.
        """
        if not self.finished.exists():
            return None
        try:
            end = _json(self.finished)
            return State(Status(end["status"]), end["reason"])
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(f"{self.finished} does not say how the cell ended: {error!r}") from error

    @property
    def state(self) -> State:
        """OK, a failure, INTERRUPTED or WAITING, and why.

        Raises:
            DamagedFileError: as `rows` and `end`.
        """
        if end := self.end:
            return end
        if self.rows and self.rows[-1]["status"] != Status.OK:
            return State(Status(self.rows[-1]["status"]), self.rows[-1]["reason"])
        return State(Status.INTERRUPTED if self.checkpoint.exists() else Status.WAITING, None)

    def prepare(self, cell: Cell, context: Row) -> None:
        """Write down what the cell is, and for which sweep it is planned beside those that there are."""
        asked = {name: context.get(name) for name in _SWEEP} | {"variant": cell.variant}
        sweeps = self.sweeps
        sweeps += [asked] if asked not in sweeps else []
        self.path.mkdir(parents=True, exist_ok=True)
        plan = cell.as_json() | {"sweeps": sweeps, "steps": cell.steps, "axis": cell.task.axis}
        rows.write_atomically(self.plan, json.dumps(plan, indent=1).encode())

    @property
    def sweeps(self) -> list[Row]:
        """The sweeps that the cell is planned for: suite, scale and what it is called there."""
        try:
            return list(_json(self.plan)["sweeps"])
        except (OSError, KeyError, TypeError, ValueError):  # an older plan: what its rows say
            told = [{name: row.get(name) for name in (*_SWEEP, "variant")} for row in self.rows]
            return [each for number, each in enumerate(told) if each not in told[:number]]

    @property
    def rows_of_every_sweep(self) -> list[Row]:
        """Its rows as each sweep that it is planned for would have written them."""
        return [row | sweep for sweep in self.sweeps for row in self.rows]

    def finish(self, status: Status, reason: str | None) -> None:
        """Write down that the cell is done, however it ended."""
        rows.write_atomically(self.finished, json.dumps({"status": status, "reason": reason}).encode())

    def add(self, row: Row) -> None:
        """Append a row."""
        rows.append(self.rows_file, [row])
        self.changed()

    def set_damaged_aside(self) -> list[str]:
        """Rename what a sweep would build on and cannot, so that the cell starts again; a line for each file."""
        moved = []
        for path, read in ((self.rows_file, lambda: self.rows), (self.outcomes_file, lambda: self.outcomes)):
            if damage := _set_aside(path, read):
                moved.append(damage)
                # What is lost from the middle comes back only by training again from the start.
                for later in (self.checkpoint, self.finished):
                    if later.exists():
                        rows.set_aside(later)
        moved += filter(None, [_set_aside(self.finished, lambda: self.end)])
        if self.checkpoint.exists() and not self.finished.exists():
            moved += filter(None, [_set_aside(self.checkpoint, partial(checkpoint.verify, self.checkpoint))])
        return moved


class SweepFolder:
    """The folder of a sweep, and its cells by id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, CellFolder] = {}

    def of(self, cell: Cell) -> CellFolder:
        """The folder of a cell, there or not."""
        return self._at(cell.id)

    def _at(self, cell_id: str) -> CellFolder:
        return self._known.setdefault(cell_id, CellFolder(self.path / "cells" / cell_id))

    def _there(self) -> list[CellFolder]:
        """The folders of cells that were ever planned, by id."""
        return [self._at(path.parent.name) for path in sorted(self.path.glob("cells/*/cell.json"))]

    def cells(self) -> list[Cell]:
        """The cells that were ever planned here and that this code knows, by difficulty, N and seed.

        Raises:
            ValueError: there is none; the message says what keeps those that were planned from being read.
        """
        cells, unreadable = self._planned()
        if not cells:
            why = "\n".join(unreadable) or "`bench run` makes them"
            raise ValueError(f"{self.path} holds no cells; {why}")
        return sorted(cells, key=lambda c: (c.task.name, c.difficulty or 0, c.training.sleep_passes, c.seed, c.id))

    def unreadable(self) -> list[str]:
        """A line for every planned cell that this code cannot read, saying why; others go on without it."""
        return self._planned()[1]

    def _planned(self) -> tuple[list[Cell], list[str]]:
        cells, unreadable = [], []
        for folder in self._there():
            try:
                cell, _ = folder.cell, folder.state
            except DamagedFileError as error:
                unreadable.append(str(error))
            else:
                cells.append(cell)
        return cells, unreadable

    @contextmanager
    def held(self, cells: Sequence[Cell], context: Row | None = None) -> Iterator[None]:
        """Hold the folder for this process, its files checked and the cells planned in it.

        The system lets go of the folder however the process ends.

        Args:
            cells: What will be trained, or is there already.
            context: Columns of rows that tell which sweep asks, suite and scale; a cell may be several sweeps' own.

        Raises:
            FolderInUseError: another process holds it.
            ValueError: the folder cannot be made or written.
            DamagedFileError: a checkpoint or rows file is damaged; it has been set aside and the message says where.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise ValueError(f"cannot write to {self.path}: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise FolderInUseError(
                    f"{self.path} is in use by process {lock.read().strip()}; wait for it or choose --out"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            self.set_damaged_aside()
            for cell in cells:
                self.of(cell).prepare(cell, context or {})
            yield

    def set_damaged_aside(self) -> None:
        """Check what a sweep would build on; rename what is damaged, so that its cell starts again.

        Raises:
            DamagedFileError: naming every file that was set aside.
        """
        moved = [line for folder in self._there() for line in folder.set_damaged_aside()]
        for name, read in (("rows.parquet", rows.read_table), (outcomes.FILE, outcomes.read_table)):
            path = self.path / name
            moved += filter(None, [_set_aside(path, partial(read, path))])
        if moved:
            again = "The same command again trains the affected cells from their start."
            raise DamagedFileError("\n".join([*moved, again]))

    def gather(self) -> None:
        """Collect the rows of every cell into `rows.parquet`, and their outcomes into `outcomes.parquet`."""
        there = self._there()
        if collected := [row for folder in there for row in folder.rows_of_every_sweep]:
            rows.write_table(self.path / "rows.parquet", collected)
        # A cell that was killed may not have the rows of its last outcomes yet.
        tested = {(row["cell_id"], row["step"]) for row in collected}
        lines = [line for folder in there for line in folder.outcomes if (line["cell_id"], line["step"]) in tested]
        if lines:
            rows.write_frame(self.path / outcomes.FILE, outcomes.table(lines))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _set_aside(path: Path, read: Callable[[], Any]) -> str | None:
    """Read a file that is there; if it is damaged, rename it and say why and to what."""
    if not path.exists():
        return None
    try:
        read()
    except DamagedFileError as error:
        return f"{error}\n  set aside as {rows.set_aside(path)}"
    return None
