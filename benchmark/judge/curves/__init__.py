"""Regression of accuracy curves: are the learning curves of some rows still those of a reference, but for the seed?

Every condition of both tables is compared by four numbers of its whole learning curve: the area under exact match (its
mean over the training tokens), exact match at the end, and both of the loss; a fifth, the tokens that a lift of 0.5
took, is told but not judged, because a seed that never gets there has none.

A difference is judged by the spread of seeds, on both sides if the reference has few of them, else by the reference's
alone: a change that leaves one seed as it was and ruins another must not hide in the spread that it causes. That makes
the interval one of prediction: where the mean of so many new seeds may lie if nothing has changed. A single new seed
is enough for it. What is asked is whether the difference exceeds a tolerance, not whether there is any; and all
questions of a file share one rate of false alarms (Holm), so that a larger file does not raise more of them.

Which of the two guards against what: `alpha` holds for seeds that are normal. Real ones have an odd one now and then;
among the 16 of `results/reference/gate-tiny` one lies 8 standard deviations from the others of its condition, another
7. If it is new and the reference has none like it, it looks like a regression, at any alpha: every 3 of those seeds
against the other 13 are flagged in 10.2 % of 560 splits with a tolerance of 0, nearly always because of one of these
two. The tolerance forgives what is small: with 0.03 it is 1.3 %. A test that assumes no distribution would keep any
alpha, but could not call one ruined seed of three: that an odd seed of 16 is among 3 has a chance of 3 / 16. This check
calls it, for that is how changes often fail.

What three seeds can see of a fall of exact match that is the same along the whole curve, measured on those splits:

    fall                       0.05   0.10   0.15   0.20   0.25   0.30   0.35   0.40
    rule110, t = 0, N = 1      0.50   1.00   1.00   1.00   1.00   1.00   1.00   1.00
    rule110, t = 1, N = 1      0.04   0.13   0.19   0.19   0.22   0.39   0.78   1.00
    rule110, t = 1, N = 2      0.00   0.01   0.14   0.56   0.96   1.00   1.00   1.00

The fourth condition, recall, is at 0 in its few steps; only its loss can tell. `tests/test_check.py` measures both.

Both sides are tested on the same held-out examples, so these add no spread; but accuracies are told apart no finer than
by one example, or seeds that are all perfect would forgive nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from scipy import special

from benchmark.judge.curves.alignment import Curves, Floats, Pair, align
from benchmark.judge.statistics import Interval, holm

TOLERANCE = 0.03
"""Smallest difference that matters: 3 points of accuracy, 0.03 nats. Most gains that the paper reports are larger."""

ALPHA = 0.01
"""How often a file whose curves are all as before is called regressed or improved, at most."""

OWN_SPREAD = 5
"""From so many seeds on the reference's spread is trusted alone."""

HALFWAY = 0.5
"""The lift whose cost in tokens is reported."""

Verdict = Literal[
    "regressed", "incomparable", "missing", "improved", "changed", "inconclusive", "pass", "identical", "new"
]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""Every verdict, the worst first."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of a learning curve."""

    name: str
    better: int
    """1 if more is better, -1 if less is."""
    judged: bool = True
    """Whether verdicts depend on it."""


AREA = Measure(name="area", better=1)
FINAL = Measure(name="final", better=1)
LOSS = Measure(name="loss", better=-1)
FINAL_LOSS = Measure(name="final loss", better=-1)
TOKENS = Measure(name="tokens", better=-1, judged=False)
"""Told as the logarithm of tokens, so that a difference is a ratio."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How a number of the curve differs from the reference's."""

    measure: Measure
    here: float
    """Mean over the seeds of the rows; NaN if a seed has none."""
    there: float
    """Mean over the seeds of the reference."""
    difference: Interval
    """Here minus there, with its interval of 95 %; infinite where nothing tells the spread."""
    worse: float
    """One-sided p value of being worse by more than the tolerance, for all tests of the file; NaN if untested."""
    improved: float
    """The same of being better."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data; what is not a number is null."""
        values = {"here": self.here, "there": self.there, "p_worse": self.worse, "p_improved": self.improved}
        numbers = {name: value if math.isfinite(value) else None for name, value in values.items()}
        return {"measure": self.measure.name, **numbers, "difference": self.difference.as_dict()}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The verdict on one condition."""

    name: str
    group: str
    verdict: Verdict
    """"incomparable": the task's versions differ, and so do the examples. "identical": rows equal bit for bit.
    "regressed", "improved": some number of the curve differs by more than the tolerance, beyond doubt. "changed":
    neither, but FLOPs, bytes or parameters, which are counted, are others. "pass": no number is worse by as much.
    "inconclusive": too few seeds to tell. "missing", "new": only the reference, only the rows have it."""
    reading: str
    """Why, in a sentence."""
    differences: tuple[Difference, ...] = ()
    seeds: int = 0
    """Of the rows."""
    reference_seeds: int = 0
    """Of the reference."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        plain = {
            name: getattr(self, name) for name in ("name", "group", "verdict", "reading", "seeds", "reference_seeds")
        }
        return plain | {"differences": [difference.as_dict() for difference in self.differences]}


