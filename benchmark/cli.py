"""The `bench` command: each command a few lines over a function; heavy imports wait until a command needs them."""

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark import cli_audit, cli_cost, cli_results, cli_tasks
from benchmark.console import FAILED, INTERRUPTED, USER_ERROR, Json, Settings, numbers, print_json, terminal

if TYPE_CHECKING:
    from benchmark.grids import Plan

app = typer.Typer(
    help="Does a language model gain by sleeping? Train, compare and draw, from one command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SuiteName = Annotated[str, typer.Argument(metavar="[SUITE]", help="A suite; `bench list` names them.")]
Scale = Annotated[str, typer.Option(help="tiny (seconds), cpu (at most an hour on 2 cores), gpu, paper.")]
TaskName = Annotated[str | None, typer.Option("--task", metavar="NAME", help="Another task: one of `bench list`.")]
Model = Annotated[
    str | None, typer.Option(metavar="NAME", help="Another model: one of `bench list`, or your package.module:factory.")
]
Out = Annotated[
    Path | None, typer.Option(help="Output folder; default results/runs/SUITE-SCALE, then -MODEL if given.")
]
Passes = Annotated[str | None, typer.Option(metavar="1,2", help="Only these N (passes over a window before eviction).")]
Rollouts = Annotated[str | None, typer.Option(metavar="0,4", help="Only these depths t (Rule 110 steps).")]
Seeds = Annotated[str | None, typer.Option(metavar="0,1,2", help="Only these seeds.")]


@app.command()
def run(
    suite: SuiteName = "quick",
    scale: Scale = "cpu",
    task: TaskName = None,
    model: Model = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    jobs: Annotated[int | None, typer.Option(help="Cells at once; default: cores, or GPUs.")] = None,
    seeds: Seeds = None,
    sleep_passes: Passes = None,
    rollout_steps: Rollouts = None,
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Train and test a suite's cells; run it again to go on where it stopped."""
    from benchmark import executors, figures, progress, rows, sweep

    if device not in ("cpu", "cuda"):
        from tasks.base import nearest

        raise ValueError(nearest(device, ("cpu", "cuda"), kind="device"))
    environments = executors.slots(device, jobs)
    cells = _grid(suite, scale, task, model, seeds, sleep_passes, rollout_steps, settings).cells()
    folder = out or _default_out(suite, scale, task, model)
    console = terminal()
    with sweep.opened(folder, cells):
        board = progress.Board(_title(suite, scale, task, model), cells, console=console)
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
                    context={"suite": suite, "scale": scale},
                    command=shlex.join(["bench", *sys.argv[1:]]),
                    on_event=board.on_event,
                )
        except KeyboardInterrupt:
            console.print(f"Stopped. Everything so far is in {folder}; the same command goes on from there.")
            raise typer.Exit(INTERRUPTED) from None
        if not console.is_terminal:
            console.print(board.grid())
        written = figures.draw(rows.read_table(folder), folder / "figures")
    console.print(f"rows:    {folder / 'rows.parquet'}", soft_wrap=True)
    names = ", ".join(path.stem for path in written if path.suffix == ".png")
    console.print(f"figures: {folder / 'figures'} (PNG and SVG: {names})", soft_wrap=True)
    failed = {cell.id: states[cell.id] for cell in cells if states[cell.id][0] != "ok"}
    for cell in cells:
        if cell.id in failed:
            state, reason = failed[cell.id]
            console.print(
                f"{state}: {progress.label(cell, progress.varying(cells))}: {reason}", style="red", soft_wrap=True
            )
    if failed:
        raise typer.Exit(FAILED)


@app.command("list")
def list_(json_: Json = False) -> None:
    """Name the suites, tasks and models that can be run."""
    import baselines
    import tasks
    from benchmark.suites import SCALES, SUITES

    about = {name: (grid.__doc__ or "").partition("\n")[0] for name, grid in SUITES.items()}
    found = {"suites": about, "scales": list(SCALES), "tasks": tasks.available(), "models": baselines.available()}
    if json_:
        print_json(found)
        return
    from benchmark.progress import table_of

    console = terminal()
    console.print(table_of(["suite", "what it shows"], list(about.items())))
    console.print(f"scales: {', '.join(SCALES)}")
    console.print(f"tasks:  {', '.join(found['tasks'])}")
    console.print(f"models: {', '.join(found['models'])}")


@app.command()
def show(
    suite: SuiteName,
    scale: Scale = "cpu",
    task: TaskName = None,
    model: Model = None,
    seeds: Seeds = None,
    sleep_passes: Passes = None,
    rollout_steps: Rollouts = None,
    settings: Settings = None,
    json_: Json = False,
) -> None:
    """Show a suite's cells: settings, tokens, FLOPs and the time each would take on this machine's CPU."""
    from benchmark.cost import cost
    from benchmark.estimate import seconds
    from benchmark.progress import amount, duration, fact, table_of, varying

    grid = _grid(suite, scale, task, model, seeds, sleep_passes, rollout_steps, settings)
    cells = grid.cells()
    found: list[dict[str, Any]] = [
        {
            "cell_id": cell.id,
            **{name: fact(cell, name) for name in varying(cells)},
            **{name: (cell.axes | {"seed": cell.seed}).get(name) for name in grid.axes},
            "steps": cell.steps,
            "tokens": cell.steps * cell.training.batch * cell.task.seq_len,
            "train_flops": cost(cell).train_flops * cell.steps * cell.training.batch,
            "estimated_s": seconds(cell),
            "parameters": cost(cell).parameters,
        }
        for cell in cells
    ]
    total_s = sum(cell["estimated_s"] for cell in found)
    if json_:
        print_json({"suite": suite, "scale": scale, "estimated_s": total_s, "cells": found})
        return
    human = {"tokens": amount, "train_flops": amount, "parameters": amount, "estimated_s": duration}
    lines = [[human.get(k, str)(v) for k, v in cell.items()] for cell in found]
    console = terminal()
    console.print(table_of(list(found[0]), lines, title=_title(suite, scale, task, model)))
    console.print(
        f"{len(cells)} cells, {amount(sum(c['tokens'] for c in found))} tokens, "
        f"{amount(sum(c['train_flops'] for c in found))} FLOPs; about {duration(total_s)} of one core of this machine"
    )


def _grid(
    suite: str,
    scale: str,
    task: str | None,
    model: str | None,
    seeds: str | None,
    sleep_passes: str | None,
    rollout_steps: str | None,
    settings: Any,
) -> "Plan":
    """The grid that the options describe."""
    import baselines
    import tasks
    from baselines.given import attempt
    from benchmark.config import parse_setting
    from benchmark.suites import suite as named

    plan = named(suite, scale)
    plan = plan.with_task(tasks.load(task)) if task else plan
    kind = baselines.load(model) if model else None
    bases = [replace(base, model=kind()) for base in plan.bases] if kind else plan.bases
    changes = dict(parse_setting(text, *bases) for text in settings or ())
    if kind:
        plan = plan.with_model(kind, changes)
        for base in plan.bases:
            attempt(base.model, vocab_size=base.task.vocab_size, window=base.task.window, seq_len=base.task.seq_len)
    elif changes:
        plan = plan.with_settings(changes)
    return plan.narrowed(
        seed=numbers("--seeds", seeds) if seeds is not None else None,
        sleep_passes=numbers("--sleep-passes", sleep_passes) if sleep_passes is not None else None,
        rollout_steps=numbers("--rollout-steps", rollout_steps) if rollout_steps is not None else None,
    )


def _default_out(suite: str, scale: str, *others: str | None) -> Path:
    """Where rows go: another task or model has a folder of its own."""
    parts = [suite, scale, *(re.sub(r"[^\w.-]+", "-", name) for name in others if name)]
    return Path("results") / "runs" / "-".join(parts)


def _title(suite: str, scale: str, task: str | None, model: str | None) -> str:
    return f"{suite}, scale {scale}" + (f", task {task}" if task else "") + (f", model {model}" if model else "")


# The commands that train nothing are in files of their own.
app.command()(cli_results.status)
app.command("figures")(cli_results.figures_)
app.command()(cli_results.table)
app.command()(cli_tasks.data)
app.command("gallery")(cli_tasks.gallery_)
app.command("hardness")(cli_tasks.hardness_)
app.command("cost")(cli_cost.cost_)
app.command("audit")(cli_audit.audit_)


def main() -> None:
    """Run the command; what the user got wrong ends with one message and exit code 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        typer.echo(f"bench: {error}", err=True)
        sys.exit(USER_ERROR)


if __name__ == "__main__":
    main()
