"""What is left of a gain of N at equal training FLOPs: control (e).

There are two equal budgets: what the smaller N spent on all of its training, at which the larger N has read fewer
tokens, and what the larger N spent, at which rows of a smaller N exist only where it was trained on more tokens. Both
are given, always as the larger N minus the smaller. The larger budget lets every N come to its end, so only there can a
gain survive; see `outcome`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from benchmark import rows
from benchmark.judge import learning_curve
from benchmark.judge.evidence import Gain, Scores, align, common_seeds, depth_words, examples, scores
from benchmark.judge.statistics import Interval, paired_contrast, unpaired_contrast
from benchmark.rows.grouping import RATES
from benchmark.rows.studies import Study

FREE_SETTINGS = ("tokens", "evaluations")
"""Settings in which a run trained for longer may differ: the rate is constant, so its first part is the shorter run."""

Status = Literal["survives", "fails", "not tested", "not needed"]
"""How a gain fares under a control."""

_RIVALS_NAMED = 3  # rivals named in a reading


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two N after the same training FLOPs."""

    budget: Literal["smaller", "larger"]
    """"smaller": what the smaller N spent on its training; "larger": what the larger N spent."""
    flops: float
    """How many that are, the mean of the difficulties."""
    low: int
    high: int
    depths: tuple[int, ...]
    """The difficulties that are averaged over."""
    where: str
    means: tuple[float, float] | None = None
    """Mean score of each, in that order; None where rows of the smaller N end before."""
    difference: Interval | None = None
    """The larger minus the smaller N; without limits for a single seed, None where rows end before."""
    seeds: int = 0
    """Seeds of both, or of the N with fewer where they have none in common."""
    ends: float | None = None
    """FLOPs at which rows of the smaller N end, where that is before the budget."""

    @property
    def has_interval(self) -> bool:
        """Whether enough seeds tell of the difference to give it an interval."""
        return self.difference is not None and math.isfinite(self.difference.low)

    def __str__(self) -> str:
        owner = self.low if self.budget == "smaller" else self.high
        place = f"at the FLOPs of N = {owner} ({self.flops:.1e})"
        if self.means is None or self.difference is None:
            end = f"end at {self.ends:.1e}" if self.ends else "are not there"
            return f"{place}: rows of N = {self.low} {end}"
        difference = self.difference if self.has_interval else f"{self.difference.estimate:+.3f}"
        seeds = f"{self.seeds} seed{'s' * (self.seeds != 1)}"
        return (
            f"{place}: N = {self.high} {self.means[1]:.3f} minus N = {self.low} {self.means[0]:.3f}: {difference} "
            f"({seeds}){self._behind}"
        )

    @property
    def _behind(self) -> str:
        if self.difference is None or self.difference.estimate >= 0:
            return ""
        return ", clearly behind" if self.has_interval and self.difference.high < 0 else ", behind"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in ("budget", "flops", "low", "high", "where")}
        of_low, of_high = self.means or (None, None)
        interval = self.difference.as_dict() if self.difference else dict.fromkeys(("estimate", "low", "high"))
        return plain | {
            "depths": list(self.depths),
            "of_low": of_low,
            "of_high": of_high,
            "difference": interval["estimate"],
            "difference_low": interval["low"],
            "difference_high": interval["high"],
            "seeds": self.seeds,
            "ends": self.ends,
        }


def at_smaller_budget(study: Study, gain: Gain) -> list[Comparison]:
    """The larger against each smaller N at what the smaller spent, the N of the gain first.

    Nothing where costs are not counted.
    """
    comparisons = []
    for n in _smaller_passes(study.passes, gain):
        budgets = _budgets(study, n, gain.depths)
        both = learning_curve.at_flops(study.scores.filter(pl.col("n").is_in([n, gain.high])), budgets)
        one, other = (scores(both, each, gain.depths) for each in (n, gain.high))
        if one and other:
            against = Gain(low=n, high=gain.high, depths=gain.depths)
            count = examples(study.final, [n, gain.high], gain.depths)
            comparisons.append(_comparison("smaller", budgets, study, against, one, other, count))
    return comparisons


