"""The command `probe`: what is in the fast weights of trained cells, pass by pass."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.console import Json, Trust, bar, numbers, print_json, terminal

if TYPE_CHECKING:
    from benchmark.cells.cell import Cell
    from benchmark.run.folder import SweepFolder


def probe_(
    folder: Annotated[Path, typer.Argument(help="A folder that `bench run` wrote, with the cells' checkpoints.")],
    out: Annotated[Path | None, typer.Option(help="Output folder; default results/runs/probe-FOLDER.")] = None,
    examples: Annotated[int, typer.Option(help="Validation examples to fit probes on.")] = 8192,
    tested: Annotated[int, typer.Option("--test-examples", help="Test examples to score them on.")] = 4096,
    cells: Annotated[str | None, typer.Option(metavar="ID,ID", help="Only these cells, by id or its start.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1", help="Only these seeds.")] = None,
    sleep_passes: Annotated[str | None, typer.Option(metavar="1,2", help="Only these trained N.")] = None,
    rollout_steps: Annotated[str | None, typer.Option(metavar="6,8", help="Only these depths t (Rule 110).")] = None,
    trust: Trust = False,
    json_: Json = False,
) -> None:
    """Read what was stored, and the answer after each step, off the fast weights after every pass of a sleep."""
    from tasks.base import check_whole

    check_whole("--examples", examples, 1)
    check_whole("--test-examples", tested, 1)

    from benchmark.measure.probe import tables as probe_tables
    from benchmark.rows.text import table_of
    from benchmark.run.folder import SweepFolder

    place = SweepFolder(folder, trusted=trust)
    every = place.cells()
    lists = {"--seeds": seeds, "--sleep-passes": sleep_passes, "--rollout-steps": rollout_steps}
    levels = {option: numbers(option, text) for option, text in lists.items() if text is not None}
    ready = _ready_cells(place, _selection(every, cells, levels))
    out = out or Path("results/runs") / f"probe-{folder.resolve().name}"
    command = shlex.join(["bench", *sys.argv[1:]])
    paths = run(ready, folder, out, plan=every, examples=examples, test_examples=tested, command=command)
    table = probe_tables.read(out, "probe.csv")
    if json_:
        facts = json.loads((out / "environment.json").read_text(encoding="utf-8"))
        spectra = probe_tables.read(out, "fast_weights.csv").to_dicts()
        print_json({"environment": facts, "probes": table.to_dicts(), "fast_weights": spectra})
        return
    console = terminal()
    columns, lines = probe_tables.terminal_table(table)
    console.print(
        table_of(columns, lines, title="Share of items that a linear probe of S reads right, mean over seeds")
    )
    for path in paths:
        console.print(str(path), soft_wrap=True, highlight=False)


def run(
    cells: "Sequence[Cell]",
    folder: Path,
    out: Path,
    *,
    plan: "Sequence[Cell]",
    examples: int,
    test_examples: int,
    command: str,
) -> list[Path]:
    """Probe finished cells of a folder under a progress bar, one thread each; the tables and figures written to `out`.

    `plan` holds all cells of the folder, from which these are told apart.
    """
    import torch

    from benchmark import environment
    from benchmark.cells.words import distinctions, label
    from benchmark.figures import probe_figure
    from benchmark.measure import probe
    from benchmark.measure.probe import tables as probe_tables
    from benchmark.rows import write_atomically
    from benchmark.run.folder import SweepFolder

    others = [name for name in distinctions(plan) if name not in ("task", "model")]  # columns of their own
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in training: numbers then do not depend on the cores there are
    probes, spectra = [], []
    try:
        with bar(f"passes of {folder.name}", sum(cell.training.sleep_passes for cell in cells)) as advance:
            for cell in cells:
                settings = label(cell, others).partition(f"seed {cell.seed}")[2].removeprefix(", ")
                place = SweepFolder(folder).of(cell).path
                cell_rows = probe.probe(
                    cell, place, settings=settings, examples=examples, test_examples=test_examples, advance=advance
                )
                probes += cell_rows[0]
                spectra += cell_rows[1]
    finally:
        torch.set_num_threads(threads)
    paths = [probe_tables.write(out, "probe.csv", probes), probe_tables.write(out, "fast_weights.csv", spectra)]
    facts = environment.describe() | {"trained": [cell.id for cell in cells], "command": command}
    paths.append(out / "environment.json")
    write_atomically(paths[-1], (json.dumps(facts, indent=1) + "\n").encode())
    # From the files, as anyone who draws them again would.
    table, spectrum = (probe_tables.read(out, name) for name in probe_tables.FILES)
    return paths + probe_figure.draw(table, spectrum, out / "figures")


def _selection(cells: "list[Cell]", ids: str | None, levels: dict[str, list[int]]) -> "list[Cell]":
    """The cells that the options ask for.

    Raises:
        ValueError: an option that none of the cells has a value of.
    """
    from tasks.base import nearest

    if ids is not None:
        for start in ids.split(","):
            if not start or not any(cell.id.startswith(start) for cell in cells):
                raise ValueError(nearest(start, [cell.id for cell in cells], kind="cell"))
        cells = [cell for cell in cells if cell.id.startswith(tuple(ids.split(",")))]
    for option, values in levels.items():
        name = option.strip("-").replace("-", "_").removesuffix("s" if option == "--seeds" else "")
        there = sorted({value for cell in cells if (value := _value(cell, name)) is not None})
        if absent := [value for value in values if value not in there]:
            raise ValueError(
                f"no cell here has {option} {', '.join(map(str, absent))}; there are "
                f"{', '.join(map(str, there)) or 'none with such a setting'}"
            )
        cells = [cell for cell in cells if _value(cell, name) in values]
    return cells


def _value(cell: "Cell", name: str) -> int | None:
    value: int | None = cell.seed if name == "seed" else cell.axes.get(name)
    return value


def _ready_cells(place: "SweepFolder", cells: "list[Cell]") -> "list[Cell]":
    """Those of the cells that can be probed; the others are named on stderr.

    Raises:
        ValueError: there is none.
    """
    import tasks
    from benchmark.cells.words import label
    from benchmark.rows import Status
    from tasks.base import Task

    able = [cell for cell in cells if type(cell.task).memories is not Task.memories]
    if not able:
        names = [name for name in tasks.available() if tasks.load(name).memories is not Task.memories]
        raise ValueError(f"task {cells[0].task.name!r} has nothing to probe; tasks that have: {', '.join(names)}")
    ready = []
    for line in place.unreadable():
        typer.echo(f"left out: {line}", err=True)
    for cell in cells:
        status, lacking = place.of(cell).state.status, not place.of(cell).checkpoint.exists()
        if cell not in able:
            why = f"task {cell.task.name!r} has nothing to probe"
        elif status != Status.OK:
            why = status
        elif lacking:
            why = "its checkpoint is gone"
        else:
            ready.append(cell)
            continue
        typer.echo(f"left out: {cell.id} ({label(cell)}): {why}", err=True)
    if not ready:
        raise ValueError(
            f"{place.path} has no finished cell with a checkpoint; `bench run SUITE --out {place.path}` trains them"
        )
    return ready
