"""The suite from Python: run a suite, read rows, draw a figure, ask for verdicts, compare curves.

    from benchmark import check, draw, read, suite, verify

    rows = suite("quick", "tiny", seeds=[0]).run("results/runs/mine")
    draw(rows, "accuracy_by_passes")

These are the functions that the commands stand on. Rows are polars frames (`frame.to_pandas()` if you like), figures
matplotlib's, verdicts dataclasses. It works in scripts and in notebooks, where a model may be a class of the notebook
itself; raise its `version` when you change what it computes, or rows of before count as its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
from matplotlib.figure import Figure

from baselines.base import ModelConfig
from benchmark import figures, rows
from benchmark.cells.cell import Cell
from benchmark.cells.request import Request
from benchmark.cli import live
from benchmark.cli.console import terminal
from benchmark.judge import claims, curves
from benchmark.judge.claims import Judgement
from benchmark.judge.curves import Comparison
from benchmark.measure.audit.admission import audit_status
from benchmark.rows import outcomes
from benchmark.run.board import Board
from benchmark.run.executors import executor as executor_named
from benchmark.run.tracking import Tracker
from tasks.base import Task, nearest

Source: TypeAlias = pl.DataFrame | Path | str
"""Rows as a frame, or where they are: a folder that a run wrote, a folder of such folders, or a rows.parquet."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite to be run."""

    request: Request
    cells: tuple[Cell, ...]
    """Every training run it takes."""

    @property
    def folder(self) -> Path:
        """Where its rows go unless told otherwise."""
        return self.request.folder

    def run(
        self,
        out: Path | str | None = None,
        *,
        executor: str | None = None,
        device: str = "cpu",
        backend: str = "torch",
        checkpointing: str = "auto",
        jobs: int | None = None,
        cell_timeout: float | None = None,
        address: str | None = None,
        gpu_share: float | None = None,
        track: str | None = None,
        audit: bool = True,
        progress: bool = True,
    ) -> pl.DataFrame:
        """Train and test what is not done yet; all rows of the folder.

        Interrupted, it saves and raises KeyboardInterrupt; called again it goes on from there. A cell that fails is a
        row with a status and a reason, and does not stop the others.

        Args:
            out: The folder; by default that of the command.
            executor: "local": a process per cell; "serial": one cell after the other in this process; "ray": on a
                cluster. By default local, but serial for a model that only this process has.
            device: "cpu" or "cuda".
            backend: "torch", "native" (blocks in C) or "auto".
            checkpointing: Whether activations are computed again to save memory: "auto" (where a GPU would not hold
                them), "never" or "always". It changes no number.
            jobs: Cells at once; by default as many as there are cores, or GPUs.
            cell_timeout: Seconds after which a cell counts as hanging; by default it depends on its steps.
            address: Of executor "ray": "HOST:PORT" of a cluster that this machine is in; by default this machine alone.
            gpu_share: Of executor "ray": the part of a GPU for each cell; by default what its memory needs.
            track: "trackio" or "wandb": send live curves there, from a thread that nothing waits for.
            audit: Refuse a model from outside that reads what it must not.
            progress: Tell on stderr how it goes, in a table that is drawn over on a terminal, in lines elsewhere.

        Raises:
            ValueError: wrong input, a model that is refused, or a folder that is in use or damaged.
        """
        request, folder = self.request, Path(out) if out is not None else self.folder
        here = any((name or "").startswith("__main__:") for name in (request.model, request.task))
        if here and executor not in (None, "serial"):
            raise ValueError(
                f"{request.model or request.task} is of this process alone: executor {executor!r} cannot load it "
                "elsewhere; leave executor out, or put the class into a module"
            )
        tracker = Tracker(track) if track is not None else None
        trains = executor_named(
            executor or ("serial" if here else "local"),
            device=device,
            jobs=jobs,
            backend=backend,
            checkpointing=checkpointing,
            cell_timeout=cell_timeout,
            address=address,
            gpu_share=gpu_share,
        )
        answer = audit_status(request.plan(), request.model, ask=audit)
        context = {"suite": request.suite, "scale": request.scale, "audit": answer}
        console = terminal(stderr=True)
        console.quiet = not progress
        board = Board(request.title, self.cells, console=console)
        states = live.train(board, folder, executor=trains, context=context, command=request.command, tracker=tracker)
        for line in live.failures(self.cells, states):
            console.print(line, soft_wrap=True)
        return rows.read_table(folder)


