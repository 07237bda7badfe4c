"""The tables of `bench probe`: what their columns mean, and how they are written and read. Figures see these alone."""

import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from benchmark import rows
from benchmark.rows import Column, DamagedFileError, Row, write_atomically

CELL = {
    "suite": Column(kind="str", about="suite the cell was run in, or null"),
    "scale": Column(kind="str", about="scale of that suite, or null"),
    "cell_id": Column(kind="str", about="hash of the cell's settings, seed and versions"),
    "task": Column(kind="str", about="name of the task"),
    "model": Column(kind="str", about="name of the model"),
    "settings": Column(kind="str", about="what else tells the folder's cells apart, or empty"),
    "axis": Column(kind="str", about="name of the task's difficulty"),
    "difficulty": Column(kind="int", about="the cell's difficulty; null where its examples mix several"),
    "sleep_passes": Column(kind="int", about="N: passes per window, in training and here"),
    "seed": Column(kind="int", about="seed of parameters and training data"),
    "pass": Column(kind="int", about="n: S is that after pass n of N over the last window that is consolidated"),
    "block": Column(kind="int", about="fast-weight block, from 0; null: all blocks together"),
}
"""What both tables begin with."""

PROBES = CELL | {
    "kind": Column(kind="str", about="what is looked for: first cell, every cell, node, value, answer"),
    "step": Column(kind="int", about="steps of computation from what was read to it (Depo: hops; 1 is an edge)"),
    "stored": Column(kind="bool", about="whether it was read as it is, so that no computation is needed"),
    "accuracy": Column(kind="float", about="share of items that a linear probe of S reads right, held-out examples"),
    "untrained": Column(kind="float", about="control: the same of S of the same network before training"),
    "tokens": Column(kind="float", about="control: the same of the tokens that were read, one-hot; null if too many"),
    "shuffled": Column(kind="float", about="control: the same of S with values shuffled among examples for fitting"),
    "majority": Column(kind="float", about="always the most frequent value"),
    "chance": Column(
        kind="float", about="a guess without computation on what was read, from the task; null if unknown"
    ),
    "model_accuracy": Column(kind="float", about="the model's own final accuracy per answer on such items, if asked"),
    "classes": Column(kind="int", about="values an item can have"),
    "features": Column(kind="int", about="numbers in S that the probe sees"),
    "penalty": Column(kind="float", about="L2 penalty of the probe, chosen on other examples than the test's"),
    "n_fit": Column(kind="float", about="examples an item's probe was fitted on, on average"),
    "n_test": Column(kind="int", about="items scored"),
}

SPECTRA = CELL | {
    "head": Column(kind="int", about="matrix of the block, from 0; where a rule keeps several per head, those first"),
    "norm": Column(kind="float", about="Frobenius norm of the matrix, mean over examples"),
    "effective_rank": Column(
        kind="float", about="exp of the entropy of the normalised singular values (Roy, Vetterli 2007), mean"
    ),
    "change": Column(
        kind="float", about="norm of what the pass changed over the sum of norms before and after, mean; 1: all new"
    ),
    "untrained_norm": Column(kind="float", about="control: norm before training"),
    "untrained_rank": Column(kind="float", about="control: effective_rank before training"),
    "size": Column(kind="int", about="the largest rank possible: the smaller of K and V"),
}

FILES = {"probe.csv": PROBES, "fast_weights.csv": SPECTRA}
"""The tables by file name."""

_KINDS = {"str": pl.String, "int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean}


def table(name: str, lines: Sequence[Row]) -> pl.DataFrame:
    """Rows as the table of that file name."""
    return pl.DataFrame(lines, schema={column: _KINDS[c.kind] for column, c in FILES[name].items()}, orient="row")


def write(folder: Path, name: str, lines: Sequence[Row]) -> Path:
    """Write the rows as a table into the folder, whole or not at all; its path."""
    text = io.StringIO()
    table(name, lines).write_csv(text, float_precision=6)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / name, text.getvalue().encode())
    return folder / name


def read(folder: Path, name: str) -> pl.DataFrame:
    """The table of that name in a folder.

    Raises:
        ValueError: there is none.
        DamagedFileError: it is not such a table.
    """
    path = folder / name
    if not path.exists():
        raise ValueError(f"no table at {path}; `bench probe` writes it")
    try:
        return pl.read_csv(path, schema={column: _KINDS[c.kind] for column, c in FILES[name].items()}, glob=False)
    except pl.exceptions.PolarsError as error:
        raise DamagedFileError(f"{path} is not a table of `bench probe`: {error}") from error


def terminal_table(probes: pl.DataFrame) -> tuple[list[str], list[list[object]]]:
    """Columns and lines for people: mean accuracy over seeds, a line per step and pass, a control per column."""
    key = ["task", "model", "settings", "difficulty", "kind", "step", "sleep_passes", "pass"]
    scores = ["accuracy", "untrained", "tokens", "majority", "model_accuracy"]
    together = probes.filter(pl.col("block").is_null()).group_by(key, maintain_order=True)
    mean = together.agg(*(pl.col(column).mean() for column in scores), seeds=pl.col("seed").n_unique())
    mean = mean.sort(key, nulls_last=True, maintain_order=True)
    key_columns = [
        name for name in key if name in ("kind", "step", "sleep_passes", "pass") or mean[name].n_unique() > 1
    ]
    columns = [*key_columns, "seeds", *scores]
    names = {"sleep_passes": "N", "pass": "n", "model_accuracy": "model"}
    lines = [
        [f"{value:.3f}" if isinstance(value, float) else "-" if value is None else value for value in row]
        for row in mean.select(columns).rows()
    ]
    return [names.get(column, column) for column in columns], lines


def dictionary() -> str:
    """The columns of both tables in Markdown."""
    return "\n\n".join(f"`{name}`:\n\n{rows.dictionary(columns)}" for name, columns in FILES.items())
