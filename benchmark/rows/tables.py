"""Rows as tables: what a sweep gathers into `rows.parquet`, and how a table of any version is read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.environment import REFERENCE
from benchmark.rows.files import DamagedFileError, write_atomically
from benchmark.rows.schema import COLUMNS, LATER, SCHEMA_VERSION, Row

if TYPE_CHECKING:
    import polars as pl


def table(rows: Sequence[Row]) -> "pl.DataFrame":
    """Rows as a table: the columns of `COLUMNS` first, then every setting; sorted, so that order tells nothing."""
    import polars as pl

    schema: dict[str, Any] = _kinds()
    settings = sorted({name for row in rows for name in row} - schema.keys())
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


def _kinds() -> dict[str, Any]:
    """The type of every column in a table."""
    import polars as pl

    kinds = {"str": pl.String, "int": pl.Int64, "float": pl.Float64}
    return {name: kinds[column.kind] for name, column in COLUMNS.items()}


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write `table(rows)` as parquet, atomically."""
    write_frame(path, table(rows))


def write_frame(path: Path, frame: "pl.DataFrame") -> None:
    """Write any table as parquet, atomically."""
    import io

    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    write_atomically(path, buffer.getvalue())


def read_table(path: Path) -> "pl.DataFrame":
    """A rows table from a parquet file, or from the folder of a suite that holds one.

    Raises:
        ValueError: no such file.
        DamagedFileError: not parquet, or not a table of rows, or one of a newer schema; or a column beside those of
            rows that is no setting, because it varies within a cell, such as the index that pandas writes.
    """
    import polars as pl

    path = path / "rows.parquet" if path.is_dir() else path
    if not path.exists():
        if path.is_relative_to(REFERENCE):
            raise ValueError(f"no rows at {path}: reference rows come with a clone; name a folder")
        raise ValueError(f"no rows at {path}; `bench run` writes them")
    try:
        frame = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DamagedFileError(f"{path} is not a readable parquet file: {error}") from error
    frame = _migrated(frame)
    if missing := [c for c in COLUMNS if c not in frame.columns]:
        raise DamagedFileError(f"{path} is not a table of rows: it lacks {', '.join(missing)}")
    for name, kind in _kinds().items():
        if (held := frame.schema[name]) != pl.Null and held.is_numeric() != kind.is_numeric():
            wanted = "numbers" if kind.is_numeric() else "texts"
            raise DamagedFileError(f"{path} is not a table of rows: column {name} is of {wanted}, and holds {held}")
    if frame.height and (versions := set(frame["schema_version"])) != {SCHEMA_VERSION}:
        raise DamagedFileError(f"{path} has schema versions {versions}; this code reads 1 to {SCHEMA_VERSION}")
    if strange := _varying(frame):
        raise DamagedFileError(
            f"{path}: {', '.join(strange)} varies within a cell, so that it is no setting of cells; write the table "
            "without it (pandas: to_parquet(..., index=False))"
        )
    return frame


def _varying(frame: "pl.DataFrame") -> list[str]:
    """Columns beside those of rows that differ within a cell."""
    import polars as pl

    others = [name for name in frame.columns if name not in COLUMNS]
    if not others or not frame.height:
        return []
    counts = frame.group_by("cell_id").agg(pl.col(others).drop_nulls().n_unique()).select(pl.col(others).max())
    return [name for name, count in zip(others, counts.row(0), strict=True) if count > 1]


def read_tables(sources: Sequence[Path]) -> "pl.DataFrame":
    """The rows of several folders or files as one table, in their order; null where rows lack a setting of others.

    A folder without rows of its own stands for the folders in it that have some.

    Raises:
        ValueError: no sources, or no rows in one of them.
        DamagedFileError: as `read_table`.
    """
    import polars as pl

    if not sources:
        raise ValueError("no rows were named; give a folder that `bench run` wrote, or a rows.parquet")
    return pl.concat([read_table(path) for source in sources for path in tables_in(source)], how="diagonal_relaxed")


def tables_in(source: Path) -> list[Path]:
    """The source itself or, for a folder without rows of its own, every folder in it that has some, by name."""
    if source.is_dir() and not (source / "rows.parquet").exists():
        return sorted(path.parent for path in source.glob("*/rows.parquet")) or [source]
    return [source]


def _migrated(frame: "pl.DataFrame") -> "pl.DataFrame":
    """A table of an older schema as it would be written now.

    Version 2 brought `majority` and `question_only`, which are the chance for every task of version 1; then came those
    of `LATER`.
    """
    import polars as pl

    older = range(1, SCHEMA_VERSION)
    if not {"schema_version", "chance"} <= set(frame.columns) or not set(frame["schema_version"]) & {*older}:
        return frame
    version, chance = pl.col("schema_version"), pl.col("chance")
    floors = [
        pl.when(version == 1).then(chance).otherwise(pl.col(name) if name in frame.columns else None).alias(name)
        for name in ("majority", "question_only")
    ]
    later = [pl.lit(None, dtype=_kinds()[name]).alias(name) for name in LATER if name not in frame.columns]
    newest = pl.when(version.is_in([*older])).then(SCHEMA_VERSION).otherwise(version).cast(pl.Int64)
    frame = frame.with_columns(*floors, *later, schema_version=newest)
    return frame.select(*(c for c in COLUMNS if c in frame.columns), *(c for c in frame.columns if c not in COLUMNS))
