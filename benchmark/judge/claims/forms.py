"""The forms a claim can take: each looks at the finished rows of one study and says what it found.

A finding has an effect that is positive in the direction claimed, so that one rule (`statistics.verdict`) turns every
finding into a verdict. All scores are compared seed by seed: the same seed is the same parameters and the same data.

Differences between models at one difficulty are what they are, whatever a shortcut gets there; control (d) asks of it.
What is said of one model alone is judged over chance and over the best known shortcut (`claims.floors`), and the
less favourable of the two decides, so that the curve of a shortcut is no evidence.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from benchmark.judge.claims.counts import constant, linear
from benchmark.judge.claims.finding import ANY, Finding
from benchmark.judge.claims.floors import Floor, floors
from benchmark.judge.claims.trends import falls, gain_grows, later, trend_finding
from benchmark.judge.evidence import (
    Gain,
    LackingError,
    align,
    chance,
    common_seeds,
    depth_words,
    deviation,
    example_variance,
    examples,
    mean_over_seeds,
    outcomes_of,
    passes,
    places,
    scores,
)
from benchmark.judge.intervals import p_value
from benchmark.judge.statistics import Interval, examples_blur, paired_contrast, wilson
from benchmark.rows.studies import Study, values


def beats(study: Study, *, low: int | str, high: int | str, at: str, smallest: float) -> Finding:
    """One N is better than another: the difference of exact match at the end, paired by seed.

    Raises:
        LackingError: as every form, where the rows lack an N or a difficulty.
    """
    small, large, depths = passes(study, low), passes(study, high), places(study, at)
    low_scores, high_scores = scores(study.final, small, depths), scores(study.final, large, depths)
    one, other = align(low_scores, high_scores)
    seeds = common_seeds(low_scores, high_scores)
    return _difference(
        one,
        other,
        examples(study.final, [small, large], depths),
        shared=example_variance(*(outcomes_of(study.final, study.outcomes, n, depths, seeds) for n in (small, large))),
        smallest=smallest,
        reading=f"N = {large} {np.mean(other):.3f}, N = {small} {np.mean(one):.3f} at {depth_words(study, depths)}",
        gain=Gain(low=small, high=large, depths=depths),
    )


def equal(study: Study, *, low: int | str, high: int | str, at: str, margin: float) -> Finding:
    """Two N are the same within a margin: the interval of their difference lies within it, two one-sided tests.

    Two that are no better than a guess or a shortcut are alike in that alone, which judges nothing; but where a
    shortcut gets everything right the task is to store, and that is what is compared.
    """
    small, large, depths = passes(study, low), passes(study, high), places(study, at)
    low_scores, high_scores = scores(study.final, small, depths), scores(study.final, large, depths)
    one, other = align(low_scores, high_scores)
    count, seeds = examples(study.final, [small, large], depths), common_seeds(low_scores, high_scores)
    common_part = example_variance(
        *(outcomes_of(study.final, study.outcomes, n, depths, seeds) for n in (small, large))
    )
    highest = floors(study, depths).values()
    floor, best = float(np.mean([each.share for each in highest])), one if np.mean(one) > np.mean(other) else other
    if floor < 1 and mean_over_seeds(dict(enumerate(best)), count).low <= floor:
        names = ", ".join(dict.fromkeys(each.name for each in highest))
        raise LackingError(
            f"neither N = {small} nor N = {large} is above {names} ({floor:.3f}): equal guesses say nothing"
        )

    def inside(level: float) -> bool:
        interval = paired_contrast(one, other, level, examples=count, shared=common_part).difference
        return -margin < interval.low and interval.high < margin

    difference = paired_contrast(one, other, examples=count, shared=common_part).difference
    far = max(abs(difference.low), abs(difference.high))
    near = 0.0 if difference.low <= 0 <= difference.high else min(abs(difference.low), abs(difference.high))
    return Finding(
        reading=f"N = {large} {np.mean(other):.3f}, N = {small} {np.mean(one):.3f} at {depth_words(study, depths)}",
        quantity="difference",
        estimate=difference,
        effect=Interval(estimate=margin - abs(difference.estimate), low=margin - far, high=margin - near),
        smallest=ANY,
        p=p_value(lambda alpha: inside(1 - alpha)) if len(one) > 1 else math.nan,
        seeds=len(one),
        spread=deviation(np.subtract(other, one)),
        blur=examples_blur(difference.estimate, count, common_part),
    )


def above(study: Study, *, n: int | str, at: str, bound: float, measure: str = "exact_match") -> Finding:
    """A score, or the lift over the best of chance and shortcuts, lies above a bound."""
    return _bound_finding(study, n=n, at=at, bound=bound, measure=measure, sign=1)


def below(study: Study, *, n: int | str, at: str, bound: float, measure: str = "exact_match") -> Finding:
    """A score, or the lift over chance, lies below a bound; over a shortcut it would lie lower still."""
    return _bound_finding(study, n=n, at=at, bound=bound, measure=measure, sign=-1)


def _bound_finding(study: Study, *, n: int | str, at: str, bound: float, measure: str, sign: int) -> Finding:
    count, depths = passes(study, n), places(study, at)
    by_seed, total = scores(study.final, count, depths), examples(study.final, [count], depths)
    if not by_seed:
        raise LackingError(f"no seed has finished N = {count} at {depth_words(study, depths)}")
    floor = _floor(study, depths, sign) if measure == "lift" else Floor(name="nothing", share=0.0)
    held_out = example_variance(outcomes_of(study.final, study.outcomes, count, depths, sorted(by_seed)))
    score = mean_over_seeds(by_seed, total, shared=held_out)

    def beyond(level: float) -> bool:
        interval = mean_over_seeds(by_seed, total, level, shared=held_out)
        return sign * (floor.lift(interval.low if sign > 0 else interval.high) - bound) > 0

    several = len(by_seed) > 1  # one seed tells nothing of others, however many examples it was tested on
    low, high = (floor.lift(score.low), floor.lift(score.high)) if several else (-math.inf, math.inf)
    estimate = Interval(estimate=floor.lift(score.estimate), low=low, high=high)
    sides = sorted(sign * (value - bound) for value in (estimate.low, estimate.high))
    lift = f", a lift of {estimate.estimate:.3f} over {floor.name} ({floor.share:.3f})" if measure == "lift" else ""
    return Finding(
        reading=f"N = {count} {score.estimate:.3f} at {depth_words(study, depths)}{lift}",
        quantity=measure.replace("_", " "),
        estimate=estimate,
        effect=Interval(estimate=sign * (estimate.estimate - bound), low=sides[0], high=sides[1]),
        smallest=ANY,
        p=p_value(lambda alpha: beyond(1 - alpha)) if several else math.nan,
        seeds=len(by_seed),
        spread=deviation(list(by_seed.values())) / (1 - floor.share),
        blur=_blur(total, score.estimate) / (1 - floor.share),
    )


def _floor(study: Study, depths: Sequence[int], sign: int) -> Floor:
    """What a lift is counted from: for a bound from below the highest floor, for one from above chance."""
    if sign < 0:
        return Floor(name="chance", share=chance(study.final, depths))
    highest = floors(study, depths).values()
    if any(floor.passes for floor in highest):
        raise LackingError(f"a shortcut gets everything right at {depth_words(study, depths)}: nothing can be above it")
    name = ", ".join(dict.fromkeys(floor.name for floor in highest))
    return Floor(name=name, share=float(np.mean([floor.share for floor in highest])))


def rises(study: Study, *, at: str, smallest: float) -> Finding:
    """Exact match rises with N: Page's test over every N, and the slope for each doubling of N."""
    depths = places(study, at)
    counts = [n for n in values(study.final["n"]) if scores(study.final, n, depths)]
    if len(counts) < 3:
        raise LackingError(f"a trend takes three N or more at {depth_words(study, depths)}; there are {len(counts)}")
    table = np.array(align(*(scores(study.final, n, depths) for n in counts))).T
    means = ", ".join(f"N = {n} {mean:.3f}" for n, mean in zip(counts, table.mean(axis=0), strict=True))
    return trend_finding(
        table,
        [math.log2(n) for n in counts],
        smallest=smallest,
        reading=f"{means} at {depth_words(study, depths)}; slope for each doubling",
        gain=Gain(low=counts[0], high=counts[-1], depths=depths),
    )


