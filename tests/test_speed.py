"""The speed gate: what a verdict says, whose turn it is, what is left behind. No test here depends on real times."""

import itertools
import json
import math
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Done, bench

import tasks
from baselines.hybrid import MIXERS
from benchmark import environment
from benchmark.cells.suites import suite
from benchmark.measure import speed
from benchmark.measure.speed import ABSENT, BROKEN, FASTER, SAME, SLOWER, trees, workloads

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

# What a verdict says


def drawn(truth: float, *shape: int, noise: float = 0.05, seed: int = 0) -> np.ndarray:
    """Logarithms of ratios, as rounds give them."""
    return math.log(truth) + noise * np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("rounds", [3, 10])
def test_intervals_cover_the_true_ratio_as_often_as_they_say(rounds: int) -> None:
    found = [speed.ratio(logs) for logs in drawn(1.25, 2000, rounds)]
    assert 0.935 < np.mean([interval.low < 1.25 < interval.high for interval in found]) < 0.965
    assert np.mean([interval.estimate for interval in found]) == pytest.approx(1.25, rel=0.01)


@pytest.mark.parametrize("truth", [1 / 1.05, 0.99, 1.0, 1.05, 1.2])
def test_a_test_below_five_per_cent_is_an_interval_beyond_the_tolerance(truth: float) -> None:
    for logs in drawn(truth, 100, 6, seed=1):
        interval = speed.ratio(logs)
        outside = interval.low > 1.05 or interval.high < 1 / 1.05
        assert (speed.beyond(logs, 0.05) < 0.05) == outside


@pytest.mark.parametrize("truth", [1.0, 1.05])
def test_equal_trees_are_told_apart_in_five_per_cent_of_runs_however_many_workloads(truth: float) -> None:
    """At the very edge of what is tolerated; without a tolerance the edge is 1."""

    def alarms(logs: np.ndarray) -> bool:
        # Two turns of a round, of which the present tree always takes a second.
        taken = [{"then": np.exp(np.repeat(row, 2)).tolist(), "now": [1.0] * (2 * len(row))} for row in logs]
        found = speed.judge(taken, [str(i) for i in range(len(taken))], truth - 1)
        return any(outcome.verdict != SAME for outcome in found)

    share = np.mean([alarms(logs) for logs in drawn(truth, 400, 12, 8, seed=2)])
    assert 0.005 < share < 0.08


def test_without_any_spread_the_ratio_alone_decides() -> None:
    for logs, p in ([0.25] * 3, 0.0), ([-0.25] * 3, 0.0), ([0.03125] * 3, 1.0):  # exact in binary
        assert speed.beyond(logs, 0.05) == p
        interval = speed.ratio(logs)
        assert interval.low == interval.high == math.exp(logs[0])


# Whose turn it is


class Clock:
    """Timers of two trees on a machine whose pace changes; whoever is asked is written down."""

    def __init__(self, seconds: dict[str, float], pace: Callable[[int], float] = lambda turn: 1.0) -> None:
        self.seconds, self.pace, self.asked = seconds, pace, list[tuple[str, str, int]]()

    def timer(self, side: str) -> speed.Timer:
        def timer(name: str, calls: int) -> dict[str, float]:
            if name == f"absent {side}":
                raise speed.WorkloadError("nothing of that name")
            self.asked.append((side, name, calls))
            return {"core": self.seconds[side] * self.pace(len(self.asked)), "wall": 1.0}

        return timer

    def compare(self, *names: str, rounds: int = 4, **options: Any) -> list[speed.Outcome]:
        options = {"tolerance": 0.05} | options
        start = contextmanager(lambda: iter([{side: self.timer(side) for side in ("then", "now")}]))
        return speed.compare(start, names, rounds=rounds, **options)


def test_the_trees_take_turns() -> None:
    clock, steps = Clock({"then": 1.0, "now": 1.0}), list[int]()
    clock.compare("a", "b", rounds=3, advance=steps.append)
    sides = "".join(side[0] for side, *_ in clock.asked)
    assert sides == 2 * "nttnnt" + 2 * "ntnttn" + 2 * "nttnnt"  # the first two of each warm up
    assert "".join(name for _, name, _ in clock.asked) == 3 * "aaaaaabbbbbb"
    assert sum(steps) == 2 * 3


