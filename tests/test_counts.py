"""Counts in the committed rows are those of the code: a count that changes is a count of every row that holds it."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import baselines
import tasks
from benchmark import rows
from benchmark.cells.cell import Cell, Training
from benchmark.cells.cost import cost
from benchmark.environment import REFERENCE

TABLES = sorted(REFERENCE.glob("*/rows.parquet"))


def settings(kind: Any, row: dict[str, Any]) -> Any:
    """The settings dataclass of a kind, from a row."""
    values = {field.name: row.get(field.name) for field in fields(kind)}
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if v is not None})


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_committed_rows_count_costs_as_the_code_does(path: Path) -> None:
    """Of a cell of the largest N."""
    row = rows.read_table(path).filter(status="ok").sort("sleep_passes", "step").row(-1, named=True)
    if row["model"] == "hf":
        pytest.skip("of a decoder that is not in the repository")
    task, model, training = (
        settings(kind, row) for kind in (tasks.load(row["task"]), baselines.load(row["model"]), Training)
    )
    counts = cost(Cell(task=task, model=model, training=training))
    names = ("sleep_flops", "wake_flops", "state_bytes", "cache_bytes", "parameters")
    assert {name: row[name] for name in names} == {name: getattr(counts, name) for name in names}
    assert row["train_flops"] == row["step"] * training.batch * counts.train_flops
