"""A check in words: which verdicts fail it, the summary of a pull request, the lines of a terminal."""

import math
from collections.abc import Sequence

from benchmark.judge.curves import TOKENS, VERDICTS, Comparison, Difference
from benchmark.rows.text import Table

COLUMNS = ("condition", "verdict", "seeds", "area", "final", "loss", "final loss", "tokens", "why")


def fails(
    comparison: Comparison, *, strict: bool = False, either_way: bool = False, allow_missing: bool = False
) -> bool:
    """Whether a verdict fails the check.

    Args:
        comparison: The verdict and its condition.
        strict: What cannot be told fails as well.
        either_way: An improvement fails as well, and so do changed counts: for code that should change nothing.
        allow_missing: What only the reference has does not fail.
    """
    failing = {
        "regressed",
        "incomparable",
        *(["inconclusive"] * strict),
        *(["improved", "changed"] * either_way),
        *(["missing"] * (not allow_missing)),
    }
    return comparison.verdict in failing


def outcome(comparisons: Sequence[Comparison], *, passed: bool) -> str:
    """The word for a check: "passed", "failed", or "undecided" where seeds are too few for any verdict."""
    if passed and comparisons and all(comparison.verdict == "inconclusive" for comparison in comparisons):
        return "undecided"
    return "passed" if passed else "failed"


def counts(comparisons: Sequence[Comparison]) -> str:
    """How many conditions got which verdict, the worst first, in a line."""
    numbers = {verdict: sum(c.verdict == verdict for c in comparisons) for verdict in VERDICTS}
    return ", ".join(f"{number} {verdict}" for verdict, number in numbers.items() if number)


def lines(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """The `COLUMNS` of every condition, in their order: numbers here minus there, tokens as a ratio."""
    return [
        [
            c.name,
            c.verdict,
            f"{c.seeds} / {c.reference_seeds}",
            *([_number(d) for d in c.differences] or ["-"] * 5),
            c.reading,
        ]
        for c in comparisons
    ]


LEGEND = (
    "Here minus reference, with intervals of 95 % over seeds. area: exact match, its mean over the training tokens; "
    "final: its last value; loss, final loss: the same of the loss; tokens: ratio of those that a lift of 0.5 took, "
    "not judged. Seeds: here / reference. Alpha is the rate of false alarms for seeds that are normally distributed; a "
    "new seed that is odd is forgiven by the tolerance alone."
)


def markdown(comparisons: Sequence[Comparison], remarks: Sequence[str], *, title: str, passed: bool) -> str:
    """A page for a pull request: the outcome, what to know before reading it, a line per condition, the worst first."""
    worst_first = sorted(comparisons, key=lambda c: VERDICTS.index(c.verdict))
    table = Table(COLUMNS, lines(worst_first), sides=["---"] * len(COLUMNS)).markdown()
    page = [f"### {title}: {outcome(comparisons, passed=passed)}", "", f"{counts(comparisons)}.", ""]
    page += [f"- {remark}" for remark in remarks] + [""] * bool(remarks)
    return "\n".join([*page, table, "", LEGEND, ""])


def _number(difference: Difference) -> str:
    """A difference with its interval; of tokens the ratio."""
    interval = difference.difference
    if difference.measure is TOKENS:
        if not math.isfinite(difference.here - difference.there):
            return "-"
        limits = (
            f" [{math.exp(interval.low):.2f}, {math.exp(interval.high):.2f}]" if math.isfinite(interval.low) else ""
        )
        return f"×{math.exp(interval.estimate):.2f}{limits}"
    half = f" ±{interval.high - interval.estimate:.3f}" if math.isfinite(interval.high) else ""
    return f"{interval.estimate:+.3f}{half}"
