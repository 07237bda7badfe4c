"""Verdicts and points as tables: for Markdown, and the words that every table shares."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.verify import Judgement
    from benchmark.verify.points import Beside

MARKS = {"survives": "+", "fails": "−", "not tested": "?", "not needed": "·"}
"""A sign for how a control ended, for a table that has room for no more."""

LEGEND = (
    "Controls of a gain of N: a every answer position, b window index given, c what fixes answers held out, d above "
    "chance and shortcuts, e equal training FLOPs; + survives, − fails, ? the rows do not say, · cannot arise."
)

CORRECTED = (
    "Verdicts at equal tokens, on the form a claim takes at this scale. Intervals: 95 % over seeds and examples; p "
    "corrected for all claims judged here (Holm)."
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


def shortened(command: str) -> str:
    """A command whose long list of seeds is cut: `--seeds 0,1,...,11`."""
    return re.sub(r"(--seeds 0,1,)(?:\d+,){2,}(\d+)", r"\1...,\2", command)


def markdown(judgements: Sequence["Judgement"]) -> str:
    """The verdicts in Markdown: the table, what the controls say of each gain, and what would settle what is open."""
    lines = ["| claim | figure | judged | verdict | of | estimate | p | seeds |", "|---|---|---|---|---|--:|--:|--:|"]
    for j in judgements:
        verdict = f"**{j.verdict}**" + (f"; {j.qualification}" if j.qualification else "")
        effect = interval(j.estimate, j.low, j.high)
        numbers = f"{j.quantity} | {effect} | {probability(j)} | {j.seeds}"
        lines.append(f"| `{j.id}` | {j.figure} | {j.reduced} | {verdict} | {numbers} |")
    lines += ["", CORRECTED]
    if controlled := [j for j in judgements if j.controls]:
        lines += ["", "| claim | control | status | reading |", "|---|---|---|---|"]
        lines += [
            f"| `{j.id}` | ({c.letter}) {c.name} | {c.status} | {c.reading} |" for j in controlled for c in j.controls
        ]
    lines += ["", "| claim | rows | reading | command |", "|---|---|---|---|"]
    lines += [f"| `{j.id}` | {j.study or '-'} | {j.reading} | `{j.command}` |" for j in judgements]
    return "\n".join(lines) + "\n"


def points_markdown(found: Iterable["Beside"]) -> str:
    """The paper's printed points beside rows at the same setting, in Markdown."""
    lines = [
        "| figure | difficulty | N | paper | source | rows | holds it | reading |",
        "|---|---|--:|--:|---|--:|---|---|",
    ]
    for p in found:
        n = "?" if p.sleep_passes is None else str(p.sleep_passes)
        holds = {None: "-", True: "yes", False: "no"}[p.contains]
        why = p.reading if p.contains is not None else f"{p.reading}; `{p.command}`"
        lines.append(
            f"| {p.figure} | {p.axis.replace('_', ' ')} {p.difficulty} | {n} | {p.value:g} | {p.source} | "
            f"{interval(p.estimate, p.low, p.high)} | {holds} | {why} |"
        )
    return "\n".join(lines) + "\n"
