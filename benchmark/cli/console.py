"""What the commands share: the terminal, JSON, a progress bar and how an interrupted command ends."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

USER_ERROR, FAILED, INTERRUPTED = 2, 1, 130
"""Exit codes: bad input; cells failed or files differ; Ctrl-C."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting.")]


def terminal(*, stderr: bool = False) -> "Console":
    """The terminal, or a page of 120 columns where the output goes elsewhere.

    Texts are printed as they are: those of other people hold square brackets and colons too, which are no markup. A
    page is no terminal, whatever FORCE_COLOR says: it gets colours by that, never a table that is drawn over and over.
    """
    from rich.console import Console

    there = (sys.stderr if stderr else sys.stdout).isatty()
    colour = "standard" if os.environ.get("FORCE_COLOR") and not there else "auto"
    return Console(
        width=None if there else 120,
        stderr=stderr,
        force_terminal=there,
        color_system=colour,  # type: ignore[arg-type]
        markup=False,
        emoji=False,
    )


def prepare_process() -> None:
    """Let nothing around the process make a command fail.

    A stream may be closed, or have no sign for a character; a notebook names a backend of matplotlib for its windows,
    which is not there where the commands are, and they draw files alone.
    """
    os.environ.pop("MPLBACKEND", None)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def numbers(option: str, text: str) -> list[int]:
    """Whole numbers separated by commas."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{option} takes whole numbers separated by commas, such as 1,2,4; given {text!r}") from None


def print_json(value: Any) -> None:
    """Print plain data."""
    typer.echo(json.dumps(value, indent=1))


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield what counts `total` examples up on a bar; nothing is drawn unless stderr is a terminal.

    Ctrl-C ends the command with exit code 130 and a line that says so.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = terminal(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            line = progress.add_task(title, total=total)
            yield lambda count: progress.advance(line, count)
    except KeyboardInterrupt:
        typer.echo("Stopped; nothing was written.", err=True)
        raise typer.Exit(INTERRUPTED) from None
