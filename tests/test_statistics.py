"""Statistics: values by hand and from scipy, what degenerate scores get, and how often intervals and tests err.

The simulations train nothing: seeds are normal on the logit scale, examples differ in difficulty and are shared by
all seeds. Where a rate is compared with its nominal value, the margin is about 4 standard errors of the simulation.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, special, stats

from benchmark.judge.power import MOST, sd_limit
from benchmark.judge.statistics import (
    Contrast,
    Interval,
    examples_blur,
    hierarchical_bootstrap,
    holm,
    mcnemar,
    over_seeds,
    paired_contrast,
    paired_outcomes,
    seeds_needed,
    shared_variance,
    trend,
    unpaired_contrast,
    verdict,
    wilson,
)

Scores = NDArray[np.float64]
shares = st.floats(0, 1)
SEVERAL = st.lists(shares, min_size=2, max_size=8)

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
EXAMPLES = 2048
GRID = [(0.55, 0.55), (0.65, 0.65), (0.75, 0.75), (0.95, 0.95), (0.99, 0.99), (0.55, 0.65), (0.65, 0.95), (0.95, 0.99)]
"""True accuracies of two settings."""


@cache
def centre(mean: float, sd: float) -> float:
    """The logit around which normal ones have this mean accuracy."""
    at = optimize.brentq(lambda x: special.expit(x + sd * NODES) @ WEIGHTS / WEIGHTS.sum() - mean, -40, 40)
    return float(at)


def outcomes(
    means: Sequence[float],
    seeds: int,
    *,
    rounds: int = 1000,
    examples: int = EXAMPLES,
    common: float = 0.2,
    own: float = 0.2,
    unlike: float = 2.0,
    crossing: float = 0.0,
) -> Iterator[NDArray[np.bool_]]:
    """What every seed gets right [settings, seeds, examples], as often as there are rounds.

    Right with a chance that is, on the logit scale, the sum of what a setting is worth and of normal effects: of the
    seed, `common` to all settings and the setting's `own`; of the example, `unlike` the others in all settings alike,
    and `crossing` in one setting alone. The examples of a round are the same for all seeds and settings.
    """
    rng = np.random.default_rng(0)
    total = math.sqrt(common**2 + own**2 + unlike**2 + crossing**2)
    worth = np.array([centre(mean, total) for mean in means], np.float32)[:, None, None]

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape, dtype=np.float32)

    for _ in range(rounds):
        logit = worth + common * normal(1, seeds, 1) + own * normal(len(means), seeds, 1)
        logit = (
            logit + unlike * normal(1, 1, examples) + (crossing * normal(len(means), 1, examples) if crossing else 0)
        )
        yield rng.random(logit.shape, dtype=np.float32) < special.expit(logit)


def covered(intervals: list[Interval], true: float) -> float:
    return float(np.mean([found.low <= true <= found.high for found in intervals]))


def students(scores: Scores) -> Interval:
    """Student's interval of seeds alone: blind for the examples."""
    half = special.stdtrit(len(scores) - 1, 0.975) * scores.std(ddof=1) / math.sqrt(len(scores))
    return Interval(estimate=scores.mean(), low=scores.mean() - half, high=scores.mean() + half)


@cache
def draws_of(number: int) -> Scores:
    """Bootstrap weights [draws, number]."""
    return np.random.default_rng(0).multinomial(number, np.full(number, 1 / number), size=300) / number


def percentile(right: NDArray[np.bool_]) -> Interval:
    """The plain percentile bootstrap of seeds and examples, as it is often done."""
    seeds, examples = right.shape
    means = np.einsum("ds,ds->d", draws_of(seeds), draws_of(examples)[::-1] @ right.T.astype(np.float64))
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(estimate=right.mean(), low=low, high=high)


# Intervals: how often they cover.


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("means", GRID, ids=str)
def test_paired_intervals_cover_wherever_the_means_are(means: tuple[float, float], seeds: int) -> None:
    """With outcomes and without, near chance and near the ceiling."""
    told, assumed = [], []
    for low, high in outcomes(means, seeds):
        told.append(paired_outcomes(low, high).difference)
        assumed.append(paired_contrast(low.mean(axis=1), high.mean(axis=1), examples=EXAMPLES).difference)
    assert 0.93 <= covered(told, means[1] - means[0]) <= 0.97
    assert 0.93 <= covered(assumed, means[1] - means[0]) <= 0.97


