"""The commands that read what a sweep wrote: `status`, `figures`, `table`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli.console import Json, filled, print_json, terminal


def status(
    folder: Annotated[Path, typer.Argument(help="A folder that `bench run` wrote.")], json_: Json = False
) -> None:
    """Show which cells of a folder are done, interrupted, failed or waiting."""
    from benchmark.cells.words import label, varying
    from benchmark.rows import Status
    from benchmark.rows.text import table_of
    from benchmark.run.folder import SweepFolder

    found: list[dict[str, Any]] = []
    place = SweepFolder(folder)
    cells = place.cells()
    for cell in cells:
        state, reason = place.of(cell).state
        written = [row for row in place.of(cell).rows if row["status"] == Status.OK and row["answer"] is None]
        found.append(
            {
                "cell_id": cell.id,
                "cell": label(cell, varying(cells)),
                "state": state,
                "step": written[-1]["step"] if written else 0,
                "steps": cell.steps,
                "scores": [
                    {name: row[name] for name in ("difficulty", "exact_match", "chance")}
                    for row in written
                    if row["step"] == written[-1]["step"]
                ],
                "reason": reason,
            }
        )
    if json_:
        print_json({"folder": str(folder), "cells": found, "unreadable": place.unreadable()})
        return
    lines = [
        [
            f["cell_id"],
            f["cell"],
            f["state"],
            f"{f['step']}/{f['steps']}",
            ", ".join(f"{score['exact_match']:.3f}" for score in f["scores"]) or "-",
            ", ".join(dict.fromkeys(f"{score['chance']:.3f}" for score in f["scores"])) or "-",
            f["reason"] or "",
        ]
        for f in found
    ]
    levels = list(dict.fromkeys(score["difficulty"] for f in found for score in f["scores"]))
    axis = cells[0].task.axis.replace("_", " ")
    of = f" at {', '.join(map(str, levels))} {axis}" if any(len(f["scores"]) > 1 for f in found) else ""
    columns = ["cell", "settings", "state", "step", f"exact match{of}", "chance", "reason"]
    console = terminal()
    console.print(table_of(columns, lines, title=str(folder)))
    for line in place.unreadable():
        console.print(f"left out: {line}", style="red", soft_wrap=True)


def figures_(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SOURCES]...",
            help="Folders that `bench run` wrote, folders of such folders, or rows.parquet files; "
            "default: results/reference.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to draw, for one source; default: figures/ beside its rows.")
    ] = None,
) -> None:
    """Draw every figure that the rows allow, as PNG and SVG.

    In figures/ beside the rows, figures that these rows no longer make are removed.
    """
    from benchmark import environment, figures, rows

    places = [place for source in sources or [environment.REFERENCE] for place in rows.tables_in(source)]
    if out and len(places) > 1:
        raise ValueError(f"--out takes the figures of one source; given {len(places)}: {', '.join(map(str, places))}")
    for place in places:
        folder = out or (place if place.is_dir() else place.parent) / "figures"
        written = figures.draw(filled(rows.read_table(place), place), folder)
        for path in written:
            typer.echo(path)
        for path in () if out else figures.stale(folder, written):
            path.unlink()
            typer.echo(f"removed {path}, which these rows do not make")


class Format(StrEnum):
    """How `table` prints."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"


def table(
    source: Annotated[
        Path | None, typer.Argument(help="A folder that `bench run` wrote, or a rows.parquet.", show_default=False)
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.markdown,
    out: Annotated[
        Path | None, typer.Option(help="Folder for rows.csv, summaries.csv, summary.md and summary.tex.")
    ] = None,
    columns: Annotated[bool, typer.Option("--columns", help="Say what each column of rows means, and stop.")] = False,
    json_: Json = False,
) -> None:
    """Print final scores over seeds: at equal tokens, at both equal budgets of training FLOPs, tokens needed, costs."""
    if columns:
        from benchmark.cells import dictionary

        typer.echo(dictionary.markdown())
        return
    if source is None:
        raise ValueError("give a SOURCE: a folder that `bench run` wrote, or a rows.parquet; or --columns")
    from benchmark import rows
    from benchmark.judge import summaries

    frame = filled(rows.read_table(source), source)
    if out:
        for path in summaries.write(frame, out):
            typer.echo(path)
        return
    found = summaries.summary(frame)
    if json_:
        print_json(found.to_dicts())
    elif format_ is Format.latex:
        typer.echo(summaries.in_latex(found, summaries.caption(frame)), nl=False)
    elif format_ is Format.csv:
        typer.echo(summaries.csv(found), nl=False)
    else:
        typer.echo(summaries.markdown(found))