def at_larger_budget(study: Study, gain: Gain, every: Sequence[Study]) -> list[Comparison]:
    """The larger N at its end against each smaller N, where rows of that were trained for as many FLOPs.

    The N of the gain first, then the others. Of several such rows, at whatever rates, those of most seeds, then of the
    highest mean. Without any, a comparison holds the FLOPs at which its rows end. Nothing where costs are not counted.
    """
    budgets = _budgets(study, gain.high, gain.depths)
    other = scores(study.final, gain.high, gain.depths)
    if not budgets or not other:
        return []
    but = (*FREE_SETTINGS, *RATES)
    sources = [study, *(each for each in every if each is not study and alike(study, each, gain, but))]
    count = examples(study.final, [gain.high], gain.depths)
    comparisons = []
    for n in _smaller_passes([n for each in sources for n in each.passes], gain):
        of_n = [each.scores.filter(pl.col("n") == n) for each in sources]
        candidates = [scores(learning_curve.at_flops(each, budgets), n, gain.depths) for each in of_n]
        best = max(candidates, key=lambda each: (len(each), _mean(each) if each else 0.0))
        against = Gain(low=n, high=gain.high, depths=gain.depths)
        if best:
            comparisons.append(_comparison("larger", budgets, study, against, best, other, count))
        elif n == gain.low:
            ends = [end for each in sources if (end := _end(each.scores, n, gain.depths)) is not None]
            empty = _scope("larger", budgets, study, against)
            comparisons.append(Comparison(**empty, ends=max(ends, default=None)))
    return comparisons


def by_difficulty(study: Study, gain: Gain, every: Sequence[Study]) -> list[Comparison]:
    """Both budgets at each difficulty of a gain; nothing more than the whole says for a single one."""
    comparisons: list[Comparison] = []
    for depth in gain.depths if len(gain.depths) > 1 else ():
        one = Gain(low=gain.low, high=gain.high, depths=(depth,))
        comparisons += at_smaller_budget(study, one)
        comparisons += [each for each in at_larger_budget(study, one, every) if each.means]
    return comparisons


def outcome(smaller: Sequence[Comparison], larger: Sequence[Comparison], whole: float, low: int) -> Status:
    """Whether a gain is left at equal FLOPs.

    At the larger budget every N has come to its end, so there it is decided: it fails if a smaller N with rows that go
    so far leaves less than half of it and no more than nothing for sure, and survives if the larger N is clearly better
    than every such N, that of the gain among them. At the smaller budget the larger N is stopped early: without any
    rows at the larger budget a gain can fail there, by the same measure, but not survive.

    Args:
        smaller: At the smaller budgets.
        larger: At the larger one.
        whole: The gain at equal tokens.
        low: The smaller N of the gain.
    """
    statuses = {each.low: _status(each, whole) for each in larger if each.means}
    if not statuses:
        fails_below = any(each.low == low and _status(each, whole) == "fails" for each in smaller)
        return "fails" if fails_below else "not tested"
    if "fails" in statuses.values():
        return "fails"
    return "survives" if low in statuses and set(statuses.values()) == {"survives"} else "not tested"


def status(difference: Interval, whole: float) -> Status:
    """What a control leaves of a gain: more than nothing for sure, or less than half of it and not that."""
    if difference.low > 0:
        return "survives"
    return "fails" if difference.estimate < whole / 2 else "not tested"


def _status(comparison: Comparison, whole: float) -> Status:
    interval = comparison.has_interval and comparison.difference
    return status(interval, whole) if interval else "not tested"


def rivals(study: Study, gain: Gain, every: Sequence[Study]) -> str:
    """The best rivals that were matched to sleep (suite `controls`) at a difficulty of a gain; empty if none ran.

    As sleep minus each of them, as everywhere the model of more passes minus the other, with what share of its training
    FLOPs the rival took. Of several suites with rivals, that of most seeds counts.
    """
    readings: list[tuple[int, str]] = []
    for sleep in every:
        depth = max(sleep.depths)
        here = Gain(low=gain.low, high=gain.high, depths=(depth,))
        if sleep.variant != "sleep" or depth not in gain.depths or not alike(study, sleep, here, FREE_SETTINGS):
            continue
        suite = sleep.scores.select("suite", "scale").row(0)
        others = [each for each in every if each.variant not in (None, "plain", "sleep") and each.final.height]
        others = [each for each in others if each.scores.select("suite", "scale").row(0) == suite]
        by_name = {str(each.variant): (scores(each.final, each.passes[0], [depth]), each) for each in others}
        own, count = scores(sleep.final, sleep.passes[0], [depth]), examples(sleep.final, sleep.passes, [depth])
        best = sorted((-_mean(score), name) for name, (score, _) in by_name.items() if score)[:_RIVALS_NAMED]
        if not own or not best:
            continue
        differences = []
        for _, name in best:
            score, rival = by_name[name]
            share = _flops(rival, depth) / _flops(sleep, depth)
            differences.append(f"{name} ({share:.2f} of its FLOPs) {_difference(score, own, count)[0]}")
        text = f"at {sleep.label(depth)}, sleep (N = {sleep.passes[0]}) minus rivals: {', '.join(differences)}"
        readings.append((len(own), text))
    return max(readings, key=lambda reading: reading[0])[1] if readings else ""


