"""Figures of learning: exact match or loss against training tokens or compute, a curve per difficulty or per N."""

import math

import polars as pl
from matplotlib.figure import Figure

from benchmark.figures import floors, marks, overlay, panels, style, words
from benchmark.judge import learning_curve
from benchmark.rows.grouping import RATES
from benchmark.rows.studies import Study, label, values


def accuracy_by_depth(study: Study) -> Figure | None:
    """Exact match against training tokens, a curve per difficulty; a panel per N (the paper's Figure 2a)."""
    if len(study.depths) < 2:
        return None
    looks, passes = style.by_order(study.depths), values(study.scores["n"])
    size = (3.4, 2.3) if len(passes) == 1 else (2.45, 2.0)
    figure, pairs = panels.over(
        study,
        passes,
        title=f"Exact match by {study.depth_axis}",
        note=f"{_band(study)}{floors.note(study, study.depths, 'Dash at the right edge')}",
        size=size,
        x=style.label_amount("training tokens", study.scores["tokens_seen"]),
    )
    chances = [study.chance(depth) for depth in study.depths if not math.isnan(study.chance(depth))]
    low, high = style.limits(study.scores)
    for ax, n in pairs:
        ends = []
        for depth, look in looks.items():
            tests = study.scores_at(study.scores, n, depth)
            end = marks.curve(ax, tests, look, "tokens_seen", style.scale_of(study.scores["tokens_seen"]))
            if end is not None:
                ends.append((study.label(depth), end, look))
                floors.at_edge(ax, study, depth, look.color)
        ax.axhspan(min(chances), max(chances), color=style.GREY, alpha=0.18, linewidth=0)
        for edge in values([min(chances), max(chances)]):
            ax.axhline(edge, **style.CHANCE_LINE)
        style.name_panel(ax, f"N = {n}", chances)
        marks.exact_axis(ax, (low, high))
        marks.label_ends(ax, ends, gap=(high - low) * 0.19 / size[1])
    figure.axes[0].set_xlim(left=0)  # of all panels, now that all curves are drawn
    return figure


def accuracy_by_depth_words(study: Study) -> str:
    """Where each N ends at the easiest and the hardest difficulty."""
    return (
        f"Learning curves of exact match against training tokens, one per {study.depth_axis}, a panel per N. "
        f"{words.from_easiest_to_hardest(study)}"
    )


def accuracy_by_passes(study: Study) -> Figure | None:
    """Exact match against training tokens, a curve per N; a panel per difficulty (the paper's Figure 2b).

    The paper's own points, where it has some, stand at the right edge.
    """
    title = "Exact match by sleep passes N, against training tokens"
    x_label = style.label_amount("training tokens", study.scores["tokens_seen"])
    paper = overlay.points(study)
    return _by_passes(study, "tokens_seen", title, x_label, overlay.note(paper), paper=paper)


def accuracy_by_passes_words(study: Study) -> str:
    """Where the curves end that end furthest apart."""
    return (
        f"Learning curves of exact match against training tokens, one per N, a panel per {study.depth_axis}; "
        f"{words.furthest_apart(study, words.last_scores(study))}"
    )


def loss_by_passes(study: Study) -> Figure | None:
    """Test loss against training tokens, a curve per N; a panel per difficulty (the paper's Figure 3)."""
    if study.scores["loss"].null_count():  # rows that were not written by this trainer
        return None
    title = "Test loss by sleep passes N, against training tokens"
    x_label = style.label_amount("training tokens", study.scores["tokens_seen"])
    return _by_passes(study, "tokens_seen", title, x_label, y="loss")


def loss_by_passes_words(study: Study) -> str:
    """Where the losses end."""
    means = words.means(words.last_scores(study).filter(pl.col("loss").is_not_null()), "depth", "n", score="loss")
    ends = "; ".join(
        f"{study.label(depth)}: "
        f"{words.enumeration(f'N = {n} {loss:.2f}' for n, loss in of_depth.select('n', 'loss').iter_rows())}"
        for depth, of_depth in words.split(means, "depth")
    )
    return f"Curves of test loss in nats per token against training tokens, one per N. At their ends: {ends}."


def accuracy_by_flops(study: Study) -> Figure | None:
    """Exact match against training FLOPs, a curve per N, where N passes cost about N times as much per token."""
    if len(study.passes) < 2:
        return None
    title = "Exact match by sleep passes N, against training compute"
    return _against_flops(study, title, "At equal tokens, fewer passes end at fewer FLOPs. ")


def accuracy_by_flops_words(study: Study) -> str:
    """Where the curves end that end furthest apart, at the FLOPs of the cheapest N."""
    equal = learning_curve.at_flops(study.scores, learning_curve.least_flops(words.last_scores(study)))
    return (
        f"Learning curves of exact match against training FLOPs, one per N, a panel per {study.depth_axis}. "
        f"At the FLOPs of the cheapest N, {words.furthest_apart(study, equal)}"
    )


def accuracy_to_equal_flops(study: Study) -> Figure | None:
    """Exact match against training FLOPs, a curve per N, where every N was trained to the same FLOPs."""
    if study.final["tokens"].n_unique() < 2:
        return None  # of equal tokens there are other figures
    runs = study.final.group_by("n").agg(pl.col("tokens", *RATES).n_unique(), budget=pl.col("train_flops").mean())
    if runs.select("tokens", *RATES).max().row(0) != (1, 1, 1):
        return None  # a mean over several budgets or rates would hide them
    if runs["budget"].max() > (1 + learning_curve.REACH) * runs["budget"].min():  # type: ignore[operator]
        return None
    own = " Each N at learning rates of its own." if study.final.select(RATES).n_unique() > 1 else ""
    title = "Exact match by sleep passes N, all trained to the same compute"
    return _against_flops(study, title, f"A larger N reads fewer tokens for it.{own} ")


