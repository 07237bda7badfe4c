"""The one loop over panels: a sheet with a panel per key, and what every panel of exact match has."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.figures import floors, marks, style
from benchmark.figures.style import Look
from benchmark.rows.studies import Study

Key = TypeVar("Key")


def over(
    study: Study,
    keys: Sequence[Key],
    *,
    x: str,
    y: str = "exact match (%)",
    note: str = "",
    looks: Mapping[int, Look] | None = None,
    line: bool = True,
    floor: Sequence[int] = (),
    legend: Sequence[Line2D] = (),
    **sheet: Any,
) -> tuple[Figure, list[tuple[Axes, Key]]]:
    """A sheet under the words of a study and, to loop over, each panel with its key.

    Args:
        study: Its note comes after `note`.
        keys: What each panel is of.
        x: Words of the axis; of `y` the same.
        y: As `x`.
        note: What the marks are.
        looks: Of each N in the legend, as a `line` or as marks alone.
        line: As `looks` says.
        floor: Difficulties whose shortcuts are drawn, for legend and note.
        legend: What comes after both.
        sheet: More of `style.sheet`: its title, the size of a panel.
    """
    passes = [look.handle(f"N = {n}", line=line) for n, look in (looks or {}).items()]
    figure, axes = style.sheet(
        about=study.about,
        note=f"{note}{floors.note(study, floor)}{study.note}",
        panels=len(keys),
        legend=[*passes, *floors.handles(study, floor), *legend],
        **sheet,
    )
    style.label_outer(axes, x=x, y=y)
    return figure, list(zip(axes, keys, strict=True))


def exact(ax: Axes, study: Study, depth: int, limits: tuple[float, float], *, across: bool = False) -> None:
    """Name, chance, shortcut and limits of a panel of exact match at one difficulty, on y or `across` on x."""
    (ax.axvline if across else ax.axhline)(study.chance(depth), **style.CHANCE_LINE)
    floors.line(ax, study, depth, across=across)
    style.name_panel(ax, study.label(depth), [study.chance(depth)])
    marks.exact_axis(ax, limits, across=across)
