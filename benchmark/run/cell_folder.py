"""The folder of a cell: what lies where, how the cell stands, who is at it.

It holds `cell.json`, `rows.jsonl`, `outcomes.jsonl`, `checkpoint.safetensors`, `finished.json` and `log.txt`.
What is damaged is found and set aside by `benchmark.run.damage`.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.rows import DamagedFileError, OtherCodeError, Row, Seal, Status, outcomes, stamps
from benchmark.run import damage

_SWEEP = ("suite", "scale")

DYING_S = 5.0
"""How long the system may take to let go of what a killed worker held."""


class State(NamedTuple):
    """How a cell stands, and why."""

    status: Status
    reason: str | None


class CellFolder:
    """A cell's own folder. What it holds is read once, until `forget` is called.

    Args:
        path: The folder.
        cell_id: The cell that it is of; None takes what is there.
        trusted: Whether modules that the folder names are imported.
    """

    def __init__(self, path: Path, cell_id: str | None = None, *, trusted: bool = False) -> None:
        self.path, self.cell_id, self.trusted = path, cell_id, trusted
        self.plan, self.rows_file, self.outcomes_file = path / "cell.json", path / "rows.jsonl", path / outcomes.LINES
        self.checkpoint, self.finished = path / "checkpoint.safetensors", path / "finished.json"

    @property
    def logs(self) -> tuple[Path, Path]:
        """The files that are written line by line."""
        return self.rows_file, self.outcomes_file

    @cached_property
    def rows(self) -> list[Row]:
        """Its rows, in the order they were written.

        Raises:
            DamagedFileError: they are not what was written.
            OtherCodeError: newer code wrote them.
        """
        return rows.read(self.rows_file, self.cell_id)

    @cached_property
    def outcomes(self) -> list[Row]:
        """Its lines of outcomes.

        Raises:
            DamagedFileError: they are not what was written.
        """
        return outcomes.read_lines(self.outcomes_file, self.cell_id)

    def forget(self) -> None:
        """Forget what was read: a worker has written since."""
        for name in ("rows", "outcomes", "_end", "state"):
            self.__dict__.pop(name, None)

    @contextmanager
    def locked(self, wait_s: float = 0.0) -> Iterator[bool]:
        """Keep workers away from the cell; whether that was possible so long, or one is at it."""
        path, deadline = self.path / "lock", time.monotonic() + wait_s
        if not path.exists():  # no worker ever was at it
            yield True
            return
        with path.open("a") as lock:
            while True:
                try:
                    with rows.path_in_errors(path):
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() < deadline:
                        time.sleep(0.02)
                        continue
                    yield False
                else:
                    yield True
                return

    def read_plan(self) -> dict[str, Any]:
        """What was written down of the cell before it was trained, as plain data.

        Raises:
            DamagedFileError: it is not what was written.
        """
        plan = stamps.load(self.plan)
        if lacking := [name for name in ("task", "model", "training", "seed") if name not in plan]:
            raise DamagedFileError(f"{self.plan}: no plan of a cell, for it lacks {', '.join(lacking)}")
        return plan

    @property
    def cell(self) -> Cell:
        """The cell, as it was planned.

        Raises:
            DamagedFileError: the plan is no JSON, or describes no cell of this code: of another version, for example,
                or of a module that is not imported because nobody said that the folder is trusted.
        """
        try:
            cell = Cell.from_json(self.read_plan(), imports=self.trusted)
            if self.cell_id not in (None, cell.id):
                raise ValueError(f"it is of cell {cell.id}")
        except Exception as error:  # whatever settings of other code make a constructor raise
            raise DamagedFileError(f"{self.plan} describes no cell of this code: {error}") from error
        return cell

    @property
    def end(self) -> State | None:
        """How it ended; None while it has not.

        Raises:
            DamagedFileError: the file that says so is not what was written.
        """
        return State(*end[:2]) if (end := self._end) else None

    @cached_property
    def _end(self) -> tuple[Status, str | None, dict[str, Seal]] | None:
        """How it ended, and the seals of its `logs`, by name; older code wrote none."""
        if not self.finished.exists():
            return None
        end = stamps.load(self.finished)
        try:
            status, reason = Status(end["status"]), end["reason"]
            seals = {path.stem: Seal.of(end[path.stem]) for path in self.logs if path.stem in end}
            if not (status.final and (reason is None or isinstance(reason, str))):
                raise ValueError(f"status {status}, reason {reason!r}")
        except (KeyError, ValueError) as error:
            raise DamagedFileError(f"{self.finished} does not say how the cell ended: {error!r}") from error
        return status, reason, seals

    def check_ended(self, path: Path) -> None:
        """Refuse one of the `logs` that is not what a finished cell has.

        Raises:
            DamagedFileError: lines are missing, or there are more.
        """
        if not (end := self._end):
            return
        status, _, seals = end
        if path.stem in seals:
            damage.check_seal(path, seals[path.stem], self.finished, exact=True)
        elif path == self.rows_file:  # of older code
            last = self.rows[-1] if self.rows else Row(status=None)
            if last["status"] != status or (status == Status.OK and last["tokens_seen"] < last.get("tokens", 0)):
                raise DamagedFileError(f"{path} does not have the last rows of a cell that ended {status}")

    @cached_property
    def state(self) -> State:
        """OK, a failure, INTERRUPTED or WAITING, and why.

        Raises:
            DamagedFileError: as `rows` and `end`, or lines are missing of what was written.
        """
        end, every_row = self.end, self.rows
        if end:
            for path in self.logs:
                self.check_ended(path)
            return end
        if every_row and every_row[-1]["status"] != Status.OK:
            return State(Status(every_row[-1]["status"]), every_row[-1]["reason"])
        return State(Status.INTERRUPTED if self.checkpoint.exists() else Status.WAITING, None)

    def prepare(self, cell: Cell, context: Row) -> None:
        """Write down what the cell is, and for which sweep it is planned beside those that there are."""
        sweep = {name: context.get(name) for name in _SWEEP} | {"variant": cell.variant}
        sweeps = self.sweeps
        sweeps += [sweep] if sweep not in sweeps else []
        self.path.mkdir(parents=True, exist_ok=True)
        plan = cell.as_json() | {"sweeps": sweeps, "steps": cell.steps, "axis": cell.task.axis}
        text = stamps.stamp(plan, indent=1)
        if not (self.plan.is_file() and self.plan.read_bytes() == text):  # writing waits for the disk
            rows.write_atomically(self.plan, text)

    @property
    def sweeps(self) -> list[Row]:
        """The sweeps that the cell is planned for: suite, scale and what it is called there."""
        names = (*_SWEEP, "variant")
        try:
            sweeps = [{name: sweep[name] for name in names} for sweep in self.read_plan()["sweeps"]]
            if all(value is None or isinstance(value, str) for sweep in sweeps for value in sweep.values()):
                return sweeps
        except (OSError, KeyError, TypeError, ValueError):
            pass  # an older plan, or a damaged one
        sweeps = [{name: row.get(name) for name in names} for row in self.rows]
        return [each for number, each in enumerate(sweeps) if each not in sweeps[:number]]

    @property
    def rows_of_every_sweep(self) -> list[Row]:
        """Its rows as each sweep that it is planned for would have written them."""
        return [row | sweep for sweep in self.sweeps for row in self.rows]

    def finish(self, status: Status, reason: str | None) -> None:
        """Write down that the cell is done, however it ended, and what its files then are."""
        end = {"status": status, "reason": reason} | {path.stem: rows.seal(path) for path in self.logs}
        rows.write_atomically(self.finished, stamps.stamp(end))
        self.forget()

    def add(self, row: Row) -> None:
        """Append a row."""
        rows.append(self.rows_file, [row])
        self.forget()

    def lost(self, failure: Row) -> State:
        """Append the row of a worker that died, unless the cell ended after all or another is at it; how it stands.

        Nothing is added to damaged rows: the next run names them and sets them aside.
        """
        with self.locked(DYING_S) as mine:
            self.forget()
            try:
                if mine and not self.state.status.final:
                    self.add(failure)
                return self.state
            except (DamagedFileError, OtherCodeError):
                return State(Status(failure["status"]), failure["reason"])