@pytest.mark.parametrize(("own", "unlike"), [(0.0, 1.0), (0.0, 3.0), (0.3, 3.0)])
@pytest.mark.parametrize("means", [(0.65, 0.65), (0.65, 0.95), (0.99, 0.99)], ids=str)
def test_paired_intervals_cover_whatever_varies(means: tuple[float, float], own: float, unlike: float) -> None:
    """Seeds that do nothing but toss coins, examples that are nearly alike or nearly always or never right."""
    told, assumed = [], []
    for low, high in outcomes(means, 5, rounds=600, own=own, unlike=unlike):
        told.append(paired_outcomes(low, high).difference)
        assumed.append(paired_contrast(low.mean(axis=1), high.mean(axis=1), examples=EXAMPLES).difference)
    assert 0.93 <= covered(told, means[1] - means[0]) <= 0.98
    assert 0.93 <= covered(assumed, means[1] - means[0]) <= 0.98


def test_only_outcomes_tell_that_settings_find_different_examples_hard() -> None:
    drawn = [(low, high) for low, high in outcomes((0.7, 0.7), 5, rounds=600, examples=256, own=0.0, crossing=2.0)]
    told = [paired_outcomes(low, high) for low, high in drawn]
    assumed = [paired_contrast(low.mean(axis=1), high.mean(axis=1), examples=256) for low, high in drawn]
    assert 0.93 <= covered([found.difference for found in told], 0) <= 0.97
    assert false_alarms([found.p for found in told]) <= 0.07
    assert false_alarms([found.p for found in assumed]) > 0.15, "as the docstring warns"


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("means", [(0.55, 0.55), (0.95, 0.95), (0.65, 0.95)], ids=str)
def test_unpaired_intervals_cover(means: tuple[float, float], seeds: int) -> None:
    found = [
        unpaired_contrast(low.mean(axis=1), high.mean(axis=1), examples=EXAMPLES).difference
        for low, high in outcomes(means, seeds, rounds=600, common=0.0, own=0.3)
    ]
    assert 0.93 <= covered(found, means[1] - means[0]) <= 0.98


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("mean", [0.55, 0.65, 0.75, 0.95, 0.99])
def test_over_seeds_covers_with_outcomes_and_never_too_seldom_without(mean: float, seeds: int) -> None:
    told, bounded, alone = [], [], []
    for (right,) in outcomes([mean], seeds, common=0.0):
        scores = right.mean(axis=1)
        told.append(over_seeds(scores, EXAMPLES, shared=shared_variance(right)))
        bounded.append(over_seeds(scores, EXAMPLES))
        alone.append(students(scores))
    assert 0.93 <= covered(told, mean) <= 0.97
    assert covered(bounded, mean) >= 0.93
    assert covered(alone, mean) < covered(told, mean)


def test_over_seeds_covers_too_seldom_near_the_ceiling_as_its_docstring_says() -> None:
    drawn = [right.mean(axis=1) for (right,) in outcomes([0.96], 3, common=0.0, own=1.0, unlike=1.0)]
    assert np.std(drawn) == pytest.approx(0.04, abs=0.005)
    assert 0.84 <= covered([over_seeds(scores, EXAMPLES) for scores in drawn], 0.96) <= 0.91


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("mean", "own", "unlike"), [(0.76, 0.5, 1), (0.82, 0.5, 3), (0.96, 1, 1)])
def test_the_bootstrap_covers_also_near_the_ceiling(seeds: int, mean: float, own: float, unlike: float) -> None:
    drawn = outcomes([mean], seeds, rounds=400, examples=256, common=0.0, own=own, unlike=unlike)
    found = [hierarchical_bootstrap(right, draws=400) for (right,) in drawn]
    assert 0.92 <= covered(found, mean) <= 0.99


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("means", [(0.55, 0.55), (0.65, 0.95), (0.95, 0.99)], ids=str)
def test_the_bootstrap_of_a_difference_covers(means: tuple[float, float], seeds: int) -> None:
    drawn = outcomes(means, seeds, rounds=400, examples=256)
    found = [hierarchical_bootstrap(high, draws=400, than=low) for low, high in drawn]
    assert 0.92 <= covered(found, means[1] - means[0]) <= 0.99


