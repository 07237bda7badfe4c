"""The commands that read what a sweep wrote: `figures`, `table`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.console import Json, print_json, require_rows, warn_of_mixture

if TYPE_CHECKING:
    import polars as pl


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
        frame = require_rows(rows.read_table(place), place)
        paths, removed = (figures.draw(frame, folder), []) if out else figures.redraw(frame, folder)
        for path in paths:
            typer.echo(path)
        for path in removed:
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

    frame = require_rows(_rows_of(source), source)
    warn_of_mixture(frame.select("cell_id", *rows.IDENTITY).unique().iter_rows(named=True))
    if out:
        for path in summaries.write(frame, out):
            typer.echo(path)
        return
    summary = summaries.summary(frame)
    if json_:
        print_json(summary.to_dicts())
    elif format_ is Format.latex:
        typer.echo(summaries.in_latex(summary, summaries.caption(frame)), nl=False)
    elif format_ is Format.csv:
        typer.echo(summaries.csv(summary), nl=False)
    else:
        typer.echo(summaries.markdown(summary))
        if text := summaries.omissions(frame):
            typer.echo(f"\n{text}")


def _rows_of(source: Path) -> "pl.DataFrame":
    """The rows of a source; a damaged table of a sweep is gathered again from its cells' own files, which stderr says.

    Raises:
        ValueError: as `rows.read_table`; or the folder is in use, or cannot be written.
    """
    from benchmark import rows

    try:
        return rows.read_table(source)
    except rows.DamagedFileError:
        if not (source / "cells").is_dir():
            raise
    from benchmark.run.folder import SweepFolder

    for line in SweepFolder(source).restore():
        typer.echo(f"bench: {line}", err=True)
    return rows.read_table(source)
