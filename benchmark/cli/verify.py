"""The command `verify`: the paper's claims judged by rows."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.console import Json, print_json, require_rows, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.judge.claims import Judgement
    from benchmark.judge.points import PointEvidence

COLORS = {"reproduced": "green", "not reproduced": "red", "not enough evidence": "yellow"}


class Form(StrEnum):
    """How verdicts are printed."""

    table = "table"
    markdown = "markdown"


def verify_(
    sources: Annotated[
        list[Path] | None, typer.Argument(help="Folders that `bench run` wrote; default: the reference results.")
    ] = None,
    json_: Json = False,
    format_: Annotated[Form, typer.Option("--format", help="How to print it.")] = Form.table,
    markdown: Annotated[bool, typer.Option("--markdown", hidden=True)] = False,  # of other commands it names a file
    claim: Annotated[str | None, typer.Option(metavar="ID", help="Only this claim, in full.")] = None,
) -> None:
    """Judge the paper's claims by rows: verdicts, what qualifies them, and what would settle the open ones."""
    from benchmark import environment, rows
    from benchmark.judge import claims, paper, points
    from benchmark.judge.claims import verdict_tables
    from benchmark.rows import outcomes
    from tasks.base import nearest

    names = [each.id for each in paper.claims()]
    if claim is not None and claim not in names:
        raise ValueError(nearest(claim, names, kind="claim"))
    own, sources = bool(sources), sources or [environment.REFERENCE]
    frame, examples = require_rows(rows.read_tables(sources), *sources), outcomes.read_all(sources)
    # Corrected for all of them, whichever are shown.
    judgements = [each for each in claims.judge(frame, examples) if claim in (None, each.id)]
    beside = [
        point
        for point in points.point_evidence(frame)
        if claim is None or point.figure.startswith(judgements[0].figure)
    ]
    if json_:
        verdicts, evidence = [j.as_dict() for j in judgements], [p.as_dict() for p in beside]
        print_json({"claims": verdicts, "counts": claims.counts(judgements), "points": evidence})
        return
    rest = "" if claim else verdict_tables.omissions([j for j in judgements if own and not j.has_rows])
    if own and claim is None:  # of one's own rows only what they can judge
        judgements = [j for j in judgements if j.has_rows]
        beside = [point for point in beside if point.contains is not None]
    if markdown or format_ is Form.markdown:
        parts = [verdict_tables.markdown(judgements)] if judgements else []
        parts += [verdict_tables.points_markdown(beside)] if beside else []
        typer.echo("\n".join([*parts, *([f"{rest}\n"] if rest else [])]), nl=False)
    elif claim is not None:
        _print_claim(judgements[0], terminal())
        _points(beside, terminal())
    else:
        if judgements:
            _all(judgements, terminal())
        _points(beside, terminal())
        terminal().print(rest, highlight=False, soft_wrap=True, end="\n" * bool(rest))


def _all(judgements: Sequence["Judgement"], console: "Console") -> None:
    """The tables of verdicts, the controls that say something, and the commands for what is open."""
    from benchmark.judge.claims.verdict_tables import BUDGETS, KINDS, LEGEND, METHOD_NOTE, short_command, tally

    for kind, title in KINDS.items():
        if of_kind := [j for j in judgements if j.kind == kind]:
            _table(of_kind, title, console)
    console.print("\n".join(tally(judgements)), highlight=False)
    console.print(f"{METHOD_NOTE}\n{LEGEND}\n{BUDGETS}\n", highlight=False)
    console.print("What was read:", style="bold")
    for j in judgements:
        controls = "; ".join(f"({c.letter}) {c.status}" for c in j.controls if c.status in ("fails", "not tested"))
        console.print(f"  {j.id}: {j.reading}{f'. {controls}' if controls else ''}", highlight=False)
        for c in (each for control in j.controls for each in control.joint_comparisons):
            console.print(f"    {c}", highlight=False)
    if still := [j for j in judgements if j.verdict == "not enough evidence"]:
        console.print("\nWhat would settle the open ones, about:", style="bold")
        for j in still:
            console.print(f"  {j.id}: {short_command(j.command)}", highlight=False)
    console.print("\n`bench verify --claim ID` says more of one, its controls in full.\n", highlight=False)


