"""Statistics of scores over seeds: trends, many tests at once, verdicts; with `intervals`, `differences`, `power`.

Differences are of scores: accuracies from 0 to 1, where no docstring says otherwise. A comparison of scores of held-out
examples counts what examples add to the spread of seeds if their number is given, exactly where outcomes per example
are known; see `benchmark.judge.intervals`. How often the intervals cover and the tests err is measured in
`tests/test_statistics.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from benchmark.judge.differences import (
    Contrast,
    examples_blur,
    mcnemar,
    paired_contrast,
    paired_outcomes,
    unpaired_contrast,
)
from benchmark.judge.intervals import (
    Floats,
    Interval,
    hierarchical_bootstrap,
    over_seeds,
    shared_variance,
    standard_error,
    students_reach,
    tail,
    wilson,
)
from benchmark.judge.power import seeds_needed

__all__ = [
    "Contrast",
    "Interval",
    "Trend",
    "Verdict",
    "examples_blur",
    "hierarchical_bootstrap",
    "holm",
    "mcnemar",
    "over_seeds",
    "paired_contrast",
    "paired_outcomes",
    "seeds_needed",
    "shared_variance",
    "trend",
    "unpaired_contrast",
    "verdict",
    "wilson",
]

_EXACT = 8
"""Levels of a trend whose orders can all be counted."""

Verdict = Literal["reproduced", "not reproduced", "not enough evidence"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """Whether scores rise along an axis."""

    rises: float
    """Mean over seeds of Spearman's rank correlation with the axis: 1 where every seed rises at every level, -1 where
    every seed falls. Page's L is a linear function of it."""
    p: float
    """One-sided p value of a rise; NaN for a single seed."""
    slope: Interval
    """Least-squares slope per unit of the axis: mean over seeds and its interval."""


def trend(scores: ArrayLike, x: Sequence[float], level: float = 0.95) -> Trend:
    """Whether scores rise along an axis, by Page's test (JASA 58:216, 1963) with seeds as blocks.

    For a fall, give the negative scores. Ties, such as several N at the ceiling, get the mean of their ranks, and up to
    8 levels the p value is exact whatever the ties: all orders of each seed's ranks are counted, where scipy takes them
    for untied and finds 0.09 instead of 1 / 27 for three seeds with the upper two of three levels tied. Beyond 8 levels
    it is scipy's approximation.

    Args:
        scores: [seeds, levels], finite.
        x: The value of the axis at each level, at least 3 different ones, in any order.
        level: Of the interval of the slope.

    Raises:
        ValueError: another shape, fewer than 3 levels, a level twice, or a score that is not finite.
    """
    table, axis = np.asarray(scores, dtype=np.float64), np.asarray(x, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(axis) or not table.size:
        raise ValueError(
            f"a trend takes scores [seeds, levels] and a value per level, given {table.shape} and {len(axis)} values"
        )
    if len(axis) < 3 or len(np.unique(axis)) < len(axis):
        raise ValueError(f"a trend takes at least 3 different levels, given {list(x)}: see `paired_contrast` for two")
    if not (np.isfinite(table).all() and np.isfinite(axis).all()):
        raise ValueError("a trend takes finite scores; leave out the seeds or levels that lack some")
    order = np.argsort(axis)
    table, axis = table[:, order], axis[order]
    ranks = _ranks(table)
    n = len(axis)
    places = np.arange(1, n + 1) - (n + 1) / 2
    rises = float((ranks @ places).mean() / (places @ places))
    away = axis - axis.mean()
    slopes = table @ away / (away @ away)
    half = students_reach(standard_error(slopes, float(np.abs(slopes).max())), len(slopes) - 1, tail(level)) or math.inf
    slope = float(slopes.mean())
    interval = Interval(estimate=slope, low=slope - half, high=slope + half, level=level)
    return Trend(rises=rises, p=_page(ranks) if len(ranks) > 1 else math.nan, slope=interval)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p values of several tests, in the same order (Holm, Scand. J. Statist. 6:65, 1979).

    Rejecting where the adjusted value is below alpha keeps the chance of any false alarm below alpha, whatever the
    tests have to do with each other. A test that could not be made (NaN) stays NaN and counts as one of them.

    Raises:
        ValueError: a p value not from 0 to 1.
    """
    if bad := [value for value in p if not (math.isnan(value) or 0 <= value <= 1)]:
        raise ValueError(f"p values are from 0 to 1, given {bad[0]}")
    adjusted, largest = [math.nan] * len(p), 0.0
    for rank, i in enumerate(sorted((i for i in range(len(p)) if not math.isnan(p[i])), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


def verdict(effect: Interval, p: float, *, smallest: float, alpha: float = 0.05) -> Verdict:
    """What an effect in the claimed direction (positive) amounts to.

    Reproduced: p is below alpha, the interval above 0 and the estimate at least `smallest`. Not reproduced: the
    interval excludes an effect of `smallest`. Anything else, and a p of NaN, is not enough evidence: so is an effect
    that is clear of 0 but, as it is estimated, smaller than what would matter.

    Args:
        effect: The claimed direction is positive.
        p: Of no effect, adjusted where it is one of many.
        smallest: The smallest effect worth having, positive, in the unit of the effect.
        alpha: Rate of false alarms.

    Raises:
        ValueError: smallest is not positive.
    """
    if not smallest > 0:
        raise ValueError(f"the smallest effect worth having is positive, given {smallest}")
    if p < alpha and effect.low > 0 and effect.estimate >= smallest:
        return "reproduced"
    return "not reproduced" if effect.high < smallest else "not enough evidence"


def _ranks(table: Floats) -> Floats:
    """The rank of each score [seeds, levels] among those of its seed, from 1; ties share the mean of theirs."""
    one, other = table[:, :, None], table[:, None, :]
    return (other < one).sum(axis=2) + ((other == one).sum(axis=2) + 1) / 2  # type: ignore[no-any-return]


def _page(ranks: Floats) -> float:
    """One-sided p value of a rise of ranks [seeds, levels]: the share of orders with a sum as large, seed by seed."""
    levels = ranks.shape[1]
    if levels > _EXACT:
        from scipy import stats  # half a second that nothing else needs

        return float(stats.page_trend_test(ranks, ranked=True).pvalue)
    twice = np.rint(2 * ranks).astype(np.int64)  # ranks of ties end in a half
    places = np.arange(1, levels + 1)
    orders = np.array(list(permutations(range(levels))))
    chance = np.ones(1)
    for seed in twice:
        counts = np.bincount(seed[orders] @ places)
        chance = np.convolve(chance, counts / counts.sum())
    return min(1.0, float(chance[(twice @ places).sum() :].sum()))