def suite(
    name: str = "quick",
    scale: str = "cpu",
    *,
    task: str | type[Task] | None = None,
    model: str | type[ModelConfig] | None = None,
    seeds: Sequence[int] | None = None,
    sleep_passes: Sequence[int] | None = None,
    rollout_steps: Sequence[int] | None = None,
    hops: Sequence[int] | None = None,
    operations: Sequence[int] | None = None,
    axes: Mapping[str, Sequence[Any]] | None = None,
    variants: Sequence[str] | None = None,
    tune: bool = False,
    trial_share: float = 0.25,
    rates: str | Path | None = None,
    **settings: Any,
) -> Suite:
    """A suite at a scale, as `bench run` takes it.

    Args:
        name: One of `bench list`.
        scale: "tiny", "cpu", "gpu" or "paper".
        task: Another task: its name, or a class.
        model: Another model: its name, "package.module:attribute", or a class, of a notebook too.
        seeds: Only these seeds.
        sleep_passes: Only these N.
        rollout_steps: Only these t of Rule 110.
        hops: Tested at these k alone, of tasks that count hops.
        operations: The same of operations.
        axes: Settings to run through, each with its values.
        variants: Of suites of rivals, only these.
        tune: In the place of these cells, trials of learning rates for each of their arms.
        trial_share: Part of the token budget that each of those gets.
        rates: Train at the rates that trials in this folder chose.
        settings: Other values of settings, such as `tokens=200_000`.

    Raises:
        ValueError: an unknown name, or a value that is refused.
    """
    request = Request(
        suite=name,
        scale=scale,
        task=_address(task),
        model=_address(model),
        seeds=seeds,
        sleep_passes=sleep_passes,
        rollout_steps=rollout_steps,
        hops=hops,
        operations=operations,
        axes=[f"{axis}={_text(tuple(values))}" for axis, values in (axes or {}).items()],
        variants=variants,
        tune=tune,
        trial_share=trial_share,
        rates=Path(rates) if rates is not None else None,
        settings=[f"{setting}={_text(value)}" for setting, value in settings.items()],
    )
    return Suite(request=request, cells=tuple(request.cells()))


def read(source: Source | Sequence[Source]) -> pl.DataFrame:
    """Rows of one or several sources, as one frame.

    Raises:
        ValueError: there are none, or they are damaged.
    """
    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, Path | str):
        return rows.read_tables([Path(source)])
    return rows.concatenate([read(each) for each in source])


def draw(source: Source, figure: str = "accuracy_by_passes") -> Figure:
    """One figure of rows, the first that they allow of that name; a notebook shows it.

    Raises:
        ValueError: no figure of that name, or one that these rows do not allow.
    """
    if figure not in figures.FIGURES:
        raise ValueError(nearest(figure, figures.FIGURES, kind="figure"))
    frame = read(source)
    if (drawing := figures.first_figure(frame, figure)) is None:
        allowed = dict.fromkeys(each.entry.name for each in figures.drawings(frame))
        raise ValueError(f"these rows do not allow {figure}; they allow {', '.join(allowed) or 'none'}")
    return drawing


def verify(source: Source, claim: str | None = None) -> list[Judgement]:
    """The paper's claims judged by rows, or one of them by its id.

    Rows of a folder count what held-out examples add by the outcomes that lie beside them, a frame as assumed.

    Raises:
        ValueError: no claim of that id, or no rows.
    """
    examples = {} if isinstance(source, pl.DataFrame) else outcomes.read_all([Path(source)])
    judged = claims.judge(read(source), examples)
    if claim is None:
        return judged
    if judgements := [each for each in judged if each.id == claim]:
        return judgements
    raise ValueError(nearest(claim, [each.id for each in judged], kind="claim"))


def check(source: Source, against: Source, *, tolerance: float = curves.TOLERANCE) -> list[Comparison]:
    """Learning curves compared with those of a reference, as `bench check` compares them.

    Raises:
        ValueError: no rows, or rows without curves to compare.
    """
    return curves.compare(read(source), read(against), tolerance=tolerance)


def _address(kind: str | type[Any] | None) -> str | None:
    """Where a class is found again."""
    return kind if kind is None or isinstance(kind, str) else f"{kind.__module__}:{kind.__qualname__}"


def _text(value: Any) -> str:
    """A setting as a command line has it."""
    if isinstance(value, tuple | list):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