def compare(
    frame: pl.DataFrame, reference: pl.DataFrame, *, tolerance: float = TOLERANCE, alpha: float = ALPHA
) -> list[Comparison]:
    """A verdict on every condition that either table has.

    Args:
        frame: The rows to be checked.
        reference: The rows they should be like; more seeds make smaller regressions visible.
        tolerance: Smallest difference that matters, a share of 1 for accuracies, nats for losses.
        alpha: Chance of any false alarm in the whole file.

    Raises:
        ValueError: a tolerance or alpha that is none, or tables without any condition in common.
    """
    return judge(align(frame, reference), tolerance=tolerance, alpha=alpha)


def judge(pairs: Sequence[Pair], *, tolerance: float = TOLERANCE, alpha: float = ALPHA) -> list[Comparison]:
    """`compare` for conditions that are matched already."""
    if not 0 <= tolerance < 1:
        raise ValueError(f"a tolerance is a share from 0 to below 1, such as {TOLERANCE}; given {tolerance}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is a rate of false alarms above 0 and below 0.5, such as {ALPHA}; given {alpha}")
    raw = [_differences(pair, tolerance) for pair in pairs]
    judged = [d for of_curve in raw for d in of_curve if d.measure.judged]
    adjusted = iter(holm([p for d in judged for p in (d.worse, d.improved)]))
    by_curve = [
        tuple(replace(d, worse=next(adjusted), improved=next(adjusted)) if d.measure.judged else d for d in of_curve)
        for of_curve in raw
    ]
    return [_verdict(pair, of_curve, tolerance, alpha) for pair, of_curve in zip(pairs, by_curve, strict=True)]


def _differences(pair: Pair, tolerance: float) -> list[Difference]:
    """The numbers of a pair of curves compared, p values not adjusted yet; none if a side has no seed."""
    here, there = pair.curves, pair.reference
    if here is None or there is None or pair.identical or pair.unlike or not here.seeds or not there.seeds:
        return []
    differences = []
    for measure, one, other in zip((AREA, FINAL, LOSS, FINAL_LOSS, TOKENS), numbers(here), numbers(there), strict=True):
        least = 1 / there.examples if measure in (AREA, FINAL) else 0.0
        differences.append(_difference(measure, one, other, tolerance, least))
    return differences


def numbers(curves: Curves) -> tuple[Floats, ...]:
    """Area and end of exact match, both of the loss, logarithm of the tokens to `HALFWAY`: each of every seed [seeds].

    A seed that never got halfway has infinite tokens.
    """
    share = np.diff(curves.tokens, prepend=0.0) / curves.tokens[-1]
    halfway = [_tokens_to_halfway(curves.tokens, lift) for lift in curves.lift]
    accuracy, loss = curves.accuracy, curves.loss
    return accuracy @ share, accuracy[:, -1], loss @ share, loss[:, -1], np.log(np.array(halfway))


def _tokens_to_halfway(tokens: Floats, lift: Floats) -> float:
    """Tokens at which the lift first came to `HALFWAY`, on a straight line between points, from 0 at the start."""
    tokens, lift = np.concatenate([[0.0], tokens]), np.concatenate([[0.0], lift])
    above = np.flatnonzero(lift >= HALFWAY)
    if not len(above):
        return math.inf
    i = int(above[0])
    return float(tokens[i - 1] + (HALFWAY - lift[i - 1]) / (lift[i] - lift[i - 1]) * (tokens[i] - tokens[i - 1]))


