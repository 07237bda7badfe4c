"""Rows as tables: what a sweep gathers into `rows.parquet`, and how a table of any version is read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.environment import REFERENCE
from benchmark.rows.files import DamagedFileError
from benchmark.rows.fitting import column_kinds, conform
from benchmark.rows.parquet import read_frame, write_frame
from benchmark.rows.schema import Row

if TYPE_CHECKING:
    import polars as pl


def table(rows: Sequence[Row]) -> "pl.DataFrame":
    """Rows as a table: the columns of `COLUMNS` first, then every setting; sorted, so that order tells nothing.

    A setting whose values have several types, as of two plug-ins that use one name, is a column of texts.
    """
    import polars as pl

    schema: dict[str, Any] = column_kinds()
    settings = sorted({name for row in rows for name in row} - schema.keys())
    mixed = {name for name in settings if len({_family(row.get(name)) for row in rows} - {None}) > 1}
    if mixed:
        rows = [row | {name: _text(row[name]) for name in mixed & row.keys()} for row in rows]
    frame = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None, orient="row")
    frame = frame.with_columns(
        pl.lit(None, dtype=kind).alias(n) for n, kind in schema.items() if n not in frame.columns
    )
    empty = pl.selectors.by_dtype(pl.List(pl.Null))  # no value tells the kind; lists hold whole numbers
    frame = frame.with_columns(empty.cast(pl.List(pl.Int64)))
    order = ["suite", "scale", "task", *(a for a in ("rollout_steps", "sleep_passes") if a in settings), "cell_id"]
    return frame.select(*schema, *settings).sort(
        *order, "seed", "step", "tested_passes", "difficulty", "answer", maintain_order=True, nulls_last=True
    )


def _family(value: Any) -> str | None:
    """The type that a column needs for a value; numbers of both types share one."""
    if isinstance(value, list):
        parts = {_family(part) for part in value} - {None}
        return f"list of {' or '.join(sorted(map(str, parts)))}" if parts else "list of number"
    names = {bool: "truth", int: "number", float: "number", str: "text"}
    return names.get(type(value), type(value).__name__) if value is not None else None


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return None if value is None else str(value)


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write `table(rows)` as parquet, atomically."""
    write_frame(path, table(rows))


def read_table(path: Path) -> "pl.DataFrame":
    """A rows table from a parquet file, or from the folder of a suite that holds one.

    Raises:
        ValueError: no such file.
        DamagedFileError: not parquet, not what was written, or not a table of rows; the message names the column.
        OtherCodeError: of a newer schema, or of a status that is not known here.
    """
    folder, path = path, path / "rows.parquet" if path.is_dir() else path
    if not path.exists():
        if path.is_relative_to(REFERENCE):
            raise ValueError(f"no rows at {path}: reference rows come with a clone; name a folder")
        raise ValueError(f"no rows at {path}; `bench run` writes them")
    try:
        return conform(read_frame(path), path)
    except DamagedFileError as error:
        if not (folder / "cells").is_dir():
            raise
        raise DamagedFileError(f"{error}; `bench table {folder}` gathers it again from its cells' own files") from error


def read_tables(sources: Sequence[Path]) -> "pl.DataFrame":
    """The rows of several folders or files as one table, in their order; null where rows lack a setting of others.

    A folder without rows of its own stands for the folders in it that have some.

    Raises:
        ValueError: no sources, or no rows in one of them.
        DamagedFileError: as `read_table`.
    """
    if not sources:
        raise ValueError("no rows were named; give a folder that `bench run` wrote, or a rows.parquet")
    return concatenate([read_table(path) for source in sources for path in tables_in(source)])


def concatenate(frames: Sequence["pl.DataFrame"]) -> "pl.DataFrame":
    """Tables of rows as one; a setting that is a list in one and not in another is a text in both."""
    import polars as pl

    lists = {name for frame in frames for name, kind in frame.schema.items() if kind == pl.List}
    single = {name for frame in frames for name, kind in frame.schema.items() if kind not in (pl.List, pl.Null)}
    alike = [
        frame.with_columns(
            pl.col(name).cast(pl.List(pl.String)).list.join(" ")
            for name in lists & single
            if frame.schema.get(name) == pl.List
        )
        for frame in frames
    ]
    return pl.concat(alike, how="diagonal_relaxed")


def tables_in(source: Path) -> list[Path]:
    """The source itself or, for a folder without rows of its own, every folder in it that has some, by name."""
    if source.is_dir() and not (source / "rows.parquet").exists():
        return sorted(path.parent for path in source.glob("*/rows.parquet")) or [source]
    return [source]
