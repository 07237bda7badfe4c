"""Figures from rows alone: exact match against tokens and FLOPs, and the map of difficulty against sleep passes N.

Settings that vary beside difficulty, N and seed are never averaged over: each combination is a study with figures of
its own. What failed or is unfinished stands under the figure.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmark import rows, style
from benchmark.studies import Study, studies, values

THRESHOLDS = (0.5, 0.8)  # of lift


def draw(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """Draw every figure that the rows allow as PNG and SVG; the paths written.

    A file is named after its figure and, if there are several studies in the rows, after the settings of its study.
    """
    written = []
    with style.context():
        for study in studies(frame):
            for name, figure_of in FIGURES.items():
                figure = figure_of(study)
                if figure is None:
                    continue
                style.settle(figure)
                stem = re.sub(r"[^A-Za-z0-9._]+", "-", f"{name}-{study.name}").strip("-")
                for kind in ("png", "svg"):
                    folder.mkdir(parents=True, exist_ok=True)
                    written.append(folder / f"{stem}.{kind}")
                    rows.write_atomically(written[-1], style.encode(figure, kind))
    return written


# --- the figures ---


def accuracy_by_depth(study: Study) -> Figure | None:
    """The paper's Figure 2a: exact match against training tokens, a curve per difficulty; a panel per N."""
    if len(study.depths) < 2:
        return None
    looks, passes = style.by_order(study.depths), values(study.scores["n"])
    size = (3.4, 2.3) if len(passes) == 1 else (2.45, 2.0)
    figure, axes = style.sheet(
        title=f"Exact match by {study.depth_axis}",
        about=study.about,
        note=f"{_band(study)}{study.note}",
        panels=len(passes),
        size=size,
    )
    chances = [study.chance(depth) for depth in study.depths if not math.isnan(study.chance(depth))]
    low, high = style.limits(study.scores)
    for ax, n in zip(axes, passes, strict=True):
        ends = {}
        for depth, look in looks.items():
            found = study.whole(study.scores, n, depth)
            end = style.curve(ax, found, look, "tokens_seen", style.scale_of(study.scores["tokens_seen"]))
            if end is not None:
                ends[study.label(depth)] = (end, look)
        ax.axhspan(min(chances), max(chances), color=style.GREY, alpha=0.18, linewidth=0)
        for edge in values([min(chances), max(chances)]):
            ax.axhline(edge, **style.CHANCE_LINE)
        style.name_panel(ax, f"N = {n}", chances)
        ax.set_ylim(low, high)
        style.label_ends(ax, ends, gap=(high - low) * 0.19 / size[1])
    axes[0].set_xlim(left=0)  # of all panels, now that all curves are drawn
    style.label_outer(axes, x=style.label_amount("training tokens", study.scores["tokens_seen"]), y="exact match (%)")
    return figure


def accuracy_by_passes(study: Study) -> Figure | None:
    """The paper's Figure 2b: exact match against training tokens, a curve per N; a panel per difficulty."""
    title = "Exact match by sleep passes N, against training tokens"
    return _by_passes(study, "tokens_seen", title, style.label_amount("training tokens", study.scores["tokens_seen"]))


def accuracy_by_flops(study: Study) -> Figure | None:
    """Figure 2b against training compute, where N passes cost about N times as much per token."""
    if len(study.passes) < 2:
        return None
    exponent = round(math.log10(style.scale_of(study.scores["train_flops"])))
    title = "Exact match by sleep passes N, against training compute"
    note = "At equal tokens, fewer passes end at fewer FLOPs. "
    return _by_passes(study, "train_flops", title, f"training FLOPs ($10^{{{exponent}}}$)", note)


def _by_passes(study: Study, x: str, title: str, x_label: str, note: str = "") -> Figure | None:
    """A panel per difficulty, a curve per N, against a column of rows."""
    depths = values(study.scores["depth"])
    if len(study.passes) < 2 <= len(depths):
        return None  # a figure by difficulty holds all there is
    looks = style.by_passes(study.passes)
    figure, axes = style.sheet(
        title=title,
        about=study.about,
        note=f"{_band(study)}{note}{study.note}",
        panels=len(depths),
        size=(2.3, 1.75) if len(depths) > 1 else (3.7, 2.3),
        legend=[look.handle(f"N = {n}") for n, look in looks.items()],
    )
    for ax, depth in zip(axes, depths, strict=True):
        ax.axhline(study.chance(depth), **style.CHANCE_LINE)
        for n, look in looks.items():
            turn = (list(looks).index(n), len(looks))
            style.curve(ax, study.whole(study.scores, n, depth), look, x, style.scale_of(study.scores[x]), turn)
        style.name_panel(ax, study.label(depth), [study.chance(depth)])
        ax.set_ylim(*style.limits(study.scores))
    axes[0].set_xlim(left=0)  # of all panels, now that all curves are drawn
    style.label_outer(axes, x=x_label, y="exact match (%)")
    return figure


