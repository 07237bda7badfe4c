"""The paper's printed points, drawn hollow in figures whose rows have the same task, difficulty and metric."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmark.figures import style
from benchmark.judge import paper
from benchmark.rows.studies import Study, values

METRICS = ("exact_match", "accuracy")
"""What the paper calls the share of answers that are right; rows call it `exact_match`."""

EVICTIONS = {"hard": "hard eviction", "sliding": "sliding window"}
"""The words for a setting `eviction` in the paper's names of its models."""

UNASSIGNED_LOOK = style.Look(color=style.GREY, marker="o")
"""A point whose N the paper does not say."""


def points(study: Study) -> pl.DataFrame:
    """The paper's points that can stand beside a study's scores.

    Returns:
        A row per point of the same task, axis, metric and one of the difficulties and, where the rows have a setting
        `eviction`, one of the evictions. The columns: `figure`, `model`, `eviction` (null if its model does not say),
        `depth`, `n` (null if not said), `value` in percent, `source`.
    """
    try:
        table = paper.points()
    except ValueError:  # a finished run has its figures even where the paper's files are missing
        table = pl.DataFrame(schema=paper.POINTS)
    evictions = study.scores["eviction"].unique() if "eviction" in study.scores.columns else None
    eviction = pl.coalesce(pl.when(pl.col("model").str.contains(w)).then(pl.lit(e)) for e, w in EVICTIONS.items())
    table = table.with_columns(eviction=eviction).filter(
        pl.col("task").is_in(study.scores["task"].unique().to_list())
        & (pl.col("axis") == study.axis)
        & pl.col("metric").is_in(METRICS)
        & pl.col("difficulty").is_in(study.depths)
        & (pl.lit(evictions is None) | pl.col("eviction").is_in([] if evictions is None else evictions.to_list()))
    )
    if study.scores["task"].n_unique() != 1:
        table = table.clear()
    return table.select(
        "figure",
        "model",
        "eviction",
        pl.col("difficulty").cast(pl.Int64).alias("depth"),
        pl.col("sleep_passes").cast(pl.Int64).alias("n"),
        (100 * pl.col("value")).alias("value"),
        "source",
    )


def note(table: pl.DataFrame) -> str:
    """What the hollow marks are, if there are any."""
    if not table.height:
        return ""
    models = [f"Figure {f} ({m})" for f, m in table.select("figure", "model").unique(maintain_order=True).iter_rows()]
    grey = "; grey: it does not say which N" * bool(table["n"].null_count())
    about = "; read off its text, which rounds" * bool(table["source"].str.starts_with("text: ").any())
    return f"Hollow: the paper's {', '.join(models)}{grey}{about}. "


def handles(table: pl.DataFrame, passes: Sequence[int]) -> list[Line2D]:
    """Entries of a legend, if there are any points: what is hollow, and every N that only the paper has."""
    entries = [(UNASSIGNED_LOOK, "the paper's")] * bool(table.height)
    entries += [(look, f"N = {n}") for n, look in style.by_passes(values({*table["n"]} - {*passes})).items()]
    return [Line2D([], [], label=label, **_hollow_style(look)) for look, label in entries]


def at_edge(ax: Axes, table: pl.DataFrame) -> None:
    """Points at the right edge of a panel of learning curves: scores at the end of the paper's training.

    A column per figure of the paper, named where there are several.
    """
    columns = table.partition_by("figure", maintain_order=True)
    for i, column in enumerate(columns):
        place = 0.985 - 0.085 * (len(columns) - 1 - i)
        _column(ax, column, place, across=0.05 * (len(columns) == 1), named=len(columns) > 1)


def draw_points(ax: Axes, table: pl.DataFrame, at: Mapping[int, float]) -> None:
    """Points beside the marks of a difficulty, a column per figure of the paper with its name under the lowest.

    Args:
        ax: Where; its y axis is exact match in percent.
        table: As of `points`.
        at: The place of each difficulty on the x axis; the columns stand right of it.
    """
    figures = table["figure"].unique(maintain_order=True).to_list()
    for column in table.partition_by("figure", "depth", maintain_order=True):
        place = at[column["depth"][0]] + 0.27 + 0.14 * figures.index(column["figure"][0])
        _column(ax, column, place, scaled=True)


def _column(
    ax: Axes, column: pl.DataFrame, place: float, *, across: float = 0.0, named: bool = True, scaled: bool = False
) -> None:
    """Points over each other, at a share of the axes' width or, `scaled`, at a place of the x axis.

    Every other point stands `across` further left.
    """
    where = ax.transData if scaled else ax.get_yaxis_transform()
    for i, (n, value) in enumerate(column.sort("n", maintain_order=True).select("n", "value").iter_rows()):
        look = UNASSIGNED_LOOK if n is None else style.by_passes([n])[n]
        ax.plot(place - across * (i % 2), value, zorder=3.5, clip_on=False, transform=where, **_hollow_style(look))
    if named:
        lowest = float(column["value"].to_numpy().min())
        ax.annotate(
            str(column["figure"][0]), (place, lowest), xycoords=where, xytext=(0, -4), textcoords="offset points",
            size=5.5, color=style.GREY, ha="center", va="top",
        )  # fmt: skip


def _hollow_style(look: style.Look) -> dict[str, Any]:
    return {
        "color": look.color, "marker": look.marker, "markerfacecolor": "white", "markeredgewidth": 0.9,
        "markersize": 4.2, "linestyle": "none",
    }  # fmt: skip
