"""Scores out of a study, seed by seed: what claims and controls are judged on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmark.statistics import Interval, over_seeds
from benchmark.studies import Study, task_words, values

Scores = dict[int, float]
"""A score by seed."""

SCALES = ("tiny", "cpu", "gpu", "paper")
PLACES = ("all", "shallowest", "beyond nearest", "deeper half", "deepest")
"""Where along the difficulty a claim is judged: at every difficulty there is, or some of several."""


class LackingError(ValueError):
    """Rows that cannot judge a claim; the message says what they lack."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """That one N is better than another: what controls examine.

    Attributes:
        low: The smaller N.
        high: The larger N.
        depths: The difficulties over which both are averaged.
    """

    low: int
    high: int
    depths: tuple[int, ...]


def scores(
    rows: pl.DataFrame, n: int, depths: Sequence[int], *, answer: int | None = None, column: str = "exact_match"
) -> Scores:
    """The mean over difficulties of a column of final rows, of every seed that has all of them, by seed.

    Args:
        rows: `Study.final`, one row per seed, N, difficulty and answer.
        n: The N of training.
        depths: The difficulties.
        answer: Of one answer; None for the whole example.
        column: What to average.
    """
    which = pl.col("answer").is_null() if answer is None else pl.col("answer") == answer
    found = rows.filter((pl.col("n") == n) & pl.col("depth").is_in(list(depths)) & which)
    found = found.drop_nulls(column).group_by("seed").agg(pl.col("depth").n_unique(), pl.col(column).mean())
    found = found.filter(pl.col("depth") == len(set(depths))).sort("seed")
    return dict(zip(found["seed"].to_list(), found[column].to_list(), strict=True))


def examples(rows: pl.DataFrame, ns: Iterable[int], depths: Sequence[int], answer: int | None = None) -> int:
    """On how many held-out examples those scores stand: of the N with fewest, all difficulties together."""
    which = pl.col("answer").is_null() if answer is None else pl.col("answer") == answer
    found = rows.filter(pl.col("n").is_in(list(ns)) & pl.col("depth").is_in(list(depths)) & which)
    each = found.group_by("n", "depth").agg(pl.col("n_examples").min()).group_by("n").agg(pl.col("n_examples").sum())
    fewest = each["n_examples"].min()
    return int(fewest) if isinstance(fewest, int) else 0


def aligned(*found: Mapping[int, float]) -> tuple[list[float], ...]:
    """The scores of the seeds that all have, in the same order.

    Raises:
        LackingError: no seed has them all.
    """
    common = sorted(set.intersection(*(set(each) for each in found)))
    if not common:
        raise LackingError("no seed has finished with every N that is compared")
    return tuple([each[seed] for seed in common] for each in found)


def chance(rows: pl.DataFrame, depths: Sequence[int], answer: int | None = None) -> float:
    """Mean chance of the difficulties."""
    which = pl.col("answer").is_null() if answer is None else pl.col("answer") == answer
    found = rows.filter(pl.col("depth").is_in(list(depths)) & which).group_by("depth").agg(pl.col("chance").mean())
    return float(np.mean(found.sort("depth")["chance"].to_list()))


def places(study: Study, at: str) -> tuple[int, ...]:
    """The difficulties of finished cells that `at` means.

    Raises:
        LackingError: `at` takes several difficulties and there is only one.
    """
    depths = values(study.final["depth"])
    if at == "all":
        return tuple(depths)
    if len(depths) < 2:
        raise LackingError(f"rows of one difficulty only; {at} takes several")
    halves = {"shallowest": depths[:1], "beyond nearest": depths[1:], "deepest": depths[-1:]}
    return tuple((halves | {"deeper half": depths[len(depths) // 2 :]})[at])


def passes(study: Study, n: int | str) -> int:
    """An N that the study has finished cells of; "largest" is the largest.

    Raises:
        LackingError: it has none of that N, or for "largest" none above 1.
    """
    found = values(study.final["n"])
    if n == "largest":
        if not found or found[-1] < 2:
            raise LackingError("no finished cell with N above 1")
        return int(found[-1])
    if n not in found:
        raise LackingError(f"no finished cell with N = {n}")
    return int(n)


def named(study: Study, depths: Sequence[int]) -> str:
    """The difficulties in words: "t = 8", or "k = 2, 3, 4"."""
    first, *rest = (study.label(depth) for depth in depths)
    return ", ".join([first, *(text.partition(" = ")[2] for text in rest)])


def at_flops(rows: pl.DataFrame, n: int, depths: Sequence[int], budget: float) -> Scores:
    """Scores where a run had spent `budget` training FLOPs, between two tests on the line through them; by seed.

    Args:
        rows: `Study.scores`: every test. A run that ends before the budget has no score; before its first test a run
            counts as at chance.
        n: The N of training.
        depths: Difficulties to average over.
        budget: Training FLOPs.
    """
    found: dict[int, list[float]] = {}
    of_n = rows.filter((pl.col("n") == n) & pl.col("answer").is_null() & pl.col("depth").is_in(list(depths)))
    for (seed, _), curve in of_n.sort("seed", "depth", "train_flops").group_by(["seed", "depth"], maintain_order=True):
        spent, score = curve["train_flops"].to_numpy(), curve["exact_match"].to_numpy()
        if len(spent) and spent[-1] >= budget * (1 - 1e-6):
            start = float(curve["chance"][0])
            at = np.interp(budget, np.concatenate([[0.0], spent]), np.concatenate([[start], score]))
            found.setdefault(int(str(seed)), []).append(float(at))
    return {seed: float(np.mean(each)) for seed, each in found.items() if len(each) == len(set(depths))}


def budget(rows: pl.DataFrame, n: int, depths: Sequence[int]) -> float:
    """Training FLOPs of a finished run of that N, the least over seeds and difficulties; NaN where none are counted."""
    found = rows.filter((pl.col("n") == n) & pl.col("depth").is_in(list(depths)))["train_flops"].drop_nulls().to_list()
    return float(min(found)) if found else float("nan")


def seeds_of(study: Study) -> int:
    """Seeds with a finished cell."""
    return int(study.final["seed"].n_unique())


def rank(study: Study) -> tuple[int, int, int]:
    """Which of several studies judges: that of the largest scale, then of most seeds, then of most finished cells."""
    scale = str(study.final["scale"][0])
    return SCALES.index(scale) if scale in SCALES else -1, seeds_of(study), int(study.final["cell_id"].n_unique())


def mean_over_seeds(found: Mapping[int, float], examples: int, level: float = 0.95) -> Interval:
    """The mean with its interval for new seeds and new examples; for one seed, of the examples alone."""
    return over_seeds([found[seed] for seed in sorted(found)], examples, level)


def smallest_level(holds: Callable[[float], bool]) -> float:
    """The p value that belongs to an interval: the smallest alpha whose interval of level 1 - alpha still `holds`."""
    low, high = -12.0, 0.0  # of its logarithm to base 10
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(1 - 10**middle) else (middle, high)
    return float(10**high)


def about(study: Study) -> str:
    """Which rows these are: suite, scale, task and model; of a task that has a newer version, which."""
    first = study.final.row(0, named=True)
    task = task_words(first["task"], first["task_version"])
    return f"{first['suite']}-{first['scale']}: {task}, {first['model']}"
