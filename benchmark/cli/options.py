"""The options by which `bench run` and `bench show` say which cells are meant."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.console import numbers

if TYPE_CHECKING:
    from benchmark.cells.request import Request

SuiteName = Annotated[str, typer.Argument(metavar="[SUITE]", help="A suite; `bench list` names them.")]
Scale = Annotated[
    str, typer.Option(metavar="SCALE", help="tiny (seconds), cpu (at most 1 to 2 hours on 2 cores), gpu, paper.")
]
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="Another task: one of `bench list`, or your package.module:Class; of a suite with several, one alone.",
    ),
]
Model = Annotated[
    str | None, typer.Option(metavar="NAME", help="Another model: one of `bench list`, or your package.module:factory.")
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Output folder; default results/runs/SUITE-SCALE, then -MODEL if given."),
]
Passes = Annotated[str | None, typer.Option(metavar="1,2", help="Only these N (passes over a window before eviction).")]
Rollouts = Annotated[str | None, typer.Option(metavar="0,4", help="Only these depths t (Rule 110 steps).")]
Hops = Annotated[str | None, typer.Option(metavar="1,2,4", help="Test at these k alone (Depo).")]
Operations = Annotated[str | None, typer.Option(metavar="2-8", help="Test at these operations alone (GSM-Infinite).")]
Axes = Annotated[
    list[str] | None,
    typer.Option(
        "--axis",
        metavar="NAME=VALUES",
        help="Run through values of a setting, as pairs=4,8; may be given several times.",
    ),
]
Seeds = Annotated[str | None, typer.Option(metavar="0-4", help="Only these seeds.")]
Variants = Annotated[
    str | None, typer.Option(metavar="NAME,NAME", help="Of suites of rivals, these: sleep, plain, deeper, wider ...")
]
Tune = Annotated[
    bool,
    typer.Option("--tune", help="In the place of these cells, trials of learning rates for each of their arms."),
]
TrialShare = Annotated[
    float, typer.Option(metavar="PART", help="Of --tune: the part of the token budget that each trial gets, up to 1.")
]
Rates = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Train at the rates that trials in this folder chose.")
]
Backend = Annotated[
    str, typer.Option(metavar="NAME", help="torch; native: blocks in C, faster on a CPU; auto: native if it can.")
]
CellTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="A cell that takes longer ends as timed_out; default: one without a step for 10 minutes, or 20 times what "
        "its steps should take.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Of --executor ray: the head of a cluster that this machine is in; default: here alone.",
    ),
]
GpuShare = Annotated[
    float | None,
    typer.Option(
        metavar="PART", help="Of --executor ray: the part of a GPU for each cell; default: what its memory needs."
    ),
]


def request_of(
    suite: str,
    scale: str,
    task: str | None,
    model: str | None,
    seeds: str | None,
    sleep_passes: str | None,
    rollout_steps: str | None,
    hops: str | None,
    operations: str | None,
    axes: list[str] | None,
    variants: str | None,
    settings: list[str] | None,
    tune: bool = False,
    trial_share: float = 0.25,
    rates: Path | None = None,
) -> "Request":
    """What the options ask for."""
    from benchmark.cells.request import Request

    lists = {
        "seeds": seeds,
        "sleep_passes": sleep_passes,
        "rollout_steps": rollout_steps,
        "hops": hops,
        "operations": operations,
    }
    values = {name: numbers(f"--{name.replace('_', '-')}", text) for name, text in lists.items() if text is not None}
    return Request(
        suite=suite,
        scale=scale,
        task=task,
        model=model,
        **values,
        axes=axes or (),
        variants=[name.strip() for name in variants.split(",")] if variants is not None else None,
        settings=settings or (),
        tune=tune,
        trial_share=trial_share,
        rates=rates,
    )
