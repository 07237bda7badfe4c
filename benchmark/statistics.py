"""Statistics of scores over seeds: comparisons, trends, many tests at once, verdicts; with `intervals` and `power`.

Differences are of scores, accuracies from 0 to 1 unless told otherwise. A comparison of scores of held-out examples
counts what examples add to the spread of seeds if it is told how many there are, exactly where outcomes per example
are known; see `benchmark.intervals`. How often the intervals cover and the tests err is measured in
`tests/test_statistics.py`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from benchmark.intervals import (
    Floats,
    Interval,
    checked,
    examples_reach,
    hierarchical_bootstrap,
    over_seeds,
    shared_variance,
    standard_error,
    students_reach,
    tail,
    wilson,
)
from benchmark.power import seeds_needed

__all__ = [
    "Interval",
    "Paired",
    "Trend",
    "Verdict",
    "equivalent",
    "examples_blur",
    "hierarchical_bootstrap",
    "holm",
    "mcnemar",
    "over_seeds",
    "paired",
    "paired_outcomes",
    "seeds_needed",
    "shared_variance",
    "trend",
    "unpaired",
    "verdict",
    "wilson",
]

_EXACT = 8
"""Levels of a trend whose orders can all be counted."""

Verdict = Literal["reproduced", "not reproduced", "not enough evidence"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """A comparison of two sets of scores.

    Attributes:
        difference: The second minus the first, in the unit of the scores.
        p: Two-sided p value of no difference; NaN where the seeds tell nothing about the spread.
        seeds: Seeds of the smaller set.
    """

    difference: Interval
    p: float
    seeds: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """Whether scores rise along an axis.

    Attributes:
        rises: Mean over seeds of Spearman's rank correlation with the axis: 1 where every seed rises at every level,
            -1 where every seed falls. Page's L is a linear function of it.
        p: One-sided p value of a rise; NaN for a single seed.
        slope: Least-squares slope per unit of the axis: mean over seeds and its interval.
    """

    rises: float
    p: float
    slope: Interval


def paired(
    low_scores: Sequence[float],
    high_scores: Sequence[float],
    level: float = 0.95,
    *,
    examples: int = 0,
    shared: float | None = None,
) -> Paired:
    """Compare two settings on the same seeds and data, by the paired t test; the difference is high minus low.

    Without `examples` the question is about these held-out examples: seeds alone vary. With them it is about new
    examples as well. What the luck of a run does to an example is in the spread of the seeds already; what is added is
    the variance of the difference that all seeds share, as `shared` tells, see `paired_outcomes`.

    Scores alone do not tell that variance. If no example is harder for the better setting than for the other it is at
    most d (1 - d), for a difference of d; a quarter of that is assumed. That is what examples whose difficulties differ
    by a standard deviation of 3 logits give for the same advantage on all; it is 0 for settings that are equal, and
    too little for two that find different examples hard, whatever the seed.

    Coverage of the 95 % interval in the simulation of the tests (3 and 5 seeds, 2048 examples, means 0.55 to 0.99,
    equal and different settings): 94.6 to 96.8 % with `shared` as without. Where seeds hardly vary, 93 to 97.5 %.

    Args:
        low_scores: One per seed.
        high_scores: One per seed, in the same order.
        level: As in `Interval`.
        examples: How many held-out examples every score is of; 0 to leave their spread out.
        shared: Variance over examples of the difference that all seeds share (`shared_variance`); None: unknown.

    Returns:
        A single seed tells nothing about the spread, and neither do differences that are all the same if their
        examples are left out: then p is NaN and the interval infinite.

    Raises:
        ValueError: no scores, different numbers of them, or a score that is not finite (with examples: not a share).
    """
    one, other = checked(low_scores, examples), checked(high_scores, examples)
    if len(one) != len(other):
        raise ValueError(
            f"a paired comparison takes the same seeds twice, given {len(one)} and {len(other)} scores; "
            "leave out seeds that only one has, or compare unpaired"
        )
    differences = other - one
    error = standard_error(differences, float(np.abs([one, other]).max()))
    difference = float(differences.mean())
    return _compared(difference, error, len(one) - 1, seeds=len(one), examples=examples, shared=shared, level=level)


def paired_outcomes(low_right: NDArray[Any], high_right: NDArray[Any], level: float = 0.95) -> Paired:
    """Compare two settings by what each seed got right, on the same seeds and examples: `paired`, with nothing assumed.

    Args:
        low_right: [seeds, examples], booleans, or shares of what each example asks.
        high_right: The same seeds and examples in the same order.
        level: As in `Interval`.

    Raises:
        ValueError: shapes that differ, or fewer than 2 seeds or examples.
    """
    if low_right.shape != high_right.shape:
        raise ValueError(f"the same seeds and examples twice, given {low_right.shape} and {high_right.shape}")
    low, high = np.asarray(low_right, dtype=np.float64), np.asarray(high_right, dtype=np.float64)
    shared = shared_variance(high - low)
    return paired(list(low.mean(axis=1)), list(high.mean(axis=1)), level, examples=low.shape[1], shared=shared)


def unpaired(one: Sequence[float], other: Sequence[float], level: float = 0.95, *, examples: int = 0) -> Paired:
    """Compare two settings on different seeds, by Welch's t test (Biometrika 34:28, 1947); other minus one.

    Arguments, result and errors as `paired`, held-out examples included, which both settings have in common; but the
    numbers of seeds may differ. At least one more seed than one is needed on both sides.
    It covers in 94 to 97 % where `paired` does in the same simulation.
    """
    a, b = checked(one, examples), checked(other, examples)
    errors = [standard_error(scores, max(np.abs(a).max(), np.abs(b).max())) for scores in (a, b)]
    freedom = 0.0
    if min(len(a), len(b)) > 1 and any(errors):
        parts = [error**2 for error in errors]
        freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    difference, seeds = float(b.mean() - a.mean()), min(len(a), len(b))
    return _compared(difference, math.hypot(*errors), freedom, seeds=seeds, examples=examples, shared=None, level=level)


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_], level: float = 0.95) -> Paired:
    """Compare two runs by what each got right of the same examples: examples are all that varies; other minus one.

    p is McNemar's (Psychometrika 12:153, 1947), exact: examples that only one run has right are its or the other's
    with equal chance. The interval is Agresti & Min's (Statistics in Medicine 24:729, 2005): Wald's with half an
    example more of each of the four kinds.

    Args:
        one: [examples], booleans.
        other: Of the same examples in the same order.
        level: As in `Interval`.

    Raises:
        ValueError: shapes that differ, no example, or no booleans.
    """
    if one.shape != other.shape or one.ndim != 1 or not len(one) or {one.dtype, other.dtype} != {np.dtype(np.bool_)}:
        raise ValueError(
            f"booleans of the same examples twice, given {one.dtype} {one.shape}, {other.dtype} {other.shape}"
        )
    lost, won, total = int((one & ~other).sum()), int((other & ~one).sum()), len(one)
    p = min(1.0, 2 * float(special.bdtr(min(lost, won), lost + won, 0.5))) if lost + won else 1.0
    centre = (won - lost) / (total + 2)
    half = float(special.ndtri(1 - tail(level) / 2)) * math.sqrt(
        max(0.0, (lost + won + 1) / (total + 2) - centre**2) / (total + 2)
    )
    estimate = (won - lost) / total
    low, high = min(estimate, centre - half), max(estimate, centre + half)
    interval = Interval(estimate=estimate, low=max(-1.0, low), high=min(1.0, high), level=level)
    return Paired(difference=interval, p=p, seeds=1)


def examples_blur(difference: float, examples: int, shared: float | None = None, level: float = 0.95) -> float:
    """How far held-out examples alone leave a difference open, as `paired` counts them; 0 without examples."""
    if not examples:
        return 0.0
    return examples_reach(0.0, _shared(difference, shared), examples, tail(level))


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
        raise ValueError(f"a trend takes at least 3 different levels, given {list(x)}; compare two with `paired`")
    if not (np.isfinite(table).all() and np.isfinite(axis).all()):
        raise ValueError("a trend takes finite scores; leave out the seeds or levels that lack some")
    order = np.argsort(axis)
    table, axis = table[:, order], axis[order]
    ranks = stats.rankdata(table, axis=1)
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


def equivalent(difference: Interval, margin: float) -> bool:
    """Whether two settings are the same but for less than `margin`: the interval lies between minus and plus it.

    These are two one-sided tests (Schuirmann, J. Pharmacokin. Biopharm. 15:657, 1987), each at (1 - level) / 2: an
    interval of level 0.95 wrongly says so in at most 2.5 % of cases, the usual one of 0.90 in at most 5 %.

    Raises:
        ValueError: margin is not positive.
    """
    if not margin > 0:
        raise ValueError(f"a margin of equivalence is positive, given {margin}")
    return -margin < difference.low and difference.high < margin


def _page(ranks: Floats) -> float:
    """One-sided p value of a rise of ranks [seeds, levels]: the share of orders with a sum as large, seed by seed."""
    levels = ranks.shape[1]
    if levels > _EXACT:
        return float(stats.page_trend_test(ranks, ranked=True).pvalue)
    twice = np.rint(2 * ranks).astype(np.int64)  # ranks of ties end in a half
    places = np.arange(1, levels + 1)
    orders = np.array(list(permutations(range(levels))))
    chance = np.ones(1)
    for seed in twice:
        counts = np.bincount(seed[orders] @ places)
        chance = np.convolve(chance, counts / counts.sum())
    return min(1.0, float(chance[(twice @ places).sum() :].sum()))


def _shared(difference: float, known: float | None) -> float:
    """The variance over examples of a difference: what is known of it, else as `paired` says."""
    return abs(difference) * (1 - abs(difference)) / 4 if known is None else known


def _compared(
    difference: float, error: float, freedom: float, *, seeds: int, examples: int, shared: float | None, level: float
) -> Paired:
    """The comparison with standard error and degrees of freedom over seeds; `seeds` of the smaller set."""

    def reach(alpha: float) -> float:
        """How far the limits are from the difference."""
        spread = students_reach(error, freedom, alpha)
        return examples_reach(spread, _shared(difference, shared), examples, alpha) if examples else spread

    known = seeds > 1 and (error > 0 or examples > 0)
    half = reach(tail(level)) if known else math.inf
    interval = Interval(estimate=difference, low=difference - half, high=difference + half, level=level)
    if not known:
        return Paired(difference=interval, p=math.nan, seeds=seeds)
    if not examples:
        p = 2 * float(special.stdtr(freedom, -abs(difference) / error))
    else:
        p = _level_of_zero(lambda alpha: reach(alpha) < abs(difference))
    return Paired(difference=interval, p=p, seeds=seeds)


def _level_of_zero(excluded: Callable[[float], bool]) -> float:
    """The p value that belongs to an interval: the smallest tail at which it still excludes no difference."""
    low, high = -16.0, 0.0  # of its logarithm to base 10
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if excluded(10**middle) else (middle, high)
    return float(10**high)
