"""The forms a claim can take: each looks at the finished rows of one study and says what it found.

A finding has an effect that is positive in the direction claimed, so that one rule (`statistics.verdict`) turns every
finding into a verdict. All scores are compared seed by seed: the same seed is the same parameters and the same data.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from benchmark.statistics import Interval, examples_blur, paired, trend, wilson
from benchmark.studies import Study, values, words
from benchmark.verify.counted import constant, linear
from benchmark.verify.evidence import (
    Gain,
    LackingError,
    Scores,
    aligned,
    chance,
    common,
    examples,
    mean_over_seeds,
    named,
    outcomes_of,
    passes,
    places,
    scores,
    shared,
    smallest_level,
)
from benchmark.verify.finding import ANY, Finding


def beats(study: Study, *, low: int | str, high: int | str, at: str, smallest: float) -> Finding:
    """One N is better than another: the difference of exact match at the end, paired by seed.

    Raises:
        LackingError: as every form, where the rows lack an N or a difficulty.
    """
    small, large, depths = passes(study, low), passes(study, high), places(study, at)
    low_scores, high_scores = scores(study.final, small, depths), scores(study.final, large, depths)
    one, other = aligned(low_scores, high_scores)
    seeds = common(low_scores, high_scores)
    return _difference(
        one,
        other,
        examples(study.final, [small, large], depths),
        shared=shared(*(outcomes_of(study.final, study.outcomes, n, depths, seeds) for n in (small, large))),
        smallest=smallest,
        reading=f"N = {large} {np.mean(other):.3f}, N = {small} {np.mean(one):.3f} at {named(study, depths)}",
        gain=Gain(low=small, high=large, depths=depths),
    )


def equal(study: Study, *, low: int | str, high: int | str, at: str, margin: float) -> Finding:
    """Two N are the same within a margin: the interval of their difference lies within it, two one-sided tests."""
    small, large, depths = passes(study, low), passes(study, high), places(study, at)
    low_scores, high_scores = scores(study.final, small, depths), scores(study.final, large, depths)
    one, other = aligned(low_scores, high_scores)
    count, seeds = examples(study.final, [small, large], depths), common(low_scores, high_scores)
    known = shared(*(outcomes_of(study.final, study.outcomes, n, depths, seeds) for n in (small, large)))

    def inside(level: float) -> bool:
        found = paired(one, other, level, examples=count, shared=known).difference
        return -margin < found.low and found.high < margin

    difference = paired(one, other, examples=count, shared=known).difference
    far = max(abs(difference.low), abs(difference.high))
    near = 0.0 if difference.low <= 0 <= difference.high else min(abs(difference.low), abs(difference.high))
    return Finding(
        reading=f"N = {large} {np.mean(other):.3f}, N = {small} {np.mean(one):.3f} at {named(study, depths)}",
        quantity="difference",
        estimate=difference,
        effect=Interval(estimate=margin - abs(difference.estimate), low=margin - far, high=margin - near),
        smallest=ANY,
        p=smallest_level(inside) if len(one) > 1 else math.nan,
        seeds=len(one),
        spread=_sd(np.subtract(other, one)),
        blur=examples_blur(difference.estimate, count, known),
    )


def above(study: Study, *, n: int | str, at: str, bound: float, measure: str = "exact_match") -> Finding:
    """A score, or the lift over chance, lies above a bound."""
    return _bounded(study, n=n, at=at, bound=bound, measure=measure, sign=1)


def below(study: Study, *, n: int | str, at: str, bound: float, measure: str = "exact_match") -> Finding:
    """A score, or the lift over chance, lies below a bound."""
    return _bounded(study, n=n, at=at, bound=bound, measure=measure, sign=-1)


def _bounded(study: Study, *, n: int | str, at: str, bound: float, measure: str, sign: int) -> Finding:
    count, depths = passes(study, n), places(study, at)
    found, total = scores(study.final, count, depths), examples(study.final, [count], depths)
    if not found:
        raise LackingError(f"no seed has finished N = {count} at {named(study, depths)}")
    floor = chance(study.final, depths) if measure == "lift" else 0.0
    held_out = shared(outcomes_of(study.final, study.outcomes, count, depths, sorted(found)))
    score = mean_over_seeds(found, total, shared=held_out)

    def measured(value: float) -> float:
        return (value - floor) / (1 - floor)

    def beyond(level: float) -> bool:
        interval = mean_over_seeds(found, total, level, shared=held_out)
        return sign * (measured(interval.low if sign > 0 else interval.high) - bound) > 0

    known = len(found) > 1  # one seed tells nothing of others, however many examples it was tested on
    low, high = (measured(score.low), measured(score.high)) if known else (-math.inf, math.inf)
    estimate = Interval(estimate=measured(score.estimate), low=low, high=high)
    sides = sorted(sign * (value - bound) for value in (estimate.low, estimate.high))
    lift = f", a lift of {estimate.estimate:.3f} over chance ({floor:.3f})" if measure == "lift" else ""
    return Finding(
        reading=f"N = {count} {score.estimate:.3f} at {named(study, depths)}{lift}",
        quantity=measure.replace("_", " "),
        estimate=estimate,
        effect=Interval(estimate=sign * (estimate.estimate - bound), low=sides[0], high=sides[1]),
        smallest=ANY,
        p=smallest_level(beyond) if known else math.nan,
        seeds=len(found),
        spread=_sd(list(found.values())) / (1 - floor),
        blur=_blur(total, score.estimate) / (1 - floor),
    )


def rises(study: Study, *, at: str, smallest: float) -> Finding:
    """Exact match rises with N: Page's test over every N, and the slope for each doubling of N."""
    depths = places(study, at)
    counts = [n for n in values(study.final["n"]) if scores(study.final, n, depths)]
    if len(counts) < 3:
        raise LackingError(f"a trend takes three N or more at {named(study, depths)}; there are {len(counts)}")
    table = np.array(aligned(*(scores(study.final, n, depths) for n in counts))).T
    means = ", ".join(f"N = {n} {mean:.3f}" for n, mean in zip(counts, table.mean(axis=0), strict=True))
    return _trend(
        table,
        [math.log2(n) for n in counts],
        smallest=smallest,
        reading=f"{means} at {named(study, depths)}; slope for each doubling",
        gain=Gain(low=counts[0], high=counts[-1], depths=depths),
    )