def _difference(measure: Measure, one: Floats, other: Floats, tolerance: float, least: float) -> Difference:
    """Here (`one`) minus there (`other`), tested against the tolerance."""
    with np.errstate(invalid="ignore"):  # infinite tokens have no difference
        here, there = float(one.mean()), float(other.mean())
        estimate = here - there
    if not math.isfinite(estimate):
        unknown = Interval(estimate=0.0, low=-math.inf, high=math.inf)
        return Difference(
            measure=measure, here=here, there=there, difference=unknown, worse=math.nan, improved=math.nan
        )
    spreads = (other,) if len(other) >= OWN_SPREAD else (one, other)
    freedom = sum(len(scores) - 1 for scores in spreads)
    if not freedom:
        half, worse, improved = math.inf, math.nan, math.nan
    else:
        squares = sum(float(((scores - scores.mean()) ** 2).sum()) for scores in spreads)
        error = max(math.sqrt(squares / freedom), least) * math.sqrt(1 / len(one) + 1 / len(other))
        half = float(special.stdtrit(freedom, 0.975)) * error
        gain = measure.better * estimate
        worse, improved = (_tail(gain + tolerance, error, freedom), _tail(tolerance - gain, error, freedom))
    interval = Interval(estimate=estimate, low=estimate - half, high=estimate + half)
    return Difference(measure=measure, here=here, there=there, difference=interval, worse=worse, improved=improved)


def _tail(value: float, error: float, freedom: int) -> float:
    """How often Student's t times `error` is below `value`."""
    return float(special.stdtr(freedom, value / error)) if error > 0 else float(value >= 0)


def _verdict(pair: Pair, differences: tuple[Difference, ...], tolerance: float, alpha: float) -> Comparison:
    """What the differences of a pair, adjusted for the whole file, amount to."""
    here, there = pair.curves, pair.reference
    verdict, reading = _reading(pair, [d for d in differences if d.measure.judged], tolerance, alpha)
    if here and there and here.failed and not there.failed:
        verdict, reading = "regressed", f"{'; '.join(here.failed)}; no cell of the reference failed"
    elif here and (left_out := [*here.failed, *here.unfinished]):
        reading = f"{reading}; left out: {'; '.join(left_out)}"
    return Comparison(
        name=pair.name,
        group=pair.group,
        verdict=verdict,
        reading=reading,
        differences=differences,
        seeds=len(here.seeds) if here else 0,
        reference_seeds=len(there.seeds) if there else 0,
    )


def _reading(pair: Pair, judged: Sequence[Difference], tolerance: float, alpha: float) -> tuple[Verdict, str]:
    if pair.curves is None or not (pair.curves.seeds or pair.curves.failed):
        return "missing", "no finished cell in the rows that are checked"
    if pair.reference is None:
        return "new", "not in the reference"
    if pair.unlike:
        return "incomparable", f"{pair.unlike}; train the reference anew"
    if pair.identical:
        return "identical", "the same cells, equal bit for bit"
    if not judged:
        side = "these rows" if not pair.curves.seeds else "the reference"
        return "incomparable", f"no finished cell in {side}"
    worse = [d for d in judged if d.worse < alpha]
    if worse:
        return "regressed", "; ".join(map(_difference_words, worse))
    better = [d for d in judged if d.improved < alpha]
    if better:
        return "improved", "; ".join(map(_difference_words, better))
    if differences := _count_differences(pair.curves, pair.reference):
        return "changed", differences
    open_ = [d for d in judged if not _no_worse(d, tolerance)]
    if not open_:
        return "pass", f"no number of the curve is worse by {tolerance:g}"
    return "inconclusive", f"may be worse by more than {tolerance:g}: {'; '.join(map(_difference_words, open_))}"


def _count_differences(here: Curves, there: Curves) -> str:
    """Which counts differ, in words."""
    differing = [c for c in here.counts if c in there.counts and here.counts[c] != there.counts[c]]
    return "; ".join(f"{c} {here.counts[c]:g} against {there.counts[c]:g}" for c in differing)


def _no_worse(difference: Difference, tolerance: float) -> bool:
    """Whether the interval excludes being worse by the tolerance."""
    interval = difference.difference
    return interval.low >= -tolerance if difference.measure.better > 0 else interval.high <= tolerance


def _difference_words(difference: Difference) -> str:
    return f"{difference.measure.name} {difference.here:.3f} against {difference.there:.3f}"
