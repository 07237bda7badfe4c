"""Rows in files as a running cell writes them: stamped JSON lines, synced to disk, each cell's in a file of its own."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.rows import stamps
from benchmark.rows.files import DamagedFileError, path_in_errors, read_plain, write_atomically
from benchmark.rows.schema import Row
from benchmark.rows.stamps import Seal
from benchmark.rows.validity import check_cell


def append(path: Path, rows: Iterable[Row], *, after: Seal | None = None) -> Seal:
    """Append rows and wait until they are on disk; an unfinished last line, a torn write, goes first.

    Args:
        path: The file, there or not.
        rows: What is appended.
        after: The seal that the file should have.

    Returns:
        The seal that it has now.

    Raises:
        DamagedFileError: it has another than `after`.
        OSError: it cannot be written; the error names it.
    """
    if path.exists():
        read_plain(path)
    with path_in_errors(path), path.open("ab+") as file:
        file.seek(0)
        *whole, torn = file.read().split(b"\n")
        seal = Seal(len(whole), stamps.check_of(whole[-1]) if whole else None)
        if after is not None and seal != after:
            raise DamagedFileError(f"{path} was changed while its cell was trained: {seal} in place of {after}")
        text, seal = _text(rows, seal)
        file.truncate(file.tell() - len(torn))
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return seal


def rewrite(path: Path, rows: Sequence[Row]) -> Seal:
    """Replace the file's rows in one atomic step; the seal that it has now."""
    text, seal = _text(rows, Seal(0, None))
    write_atomically(path, text)
    return seal


def read(path: Path, cell_id: str | None = None) -> list[Row]:
    """The rows of a cell's file; none if there is no file. An unfinished last line is a torn write: left out.

    Args:
        path: The file.
        cell_id: The cell that they should be of.

    Raises:
        DamagedFileError: it is not what was written, or no cell writes such rows; the message names the line.
        OtherCodeError: other code wrote it: a newer schema, or a status that is not known here.
    """
    return check_cell(path, stamps.lines(path), cell_id)


def seal(path: Path, count: int | None = None) -> Seal:
    """How many whole lines a file has, of the first `count`, and the check of the last of them.

    Their own checks are not gone through; that does whoever reads them.
    """
    lines = read_plain(path).split(b"\n")[:-1][:count] if path.exists() else []
    return Seal(len(lines), stamps.check_of(lines[-1]) if lines else None)


def _text(rows: Iterable[Row], seal: Seal) -> tuple[bytes, Seal]:
    """Rows as lines that follow those of a seal, and the seal of all."""
    count, check = seal
    text = []
    for row in rows:
        line = stamps.stamp(row, check)
        count, check = count + 1, stamps.check_of(line)
        text.append(line + b"\n")
    return b"".join(text), Seal(count, check)