def _flops(study: Study, depth: int) -> float:
    """Mean training FLOPs of finished runs at a difficulty; NaN where they are not counted."""
    mean = study.final.filter(pl.col("depth") == depth)["train_flops"].mean()
    return float(mean) if isinstance(mean, float) else math.nan


def alike(study: Study, other: Study, gain: Gain, but: Sequence[str]) -> bool:
    """Whether two studies have the same task, model and settings at the difficulties of a gain, `but` for some.

    Each N may have learning rates of its own, so they are compared at an N that both have.
    """
    at = pl.col("depth").is_in(list(gain.depths))
    ours, theirs = study.final.filter(at), other.scores.filter(at)
    if common := set(ours["n"]) & set(theirs["n"]):
        ours, theirs = (part.filter(pl.col("n") == min(common)) for part in (ours, theirs))
    else:
        but = (*but, *RATES)
    if not ours.height or not theirs.height or ours.columns != theirs.columns:
        return False
    same = ("task", "task_version", "model", "model_version", "split", "device")
    apart = {*rows.COLUMNS, *but, "sleep_passes", "n", "depth", "test_passes", study.axis} - set(same)
    if not theirs["test_passes"].is_null().all():
        return False
    one, two = ours.row(0, named=True), theirs.row(0, named=True)
    return all(one[c] == two[c] for c in ours.columns if c not in apart and not c.startswith(rows.REPORT))


def _smaller_passes(passes: Iterable[int], gain: Gain) -> list[int]:
    """The N below that of a gain, the smaller one of the gain first."""
    return sorted({n for n in passes if n < gain.high}, key=lambda n: (n != gain.low, n))


def _mean(scores: Scores) -> float:
    return float(np.mean([*scores.values()]))


def _budgets(study: Study, n: int, depths: Sequence[int]) -> dict[int, float]:
    """Training FLOPs of a finished run of an N, by difficulty; none unless they are counted at every one."""
    flops = learning_curve.least_flops(study.final.filter((pl.col("n") == n) & pl.col("depth").is_in(list(depths))))
    return flops if set(flops) == set(depths) else {}


def _end(scores: pl.DataFrame, n: int, depths: Sequence[int]) -> float | None:
    """The FLOPs up to which rows of an N go, at the difficulty where they end first."""
    ends = learning_curve.most_flops(scores.filter((pl.col("n") == n) & pl.col("depth").is_in(list(depths))))
    return min(ends.values()) if set(ends) == set(depths) else None


def _scope(budget: Literal["smaller", "larger"], budgets: dict[int, float], study: Study, gain: Gain) -> dict[str, Any]:
    """What a comparison is of, before anything is compared."""
    flops = float(np.mean([*budgets.values()]))
    of = {"budget": budget, "flops": flops, "low": gain.low, "high": gain.high, "depths": gain.depths}
    return of | {"where": depth_words(study, gain.depths)}


def _comparison(
    budget: Literal["smaller", "larger"],
    budgets: dict[int, float],
    study: Study,
    gain: Gain,
    one: Scores,
    other: Scores,
    count: int,
) -> Comparison:
    """The scores of the larger N, `other`, minus those of the smaller, each over `count` examples."""
    difference, means, seeds = _difference(one, other, count)
    return Comparison(**_scope(budget, budgets, study, gain), means=means, difference=difference, seeds=seeds)


def _difference(one: Scores, other: Scores, count: int) -> tuple[Interval, tuple[float, float], int]:
    """The second minus the first set of scores with both means and the number of seeds; paired where seeds allow."""
    pairs, single = common_seeds(one, other), min(len(one), len(other)) == 1
    first, second = (
        align(one, other)
        if len(pairs) > 1 or (single and pairs)
        else tuple([each[seed] for seed in sorted(each)] for each in (one, other))
    )
    means = float(np.mean(first)), float(np.mean(second))
    if len(pairs) > 1:
        difference = paired_contrast(first, second, examples=count).difference
    elif not single:
        difference = unpaired_contrast(first, second, examples=count).difference
    else:
        difference = Interval(estimate=means[1] - means[0], low=-math.inf, high=math.inf)
    return difference, means, min(len(first), len(second))
