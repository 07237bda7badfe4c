"""Statistics: values by hand and from scipy, what degenerate scores get, and how often intervals and tests err.

The simulations train nothing: seeds are normal on the logit scale, examples differ in difficulty and are shared by
all seeds. Where a rate is compared with its nominal value, the margin is about 4 standard errors of the simulation.
"""

import itertools
import json
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats

from benchmark.power import MOST, sd_limit
from benchmark.statistics import (
    Interval,
    Paired,
    equivalent,
    hierarchical_bootstrap,
    holm,
    over_seeds,
    paired,
    seeds_needed,
    trend,
    unpaired,
    verdict,
    wilson,
)

Scores = NDArray[np.float64]
shares = st.floats(0, 1)
SEVERAL = st.lists(shares, min_size=2, max_size=8)

# 20 difficulties, the means of the twentieths of a standard normal distribution, near enough.
DIFFICULTIES = special.ndtri((np.arange(20) + 0.5) / 20)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)


def truth(centre: float, seed_sd: float, example_sd: float) -> float:
    """Accuracy over all seeds and examples, by Gauss-Hermite quadrature."""
    of_seeds = special.expit(centre + seed_sd * NODES[:, None] + example_sd * DIFFICULTIES).mean(axis=1)
    return float(of_seeds @ WEIGHTS / WEIGHTS.sum())


def accuracies(
    rounds: int, seeds: int, examples: int, centre: float, seed_sd: float, example_sd: float, *, at: int = 0
) -> Scores:
    """Scores [rounds, seeds] of seeds that share their examples."""
    rng = np.random.default_rng(at)
    of_each = rng.multinomial(examples, np.full(20, 1 / 20), size=rounds)[:, None]
    logit = centre + seed_sd * rng.standard_normal((rounds, seeds, 1)) + example_sd * DIFFICULTIES
    return rng.binomial(of_each, special.expit(logit)).sum(axis=-1) / examples


def answers(
    rounds: int, seeds: int, examples: int, centre: float, seed_sd: float, example_sd: float
) -> NDArray[np.bool_]:
    """What each seed gets right [rounds, seeds, examples]."""
    rng = np.random.default_rng(1)
    logit = centre + seed_sd * rng.standard_normal((rounds, seeds, 1))
    logit = logit + example_sd * DIFFICULTIES[rng.integers(20, size=(rounds, 1, examples))]
    return np.asarray(rng.random(logit.shape) < special.expit(logit))


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


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("centre", "seed_sd", "example_sd"), [(1.4, 0.5, 1), (3, 1, 3), (1.4, 0.4, 3)])
def test_over_seeds_covers_where_seeds_vary_more_than_examples(
    seeds: int, centre: float, seed_sd: float, example_sd: float
) -> None:
    scores = accuracies(1500, seeds, 2048, centre, seed_sd, example_sd)
    rate = covered([over_seeds(found, 2048) for found in scores], truth(centre, seed_sd, example_sd))
    assert 0.93 <= rate <= 0.975


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("examples", "seed_sd"), [(256, 0.5), (256, 0), (2048, 0.05)])
def test_over_seeds_never_covers_too_seldom_where_the_examples_vary_more(
    seeds: int, examples: int, seed_sd: float
) -> None:
    scores = accuracies(1000, seeds, examples, 1.4, seed_sd, 6)
    true = truth(1.4, seed_sd, 6)
    assert covered([over_seeds(found, examples) for found in scores], true) >= 0.945
    assert covered([students(found) for found in scores], true) < 0.93  # as it would without the examples


def test_over_seeds_covers_too_seldom_near_the_ceiling_as_its_docstring_says() -> None:
    scores = accuracies(1500, 3, 2048, 4, 1, 1)
    assert (scores.mean(), scores.std()) == pytest.approx((0.96, 0.04), abs=0.003)
    assert 0.84 <= covered([over_seeds(found, 2048) for found in scores], truth(4, 1, 1)) <= 0.90


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("centre", "seed_sd", "example_sd"), [(1.4, 0.5, 1), (3, 0.5, 3), (4, 1, 1)])
def test_the_bootstrap_covers_also_near_the_ceiling(
    seeds: int, centre: float, seed_sd: float, example_sd: float
) -> None:
    right = answers(400, seeds, 256, centre, seed_sd, example_sd)
    rate = covered([hierarchical_bootstrap(found, draws=400) for found in right], truth(centre, seed_sd, example_sd))
    assert 0.92 <= rate <= 0.99


def test_the_plain_percentile_bootstrap_of_three_seeds_does_not_cover() -> None:
    right, true = answers(400, 3, 256, 1.4, 0.5, 1), truth(1.4, 0.5, 1)
    assert covered([percentile(found) for found in right], true) < 0.87
    assert covered([hierarchical_bootstrap(found, draws=400) for found in right], true) > 0.93


def test_wilson_covers() -> None:
    right = np.random.default_rng(0).binomial(256, 0.9, size=2000)
    assert 0.93 <= covered([wilson(int(found), 256) for found in right], 0.9) <= 0.97


# Tests: how often they raise a false alarm.


@pytest.mark.parametrize("seeds", [3, 5])
def test_comparisons_of_equals_raise_false_alarms_at_the_stated_rate(seeds: int) -> None:
    rng = np.random.default_rng(0)
    common = rng.standard_normal((2000, 1, seeds))  # what a seed does to both settings
    one, other = (common + rng.standard_normal((2000, 2, seeds))).swapaxes(0, 1)
    assert false_alarms([paired(a, b).p for a, b in zip(one, other, strict=True)]) == pytest.approx(0.05, abs=0.02)
    one, other = rng.standard_normal((2, 2000, seeds))
    # Welch's test is a little shy with so few seeds.
    assert 0.02 <= false_alarms([unpaired(a, b).p for a, b in zip(one, other, strict=True)]) <= 0.065


