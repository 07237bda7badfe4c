"""Rows in files as a running cell writes them: JSON lines, synced to disk, each cell's in a file of its own."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.rows.schema import Row


class DamagedFileError(ValueError):
    """A rows file or checkpoint that is not what was written; it has been set aside, not deleted."""


def append(path: Path, rows: Iterable[Row]) -> None:
    """Append rows as JSON lines and wait until they are on disk; an unfinished last line, a torn write, goes first."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def read(path: Path, keys: Sequence[str] = ("cell_id", "step", "status")) -> list[Row]:
    """The rows of a JSON-lines file; none if there is no file. An unfinished last line is a torn write: left out.

    Args:
        path: The file.
        keys: What every row has.

    Raises:
        DamagedFileError: any other line that is not a row.
    """
    if not path.exists():
        return []
    rows: list[Row] = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DamagedFileError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict) or not set(keys) <= row.keys():
            raise DamagedFileError(f"{path}, line {number}: not a row of sleepbench")
        rows.append(row)
    return rows


def rewrite(path: Path, rows: Sequence[Row]) -> None:
    """Replace the file's rows in one atomic step."""
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def write_atomically(path: Path, data: bytes) -> None:
    """Write so that whatever happens the file is the old one or the new one, whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)  # the new name is on disk only when its folder is
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def set_aside(path: Path) -> Path:
    """Rename a damaged file to a free `.damaged-N` name beside it; the new path."""
    for number in range(1, 1000):
        target = path.with_name(f"{path.name}.damaged-{number}")
        if not target.exists():
            return path.rename(target)
    raise DamagedFileError(f"{path}: a thousand damaged copies lie beside it already")
