"""The folder of a sweep: its tables, the folders of its cells, who holds it.

It holds `rows.parquet` (all rows), `outcomes.parquet` (which examples were right), `environment.json`, and the folder
`cells/<id>/` of each cell (`benchmark.run.cell_folder`).
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.rows import DamagedFileError, OtherCodeError, Row, outcomes
from benchmark.run import damage
from benchmark.run.cell_folder import CellFolder, State

__all__ = ["CellFolder", "FolderInUseError", "State", "SweepFolder"]


class FolderInUseError(ValueError):
    """Another sweep is writing to the folder."""


class SweepFolder:
    """The folder of a sweep, and its cells by id.

    Args:
        path: The folder.
        trusted: Whether modules that its cells name are imported: code of whoever wrote them.
    """

    def __init__(self, path: Path, *, trusted: bool = False) -> None:
        self.path, self.trusted = path, trusted
        self.remarks: list[str] = []
        """What was mended without harm when the folder was taken, and what was left out of the tables, a line each."""
        self._folders: dict[str, CellFolder] = {}

    def of(self, cell: Cell) -> CellFolder:
        """The folder of a cell, there or not."""
        return self._at(cell.id)

    def _at(self, cell_id: str) -> CellFolder:
        path = self.path / "cells" / cell_id
        return self._folders.setdefault(cell_id, CellFolder(path, cell_id, trusted=self.trusted))

    def _there(self) -> list[CellFolder]:
        """The folders of cells that were ever planned or have rows, by id."""
        names = {path.parent.name for name in ("cell.json", "rows.jsonl") for path in self.path.glob(f"cells/*/{name}")}
        return [self._at(name) for name in sorted(names)]

    def cells(self) -> list[Cell]:
        """The cells that were ever planned here and that this code knows, by difficulty, N and seed.

        Raises:
            ValueError: there is none; the message says what keeps those that were planned from being read.
        """
        cells, unreadable = self._read_plans()
        if not cells:
            why = "\n".join(unreadable) or "`bench run` makes them"
            raise ValueError(f"{self.path} holds no cells; {why}")
        return sorted(cells, key=lambda c: (c.task.name, c.difficulty or 0, c.training.sleep_passes, c.seed, c.id))

    def unreadable(self) -> list[str]:
        """A line for every planned cell that this code cannot read, saying why; others go on without it."""
        return self._read_plans()[1]

    def _read_plans(self) -> tuple[list[Cell], list[str]]:
        cells, unreadable = [], []
        for folder in self._there():
            try:
                _, cell = folder.state, folder.cell
            except (DamagedFileError, OtherCodeError) as error:
                unreadable.append(str(error))
            else:
                cells.append(cell)
        return cells, unreadable

    @contextmanager
    def session(self, cells: Sequence[Cell], context: Row | None = None) -> Iterator[None]:
        """Hold the folder for this process, its files checked and the cells planned in it.

        The system lets go of the folder however the process ends.

        Args:
            cells: What will be trained, or is there already.
            context: Columns of rows that tell which sweep asks, suite and scale; a cell may be several sweeps' own.

        Raises:
            FolderInUseError: another process holds it.
            ValueError: the folder cannot be made or written.
            DamagedFileError: a file of a cell is damaged; it has been set aside and the message says where.
            OtherCodeError: newer code wrote rows of a cell; they stay where they are.
        """
        with self._lock():
            self.set_damaged_aside()
            for cell in cells:
                self.of(cell).prepare(cell, context or {})
            yield

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise ValueError(f"cannot write to {self.path}: {error.strerror}") from error
        with lock:
            try:
                with rows.path_in_errors(self.path / "lock"):  # where a file system has no locks
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise FolderInUseError(
                    f"{self.path} is in use by process {lock.read().strip()}; wait for it or choose --out"
                ) from None
            with rows.path_in_errors(self.path / "lock"):
                lock.truncate(0)
                lock.write(str(os.getpid()))
                lock.flush()
            self._folders.clear()  # what was read before may have changed until now
            yield

    def set_damaged_aside(self) -> None:
        """Check what a sweep would build on; rename what is damaged, so that its cell starts again.

        A damaged table takes no cell with it: it is gathered again at once. Nor does a damaged plan: a cell that is
        asked for gets a new one.

        Raises:
            DamagedFileError: naming every file that was set aside.
            OtherCodeError: naming the files of newer code; they stay where they are.
        """
        damages, newer = list[str](), list[str]()
        for folder in self._there():
            try:
                damages += damage.set_aside(folder)
            except OtherCodeError as error:
                newer.append(str(error))
        if newer:
            raise OtherCodeError("\n".join([*damages, *newer]))
        tables = self._derived_set_aside()
        if damages:
            again = "The same command again trains the affected cells from their start."
            raise DamagedFileError("\n".join([*damages, *tables, again]))
        if tables:
            self.gather()
            self.remarks = [*tables, *self.remarks]

    def _derived_set_aside(self) -> list[str]:
        """Rename the tables and plans that cannot be read; a line for each."""
        readers: list[tuple[Path, Callable[[], Any]]] = [(each.plan, each.read_plan) for each in self._there()]
        for name, read in (("rows.parquet", rows.read_table), (outcomes.FILE, outcomes.read_table)):
            readers.append((self.path / name, partial(read, self.path / name)))
        return [line for path, read in readers if (line := damage.derived_set_aside(path, read))]

    def restore(self) -> list[str]:
        """Set damaged tables aside and gather them again from the files of the cells; what was done, a line each.

        Raises:
            FolderInUseError: another process holds the folder.
            ValueError: it cannot be written.
        """
        with self._lock():
            tables = self._derived_set_aside()
            self.gather()
        return [*tables, *self.remarks]

    def gather(self) -> None:
        """Collect the rows of every cell into `rows.parquet`, and their outcomes into `outcomes.parquet`.

        A cell whose files cannot be read is left out, and named in `remarks`.
        """
        every_row, lines = list[Row](), list[Row]()
        self.remarks = []
        for folder in self._there():
            try:
                cell_rows, outcome_lines = folder.rows_of_every_sweep, folder.outcomes
            except (DamagedFileError, OtherCodeError, OSError) as error:
                self.remarks.append(f"left out of the tables: {error}")
                continue
            every_row += cell_rows
            # A cell that was killed may not have the rows of its last outcomes yet.
            steps = {row["step"] for row in cell_rows}
            lines += [line for line in outcome_lines if line["step"] in steps]
        if every_row:
            rows.write_table(self.path / "rows.parquet", every_row)
        if lines:
            rows.write_frame(self.path / outcomes.FILE, outcomes.table(lines))
