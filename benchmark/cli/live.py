"""A sweep watched from a terminal: the live table, what an interrupted or failed one says."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import typer

from benchmark import rows
from benchmark.cells import words
from benchmark.cells.cell import Cell
from benchmark.cli.console import terminal
from benchmark.cli.signals import exit_code, stop_signals
from benchmark.run import sweep
from benchmark.run.board import Board
from benchmark.run.executors import Event, Executor
from benchmark.run.folder import State, SweepFolder
from benchmark.run.tracking import Tracker


def run(title: str, cells: Sequence[Cell], folder: Path, **how: Any) -> dict[str, State]:
    """Train cells in a folder as a command does, see `train`; their states by id.

    Ctrl-C ends the command with exit code 130, SIGTERM with 143; what was trained stays.
    """
    console = terminal()
    board = Board(title, cells, console=console)
    try:
        states = train(board, folder, **how)
    except KeyboardInterrupt as interrupt:
        console.print(f"Stopped. Everything so far is in {folder}; the same command goes on from there.")
        raise typer.Exit(exit_code(interrupt)) from None
    if not console.is_terminal:
        console.print(board.grid())
    return states


def train(
    board: Board, folder: Path, *, executor: Executor, context: rows.Row, command: str, tracker: Tracker | None = None
) -> dict[str, State]:
    """Train the cells of a board in a folder, those that are not done, drawing how it goes; their states by id.

    Interrupted, it lets the cells that run save and raises KeyboardInterrupt.
    """
    with ExitStack() as stack:
        hearers: list[Callable[[Event], None]] = [board.on_event]
        if tracker:
            hearers.append(stack.enter_context(tracker.follow(board.cells, folder.name, partial(_warn, board))))

        def tell(event: Event) -> None:
            for hear in hearers:
                hear(event)

        return _train(board, folder, executor=executor, context=context, command=command, on_event=tell)


def _train(
    board: Board,
    folder: Path,
    *,
    executor: Executor,
    context: rows.Row,
    command: str,
    on_event: Callable[[Event], None],
) -> dict[str, State]:
    place = SweepFolder(folder)
    with stop_signals(executor), place.session(board.cells, context):
        for cell in board.cells:
            board.take_over(cell, place.of(cell).state.status, place.of(cell).rows)
        _say(place.remarks, board)
        try:
            with board:
                return sweep.run(
                    board.cells,
                    place,
                    executor,
                    context=context,
                    command=command,
                    on_event=on_event,
                    on_stop=board.stop,
                )
        finally:
            _say(place.remarks, board)


def _say(remarks: Sequence[str], board: Board) -> None:
    """Print what a folder has to say of damage."""
    for remark in remarks:
        _warn(board, remark)


def _warn(board: Board, text: str) -> None:
    board.console.print(text, style="red", soft_wrap=True, highlight=False)


def failures(cells: Sequence[Cell], states: dict[str, State]) -> list[str]:
    """A line for every cell that did not end well."""
    varying = words.distinctions(cells)
    return [
        f"{states[cell.id].status}: {words.label(cell, varying)}: {states[cell.id].reason}"
        for cell in cells
        if states[cell.id].status != rows.Status.OK
    ]
