"""The figures of `bench probe`, from its tables alone: what S holds after each pass, and S itself.

Cells that differ in anything but N and seed are never averaged over: each difficulty and setting has its own figures.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.figures import style

STUDY = ("task", "model", "settings", "difficulty")
"""What figures are of their own for."""

UNTRAINED_LINE: dict[str, Any] = {"color": "#AA3377", "linestyle": (0, (4, 1.5)), "linewidth": 1.2, "zorder": 2}
TOKENS: dict[str, Any] = {"color": style.GREY, "linestyle": (0, (1, 1.3)), "linewidth": 1.3, "zorder": 2}
OWN_MARK: dict[str, Any] = {"color": "#D55E00", "marker": "*", "markersize": 9, "linestyle": "none", "zorder": 5}

STEPS = {"rollout_steps": "steps t'", "hops": "hops k'", "operations": "operations"}
"""How the steps of a task are named on an axis."""

MEASURES = {"norm": "norm of S", "effective_rank": "effective rank of S", "change": "change of S by the pass"}


def draw(probes: pl.DataFrame, spectra: pl.DataFrame, folder: Path) -> list[Path]:
    """Draw every figure of the two tables as PNG and SVG; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with style.context():
        for kind, frame, figure_of in (("probe", probes, by_step), ("fast_weights", spectra, by_pass)):
            for name, study in studies(frame):
                paths += style.save(figure_of(study), folder, f"{kind}-{name}")
    return paths


