"""Tables of whoever wrote them, fitted to what is read: older schemas, other number types; what cannot be is named."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.rows.files import DamagedFileError, OtherCodeError
from benchmark.rows.schema import (
    COLUMNS,
    COUNT_COLUMNS,
    LATER,
    NAME_COLUMNS,
    REPORT,
    SCHEMA_VERSION,
    TEST_COLUMNS,
    Status,
    is_setting,
)

if TYPE_CHECKING:
    import polars as pl


def column_kinds() -> dict[str, Any]:
    """The type of every column of `COLUMNS` in a table."""
    import polars as pl

    kinds = {"str": pl.String, "int": pl.Int64, "float": pl.Float64}
    return {name: kinds[column.kind] for name, column in COLUMNS.items()}


def conform(frame: "pl.DataFrame", path: Path) -> "pl.DataFrame":
    """A table of rows as this code writes it.

    Args:
        frame: What a file holds.
        path: That file, for the messages.

    Raises:
        DamagedFileError: not a table of rows: a column is missing, of another type or empty where it must not be; or
            one beside those of rows is no setting, because it varies within a cell, as the index does that pandas
            writes.
        OtherCodeError: of a newer schema, or of a status that is not known here.
    """
    try:
        frame = _cast(frame, column_kinds())
        frame = _migrate(frame)
        if missing := [name for name in COLUMNS if name not in frame.columns]:
            raise ValueError(f"not a table of rows: it lacks {', '.join(missing)}")
        _check_known(frame)
        _check_filled(frame)
        frame = _cast(frame, _read_by_name(frame))
        _check_settings(frame)
    except OtherCodeError as error:
        raise OtherCodeError(f"{path} {error}") from error
    except ValueError as error:
        raise DamagedFileError(f"{path} is {error}") from error
    return frame


def _cast(frame: "pl.DataFrame", kinds: dict[str, Any]) -> "pl.DataFrame":
    """The columns named, in their types.

    Raises:
        ValueError: naming the first whose values are of another.
    """
    import polars as pl

    columns = []
    for name, kind in kinds.items():
        if name not in frame.columns or (dtype := frame.schema[name]) == kind:
            continue
        texts = dtype in (pl.String, pl.Categorical, pl.Enum)
        if dtype != pl.Null and (not texts if kind == pl.String else not dtype.is_numeric()):
            contents = "texts" if kind == pl.String else "numbers"
            raise ValueError(f"not a table of rows: column {name} is of {contents}, and holds {dtype}")
        column = frame[name].cast(kind, strict=False)
        if dtype.is_numeric() and not (column.is_null() == (frame[name].is_null() | _nan(frame[name]))).all():
            raise ValueError(f"not a table of rows: column {name} has a number beyond {kind}")
        if dtype.is_float() and kind == pl.Int64 and not ((column - frame[name]) == 0).all():
            raise ValueError(f"not a table of rows: column {name} is of whole numbers, and holds {dtype}")
        columns.append(column)
    return frame.with_columns(columns)


def _nan(column: "pl.Series") -> Any:
    return column.is_nan().fill_null(False) if column.dtype.is_float() else column.is_null()


def _migrate(frame: "pl.DataFrame") -> "pl.DataFrame":
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
    later = [pl.lit(None, dtype=column_kinds()[name]).alias(name) for name in LATER if name not in frame.columns]
    newest = pl.when(version.is_in([*older])).then(SCHEMA_VERSION).otherwise(version).cast(pl.Int64)
    frame = frame.with_columns(*floors, *later, schema_version=newest)
    return frame.select(*(c for c in COLUMNS if c in frame.columns), *(c for c in frame.columns if c not in COLUMNS))


def _check_known(frame: "pl.DataFrame") -> None:
    """Refuse what newer code wrote.

    Raises:
        OtherCodeError: its schema, or a status.
    """
    if frame.height and (versions := set(frame["schema_version"].drop_nulls())) - {SCHEMA_VERSION}:
        raise OtherCodeError(f"has schema versions {versions}; this code reads 1 to {SCHEMA_VERSION}")
    statuses = [str(status) for status in Status if status.in_rows]
    if unknown := sorted(set(frame["status"].drop_nulls()) - set(statuses)):
        raise OtherCodeError(f"has rows of status {unknown[0]!r}; this code knows {', '.join(statuses)}")


def _check_filled(frame: "pl.DataFrame") -> None:
    """Refuse a table that lacks values which every row has, or every row with scores.

    Raises:
        ValueError: naming the columns.
    """
    import polars as pl

    scores = frame.filter(pl.col("status") == Status.OK)
    pass_columns = [name for name in ("sleep_passes",) if name in frame.columns]
    empty = [name for name in NAME_COLUMNS if frame[name].null_count()]
    empty += [name for name in (*TEST_COLUMNS, *pass_columns) if (scores[name].is_null() | _nan(scores[name])).any()]
    if empty:
        raise ValueError(f"not a table of rows: {', '.join(empty)} without a value in some")
    if small := [name for name in COUNT_COLUMNS if (scores[name] < 1).any()]:
        raise ValueError(f"not a table of rows: {', '.join(small)} below 1 in some")


def _read_by_name(frame: "pl.DataFrame") -> dict[str, Any]:
    """Settings that readers know by name, and their type: N, the budget, eviction, and whatever is a difficulty."""
    import polars as pl

    axes = set(frame["axis"].drop_nulls()) & set(frame.columns) - COLUMNS.keys()
    kinds = dict.fromkeys(sorted({"sleep_passes", "tokens", *axes}), pl.Int64)
    return kinds | {"eviction": pl.String, "hard_share": pl.Float64}


def _check_settings(frame: "pl.DataFrame") -> None:
    """Refuse columns beside those of rows that are no settings.

    Raises:
        ValueError: naming them.
    """
    import polars as pl

    if texts := [name for name in frame.columns if name.startswith(REPORT) and not frame.schema[name].is_numeric()]:
        raise ValueError(f"not a table of rows: {', '.join(texts)} must hold numbers")
    others = [name for name in frame.columns if is_setting(name)]
    for name in others:
        inner = frame.schema[name]
        while isinstance(inner, pl.List):
            inner = inner.inner  # type: ignore[assignment]
        if not (inner.is_numeric() or inner in (pl.String, pl.Boolean, pl.Null, pl.Categorical, pl.Enum)):
            raise ValueError(f"not a table of rows: setting {name} holds {frame.schema[name]}")
    if not others or not frame.height:
        return
    counts = frame.group_by("cell_id").agg(pl.col(others).drop_nulls().n_unique()).select(pl.col(others).max())
    if strange := [name for name, count in zip(others, counts.row(0), strict=True) if count > 1]:
        raise ValueError(
            f"not a table of rows: {', '.join(strange)} varies within a cell, so that it is no setting of cells; write "
            "the table without it (pandas: to_parquet(..., index=False))"
        )
