"""Figures of questions that are known before they are asked."""

import polars as pl
from matplotlib.figure import Figure

from benchmark.figures import marks, panels, style, words
from benchmark.rows.studies import Study, values


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
