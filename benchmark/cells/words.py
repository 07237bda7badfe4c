"""Cells in words: what tells them apart, and the name of each."""

from collections.abc import Sequence
from typing import Any

from benchmark.cells.cell import Cell


def varying(cells: Sequence[Cell]) -> tuple[str, ...]:
    """What tells cells apart beside difficulty, N and seed: names of task and model, variants, or settings.

    Named variants say by their names what differs; a setting that only comes with another task is no axis.
    """
    names = [name for name in ("task", "model", "variant") if len({fact(c, name) for c in cells}) > 1]
    if "variant" in names:
        return tuple(name for name in names if name != "model")
    axes = {"sleep_passes", *(c.task.axis for c in cells)}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell.task.name, cell.model.name), []).append(cell.axes)
    settings = (n for group in groups.values() for n in group[0] if len({of.get(n) for of in group}) > 1)
    return (*names, *dict.fromkeys(n for n in settings if n not in axes))


def kinds(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """The different pairs of task and model, by name."""
    return list(dict.fromkeys((c.task.name, c.model.name) for c in cells))


def fact(cell: Cell, name: str) -> str:
    """A setting of a cell, or the name of its task, model or variant, in words; empty if it has none such."""
    named = {"task": cell.task.name, "model": cell.model.name, "variant": cell.variant}
    value = (cell.axes | named).get(name)
    return "" if value is None else str(value)


def label(cell: Cell, others: Sequence[str] = ()) -> str:
    """A cell in a few words: difficulty, N, seed and the settings named."""
    more = "".join(f", {name} {fact(cell, name)}" for name in others if fact(cell, name))
    depth = "" if cell.difficulty is None else f"{cell.task.axis} {cell.difficulty}, "
    return f"{depth}N {cell.training.sleep_passes}, seed {cell.seed}{more}"