def falls(study: Study, *, n: int | str, smallest: float) -> Finding:
    """Lift over chance falls with the difficulty: Page's test over every difficulty, and the slope for each step."""
    count = passes(study, n)
    depths, table = _by_depth(study, lambda depth: scores(study.final, count, [depth], column="lift"))
    means = _along(study, depths, table)
    return _trend(
        -table,
        depths,
        smallest=smallest,
        reading=f"N = {count}: lift {means}; fall for each step of {words(study.axis)}",
    )


def later(study: Study, *, n: int | str, lift: float, smallest: float) -> Finding:
    """The tokens of training up to a lift rise with the difficulty; a run that never gets there counts as its budget.

    In shares of the budget, between two tests on the line through them. Counting a run that never gets there as its
    budget bounds the slope from below.
    """
    count = passes(study, n)
    every = study.scores.filter((pl.col("n") == count) & pl.col("answer").is_null())

    def share(depth: int) -> Scores:
        found = Scores(processors=scores(study.final, count, [depth]).processors)
        for seed in scores(study.final, count, [depth]):
            curve = every.filter((pl.col("depth") == depth) & (pl.col("seed") == seed))
            found[seed] = _first_at(curve.sort("tokens_seen"), lift) / float(max(curve["tokens_seen"]))
        return found

    depths, table = _by_depth(study, share)
    return _trend(
        table,
        depths,
        smallest=smallest,
        reading=f"N = {count}: share of the budget to a lift of {lift} {_along(study, depths, table)}; rise for each "
        f"step of {words(study.axis)}",
    )


def _first_at(curve: pl.DataFrame, lift: float) -> float:
    """Tokens after which a curve of tests first has a lift; all of them if it never has."""
    tokens, score = 0.0, 0.0
    for seen, found in zip(curve["tokens_seen"].to_list(), curve["lift"].to_list(), strict=True):
        if found >= lift:
            share = (lift - score) / (found - score) if found > score else 1.0
            return tokens + (float(seen) - tokens) * max(0.0, share)
        tokens, score = float(seen), float(found)
    return tokens


