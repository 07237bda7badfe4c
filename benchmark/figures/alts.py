"""What each figure shows in a sentence or two with its main numbers, for whoever cannot see it."""

from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

from benchmark.figures import comparisons, gains
from benchmark.figures.finals import THRESHOLDS
from benchmark.judge import learning_curve
from benchmark.rows.studies import Study, label, values

GOOD = 0.9
"""Exact match that counts as solved in the words about a map."""


def accuracy_by_depth(study: Study) -> str:
    """Where each N ends at the easiest and the hardest difficulty."""
    return (
        f"Learning curves of exact match against training tokens, one per {study.depth_axis}, a panel per N. "
        f"{_from_to(study)}"
    )


def accuracy_by_passes(study: Study) -> str:
    """Where the curves end that end furthest apart."""
    return (
        f"Learning curves of exact match against training tokens, one per N, a panel per {study.depth_axis}; "
        f"{_ends(study, _last(study))}"
    )


def accuracy_by_flops(study: Study) -> str:
    """The same at the FLOPs of the cheapest N."""
    last = _last(study)
    equal = learning_curve.at_flops(study.scores, learning_curve.least(last))
    return (
        f"Learning curves of exact match against training FLOPs, one per N, a panel per {study.depth_axis}. "
        f"At the FLOPs of the cheapest N, {_ends(study, equal)}"
    )


def loss_by_passes(study: Study) -> str:
    """Where the losses end."""
    last = _last(study).filter(pl.col("loss").is_not_null())
    told = "; ".join(
        f"{study.label(depth)}: {_list(f'N = {n} {loss:.2f}' for n, loss in of_depth.select('n', 'loss').iter_rows())}"
        for depth, of_depth in _by(_means(last, "depth", "n", score="loss"), "depth")
    )
    return f"Curves of test loss in nats per token against training tokens, one per N. At their ends: {told}."


def accuracy_by_level(study: Study) -> str:
    """How each N falls with difficulty."""
    return f"Exact match at the end of training against {study.depth_axis}, a line per N. {_from_to(study)}"


def frontier(study: Study) -> str:
    """How far each N gets."""
    means = _means(_last(study), "n", "depth")
    told = []
    for n, of_n in _by(means, "n"):
        solved = of_n.filter(pl.col("exact_match") >= GOOD)["depth"].to_list()
        told.append(f"N = {n} " + (f"at {_list(map(study.label, solved))}" if solved else "nowhere"))
    return (
        f"Map of N against {study.depth_axis}: exact match at the end of training. "
        f"The mean over seeds is at least {100 * GOOD:.0f} % with {'; '.join(told)}."
    )


def accuracy_by_answer(study: Study) -> str:
    """How far answers differ."""
    found = study.final.filter(pl.col("answer").is_not_null())
    means = _means(found, "n", "depth", "answer").group_by("n", "depth", maintain_order=True)
    ranges = means.agg(low=pl.col("exact_match").min(), high=pl.col("exact_match").max())
    wide = ranges.sort(pl.col("high") - pl.col("low"), descending=True, maintain_order=True).row(0, named=True)
    return (
        f"Exact match of each answer at the end of training, a mark per N. Answers differ most with N = {wide['n']} at "
        f"{study.label(wide['depth'])}: {100 * wide['low']:.1f} to {100 * wide['high']:.1f} %."
    )


def tokens_to_threshold(study: Study) -> str:
    """How many cells of each N got there."""
    threshold = THRESHOLDS[-1]
    cells = study.scores.filter(pl.col("cell_id").is_in(study.final["cell_id"].to_list()) & pl.col("answer").is_null())
    best = cells.group_by("n", "depth", "cell_id").agg(pl.col("lift").max()).sort("n", "depth", "cell_id")
    told = _list(f"N = {n} in {int((of_n['lift'] >= threshold).sum())} of {of_n.height}" for n, of_n in _by(best, "n"))
    return (
        f"Training tokens until a lift, for each N and {study.depth_axis}, a mark per seed. "
        f"A lift of {100 * threshold:.0f} % was reached with {told} runs and difficulties."
    )