def accuracy_to_equal_flops_words(study: Study) -> str:
    """Where each N ends."""
    means = words.means(words.last_scores(study), "depth", "n")
    ends = "; ".join(
        f"{study.label(depth)}: "
        + words.enumeration(
            f"N = {n} {100 * score:.1f} %" for n, score in of_depth.select("n", "exact_match").iter_rows()
        )
        for depth, of_depth in words.split(means, "depth")
    )
    return f"Learning curves of exact match against training FLOPs, one per N, all to the same. At their ends: {ends}."


def _against_flops(study: Study, title: str, note: str) -> Figure | None:
    """A panel per difficulty, a curve per N, against training FLOPs."""
    exponent = round(math.log10(style.scale_of(study.scores["train_flops"])))
    return _by_passes(study, "train_flops", title, f"training FLOPs ($10^{{{exponent}}}$)", note)


def _by_passes(
    study: Study,
    x: str,
    title: str,
    x_label: str,
    note: str = "",
    y: str = "exact_match",
    paper: pl.DataFrame | None = None,
) -> Figure | None:
    """A panel per difficulty, a curve per N, against a column of rows; `paper`: points of the paper."""
    depths = values(study.scores["depth"])
    if len(study.passes) < 2 <= len(depths):
        return None  # a figure by difficulty holds all there is
    looks = style.by_passes(study.passes)
    figure, pairs = panels.over(
        study,
        depths,
        title=title,
        note=f"{_band(study)}{note}",
        x=x_label,
        y="exact match (%)" if y == "exact_match" else "loss (nats per token)",
        size=(2.3, 1.75) if len(depths) > 1 else (3.7, 2.3),
        looks=looks,
        floor=depths if y == "exact_match" else (),
        legend=overlay.handles(paper, list(looks)) if paper is not None else (),
    )
    for ax, depth in pairs:
        for n, look in looks.items():
            turn = (list(looks).index(n), len(looks))
            marks.curve(ax, study.scores_at(study.scores, n, depth), look, x, style.scale_of(study.scores[x]), turn, y)
        if y == "loss":
            style.name_panel(ax, study.label(depth), [])
        else:
            panels.exact(ax, study, depth, style.limits(study.scores))
        if paper is not None:
            overlay.at_edge(ax, paper.filter(pl.col("depth") == depth))
    figure.axes[0].set_xlim(left=0)  # of all panels, now that all curves are drawn
    if y == "loss":
        figure.axes[0].set_ylim(bottom=0)
    return figure


def no_gain(study: Study) -> Figure | None:
    """Learning curves by N of several tasks, a panel per task and difficulty: does sleep help, and sooner?"""
    scores = study.scores.filter(pl.col("answer").is_null())
    tasks = scores.select("task", "axis", "depth").unique().sort("task", "depth").rows()
    if study.scores["task"].n_unique() < 2 or len(study.passes) < 2:
        return None
    looks, scale = style.by_passes(study.passes), style.scale_of(scores["tokens_seen"])
    size = (2.5, 1.9)
    figure, pairs = panels.over(
        study,
        tasks,
        title="Exact match by sleep passes N, a panel per task",
        note=f"{_band(study)}Numbers: mean at the last test, in percent. ",
        size=size,
        x=style.label_amount("training tokens", scores["tokens_seen"]),
        looks=looks,
        legend=[
            style.floor_handle(style.CHANCE_LINE, "chance"),
            *([style.floor_handle(style.SHORTCUT_LINE, "strongest shortcut")] if scores["shortcut"].count() else []),
        ],
    )
    low, high = style.limits(scores)
    for ax, (task, axis, depth) in pairs:
        of_task = scores.filter((pl.col("task") == task) & (pl.col("depth") == depth))
        ends = []
        for i, (n, look) in enumerate(looks.items()):
            of_n = of_task.filter(pl.col("n") == n)
            end = marks.curve(ax, of_n, look, "tokens_seen", scale, (i, len(looks)))
            if end is not None:
                ends.append((f"{end:.1f}", end, look))
        ax.axhline(100 * float(of_task["chance"][0]), **style.CHANCE_LINE)
        for name, shortcut in of_task.drop_nulls("shortcut").select("shortcut_name", "shortcut").unique().iter_rows():
            ax.axhline(100 * shortcut, **style.SHORTCUT_LINE)
            ax.text(0.02, 100 * shortcut, name, size=6.3, color=style.GREY, transform=ax.get_yaxis_transform())
        style.name_panel(ax, f"{task}, {label(axis, depth)}", [])
        marks.exact_axis(ax, (low, high))
        marks.label_ends(ax, ends, gap=(high - low) * 0.19 / size[1])
    figure.axes[0].set_xlim(left=0)  # of all panels, now that all curves are drawn
    return figure


def no_gain_words(study: Study) -> str:
    """The ends of each task."""
    means = words.means(words.last_scores(study), "task", "axis", "depth", "n")
    ends = [
        f"{task}, {label(str(axis), depth)}: {words.by_passes(of_task)}"
        for (task, axis, depth), of_task in means.group_by("task", "axis", "depth", maintain_order=True)
    ]
    return f"Learning curves by N, a panel per task. At their ends: {'; '.join(ends)}."


def _band(study: Study) -> str:
    """What band and thin lines are, if there are any."""
    if study.scores["seed"].n_unique() == 1:
        return ""
    return "Line: mean over seeds; band: lowest to highest; thin: a seed each. "
