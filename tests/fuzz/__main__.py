"""`python -m fuzz`: as many cases as asked, and a line of counts that pages can quote."""

import argparse
import contextlib
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import NamedTuple

from chaos import forks, study
from harness import ROOT, bench

from benchmark import cli, environment
from benchmark.run import worker
from benchmark.run.executors import EXECUTORS, Event, Executor, Job
from fuzz import cases

AT_ONCE = 20
"""Cases of one process. Where one of them is not as it should be, each is run again in a process of its own."""

ANSWER_S, HEAR_S = 20.0, 20.0
"""Seconds of processor time after which a command that works gets Ctrl-C; seconds until it hears that."""

MOST_SAID = 30_000
"""Characters that a message may have."""

USUAL = ("status OUT", "table OUT", "verify OUT", "seeds OUT", "check OUT --against OUT", "show quick --scale tiny")
USUAL += ("list", "run quick --seeds x", "figures OUT --out OUT/figures")
"""Commands whose imports are made once for all cases."""

OWN = re.compile(
    r"^bench: .*(?:importing|building it|running it).* raised\nTraceback \(most recent call last\):\n", re.M
)
"""Where in a module of the user's own it raised is told."""


class Result(NamedTuple):
    """How a case ended."""

    kind: str
    code: int
    said: str
    changed: bool
    """Whether the folder is another than before."""

    @property
    def complaint(self) -> str | None:
        """What is wrong with that, if anything is."""
        shown = OWN.sub("", self.said)
        if self.code not in (0, 1, 2, 130):
            return f"exit code {self.code}"
        if "Traceback (most recent" in shown or "panicked at" in shown:
            return "a traceback"
        if self.code == 2 and len(self.said) > MOST_SAID:
            return f"a message of {len(self.said)} characters"
        if self.code == 2 and not self.said.strip():
            return "no word"
        if self.code == 2 and self.changed:
            return "refused, and yet the folder has changed"
        return None


