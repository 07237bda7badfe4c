"""Maps of exact match at the end of training: N against difficulty, and the N of training against that of the test."""

import math

import polars as pl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmark.figures import floors, marks, panels, style, words
from benchmark.rows.studies import DRAWN_PASSES, Study, values

SOLVED_SCORE = 0.9
"""Exact match that counts as solved in the words about a map."""

SHADE = "Shade: share of the way from chance (white) to 100 % (dark). "


def frontier(study: Study) -> Figure | None:
    """The map of N against difficulty: exact match at the end of training, and how far it is from chance."""
    depths, passes = study.depths, study.passes
    if not study.final.height or len(depths) < 2:
        return None
    seeds = max(study.final.group_by("n", "depth").agg(pl.col("cell_id").n_unique())["cell_id"].to_list())
    ranges = "Small: lowest to highest seed. " if seeds != 1 else ""
    below = {"chance": -0.78} | ({"shortcut": -1.06} if floors.note(study, depths) else {})
    figure, ((ax, _),) = panels.over(
        study,
        [None],
        title="Exact match at the end of training (%)",
        note=f"{SHADE}{ranges}{floors.note(study, depths)}",
        x=study.depth_axis,
        y="",
        size=(0.74 * len(depths) + 0.5, 0.5 * len(passes) + 0.85 + 0.14 * (len(below) - 1)),
    )
    for i, depth in enumerate(depths):
        chance = study.chance(depth)
        levels = {"chance": chance, "shortcut": (study.shortcut(depth) or ("", math.nan))[1]}
        for name, height in below.items():
            text = "" if math.isnan(levels[name]) else f"{levels[name]:.1f}"
            ax.text(i, height, text, color=style.GREY, ha="center", va="center")
        for j, n in enumerate(passes):
            percents = marks.percent(study.scores_at(study.final, n, depth))
            marks.tile(
                ax, (i, j), percents, chance=chance, seeds=seeds, missing=why_missing(study, pl.col("n") == n, depth)
            )
    lowest = min(below.values()) - 0.28
    marks.grid_of_tiles(ax, [str(depth) for depth in depths], [f"N = {n}" for n in passes], below=lowest)
    ax.set_yticks([*below.values(), *ax.get_yticks()], [*below, *(f"N = {n}" for n in passes)])
    return figure


def frontier_words(study: Study) -> str:
    """How far each N gets."""
    parts = []
    for n, of_n in words.split(words.means(words.last_scores(study), "n", "depth"), "n"):
        depths = of_n.filter(pl.col("exact_match") >= SOLVED_SCORE)["depth"].to_list()
        parts.append(f"N = {n} " + (f"at {words.enumeration(map(study.label, depths))}" if depths else "nowhere"))
    return (
        f"Map of N against {study.depth_axis}: exact match at the end of training. "
        f"The mean over seeds is at least {100 * SOLVED_SCORE:.0f} % with {'; '.join(parts)}."
    )


def why_missing(study: Study, which: pl.Expr, depth: int) -> str:
    """Why there is no final score of the cells `which` at a difficulty."""
    failed = study.failed.filter(which & (pl.col("depth") == depth))
    if failed.height:
        return str(failed["status"][0]).replace("_", "\n")
    return "unfinished" if study.scores.filter(which & (pl.col("depth") == depth)).height else "not run"


def trained_by_tested(study: Study) -> Figure | None:
    """The map of the N of training against that of the test; a panel per difficulty."""
    last = study.final.filter(pl.col("answer").is_null())
    if not last.height or study.scores["test_passes"].is_null().all():
        return None
    test_levels, trainings, depths = values(study.scores["tested_passes"]), _trainings(study), values(last["depth"])
    counts = last.group_by("n", DRAWN_PASSES, "tested_passes", "depth").agg(pl.col("cell_id").n_unique())
    seeds = max(counts["cell_id"].to_list())
    figure, pairs = panels.over(
        study,
        depths,
        title="Exact match by the N of training and of the test (%)",
        note=f"{SHADE}Outlined: tested as trained. {'Small: lowest to highest seed. ' if seeds != 1 else ''}",
        x="N of the test",
        y="trained with",
        size=(0.68 * len(test_levels) + 0.9, 0.5 * len(trainings) + 0.7),
        columns=min(len(depths), 2),
    )
    for ax, depth in pairs:
        for i, test in enumerate(test_levels):
            for j, (n, draws) in enumerate(trainings):
                so = pl.col(DRAWN_PASSES).eq_missing(pl.lit(draws))
                percents = marks.percent(study.scores_at(last, n, depth).filter(so, pl.col("tested_passes") == test))
                at_test = (pl.col("tested_passes") == test) | pl.col("tested_passes").is_null()
                why = why_missing(study, (pl.col("n") == n) & so & at_test, depth)
                marks.tile(ax, (i, j), percents, chance=study.chance(depth), seeds=seeds, missing=why)
        own = [(n, j) for j, training in enumerate(trainings) for n in _trained_with(*training) if n in test_levels]
        for n, j in own:
            corner = (test_levels.index(n) - 0.47, j - 0.47)
            ax.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=style.INK, linewidth=1.4, zorder=4))
        style.name_panel(ax, study.label(depth), [])
        floor = study.shortcut(depth)
        beside = f", {floor[0]} {floor[1]:.1f} %" if floor else ""
        ax.set_title(f"chance {study.chance(depth):.1f} %{beside}", loc="right", size=6.8, color=style.GREY)
        marks.grid_of_tiles(ax, [str(n) for n in test_levels], [_in_words(*training) for training in trainings])
    return figure


def _trainings(study: Study) -> list[tuple[int, str | None]]:
    """N, and what it was drawn from, of every kind of training; those that draw last."""
    both = pl.concat([frame.select("n", DRAWN_PASSES) for frame in (study.scores, study.failed)]).unique()
    return sorted(both.rows(), key=lambda training: (training[1] is not None, training))


def _trained_with(n: int, draws: str | None) -> list[int]:
    """Every N that a kind of training has met."""
    return sorted({*map(int, draws.split())}) if draws else [n]


def _in_words(n: int, draws: str | None) -> str:
    """A kind of training, such as "N = 4" or "N of 1–8"."""
    numbers = _trained_with(n, draws)
    if not draws:
        return f"N = {n}"
    whole = len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"N of {numbers[0]}–{numbers[-1]}" if whole else f"N of {', '.join(map(str, numbers))}"


def trained_by_tested_words(study: Study) -> str:
    """What each N gets as it was trained, and at best otherwise."""
    parts = []
    for n, draws in _trainings(study):
        so = pl.col(DRAWN_PASSES).eq_missing(pl.lit(draws))
        of_n = words.means(words.last_scores(study).filter((pl.col("n") == n) & so), "n", "tested_passes")
        own_passes = pl.col("tested_passes").is_in(_trained_with(n, draws))
        own = of_n.filter(own_passes)["exact_match"].to_list()
        other = of_n.filter(~own_passes).sort("exact_match", descending=True, maintain_order=True)
        span = "–".join(f"{100 * score:.1f}" for score in dict.fromkeys([min(own), max(own)])) if own else ""
        scores = [f"{span} % tested so"] if own else []
        scores += [
            f"at best {100 * s:.1f} % tested otherwise (N = {t})"
            for t, s in other[:1].select("tested_passes", "exact_match").iter_rows()
        ]
        parts.append(f"trained with {_in_words(n, draws)}: {', '.join(scores)}")
    return f"Map of exact match by the N of training and of the test: {'; '.join(parts)}."