def frontier(study: Study) -> Figure | None:
    """The map of N against difficulty: exact match at the end of training, and how far it is from chance."""
    depths, passes = study.depths, study.passes
    if not study.final.height or len(depths) < 2:
        return None
    seeds = max(study.final.group_by("n", "depth").agg(pl.col("cell_id").n_unique())["cell_id"].to_list())
    ranges = "Small: lowest to highest seed. " if seeds != 1 else ""
    figure, (ax,) = style.sheet(
        title="Exact match at the end of training (%)",
        about=study.about,
        note=f"Shade: share of the way from chance (white) to 100 % (dark). {ranges}{study.note}",
        panels=1,
        size=(0.74 * len(depths) + 0.5, 0.5 * len(passes) + 0.85),
    )
    shades = colormaps["Blues"]
    for i, depth in enumerate(depths):
        chance = study.chance(depth)
        ax.text(i, -0.78, "" if math.isnan(chance) else f"{chance:.1f}", color=style.GREY, ha="center", va="center")
        for j, n in enumerate(passes):
            found = [100 * float(score) for score in study.whole(study.final, n, depth)["exact_match"]]
            box: dict[str, Any] = {
                "xy": (i - 0.5, j - 0.5),
                "width": 1,
                "height": 1,
                "edgecolor": "white",
                "linewidth": 1.5,
            }
            if not found:
                ax.add_patch(Rectangle(**box, facecolor="#f7f7f7", hatch="////"))
                ax.text(
                    i, j, _why_missing(study, n, depth), size=6.8, ha="center", va="center", backgroundcolor="#f7f7f7"
                )
                continue
            low, mean, high = min(found), sum(found) / len(found), max(found)
            shade = min(1.0, max(0.0, (mean - chance) / (100 - chance)))
            ax.add_patch(Rectangle(**box, facecolor=shades(0.85 * shade)))
            color = "white" if shade > 0.7 else style.INK
            ax.text(i, j + 0.14 * (seeds != 1), f"{mean:.1f}", color=color, size=9, ha="center", va="center")
            if seeds != 1:
                few = f", {len(found)} of {seeds}" if len(found) != seeds else ""
                spread = f"{low:.0f}–{high:.0f}{few}" if len(found) > 1 else f"1 of {seeds} seeds"
                ax.text(i, j - 0.25, spread, color=color, size=6.3, ha="center", va="center")
    ax.set(xlim=(-0.5, len(depths) - 0.5), ylim=(-1.06, len(passes) - 0.5), xlabel=study.depth_axis)
    ax.set_xticks(range(len(depths)), [str(d) for d in depths])
    ax.set_yticks([-0.78, *range(len(passes))], ["chance", *(f"N = {n}" for n in passes)])
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure


def _why_missing(study: Study, n: int, depth: int) -> str:
    """Why a place of the map is empty."""
    failed = study.failed.filter((pl.col("n") == n) & (pl.col("depth") == depth))
    if failed.height:
        return str(failed["status"][0]).replace("_", "\n")
    return "unfinished" if study.whole(study.scores, n, depth).height else "not run"


def accuracy_by_answer(study: Study) -> Figure | None:
    """Exact match of each answer of the episode (for Rule 110, each string) by N, at the end of training."""
    found = study.final.filter(pl.col("answer").is_not_null())
    if found["answer"].n_unique() < 2:
        return None
    looks, depths, answers = style.by_passes(study.passes), values(found["depth"]), values(found["answer"])
    ranges = "Mark: mean over seeds; line: lowest to highest. " if found["seed"].n_unique() > 1 else ""
    figure, axes = style.sheet(
        title="Exact match of each answer, at the end of training",
        about=study.about,
        note=f"{ranges}{study.note}",
        panels=len(depths),
        size=(2.3, 1.75) if len(depths) > 1 else (3.7, 2.3),
        legend=[look.handle(f"N = {n}", line=False) for n, look in looks.items()],
    )
    for ax, depth in zip(axes, depths, strict=True):
        at_depth = found.filter(pl.col("depth") == depth)
        for answer, chance in at_depth.select("answer", "chance").unique(maintain_order=True).iter_rows():
            ax.plot([answer + 0.6, answer + 1.4], [100 * chance] * 2, **style.CHANCE_LINE)
        for n, offset in zip(looks, style.offsets(len(looks), 0.6), strict=True):
            of_n = at_depth.filter(pl.col("n") == n).group_by("answer", maintain_order=True)
            for answer, low, mean, high in of_n.agg(**style.spread("exact_match")).iter_rows():
                place = answer + 1 + offset
                ax.plot([place, place], [low, high], color=looks[n].color, linewidth=1.2, clip_on=False)
                ax.plot(place, mean, color=looks[n].color, marker=looks[n].marker, clip_on=False, zorder=3)
        style.name_panel(ax, study.label(depth), [100 * c for c in at_depth["chance"]])
        ax.set_xticks([a + 1 for a in answers])
        ax.grid(visible=False, axis="x")
        ax.set(xlim=(answers[0] + 0.4, answers[-1] + 1.6), ylim=style.limits(found))
    style.label_outer(axes, x="answer, in order", y="exact match (%)")
    return figure