def test_the_plain_percentile_bootstrap_of_three_seeds_does_not_cover() -> None:
    drawn = [right for (right,) in outcomes([0.76], 3, rounds=400, examples=256, common=0.0, own=0.5, unlike=1.0)]
    assert covered([percentile(right) for right in drawn], 0.76) < 0.87
    assert covered([hierarchical_bootstrap(right, draws=400) for right in drawn], 0.76) > 0.93


def test_wilson_covers() -> None:
    right = np.random.default_rng(0).binomial(256, 0.9, size=2000)
    assert 0.93 <= covered([wilson(int(found), 256) for found in right], 0.9) <= 0.97


# Tests: how often they raise a false alarm.


@pytest.mark.parametrize("seeds", [3, 5])
def test_comparisons_of_equals_raise_false_alarms_at_the_stated_rate(seeds: int) -> None:
    rng = np.random.default_rng(0)
    common = rng.standard_normal((2000, 1, seeds))  # what a seed does to both settings
    one, other = (common + rng.standard_normal((2000, 2, seeds))).swapaxes(0, 1)
    assert false_alarms([paired_contrast(a, b).p for a, b in zip(one, other, strict=True)]) == pytest.approx(
        0.05, abs=0.02
    )
    one, other = rng.standard_normal((2, 2000, seeds))
    # Welch's test is a little shy with so few seeds.
    assert 0.02 <= false_alarms([unpaired_contrast(a, b).p for a, b in zip(one, other, strict=True)]) <= 0.065


@pytest.mark.parametrize("seeds", [3, 5])
def test_comparisons_of_equals_for_new_examples_raise_false_alarms_at_the_stated_rate(seeds: int) -> None:
    """And an interval leaves out no difference exactly where p says so."""
    found = [
        paired_contrast(low.mean(axis=1), high.mean(axis=1), examples=256)
        for low, high in outcomes((0.7, 0.7), seeds, examples=256)
    ]
    assert 0.03 <= false_alarms([each.p for each in found]) <= 0.07
    for each in found:
        assert (each.difference.low > 0 or each.difference.high < 0) == (each.p < 0.05)


def test_mcnemar_raises_false_alarms_at_most_at_the_stated_rate_and_covers() -> None:
    """Two runs that are no seeds of anything: the examples alone vary."""
    equal, unequal = (
        [mcnemar(low[0], high[0]) for low, high in outcomes(means, 1, rounds=1500, examples=256, common=0.0, own=0.0)]
        for means in ((0.7, 0.7), (0.7, 0.8))
    )
    assert 0.02 <= false_alarms([found.p for found in equal]) <= 0.06
    assert false_alarms([found.p for found in unequal]) > 0.5
    assert 0.93 <= covered([found.difference for found in unequal], 0.1) <= 0.97


@pytest.mark.parametrize("level", [[1, 2, 3], [1, 1, 2], [1, 2, 2], [1, 1, 1]], ids=lambda level: f"{level}")
def test_the_trend_test_is_exact_with_and_without_ties(level: list[int]) -> None:
    """Every outcome of three seeds that there can be without any trend, each as likely as the others."""
    outcomes = list(itertools.product(itertools.permutations(level), repeat=3))
    p = np.array([trend(outcome, [0, 1, 2]).p for outcome in outcomes])
    for value in set(p):
        assert np.mean(p <= value + 1e-9) == pytest.approx(value)
    assert min(p) == pytest.approx((6 / len(set(itertools.permutations(level)))) ** 3 / 216)


@pytest.mark.parametrize("shape", [(3, 4), (5, 6), (2, 9)])
def test_the_trend_test_is_that_of_scipy(shape: tuple[int, int]) -> None:
    for scores in np.random.default_rng(0).random((5, *shape)):
        known = stats.page_trend_test(scores, method="exact" if shape[1] <= 8 else "auto")
        assert trend(scores, range(shape[1])).p == pytest.approx(known.pvalue)


