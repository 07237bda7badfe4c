"""A sweep: run the cells of a grid in one folder, skipping what is done, recording what fails.

The folder: `rows.parquet` (all rows), `outcomes.parquet` (which examples were right), `environment.json`, `cells/<id>/`
with each cell's `cell.json`, `rows.jsonl`, `outcomes.jsonl`, `checkpoint.pt`, `finished.json` and `log.txt`.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark import environment, rows
from benchmark.cells.cell import Cell
from benchmark.cells.facts import cell_facts, failure_row
from benchmark.rows import outcomes
from benchmark.run import checkpoint
from benchmark.run.executors import Event, run_local


class FolderInUseError(ValueError):
    """Another sweep is writing to the folder."""


def cell_folder(out: Path, cell: Cell) -> Path:
    """Where a cell's own files lie."""
    return out / "cells" / cell.id


def cell_state(folder: Path) -> tuple[str, str | None]:
    """(state, reason) of a cell from its folder: "ok", "diverged", "failed", "interrupted" or "waiting"."""
    finished = folder / "finished.json"
    if finished.exists():
        ended = json.loads(finished.read_text(encoding="utf-8"))
        return ended["status"], ended["reason"]
    written = rows.read(folder / "rows.jsonl")
    if written and written[-1]["status"] != "ok":
        return "failed", written[-1]["reason"]
    return ("interrupted" if (folder / "checkpoint.pt").exists() else "waiting"), None


def run(
    cells: Sequence[Cell],
    out: Path,
    *,
    environments: Sequence[dict[str, str]],
    device: str = "cpu",
    context: rows.Row | None = None,
    command: str = "",
    on_event: Callable[[Event], None] = lambda _: None,
) -> dict[str, tuple[str, str | None]]:
    """Run every cell that is not finished, in a folder that `opened` holds; returns the state of each by id.

    Interrupted (KeyboardInterrupt), it lets the workers save, gathers the rows and raises again.
    """
    pending = [cell for cell in cells if cell_state(cell_folder(out, cell))[0] not in ("ok", "diverged")]
    if pending:  # else others trained what is here
        described = environment.describe() | {"device": device, "command": command}
        rows.write_atomically(out / "environment.json", (json.dumps(described, indent=1) + "\n").encode())
    context = (context or {}) | {"commit": environment.commit()}
    events = run_local(
        pending, [cell_folder(out, cell) for cell in pending], environments, {"device": device, "context": context}
    )
    try:
        for event in events:
            if event.contents.get("unrecorded"):
                facts = cell_facts(event.cell, device=device, context=context)
                row = failure_row(facts, event.contents["status"], event.contents["reason"], step=None, wall_s=None)
                rows.append(cell_folder(out, event.cell) / "rows.jsonl", [row])
            on_event(event)
    finally:
        events.close()
        gather(out)
    return {cell.id: cell_state(cell_folder(out, cell)) for cell in cells}


@contextmanager
def opened(out: Path, cells: Sequence[Cell]) -> Iterator[None]:
    """Hold the folder for this process, its files checked and the cells planned in it.

    The system lets go of the folder however the process ends.

    Raises:
        FolderInUseError: another process holds it.
        ValueError: the folder cannot be made or written.
        DamagedFileError: a checkpoint or rows file is damaged; it has been set aside and the message says where.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / "lock").open("a+")
    except OSError as error:
        raise ValueError(f"cannot write to {out}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise FolderInUseError(
                f"{out} is in use by process {file.read().strip()}; wait for it or choose --out"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        set_damaged_aside(out)
        for cell in cells:
            folder = cell_folder(out, cell)
            folder.mkdir(parents=True, exist_ok=True)
            rows.write_atomically(folder / "cell.json", json.dumps(cell.as_json(), indent=1).encode())
        yield


def set_damaged_aside(out: Path) -> None:
    """Check what a sweep would build on; rename what is damaged, so that its cell starts again.

    Raises:
        DamagedFileError: naming every file that was set aside.
    """
    moved = []
    for folder in sorted(path.parent for path in out.glob("cells/*/cell.json")):
        rows_path, checkpoint_path, finished = (folder / n for n in ("rows.jsonl", "checkpoint.pt", "finished.json"))
        for path, read in ((rows_path, rows.read), (folder / outcomes.LINES, outcomes.read_lines)):
            try:
                read(path)
            except rows.DamagedFileError as error:
                moved.append((error, rows.set_aside(path)))
                # What is lost from the middle comes back only by training again from the start.
                for later in (checkpoint_path, finished):
                    if later.exists():
                        rows.set_aside(later)
        if checkpoint_path.exists() and not finished.exists():
            try:
                checkpoint.verify(checkpoint_path)
            except rows.DamagedFileError as error:
                moved.append((error, rows.set_aside(checkpoint_path)))
    for table, read_table in ((out / "rows.parquet", rows.read_table), (out / outcomes.FILE, outcomes.read_table)):
        if table.exists():
            try:
                read_table(table)
            except rows.DamagedFileError as error:
                moved.append((error, rows.set_aside(table)))
    if moved:
        said = "\n".join(f"{error}\n  set aside as {path}" for error, path in moved)
        raise rows.DamagedFileError(f"{said}\nThe same command again trains the affected cells from their start.")


def gather(out: Path) -> None:
    """Collect the rows of every cell in the folder into `rows.parquet`, and their outcomes into `outcomes.parquet`."""
    collected = [row for path in sorted(out.glob("cells/*/rows.jsonl")) for row in rows.read(path)]
    if collected:
        rows.write_table(out / "rows.parquet", collected)
    tested = {(row["cell_id"], row["step"]) for row in collected}  # a cell that was killed may not have its rows yet
    lines = [line for path in sorted(out.glob(f"cells/*/{outcomes.LINES}")) for line in outcomes.read_lines(path)]
    if kept := [line for line in lines if (line["cell_id"], line["step"]) in tested]:
        rows.write_frame(out / outcomes.FILE, outcomes.table(kept))


def cells_in(out: Path) -> list[Cell]:
    """The cells that were ever planned in a folder, by difficulty, N and seed.

    Raises:
        ValueError: nothing was, or one is no cell of this code.
    """
    found = sorted(out.glob("cells/*/cell.json"))
    if not found:
        raise ValueError(f"{out} holds no cells; `bench run` makes them")
    cells = []
    for path in found:
        try:
            cells.append(Cell.from_json(json.loads(path.read_text(encoding="utf-8"))))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} describes no cell of this code: {error}") from error
    return sorted(cells, key=lambda c: (c.task.name, c.difficulty or 0, c.training.sleep_passes, c.seed, c.id))