def helps(study: Study, *, column: str, base: float, n: int | str, at: str, smallest: float) -> Finding:
    """Another value of a setting is better than `base`, paired by seed; the study holds both."""
    count, depths = passes(study, n), places(study, at)
    others = values(v for v in study.final.filter(pl.col("n") == count)[column] if v != base)
    if len(others) != 1:
        raise LackingError(f"it takes one other value of {column} than {base}; there are {len(others)}")
    parts = [study.final.filter(pl.col(column) == value) for value in (base, others[0])]
    by_seed = [scores(part, count, depths) for part in parts]
    one, other = align(*by_seed)
    seeds = common_seeds(*by_seed)
    name = column.replace("_", " ")
    return _difference(
        one,
        other,
        min(examples(part, [count], depths) for part in parts),
        shared=example_variance(*(outcomes_of(part, study.outcomes, count, depths, seeds) for part in parts)),
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
    pairs = paired_contrast(one, other, examples=count, shared=shared)
    return Finding(
        reading=reading,
        quantity="difference",
        estimate=pairs.difference,
        effect=pairs.difference,
        smallest=smallest,
        p=pairs.p,
        seeds=pairs.seeds,
        spread=deviation(np.subtract(other, one)),
        blur=examples_blur(pairs.difference.estimate, count, shared),
        gain=gain,
    )


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
