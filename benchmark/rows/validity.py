"""What the rows of one cell must be, beside the checks of their lines: types, values, one cell, the order of tests."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.rows.files import DamagedFileError, OtherCodeError
from benchmark.rows.schema import (
    COLUMNS,
    COUNT_COLUMNS,
    NAME_COLUMNS,
    REPORT,
    SCHEMA_VERSION,
    STAMP_VERSION,
    TEST_COLUMNS,
    Row,
    Status,
)

LARGEST = 2**63 - 1
"""The largest whole number that a table holds."""

_PLACE = ("step", "tested_passes", "difficulty", "answer")
_ROW_STATUSES = tuple(str(status) for status in Status if status.in_rows)


def check_cell(path: Path, lines: Iterable[tuple[int, Row, str | None]], cell_id: str | None = None) -> list[Row]:
    """The rows in the lines of a cell's file, number, contents and check each.

    Args:
        path: Where they are from, for the messages.
        lines: What stands there.
        cell_id: The cell that they should be of; None: all of one.

    Raises:
        DamagedFileError: naming the first line that no cell writes there.
        OtherCodeError: the line is whole, and of code that knows more.
    """
    rows: list[Row] = []
    places: set[tuple[Any, ...]] = set()
    before: Row = {}
    for number, row, check in lines:
        try:
            _check_known(row, whole=check is not None)
            _check_values(before, row)
            _check_filled(row)
            if row["cell_id"] != (cell_id or before.get("cell_id", row["cell_id"])):
                raise ValueError(f"of another cell, {row['cell_id']}")
            if row["status"] == Status.OK:
                if before.get("status", Status.OK) != Status.OK:
                    raise ValueError(f"scores after the cell's end ({before['status']})")
                if row["step"] < before.get("step", row["step"]):
                    raise ValueError(f"step {row['step']} after step {before['step']}")
                if (place := tuple(row[name] for name in _PLACE)) in places:
                    raise ValueError("a test that stands there already")
                places.add(place)
        except OtherCodeError as error:
            raise OtherCodeError(f"{path}, line {number}: {error}; it stays as it is") from error
        except ValueError as error:
            raise DamagedFileError(f"{path}, line {number}: {error}") from error
        rows.append(row)
        before = row
    return rows


def _check_known(row: Row, *, whole: bool) -> None:
    """Refuse a schema or a status that this code does not know: of a whole line newer code wrote it, else it is damage.

    Raises:
        OtherCodeError: newer code wrote it.
        ValueError: no code did.
    """
    if lacking := [name for name in ("schema_version", "cell_id", "status") if name not in row]:
        raise ValueError(f"not a row of sleepbench: it lacks {', '.join(lacking)}")
    version, status = row["schema_version"], row["status"]
    error = OtherCodeError if whole else ValueError
    if not _is_kind(version, "int") or not 1 <= version <= SCHEMA_VERSION:
        raise error(f"schema version {version!r}; this code reads 1 to {SCHEMA_VERSION}")
    if status not in _ROW_STATUSES:
        raise error(f"status {status!r}; this code knows {', '.join(_ROW_STATUSES)}")
    if version >= STAMP_VERSION and not whole:
        raise ValueError(f"has no check, as rows of schema version {version} have")


def _check_values(before: Row, row: Row) -> None:
    """Refuse what is no value of its column, and a setting that varies; what stands in the row before is not asked.

    Raises:
        ValueError: naming the column.
    """
    for name, value in row.items():
        same = before.get(name)
        if value is None or (value == same and type(value) is type(same)):
            continue
        if name in COLUMNS:
            if not _is_kind(value, COLUMNS[name].kind):
                raise ValueError(f"{name} is {_excerpt(value)}, not of type {COLUMNS[name].kind}")
        elif name.startswith(REPORT):
            if not _is_kind(value, "float"):
                raise ValueError(f"{name} is {_excerpt(value)}, not a number")
        elif not _is_setting(value):
            raise ValueError(f"{name} is {_excerpt(value)}, which is no value of a setting")
        elif name in before:
            raise ValueError(f"setting {name} is {_excerpt(value)}, and {_excerpt(same)} in the line before")


def _check_filled(row: Row) -> None:
    """Refuse a row without what every row has, and one of scores without them.

    Raises:
        ValueError: naming the columns.
    """
    if empty := [name for name in NAME_COLUMNS if row.get(name) is None]:
        raise ValueError(f"a row without {', '.join(empty)}")
    if row["status"] == Status.OK:
        lacking = [name for name in TEST_COLUMNS if row.get(name) is None] + ["answer"] * ("answer" not in row)
        if lacking:
            raise ValueError(f"a row with scores lacks {', '.join(lacking)}")
        if small := [name for name in COUNT_COLUMNS if row.get(name) is not None and row[name] < 1]:
            raise ValueError(f"{', '.join(small)} below 1")


def _is_kind(value: Any, kind: str) -> bool:
    """Whether a value is of a column's type, and one that a table holds."""
    match value:
        case bool():
            return False
        case str():
            return kind == "str" and _is_text(value)
        case int():
            return kind in ("int", "float") and abs(value) <= LARGEST
        case float():
            return kind == "float"
    return False


def _is_setting(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_setting, value))
    return value is None or isinstance(value, bool) or any(_is_kind(value, kind) for kind in ("str", "int", "float"))


def _is_text(value: str) -> bool:
    """Whether it is made of characters: half of one is none."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _excerpt(value: Any) -> str:
    """A value in a message: a text may be long, or hold what a terminal obeys."""
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
