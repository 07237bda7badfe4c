"""Marks that several figures share: seeds with their mean and range, and a tile of a map."""

from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from benchmark import style
from benchmark.style import Look


def dots(ax: Axes, place: float, found: Sequence[float], look: Look, *, across: bool = False) -> None:
    """Scores over seeds at a place of the x axis, or `across` at one of the y axis: mean, range, a dot per seed."""

    def line(values: Sequence[float], **how: object) -> None:
        spots = [values, [place] * len(values)]
        ax.plot(*(spots if across else spots[::-1]), color=look.color, clip_on=False, **how)  # type: ignore[arg-type]

    if len(found) > 1:
        line([min(found), max(found)], linewidth=0.8 * look.width, solid_capstyle="butt")
        line(found, linestyle="none", marker="o", markersize=2, alpha=0.55)
    line([sum(found) / len(found)], marker=look.marker, zorder=3, markeredgecolor="white", markeredgewidth=0.4)


def tile(ax: Axes, at: tuple[int, int], found: Sequence[float], *, chance: float, seeds: int, missing: str) -> None:
    """A tile of a map: mean and range of scores in percent, shaded by the share of the way from chance to 100 %.

    `seeds` is what a whole tile has; without any score the tile is hatched and says why, `missing`.
    """
    i, j = at
    box = Rectangle((i - 0.5, j - 0.5), 1, 1, edgecolor="white", linewidth=1.5)
    ax.add_patch(box)
    if not found:
        box.set(facecolor="#f7f7f7", hatch="////")
        ax.text(i, j, missing, size=6.8, ha="center", va="center", backgroundcolor="#f7f7f7")
        return
    low, mean, high = min(found), sum(found) / len(found), max(found)
    shade = min(1.0, max(0.0, (mean - chance) / (100 - chance)))
    box.set_facecolor(colormaps["Blues"](0.85 * shade))
    color = "white" if shade > 0.7 else style.INK
    ax.text(i, j + 0.14 * (seeds != 1), f"{mean:.1f}", color=color, size=9, ha="center", va="center")
    if seeds != 1:
        few = f", {len(found)} of {seeds}" if len(found) != seeds else ""
        spread = f"{low:.0f}–{high:.0f}{few}" if len(found) > 1 else f"1 of {seeds} seeds"
        ax.text(i, j - 0.25, spread, color=color, size=6.3, ha="center", va="center")
