"""What a sweep costs beside its training: many cells of a model that does nothing, from the plan to the tables.

`python tests/scale.py 1000 10000` prints a line of Markdown per count, each measured in a process of its own: the sweep
as `bench run --executor serial` makes it, figures aside, the same again with nothing left to do, `bench status` and
`bench table`, each by the clock and, in brackets, in seconds of processors; and the most memory. Folders are made where
TMPDIR says.
"""

import io
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

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


def spent() -> tuple[float, float]:
    """Seconds of the clock, and of processors for this process and those that it waited for."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return time.perf_counter(), own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def measure(count: int, folder: Path) -> list[str]:
    """A line of the table: a sweep, the same again with nothing left to do, its status and its table."""
    times = [spent()]
    for _ in range(2):
        sweep(count, folder)
        times.append(spent())
    for command in ("status", "table"):
        command_line = [sys.executable, "-m", "benchmark.cli", command, str(folder)]
        subprocess.run(command_line, check=True, stdout=subprocess.DEVNULL)
        times.append(spent())
    both = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(times)]
    first, *others = (f"{wall:.1f} ({cpu:.1f})" for wall, cpu in both)
    each = f"{1e3 * both[0][0] / count:.1f} ({1e3 * both[0][1] / count:.1f})"
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return [str(count), first, each, *others, f"{peak / 1024:.0f}"]


def main() -> None:
    """Measure each count in a process of its own."""
    if sys.argv[1:2] == ["--one"]:
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {' | '.join(measure(int(sys.argv[2]), Path(folder)))} |", flush=True)
        return
    print(f"| {' | '.join(COLUMNS)} |\n|{'---:|' * len(COLUMNS)}", flush=True)
    for count in map(int, sys.argv[1:] or [10_000]):
        subprocess.run([sys.executable, __file__, "--one", str(count)], check=True)


if __name__ == "__main__":
    main()
