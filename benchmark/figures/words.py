"""What figures say in words for whoever cannot see them: means of their rows, and lists of them."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from benchmark.rows.studies import Study


def last_scores(study: Study) -> pl.DataFrame:
    """Whole answers at the end of training or, before any cell is finished, at the last test of each."""
    whole = study.final.filter(pl.col("answer").is_null())
    if whole.height:
        return whole
    scores = study.scores.filter(pl.col("answer").is_null())
    return scores.filter(pl.col("step") == pl.col("step").max().over("cell_id"))


def means(scores: pl.DataFrame, *by: str, score: str = "exact_match") -> pl.DataFrame:
    """Means over seeds, sorted."""
    return scores.group_by(by, maintain_order=True).agg(pl.col(score).mean()).sort(by, maintain_order=True)


def split(scores: pl.DataFrame, column: str) -> Iterable[tuple[Any, pl.DataFrame]]:
    """The rows of each value of a column."""
    return ((part[column][0], part) for part in scores.partition_by(column, maintain_order=True))


def by_passes(means: pl.DataFrame) -> str:
    """Such as "78.5 % (N = 1) and 80.1 % (N = 2)"."""
    return enumeration(f"{100 * score:.1f} % (N = {n})" for n, score in means.select("n", "exact_match").iter_rows())


def enumeration(parts: Iterable[str]) -> str:
    """Parts with commas and an "and"."""
    *head, end = list(parts) or ["nothing"]
    return f"{', '.join(head)} and {end}" if head else end


def furthest_apart(study: Study, scores: pl.DataFrame) -> str:
    """Scores by N at the difficulty where they differ most."""
    mean = means(scores, "depth", "n")
    if not mean.height:
        return "no scores."
    spread = mean.group_by("depth", maintain_order=True).agg(pl.col("exact_match").max() - pl.col("exact_match").min())
    depth = spread.sort("exact_match", descending=True, maintain_order=True)["depth"][0]
    apart = "they end furthest apart at " if spread.height > 1 else "they end at "
    ends = by_passes(mean.filter(pl.col("depth") == depth))
    return f"{apart}{study.label(depth)}: {ends}; chance is {study.chance(depth):.1f} %."


def from_easiest_to_hardest(study: Study) -> str:
    """Scores by N at the easiest and at the hardest difficulty."""
    parts, hardest = [], 0
    for n, of_n in split(means(last_scores(study), "n", "depth"), "n"):
        ends = [of_n.row(i) for i in sorted({0, of_n.height - 1})]
        parts.append(f"N = {n} {', '.join(f'{100 * score:.1f} % at {study.label(depth)}' for _, depth, score in ends)}")
        hardest = max(hardest, ends[-1][1])
    return f"At the end, mean over seeds: {'; '.join(parts)}; chance is {study.chance(hardest):.1f} % there."
