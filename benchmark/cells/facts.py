"""What every row says of its cell, and the row of a cell that has no scores."""

import functools
from dataclasses import Field, fields
from typing import Any

import torch

from benchmark import environment, rows
from benchmark.cells.cell import Cell
from benchmark.rows.text import clean
from tasks.base import Task, strongest


def cell_facts(cell: Cell, *, device: str, context: rows.Row) -> rows.Row:
    """The columns that every row of a cell shares; `context` adds suite, scale and commit."""
    unused = {f.name for part in cell.parts() for f in fields(part) if _is_omitted(part, f)}
    settings = {k: list(v) if isinstance(v, tuple) else v for k, v in cell.axes.items() if k not in unused}
    return {
        "schema_version": rows.SCHEMA_VERSION,
        "cell_id": cell.id,
        "status": rows.Status.OK,
        "reason": None,
        "task": cell.task.name,
        "task_version": cell.task.version,
        "model": cell.model.name,
        "model_version": cell.model.revision,
        "seed": cell.seed,
        "variant": cell.variant,
        "seq_len": cell.task.seq_len,
        "window": cell.task.window,
        "axis": cell.task.axis,
        "device": device,
        "processor": _processor(device),
        "torch": torch.__version__,
        "source": environment.source(),
        **settings,
        **context,
    }


def _is_omitted(part: Any, field: Field[Any]) -> bool:
    """Whether rows leave a setting out: a place on one machine, or one that older rows lack and that is at its default.

    Rows with and without the latter are then alike.
    """
    return bool(
        field.metadata.get("place") or (field.metadata.get("later") and getattr(part, field.name) == field.default)
    )


def _processor(device: str) -> str | None:
    """What a cell is trained on; None of a GPU that is not here."""
    if device == "cpu":
        return environment.processor()
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def failure_row(
    facts: rows.Row, status: rows.Status, reason: str, *, step: int | None = None, wall_s: float | None = None
) -> rows.Row:
    """The row that says that and why a cell has no scores; null where nobody knows when that was."""
    return facts | {"status": status, "reason": clean(reason), "step": step, "wall_s": wall_s}


@functools.lru_cache(maxsize=256)
def best_shortcut(task: Task, difficulty: int, answer: int | None) -> tuple[str, float] | tuple[None, None]:
    """The strongest shortcut at a difficulty and its exact match; nothing for one of answers that count together.

    A table that is right every time leaves nothing to be above and would hide all others: `Task.held_out` is empty
    there, and the verdicts say so.
    """
    if answer is not None and task.joint and task.answers > 1:
        return None, None
    fallible = {name: score for name, score in task.shortcuts(difficulty).items() if score < 1}
    return strongest(fallible) or (None, None)
