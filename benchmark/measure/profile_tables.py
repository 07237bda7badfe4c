"""The rows of `bench profile` as CSV, as a table for the terminal, and in words; it loads nothing that measures."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from benchmark.rows.text import Table

Row: TypeAlias = dict[str, Any]
"""A cell with a backend: `cell_id`, `cell` in words, and what `profiling.profile` gives."""


ATTENTION, FAST_WEIGHTS, MLP, NORM = "attention", "fast weights", "MLP", "norm"
HEAD, OPTIMIZER, DATA, OTHER = "head and loss", "optimizer", "data", "other"
ATTENTION_BLOCK, FAST_WEIGHT_BLOCK = "attention block", "fast-weight block"
PARTS = (
    ATTENTION,
    FAST_WEIGHTS,
    MLP,
    NORM,
    ATTENTION_BLOCK,
    FAST_WEIGHT_BLOCK,
    HEAD,
    OPTIMIZER,
    DATA,
    OTHER,
)
"""The parts of a step. A block that runs in C is one call, its norms and MLP included: a part of its own. Other is what
embeds, adds, accumulates gradients and calls the rest; of a model that is no stack of this project's blocks, all of
forward and backward but the loss."""


def parts(rows: Sequence[Row]) -> list[str]:
    """The parts that any of the rows has, in their order."""
    return [part for part in PARTS if any(part in row["seconds"] for row in rows)]


def tidy(rows: Sequence[Row]) -> str:
    """The rows as CSV, a line per part, the whole step and its matrix products among them."""
    lines = []
    for row in rows:
        whole = {"whole step": row["total_s"], "matrix products alone": row["products_s"]}
        for part, seconds in (row["seconds"] | whole).items():
            lines.append([row["cell_id"], row["cell"], row["backend"], part, seconds, seconds / row["total_s"]])
    return Table(["cell_id", "cell", "backend", "part", "seconds", "share"], lines).csv()


def tables(rows: Sequence[Row]) -> list[Table]:
    """For people: a table per cell, milliseconds and percent of the step for each part, backends side by side."""
    return [
        _table([row for row in rows if row["cell_id"] == cell]) for cell in dict.fromkeys(r["cell_id"] for r in rows)
    ]


def _table(rows: Sequence[Row]) -> Table:
    """The table of one cell, a row per backend."""
    lines = [[part, *_numbers([row["seconds"].get(part) for row in rows], rows)] for part in parts(rows)]
    lines.append(["whole step", *_numbers([row["total_s"] for row in rows], rows)])
    lines.append(["matrix products alone", *_numbers([row["products_s"] for row in rows], rows)])
    lines.append(["tokens/s", *(text for row in rows for text in (f"{row['tokens_per_s'] / 1e3:.1f}k", ""))])
    heads = [head for row in rows for head in (f"{row['backend']}, ms", "%")]
    return Table(["part", *heads], lines, rows[0]["cell"], sides=["---", *["---:"] * len(heads)])


def _numbers(seconds: Sequence[float | None], rows: Sequence[Row]) -> list[str]:
    """Milliseconds and percent of the step, one after the other; nothing where a backend has no such part."""
    texts: list[str] = []
    for part_s, row in zip(seconds, rows, strict=True):
        texts += ["", ""] if part_s is None else [f"{1e3 * part_s:.2f}", f"{100 * part_s / row['total_s']:.1f}"]
    return texts


def reading(rows: Sequence[Row]) -> list[str]:
    """Lines under a table: what its numbers are of."""
    marks = max(row["marks"] for row in rows)
    lines = [
        f"Thread time of one core, median of {rows[0]['steps']} steps; percent by as many steps with marks between the "
        f"parts, which took up to {marks:.2f} times as long. Data: mean of the batches that are made at once.",
        "Products alone: those of forward and backward, each shape by itself in torch, in percent of the step too.",
    ]
    if any(part.endswith("block") for part in parts(rows)):
        lines.append("A block in C is one call: its norms and its MLP are in it.")
    return lines
