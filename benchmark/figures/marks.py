"""Marks that several figures share: curves and their labels, seeds with mean and range, tiles of a map."""

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from benchmark.figures import style
from benchmark.figures.style import Look

MOST_LINES = 5  # seeds drawn one by one


def curve(
    ax: Axes,
    scores: pl.DataFrame,
    look: Look,
    x: str,
    scale: float,
    turn: tuple[int, int] = (0, 1),
    y: str = "exact_match",
    band: bool = True,
) -> float | None:
    """Mean over seeds as far as all of them got, the band they span, thin lines for few; the last mean.

    Exact match is in percent. With `turn` (i, count), markers of curves that lie on each other alternate.
    """
    cells = scores["cell_id"].n_unique()
    mean = scores.group_by("step").agg(pl.col(x).first() / scale, pl.len().alias("cells"), **spread(y))
    mean = mean.filter(pl.col("cells") == cells).sort("step")
    if not mean.height:
        return None
    if band and cells > 1:
        ax.fill_between(mean[x], mean["low"], mean["high"], color=look.color, alpha=0.16, linewidth=0)
    if band and 1 < cells <= MOST_LINES:
        for cell in scores.partition_by("cell_id", maintain_order=True):
            ax.plot(cell[x] / scale, _factor(y) * cell[y], color=look.color, linewidth=0.5, alpha=0.5)
    every = max(1, mean.height // 5)
    first = (mean.height - 1 - (turn[1] - 1 - turn[0]) * every // turn[1]) % every
    ax.plot(
        mean[x],
        mean["mean"],
        color=look.color,
        linestyle=look.dashes,
        linewidth=look.width,
        marker=look.marker,
        markevery=(first, every),
        zorder=3,
    )
    return float(mean["mean"][-1])


def spread(column: str) -> dict[str, pl.Expr]:
    """Lowest, mean and highest of a column, of exact match in percent."""
    score = _factor(column) * pl.col(column)
    return {"low": score.min(), "mean": score.mean(), "high": score.max()}


def _factor(column: str) -> int:
    return 1 if column == "loss" else 100


def separate(heights: Sequence[float], limits: tuple[float, float], gap: float) -> list[float]:
    """Heights, which rise, moved as little as makes them at least `gap` apart and keeps them within the limits."""
    low, high = limits
    places = list(heights)
    places[-1] = min(places[-1], high - gap / 2)
    for i in range(len(places) - 2, -1, -1):  # from the top down, then back up from the axis
        places[i] = min(places[i], places[i + 1] - gap)
    places[0] = max(places[0], low + gap / 2)
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    return places


def label_ends(ax: Axes, ends: Sequence[tuple[str, float, Look]], *, gap: float) -> None:
    """Write each label beside the right end of its curve (label, height, look), at least `gap` apart."""
    by_height = sorted(ends, key=lambda end: end[1])
    heights = separate([height for _, height, _ in by_height], ax.get_ylim(), gap)
    across = ax.get_yaxis_transform()
    for (label, _, look), height in zip(by_height, heights, strict=True):
        ax.plot(1.045, height, color=look.color, marker=look.marker, markersize=4, transform=across, clip_on=False)
        ax.text(1.085, height, label, color=look.color, size=7.5, va="center_baseline", transform=across)


def percent(scores: pl.DataFrame) -> list[float]:
    """Exact match of each row, in percent."""
    return [100 * float(score) for score in scores["exact_match"]]


def exact_axis(ax: Axes, limits: tuple[float, float], *, across: bool = False) -> None:
    """Limits of exact match in percent, of y or `across` of x, with the ceiling of 100 % if it is within them."""
    (ax.set_xlim if across else ax.set_ylim)(*limits)
    if limits[0] < 100 < limits[1]:
        (ax.axvline if across else ax.axhline)(100, **style.CEILING_LINE)


def along(
    ax: Axes, scores: pl.DataFrame, by: str, look: Look, at: Mapping[int, float], *, joined: bool = False
) -> None:
    """Exact match in percent at places of the x axis: the mean over seeds and a line from the lowest to the highest.

    Args:
        ax: Where.
        scores: Rows of one series.
        by: Their column that tells the places apart.
        look: Of the series.
        at: The place of each value of `by`.
        joined: Whether the means are joined by a line.
    """
    means = scores.sort(by, maintain_order=True).group_by(by, maintain_order=True).agg(**spread("exact_match"))
    if not means.height:
        return  # an empty collection has no place, and would take the whole sheet
    places = [at[value] for value in means[by]]
    ax.vlines(places, means["low"], means["high"], color=look.color, linewidth=1.2, clip_on=False)
    dashes = look.dashes if joined else "none"
    ax.plot(
        places, means["mean"], color=look.color, marker=look.marker, linestyle=dashes, linewidth=0.9, zorder=3,
        clip_on=False,
    )  # fmt: skip


def seeds(
    ax: Axes, place: float, percents: Sequence[float], look: Look, *, why: str, start: float, across: bool = False
) -> None:
    """`dots`, or where no score exists the reason, written from the value `start`."""
    if percents:
        dots(ax, place, percents, look, across=across)
        return
    x, y, turned = (start, place, 0) if across else (place, start, 90)
    along_x, along_y = ("left", "center") if across else ("center", "bottom")
    ax.text(x, y, why.replace("\n", " "), size=6.3, color=style.GREY, rotation=turned, ha=along_x, va=along_y)


def dots(ax: Axes, place: float, percents: Sequence[float], look: Look, *, across: bool = False) -> None:
    """Scores over seeds at a place of the x axis, or `across` at one of the y axis: mean, range, a dot per seed."""

    def line(values: Sequence[float], **how: object) -> None:
        spots = [values, [place] * len(values)]
        ax.plot(*(spots if across else spots[::-1]), color=look.color, clip_on=False, **how)  # type: ignore[arg-type]

    if len(percents) > 1:
        line([min(percents), max(percents)], linewidth=0.8 * look.width, solid_capstyle="butt")
        line(percents, linestyle="none", marker="o", markersize=2, alpha=0.55)
    line([sum(percents) / len(percents)], marker=look.marker, zorder=3, markeredgecolor="white", markeredgewidth=0.4)


def tile(ax: Axes, at: tuple[int, int], percents: Sequence[float], *, chance: float, seeds: int, missing: str) -> None:
    """A tile of a map: mean and range of scores in percent, shaded by the share of the way from chance to 100 %.

    `seeds` is what a whole tile has; without any score the tile is hatched and says why, `missing`.
    """
    i, j = at
    box = Rectangle((i - 0.5, j - 0.5), 1, 1, edgecolor="white", linewidth=1.5)
    ax.add_patch(box)
    if not percents:
        box.set(facecolor="#f7f7f7", hatch="////")
        ax.text(i, j, missing, size=6.8, ha="center", va="center", backgroundcolor="#f7f7f7")
        return
    low, mean, high = min(percents), sum(percents) / len(percents), max(percents)
    shade = min(1.0, max(0.0, (mean - chance) / (100 - chance)))
    box.set_facecolor(colormaps["Blues"](0.85 * shade))
    color = "white" if shade > 0.7 else style.INK
    ax.text(i, j + 0.14 * (seeds != 1), f"{mean:.1f}", color=color, size=9, ha="center", va="center")
    if seeds != 1:
        few = f", {len(percents)} of {seeds}" if len(percents) != seeds else ""
        digits = 0 if round(low) <= round(mean, 1) <= round(high) else 1  # 99.9 is not between 100 and 100
        spread = f"{low:.{digits}f}–{high:.{digits}f}{few}" if len(percents) > 1 else f"1 of {seeds} seeds"
        ax.text(i, j - 0.25, spread, color=color, size=6.3, ha="center", va="center")


def grid_of_tiles(ax: Axes, columns: Sequence[str], lines: Sequence[str], below: float = -0.5) -> None:
    """Axes of a map: a name per column and per line of tiles, nothing else."""
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(below, len(lines) - 0.5))
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(lines)), lines)
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