class Nothing(Executor):
    """Takes every job and trains none: that it was asked to is what counts."""

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`."""
        sys.exit(0)
        yield


def main() -> None:
    """Run the cases; print each that is not as it should be, and end with 1 if there is one."""
    options = argparse.ArgumentParser(prog="fuzz", description="Wrong, odd and damaged input for every command.")
    options.add_argument("--count", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", metavar="NUMBER", type=int, help="this case alone, with what it says")
    options.add_argument("--real", type=float, default=0.01, help="the part that runs as a process of its own")
    options.add_argument("--fast", action="store_true", help="none of the commands that work for seconds")
    given = options.parse_args()
    cases.NOT_HERE |= cases.SLOW if given.fast else set()
    if given.fast:
        study.quiet_environment()  # one process takes all
    else:
        study.preload(*USUAL)
    cli.app = cases.APP  # made once
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    run = Cases(_template(place), place / "cases", given.seed, given.real)
    counts, wrong, begun = Counter[str](), 0, time.monotonic()
    numbers = [given.only] if given.only is not None else list(range(given.count))
    at_once = given.count if given.fast else AT_ONCE
    for first in range(0, len(numbers), at_once):
        for number, result in run.results(numbers[first : first + at_once]):
            counts.update([result.kind, f"exit code {result.code}"])
            wrong += result.complaint is not None
            if result.complaint or given.only is not None:
                print(f"case {number}, {result.kind}: {result.complaint}\n{result.said[-3000:]}\n", flush=True)
    shutil.rmtree(place)
    listed = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(f"{time.monotonic() - begun:.0f} s: {listed}")
    total = sum(counts[kind] for kind in cases.KINDS)
    print(f"fuzz: {total} cases, {wrong or 'none'} with a traceback, a hang, another exit code or a changed folder")
    sys.exit(bool(wrong))


def _template(place: Path) -> Path:
    """The folder in which each case begins: a sweep, one of its cells half done, and things that are no sweep."""
    template = place / "template"
    template.mkdir()
    done = forks.call(study.drive, study.cells(2, **study.BRIEF), template / "out")
    study.expect(done.code == 0, "the sweep fails", done)
    shutil.copytree(template / "out", template / "other")
    next(template.glob("out/cells/*/finished.json")).unlink()
    (template / "folder").mkdir()
    (template / "plain.txt").write_text("text\n")
    (template / "loop").symlink_to("loop")
    return template


class Cases:
    """The cases of a seed.

    Args:
        template: What each finds in its folder.
        place: Where the folders are made.
        seed: The seed.
        real: The part of the cases whose command is a process.
    """

    def __init__(self, template: Path, place: Path, seed: int, real: float) -> None:
        self.template, self.place, self.seed, self.real = template, place, seed, real

    def results(self, numbers: Sequence[int]) -> Iterable[tuple[int, Result]]:
        """How some cases end."""
        fork = forks.begin(self._run, numbers)
        _limited(fork)
        done = fork.wait(1.0)
        shutil.rmtree(self.place)
        found = [Result(**json.loads(line)) for line in done.said.splitlines() if line.startswith('{"kind": ')]
        well = done.code == 0 and len(found) == len(numbers) and not any(each.complaint for each in found)
        if well or (len(numbers) == 1 and found):
            return zip(numbers, found, strict=True)
        if len(numbers) > 1:
            return [each for number in numbers for each in self.results([number])]
        # The process has died, been killed as it heard no Ctrl-C, or heard it where nobody expects one.
        return [(numbers[0], Result(done.said.partition("\n")[0], done.code, done.said, changed=False))]

    def _run(self, numbers: Sequence[int]) -> None:
        """Run cases one after the other, as a fork does; print the results."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000_000, 50_000_000))
        resource.setrlimit(resource.RLIMIT_DATA, (4 * 2**30, 4 * 2**30))
        worker.traceback = SimpleNamespace(format_exc=str, print_exc=str)  # type: ignore[attr-defined] # for a cell's log
        path = sys.path[:]
        for number in numbers:
            random = Random(f"{self.seed} {number}")
            kind = random.choices(list(cases.KINDS), [often for _, often in cases.KINDS.values()])[0]
            print(kind, flush=True)
            place = self.place / str(number) / "in" / "it"
            shutil.copytree(self.template, place, symlinks=True)
            os.mkfifo(place / "pipe")
            if os.geteuid() == 0:
                os.mknod(place / "null", 0o666 | 0o020000, os.makedev(1, 3))
            os.chdir(place)
            sys.path[:] = [str(place), *path]
            sys.modules.pop("odd", None)
            environment.REFERENCE = place / "out"
            given = cases.KINDS[kind][0](random)
            print(given, flush=True)
            before = _contents(place)
            code, said = _ended(given, as_process=random.random() < self.real)
            result = Result(kind, code, f"{given}\n{said}", changed=given[0] != "resume" and _contents(place) != before)
            print("\n" + json.dumps(result._asdict()), flush=True)


def _ended(given: Sequence[str], *, as_process: bool) -> tuple[int, str]:
    """Run a command: its exit code and what it says."""
    EXECUTORS.update({"local": f"{__name__}:Nothing", "serial": f"{__name__}:Nothing"})
    if as_process and not any("\0" in each for each in given) and given[0] not in ("run", "retry", "resume"):
        command = [sys.executable, "-m", "benchmark", *given]
        told = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
        return told.returncode, (told.stdout[-20_000:] + told.stderr).decode(errors="replace")
    try:
        if given[0] != "resume":
            done = bench(*given)
            return done.code, done.out[-20_000:] + done.err
        EXECUTORS["serial"] = "benchmark.run.executors.serial:Serial"
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                study.drive(study.cells(2, **study.BRIEF), Path(given[1]))
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()
        return 0, said.getvalue()
    except KeyboardInterrupt:
        raise
    except BaseException:
        return 70, traceback.format_exc()


def _limited(fork: forks.Fork) -> None:
    """Wait for a fork; one that works for too long is told to end, and killed if it does not hear that."""
    begun, interrupted = time.monotonic(), 0.0
    while fork.poll() is None:
        now = time.monotonic()
        if not interrupted and (_cpu(fork.pid) > ANSWER_S or now - begun > 10 * ANSWER_S):
            interrupted = now
            fork.send(signal.SIGINT)
        elif interrupted and now - interrupted > HEAR_S:
            fork.send(signal.SIGKILL)
        time.sleep(0.002)


def _contents(place: Path) -> dict[str, tuple[int, ...]]:
    """What lies in a folder: names, sizes and times; locks aside, which everybody may take."""
    found = {}
    for path in place.rglob("*"):
        stat = path.lstat()
        if path.name not in ("lock", "__pycache__") and path.suffix != ".pyc":
            found[str(path)] = (stat.st_mode, *((stat.st_size, stat.st_mtime_ns) if path.is_file() else ()))
    return found


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
