"""Figures of final scores: by difficulty, by N, by answer, and what it took to get there."""

import polars as pl
from matplotlib.figure import Figure

from benchmark.figures import floors, marks, overlay, panels, style, words
from benchmark.judge import learning_curve
from benchmark.rows.studies import Study, values

THRESHOLDS = (0.5, 0.8)  # of lift
_FLOORS = {
    "chance": "",
    "majority": "Majority: the most frequent answer. ",
    "question_only": "Question only: the best guess that has read nothing else. ",
}


def accuracy_by_level(study: Study) -> Figure | None:
    """Exact match at the end of training against difficulty, a curve per N, with the floors (the paper's Figure 4).

    The paper's own points, where it has some, stand beside.
    """
    depths = values(study.final["depth"])
    if len(depths) < 2:
        return None
    looks = style.by_passes(values(study.final["n"]))
    guesses = {"chance": style.CHANCE_LINE, "majority": style.MAJORITY_LINE, "question_only": style.QUESTION_LINE}
    whole = study.final.filter(pl.col("answer").is_null())
    lines = [name for name in guesses if name == "chance" or _differs(whole, name)]
    ranges = "Mark: mean over seeds; line: lowest to highest. " if whole["seed"].n_unique() > 1 else ""
    paper = overlay.points(study)
    places = style.axis_places(depths)
    span = places[depths[-1]]
    figure, ((ax, _),) = panels.over(
        study,
        [None],
        title="Exact match at the end of training",
        note=f"{ranges}{''.join(_FLOORS[name] for name in lines)}{floors.note(study, depths)}{overlay.note(paper)}",
        x=study.depth_axis,
        size=(min(max(3.7, 0.5 * (span + 1) + 1.2), 7.5), 2.4),
        looks=looks,
        legend=[
            *(style.floor_handle(guesses[name], name.replace("_", " ")) for name in lines),
            *floors.handles(study, depths),
            *overlay.handles(paper, list(looks)),
        ],
    )
    for name in lines:
        for depth, place in places.items():
            level = 100 * float(whole.filter(pl.col("depth") == depth)[name][0])
            ax.plot([place - 0.4, place + 0.4], [level] * 2, **guesses[name])
    floors.steps(ax, study, places, 0.4)
    for n, offset in zip(looks, style.offsets(len(looks), 0.4), strict=True):
        at = {depth: place + offset for depth, place in places.items()}
        marks.along(ax, whole.filter(pl.col("n") == n), "depth", looks[n], at, joined=True)
    overlay.draw_points(ax, paper, places)
    ax.set_xticks(list(places.values()), [str(depth) for depth in depths])
    ax.grid(visible=False, axis="x")
    marks.exact_axis(ax, (0, 102))
    ax.set_xlim(-0.5, span + 0.5)
    return figure


def accuracy_by_level_words(study: Study) -> str:
    """How each N falls with difficulty."""
    return (
        f"Exact match at the end of training against {study.depth_axis}, a line per N. "
        f"{words.from_easiest_to_hardest(study)}"
    )


def _differs(scores: pl.DataFrame, floor: str) -> bool:
    """Whether a floor is visibly another than chance."""
    return bool(((scores[floor] - scores["chance"]).abs() > 0.002).any())


def accuracy_by_answer(study: Study) -> Figure | None:
    """Exact match of each answer of the episode (for Rule 110, each string) by N, at the end of training."""
    by_answer = study.final.filter(pl.col("answer").is_not_null())
    if by_answer["answer"].n_unique() < 2:
        return None
    looks, depths, answers = style.by_passes(study.passes), values(by_answer["depth"]), values(by_answer["answer"])
    alone = depths if by_answer["shortcut"].count() else []  # where each answer counts by itself
    ranges = "Mark: mean over seeds; line: lowest to highest. " if by_answer["seed"].n_unique() > 1 else ""
    figure, pairs = panels.over(
        study,
        depths,
        title="Exact match of each answer, at the end of training",
        note=ranges,
        x="answer, in order",
        size=(2.3, 1.75) if len(depths) > 1 else (3.7, 2.3),
        looks=looks,
        line=False,
        floor=alone,
    )
    for ax, depth in pairs:
        at_depth = by_answer.filter(pl.col("depth") == depth)
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
        marks.exact_axis(ax, style.limits(by_answer))
        ax.set_xlim(answers[0] + 0.4, answers[-1] + 1.6)
    return figure