def gain_grows(study: Study, *, low: int | str, high: int | str, smallest: float) -> Finding:
    """What one N has over another grows with the difficulty: Page's test over every difficulty, slope for each step."""
    small, large = passes(study, low), passes(study, high)

    def gain(depth: int) -> Scores:
        one, other = scores(study.final, small, [depth]), scores(study.final, large, [depth])
        seeds = common(one, other)
        return Scores({seed: other[seed] - one[seed] for seed in seeds}, one.processors)

    depths, table = _by_depth(study, gain)
    largest = depths[int(table.mean(axis=0).argmax())]
    return _trend(
        table,
        depths,
        smallest=smallest,
        reading=f"N = {large} over N = {small}: {_along(study, depths, table, sign='+')}, "
        f"most at {study.label(largest)}; rise for each step of {words(study.axis)}",
        gain=Gain(low=small, high=large, depths=(largest,)),
    )


def helps(study: Study, *, column: str, base: float, n: int | str, at: str, smallest: float) -> Finding:
    """Another value of a setting is better than `base`, paired by seed; the study holds both."""
    count, depths = passes(study, n), places(study, at)
    others = values(v for v in study.final.filter(pl.col("n") == count)[column] if v != base)
    if len(others) != 1:
        raise LackingError(f"it takes one other value of {column} than {base}; there are {len(others)}")
    parts = [study.final.filter(pl.col(column) == value) for value in (base, others[0])]
    by_seed = [scores(part, count, depths) for part in parts]
    one, other = aligned(*by_seed)
    seeds = common(*by_seed)
    name = column.replace("_", " ")
    return _difference(
        one,
        other,
        min(examples(part, [count], depths) for part in parts),
        shared=shared(*(outcomes_of(part, study.outcomes, count, depths, seeds) for part in parts)),
        smallest=smallest,
        reading=f"N = {count}: {np.mean(other):.3f} with {name} {others[0]:g}, {np.mean(one):.3f} with {base:g}",
    )


def _difference(
    one: Sequence[float],
    other: Sequence[float],
    count: int,
    *,
    shared: float | None,
    smallest: float,
    reading: str,
    gain: Gain | None = None,
) -> Finding:
    """How much higher scores are than others of the same seeds, each over `count` examples, as a finding."""
    found = paired(one, other, examples=count, shared=shared)
    return Finding(
        reading=reading,
        quantity="difference",
        estimate=found.difference,
        effect=found.difference,
        smallest=smallest,
        p=found.p,
        seeds=found.seeds,
        spread=_sd(np.subtract(other, one)),
        blur=examples_blur(found.difference.estimate, count, shared),
        gain=gain,
    )


def _by_depth(study: Study, score: Callable[[int], Scores]) -> tuple[list[int], np.ndarray]:
    """The difficulties with a score, and the scores [seeds, difficulties] of the seeds that have all of them."""
    found = {depth: each for depth in values(study.final["depth"]) if (each := score(depth))}
    if len(found) < 3:
        raise LackingError(f"a trend takes three difficulties or more; there are {len(found)}")
    return list(found), np.array(aligned(*found.values())).T


def _along(study: Study, depths: Sequence[int], table: np.ndarray, sign: str = "") -> str:
    means = [f"{mean:{sign}.2f}" for mean in table.mean(axis=0)]
    first, *rest = (study.label(depth) for depth in depths)
    names = [first, *(text.partition(" = ")[2] for text in rest)]
    return f"{', '.join(means)} at {', '.join(names)}"


def _trend(
    table: np.ndarray, x: Sequence[float], *, smallest: float, reading: str, gain: Gain | None = None
) -> Finding:
    """The trend of scores [seeds, levels] along x as a finding."""
    found = trend(table, x)
    return Finding(
        reading=reading,
        quantity="slope",
        estimate=found.slope,
        effect=found.slope,
        smallest=smallest,
        p=found.p,
        seeds=len(table),
        spread=_sd(np.polyfit(np.asarray(x, dtype=float), table.T, 1)[0]),
        gain=gain,
    )


def _sd(found: Sequence[float] | np.ndarray) -> float:
    """The standard deviation over seeds; NaN for a single one."""
    return float(np.std(found, ddof=1)) if len(found) > 1 else math.nan


def _blur(count: int, score: float) -> float:
    """What `count` held-out examples leave open of a score."""
    if not count:
        return 0.0
    interval = wilson(round(score * count), count)
    return (interval.high - interval.low) / 2


FORMS: dict[str, Callable[..., Finding]] = {
    form.__name__: form
    for form in (beats, equal, above, below, rises, falls, later, gain_grows, helps, constant, linear)
}
"""Every form by name."""