def gain_by_depth(study: Study) -> str:
    """The largest gain at equal tokens and what is left of it at equal FLOPs."""
    found = gains.gains(study)
    best = max(found[gains.EQUAL_TOKENS], key=lambda gain: gain.share.estimate)
    left = [g for g in found[gains.EQUAL_FLOPS] if (g.n, g.depth) == (best.n, best.depth)]
    clear = {name: sum(g.clear and g.share.estimate > 0 for g in of) for name, of in found.items()}
    counts = ", ".join(f"{clear[name]} of {len(of)} {name}" for name, of in found.items())
    return (
        f"Exact match of N > 1 minus that of N = 1 on the same seeds, against {study.depth_axis}. At equal training "
        f"tokens it is highest with N = {best.n} at {study.label(best.depth)}: {_points(best)}; at the training FLOPs "
        f"of N = 1 that is {_points(left[0]) if left else 'not known'}. Gains whose 95 % interval is above 0: {counts}."
    )


def rivals(study: Study) -> str:
    """Sleep among its rivals."""
    last = _last(study)
    means = _means(last, "variant", "n").sort("exact_match", descending=True, maintain_order=True)
    named = means.with_columns(name=pl.col("variant") + pl.format(" (N = {})", "n"))
    return (
        "Exact match of sleep and of what else its training compute could buy, at the end of training, mean of seeds: "
        f"{_list(f'{name} {100 * score:.1f} %' for name, score in named.select('name', 'exact_match').iter_rows())}."
    )


def rules(study: Study) -> str:
    """Each rule with each N."""
    names = comparisons.rule_names(study)
    told = [
        f"{names[layout]} {_list(_scores(of_rule))}"
        for layout, of_rule in _by(_means(_last(study), "layout", "n"), "layout")
    ]
    return f"Exact match at the end of training by update rule and N, mean over seeds: {'; '.join(told)}."


def evictions(study: Study) -> str:
    """Each eviction with each N."""
    means = _means(_last(study), "eviction", "hard_share", "n")
    told = []
    for (eviction, share), of_kind in means.group_by("eviction", "hard_share", maintain_order=True):
        told.append(f"{eviction}{', two stages' if share else ''} {_list(_scores(of_kind))}")
    return f"Exact match at the end of training by eviction and N, mean over seeds and difficulties: {'; '.join(told)}."


def trained_by_tested(study: Study) -> str:
    """What each N gets as it was trained, and at best otherwise."""
    means = _means(_last(study), "n", "tested_passes")
    told = []
    for n, of_n in _by(means, "n"):
        own = of_n.filter(pl.col("tested_passes") == n)["exact_match"].to_list()
        other = of_n.filter(pl.col("tested_passes") != n).sort("exact_match", descending=True, maintain_order=True)
        said = [f"{100 * own[0]:.1f} % tested so"] if own else []
        said += [
            f"at best {100 * s:.1f} % tested otherwise (N = {t})"
            for t, s in other[:1].select("tested_passes", "exact_match").iter_rows()
        ]
        told.append(f"trained with N = {n}: {', '.join(said)}")
    return f"Map of exact match by the N of training and of the test: {'; '.join(told)}."


def retention(study: Study) -> str:
    """How far each rule falls from the nearest to the furthest test."""
    names, last = comparisons.rule_names(study), _last(study)
    ends = values(last["depth"])[:: max(last["depth"].n_unique() - 1, 1)]
    means = _means(last.filter(pl.col("depth").is_in(ends)), "layout", "n", "depth")
    told = []
    for (layout, n), of_curve in means.group_by("layout", "n", maintain_order=True):
        told.append(
            f"{names[str(layout)]}, N = {n}: {' to '.join(f'{100 * s:.0f} %' for s in of_curve['exact_match'])}"
        )
    return (
        f"Exact match against the number of windows consolidated afterwards, from {' to '.join(map(str, ends))}: "
        f"{'; '.join(told)}."
    )


