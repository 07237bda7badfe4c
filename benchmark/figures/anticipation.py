"""Figures of questions that are known before they are asked: what that is worth, and what sharing a sleep saves."""

import math

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.figures import floors, marks, panels, style, words
from benchmark.figures.rivals import SLEEP, looks_of, loops_note, variants_of
from benchmark.rows.studies import Study, values
from benchmark.rows.text import amount


def accuracy_by_predictability(study: Study) -> Figure | None:
    """Exact match against the probability that a question is told before sleep, a curve per N; a panel per difficulty.

    What is told in the place of a question that is not is another one, so a sleep cannot know which it has.
    """
    last = study.final.filter(pl.col("answer").is_null())
    shares = values(last["predictability"])
    if len(shares) < 2:
        return None
    looks, depths = style.by_passes(study.passes), values(last["depth"])
    ranges = "Mark: mean over seeds; line: lowest to highest. " if last["seed"].n_unique() > 1 else ""
    figure, pairs = panels.over(
        study,
        depths,
        title="Exact match by how predictable questions are, at the end of training",
        note=ranges,
        x="probability that a question is foretold",
        size=(2.3, 1.9) if len(depths) > 1 else (3.7, 2.3),
        looks=looks,
        floor=depths,
    )
    span = shares[-1] - shares[0]
    for ax, depth in pairs:
        panels.exact(ax, study, depth, style.limits(last))
        of_panel = last.filter(pl.col("depth") == depth)
        for n, offset in zip(looks, style.offsets(len(looks), 0.04 * span), strict=True):
            at = {share: share + offset for share in shares}
            marks.along(ax, of_panel.filter(pl.col("n") == n), "predictability", looks[n], at, joined=True)
        ax.set_xticks(shares, [f"{share:g}" for share in shares])
        ax.set_xlim(shares[0] - 0.06 * span, shares[-1] + 0.06 * span)
    return figure


def accuracy_by_predictability_words(study: Study) -> str:
    """Each N from the least to the most predictable questions, at the hardest difficulty."""
    last = words.last_scores(study)
    depth, shares = values(last["depth"])[-1], values(last["predictability"])
    hardest = last.filter((pl.col("depth") == depth) & pl.col("predictability").is_in([shares[0], shares[-1]]))
    means = words.means(hardest, "n", "predictability")
    parts = words.enumeration(
        f"N = {n}: {' to '.join(f'{100 * score:.1f} %' for score in of_n['exact_match'])}"
        for n, of_n in words.split(means, "n")
    )
    return (
        f"Exact match at {study.label(depth)} where questions are foretold with probability {shares[0]:g} and "
        f"{shares[-1]:g}, mean over seeds: {parts}."
    )


def amortisation(study: Study) -> Figure | None:
    """FLOPs per answer and exact match against the number of questions that share a sleep, a line per system and N.

    A prediction costs each of its answers alike; the sleep before it is shared.
    """
    variants = variants_of(study.final.filter(pl.col("answer").is_not_null()))
    if study.final.filter(pl.col("variant") == SLEEP)["n"].n_unique() < 2 or len(variants) < 3:
        return None
    looks, depths = looks_of(variants), values(study.final["depth"])
    whole = study.final.filter(pl.col("answer").is_null())
    figure, pairs = panels.over(
        study,
        [None, *depths],
        title="What an answer costs, and how often it is right, by questions asked per context",
        note="Cost: forward FLOPs of sleep over the questions asked, and of prediction per question. Exact match: of "
        f"the first so many questions, mean over seeds. {loops_note(variants)}{floors.note(study, depths)}",
        x="questions asked per context",
        y="",
        size=(2.6, 2.0),
        share=False,
        legend=[*(look.handle(name) for name, look in looks.items()), *floors.handles(study, depths)],
    )
    for ax, depth in pairs:
        for name, scores in variants.items():
            places, heights = _costs(scores) if depth is None else _first(scores.filter(pl.col("depth") == depth))
            look = looks[name]
            line = {"color": look.color, "linestyle": look.dashes, "linewidth": look.width, "marker": look.marker}
            ax.plot(places, heights, markersize=3, **line)
        if depth is None:
            _flops_axis(ax)
            style.name_panel(ax, "FLOPs per answer", [])
        else:
            panels.exact(ax, study, depth, style.limits(whole))
            ax.set_ylabel("exact match (%)")
        ax.set_xticks(values([1, places[-1] // 2, places[-1]]) if places[-1] > 3 else places)
    return figure


def _flops_axis(ax: Axes) -> None:
    """Make y logarithmic, with ticks at 1, 2 and 5 of every power that are within its limits."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    ticks = [tick for power in powers for part in (1, 2, 5) if low <= (tick := part * 10**power) <= high]
    ax.set_yticks(ticks, [amount(tick) for tick in ticks])
    ax.set_yticks([], minor=True)


def _costs(scores: pl.DataFrame) -> tuple[list[int], list[float]]:
    """How many questions are asked, 1 to all, and what each answer then costs, in forward FLOPs."""
    first = scores.row(0, named=True)
    places = [answer + 1 for answer in values(scores["answer"])]
    return places, [first["sleep_flops"] / count + first["wake_flops"] / places[-1] for count in places]


def _first(scores: pl.DataFrame) -> tuple[list[int], list[float]]:
    """The same, and exact match of the first so many questions of each context, in percent."""
    right = (pl.col("exact_match") * pl.col("n_examples")).sum()
    counts = scores.group_by("answer").agg(right, pl.col("n_examples").sum()).sort("answer")
    shares = (100 * counts["exact_match"].cum_sum() / counts["n_examples"].cum_sum()).to_list()
    return [answer + 1 for answer in counts["answer"]], shares


def amortisation_words(study: Study) -> str:
    """What an answer of each system costs, alone and with all others, and how often it is right."""
    variants = variants_of(study.final.filter(pl.col("answer").is_not_null()))
    depth, parts = values(study.final["depth"])[-1], []
    for name, scores in variants.items():
        places, costs = _costs(scores)
        share = _first(scores.filter(pl.col("depth") == depth))[1][-1]
        parts.append(f"{name} {amount(costs[0])} to {amount(costs[-1])} FLOPs, {share:.1f} %")
    return (
        f"Forward FLOPs per answer with 1 to {places[-1]} questions per context, and exact match of all at "
        f"{study.label(depth)}, mean over seeds: {'; '.join(parts)}."
    )
