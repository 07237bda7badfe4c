"""The command `profile`: where a training step goes."""

import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.console import Json, Settings, bar, print_json, terminal
from benchmark.cli.options import Axes, Model, Passes, Rollouts, Scale, TaskName, Variants, request_of

if TYPE_CHECKING:
    from benchmark.cells.cell import Cell

Suite = Annotated[str, typer.Argument(metavar="SUITE", help="A suite; `bench list` names them.")]


def profile_(
    suite: Suite,
    scale: Scale = "cpu",
    task: TaskName = None,
    model: Model = None,
    sleep_passes: Passes = None,
    rollout_steps: Rollouts = None,
    axes: Axes = None,
    variants: Variants = None,
    settings: Settings = None,
    backends: Annotated[
        list[str] | None,
        typer.Option("--backend", metavar="NAME", help="torch or native; may be repeated; default: both, if they can."),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="COUNT", help="Training steps that each median is of.")] = 20,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the numbers and a figure there, too.")
    ] = None,
    json_: Json = False,
) -> None:
    """Show where a training step of a suite's cells goes, part by part, on one core."""
    from benchmark import environment
    from benchmark.cells.words import distinctions, label
    from benchmark.figures import profile_figure
    from benchmark.measure import profile_tables, profiling
    from benchmark.rows import write_atomically
    from tasks.base import check_whole

    check_whole("--steps", steps, 1)
    request = request_of(
        suite, scale, task, model, None, sleep_passes, rollout_steps, None, None, axes, variants, settings
    )
    every = request.cells()
    cells = [cell for cell in every if cell.seed == every[0].seed]  # a seed changes no time
    work = list(_work(cells, backends))
    differ = [name for name in distinctions(cells) if name != "seed"]
    rows = []
    with bar(f"profile of {request.title}", len(work) * profiling.work(steps)) as advance:
        for cell, backend in work:
            identity = {"cell_id": cell.id, "cell": label(cell, differ).replace(f", seed {cell.seed}", "")}
            rows.append(identity | profiling.profile(cell, backend=backend, steps=steps, advance=advance))
    facts: dict[str, Any] = {
        **environment.describe(),
        "load_average": os.getloadavg()[0],
        "command": shlex.join(["bench", *sys.argv[1:]]),
    }
    paths = []
    if out:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "profile.csv", profile_tables.tidy(rows).encode())
        write_atomically(out / "environment.json", (json.dumps(facts, indent=1) + "\n").encode())
        paths = [out / "profile.csv", out / "environment.json", *profile_figure.draw(rows, request.title, out)]
    if json_:
        print_json({"environment": facts, "rows": rows})
        return
    console = terminal()
    for table in profile_tables.tables(rows):
        console.print(table.terminal())
    for line in profile_tables.reading(rows):
        console.print(line, soft_wrap=True, highlight=False)
    for path in paths:
        console.print(str(path), soft_wrap=True, highlight=False)


def _work(cells: "Sequence[Cell]", backends: list[str] | None) -> "Iterator[tuple[Cell, str]]":
    """Each cell with each backend; by default native beside torch where it runs, and why not on stderr, once.

    Raises:
        ValueError: an unknown backend.
    """
    from baselines.native.block import obstacle
    from tasks.base import nearest

    names, reasons = ("torch", "native"), set[str]()
    for name in backends or ():
        if name not in names:
            raise ValueError(nearest(name, names, kind="backend"))
    for cell in cells:
        own = [name for name in names if name in (backends or names)]
        if not backends:
            task = cell.task
            model = cell.model.build(vocab_size=task.vocab_size, window=task.window, seq_len=task.seq_len)
            if reason := obstacle(model):
                reasons.add(reason)
                own = ["torch"]
        yield from ((cell, name) for name in own)
    for reason in sorted(reasons):
        typer.echo(f"not with native: {reason}", err=True)