def no_gain(study: Study) -> str:
    """The ends of each task."""
    means = _means(_last(study), "task", "axis", "depth", "n")
    told = []
    for (task, axis, depth), of_task in means.group_by("task", "axis", "depth", maintain_order=True):
        told.append(f"{task}, {label(str(axis), depth)}: {_list(_scores(of_task))}")
    return f"Learning curves by N, a panel per task. At their ends: {'; '.join(told)}."


ALTS: dict[str, Callable[[Study], str]] = {
    "accuracy_by_depth": accuracy_by_depth,
    "accuracy_by_passes": accuracy_by_passes,
    "accuracy_by_flops": accuracy_by_flops,
    "loss_by_passes": loss_by_passes,
    "accuracy_by_level": accuracy_by_level,
    "frontier": frontier,
    "gain_by_depth": gain_by_depth,
    "accuracy_by_answer": accuracy_by_answer,
    "tokens_to_threshold": tokens_to_threshold,
    "rivals_by_flops": rivals,
    "rivals_by_tokens": rivals,
    "rivals_final": rivals,
    "rules": rules,
    "evictions": evictions,
    "trained_by_tested": trained_by_tested,
    "retention": retention,
    "no_gain": no_gain,
}
"""The words of every figure by its name in `benchmark.figures`."""


def _last(study: Study) -> pl.DataFrame:
    """Whole answers at the end of training or, before any cell is finished, at the last test of each."""
    whole = study.final.filter(pl.col("answer").is_null())
    if whole.height:
        return whole
    scores = study.scores.filter(pl.col("answer").is_null())
    return scores.filter(pl.col("step") == pl.col("step").max().over("cell_id"))


def _means(scores: pl.DataFrame, *by: str, score: str = "exact_match") -> pl.DataFrame:
    """Means over seeds, sorted."""
    return scores.group_by(by, maintain_order=True).agg(pl.col(score).mean()).sort(by, maintain_order=True)


def _by(scores: pl.DataFrame, column: str) -> Iterable[tuple[Any, pl.DataFrame]]:
    """The rows of each value of a column."""
    return ((part[column][0], part) for part in scores.partition_by(column, maintain_order=True))


def _scores(means: pl.DataFrame) -> list[str]:
    """Such as "78.5 % (N = 1)"."""
    return [f"{100 * score:.1f} % (N = {n})" for n, score in means.select("n", "exact_match").iter_rows()]


def _ends(study: Study, last: pl.DataFrame) -> str:
    """Scores by N at the difficulty where they differ most."""
    means = _means(last, "depth", "n")
    if not means.height:
        return "no scores."
    spread = means.group_by("depth", maintain_order=True).agg(pl.col("exact_match").max() - pl.col("exact_match").min())
    depth = spread.sort("exact_match", descending=True, maintain_order=True)["depth"][0]
    apart = "they end furthest apart at " if spread.height > 1 else "they end at "
    told = _list(_scores(means.filter(pl.col("depth") == depth)))
    return f"{apart}{study.label(depth)}: {told}; chance is {study.chance(depth):.1f} %."


def _from_to(study: Study) -> str:
    """Scores by N at the easiest and at the hardest difficulty."""
    told, hardest = [], 0
    for n, of_n in _by(_means(_last(study), "n", "depth"), "n"):
        ends = [of_n.row(i) for i in sorted({0, of_n.height - 1})]
        told.append(f"N = {n} {', '.join(f'{100 * score:.1f} % at {study.label(depth)}' for _, depth, score in ends)}")
        hardest = max(hardest, ends[-1][1])
    return f"At the end, mean over seeds: {'; '.join(told)}; chance is {study.chance(hardest):.1f} % there."


def _points(gain: gains.Gain) -> str:
    mean, low, high = gain.points
    return f"{mean:+.1f} points" + (f" ({low:+.1f} to {high:+.1f})" if gain.known else " (one seed, no interval)")


def _list(parts: Iterable[str]) -> str:
    """Parts with commas and an "and"."""
    *head, last = list(parts) or ["nothing"]
    return f"{', '.join(head)} and {last}" if head else last
