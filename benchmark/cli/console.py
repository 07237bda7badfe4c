"""What the commands share: the terminal, JSON, a progress bar and how an interrupted command ends."""

import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from benchmark.cli.signals import exit_code, stop_signals

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

USER_ERROR, FAILED, INTERRUPTED = 2, 1, 130
"""Exit codes: bad input; cells failed or files differ; Ctrl-C (after another signal N: 128 + N)."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Import the modules that the folder's cells name: code of whoever wrote them."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; may be given several times."),
]


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


def of_others(error: Exception) -> str:
    """What to say of an error that modules named by the user may have made by what they return; empty without any."""
    from benchmark.rows.text import error_line

    places = [sys.modules.get(f"{package}.addresses") for package in ("tasks", "baselines")]
    if not (names := sorted(name for place in places if place for name in place.FOREIGN)):
        return ""
    where = "".join(traceback.format_tb(error.__traceback__)[-3:]).rstrip()
    return f"{error_line(error)}\nPerhaps {' and '.join(names)} returned what is not allowed; it ended here:\n{where}"


def warn_of_mixture(rows: Iterable[Mapping[str, Any]]) -> None:
    """Say on stderr if rows come from several states of the code."""
    from benchmark.rows.identity import mixture

    if warning := mixture(rows):
        typer.echo(f"bench: {warning}", err=True)


def numbers(option: str, text: str) -> list[int]:
    """Whole numbers as people type them, such as 1,2,4 or 0-4."""
    from tasks import values

    return values.numbers(option, text)


def require_rows(frame: "pl.DataFrame", *sources: object) -> "pl.DataFrame":
    """The same rows.

    Raises:
        ValueError: there are none, so that nothing could be said of them.
    """
    if not frame.height:
        raise ValueError(f"no rows in {', '.join(map(str, sources))}: a table without a line")
    return frame


class Outlet(io.TextIOBase):
    """Standard output whose reader may go, as `head` does: what is written after that is dropped.

    The command goes on, so that its exit code is the one it would have been.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        with self._ignore_broken_pipe():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written, or drop it."""
        with self._ignore_broken_pipe():
            self.stream.flush()

    def fileno(self) -> int:
        """That of the stream."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self.stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return self.stream.encoding

    @contextmanager
    def _ignore_broken_pipe(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


def print_json(value: Any) -> None:
    """Print plain data."""
    typer.echo(json.dumps(value, indent=1))


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield what counts `total` examples up on a bar; nothing is drawn unless stderr is a terminal.

    Ctrl-C ends the command with exit code 130, SIGTERM with 143, and a line that says so.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = terminal(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        quiet = not console.is_terminal
        with stop_signals(ctrl_c=False), Progress(*columns, console=console, disable=quiet, transient=True) as progress:
            line = progress.add_task(title, total=total)
            yield lambda count: progress.advance(line, count)
    except KeyboardInterrupt as interrupt:
        typer.echo("Stopped; nothing was written.", err=True)
        raise typer.Exit(exit_code(interrupt)) from None
