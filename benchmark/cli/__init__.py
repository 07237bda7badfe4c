"""The `bench` command: each command a few lines over a function; heavy imports wait until a command needs them."""

import contextlib
import shlex
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from benchmark.cli import (
    audit,
    check,
    check_model,
    cost,
    evaluate,
    exits,
    listing,
    probe,
    profile,
    reference,
    report,
    results,
    seeds,
    show,
    speed,
    status,
    tasks,
    upkeep,
    verify,
)
from benchmark.cli.console import (
    FAILED,
    INTERRUPTED,
    USER_ERROR,
    Outlet,
    Settings,
    of_others,
    prepare_process,
    terminal,
)
from benchmark.cli.examples import example
from benchmark.cli.options import (
    Address,
    Axes,
    Backend,
    CellTimeout,
    GpuShare,
    Hops,
    Model,
    Operations,
    Out,
    Passes,
    Rates,
    Rollouts,
    Scale,
    Seeds,
    SuiteName,
    TaskName,
    TrialShare,
    Tune,
    Variants,
    request_of,
)
from benchmark.cli.signals import is_interrupt

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _version(flag: bool) -> None:
    if flag:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"sleepbench {version('sleepbench')}")
        except PackageNotFoundError:
            typer.echo("sleepbench, not installed")
        raise typer.Exit


@app.callback()
def bench(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and stop.")
    ] = False,
) -> None:
    """Does a language model gain by sleeping? Train, compare and draw, from one command.

    Exit codes: 0 all is well; 1 cells failed, or what was compared differs; 2 wrong input, or a folder that is in use
    or damaged; 130 stopped by Ctrl-C, 143 by SIGTERM.
    """


def run(
    suite: SuiteName = "quick",
    scale: Scale = "cpu",
    task: TaskName = None,
    model: Model = None,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu or cuda.")] = "cpu",
    jobs: Annotated[int | None, typer.Option(metavar="COUNT", help="Cells at once; default: cores, or GPUs.")] = None,
    executor: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="local: a process per cell; serial: one after the other in this process; ray: on a cluster.",
        ),
    ] = "local",
    cell_timeout: CellTimeout = None,
    address: Address = None,
    gpu_share: GpuShare = None,
    backend: Backend = "torch",
    checkpointing: Annotated[
        str,
        typer.Option(metavar="WHEN", help="Compute activations again to save memory: auto (on a GPU), never, always."),
    ] = "auto",
    track: Annotated[
        str | None, typer.Option(metavar="NAME", help="Send live curves to trackio or wandb, which must be installed.")
    ] = None,
    seeds: Seeds = None,
    sleep_passes: Passes = None,
    rollout_steps: Rollouts = None,
    hops: Hops = None,
    operations: Operations = None,
    axes: Axes = None,
    variants: Variants = None,
    settings: Settings = None,
    tune: Tune = False,
    trial_share: TrialShare = 0.25,
    rates: Rates = None,
    out: Out = None,
    audit_first: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Refuse a --model from outside that reads what it must not.")
    ] = True,
) -> None:
    """Train and test a suite's cells; run it again to go on where it stopped."""
    from benchmark import figures, rows
    from benchmark.cli import live
    from benchmark.measure.audit.admission import audit_status
    from benchmark.run import executors
    from benchmark.run.tracking import Tracker

    tracker = Tracker(track) if track is not None else None
    trains = executors.executor(
        executor,
        device=device,
        jobs=jobs,
        backend=backend,
        cell_timeout=cell_timeout,
        checkpointing=checkpointing,
        address=address,
        gpu_share=gpu_share,
    )
    request = request_of(
        *(suite, scale, task, model, seeds, sleep_passes, rollout_steps, hops, operations, axes, variants, settings),
        *(tune, trial_share, rates),
    )
    cells = request.cells()
    context = {"suite": suite, "scale": scale, "audit": audit_status(request.plan(), model, ask=audit_first)}
    folder = out or request.folder
    states = live.run(
        request.title,
        cells,
        folder,
        executor=trains,
        context=context,
        command=shlex.join(["bench", *sys.argv[1:]]),
        tracker=tracker,
    )
    paths, _ = figures.redraw(table := rows.read_table(folder), folder / "figures")
    console = terminal()
    if tune:
        console.print(request.tuning.choices(request.plan().cells(), table).terminal())
    console.print(f"rows:    {folder / 'rows.parquet'}", soft_wrap=True)
    names = ", ".join(path.stem for path in paths if path.suffix == ".png")
    console.print(f"figures: {folder / 'figures'} (PNG and SVG: {names})", soft_wrap=True)
    if failures := live.failures(cells, states):
        console.print("\n".join(failures), style="red", soft_wrap=True)
        raise typer.Exit(FAILED)


COMMANDS: dict[str, Callable[..., None]] = {
    "run": run,
    "list": listing.list_,
    "show": show.show_,
    # The commands that train nothing are in files of their own.
    "status": status.status_,
    "retry": upkeep.retry,
    "clean": upkeep.clean,
    "figures": results.figures_,
    "table": results.table,
    "data": tasks.data,
    "gallery": tasks.gallery_,
    "hardness": tasks.hardness_,
    "cost": cost.cost_,
    "audit": audit.audit_,
    "check-model": check_model.check_model,
    "evaluate": evaluate.evaluate_,
    "probe": probe.probe_,
    "reference": reference.reference_,
    "speed": speed.speed_,
    "profile": profile.profile_,
    "verify": verify.verify_,
    "check": check.check_,
    "seeds": seeds.seeds_,
    "exits": exits.exits_,
    "report": report.report_,
}
"""Every command by its name, in the order in which help lists them."""

for name, command in COMMANDS.items():
    app.command(name, epilog=example(name))(command)


def main() -> None:
    """Run the command; what the user got wrong ends with one message and exit code 2."""
    prepare_process()
    if sys.flags.optimize > 1:
        typer.echo("bench: python -OO drops the texts of --help; -O keeps them", err=True)
    with contextlib.redirect_stdout(Outlet(sys.stdout)):
        try:
            app()
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except Exception as error:
            if is_interrupt(error):
                sys.exit(INTERRUPTED)
            no_room = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
            text = f"{'not enough memory: ' if no_room else ''}{error}"
            if not (no_room or isinstance(error, ValueError | OSError)) and not (text := of_others(error)):
                raise
            typer.echo(f"bench: {text}", err=True)
            sys.exit(USER_ERROR)
        finally:
            sys.stdout.flush()
