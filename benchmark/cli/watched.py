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


def run(
    title: str,
    cells: Sequence[Cell],
    folder: Path,
    *,
    environments: Sequence[dict[str, str]],
    device: str,
    context: rows.Row,
    command: str,
) -> dict[str, tuple[str, str | None]]:
    """Train cells in a folder, those that are not done; their states (`sweep.cell_state`) by id.

    Ctrl-C ends the command with exit code 130; what was trained stays.
    """
    console = terminal()
    with sweep.opened(folder, cells):
        board = Board(title, cells, console=console)
        for cell in cells:
            place = sweep.cell_folder(folder, cell)
            board.known(cell, sweep.cell_state(place)[0], rows.read(place / "rows.jsonl"))
        try:
            with board:
                states = sweep.run(
                    cells,
                    folder,
                    environments=environments,
                    device=device,
                    context=context,
                    command=command,
                    on_event=board.on_event,
                )
        except KeyboardInterrupt:
            console.print(f"Stopped. Everything so far is in {folder}; the same command goes on from there.")
            raise typer.Exit(INTERRUPTED) from None
        if not console.is_terminal:
            console.print(board.grid())
    return states


def failures(cells: Sequence[Cell], states: dict[str, tuple[str, str | None]]) -> list[str]:
    """A line for every cell that did not end well."""
    varying = words.varying(cells)
    return [
        f"{states[cell.id][0]}: {words.label(cell, varying)}: {states[cell.id][1]}"
        for cell in cells
        if states[cell.id][0] != "ok"
    ]
