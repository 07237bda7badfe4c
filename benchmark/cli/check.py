"""The command `check`: are the learning curves of these rows still those of a reference?"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.console import FAILED, Json, print_json, terminal

# As in `benchmark.judge.curves`, which is imported only when the command runs.
TOLERANCE, ALPHA = 0.03, 0.01


def check_(
    source: Annotated[Path, typer.Argument(metavar="ROWS", help="A folder that `bench run` wrote, or a rows.parquet.")],
    against: Annotated[Path, typer.Option(metavar="REFERENCE", help="Rows that they should be like, other seeds.")],
    tolerance: Annotated[
        float,
        typer.Option(
            metavar="NUMBER",
            help="Smallest difference that matters: a share for accuracies, nats for losses; forgives odd seeds too.",
        ),
    ] = TOLERANCE,
    alpha: Annotated[
        float, typer.Option(metavar="NUMBER", help="Chance of any false alarm in the whole file, if seeds are normal.")
    ] = ALPHA,
    strict: Annotated[bool, typer.Option("--strict", help="Conditions that seeds cannot settle fail too.")] = False,
    either_way: Annotated[
        bool,
        typer.Option(
            "--either-way", help="Improvements and changed FLOPs fail too: for code that should change nothing."
        ),
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Conditions that only the reference has do not fail.")
    ] = False,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a summary for a pull request.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML for a CI service.")] = None,
    json_: Json = False,
) -> None:
    """Compare learning curves with those of a reference; exit code 1 if any regressed or cannot be compared."""
    from benchmark import rows
    from benchmark.judge.curves import compare, listing
    from benchmark.judge.curves.alignment import remarks
    from benchmark.judge.curves.junit import document
    from benchmark.rows.text import table_of

    frame, reference = rows.read_tables([source]), rows.read_tables([against])
    comparisons, notes = compare(frame, reference, tolerance=tolerance, alpha=alpha), remarks(frame, reference)
    fails = partial(listing.fails, strict=strict, either_way=either_way, allow_missing=allow_missing)
    passed = not any(map(fails, comparisons))
    title = f"{source.name} against {against.name}"
    outcome = listing.outcome(comparisons, passed=passed)
    if markdown:
        _write(markdown, listing.markdown(comparisons, notes, title=title, passed=passed).encode())
    if junit:
        settings = {"tolerance": tolerance, "alpha": alpha, "strict": strict, "either_way": either_way}
        _write(junit, document(comparisons, fails=fails, name=f"bench check: {title}", properties=settings))
    if json_:
        print_json(
            {"passed": passed, "outcome": outcome, "remarks": notes, "conditions": [c.as_dict() for c in comparisons]}
        )
    else:
        console = terminal()
        console.print(
            table_of(list(listing.COLUMNS[:-1]), [line[:-1] for line in listing.lines(comparisons)], title=title)
        )
        for comparison in comparisons:
            if comparison.verdict in ("regressed", "incomparable", "improved", "changed", "inconclusive"):
                style = "red" if fails(comparison) else "yellow"
                console.print(
                    f"{comparison.verdict}: {comparison.name}: {comparison.reading}", style=style, soft_wrap=True
                )
        for note in notes:
            console.print(f"note: {note}", soft_wrap=True)
        console.print(f"{outcome}: {listing.counts(comparisons)}", soft_wrap=True)
    if not passed:
        raise typer.Exit(FAILED)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
