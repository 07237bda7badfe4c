"""Figures of learning: exact match or loss against training tokens or compute, a curve per difficulty or per N."""

import math

import polars as pl
from matplotlib.figure import Figure

from benchmark.figures import floors, marks, overlay, style
from benchmark.rows.studies import Study, values


def accuracy_by_depth(study: Study) -> Figure | None:
    """The paper's Figure 2a: exact match against training tokens, a curve per difficulty; a panel per N."""
    if len(study.depths) < 2:
        return None
    looks, passes = style.by_order(study.depths), values(study.scores["n"])
    size = (3.4, 2.3) if len(passes) == 1 else (2.45, 2.0)
    figure, axes = style.sheet(
        title=f"Exact match by {study.depth_axis}",
        about=study.about,
        note=f"{_band(study)}{floors.note(study, study.depths, 'Dash at the right edge')}{study.note}",
        panels=len(passes),
        size=size,
    )
    chances = [study.chance(depth) for depth in study.depths if not math.isnan(study.chance(depth))]
    low, high = style.limits(study.scores)
    for ax, n in zip(axes, passes, strict=True):
        ends = []
        for depth, look in looks.items():
            found = study.whole(study.scores, n, depth)
            end = marks.curve(ax, found, look, "tokens_seen", style.scale_of(study.scores["tokens_seen"]))
            if end is not None:
                ends.append((study.label(depth), end, look))
                floors.at_edge(ax, study, depth, look.color)
        ax.axhspan(min(chances), max(chances), color=style.GREY, alpha=0.18, linewidth=0)
        for edge in values([min(chances), max(chances)]):
            ax.axhline(edge, **style.CHANCE_LINE)
        style.name_panel(ax, f"N = {n}", chances)
        marks.exact_axis(ax, (low, high))
        marks.label_ends(ax, ends, gap=(high - low) * 0.19 / size[1])
    axes[0].set_xlim(left=0)  # of all panels, now that all curves are drawn
    style.label_outer(axes, x=style.label_amount("training tokens", study.scores["tokens_seen"]), y="exact match (%)")
    return figure


def accuracy_by_passes(study: Study) -> Figure | None:
    """The paper's Figure 2b: exact match against training tokens, a curve per N; a panel per difficulty.

    The paper's own points, where it has some, stand at the right edge.
    """
    title = "Exact match by sleep passes N, against training tokens"
    x_label = style.label_amount("training tokens", study.scores["tokens_seen"])
    printed = overlay.points(study)
    return _by_passes(study, "tokens_seen", title, x_label, overlay.note(printed), printed=printed)


def loss_by_passes(study: Study) -> Figure | None:
    """The paper's Figure 3: test loss against training tokens, a curve per N; a panel per difficulty."""
    if study.scores["loss"].null_count():  # rows that were not written by this trainer
        return None
    title = "Test loss by sleep passes N, against training tokens"
    x_label = style.label_amount("training tokens", study.scores["tokens_seen"])
    return _by_passes(study, "tokens_seen", title, x_label, y="loss")


def accuracy_by_flops(study: Study) -> Figure | None:
    """Figure 2b against training compute, where N passes cost about N times as much per token."""
    if len(study.passes) < 2:
        return None
    exponent = round(math.log10(style.scale_of(study.scores["train_flops"])))
    title = "Exact match by sleep passes N, against training compute"
    note = "At equal tokens, fewer passes end at fewer FLOPs. "
    return _by_passes(study, "train_flops", title, f"training FLOPs ($10^{{{exponent}}}$)", note)


def _by_passes(
    study: Study,
    x: str,
    title: str,
    x_label: str,
    note: str = "",
    y: str = "exact_match",
    printed: pl.DataFrame | None = None,
) -> Figure | None:
    """A panel per difficulty, a curve per N, against a column of rows; `printed`: points of the paper."""
    depths = values(study.scores["depth"])
    if len(study.passes) < 2 <= len(depths):
        return None  # a figure by difficulty holds all there is
    looks = style.by_passes(study.passes)
    with_floor = depths if y == "exact_match" else []
    figure, axes = style.sheet(
        title=title,
        about=study.about,
        note=f"{_band(study)}{note}{floors.note(study, with_floor)}{study.note}",
        panels=len(depths),
        size=(2.3, 1.75) if len(depths) > 1 else (3.7, 2.3),
        legend=[
            *(look.handle(f"N = {n}") for n, look in looks.items()),
            *floors.handles(study, with_floor),
            *(overlay.handles(printed, list(looks)) if printed is not None else ()),
        ],
    )
    for ax, depth in zip(axes, depths, strict=True):
        for n, look in looks.items():
            turn = (list(looks).index(n), len(looks))
            marks.curve(ax, study.whole(study.scores, n, depth), look, x, style.scale_of(study.scores[x]), turn, y)
        style.name_panel(ax, study.label(depth), [] if y == "loss" else [study.chance(depth)])
        if y != "loss":
            ax.axhline(study.chance(depth), **style.CHANCE_LINE)
            floors.line(ax, study, depth)
            marks.exact_axis(ax, style.limits(study.scores))
        if printed is not None:
            overlay.at_edge(ax, printed.filter(pl.col("depth") == depth))
    axes[0].set_xlim(left=0)  # of all panels, now that all curves are drawn
    if y == "loss":
        axes[0].set_ylim(bottom=0)
    style.label_outer(axes, x=x_label, y="exact match (%)" if y == "exact_match" else "loss (nats per token)")
    return figure


def _band(study: Study) -> str:
    """What band and thin lines are, if there are any."""
    if study.scores["seed"].n_unique() == 1:
        return ""
    return "Line: mean over seeds; band: lowest to highest; thin: a seed each. "
