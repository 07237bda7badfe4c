"""Verdicts and points as tables: for Markdown, and the words that every table shares."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, get_args

from benchmark.judge.statistics import Verdict
from benchmark.rows.text import Table

if TYPE_CHECKING:
    from benchmark.judge.claims import Judgement
    from benchmark.judge.points import PointEvidence

MARKS = {"survives": "+", "fails": "−", "not tested": "?", "not needed": "·"}
"""A sign for how a control ended, for a table that has room for no more."""

LEGEND = (
    "Controls of a gain of N: a every answer position, b window index given, c what fixes answers held out, d above "
    "chance and shortcuts, e equal training FLOPs; + survives, − fails, ? the rows do not say, · cannot arise."
)

BUDGETS = (
    "Equal training FLOPs, always the larger N minus the smaller. At the smaller budget, what the smaller N spent on "
    "its training, the larger N has read fewer tokens; at the larger budget, what the larger N spent, both are trained "
    "to their ends. The larger decides control (e) where rows of the smaller N go so far; without any, a gain can fail "
    "at the smaller budget but not survive."
)

KINDS = {"empirical": "Empirical claims", "construction": "Claims true by construction, counted apart"}
"""Every kind of claim, in words."""

METHOD_NOTE = (
    "Verdicts at equal tokens, on the form a claim takes at this scale. Intervals: 95 % over seeds and examples; p "
    "corrected for all claims judged here (Holm)."
)


def counts(judgements: Sequence["Judgement"]) -> dict[str, dict[str, int]]:
    """How many claims of each kind have each verdict, those of no claim included, and how many have a reservation."""
    numbers: dict[str, dict[str, int]] = {}
    for kind in KINDS:
        of_kind = [one for one in judgements if one.kind == kind]
        numbers[kind] = {verdict: sum(one.verdict == verdict for one in of_kind) for verdict in get_args(Verdict)}
        reservations = sum(one.verdict == "reproduced" and bool(one.qualification) for one in of_kind)
        numbers[kind] |= {"claims": len(of_kind), "reproduced with a reservation": reservations}
    return numbers


def tally(judgements: Sequence["Judgement"]) -> list[str]:
    """The counts in a line for each kind of claim that there is."""
    lines = []
    for kind, of_kind in counts(judgements).items():
        if not of_kind["claims"]:
            continue
        reservations = of_kind["reproduced with a reservation"]
        words = KINDS[kind]
        of_which = f" ({reservations} with a reservation)" if reservations else ""
        lines.append(
            f"{words}: {of_kind['claims']}, of which {of_kind['reproduced']} reproduced{of_which}, "
            f"{of_kind['not reproduced']} not reproduced, {of_kind['not enough evidence']} not enough evidence."
        )
    return lines


def omissions(judgements: Sequence["Judgement"]) -> str:
    """A line on claims that have no rows here; empty if there are none."""
    if not judgements:
        return ""
    suites = ", ".join(dict.fromkeys(j.suite for j in judgements))
    return (
        f"{len(judgements)} of the paper's claims need rows that are not here, of suites {suites}; "
        "`bench verify --json` lists them."
    )


def interval(estimate: float | None, low: float | None, high: float | None) -> str:
    """An estimate with its limits; a dash where there is none, an open side where nothing is known."""
    if estimate is None:
        return "-"
    if low == high:
        return f"{estimate:.3f}"
    sides = [f"{side:.3f}" if side is not None else "?" for side in (low, high)]
    return f"{estimate:.3f} [{', '.join(sides)}]"


def probability(judgement: "Judgement") -> str:
    """The corrected p value in words of a table."""
    if judgement.p_adjusted is None:
        return "counted" if judgement.quantity == "ratio" else "-"
    return "< 0.001" if judgement.p_adjusted < 0.001 else f"{judgement.p_adjusted:.3f}"


def signs(judgement: "Judgement") -> str:
    """A sign per control, such as "a· b· c+ d+ e−"."""
    return " ".join(f"{control.letter}{MARKS[control.status]}" for control in judgement.controls)


def short_command(command: str) -> str:
    """A command whose long list of seeds is cut: `--seeds 0,1,...,11`."""
    return re.sub(r"(--seeds 0,1,)(?:\d+,){2,}(\d+)", r"\1...,\2", command)


def markdown(judgements: Sequence["Judgement"]) -> str:
    """The verdicts in Markdown: tables of them, what the controls say of each gain, and what would settle what is open.

    Claims that are true by construction have a table of their own.
    """
    lines: list[str] = []
    for kind in KINDS:
        if of_kind := [j for j in judgements if j.kind == kind]:
            lines += [f"{KINDS[kind]}:", "", _verdicts(of_kind), ""]
    lines += [*tally(judgements), "", METHOD_NOTE]
    if controlled := [j for j in judgements if j.controls]:
        controls = [
            (f"`{j.id}`", f"({c.letter}) {c.name}", c.status, c.reading) for j in controlled for c in j.controls
        ]
        lines += ["", _table(("claim", "control", "status", "reading"), controls), *_budgets(controlled)]
    readings = [(f"`{j.id}`", j.study or "-", j.reading, f"`{j.command}`") for j in judgements]
    return "\n".join([*lines, "", _table(("claim", "rows", "reading", "command"), readings), ""])


def _table(heads: Sequence[str], lines: Sequence[Sequence[object]], right: Collection[str] = ()) -> str:
    """A table in Markdown whose columns `right` stand at the right."""
    return Table(heads, lines, sides=["--:" if head in right else "---" for head in heads]).markdown()


def _verdicts(judgements: Sequence["Judgement"]) -> str:
    """A line per claim."""
    lines = []
    for j in judgements:
        verdict = f"**{j.verdict}**" + (f"; {j.qualification}" if j.qualification else "")
        effect = interval(j.estimate, j.low, j.high)
        lines.append((f"`{j.id}`", j.figure, j.reduced, verdict, j.quantity, effect, probability(j), j.seeds))
    heads = ("claim", "figure", "judged", "verdict", "of", "estimate", "p", "seeds")
    return _table(heads, lines, ("estimate", "p", "seeds"))


def _budgets(judgements: Sequence["Judgement"]) -> list[str]:
    """A line per claim, budget, difficulty and smaller N, under an explanation; nothing without any."""
    lines = []
    for j in judgements:
        for c in (each for control in j.controls for each in control.comparisons):
            pair = f"N = {c.high} minus N = {c.low}"
            if c.difference is None or c.means is None:
                numbers = [f"rows of N = {c.low} end at {c.ends:.1e}" if c.ends else "no rows", "-", "-"]
            else:
                low, high = (c.difference.low, c.difference.high) if c.has_interval else (None, None)
                effect = interval(c.difference.estimate, low, high)
                numbers = [effect, f"{c.means[1]:.3f}, {c.means[0]:.3f}", str(c.seeds)]
            lines.append([f"`{j.id}`", c.where, f"{c.budget}, {c.flops:.1e}", pair, *numbers])
    heads = ("claim", "at", "budget, FLOPs", "of", "difference", "scores", "seeds")
    return ["", BUDGETS, "", _table(heads, lines, ("difference", "scores", "seeds"))] if lines else []


def points_markdown(points: Iterable["PointEvidence"]) -> str:
    """The paper's printed points beside rows at the same setting, in Markdown."""
    lines = []
    for p in points:
        n = "?" if p.sleep_passes is None else str(p.sleep_passes)
        holds = {None: "-", True: "yes", False: "no"}[p.contains]
        why = p.reading if p.contains is not None else f"{p.reading}; `{p.command}`"
        difficulty = f"{p.axis.replace('_', ' ')} {p.difficulty}"
        estimate = interval(p.estimate, p.low, p.high)
        lines.append((p.figure, difficulty, n, f"{p.value:g}", p.source, estimate, holds, why))
    heads = ("figure", "difficulty", "N", "paper", "source", "rows", "holds it", "reading")
    return _table(heads, lines, ("N", "paper", "rows")) + "\n"
