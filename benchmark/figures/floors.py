"""The floor under a score: exact match of the strongest shortcut that the task knows, a thin line that has a name.

Above chance, a score shows that something was read; above this line, that something was computed. It comes from the
rows; those written before they had it draw none.
"""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmark.figures import style
from benchmark.rows.studies import Study


def line(ax: Axes, study: Study, depth: int, *, across: bool = False) -> None:
    """Draw the floor of a difficulty at its exact match in percent, on the y axis or `across` on the x axis."""
    if shortcut := study.shortcut(depth):
        (ax.axvline if across else ax.axhline)(shortcut[1], **style.SHORTCUT_LINE)


def at_edge(ax: Axes, study: Study, depth: int, color: str) -> None:
    """Draw it as a dash at the right edge, in the colour of its curve, where a panel has a curve per difficulty."""
    if shortcut := study.shortcut(depth):
        ax.plot(
            [0.95, 1], [shortcut[1]] * 2, transform=ax.get_yaxis_transform(), **style.SHORTCUT_LINE | {"color": color}
        )


def steps(ax: Axes, study: Study, places: dict[int, float], width: float) -> None:
    """Draw it at the place of each difficulty, `width` to either side."""
    for depth, place in places.items():
        if shortcut := study.shortcut(depth):
            ax.plot([place - width, place + width], [shortcut[1]] * 2, **style.SHORTCUT_LINE)


def handles(study: Study, depths: Iterable[int]) -> list[Line2D]:
    """Its entry in a legend: the shortcut's name, if it is one for all difficulties."""
    names = {shortcut[0] for depth in depths if (shortcut := study.shortcut(depth))}
    if not names:
        return []
    label = f"shortcut {names.pop()}" if len(names) == 1 else "strongest shortcut"
    return [style.floor_handle(style.SHORTCUT_LINE, label)]


def note(study: Study, depths: Iterable[int], how: str = "Shortcut") -> str:
    """Which shortcut it is at which difficulty, for the line under a figure; `how` it is drawn."""
    depths_of: dict[str, list[int]] = {}
    for depth in depths:
        if shortcut := study.shortcut(depth):
            depths_of.setdefault(shortcut[0], []).append(depth)
    if not depths_of:
        return ""
    several = len(depths_of) > 1
    parts = [
        f"{name} at {', '.join([study.label(at[0]), *map(str, at[1:])])}" if several else name
        for name, at in depths_of.items()
    ]
    return f"{how}: best known of what reads but does not compute, {'; '.join(parts)}. "