def _table(judgements: Sequence["Judgement"], title: str, console: "Console") -> None:
    """A line per claim."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from benchmark.judge.claims.verdict_tables import interval, probability, signs

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("claim", no_wrap=True)
    table.add_column("fig.")
    table.add_column("verdict", min_width=20)
    table.add_column("of", no_wrap=True)
    table.add_column("estimate, 95 %", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("seeds", justify="right")
    table.add_column("controls", no_wrap=True)
    for j in judgements:
        verdict = Text.assemble((j.verdict, COLORS[j.verdict]), f"; {j.qualification}" if j.qualification else "")
        effect = interval(j.estimate, j.low, j.high)
        table.add_row(j.id, j.figure, verdict, j.quantity, effect, probability(j), str(j.seeds), signs(j))
    console.print(table)


def _print_claim(j: "Judgement", console: "Console") -> None:
    """One claim with all that was found."""
    from rich.text import Text

    from benchmark.judge.claims.verdict_tables import interval, probability

    console.print(Text.assemble((j.id, "bold"), f" (figure {j.figure}): ", (j.full_verdict, COLORS[j.verdict])))
    needs = f", about {j.seeds_needed} needed" if j.seeds_needed else ""
    needs += f", with {j.examples_needed} test examples" if j.examples_needed else ""
    others = f"; {j.others} other groups of rows could judge it too" if j.others else ""
    smallest = f" {j.smallest:g} or more," if j.smallest is not None else ""
    quantity = f"{j.quantity} " if j.quantity else ""
    lines = [
        f"paper:    {j.claim}",
        f"judged:   {j.reduced}",
        f"matters: {smallest} {j.because}",
        f"rows:     {j.study or 'none'}{others}",
        f"reading:  {j.reading}",
        f"effect:   {quantity}{interval(j.estimate, j.low, j.high)}, p {probability(j)}, {j.seeds} seeds{needs}",
        *(f"({c.letter}) {c.name}: {c.status}. {c.reading}" for c in j.controls),
        *(f"    at {c.where}, {c}" for control in j.controls for c in control.single_comparisons),
        f"command:  {j.command}",
    ]
    for line in lines:
        console.print(f"  {line}", highlight=False)
    console.print()


def _points(points: Sequence["PointEvidence"], console: "Console") -> None:
    """A line per figure and difficulty; a figure without rows in one line."""
    from rich.table import Table

    from benchmark.judge.claims.verdict_tables import interval

    if not points:
        return
    table = Table(
        title="The paper's printed points, beside rows at the same setting (scale paper)", title_justify="left"
    )
    table.add_column("fig.")
    table.add_column("difficulty", no_wrap=True)
    table.add_column("paper")
    table.add_column("rows, and whether their interval holds the point")
    missing: dict[str, tuple[str, str]] = {}
    places = dict.fromkeys((p.figure, p.difficulty) for p in points)
    for figure, difficulty in places:
        here = [p for p in points if (p.figure, p.difficulty) == (figure, difficulty)]
        values = ", ".join(
            f"{'N = ?' if p.sleep_passes is None else f'N = {p.sleep_passes}'} {p.value:g}" for p in here
        )
        lines = [
            f"N = {p.sleep_passes} {interval(p.estimate, p.low, p.high)} {'holds it' if p.contains else 'does not'}"
            for p in here
            if p.estimate is not None
        ]
        lines += dict.fromkeys(
            f"{p.reading}: {'hold them' if p.contains else 'do not'}"
            for p in here
            if p.sleep_passes is None and p.contains is not None
        )
        if not lines:
            missing[figure] = here[0].reading, here[0].command
        table.add_row(figure, f"{here[0].axis.replace('_', ' ')} {difficulty}", values, "; ".join(lines) or "-")
    console.print(table)
    for figure, (why, command) in missing.items():
        console.print(f"  {figure}: {why}: {command}", highlight=False, soft_wrap=True)
