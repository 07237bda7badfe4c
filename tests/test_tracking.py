"""Live curves go to a tracker that nothing waits for, whatever it does."""

import sys
import threading
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from harness import bench, comparable, small

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.run import tracking
from benchmark.run.executors import Event
from benchmark.run.tracking import Tracker

SUITE = ("passes", "--scale", "tiny", "--rollout-steps", "1", "--sleep-passes", "1", "--seeds", "0,1")
SMALL = ("--set", "tokens=2000", "--set", "evaluations=2", "--set", "test_examples=16", "--executor", "serial")


class Run:
    """A run of a tracker, which keeps what it is told."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.logged, self.finished = told, list[tuple[int, dict[str, Any]]](), False

    def log(self, numbers: dict[str, Any], *, step: int) -> None:
        self.logged.append((step, numbers))

    def finish(self) -> None:
        self.finished = True


@pytest.fixture(params=["trackio", "wandb"])
def fake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that stands for a tracker; `runs` are those that were begun."""
    module = ModuleType(request.param)
    module.__spec__ = ModuleSpec(request.param, None)
    module.runs = []  # type: ignore[attr-defined]

    def init(**told: Any) -> Run:
        assert threading.current_thread() is not threading.main_thread()
        module.runs.append(Run(told))
        return module.runs[-1]  # type: ignore[no-any-return]

    module.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, request.param, module)
    return module


@pytest.fixture(scope="module")
def untracked(tmp_path_factory: pytest.TempPathFactory) -> list[rows.Row]:
    """Rows of a sweep that nothing tracks."""
    folder = tmp_path_factory.mktemp("untracked")
    assert bench("run", *SUITE, *SMALL, "--out", folder).code == 0
    return comparable(rows.read_table(folder).to_dicts())


def raising(*_: Any, **__: Any) -> Any:
    raise SystemExit("the tracker\x1b[31m is down")


def hanging(*_: Any, **__: Any) -> Any:
    time.sleep(60)


def of_run(name: str, act: Callable[..., Any]) -> Callable[[ModuleType], None]:
    def change(module: ModuleType) -> None:
        usual = module.init

        def init(**told: Any) -> Run:
            run: Run = usual(**told)
            setattr(run, name, act)
            return run

        module.init = init  # type: ignore[attr-defined]

    return change


def test_curves_arrive_and_rows_are_the_same(fake: ModuleType, untracked: list[rows.Row], tmp_path: Path) -> None:
    done = bench("run", *SUITE, *SMALL, "--out", tmp_path / "here", "--track", fake.__name__)
    assert (done.code, done.err) == (0, "") and "without it" not in done.out
    written = rows.read_table(tmp_path / "here").to_dicts()
    assert comparable(written) == untracked
    assert len(fake.runs) == 2 and all(run.finished for run in fake.runs)
    for run in fake.runs:
        told = run.told
        assert (told["project"], told["group"]) == ("sleepbench", "here")
        mine = [row for row in written if row["cell_id"] == told["config"]["cell_id"]]
        assert told["config"]["seed"] == mine[0]["seed"] and mine[0]["cell_id"] in told["name"]
        sent = [(step, numbers["loss"]) for step, numbers in run.logged if "loss" in numbers]
        assert sent == [(row["step"], row["loss"]) for row in mine if row["answer"] is None] and len(sent) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda module: setattr(module, "init", raising),
        lambda module: setattr(module, "init", hanging),
        lambda module: delattr(module, "init"),
        *(of_run(name, act) for name in ("log", "finish") for act in (raising, hanging)),
    ],
    ids=["init raises", "init hangs", "no init", "log raises", "log hangs", "finish raises", "finish hangs"],
)
@pytest.mark.parametrize("fake", ["trackio"], indirect=True)
def test_a_tracker_that_fails_is_a_note(
    fake: ModuleType,
    change: Callable[[ModuleType], None],
    untracked: list[rows.Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracking, "LAST_WAIT_S", 0.6)
    change(fake)
    done = bench("run", *SUITE, *SMALL, "--out", tmp_path / "here", "--track", "trackio")
    assert (done.code, done.err) == (0, "")
    (note,) = [line for line in done.out.splitlines() if "rows and the sweep go on without it" in line]
    assert note.startswith("trackio: ") and "\x1b" not in note
    assert comparable(rows.read_table(tmp_path / "here").to_dicts()) == untracked


def test_what_does_not_fit_is_dropped_and_said_once(
    fake: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tracking, "QUEUE_LIMIT", 5)
    monkeypatch.setattr(tracking, "LAST_WAIT_S", 0.3)
    busy, notes = threading.Event(), list[str]()
    of_run("log", lambda *_, **__: busy.wait(20))(fake)
    cell = small()
    begun = time.monotonic()
    with Tracker(fake.__name__).follow([cell], "group", notes.append) as tell:
        tell(Event(cell=cell, kind="start", contents={}))
        for step in range(1000):
            tell(Event(cell=cell, kind="progress", contents={"step": step, "tokens_per_s": 1.0, "new_rows": []}))
    busy.set()
    assert time.monotonic() - begun < 10
    assert [note.partition(": ")[2][:9] for note in notes] == ["5 events ", "it has no"]


def test_several_difficulties_and_passes_have_names_of_their_own() -> None:
    cell: Cell = small(test_passes=(1, 2), test_at=(1, 2))
    row = {"status": "ok", "answer": None, "loss": 0.5}
    new = [row | {"difficulty": level, "tested_passes": n} for level in (1, 2) for n in (1, 2)]
    found = tracking._numbers(cell, {"step": 1, "tokens_per_s": 2.0, "new_rows": [*new, new[0] | {"answer": 0}]})
    assert list(found) == ["tokens_per_s", *(f"loss at {level}, N {n}" for level in (1, 2) for n in (1, 2))]


@pytest.mark.parametrize(("name", "said"), [("trackoi", "did you mean 'trackio'?"), ("wandb", "pip install wandb")])
def test_a_tracker_that_is_not_there_is_refused(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    done = bench("run", *SUITE, *SMALL, "--out", tmp_path / "here", "--track", name)
    assert done.code == 2 and said in done.err
    assert not (tmp_path / "here").exists()
