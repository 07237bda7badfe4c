"""The commands that read what a sweep wrote: `status`, `figures`, `table`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.console import Json, print_json, terminal


def status(
    folder: Annotated[Path, typer.Argument(help="A folder that `bench run` wrote.")], json_: Json = False
) -> None:
    """Show which cells of a folder are done, interrupted, failed or waiting."""
    from benchmark import progress, rows, sweep

    found: list[dict[str, Any]] = []
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
                "scores": [
                    {name: row[name] for name in ("difficulty", "exact_match", "chance")}
                    for row in written
                    if row["step"] == written[-1]["step"]
                ],
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
