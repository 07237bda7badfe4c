"""A sweep watched from a terminal: the live table, what an interrupted or failed one says."""

from collections.abc import Sequence
from pathlib import Path

import typer

from benchmark import rows
from benchmark.cells import words
from benchmark.cells.cell import Cell
from benchmark.cli.console import INTERRUPTED, terminal
from benchmark.run import sweep
from benchmark.run.board import Board
from benchmark.run.executors import Executor
from benchmark.run.folder import State, SweepFolder


def run(
    title: str,
    cells: Sequence[Cell],
    folder: Path,
    *,
    executor: Executor,
    context: rows.Row,
    command: str,
) -> dict[str, State]:
    """Train cells in a folder, those that are not done; their states by id.

    Ctrl-C ends the command with exit code 130; what was trained stays.
    """
    console = terminal()
    place = SweepFolder(folder)
    with place.held(cells, context):
        board = Board(title, cells, console=console)
        for cell in cells:
            board.known(cell, place.of(cell).state.status, place.of(cell).rows)
        try:
            with board:
                states = sweep.run(
                    cells,
                    place,
                    executor,
                    context=context,
                    command=command,
                    on_event=board.on_event,
                    on_stop=board.stop,
                )
        except KeyboardInterrupt:
            console.print(f"Stopped. Everything so far is in {folder}; the same command goes on from there.")
            raise typer.Exit(INTERRUPTED) from None
        if not console.is_terminal:
            console.print(board.grid())
    return states


def failures(cells: Sequence[Cell], states: dict[str, State]) -> list[str]:
    """A line for every cell that did not end well."""
    varying = words.varying(cells)
    return [
        f"{states[cell.id].status}: {words.label(cell, varying)}: {states[cell.id].reason}"
        for cell in cells
        if states[cell.id].status != rows.Status.OK
    ]
