"""How a folder stands, and what keeps it in order: `bench status`, `bench retry`, `bench clean`."""

import builtins
import fcntl
import io
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from harness import bench, small
from rich.console import Console

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.facts import cell_facts, failure_row
from benchmark.rows import Status
from benchmark.run import checkpoint, standing
from benchmark.run.board import Board
from benchmark.run.executors import Event
from benchmark.run.folder import SweepFolder
from benchmark.run.standing import SweepStanding

CONTEXT = {"suite": "here", "scale": "small"}


def test_row(cell: Cell, step: int, score: float) -> rows.Row:
    facts = cell_facts(cell, device="cpu", context=CONTEXT)
    tested = {"step": step, "tokens_seen": 40 * step, "tested_passes": cell.training.sleep_passes, "wall_s": 2.0 * step}
    return facts | tested | {"difficulty": 1, "answer": None, "exact_match": score, "chance": 0.0625, "n_examples": 16}


test_row.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    """Cells that stand in every way: seed 0 done, 1 diverged, 2 crashed, 3 interrupted, 4 waiting, 5 timed out."""
    cells = [small(seed=seed) for seed in range(6)]
    place = SweepFolder(tmp_path / "run")
    with place.session(cells, CONTEXT):
        for cell in cells[:4]:
            rows.append(place.of(cell).rows_file, [test_row(cell, 8, 0.25), test_row(cell, 16, 0.5)])
        rows.append(place.of(cells[0]).rows_file, [test_row(cells[0], 25, 0.75)])
        place.of(cells[0]).finish(Status.OK, None)
        for seed, status, step in ((1, Status.DIVERGED, 25), (2, Status.CRASHED, 20), (5, Status.TIMED_OUT, None)):
            facts = cell_facts(cells[seed], device="cpu", context=CONTEXT)
            place.of(cells[seed]).add(failure_row(facts, status, f"why {seed}", step=step))
        place.of(cells[1]).finish(Status.DIVERGED, "why 1")
        checkpoint.save(place.of(cells[3]).checkpoint, {"cell_id": cells[3].id, "step": 16})
    return place


