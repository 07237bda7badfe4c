"""Figures of final scores: by difficulty, by N, by answer, and what it took to get there."""

import math

import polars as pl
from matplotlib.figure import Figure

from benchmark.figures import floors, marks, overlay, style
from benchmark.judge import learning_curve
from benchmark.rows.studies import Study, values, words

THRESHOLDS = (0.5, 0.8)  # of lift
_FLOORS = {
    "chance": "",
    "majority": "Majority: the most frequent answer. ",
    "question_only": "Question only: the best guess that has read nothing else. ",
}


def accuracy_by_level(study: Study) -> Figure | None:
    """The paper's Figure 4: exact match at the end of training against difficulty, a curve per N, over the floors.

    The paper's own points, where it has some, stand beside.
    """
    depths = values(study.final["depth"])
    if len(depths) < 2:
        return None
    looks = style.by_passes(values(study.final["n"]))
    guesses = {"chance": style.CHANCE_LINE, "majority": style.MAJORITY_LINE, "question_only": style.QUESTION_LINE}
    whole = study.final.filter(pl.col("answer").is_null())
    drawn = [name for name in guesses if name == "chance" or _differs(whole, name)]
    ranges = "Mark: mean over seeds; line: lowest to highest. " if whole["seed"].n_unique() > 1 else ""
    printed = overlay.points(study)
    figure, (ax,) = style.sheet(
        title="Exact match at the end of training",
        about=study.about,
        note=f"{ranges}{''.join(_FLOORS[name] for name in drawn)}{floors.note(study, depths)}{overlay.note(printed)}"
        f"{study.note}",
        panels=1,
        size=(max(3.7, 0.5 * len(depths) + 1.2), 2.4),
        legend=[
            *(look.handle(f"N = {n}") for n, look in looks.items()),
            *(style.floor_handle(guesses[name], words(name)) for name in drawn),
            *floors.handles(study, depths),
            *overlay.handles(printed, list(looks)),
        ],
    )
    places = list(range(len(depths)))
    for name in drawn:
        for place, depth in zip(places, depths, strict=True):
            level = 100 * float(whole.filter(pl.col("depth") == depth)[name][0])
            ax.plot([place - 0.4, place + 0.4], [level] * 2, **guesses[name])
    floors.steps(ax, study, dict(zip(depths, map(float, places), strict=True)), 0.4)
    for n, offset in zip(looks, style.offsets(len(looks), 0.4), strict=True):
        at = {depth: place + offset for place, depth in zip(places, depths, strict=True)}
        marks.along(ax, whole.filter(pl.col("n") == n), "depth", looks[n], at, joined=True)
    overlay.beside(ax, printed, dict(zip(depths, places, strict=True)))
    ax.set_xticks(places, [str(depth) for depth in depths])
    ax.grid(visible=False, axis="x")
    marks.exact_axis(ax, (0, 102))
    ax.set(xlim=(-0.5, len(depths) - 0.5), xlabel=study.depth_axis, ylabel="exact match (%)")
    return figure


def _differs(scores: pl.DataFrame, floor: str) -> bool:
    """Whether a floor is visibly another than chance."""
    return bool(((scores[floor] - scores["chance"]).abs() > 0.002).any())


def frontier(study: Study) -> Figure | None:
    """The map of N against difficulty: exact match at the end of training, and how far it is from chance."""
    depths, passes = study.depths, study.passes
    if not study.final.height or len(depths) < 2:
        return None
    seeds = max(study.final.group_by("n", "depth").agg(pl.col("cell_id").n_unique())["cell_id"].to_list())
    ranges = "Small: lowest to highest seed. " if seeds != 1 else ""
    below = {"chance": -0.78} | ({"shortcut": -1.06} if floors.note(study, depths) else {})
    figure, (ax,) = style.sheet(
        title="Exact match at the end of training (%)",
        about=study.about,
        note="Shade: share of the way from chance (white) to 100 % (dark). "
        f"{ranges}{floors.note(study, depths)}{study.note}",
        panels=1,
        size=(0.74 * len(depths) + 0.5, 0.5 * len(passes) + 0.85 + 0.14 * (len(below) - 1)),
    )
    for i, depth in enumerate(depths):
        chance = study.chance(depth)
        known = {"chance": chance, "shortcut": (study.shortcut(depth) or ("", math.nan))[1]}
        for name, height in below.items():
            said = "" if math.isnan(known[name]) else f"{known[name]:.1f}"
            ax.text(i, height, said, color=style.GREY, ha="center", va="center")
        for j, n in enumerate(passes):
            found = marks.percent(study.whole(study.final, n, depth))
            marks.tile(
                ax, (i, j), found, chance=chance, seeds=seeds, missing=why_missing(study, pl.col("n") == n, depth)
            )
    lowest = min(below.values()) - 0.28
    marks.grid_of_tiles(ax, [str(depth) for depth in depths], [f"N = {n}" for n in passes], below=lowest)
    ax.set_yticks([*below.values(), *ax.get_yticks()], [*below, *(f"N = {n}" for n in passes)])
    ax.set_xlabel(study.depth_axis)
    return figure