def test_a_trend_slope_covers_and_finds_what_is_there() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((400, 5, 4)) + 0.5 * np.arange(4)
    found = [trend(table, [0, 1, 2, 3]) for table in scores]
    assert 0.92 <= covered([each.slope for each in found], 0.5) <= 0.98
    assert false_alarms([each.p for each in found]) > 0.5


def test_holm_keeps_any_false_alarm_among_ten_tests_at_the_rate() -> None:
    one, other = np.random.default_rng(0).standard_normal((2, 800, 10, 3))
    p = [[paired_contrast(a, b).p for a, b in zip(*both, strict=True)] for both in zip(one, other, strict=True)]
    assert np.mean([min(family) < 0.05 for family in p]) > 0.35  # without a correction
    assert 0.02 <= np.mean([min(holm(family)) < 0.05 for family in p]) <= 0.08


@pytest.mark.parametrize("seeds", [3, 5])
def test_verdicts_are_wrong_in_one_case_of_forty_at_most(seeds: int) -> None:
    noise = np.random.default_rng(0).standard_normal((2000, seeds))
    zero = np.zeros(seeds)

    def rate(effect: float, said: str, sd: float, smallest: float = 0.05) -> float:
        found = [paired_contrast(zero, effect + sd * row) for row in noise]
        return float(np.mean([verdict(each.difference, each.p, smallest=smallest) == said for each in found]))

    assert 0.01 <= rate(0, "reproduced", sd=0.02, smallest=1e-9) <= 0.04
    assert rate(0, "reproduced", sd=0.02) <= 0.01  # an effect of less than the smallest is none
    assert 0.01 <= rate(0.05, "not reproduced", sd=0.2) <= 0.04
    assert rate(0.2, "reproduced", sd=0.02) > 0.95
    assert rate(-0.2, "not reproduced", sd=0.02) > 0.95