def tokens_to_threshold(study: Study) -> Figure | None:
    """Training tokens at the first test that reached a lift, for each N and difficulty; a panel per threshold."""
    if not study.final.height or len(study.depths) * len(study.passes) < 2:  # one place says nothing
        return None
    looks, scale = style.by_passes(study.passes), style.scale_of(study.scores["tokens_seen"])
    cells = study.scores.filter(pl.col("cell_id").is_in(study.final["cell_id"].to_list()) & pl.col("answer").is_null())
    budget = float(cells["tokens_seen"].cast(pl.Float64).max() or 0) / scale  # type: ignore[arg-type]
    lane = 1.14 * budget
    ends = study.final["tokens_seen"].cast(pl.Float64) / scale
    never = "not reached" + (f" by {budget:.3g} {style.UNITS.get(scale, '')}" if min(ends) > 0.99 * budget else "")
    figure, axes = style.sheet(
        title="Training tokens needed, by sleep passes N",
        about=study.about,
        note="A mark per seed, at the first test that reached it; hollow: not reached by the end of training. "
        f"Lift: 0 is chance, 100 % is all right. {study.note}",
        panels=len(THRESHOLDS),
        size=(max(2.3, 0.55 * len(study.depths) + 0.5), 2.2),
        legend=[look.handle(f"N = {n}", line=False) for n, look in looks.items()],
    )
    for ax, threshold in zip(axes, THRESHOLDS, strict=True):
        ax.axhspan(1.04 * budget, 1.24 * budget, color="#efefef", linewidth=0)
        for i, depth in enumerate(study.depths):
            for n, slot in zip(looks, style.offsets(len(looks), 0.75), strict=True):
                reached = _tokens_to(study.whole(cells, n, depth), threshold)
                for tokens, offset in zip(reached, style.offsets(len(reached), 0.5 / len(looks)), strict=True):
                    height, face = (lane, "white") if tokens is None else (tokens / scale, looks[n].color)
                    ax.plot(
                        i + slot + offset, height, color=looks[n].color, marker=looks[n].marker, markersize=3.6,
                        markerfacecolor=face, markeredgewidth=0.8,
                    )  # fmt: skip
        style.name_panel(ax, f"lift of {100 * threshold:.0f} %", [])
        ax.text(0.01, 1.26 * budget, never, size=6.8, color=style.GREY, transform=ax.get_yaxis_transform())
        for i in range(1, len(study.depths)):
            ax.axvline(i - 0.5, color="#e6e6e6", linewidth=0.5)
        ax.set_xticks(range(len(study.depths)), [str(d) for d in study.depths])
        ax.set(xlim=(-0.55, len(study.depths) - 0.45), ylim=(0, 1.36 * budget))
        ax.set_yticks([tick for tick in ax.get_yticks() if tick <= budget])
        ax.grid(visible=False, axis="x")
    style.label_outer(axes, x=study.depth_axis, y=style.label_amount("training tokens", study.scores["tokens_seen"]))
    return figure


def _tokens_to(scores: pl.DataFrame, threshold: float) -> list[int | None]:
    """For each cell, the tokens at its first test with that lift, fewest first; None where there is none."""
    reached = scores.group_by("cell_id").agg(pl.col("tokens_seen").filter(pl.col("lift") >= threshold).min())
    return reached["tokens_seen"].sort(nulls_last=True).to_list()


FIGURES: dict[str, Callable[[Study], Figure | None]] = {
    "accuracy_by_depth": accuracy_by_depth,
    "accuracy_by_passes": accuracy_by_passes,
    "accuracy_by_flops": accuracy_by_flops,
    "frontier": frontier,
    "accuracy_by_answer": accuracy_by_answer,
    "tokens_to_threshold": tokens_to_threshold,
}
"""Every figure by the name of its file; each returns None where the rows do not allow it."""


# --- parts of figures ---


def _band(study: Study) -> str:
    """What band and thin lines are, if there are any."""
    if study.scores["seed"].n_unique() == 1:
        return ""
    return "Line: mean over seeds; band: lowest to highest; thin: a seed each. "
