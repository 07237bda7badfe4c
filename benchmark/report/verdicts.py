"""The claims of the paper in a report: what the template says of each beside its own data."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from benchmark.judge.claims.verdict_tables import short_command

Claim = dict[str, Any]
"""A judgement of `benchmark.judge.claims` as plain data."""

VERDICTS = {"reproduced": ("✓", "good"), "not reproduced": ("✗", "bad"), "not enough evidence": ("?", "open")}
"""Verdict -> the sign before its words, and the class that colours it."""

STATUSES = {"survives": "✓", "fails": "✗", "not tested": "?", "not needed": "–"}
"""How a gain fares under a control, and its sign in the table; other words stand for themselves."""


def view(claim: Claim) -> Claim:
    """A claim with what the page says of it.

    Verdicts are sorted as they are listed in `VERDICTS`, those with a reservation after those without.
    """
    rank = f"{[*VERDICTS].index(claim['verdict'])} {claim['qualification']}".strip()
    place = f"Figure {claim['figure']}" if str(claim["figure"])[:1].isdigit() else f"in the {claim['figure']}"
    still_open = claim["verdict"] == "not enough evidence"
    more = {"anchor": f"claim-{claim['id']}", "rank": rank, "place": place, "open": still_open}
    return claim | more | {"facts": _facts(claim | more)}


def _facts(claim: Claim) -> list[tuple[str, str]]:
    """What the claim says here, what was read, and the command that would settle it."""
    effect = f"{claim['quantity']} {number(claim['estimate'])} {interval(claim)}".strip()
    p = f", p {probability(claim['p'])} (adjusted for all claims {probability(claim['p_adjusted'])})"
    least = f"From {claim['smallest']:g} on: {claim['because']}" if claim["smallest"] else claim["because"]
    return [
        ("Paper", f"{claim['claim']} ({claim['place']})"),
        ("Here", claim["reduced"]),
        ("Reading", claim["reading"]),
        ("Effect", f"{effect}{p * (claim['p'] is not None)}" if claim["estimate"] is not None else "not judged"),
        ("What matters", least),
        ("Rows", claim["study"] or f"none that can judge it; suite {claim['suite']}"),
        ("To settle it" if claim["open"] else "Rows by", Markup("<code>{}</code>").format(claim["command"])),
    ]


def budgets(control: dict[str, Any]) -> list[str]:
    """Both equal budgets at each difficulty, as the larger N minus the smaller; nothing for a gain at one alone."""
    comparisons: Sequence[dict[str, Any]] = control["comparisons"]
    return [
        f"{c['where']}, {c['budget']} budget, N = {c['high']} minus N = {c['low']}: {number(c['difference'])} "
        f"{_limits(c['difference_low'], c['difference_high'])}".strip()
        for c in comparisons
        if len(c["depths"]) == 1 < max(len(other["depths"]) for other in comparisons)
    ]


def interval(claim: Claim) -> str:
    """The limits of an effect; empty without any."""
    return _limits(claim["low"], claim["high"])


def _limits(low: float | None, high: float | None) -> str:
    return "" if low is None else f"[{number(low)}, {number(high)}]"


def number(value: float | None) -> str:
    """An effect with three digits."""
    return "–" if value is None else f"{value:.3g}" if abs(value) >= 1000 else f"{value:.3f}"


def probability(value: float | None) -> str:
    """A p value with three digits."""
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


FILTERS = {"number": number, "p": probability, "interval": interval, "budgets": budgets, "shortened": short_command}
"""Of the template."""
