"""Roads to deep answers: how often each is right, against what a prediction takes and what is kept for it."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.figures import floors, marks, panels, style, words
from benchmark.figures.rivals import LATE_MARK, SLEEP, is_late
from benchmark.rows.studies import Study, values
from benchmark.rows.text import amount

_NOTE = (
    "Mark: mean over seeds, its area the logarithm of the bytes kept between windows, keys and values included. "
    "Hollow: takes more than one plain pass at prediction time, which breaks the latency constraint. "
)
_AREAS = (14.0, 160.0)
"""Of the fewest and the most bytes, in square points."""

_GAP = 0.047
"""Between two names, of the height of a panel."""


def roads(study: Study) -> Figure | None:
    """Exact match against FLOPs of prediction, a mark per road as large as what it keeps; a panel per difficulty."""
    ends = _ends(study)
    if ends["model"].n_unique() < 3:
        return None  # rivals of one model have figures of their own
    depths, sizes = values(ends["depth"]), values(ends["bytes"])
    figure, pairs = panels.over(
        study,
        depths,
        title="Roads to the same answers: exact match, against what a prediction takes",
        note=f"{_NOTE}{floors.note(study, depths, 'Thin dashes')}",
        x="FLOPs of predicting a sequence's answers",
        size=(3.6, 3.0),
        legend=[_handle(f"{amount(size)}B", size, sizes) for size in sorted({sizes[0], sizes[-1]})],
    )
    for ax, depth in pairs:
        panels.exact(ax, study, depth, style.limits(study.final))
        ax.set_xscale("log")
        _marks(ax, ends.filter(pl.col("depth") == depth), sizes)
    return figure


def roads_words(study: Study) -> str:
    """Each road with its score and costs, the best first."""
    ends = _ends(study)
    depth = values(ends["depth"])[-1]
    deepest = ends.filter(pl.col("depth") == depth).sort("exact_match", descending=True)
    parts = words.enumeration(
        f"{row['variant']} {100 * row['exact_match']:.1f} % ({amount(row['wake_flops'])} FLOPs a prediction, "
        f"{amount(row['bytes'])}B kept{', late' * row['late']})"
        for row in deepest.iter_rows(named=True)
    )
    return f"Exact match at {study.label(depth)}, mean of seeds: {parts}."


def _ends(study: Study) -> pl.DataFrame:
    """A row per road and difficulty: its score, the FLOPs of a prediction, the bytes kept, and whether it is late."""
    whole = study.final.filter(pl.col("answer").is_null() & pl.col("variant").is_not_null())
    return (
        whole.with_columns(
            bytes=pl.col("state_bytes").fill_null(0),
            late=pl.Series([is_late(whole[i]) for i in range(whole.height)], dtype=pl.Boolean),
        )
        .group_by("variant", "model", "n", "depth", maintain_order=True)
        .agg(pl.col("exact_match", "wake_flops", "bytes").mean(), pl.col("late").any())
        .sort("depth", "wake_flops", "variant")
    )


def _area(size: float, sizes: list[float]) -> float:
    """The area of a mark, by the logarithm of its bytes."""
    low, high = np.log1p(sizes[0]), np.log1p(sizes[-1])
    share = (np.log1p(size) - low) / (high - low) if high > low else 0.5
    return float(_AREAS[0] + share * (_AREAS[1] - _AREAS[0]))


def _handle(label: str, size: float, sizes: list[float]) -> Line2D:
    return Line2D([], [], marker="o", linestyle="", markersize=_area(size, sizes) ** 0.5, color=style.GREY, label=label)


def _marks(ax: Axes, ends: pl.DataFrame, sizes: list[float]) -> None:
    """The marks of a panel and, at its right in the order of their heights, their names."""
    low, high = ax.get_ylim()
    ends = ends.sort("exact_match", "variant")
    heights = marks.separate([100 * score for score in ends["exact_match"]], (low, high), (high - low) * _GAP)
    for row, height in zip(ends.iter_rows(named=True), heights, strict=True):
        asleep = row["variant"] == SLEEP
        color = style.by_passes([row["n"]])[row["n"]].color if asleep else style.INK
        at = (row["wake_flops"], 100 * row["exact_match"])
        face = "none" if row["late"] else color
        ax.scatter(*at, s=_area(row["bytes"], sizes), facecolors=face, edgecolors=color, alpha=0.7, zorder=3 + asleep)
        ax.annotate(
            f"{row['variant']}{LATE_MARK * row['late']}",
            at,
            xytext=(1.06, height),
            textcoords=ax.get_yaxis_transform(),
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": style.GREY, "relpos": (0, 0.5)},
            size=6.5,
            va="center",
            color=color,
            weight="bold" if asleep else "normal",
            annotation_clip=False,
        )