def test_a_steady_drift_cancels() -> None:
    (found,) = Clock({"then": 3.0, "now": 2.0}, pace=lambda turn: 1.01**turn).compare("a")
    assert found.ratio is not None
    assert (found.ratio.low, found.ratio.estimate, found.ratio.high) == pytest.approx((1.5, 1.5, 1.5))
    assert found.verdict == FASTER
    assert len(found.then_s) == len(found.now_s) == 4


@pytest.mark.parametrize(("seconds", "calls"), [(1.0, 1), (speed.TURN_S / 8, 8), (1e-12, speed.MOST_CALLS)])
def test_both_trees_make_as_many_calls_as_the_slower_one_needs(seconds: float, calls: int) -> None:
    clock = Clock({"then": seconds, "now": seconds / 2})
    clock.compare("a", rounds=3)
    counts = [count for *_, count in clock.asked]
    assert counts == 3 * [1, 1, *[calls] * 4]


@pytest.mark.parametrize(
    ("then", "now", "tolerance", "verdict"),
    [
        (1.0, 2.0, 0.05, SLOWER),
        (2.0, 1.0, 0.05, FASTER),
        (1.0, 1.04, 0.05, SAME),
        (1.0, 1.04, 0.03, SLOWER),
        (1.0, 2.0, 1.5, SAME),
    ],
)
def test_verdicts(then: float, now: float, tolerance: float, verdict: str) -> None:
    jitter = np.random.default_rng(0).normal(1, 0.001, 100)
    clock = Clock({"then": then, "now": now}, pace=lambda turn: float(jitter[turn]))
    (found,) = clock.compare("a", tolerance=tolerance)
    assert found.verdict == verdict


def test_the_clock_that_was_asked_for_judges() -> None:
    (found,) = Clock({"then": 1.0, "now": 2.0}).compare("a", clock="wall")
    assert found.verdict == SAME


def test_what_one_tree_cannot_run_is_said_and_the_rest_goes_on() -> None:
    steps = list[int]()
    clock = Clock({"then": 1.0, "now": 2.0})
    found = clock.compare("a", "absent then", "absent now", "b", advance=steps.append)
    assert [outcome.verdict for outcome in found] == [SLOWER, ABSENT, BROKEN, SLOWER]
    assert [outcome.reason for outcome in found] == [None, *["nothing of that name"] * 2, None]
    assert sum(steps) == 4 * 4
    assert found[1].as_dict()["ratio"] is None
    assert json.loads(json.dumps([outcome.as_dict() for outcome in found]))[0]["ratio"]["estimate"] == 0.5


# The command, in a small repository whose clock is part of the work

DEFINITIONS = """
import os
import statistics  # the standard library's, not benchmark/statistics.py
statistics.NormalDist
spent = [0.0]
CLOCKS = {"core": lambda: spent[0], "wall": lambda: spent[0]}

def work():
    from tasks.cost import SECONDS
    def call():
        print("chatter of a workload")
        spent[0] += SECONDS
    return call

def absent(module):
    def prepare():
        __import__(module)
        return work()
    return prepare

def dying():
    os.write(2, b"a last word")
    os._exit(3)

def killed():
    os.kill(os.getpid(), 9)

WORKLOADS = {"work": work, "new": absent("tasks.new"), "package": absent("baselines"), "gone": absent("tasks.gone"),
             "dying": dying, "killed": killed}
"""


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders of this process go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """The workers that were started."""
    started = list[subprocess.Popen[str]]()

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], **options: Any) -> None:
            super().__init__(command, **options)
            if "speed_worker.py" in " ".join(command):
                started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    return started


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path) -> Iterator[Path]:
    """A repository of two commits, tagged `first` and `second`, that stands in for this checkout."""
    root = tmp_path / "root"
    (root / "tasks").mkdir(parents=True)
    (root / "tasks" / "__init__.py").touch()
    (root / "tasks" / "gone.py").touch()
    git(root, "init", "--quiet", "--initial-branch", "trunk")
    for tag, seconds in (("first", "0.5"), ("second", "0.25")):
        (root / "tasks" / "cost.py").write_text(f"SECONDS = {seconds}\n")
        git(root, "add", ".")
        git(root, "commit", "--quiet", "--message", tag)
        git(root, "tag", tag)
    (root / "tasks" / "new.py").touch()
    (root / "tasks" / "gone.py").unlink()
    (root / "baselines").mkdir()
    (root / "baselines" / "__init__.py").touch()
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    monkeypatch.setattr(speed, "DEFINITIONS", tmp_path / "definitions.py")
    monkeypatch.setattr(environment, "ROOT", root)
    monkeypatch.setattr(environment, "source", lambda: "a state")  # of files that this repository lacks
    environment.commit.cache_clear()
    yield root
    environment.commit.cache_clear()