def studies(frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """(name, rows) of each task, model, setting and difficulty; the name is fit for a file."""
    for (task, model, settings, difficulty), study in frame.group_by(STUDY, maintain_order=True):
        level = "" if difficulty is None else f"{study['axis'][0]} {difficulty}"
        name = "-".join(str(part) for part in (task, model, settings, level) if part)
        yield re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-"), study


def by_step(study: pl.DataFrame) -> Figure:
    """Accuracy of probes against steps of computation: a column of panels per N, a row per kind, a curve per pass.

    Where nothing is computed, accuracy against the pass. Call inside `benchmark.figures.style.context`.
    """
    study = study.filter(pl.col("block").is_null())
    counts, kinds = _integers(study, "sleep_passes"), study["kind"].unique(maintain_order=True).to_list()
    x = "step" if study["step"].n_unique() > 1 else "pass"
    looks = style.by_order(range(1, counts[-1] + 1))
    figure, axes = style.sheet(
        title=f"Read off the fast weights S after each pass n of N: {_question(study)}",
        about=_about(study),
        note=_note(study),
        panels=len(kinds) * len(counts),
        columns=len(counts),
        legend=_legend(study, looks, x),
    )
    for ax, (kind, n) in zip(axes, ((kind, n) for kind in kinds for n in counts), strict=True):
        scores = study.filter((pl.col("kind") == kind) & (pl.col("sleep_passes") == n))
        ax.set_title(f"N = {n}", loc="left", weight="bold")
        ax.set_title(f"{kind}{_gain(scores, x)}", loc="right", size=6.8, color=style.GREY)
        _panel(ax, scores, looks, x)
    low = study.select(pl.min_horizontal("accuracy", "majority", "tokens", "untrained").min()).item()
    low = 0 if low < 0.25 else 10 * int((100 * low - 3) // 10)
    places = _integers(study, x)
    axes[0].set(ylim=(low, 102), xlim=(places[0] - 0.4, places[-1] + 0.4))
    axes[0].set_xticks(places)
    axis = study["axis"][0]
    style.label_outer(axes, x=STEPS.get(axis, axis.replace("_", " ")) if x == "step" else "pass n", y="read off S (%)")
    return figure


def _panel(ax: Axes, scores: pl.DataFrame, looks: Mapping[int, style.Look], x: str) -> None:
    """Curves of one N and kind: a pass each with the band of its seeds, then the controls."""
    last = _integers(scores, "pass")[-1]
    for n in range(1, last + 1) if x == "step" else [last]:
        mean, look = _spread(scores.filter(pl.col("pass") == n) if x == "step" else scores, x, "accuracy"), looks[n]
        ax.fill_between(mean[x], mean["low"], mean["high"], color=look.color, alpha=0.16, linewidth=0)
        ax.plot(mean[x], mean["mean"], color=look.color, marker=look.marker, linestyle=look.dashes, zorder=3)
    controls = scores if x == "pass" else scores.filter(pl.col("pass") == last)
    for column, line in (("untrained", UNTRAINED_LINE), ("tokens", TOKENS), ("majority", style.CHANCE_LINE)):
        mean = _spread(controls, x, column)
        if mean.height == 1:  # a line needs two ends
            mean = pl.concat([mean.with_columns(pl.col(x) + end) for end in (-0.35, 0.35)])
        ax.plot(mean[x], mean["mean"], **line)
    own = _spread(controls.filter(pl.col("model_accuracy").is_not_null()), x, "model_accuracy")
    ax.plot(own[x], own["mean"], **OWN_MARK)


def _gain(scores: pl.DataFrame, x: str) -> str:
    """What the first and the last pass hold of the hardest step, mean over seeds, in words for a panel's corner."""
    passes, step = _integers(scores, "pass"), _integers(scores, "step")[-1]
    hardest = scores.filter(pl.col("step") == step)
    means = {n: 100 * hardest.filter(pl.col("pass") == n)["accuracy"].to_numpy().mean() for n in passes}
    at = f" {STEPS.get(scores['axis'][0], 'step').split()[-1]} = {step}" if x == "step" else ""
    return f"{at}: " + " → ".join(f"{means[n]:.0f}" for n in dict.fromkeys((passes[0], passes[-1]))) + " %"


def _spread(frame: pl.DataFrame, x: str, column: str, scale: float = 100) -> pl.DataFrame:
    """Lowest, mean and highest of a column over seeds, at each x."""
    value = scale * pl.col(column)
    return frame.group_by(x).agg(low=value.min(), mean=value.mean(), high=value.max()).sort(x)


def by_pass(study: pl.DataFrame) -> Figure:
    """Norm, effective rank and change of S against the pass, a curve per N; call inside `style.context`."""
    looks, passes = style.by_passes(_integers(study, "sleep_passes")), _integers(study, "pass")
    figure, axes = style.sheet(
        title="The fast weights S themselves after each pass n of N",
        about=_about(study),
        note="Means over heads, blocks and held-out examples; bands: lowest to highest seed. Effective rank: exp of "
        f"the entropy of the singular values, at most {_integers(study, 'size')[-1]}. Change: norm of what the pass "
        "changed over the sum of the norms before and after; 1 where it was all new.",
        panels=len(MEASURES),
        legend=[
            *(look.handle(f"N = {n}") for n, look in looks.items()),
            style.floor_handle(UNTRAINED_LINE, "before training"),
        ],
        share=False,
    )
    controls = {"norm": "untrained_norm", "effective_rank": "untrained_rank"}
    for ax, (column, name) in zip(axes, MEASURES.items(), strict=True):
        ax.set_title(name, loc="left", weight="bold")
        for n, look in looks.items():
            cells = study.filter(pl.col("sleep_passes") == n).group_by("cell_id", "pass", maintain_order=True)
            mean = _spread(cells.agg(pl.col(column).mean()), "pass", column, scale=1)
            ax.fill_between(mean["pass"], mean["low"], mean["high"], color=look.color, alpha=0.16, linewidth=0)
            ax.plot(mean["pass"], mean["mean"], color=look.color, marker=look.marker, linestyle=look.dashes, zorder=3)
        if column in controls:
            longest = study.filter(pl.col("sleep_passes") == pl.col("sleep_passes").max())
            mean = _spread(longest, "pass", controls[column], scale=1)
            ax.plot(mean["pass"], mean["mean"], **UNTRAINED_LINE)
        ax.set(xlabel="pass n", xlim=(0.6, passes[-1] + 0.4))
        ax.set_ylim(0, 1.08 if column == "change" else None)
        ax.set_xticks(passes)
    return figure


def _integers(frame: pl.DataFrame, column: str) -> list[int]:
    """The different whole numbers in a column, smallest first."""
    return sorted(int(value) for value in frame[column].unique())


def _question(study: pl.DataFrame) -> str:
    """What the probes ask, in a few words."""
    return "the answer after each step" if study["step"].n_unique() > 1 else "what was stored"


def _about(study: pl.DataFrame) -> str:
    first = study.row(0, named=True)
    level = "" if first["difficulty"] is None else f", {first['axis'].replace('_', ' ')} {first['difficulty']}"
    more = f", {first['settings']}" if first["settings"] else ""
    seeds = ", ".join(str(seed) for seed in sorted(study["seed"].unique()))
    return f"{first['task']}{level}; {first['model']}{more}; seed{'s' if study['seed'].n_unique() > 1 else ''} {seeds}"


def _note(study: pl.DataFrame) -> str:
    first = study.sort("n_fit", "n_test", maintain_order=True).row(0, named=True)
    shuffled, majority = (100 * study.select(pl.col(name).mean()).item() for name in ("shuffled", "majority"))
    return (
        f"Linear probes of {first['features']} numbers, fitted on {first['n_fit']:.0f} validation examples or more, "
        f"scored on {first['n_test']} held-out items or more. Bands: lowest to highest seed. model: its "
        "own answers. Only what is above the "
        "untrained network (same probe of its S after the last pass) and above the tokens (same probe of what was "
        "read) was computed by what training taught. Fitted on shuffled values, probes get "
        f"{shuffled:.0f} % on average, where the most frequent value gets {majority:.0f} %."
    )


def _legend(study: pl.DataFrame, looks: Mapping[int, style.Look], x: str) -> list[Line2D]:
    handles = [look.handle(f"pass {n}") for n, look in looks.items()] if x == "step" else []
    handles += [style.floor_handle(UNTRAINED_LINE, "untrained"), style.floor_handle(TOKENS, "tokens")]
    handles.append(style.floor_handle(style.CHANCE_LINE, "most frequent"))
    if study["model_accuracy"].is_not_null().any():
        handles.append(Line2D([], [], label="model", **OWN_MARK))
    return handles