def accuracy_by_answer_words(study: Study) -> str:
    """How far answers differ."""
    answers = study.final.filter(pl.col("answer").is_not_null())
    means = words.means(answers, "n", "depth", "answer").group_by("n", "depth", maintain_order=True)
    ranges = means.agg(low=pl.col("exact_match").min(), high=pl.col("exact_match").max())
    wide = ranges.sort(pl.col("high") - pl.col("low"), descending=True, maintain_order=True).row(0, named=True)
    return (
        f"Exact match of each answer at the end of training, a mark per N. Answers differ most with N = {wide['n']} at "
        f"{study.label(wide['depth'])}: {100 * wide['low']:.1f} to {100 * wide['high']:.1f} %."
    )


def tokens_to_threshold(study: Study) -> Figure | None:
    """Training tokens to a lift, for each N and difficulty; a panel per threshold."""
    if not study.final.height or len(study.depths) * len(study.passes) < 2:  # one place says nothing
        return None
    looks, scale = style.by_passes(study.passes), style.scale_of(study.scores["tokens_seen"])
    cells = _full_runs(study)
    budget = float(cells["tokens_seen"].cast(pl.Float64).max() or 0) / scale  # type: ignore[arg-type]
    lane = 1.14 * budget
    ends = study.final["tokens_seen"].cast(pl.Float64) / scale
    never = "not reached" + (f" by {budget:.3g} {style.UNITS.get(scale, '')}" if min(ends) > 0.99 * budget else "")
    figure, pairs = panels.over(
        study,
        THRESHOLDS,
        title="Training tokens needed, by sleep passes N",
        note="A mark per seed, where the line through its tests comes to it; hollow: never. "
        "Lift: 0 is chance, 100 % is all right. ",
        x=study.depth_axis,
        y=style.label_amount("training tokens", study.scores["tokens_seen"]),
        size=(max(2.3, 0.55 * len(study.depths) + 0.5), 2.2),
        looks=looks,
        line=False,
    )
    for ax, threshold in pairs:
        ax.axhspan(1.04 * budget, 1.24 * budget, color="#efefef", linewidth=0)
        for i, depth in enumerate(study.depths):
            for n, slot in zip(looks, style.offsets(len(looks), 0.75), strict=True):
                runs = learning_curve.tokens_to(study.scores_at(cells, n, depth), threshold)
                budgets = runs["tokens"].sort(nulls_last=True)
                for tokens, offset in zip(budgets, style.offsets(len(budgets), 0.5 / len(looks)), strict=True):
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
    return figure


def tokens_to_threshold_words(study: Study) -> str:
    """How many cells of each N got there."""
    best = _full_runs(study).group_by("n", "depth", "cell_id").agg(pl.col("lift").max()).sort("n", "depth", "cell_id")
    counts = words.enumeration(
        f"N = {n} in {(of_n['lift'] >= THRESHOLDS[-1]).sum()} of {of_n.height}" for n, of_n in words.split(best, "n")
    )
    return (
        f"Training tokens until a lift, for each N and {study.depth_axis}, a mark per seed. "
        f"A lift of {100 * THRESHOLDS[-1]:.0f} % was reached with {counts} runs and difficulties."
    )


def _full_runs(study: Study) -> pl.DataFrame:
    """Whole answers of the cells that were trained to the end, at every test."""
    return study.scores.filter(pl.col("cell_id").is_in(study.final["cell_id"].to_list()) & pl.col("answer").is_null())
