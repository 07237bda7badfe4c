"""Cells in words: what tells them apart, and the name of each. A cell may be one, or what its folder says of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from benchmark.cells.cell import Cell


class Description(NamedTuple):
    """A cell as plain data: reading it imports neither its task nor its model."""

    task: str
    model: str
    variant: str | None
    axis: str
    """The name of the task's difficulty."""
    seed: int
    axes: dict[str, Any]
    """Every setting by name."""


AnyCell: TypeAlias = "Cell | Description"


def description(cell: "AnyCell") -> Description:
    """A cell as plain data."""
    if isinstance(cell, Description):
        return cell
    return Description(cell.task.name, cell.model.name, cell.variant, cell.task.axis, cell.seed, cell.axes)


def distinctions(cells: "Sequence[AnyCell]") -> tuple[str, ...]:
    """What tells cells apart beside difficulty, N and seed: names of task and model, variants, or settings.

    Named variants say by their names what differs; a setting that only comes with another task is no axis.
    """
    plain = [description(cell) for cell in cells]
    names = [name for name in ("task", "model", "variant") if len({getattr(c, name) or "" for c in plain}) > 1]
    if "variant" in names:
        return tuple(name for name in names if name != "model")
    axes = {"sleep_passes", *(c.axis for c in plain)}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in plain:
        groups.setdefault((cell.task, cell.model), []).append(cell.axes)
    settings = (n for group in groups.values() for n in group[0] if len({of.get(n) for of in group}) > 1)
    return (*names, *dict.fromkeys(n for n in settings if n not in axes))


def fact(cell: "AnyCell", name: str) -> str:
    """A setting of a cell, or the name of its task, model or variant, in words; empty if it has none such."""
    plain = description(cell)
    parts = {"task": plain.task, "model": plain.model, "variant": plain.variant}
    value = parts[name] if name in parts else plain.axes.get(name)
    return "" if value is None else str(value)


def label(cell: "AnyCell", others: Sequence[str] = ()) -> str:
    """A cell in a few words: difficulty, N, seed and the settings named."""
    plain = description(cell)
    more = "".join(f", {name} {value}" for name in others if (value := fact(plain, name)))
    difficulty = plain.axes.get(plain.axis)
    depth = "" if difficulty is None else f"{plain.axis} {difficulty}, "
    return f"{depth}N {plain.axes.get('sleep_passes')}, seed {plain.seed}{more}"
