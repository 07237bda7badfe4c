"""The claims of the paper in a report: a table of verdicts, then each claim with its reading and its controls."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.report.markup import Cell, Html, element, join, slug, table

Claim = dict[str, Any]
"""A judgement of `benchmark.judge.claims` as plain data."""

VERDICTS = {"reproduced": ("✓", "good"), "not reproduced": ("✗", "bad"), "not enough evidence": ("?", "open")}
"""Verdict -> the sign before its words, and the class that colours it."""

OPEN = "not enough evidence"

STATUSES = {"survives": "✓", "fails": "✗", "not tested": "?", "not needed": "–"}
"""How a gain fares under a control, and its sign in the table; other words stand for themselves."""

COLUMNS = (
    "claim",
    "verdict and controls",
    "what is claimed, and the form it takes here",
    "effect",
    "adjusted p",
    "seeds",
)


def tiles(counts: Mapping[str, int]) -> Html:
    """The counts of the verdicts on claims of a kind, large."""
    shown = [element("li", element("b", str(counts[verdict])), " ", chip(verdict)) for verdict in VERDICTS]
    return element("ul", *shown, class_="tiles")


def by_construction(counts: Mapping[str, int]) -> Html:
    """A sentence on the claims that are in no tile."""
    return element(
        "p",
        f"Not counted there: {counts['claims']} claims that are true by construction, of which the rows bear out "
        f"{counts['reproduced']}; they show that the code is right, not what training finds.",
        class_="quiet",
    )


def chip(verdict: str) -> Html:
    """A verdict in words, with a sign and a colour."""
    sign, class_ = VERDICTS.get(verdict, ("", "open"))
    return element("span", f"{sign} {verdict}".strip(), class_=f"chip {class_}")


def overview(judged: Sequence[Claim]) -> Html:
    """The table of verdicts, and what its signs stand for."""
    lines = [_line(claim) for claim in judged]
    return join(table(COLUMNS, lines, caption="Verdicts, a row per claim", id_="verdicts-table"), _legend(judged))


def _line(claim: Claim) -> list[str | Cell]:
    name = element("a", str(claim["id"]), href=f"#{anchor(claim)}")
    form = join(str(claim["claim"]), element("small", str(claim["reduced"])), _command(claim))
    small = [element("small", text) for text in (_interval(claim), claim["quantity"]) if text]
    built = "by construction" if claim["kind"] == "construction" else ""
    return [
        Cell(join(name, element("small", _place(claim))), str(claim["id"])),
        Cell(
            join(chip(claim["verdict"]), _small(built), _small(claim["qualification"]), _letters(claim["controls"])),
            _rank(claim),
        ),
        Cell(form, str(claim["claim"])),
        Cell(join(_number(claim["estimate"]), *small), claim["estimate"]),
        Cell(_p(claim["p_adjusted"]), claim["p_adjusted"]),
        Cell(str(claim["seeds"]) if claim["seeds"] else "–", claim["seeds"]),
    ]


def _place(claim: Claim) -> str:
    """Where the paper makes a claim, in words."""
    return f"Figure {claim['figure']}" if str(claim["figure"])[:1].isdigit() else f"in the {claim['figure']}"


def _rank(claim: Claim) -> str:
    """What verdicts are sorted by: as they are listed in `VERDICTS`, those with a reservation after those without."""
    return f"{[*VERDICTS, claim['verdict']].index(claim['verdict'])} {claim['qualification']}".strip()


def _small(text: str) -> Html:
    return element("small", text) if text else Html("")


def _command(claim: Claim) -> Html:
    """For an open claim, the command that would settle it."""
    return element("code", str(claim["command"])) if claim["verdict"] == OPEN else Html("")


def _interval(claim: Claim) -> str:
    return _limits(claim["low"], claim["high"])


def _limits(low: float | None, high: float | None) -> str:
    return "" if low is None else f"[{_number(low)}, {_number(high)}]"


def anchor(claim: Claim) -> str:
    """The id of a claim's own paragraph."""
    return f"claim-{slug(str(claim['id']))}"