def command(*arguments: object) -> Done:
    return bench("speed", "--rounds", 2, *arguments)


@needs_git
@pytest.mark.parametrize(
    ("ref", "now", "verdict", "ratio", "code"),
    [
        ("first", "0.5", SAME, 1, 0),
        ("first", "1.0", SLOWER, 0.5, 1),
        ("second~1", "0.25", FASTER, 2, 0),
        ("trunk", "0.25", SAME, 1, 0),
    ],
)
def test_a_change_of_speed_is_found_and_nothing_is_left_behind(
    repository: Path,
    temporary: Path,
    processes: list[subprocess.Popen[str]],
    ref: str,
    now: str,
    verdict: str,
    ratio: float,
    code: int,
) -> None:
    (repository / "tasks" / "cost.py").write_text(f"SECONDS = {now}\n")
    before = git(repository, "status", "--porcelain"), sorted((repository / ".git").rglob("*"))
    page = repository.parent / "speed.md"
    done = command("--against", ref, "--only", "work", "--json", "--markdown", page)
    assert (done.code, done.err) == (code, "")
    found = json.loads(done.out)
    (outcome,) = found["workloads"]
    assert (outcome["verdict"], outcome["ratio"]["estimate"]) == (verdict, pytest.approx(ratio))
    assert found["passed"] == (code == 0)
    assert found["then"] == {"ref": ref, "commit": git(repository, "rev-parse", "--short=12", ref).strip()}
    assert found["now"]["commit"].endswith("-dirty")  # for one thing tasks/gone.py is gone
    assert set(found["load_average"]) == {"before", "after"}
    assert f"| work | {1e3 * float(now) * ratio:.3g} | {1e3 * float(now):.3g} | {ratio:.3f} |" in page.read_text()
    assert list(temporary.iterdir()) == []
    assert len(processes) == 2 * 2  # fresh ones for each of the two rounds
    assert all(process.poll() is not None for process in processes)
    assert before == (git(repository, "status", "--porcelain"), sorted((repository / ".git").rglob("*")))


@needs_git
def test_what_the_commit_does_not_have_is_no_failure(repository: Path) -> None:
    done = command("--against", "second", "--only", "new", "--only", "package", "--only", "work")
    assert (done.code, done.err) == (0, "")
    said = " ".join(done.out.replace("│", " ").split())
    assert "not in REF: ModuleNotFoundError: No module named" in said
    assert done.out.count("not in REF") == 2  # an installed copy of `baselines` must not stand in
    assert SAME in said


@needs_git
def test_what_the_present_tree_cannot_run_is_a_failure(repository: Path) -> None:
    done = command("--against", "second", "--only", "gone", "--only", "work", "--json")
    assert done.code == 1
    verdicts = {found["workload"]: found["verdict"] for found in json.loads(done.out)["workloads"]}
    assert verdicts == {"work": SAME, "gone": BROKEN}


@needs_git
@pytest.mark.parametrize(
    ("name", "how"), [("dying", "with exit code 3 at dying: a last word"), ("killed", "by signal 9 at killed")]
)
def test_a_worker_that_dies_is_reported(repository: Path, temporary: Path, name: str, how: str) -> None:
    done = command("--against", "first", "--only", name)
    assert (done.code, done.out) == (1, "")
    assert done.err.strip() == f"bench: the process of the present tree ended {how}"
    assert list(temporary.iterdir()) == []