def test_status_of_everything(folder: SweepFolder) -> None:
    done = bench("status", folder.path, "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    states = ["ok", "diverged", "crashed", "interrupted", "waiting", "timed_out"]
    assert [cell["state"] for cell in found["cells"]] == states
    assert [cell["step"] for cell in found["cells"]] == [25, 25, 20, 16, 0, 0]
    assert {cell["steps"] for cell in found["cells"]} == {25}
    assert [cell["reason"] for cell in found["cells"]] == [None, "why 1", "why 2", None, None, "why 5"]
    assert found["cells"][0]["scores"] == [{"difficulty": 1, "exact_match": 0.75, "chance": 0.0625}]
    assert found["counts"] == {state: 1 for state in states}
    assert found["progress"] == pytest.approx((25 + 25 + 20 + 16) / 150)
    assert found["left_s"] == pytest.approx(2 * (5 + 9 + 25 + 25)), "2 s a step"
    assert (found["finished_last_hour"], found["eta_s"], found["unreadable"]) == (2, None, [])
    shown = " ".join(bench("status", folder.path).out.split())
    assert "0.562 (1/6) 1 diverged 1 crashed 1 timed_out" in shown
    assert "57% of all steps; 2 finished within the last hour; about 2 min of one core left" in shown
    assert f"crashed: rollout_steps 1, N 1, seed 2: why 2 ({folder.of(small(seed=2)).path}/log.txt)" in shown


def test_a_cell_that_runs_is_seen(folder: SweepFolder) -> None:
    with folder.session([]), (folder.of(small(seed=3)).path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = SweepStanding(folder.path)
        assert found.counts[Status.RUNNING] == 1 and found.running_pid == os.getpid()
        assert found.eta_s == found.left_s
    assert SweepStanding(folder.path).counts[Status.RUNNING] == 0


def test_status_is_that_of_the_folder(folder: SweepFolder) -> None:
    """It reads for itself; a sweep must not see a cell otherwise."""
    found = {each.cell_id: each.status for each in SweepStanding(folder.path).cells}
    assert found == {cell.id: folder.of(cell).state.status for cell in folder.cells()}


def test_a_long_test_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "TAIL", 3000)
    cell, place = small(), SweepFolder(tmp_path)
    with place.session([cell]):
        tested = [test_row(cell, 16, 0.5) | {"difficulty": level} for level in range(9)]
        rows.append(place.of(cell).rows_file, [test_row(cell, 8, 0.25), *tested])
    (found,) = SweepStanding(tmp_path).cells
    assert [score["difficulty"] for score in found.scores] == list(range(9))


def test_each_file_is_read_once(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is linear in cells."""
    opened: Counter[str] = Counter()
    usual = builtins.open

    def counted(path: Any, *args: Any, **kwargs: Any) -> Any:
        opened[str(path)] += 1
        return usual(path, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", counted)
    SweepStanding(folder.path)
    assert set(opened.values()) == {1}
    assert len(opened) == 1 + 6 + 5 + 2, "a lock, plans, rows and ends"


def test_many_cells_take_a_moment(tmp_path: Path) -> None:
    place, count = SweepFolder(tmp_path), 400
    for seed in range(count):
        cell = small(seed=seed)
        place.of(cell).path.mkdir(parents=True)
        place.of(cell).plan.write_text(json.dumps(cell.as_json() | {"steps": cell.steps, "axis": cell.task.axis}))
        place.of(cell).rows_file.write_text(json.dumps(test_row(cell, 16, 0.5)) + "\n")
    begun = time.thread_time()
    found = SweepStanding(tmp_path)
    assert len(found.cells) == count and found.progress == 16 / 25
    assert time.thread_time() - begun < 0.4, "10,000 would take 10 seconds on a slow and busy machine"


def test_status_imports_nothing_that_a_folder_names(tmp_path: Path) -> None:
    place = SweepFolder(tmp_path / "run")
    cell = small()
    plan = cell.as_json()
    plan["model"]["name"] = "theirs:build"
    (tmp_path / "theirs.py").write_text("raise SystemExit('ran')")
    place.of(cell).path.mkdir(parents=True)
    place.of(cell).plan.write_text(json.dumps(plan))
    done = bench("status", place.path, "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["cells"][0]["state"] == "waiting"
    assert "theirs" not in sys.modules


@pytest.mark.parametrize("seal", ["", [], 3, [1], {"lines": 1}])
def test_a_seal_that_is_none_is_named(folder: SweepFolder, seal: object) -> None:
    place = folder.of(small(seed=3))
    place.path.mkdir(parents=True, exist_ok=True)
    place.plan.write_text(json.dumps(small(seed=3).as_json() | {"steps": 1, "axis": "rollout_steps"}))
    place.finished.write_text(json.dumps({"status": "ok", "reason": None, "rows": seal}))
    done = bench("status", folder.path)
    assert done.code == 0 and "is no seal" in done.out and "Traceback" not in done.err


def test_what_cannot_be_read_is_named(folder: SweepFolder) -> None:
    damaged = folder.of(small(seed=3))
    damaged.rows_file.write_bytes(b"{}\n")
    folder.of(small(seed=4)).plan.write_text("[]")
    done = bench("status", folder.path)
    assert done.code == 0
    assert f"left out: {damaged.rows_file}, line 1 from its end: not a row of sleepbench" in done.out
    assert f"left out: {folder.of(small(seed=4)).path}: " in done.out


def test_the_live_table_of_many_cells_takes_a_moment() -> None:
    """It is drawn four times a second beside cells that train on the same cores."""
    cells = [
        small(seed=seed, sleep_passes=n, tokens=1000 + level)
        for seed in range(20)
        for n in (1, 2)
        for level in range(50)
    ]
    console = Console(file=io.StringIO(), force_terminal=True, width=110, height=40)
    board = Board("many", cells, console=console)
    board.work.begin()
    console.print(board.render())
    times = []
    for cell in cells[:8]:
        board.on_event(Event(cell=cell, kind="start", contents={}))
        board.on_event(Event(cell=cell, kind="counted", contents={"train_flops": 1e9, "step_flops": 1e6}))
        said = {"step": 8, "tokens_per_s": 1.0, "new_rows": [test_row(cell, 8, 0.5)]}
        board.on_event(Event(cell=cell, kind="progress", contents=said))
        begun = time.thread_time()
        console.print(board.render())
        times.append(time.thread_time() - begun)
    assert sorted(times)[4] < 0.15, "a quarter of a second on a slow and busy machine"
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0 of 2000 cells, about" in shown and "more lines" in shown and "0.500 (0/20)" in shown


# Again


@pytest.mark.usefixtures("workers_here")
def test_cells_are_tried_again_by_how_they_ended(folder: SweepFolder) -> None:
    folder.of(small(seed=3)).checkpoint.unlink()
    dry = bench("retry", folder.path, "--status", "diverged,timed_out", "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    lines = ["diverged: rollout_steps 1, N 1, seed 1", "timed_out: rollout_steps 1, N 1, seed 5"]
    assert dry.out.splitlines() == lines
    done = bench("retry", folder.path, "--status", "diverged,timed_out")
    assert (done.code, done.err) == (0, ""), done.out
    states = [SweepFolder(folder.path).of(small(seed=seed)).state.status for seed in range(6)]
    assert states == ["ok", "ok", "crashed", "waiting", "waiting", "ok"]
    again = folder.of(small(seed=1)).path
    assert rows.read(again / "rows.jsonl.before-retry-1")[-1]["status"] == "diverged", "nothing is lost"
    assert {row["suite"] for row in rows.read(again / "rows.jsonl")} == {"here"}
    assert "no cell of" in bench("retry", folder.path, "--status", "diverged").out
    wrong = bench("retry", folder.path, "--status", "crushed")
    assert wrong.code == 2 and "unknown status 'crushed'; valid: diverged" in wrong.err
    assert "did you mean 'crashed'" in wrong.err


def test_litter_is_removed_and_nothing_else(folder: SweepFolder) -> None:
    cell = folder.of(small())
    cell.checkpoint.write_bytes(b"x" * 2000)
    litter = [
        cell.path / name
        for name in ("rows.jsonl.damaged-1", "checkpoint.safetensors.partial", "rows.jsonl.other-code-2")
    ]
    litter.append(folder.path / "rows.parquet.damaged-12")
    before = sorted(path for path in folder.path.rglob("*") if path.is_file())
    for path in litter:
        path.write_bytes(b"x" * 1500)
    dry = bench("clean", folder.path, "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert dry.out.count("would remove ") == 4 and "4 files, 6kB" in dry.out
    assert all(path.exists() for path in litter)
    done = bench("clean", folder.path)
    assert done.code == 0 and done.out.count("removed ") == 4
    assert sorted(path for path in folder.path.rglob("*") if path.is_file()) == before
    assert bench("clean", folder.path, "--checkpoints").out.count("removed ") == 1
    assert not cell.checkpoint.exists() and folder.of(small(seed=3)).checkpoint.exists(), "it is still to go on"
    with folder.session([]):
        assert f"{folder.path} is in use" in bench("clean", folder.path).err
