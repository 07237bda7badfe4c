"""The commands that keep a folder in order: `retry` trains chosen cells again, `clean` removes litter."""

import contextlib
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.console import FAILED, Trust, terminal
from benchmark.cli.options import CellTimeout

Folder = Annotated[Path, typer.Argument(help="A folder that `bench run` wrote.")]


def retry(
    folder: Folder,
    status: Annotated[
        str,
        typer.Option(metavar="STATUS,STATUS", help="Those of these statuses: crashed, out_of_memory, timed_out ..."),
    ] = "crashed,out_of_memory,timed_out,cancelled",
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu or cuda.")] = "cpu",
    jobs: Annotated[int | None, typer.Option(metavar="COUNT", help="Cells at once; default: cores, or GPUs.")] = None,
    executor: Annotated[str, typer.Option(metavar="NAME", help="As that of `bench run`.")] = "local",
    backend: Annotated[str, typer.Option(metavar="NAME", help="As that of `bench run`.")] = "torch",
    cell_timeout: CellTimeout = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which cells these are.")] = False,
    trust: Trust = False,
) -> None:
    """Train cells of a folder again by how they ended, and no others.

    What ended as diverged or ok starts anew, and what it left is set aside; the others go on from their checkpoints.
    """
    from benchmark.cells.words import distinctions, label
    from benchmark.cli import live
    from benchmark.rows import Status
    from benchmark.rows.schema import FAILURES
    from benchmark.run import executors, upkeep
    from benchmark.run.folder import SweepFolder
    from tasks.base import nearest

    statuses = [name.strip() for name in status.split(",")]
    names = [str(each) for each in (*FAILURES, Status.OK)]
    for name in statuses:
        if name not in names:
            raise ValueError(nearest(name, names, kind="status"))
    trains = executors.executor(executor, device=device, jobs=jobs, backend=backend, cell_timeout=cell_timeout)
    place = SweepFolder(folder, trusted=trust)
    every = place.cells()
    cells = [cell for cell in every if place.of(cell).state.status in statuses]
    console = terminal()
    if not cells:
        console.print(f"no cell of {folder} is {' or '.join(statuses)}")
        return
    if dry_run:
        others = distinctions(every)
        for cell in cells:
            console.print(f"{place.of(cell).state.status}: {label(cell, others)}", highlight=False, soft_wrap=True)
        return
    with place.session([]):
        for cell in cells:
            if place.of(cell).state.status.final:
                upkeep.start_anew(place.of(cell))
    context = upkeep.context(place.of(cells[0]))
    command = shlex.join(["bench", *sys.argv[1:]])
    states = live.run(f"{folder}, again", cells, folder, executor=trains, context=context, command=command)
    if failures := live.failures(cells, states):
        console.print("\n".join(failures), style="red", soft_wrap=True)
        raise typer.Exit(FAILED)


def clean(
    folder: Folder,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Those of finished cells too; probe and evaluate need them.")
    ] = False,
) -> None:
    """Remove what a folder needs no more: files that were set aside, and what torn writes left."""
    from benchmark.rows.text import amount
    from benchmark.run import upkeep
    from benchmark.run.folder import SweepFolder

    place, console = SweepFolder(folder), terminal()
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    with contextlib.nullcontext() if dry_run else place.session([]):  # looking moves nothing
        litter = upkeep.litter(folder, checkpoints=checkpoints)
        total = 0
        for path in litter:
            size = path.lstat().st_size
            total += size
            console.print(f"{'would remove' if dry_run else 'removed'} {path} ({amount(size)}B)", soft_wrap=True)
            if not dry_run:
                path.unlink()
    console.print(f"{len(litter)} files, {amount(total)}B")
