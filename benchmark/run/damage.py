"""Damage in the folder of a cell: what is no longer what was written is renamed, never deleted, and named.

Rows and outcomes say line by line whether they are whole; that none is missing at their end say `finished.json` and the
checkpoint, which keep the seals of both files.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import rows
from benchmark.rows import DamagedFileError, Seal
from benchmark.rows.files import check_plain
from benchmark.run import checkpoint

if TYPE_CHECKING:
    from benchmark.run.cell_folder import CellFolder


def set_aside(folder: "CellFolder") -> list[str]:
    """Rename what a sweep would build on and cannot, so that the cell starts again; a line for each damage.

    A cell that a worker of a killed sweep still trains is left alone: it is asked again when its turn comes.

    Raises:
        OtherCodeError: other code wrote it; it stays.
    """
    lines = []
    with folder.locked() as mine:
        if mine:
            for path, check, depending in _checks(folder):
                if damage := _unless(check, path):
                    lines.append(damage)
                    for later in depending:
                        if later.exists():
                            rows.set_aside(later)
                    folder.forget()
    return lines


def derived_set_aside(path: Path, read: Callable[[], Any]) -> str | None:
    """Rename a file that can be made again and cannot be read, or that other code wrote; a line that says so."""

    def check() -> None:
        check_plain(path)  # readers of tables take a folder for one that holds a table
        read()

    try:
        return _unless(check, path) if path.exists() else None
    except rows.OtherCodeError as error:
        return f"{error}\n  set aside as {rows.set_aside(path)}"


def check_seal(path: Path, seal: Seal, by: Path, *, exact: bool) -> None:
    """Refuse a file of lines that is not the one which another file knows.

    Args:
        path: The file of lines, there or not.
        seal: What it had.
        by: The file that knows that.
        exact: Whether nothing may follow.

    Raises:
        DamagedFileError: it differs.
    """
    there = rows.seal(path)
    if there != seal and (exact or rows.seal(path, seal.lines) != seal):
        different = there.lines < seal.lines or (exact and there.lines != seal.lines)
        what = f"has {there.lines} lines, not the {seal.lines}" if different else "does not have the lines"
        raise DamagedFileError(f"{path} {what} that {by.name} knows of")


def _checks(folder: "CellFolder") -> Iterator[tuple[Path, Callable[[], Any], tuple[Path, ...]]]:
    """Each file that may be damaged, what finds it out, and what is worth nothing without it."""
    later = (folder.checkpoint, folder.finished)  # what is lost comes back only by training from the start
    yield folder.rows_file, lambda: folder.rows, later
    yield folder.outcomes_file, lambda: folder.outcomes, later
    if folder.finished.exists():
        yield folder.finished, lambda: folder.end, ()
    if folder.finished.exists():
        for path in folder.logs:
            yield path, partial(folder.check_ended, path), later
    elif folder.checkpoint.exists():
        seals: dict[str, Seal] = {}
        yield folder.checkpoint, lambda: seals.update(_seals(folder)), ()
        for path in folder.logs:
            if path.stem in seals:
                yield path, partial(check_seal, path, seals[path.stem], folder.checkpoint, exact=False), later


def _seals(folder: "CellFolder") -> dict[str, Seal]:
    """The seals that the checkpoint knows, by name; older code wrote none.

    Raises:
        DamagedFileError: it is not what was written, or another cell's.
    """
    facts = checkpoint.verify(folder.checkpoint)
    of = facts.get("cell_id")
    if None not in (of, folder.cell_id) and of != folder.cell_id:
        raise DamagedFileError(f"{folder.checkpoint} belongs to cell {of}, not {folder.cell_id}")
    return {path.stem: Seal.of(facts[path.stem]) for path in folder.logs if path.stem in facts}


def _unless(check: Callable[[], Any], path: Path) -> str | None:
    """Check a file; if it is damaged, rename it where it is there, and say why and to what."""
    try:
        check()
    except DamagedFileError as error:
        return f"{error}\n  set aside as {rows.set_aside(path)}" if path.exists() else f"{error}\n  it is gone"
    return None
