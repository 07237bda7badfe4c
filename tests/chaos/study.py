"""The sweep that is disturbed, the tables that it has to come to, and what else must be so at its end."""

import contextlib
import gc
import hashlib
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from random import Random

import typer
from harness import bench, small

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cli import live
from benchmark.rows import outcomes
from benchmark.run.executors import executor
from chaos import forks
from chaos.forks import Descent, Done

CONTEXT = {"suite": "chaos", "scale": "tiny"}

PLAIN = {"lock", "rows.parquet", "outcomes.parquet", "environment.json"}
OF_A_CELL = {"cell.json", "rows.jsonl", "outcomes.jsonl", "checkpoint.safetensors", "finished.json", "log.txt", "lock"}
OF_A_CELL |= {"code.json"}
NAMED = re.compile(r"\.(damaged|other-code)-\d+$")
"""What a sweep renames, and says so."""

ALONE_S = 30.0
"""How long what a killed sweep has left may go on: until a checkpoint is written."""

AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")

LIMIT_S = 120.0
"""The longest that a sweep in peace may take."""


def cells(count: int, **settings: object) -> list[Cell]:
    """Small cells of as many seeds."""
    return [small(seed=seed, **settings) for seed in range(count)]


BRIEF = {"tokens": 160, "evaluations": 2, "test_examples": 8}
"""4 steps, tested after 2 and 4: a few hundredths of a second."""
LONGER = {"tokens": 8000, "evaluations": 10, "test_examples": 8}
"""200 steps and 10 checkpoints: about as long as a worker takes to start."""


def drive(planned: Sequence[Cell], out: Path, how: str = "serial", jobs: int | None = None) -> None:
    """Train cells in a folder as `bench run` does, with its exit codes; figures are not drawn."""
    try:
        trains = executor(how, jobs=jobs)
        states = live.run("chaos", planned, out, executor=trains, context=CONTEXT, command="chaos")
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    if failed := live.failures(planned, states):
        print("\n".join(failed))
        sys.exit(1)


def tables(out: Path) -> None:
    """Print the digests of a folder's tables, times and the state of the code aside; for a fork, as it computes."""
    table = rows.read_table(out).drop(rows.WALL_COLUMNS, rows.IDENTITY)
    for frame in (table, outcomes.read_table(out / outcomes.FILE)):
        data = frame.write_ipc(None).getvalue()
        print(frame.height, hashlib.sha256(data).hexdigest())


def litter(out: Path) -> list[str]:
    """Files that nobody would expect."""
    strange = []
    for place, names in [(out, PLAIN), *((path, OF_A_CELL) for path in out.glob("cells/*"))]:
        strange += [
            str(path.relative_to(out))
            for path in place.iterdir()
            if not path.is_dir() and path.name not in names and not NAMED.search(path.name)
        ]
    return sorted(strange)


def expect(condition: object, what: str, *details: object) -> None:
    """Raise a FaultError that says so unless something holds."""
    if not condition:
        raise FaultError("\n".join([what, *map(str, details)]))


class FaultError(AssertionError):
    """Something that must not be."""


def quiet_environment() -> None:
    """As a worker has it; before torch computes."""
    import torch

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    torch.set_num_threads(1)


@dataclass
class Study:
    """One campaign: where it works, what is random in it, the sweep that it disturbs, and what it has done.

    Attributes:
        place: An empty folder.
        random: Draws whatever is random.
        planned: The cells.
        counts: What was done, and how often.
        clean: Runs in peace that were made afterwards, and looked at.
    """

    place: Path
    random: Random
    planned: list[Cell]
    counts: Counter[str] = field(default_factory=Counter)
    clean: int = 0
    descent: Descent = field(default_factory=Descent)
    _number: int = 0

    def folder(self) -> Path:
        """A new name of a folder that is not there."""
        self._number += 1
        return self.place / f"out-{self._number}"

    def trained(self) -> Path:
        """A folder of the sweep that nobody has disturbed."""
        out = self.place / "reference"
        if not out.exists():
            done = forks.call(drive, self.planned, out, limit_s=LIMIT_S)
            expect(done.code == 0, "an undisturbed sweep fails", done)
        return out

    @cached_property
    def reference(self) -> str:
        """The digests of its tables."""
        return forks.call(tables, self.trained()).said

    def ended(self, done: Done, codes: Container[int], what: object, *, how: str = "serial") -> None:
        """Check how a driver ended. With `serial` it is a worker too, whose tracebacks are for the log."""
        expect(done.code in codes, f"after {what}: exit code {done.code}", done.said)
        for word in ("panicked", "Fatal Python error", *(["Traceback"] if how != "serial" else [])):
            expect(word not in done.said, f"after {what}: {word}", done.said)

    def whole(self, out: Path, what: object, *, how: str = "serial", damaged: bool = False) -> None:
        """Run the sweep once in peace, and look whether all is as if nothing had ever happened.

        Args:
            out: The folder.
            what: What was done to it.
            how: The executor.
            damaged: Whether a first run may say what it has set aside, and end.
        """
        self.alone(what)
        done = forks.call(drive, self.planned, out, how, limit_s=LIMIT_S)
        if damaged and done.code == 2:
            expect(" set aside as " in done.said or "it is gone" in done.said, f"after {what}: no word", done)
            done = forks.call(drive, self.planned, out, how, limit_s=LIMIT_S)
        self.ended(done, {0}, f"{what}, in the clean run")
        told = forks.call(tables, out)
        expect(told.said == self.reference, f"after {what}: other tables", out, told, self.reference, done.said)
        expect(not (strange := litter(out)), f"after {what}: litter", out, strange)
        self.alone(what)
        self.clean += 1

    def alone(self, what: object) -> None:
        """Wait until no process is left of a sweep; Ray's agents tell a Ray that was killed so for a minute."""
        deadline = time.monotonic() + ALONE_S
        while left := [said for said in self.descent.look().values() if said not in AGENTS]:
            expect(time.monotonic() < deadline, f"after {what}: processes are left", left)
            time.sleep(0.01)


def preload(*commands: str) -> None:
    """Import whatever a sweep, or a command, needs in a fork: to import starts no threads, which no fork would have.

    Args:
        commands: Lines of arguments of `bench`; `OUT` stands for the folder of a sweep.
    """
    quiet_environment()
    with tempfile.TemporaryDirectory() as folder:
        done = forks.call(_print_modules, Path(folder), commands)
    expect(done.code == 0, "a sweep in a fork fails", done)
    for name in done.said.rpartition("modules: ")[2].split():
        with contextlib.suppress(ImportError, Warning):  # made up by another module, or old
            import_module(name)
    gc.freeze()  # else every fork copies what the collector touches


def _print_modules(out: Path, commands: Sequence[str]) -> None:
    before = set(sys.modules)
    drive(cells(1, **BRIEF), out)
    tables(out)
    for command in commands:
        bench(*(word.replace("OUT", str(out)) for word in command.split()))
    print("modules:", *(name for name in sys.modules if name not in before and not name.startswith("_")))