def details(judged: Sequence[Claim]) -> Html:
    """Every claim by itself: what it says here, what was found, its controls, and the command that would settle it."""
    return element("div", *(_detail(claim) for claim in judged), class_="claims")


def _detail(claim: Claim) -> Html:
    effect = f"{claim['quantity']} {_number(claim['estimate'])} {_interval(claim)}".strip()
    p = f", p {_p(claim['p'])} (adjusted for all claims {_p(claim['p_adjusted'])})" if claim["p"] is not None else ""
    least = f"From {claim['smallest']:g} on: {claim['because']}" if claim["smallest"] else claim["because"]
    facts: list[tuple[str, str]] = [
        ("Paper", f"{claim['claim']} ({_place(claim)})"),
        ("Here", str(claim["reduced"])),
        ("Reading", str(claim["reading"])),
        ("Effect", f"{effect}{p}" if claim["estimate"] is not None else "not judged"),
        ("What matters", str(least)),
        ("Rows", str(claim["study"]) or f"none that can judge it; suite {claim['suite']}"),
        ("To settle it" if claim["verdict"] == OPEN else "Rows by", element("code", str(claim["command"]))),
    ]
    controls = [
        element(
            "li",
            element("b", f"{control['letter']}, {control['name']}: {control['status']}"),
            f" ({control['reading']})" if control["reading"] else "",
            _budgets(control["comparisons"]),
        )
        for control in claim["controls"]
    ]
    return element(
        "article",
        element(
            "h3", str(claim["id"]), " ", chip(str(claim["verdict"])), _small(claim["qualification"]), id=anchor(claim)
        ),
        definitions(facts),
        element("ul", *controls, class_="controls") if controls else "",
        class_="claim",
    )


def _budgets(comparisons: Sequence[dict[str, Any]]) -> Html:
    """Both equal budgets at each difficulty, as the larger N minus the smaller; nothing for a gain at one alone."""
    apart = [c for c in comparisons if len(c["depths"]) == 1 < max(len(other["depths"]) for other in comparisons)]
    said = [
        f"{c['where']}, {c['budget']} budget, N = {c['high']} minus N = {c['low']}: {_number(c['difference'])} "
        f"{_limits(c['difference_low'], c['difference_high'])}".strip()
        for c in apart
    ]
    return element("ul", *(element("li", text) for text in said)) if said else Html("")


def definitions(facts: Sequence[tuple[str, str]]) -> Html:
    """Names and what they are, in two columns."""
    return element("dl", *(element("div", element("dt", name), element("dd", said)) for name, said in facts))


def _legend(judged: Sequence[Claim]) -> Html:
    """What the letters and signs of the controls stand for."""
    names = {str(c["letter"]): str(c["name"]) for claim in judged for c in claim["controls"]}
    said = [element("li", element("b", letter), f" {name}") for letter, name in sorted(names.items())]
    signs = ", ".join(f"{sign} {status}" for status, sign in STATUSES.items())
    why = (
        "Effect with its 95 % interval; p adjusted for all claims. Controls: a gain of N counts as a gain in depth "
        f"only if it survives these ({signs}):"
    )
    return element("div", element("p", why), element("ul", *said), class_="legend") if names else Html("")


def _letters(controls: Sequence[dict[str, Any]]) -> Html:
    """The controls of a claim, each its letter and the sign of its status; in words for who hears the page."""
    shown = []
    for control in controls:
        status = str(control["status"])
        said = f"{control['letter']}, {control['name']}: {status}"
        sign = element("span", f"{control['letter']}{STATUSES.get(status, status)}", aria_hidden="true")
        shown.append(element("li", sign, element("span", said, class_="heard"), class_=slug(status), title=said))
    return element("ul", *shown, class_="statuses") if shown else Html("")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if abs(value) >= 1000 else f"{value:.3f}"


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
