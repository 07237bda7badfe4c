"""Rows: the one joint between running and reading. One row is one evaluated condition of one cell.

A running cell appends JSON lines, synced to disk, to a file of its own; a sweep gathers them into `rows.parquet`.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

SCHEMA_VERSION = 4

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column that every rows file has.

    Attributes:
        kind: "str", "int" or "float"; any may be null where `about` says so.
        about: Meaning and unit.
    """

    kind: str
    about: str


COLUMNS: dict[str, Column] = {
    "schema_version": Column(kind="int", about="version of this table"),
    "suite": Column(kind="str", about="suite the cell was run in"),
    "scale": Column(kind="str", about="scale of that suite"),
    "cell_id": Column(kind="str", about="hash of the cell's settings, seed and versions"),
    "status": Column(kind="str", about="ok, diverged, out_of_memory or crashed; scores are null unless ok"),
    "reason": Column(kind="str", about="why the status is not ok, else null"),
    "task": Column(kind="str", about="name of the task"),
    "task_version": Column(kind="int", about="version of the task's examples"),
    "model": Column(kind="str", about="name of the model"),
    "model_version": Column(kind="int", about="version of the model's numbers"),
    "seed": Column(kind="int", about="seed of parameters and training data"),
    "variant": Column(
        kind="str", about="what the suite calls the cell beside its settings (controls: the rival), or null"
    ),
    "seq_len": Column(kind="int", about="T: tokens of one sequence, answers included"),
    "window": Column(kind="int", about="L: tokens read before eviction"),
    "step": Column(kind="int", about="optimizer steps taken"),
    "tokens_seen": Column(kind="int", about="training tokens read, each counted once whatever N"),
    "train_flops": Column(
        kind="float", about="FLOPs of forward and backward up to here, multiply and add counted apart; no optimizer"
    ),
    "sleep_flops": Column(kind="float", about="forward FLOPs of consolidating all windows of one sequence"),
    "wake_flops": Column(kind="float", about="forward FLOPs of predicting one sequence's answers"),
    "state_bytes": Column(kind="int", about="bytes of state kept per sequence between windows"),
    "cache_bytes": Column(
        kind="int",
        about="bytes (fp32) of keys and values of a sequence's consolidated windows, which state replaces, or null",
    ),
    "parameters": Column(kind="int", about="trained parameters"),
    "split": Column(kind="str", about="split the scores are of"),
    "tested_passes": Column(
        kind="int", about="N used in the test; differs from sleep_passes where test_passes says so"
    ),
    "axis": Column(kind="str", about="name of the task's difficulty"),
    "difficulty": Column(kind="int", about="value of that difficulty"),
    "answer": Column(
        kind="int",
        about="which answer of the example (rule110: which string); null: all, right together (depo: each by itself)",
    ),
    "n_examples": Column(kind="int", about="held-out examples scored; where answers count by themselves, answers"),
    "loss": Column(kind="float", about="cross-entropy per target token, nats"),
    "train_loss": Column(kind="float", about="mean training loss since the row before, nats per target token"),
    "token_accuracy": Column(kind="float", about="share of target tokens right (rule110: per-bit accuracy)"),
    "exact_match": Column(kind="float", about="share of those with every token right"),
    "chance": Column(kind="float", about="exact_match of a guess without computation on what was read, from the task"),
    "majority": Column(kind="float", about="exact_match of always the most frequent answer, from the task"),
    "question_only": Column(kind="float", about="exact_match of the best guess from the question alone, from the task"),
    "shortcut": Column(
        kind="float",
        about="exact_match of the best predictor known that reads but does not compute what is asked, from the task; "
        "tables that are always right do not count; null if it knows none, and for one of several answers that must be "
        "right together",
    ),
    "shortcut_name": Column(kind="str", about="what the task calls that predictor, or null"),
    "lift": Column(kind="float", about="(exact_match - chance) / (1 - chance): 0 is guessing, 1 is perfect"),
    "wall_s": Column(kind="float", about="seconds of training and testing up to here, over all restarts"),
    "device": Column(kind="str", about="device type"),
    "processor": Column(
        kind="str",
        about="CPU or GPU, as the system calls it; another rounds differently, so that a seed gives other numbers",
    ),
    "torch": Column(kind="str", about="torch version"),
    "audit": Column(
        kind="str",
        about="of a model from outside: passed or skipped (--no-audit); null: a model of this suite, or old rows",
    ),
    "commit": Column(kind="str", about="commit of this code, '-dirty' when changed; null outside a repository"),
}
"""Columns of every task and model, in order. The settings of task, model and training follow, one column each."""

LATER = ("variant", "cache_bytes", "shortcut", "shortcut_name", "processor", "audit")
"""Columns that versions before this one did not have: null in their rows."""

WALL_COLUMNS = ("wall_s",)
"""Columns that differ between two runs of the same cell on the same machine; every other is bit-for-bit equal."""


def dictionary(columns: Mapping[str, Column] = COLUMNS) -> str:
    """The columns of every rows file, or of another table, as a Markdown table."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    return "\n".join(lines + [f"| `{name}` | {column.kind} | {column.about} |" for name, column in columns.items()])


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
        DamagedFileError: not parquet, or not a table of rows, or one of a newer schema.
    """
    import polars as pl

    path = path / "rows.parquet" if path.is_dir() else path
    if not path.exists():
        raise ValueError(f"no rows at {path}; `bench run` writes them")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DamagedFileError(f"{path} is not a readable parquet file: {error}") from error
    frame = _migrated(frame)
    if missing := [c for c in COLUMNS if c not in frame.columns]:
        raise DamagedFileError(f"{path} is not a table of rows: it lacks {', '.join(missing)}")
    if frame.height and (versions := set(frame["schema_version"])) != {SCHEMA_VERSION}:
        raise DamagedFileError(f"{path} has schema versions {versions}; this code reads 1 to {SCHEMA_VERSION}")
    return frame


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