@pytest.mark.parametrize("compare", [paired, unpaired])
def test_comparisons_for_new_examples_never_raise_more(compare: Callable[..., Paired]) -> None:
    """Two settings that differ by nothing but the luck of their seeds and of examples that one of them finds harder."""
    one, other = (accuracies(500, 3, 256, 1.4, 0.1, 6, at=at) for at in (1, 2))
    told = [compare(a, b, examples=256) for a, b in zip(one, other, strict=True)]
    blind = [compare(a, b) for a, b in zip(one, other, strict=True)]
    assert false_alarms([found.p for found in told]) <= 0.065
    assert false_alarms([found.p for found in blind]) > 0.2  # so the simulation can tell
    for found in told:
        excluded = found.difference.low > 0 or found.difference.high < 0
        assert excluded == (found.p < 0.05)


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
    p = [[paired(a, b).p for a, b in zip(*both, strict=True)] for both in zip(one, other, strict=True)]
    assert np.mean([min(family) < 0.05 for family in p]) > 0.35  # without a correction
    assert 0.02 <= np.mean([min(holm(family)) < 0.05 for family in p]) <= 0.08


@pytest.mark.parametrize("seeds", [3, 5])
def test_verdicts_are_wrong_in_one_case_of_forty_at_most(seeds: int) -> None:
    noise = np.random.default_rng(0).standard_normal((2000, seeds))
    zero = np.zeros(seeds)

    def rate(effect: float, said: str, sd: float) -> float:
        found = [paired(zero, effect + sd * row) for row in noise]
        return float(np.mean([verdict(each.difference, each.p, smallest=0.05) == said for each in found]))

    assert 0.01 <= rate(0, "reproduced", sd=0.02) <= 0.04
    assert 0.01 <= rate(0.05, "not reproduced", sd=0.2) <= 0.04
    assert rate(0.2, "reproduced", sd=0.02) > 0.95
    assert rate(-0.2, "not reproduced", sd=0.02) > 0.95


def test_equivalence_is_wrong_at_half_of_what_the_interval_leaves_out() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, size=(2000, 5))
    for level, expected in ((0.9, 0.05), (0.95, 0.025)):
        found = [equivalent(paired(np.zeros(5), 0.1 + row, level).difference, 0.1) for row in noise]
        assert np.mean(found) == pytest.approx(expected, abs=0.02)


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
        (paired(one, other), stats.ttest_rel(other, one)),
        (unpaired(one, other[:3]), stats.ttest_ind(other[:3], one, equal_var=False)),
    ):
        limits = known.confidence_interval(0.95)
        assert found.p == pytest.approx(known.pvalue)
        assert (found.difference.low, found.difference.high) == pytest.approx((limits.low, limits.high))


def test_seeds_that_agree_leave_newcombes_interval() -> None:
    """Newcombe 1998, table II, example (a): 56 of 70 against 48 of 80, method 10: 0.0524 to 0.3339."""
    below, above = wilson(48, 80), wilson(56, 70)
    low = 0.2 - math.hypot(above.estimate - above.low, below.high - below.estimate)
    high = 0.2 + math.hypot(above.high - above.estimate, below.estimate - below.low)
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    same = paired([0.6] * 3, [0.8] * 3, examples=80)
    a, b = wilson(48, 80), wilson(64, 80)
    assert same.difference.low == pytest.approx(0.2 - math.hypot(0.8 - b.low, a.high - 0.6))
    assert same.difference.high == pytest.approx(0.2 + math.hypot(b.high - 0.8, 0.6 - a.low))


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
    both = paired([1, 1, 1], [1, 1, 1], examples=2048)
    assert both.p == pytest.approx(1)
    assert both.difference.low < 0 < both.difference.high < 0.003
    assert verdict(both.difference, both.p, smallest=0.02) == "not reproduced"
    assert equivalent(both.difference, 0.02)


@pytest.mark.parametrize(
    "found",
    [
        paired([0.5], [0.9]), paired([0.5], [0.9], examples=100), unpaired([0.5], [0.8, 0.9]),
        paired([0.1, 0.3, 0.7], [0.2, 0.4, 0.8]), unpaired([1, 1], [0.5, 0.5]),
    ],
    ids=["one seed", "one seed and examples", "one seed against two", "constant difference", "constant scores"],
)  # fmt: skip
def test_without_a_spread_nothing_is_known(found: Paired) -> None:
    assert math.isnan(found.p)
    assert (found.difference.low, found.difference.high) == (-math.inf, math.inf)
    assert verdict(found.difference, found.p, smallest=0.01) == "not enough evidence"
    assert not equivalent(found.difference, 10)
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
        (lambda: paired([0.1, 0.2], [0.3]), "the same seeds twice, given 2 and 1"),
        (lambda: paired([0.1, math.nan], [0.3, 0.4]), "finite"),
        (lambda: unpaired([], [0.3]), "at least one score"),
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
        (lambda: verdict(wilson(5, 10), 0.1, smallest=0), "positive, given 0"),
        (lambda: equivalent(wilson(5, 10), -1), "positive, given -1"),
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
def test_a_comparison_turned_round_is_the_same(one: list[float], other: list[float], examples: int) -> None:
    least = min(len(one), len(other))
    for forth, back in (
        (unpaired(one, other, examples=examples), unpaired(other, one, examples=examples)),
        (
            paired(one[:least], other[:least], examples=examples),
            paired(other[:least], one[:least], examples=examples),
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