def why_missing(study: Study, which: pl.Expr, depth: int) -> str:
    """Why there is no final score of the cells `which` at a difficulty."""
    failed = study.failed.filter(which & (pl.col("depth") == depth))
    if failed.height:
        return str(failed["status"][0]).replace("_", "\n")
    return "unfinished" if study.scores.filter(which & (pl.col("depth") == depth)).height else "not run"


def accuracy_by_answer(study: Study) -> Figure | None:
    """Exact match of each answer of the episode (for Rule 110, each string) by N, at the end of training."""
    found = study.final.filter(pl.col("answer").is_not_null())
    if found["answer"].n_unique() < 2:
        return None
    looks, depths, answers = style.by_passes(study.passes), values(found["depth"]), values(found["answer"])
    alone = depths if found["shortcut"].count() else []  # where each answer counts by itself
    ranges = "Mark: mean over seeds; line: lowest to highest. " if found["seed"].n_unique() > 1 else ""
    figure, axes = style.sheet(
        title="Exact match of each answer, at the end of training",
        about=study.about,
        note=f"{ranges}{floors.note(study, alone)}{study.note}",
        panels=len(depths),
        size=(2.3, 1.75) if len(depths) > 1 else (3.7, 2.3),
        legend=[*(look.handle(f"N = {n}", line=False) for n, look in looks.items()), *floors.handles(study, alone)],
    )
    for ax, depth in zip(axes, depths, strict=True):
        at_depth = found.filter(pl.col("depth") == depth)
        of_answers = at_depth.select("answer", "chance", "shortcut").unique(maintain_order=True)
        for answer, chance, shortcut in of_answers.iter_rows():
            for floor, look in ((chance, style.CHANCE_LINE), (shortcut, style.SHORTCUT_LINE)):
                if floor is not None:
                    ax.plot([answer + 0.6, answer + 1.4], [100 * floor] * 2, **look)
        for n, offset in zip(looks, style.offsets(len(looks), 0.6), strict=True):
            at = {answer: answer + 1 + offset for answer in answers}
            marks.along(ax, at_depth.filter(pl.col("n") == n), "answer", looks[n], at)
        style.name_panel(ax, study.label(depth), [100 * c for c in at_depth["chance"]])
        ax.set_xticks([a + 1 for a in answers])
        ax.grid(visible=False, axis="x")
        marks.exact_axis(ax, style.limits(found))
        ax.set_xlim(answers[0] + 0.4, answers[-1] + 1.6)
    style.label_outer(axes, x="answer, in order", y="exact match (%)")
    return figure


def tokens_to_threshold(study: Study) -> Figure | None:
    """Training tokens to a lift, for each N and difficulty; a panel per threshold."""
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
        note="A mark per seed, where the line through its tests comes to it; hollow: never. "
        f"Lift: 0 is chance, 100 % is all right. {study.note}",
        panels=len(THRESHOLDS),
        size=(max(2.3, 0.55 * len(study.depths) + 0.5), 2.2),
        legend=[look.handle(f"N = {n}", line=False) for n, look in looks.items()],
    )
    for ax, threshold in zip(axes, THRESHOLDS, strict=True):
        ax.axhspan(1.04 * budget, 1.24 * budget, color="#efefef", linewidth=0)
        for i, depth in enumerate(study.depths):
            for n, slot in zip(looks, style.offsets(len(looks), 0.75), strict=True):
                runs = learning_curve.tokens_to(study.whole(cells, n, depth), threshold)
                reached = runs["tokens"].sort(nulls_last=True)
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