@needs_git
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "Stopped; nothing was written.\n"), (signal.SIGTERM, 143, "")]
)
def test_ctrl_c_and_termination_leave_nothing_behind(
    repository: Path,
    temporary: Path,
    processes: list[subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
    said: str,
) -> None:
    def compare(start: Any, *_: Any, **__: Any) -> Any:
        with start() as timers:
            assert timers["then"]("work", 1)["core"] == 2 * timers["now"]("work", 1)["core"]
            assert len(list(temporary.iterdir())) == 1
            assert [process.poll() for process in processes] == [None, None]
            signal.raise_signal(number)

    monkeypatch.setattr(speed, "compare", compare)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C
    try:
        done = command("--against", "first")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.code, done.out, done.err) == (code, "", said)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert list(temporary.iterdir()) == []
    assert len(processes) == 2
    assert all(process.poll() is not None for process in processes)


@needs_git
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "frist"], "unknown commit 'frist': fatal: Needed a single revision; did you mean 'first'?"),
        (["--against", "--help-me"], "unknown commit '--help-me'"),
        (["--against", "first", "--only", "wrok"], "unknown workload 'wrok'; valid: work,"),
        (["--against", "first", "--only", "wrok"], "did you mean 'work'?"),
        (["--against", "first", "--rounds", 1], "--rounds must be a whole number >= 2"),
        (["--against", "first", "--tolerance", -1], "--tolerance must be a number >= 0"),
        (["--against", "first", "--tolerance", "nan"], "--tolerance must be a number >= 0"),
        (["--against", "first", "--clock", "wal"], "did you mean 'wall'?"),
        (["--against", "first", "--markdown", "no/such/folder/x.md"], "no/such/folder"),
    ],
)
def test_bad_input(repository: Path, temporary: Path, arguments: list[object], said: str) -> None:
    done = command(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err
    assert list(temporary.iterdir()) == []


@needs_git
def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    done = command("--against", "HEAD")
    assert done.code == 2
    assert "not a git repository" in done.err


@needs_git
def test_a_commit_without_the_packages_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "empty")
    commit = trees.resolve("HEAD", tmp_path)
    with (
        pytest.raises(ValueError, match="none of the folders benchmark, tasks, baselines"),
        trees.checkout(commit, tmp_path),
    ):
        pass


# The work itself


def test_every_task_and_every_update_rule_is_compared() -> None:
    timed = set(workloads.WORKLOADS)
    assert {f"generate-{name}" for name in tasks.TASKS} <= timed
    assert all(timed & {f"rule-{word}", f"layer-{word}"} for word in MIXERS)
    assert {"train-step-1", "train-step-2", "sleep-2", "wake"} <= timed
    assert speed.names(speed.DEFINITIONS) == list(workloads.WORKLOADS)


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_every_workload_can_be_called_again_and_again(name: str) -> None:
    call = workloads.WORKLOADS[name]()
    call()
    call()


@pytest.mark.parametrize("passes", [1, 2])
def test_a_training_step_is_one_of_the_suite(passes: int) -> None:
    settings = {"rollout_steps": 6, "sleep_passes": passes}
    (cell,) = (
        cell.with_settings({"tokens": 1000 * 256 * 17})
        for cell in suite("passes", "cpu").cells()
        if settings.items() <= cell.axes.items() and cell.seed == 0
    )
    assert workloads.trainer(passes).cell.id == cell.id


def test_generators_make_other_examples_with_every_call() -> None:
    one, two = itertools.islice(iter(workloads.generate("recall"), None), 2)
    assert not np.array_equal(one.inputs, two.inputs)  # type: ignore[attr-defined]


def test_this_checkout_against_its_last_commit() -> None:
    """Two real processes, one short workload; the tolerance lets any real times pass."""
    try:
        trees.resolve("HEAD", environment.ROOT)
    except (OSError, ValueError) as error:
        pytest.skip(f"no git history here: {error}")
    done = command("--against", "HEAD", "--only", "generate-recall", "--tolerance", 100, "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)["workloads"]
    assert [outcome["verdict"] for outcome in found] == [SAME]
    assert all(len(outcome[side]) == 2 for outcome in found for side in ("then_s", "now_s"))
