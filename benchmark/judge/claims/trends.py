"""The forms of claims along the difficulty: trends of a score, of the tokens to it, and of a gain.

What is said of one model is judged over chance and over the best known shortcut, and the less favourable decides.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from benchmark.judge import learning_curve
from benchmark.judge.claims.finding import Finding
from benchmark.judge.claims.floors import Floor, floors
from benchmark.judge.evidence import Gain, LackingError, Scores, align, chance, common_seeds, deviation, passes, scores
from benchmark.judge.statistics import paired_contrast, trend
from benchmark.rows.studies import Study, values, words

_ALPHA = 0.05
_SAME = 1e-9  # floors that differ by less are one


def falls(study: Study, *, n: int | str, smallest: float) -> Finding:
    """Lift falls with the difficulty, over chance and over the best known shortcut.

    Page's test over every difficulty, and the slope for each step.
    """
    count = passes(study, n)

    def lift(depth: int, floor: Floor) -> Scores:
        by_seed = scores(study.final, count, [depth])
        return Scores({seed: floor.lift(score) for seed, score in by_seed.items()}, by_seed.processors)

    def finding(depths: Sequence[int], table: np.ndarray) -> Finding:
        return trend_finding(-table, depths, smallest=smallest, reading=_along(study, depths, table))

    fall = _over_floors(study, lift, finding)
    return replace(fall, reading=f"N = {count}: lift {fall.reading}; fall for each step of {words(study.axis)}")


def later(study: Study, *, n: int | str, lift: float, smallest: float) -> Finding:
    """The tokens of training up to a lift rise with the difficulty; a run that never gets there counts as its budget.

    In shares of the budget, over chance and over the best known shortcut. Where deeper runs never get there, as is
    usual, counting them as their budget makes the rise smaller than it is; where shallower ones do not, larger.
    """
    count = passes(study, n)
    every = study.scores.filter(pl.col("n") == count)

    def share(depth: int, floor: Floor) -> Scores:
        ends = scores(study.final, count, [depth])
        curves = every.filter((pl.col("depth") == depth) & pl.col("seed").is_in(list(ends)))
        lifts = curves.with_columns(lift=(pl.col("exact_match") - floor.share) / (1 - floor.share))
        budgets = dict(curves.group_by("seed").agg(pl.col("tokens_seen").max()).iter_rows())
        budgets_needed = learning_curve.tokens_to(lifts, lift)
        shares = {
            seed: 1.0 if tokens is None else tokens / budgets[seed]
            for seed, tokens in budgets_needed.select("seed", "tokens").iter_rows()
        }
        return Scores(shares, ends.processors)

    def finding(depths: Sequence[int], table: np.ndarray) -> Finding:
        return trend_finding(table, depths, smallest=smallest, reading=_along(study, depths, table))

    rise = _over_floors(study, share, finding)
    reading = f"N = {count}: share of the budget to a lift of {lift} {rise.reading}; rise for each step of "
    return replace(rise, reading=f"{reading}{words(study.axis)}")


def gain_grows(study: Study, *, low: int | str, high: int | str, smallest: float) -> Finding:
    """What one N has over another grows with the difficulty: Page's test over every difficulty, slope for each step.

    A gain that is clearly smaller at the deepest difficulty than where it is largest has a peak: it does not grow,
    whatever the slope, and the finding is how much smaller. Any difficulty could have been the largest, so interval and
    p are corrected for all that were compared with the deepest (Bonferroni). A peak that is seen without the correction
    and not with it leaves the claim open.
    """
    small, large = passes(study, low), passes(study, high)

    def gain(depth: int) -> Scores:
        one, other = scores(study.final, small, [depth]), scores(study.final, large, [depth])
        return Scores({seed: other[seed] - one[seed] for seed in common_seeds(one, other)}, one.processors)

    depths, table = _by_depth(study, gain)
    top = int(table.mean(axis=0).argmax())
    growth = trend_finding(
        table,
        depths,
        smallest=smallest,
        reading=f"N = {large} over N = {small}: {_along(study, depths, table, sign='+')}, "
        f"most at {study.label(depths[top])}; rise for each step of {words(study.axis)}",
        gain=Gain(low=small, high=large, depths=(depths[top],)),
    )
    compared, both = len(depths) - 1, (list(table[:, top]), list(table[:, -1]))
    if paired_contrast(*both).difference.high >= 0:
        return growth
    peak = paired_contrast(*both, 1 - _ALPHA / compared)
    from_top = peak.difference
    reading = f"{growth.reading}; a peak: at {study.label(depths[-1])} it is {from_top.estimate:+.3f} from the most"
    return replace(
        growth,
        reading=reading,
        quantity="difference",
        estimate=from_top,
        effect=from_top,
        p=min(1.0, compared * peak.p),
        spread=deviation(table[:, -1] - table[:, top]),
    )


def _over_floors(
    study: Study,
    score: Callable[[int, Floor], Scores],
    finding: Callable[[Sequence[int], np.ndarray], Finding],
) -> Finding:
    """The less favourable of a finding over chance and the same over the best known shortcuts, with both readings.

    That is the one in which an effect worth having is excluded, else the one with the lower limit. Over
    shortcuts, difficulties at which one gets everything right are left out. p is that of both together.
    """
    highest = floors(study)
    plain = {depth: Floor(name="chance", share=chance(study.final, [depth])) for depth in highest}
    over_chance = finding(*_by_depth(study, lambda depth: score(depth, plain[depth])))
    higher = {depth: floor for depth, floor in highest.items() if floor.share > plain[depth].share + _SAME}
    if not higher:
        return over_chance
    try:
        by_depth = _by_depth(study, lambda depth: Scores() if highest[depth].passes else score(depth, highest[depth]))
    except LackingError as error:
        storage = ", ".join(dict.fromkeys(floor.name for floor in highest.values() if floor.passes))
        which = f", of which {storage} gets everything right," if storage else ""
        reading = f"{over_chance.reading} over chance; over the best known shortcuts{which} {error}"
        raise LackingError(reading) from error
    over_shortcuts = finding(*by_depth)
    names = ", ".join(dict.fromkeys(floor.name for floor in higher.values() if not floor.passes))
    worse = min(over_chance, over_shortcuts, key=lambda each: (each.effect.high >= each.smallest, each.effect.low))
    decides = "the first" if worse is over_chance else "the second"
    reading = f"{over_chance.reading} over chance; {over_shortcuts.reading} over the best of {names}; {decides} decides"
    ps = [finding.p for finding in (over_chance, over_shortcuts) if finding.p is not None]
    return replace(worse, reading=reading, p=max(ps) if not any(map(math.isnan, ps)) else math.nan)


def _by_depth(study: Study, score: Callable[[int], Scores]) -> tuple[list[int], np.ndarray]:
    """The difficulties with a score, and the scores [seeds, difficulties] of the seeds that have all of them."""
    by_depth = {depth: each for depth in values(study.final["depth"]) if (each := score(depth))}
    if len(by_depth) < 3:
        raise LackingError(f"a trend takes three difficulties or more; there are {len(by_depth)}")
    return list(by_depth), np.array(align(*by_depth.values())).T


def _along(study: Study, depths: Sequence[int], table: np.ndarray, sign: str = "") -> str:
    means = [f"{mean:{sign}.2f}" for mean in table.mean(axis=0)]
    first, *rest = (study.label(depth) for depth in depths)
    names = [first, *(text.partition(" = ")[2] for text in rest)]
    return f"{', '.join(means)} at {', '.join(names)}"


def trend_finding(
    table: np.ndarray, x: Sequence[float], *, smallest: float, reading: str, gain: Gain | None = None
) -> Finding:
    """The trend of scores [seeds, levels] along x as a finding."""
    rise = trend(table, x)
    return Finding(
        reading=reading,
        quantity="slope",
        estimate=rise.slope,
        effect=rise.slope,
        smallest=smallest,
        p=rise.p,
        seeds=len(table),
        spread=deviation(np.polyfit(np.asarray(x, dtype=float), table.T, 1)[0]),
        gain=gain,
    )