@pytest.mark.parametrize("same", [True, False])
def test_the_seeds_needed_have_the_power(same: bool) -> None:
    """Simulated at the number of seeds needed and well below."""
    seeds = seeds_needed(0.05, 0.06, paired=same)
    rng = np.random.default_rng(0)

    def power(seeds: int) -> float:
        one = rng.normal(0, 0.06, size=(1500, seeds))
        other = rng.normal(0.05, 0.06, size=(1500, seeds))
        p = stats.ttest_1samp(other, 0, axis=1).pvalue if same else stats.ttest_ind(one, other, axis=1).pvalue
        return float(np.mean(p < 0.05))

    assert power(seeds) == pytest.approx(0.81, abs=0.04)
    assert power(seeds // 2) < 0.6


def false_alarms(p: list[float]) -> float:
    return float(np.mean(np.array(p) < 0.05))


# Values.


@pytest.mark.parametrize(("right", "total"), [(0, 10), (1, 10), (7, 10), (10, 10), (2003, 2048), (2048, 2048)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_is_that_of_scipy(right: int, total: int, level: float) -> None:
    found, known = wilson(right, total, level), stats.binomtest(right, total).proportion_ci(level, method="wilson")
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-12)


def test_over_seeds_by_hand() -> None:
    """Mean 0.8, sd 0.1: Student's limits are 4.3027 * 0.1 / sqrt(3) = 0.2484 away, Wilson's as below."""
    example = wilson(800, 1000)
    found = over_seeds([0.7, 0.8, 0.9], 1000)
    assert found.estimate == pytest.approx(0.8)
    assert found.low == pytest.approx(0.8 - math.hypot(0.24841, 0.8 - example.low), abs=1e-4)
    assert found.high == 1  # no share is above it
    losses = over_seeds([0.7, 0.8, 0.9], 0)
    assert (losses.low, losses.high) == pytest.approx((0.8 - 0.24841, 0.8 + 0.24841), abs=1e-4)


def test_comparisons_are_those_of_scipy() -> None:
    one, other = [0.70, 0.75, 0.80, 0.71], [0.9, 0.95, 0.93, 0.85]
    for found, known in (
        (paired_contrast(one, other), stats.ttest_rel(other, one)),
        (unpaired_contrast(one, other[:3]), stats.ttest_ind(other[:3], one, equal_var=False)),
    ):
        limits = known.confidence_interval(0.95)
        assert found.p == pytest.approx(known.pvalue)
        assert (found.difference.low, found.difference.high) == pytest.approx((limits.low, limits.high))


def test_what_all_seeds_share_by_hand() -> None:
    """Seeds that agree share everything; two that never do share nothing, and luck is not below nothing."""
    alike = np.array([[True, False, True, True]] * 3)
    assert shared_variance(alike) == pytest.approx(np.var([1, 0, 1, 1], ddof=1))
    assert shared_variance(np.array([[True, False, True, False], [False, True, False, True]])) == 0
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 0.5, size=(1, 4000))  # variance 0.25, beside luck of variance 1 and seeds that differ
    assert shared_variance(hard + rng.normal(size=(5, 4000)) + rng.normal(size=(5, 1))) == pytest.approx(0.25, abs=0.03)


def test_paired_by_hand() -> None:
    """Differences 0.1 and 0.3: Student's limits are 12.706 * 0.1 away; examples 1.96 sqrt(0.2 * 0.8 / 4 / 1000)."""
    found = paired_contrast([0.5, 0.5], [0.6, 0.8], examples=1000)
    assert found.difference.high - 0.2 == pytest.approx(math.hypot(1.27062, 1.95996 * math.sqrt(0.04 / 1000)), abs=1e-4)
    agree = paired_contrast([0.6] * 3, [0.8] * 3, examples=800)
    assert agree.difference.low == pytest.approx(0.2 - 1.95996 * math.sqrt(0.04 / 800), abs=1e-5)
    assert examples_blur(0.2, 800) == pytest.approx(agree.difference.high - 0.2)
    one, other = np.zeros((3, 800), dtype=bool), np.zeros((3, 800), dtype=bool)
    other[:, :160] = True  # the same examples in all seeds
    exact = paired_outcomes(one, other).difference
    assert exact.high - 0.2 == pytest.approx(1.95996 * math.sqrt(0.16 / 799), abs=1e-5)


def test_mcnemar_by_hand() -> None:
    """2 examples lost and 8 won of 100: p is twice the chance of 2 heads or fewer in 10, 2 * 56 / 1024."""
    one, other = np.zeros(100, dtype=bool), np.zeros(100, dtype=bool)
    one[:2], other[2:10] = True, True
    found = mcnemar(one, other)
    assert found.p == pytest.approx(112 / 1024)
    assert found.difference.estimate == pytest.approx(0.06)
    half = 1.95996 * math.sqrt((11 / 102 - (6 / 102) ** 2) / 102)
    assert (found.difference.low, found.difference.high) == pytest.approx((6 / 102 - half, 6 / 102 + half), abs=1e-5)
    same = mcnemar(one, one)
    assert (same.p, same.difference.estimate) == (1, 0)
    assert same.difference.low < 0 < same.difference.high


def test_trend_by_hand() -> None:
    """Three seeds that all rise: L = 3 * 14 = 42, one outcome of 216; slopes 1, 2 and 3 have mean 2 and sd 1."""
    found = trend([[0, 1, 2], [0, 2, 4], [0, 3, 6]], [0, 1, 2])
    assert (found.rises, found.p) == (1, pytest.approx(1 / 216))
    assert found.slope.estimate == pytest.approx(2)
    assert found.slope.high - 2 == pytest.approx(4.30265 / math.sqrt(3), abs=1e-4)
    assert trend([[6, 4, 5], [9, 1, 4]], [3, 1, 2]) == trend([[4, 5, 6], [1, 4, 9]], [1, 2, 3])  # levels in any order
    assert trend([[2, 1, 0], [4, 2, 0]], [0, 1, 2]).rises == -1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    adjusted = holm([0.01, math.nan, 0.02])
    assert (adjusted[0], adjusted[2]) == pytest.approx((0.03, 0.04))  # the test that could not be made counts
    assert math.isnan(adjusted[1])


@pytest.mark.parametrize(
    ("difference", "same", "seeds"),
    [(1.0, True, 10), (0.5, True, 34), (1.0, False, 17), (0.5, False, 64), (-0.5, False, 64)],
)
def test_seeds_needed_are_those_of_the_tables(difference: float, same: bool, seeds: int) -> None:
    """Cohen, Statistical Power Analysis, 1988, table 2.4.1: 17 and 64 per group at power 0.8."""
    assert seeds_needed(difference, 1, paired=same) == seeds


def test_limit_of_a_standard_deviation_by_hand() -> None:
    """Of 3 seeds: the fifth of chi-square with 2 degrees of freedom is below -2 ln 0.8 = 0.4463."""
    assert sd_limit(1, 3) == pytest.approx(math.sqrt(2 / 0.44629), abs=1e-4)


# Degenerate scores.


def test_perfect_seeds_are_no_proof_of_perfection() -> None:
    perfect = over_seeds([1, 1, 1], 2048)
    assert (perfect.estimate, perfect.high) == (1, 1)
    assert 1 - 4 / 2048 < perfect.low < 1 - 1 / 2048
    assert perfect == wilson(2048, 2048)  # more seeds do not make more examples
    assert over_seeds([0, 0], 100).high == pytest.approx(wilson(0, 100).high)
    assert hierarchical_bootstrap(np.ones((3, 256), dtype=bool)).low < 1 - 1 / 256
    both = paired_contrast([1, 1, 1], [1, 1, 1], examples=2048)
    assert both.p == pytest.approx(1)
    assert both.difference.low < 0 < both.difference.high < 0.003
    assert verdict(both.difference, both.p, smallest=0.02) == "not reproduced"


@pytest.mark.parametrize(
    "found",
    [
        paired_contrast([0.5], [0.9]), paired_contrast([0.5], [0.9], examples=100),
        unpaired_contrast([0.5], [0.8, 0.9]), paired_contrast([0.1, 0.3, 0.7], [0.2, 0.4, 0.8]),
        unpaired_contrast([1, 1], [0.5, 0.5]),
    ],
    ids=["one seed", "one seed and examples", "one seed against two", "constant difference", "constant scores"],
)  # fmt: skip
def test_without_a_spread_nothing_is_known(found: Contrast) -> None:
    assert math.isnan(found.p)
    assert (found.difference.low, found.difference.high) == (-math.inf, math.inf)
    assert verdict(found.difference, found.p, smallest=0.01) == "not enough evidence"
    assert json.loads(json.dumps(found.difference.as_dict(), allow_nan=False))["low"] is None


def test_one_seed_and_ties_in_a_trend() -> None:
    one = trend([[0, 1, 2]], [0, 1, 2])
    assert math.isnan(one.p)
    assert one.slope.high == math.inf
    flat = trend([[1, 1, 1], [1, 1, 1]], [0, 1, 2])
    assert flat.rises == 0
    assert flat.p >= 0.5
    assert trend([[0.5, 1, 1], [0.6, 1, 1], [0.7, 1, 1]], [1, 2, 4]).p == pytest.approx(1 / 27)


def test_one_seed_or_equal_scores_without_examples() -> None:
    assert over_seeds([0.9], 1000) == wilson(900, 1000)
    for found in (over_seeds([3.2], 0), over_seeds([3.2, 3.2], 0)):
        assert (found.low, found.estimate, found.high) == (-math.inf, 3.2, math.inf)


def test_without_a_spread_two_seeds_are_the_least() -> None:
    assert seeds_needed(0.05, 0) == seeds_needed(1, 1e-9) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_contrast([0.1, 0.2], [0.3]), "the same seeds twice, given 2 and 1"),
        (lambda: paired_contrast([0.1, math.nan], [0.3, 0.4]), "finite"),
        (lambda: unpaired_contrast([], [0.3]), "at least one score"),
        (lambda: over_seeds([0.1, math.inf], 0), "finite"),
        (lambda: over_seeds([0.1, 1.1], 10), "from 0 to 1"),
        (lambda: over_seeds([0.1], -1), "not negative"),
        (lambda: over_seeds([0.1, 0.2], 10, level=95), "between 0 and 1"),
        (lambda: wilson(11, 10), "11 right of 10"),
        (lambda: wilson(0, 0), "at least 1 example"),
        (lambda: trend([[1, 2]], [0, 1]), "at least 3 different levels"),
        (lambda: trend([[1, 2, 3]], [0, 1, 1]), "at least 3 different levels"),
        (lambda: trend([[1, 2, 3]], [0, 1]), r"given \(1, 3\) and 2 values"),
        (lambda: trend([[1, 2, math.nan]], [0, 1, 2]), "leave out"),
        (lambda: holm([0.5, 1.5]), "given 1.5"),
        (lambda: hierarchical_bootstrap(np.ones((1, 5), dtype=bool)), "of one seed"),
        (lambda: hierarchical_bootstrap(np.ones((2, 5))), "booleans"),  # type: ignore[arg-type]
        (lambda: hierarchical_bootstrap(np.ones((2, 5), bool), than=np.ones((2, 4), bool)), "the same kind and shape"),
        (lambda: paired_outcomes(np.ones((2, 5), bool), np.ones((2, 4), bool)), "the same seeds and examples twice"),
        (lambda: shared_variance(np.ones((1, 5), bool)), "at least 2 of each"),
        (lambda: mcnemar(np.ones(5, bool), np.ones(4, bool)), "the same examples twice"),
        (lambda: verdict(wilson(5, 10), 0.1, smallest=0), "positive, given 0"),
        (lambda: seeds_needed(0, 1), "not 0"),
        (lambda: seeds_needed(1, -1), "not negative"),
        (lambda: seeds_needed(1, 1, power=1), "power is between"),
        (lambda: seeds_needed(1e-9, 1), f"over {MOST:,} seeds"),
        (lambda: sd_limit(0.1, 1), "at least 2 seeds"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_an_interval_is_written_with_three_digits() -> None:
    assert str(Interval(estimate=0.97599, low=0.9412, high=0.99)) == "0.976 [0.941, 0.990]"


# Properties.


@settings(deadline=None)
@given(SEVERAL, st.integers(0, 5000))
def test_an_interval_contains_its_estimate(scores: list[float], examples: int) -> None:
    found = over_seeds(scores, examples)
    assert found.low <= found.estimate <= found.high
    if examples:
        assert 0 <= found.low < found.high <= 1


@settings(deadline=None, max_examples=50)
@given(SEVERAL, SEVERAL, st.sampled_from([0, 256]))
@example([0.0, 0.0], [0.0, 1e-144], 0)  # a square of which is 0
def test_a_comparison_turned_round_is_the_same(one: list[float], other: list[float], examples: int) -> None:
    least = min(len(one), len(other))
    for forth, back in (
        (unpaired_contrast(one, other, examples=examples), unpaired_contrast(other, one, examples=examples)),
        (
            paired_contrast(one[:least], other[:least], examples=examples),
            paired_contrast(other[:least], one[:least], examples=examples),
        ),
    ):
        assert forth.difference.estimate == -back.difference.estimate
        assert forth.difference.low == pytest.approx(-back.difference.high)
        assert forth.p == pytest.approx(back.p, rel=1e-6, nan_ok=True)


@settings(deadline=None)
@given(st.lists(shares, min_size=1, max_size=12), st.randoms())
def test_holm_raises_keeps_the_order_and_knows_no_places(p: list[float], random: np.random.Generator) -> None:
    adjusted = holm(p)
    assert all(before <= after <= 1 for before, after in zip(p, adjusted, strict=True))
    assert sorted(range(len(p)), key=lambda i: (p[i], i)) == sorted(range(len(p)), key=lambda i: (adjusted[i], p[i], i))
    places = list(range(len(p)))
    random.shuffle(places)  # type: ignore[arg-type]
    assert holm([p[i] for i in places]) == [adjusted[i] for i in places]


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(1, 300))
def test_wilson_contains_the_share_and_is_symmetric(right: int, total: int) -> None:
    right = min(right, total)
    found, turned = wilson(right, total), wilson(total - right, total)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert found.low == pytest.approx(1 - turned.high)
