"""The commands that read what a sweep wrote: `status`, `figures`, `table`."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.console import Json, print_json, terminal


def status(
    folder: Annotated[Path, typer.Argument(help="A folder that `bench run` wrote.")], json_: Json = False
) -> None:
    """Show which cells of a folder are done, interrupted, failed or waiting."""
    from benchmark import progress, rows, sweep

    found = []
    cells = sweep.cells_in(folder)
    for cell in cells:
        place = sweep.cell_folder(folder, cell)
        state, reason = sweep.cell_state(place)
        written = [row for row in rows.read(place / "rows.jsonl") if row["status"] == "ok" and row["answer"] is None]
        found.append(
            {
                "cell_id": cell.id,
                "cell": progress.label(cell, progress.varying(cells)),
                "state": state,
                "step": written[-1]["step"] if written else 0,
                "steps": cell.steps,
                "exact_match": written[-1]["exact_match"] if written else None,
                "chance": written[-1]["chance"] if written else None,
                "reason": reason,
            }
        )
    if json_:
        print_json({"folder": str(folder), "cells": found})
        return
    lines = [
        [
            f["cell_id"],
            f["cell"],
            f["state"],
            f"{f['step']}/{f['steps']}",
            "-" if f["exact_match"] is None else f"{f['exact_match']:.3f}",
            "-" if f["chance"] is None else f"{f['chance']:.3f}",
            f["reason"] or "",
        ]
        for f in found
    ]
    columns = ["cell", "settings", "state", "step", "exact match", "chance", "reason"]
    terminal().print(progress.table_of(columns, lines, title=str(folder)))


def figures_(
    source: Annotated[Path, typer.Argument(help="A folder that `bench run` wrote, or a rows.parquet.")],
    out: Annotated[Path | None, typer.Option(help="Where to draw; default: figures/ beside the rows.")] = None,
) -> None:
    """Draw every figure that the rows allow, as PNG and SVG."""
    from benchmark import figures, rows

    folder = out or (source if source.is_dir() else source.parent) / "figures"
    for path in figures.draw(rows.read_table(source), folder):
        typer.echo(path)


def table(
    source: Annotated[Path, typer.Argument(help="A folder that `bench run` wrote, or a rows.parquet.")],
    json_: Json = False,
) -> None:
    """Print final scores over seeds in Markdown: at equal tokens, at equal training FLOPs, tokens needed."""
    from benchmark import rows, tables

    found = tables.summary(rows.read_table(source))
    if json_:
        print_json(found.to_dicts())
    else:
        typer.echo(tables.markdown(found))
