"""What a sweep costs beside its training: many cells of a model that does nothing, from the plan to the tables.

`python tests/scale.py 1000 10000` prints a line of Markdown per count, each measured in a process of its own: the sweep
as `bench run --executor serial` makes it, figures aside, the same again with nothing left to do, `bench status` and
`bench table`, each by the clock and, in brackets, in seconds of processors; and the most memory. Folders are made where
TMPDIR says. With `--out FOLDER` the numbers and a picture of the cost of a cell against their count are written too.
"""

import argparse
import io
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import matplotlib.pyplot as plt
import torch
from rich.console import Console
from torch import Tensor, nn

from baselines.base import Model, ModelConfig, State
from benchmark.cells.cell import Cell, Training
from benchmark.cli import live
from benchmark.run.board import Board
from benchmark.run.executors.serial import Serial
from tasks.rule110 import Rule110


@dataclass(frozen=True, kw_only=True)
class Idle(ModelConfig):
    """Always the same logits."""

    name: ClassVar[str] = "idle"
    version: ClassVar[int] = 1

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """A model of one parameter per token."""
        return Constant(vocab_size)


class Constant(Model):
    """Logits that depend on nothing."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(vocab_size))

    def start(self, batch: int) -> State:
        """Nothing."""
        return State()

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Nothing."""
        return state

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """The same everywhere."""
        return self.logits.expand(*tokens.shape, -1), state


def cells(count: int) -> list[Cell]:
    """So many cells of one step, of four N and as many seeds as that takes."""
    task, model = Rule110(cells=4, strings=1, rollout_steps=1), Idle()
    trainings = [Training(tokens=40, batch=8, evaluations=1, test_examples=8, sleep_passes=n) for n in (1, 2, 3, 4)]
    return [Cell(task=task, model=model, training=trainings[i % 4], seed=i // 4) for i in range(count)]


def sweep(count: int, folder: Path) -> None:
    """Plan, schedule, train, record and gather so many cells, as a command does."""
    board = Board("scale", cells(count), console=Console(file=io.StringIO()))
    live.train(board, folder, executor=Serial(), context={"suite": "scale", "scale": "dry"}, command="scale")


COLUMNS = ("cells", "sweep, s", "ms a cell", "again, s", "status, s", "table, s", "memory, MiB")
PARTS = ("the sweep", "the same again", "bench status", "bench table")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What so many cells took.

    Attributes:
        cells: How many.
        wall: Seconds of the clock of each of `PARTS`.
        cpu: Seconds of processors of each.
        memory: The most memory of one process, MiB.
    """

    cells: int
    wall: list[float]
    cpu: list[float]
    memory: float

    @property
    def line(self) -> str:
        """The values of `COLUMNS`."""
        first, *others = (f"{wall:.1f} ({cpu:.1f})" for wall, cpu in zip(self.wall, self.cpu, strict=True))
        each = f"{1e3 * self.wall[0] / self.cells:.1f} ({1e3 * self.cpu[0] / self.cells:.1f})"
        return f"| {' | '.join([str(self.cells), first, each, *others, f'{self.memory:.0f}'])} |"


def spent() -> tuple[float, float]:
    """Seconds of the clock, and of processors for this process and those that it waited for."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return time.perf_counter(), own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def measure(count: int, folder: Path) -> Measured:
    """A sweep, the same again with nothing left to do, its status and its table."""
    times = [spent()]
    for _ in range(2):
        sweep(count, folder)
        times.append(spent())
    for command in ("status", "table"):
        command_line = [sys.executable, "-m", "benchmark.cli", command, str(folder)]
        subprocess.run(command_line, check=True, stdout=subprocess.DEVNULL)
        times.append(spent())
    wall, cpu = ([after[i] - before[i] for before, after in itertools.pairwise(times)] for i in (0, 1))
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Measured(cells=count, wall=wall, cpu=cpu, memory=peak / 1024)


def draw(measured: list[Measured], file: Path) -> None:
    """The cost of a cell in each part against the number of cells: flat, where nothing is read or planned twice."""
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for part, name in enumerate(PARTS):
        line = [(one.cells, 1e3 * one.cpu[part] / one.cells) for one in measured]
        axes.plot(*zip(*line, strict=True), marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="cells of a sweep", ylabel="CPU milliseconds a cell")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,g}")
    figure.legend(loc="outside right center", frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(file, dpi=150)


def main() -> None:
    """Measure each count in a process of its own."""
    options = argparse.ArgumentParser(description="What a sweep costs beside its training.")
    options.add_argument("counts", nargs="*", type=int, default=[10_000], help="numbers of cells")
    options.add_argument("--out", type=Path, help="folder that gets scale.json and scale.png")
    options.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(measure(given.counts[0], Path(folder)))))
        return
    print(f"| {' | '.join(COLUMNS)} |\n|{'---:|' * len(COLUMNS)}", flush=True)
    measured = []
    for count in given.counts:
        command = [sys.executable, __file__, "--one", str(count)]
        measured.append(Measured(**json.loads(subprocess.run(command, check=True, capture_output=True).stdout)))
        print(measured[-1].line, flush=True)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "scale.json").write_text(json.dumps([asdict(one) for one in measured], indent=1) + "\n")
        draw(measured, given.out / "scale.png")


if __name__ == "__main__":
    main()
