"""The command that writes the page: `report`."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.console import bar


def report_(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders that `bench run` wrote, or files of rows; default: the reference results."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The page; default: report.html in the folder of one source, results/report.html for the reference, "
            "else report.html here.",
        ),
    ] = None,
) -> None:
    """Write one page of everything the rows say, verdicts on top: to read without a network, or to print."""
    from benchmark import environment, report, rows

    places = sources or [environment.REFERENCE]
    folders = {path for source in places for path in rows.tables_in(source)}
    with bar("folders", len(folders)) as advance:
        page = report.write(places, out or _default_out(sources or []), advance)
    typer.echo(page)


def _default_out(sources: list[Path]) -> Path:
    """Beside what was read, where that is one place."""
    from benchmark.environment import REFERENCE

    if not sources:
        return REFERENCE.parent / "report.html"
    if len(sources) > 1:
        return Path("report.html")
    return (sources[0] if sources[0].is_dir() else sources[0].parent) / "report.html"
