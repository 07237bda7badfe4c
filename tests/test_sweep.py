"""Cells in processes of their own: how they start, stop, fail and are recorded, while the sweep goes on."""

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from harness import comparable, small

from benchmark import environment, rows
from benchmark.cells.cell import Cell
from benchmark.run import checkpoint, executors, sweep, worker
from benchmark.run.trainer import Trainer

CONTEXT = {"suite": "here", "scale": "small"}


# A worker, in this process


class Pipe:
    """Stands for a worker's stdin: the job, and then silence until it is closed."""

    def __init__(self, job: dict[str, Any]) -> None:
        read, self.write = os.pipe()
        self.file = os.fdopen(read)
        os.write(self.write, (json.dumps(job) + "\n").encode())

    def hang_up(self) -> None:
        if self.write >= 0:
            os.close(self.write)
            self.write = -1

    def close(self) -> None:
        self.hang_up()
        for thread in threading.enumerate():
            if "_wait_for_end" in thread.name:
                thread.join()
        self.file.close()


def work(monkeypatch: pytest.MonkeyPatch, cell: Cell, folder: Path, *, stop: bool = False) -> list[dict[str, Any]]:
    """Run a worker on a cell; what it says on stdout."""
    folder.mkdir(exist_ok=True)
    pipe, out = (
        Pipe({"cell": cell.as_json(), "folder": str(folder), "device": "cpu", "context": CONTEXT}),
        io.StringIO(),
    )
    threads = torch.get_num_threads()
    if stop:
        pipe.hang_up()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdin", pipe.file)
        patched.setattr(sys, "stdout", out)
        try:
            worker.main()
        finally:
            pipe.close()
            torch.set_num_threads(threads)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def finished(folder: Path) -> Any:
    return json.loads((folder / "finished.json").read_text())


def test_a_worker_trains_its_cell_and_tells_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = small()
    *progress, end = work(monkeypatch, cell, tmp_path)
    assert end == {"event": "end", "status": "ok", "reason": None}
    assert finished(tmp_path) == {"status": "ok", "reason": None}
    assert sweep.cell_state(tmp_path) == ("ok", None)
    assert {said["event"] for said in progress} == {"progress"}
    assert [row for said in progress for row in said["new_rows"]] == rows.read(tmp_path / "rows.jsonl")
    assert progress[-1]["step"] == cell.steps
    assert all(said["tokens_per_s"] > 0 for said in progress)
    assert {(row["suite"], row["scale"]) for row in rows.read(tmp_path / "rows.jsonl")} == {("here", "small")}


def test_a_worker_whose_sweep_is_gone_saves_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = work(monkeypatch, small(tokens=40_000), tmp_path, stop=True)[-1]
    assert end == {"event": "end", "status": "stopped", "reason": None}
    assert not (tmp_path / "finished.json").exists()
    assert checkpoint.load(tmp_path / "checkpoint.pt", torch.device("cpu"))["step"] >= 1
    assert sweep.cell_state(tmp_path) == ("interrupted", None)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("shapes differ"), "crashed"),
        (MemoryError("no room"), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
    ],
)
def test_an_error_becomes_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, status: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_step", fail)
        (end,) = work(monkeypatch, small(), tmp_path)
    reason = f"{type(error).__name__}: {error}"
    assert end == {"event": "end", "status": status, "reason": reason}
    (row,) = rows.read(tmp_path / "rows.jsonl")
    assert (row["status"], row["reason"], row["cell_id"], row["step"]) == (status, reason, small().id, None)
    assert (row["batch"], row["suite"]) == (8, "here")
    assert "Traceback" in capsys.readouterr().err, "for log.txt"
    assert sweep.cell_state(tmp_path) == ("failed", reason)
    assert work(monkeypatch, small(), tmp_path)[-1]["status"] == "ok", "tried again, once the cause is gone"
    assert {row["status"] for row in rows.read(tmp_path / "rows.jsonl")} == {"ok"}


@pytest.mark.parametrize("rate", [1e9, float("inf")])
def test_a_diverging_cell_becomes_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    cell = small(muon_lr=rate, adam_lr=rate)
    end = work(monkeypatch, cell, tmp_path)[-1]
    last = rows.read(tmp_path / "rows.jsonl")[-1]
    assert last["status"] == end["status"] == "diverged"
    assert last["reason"] == end["reason"] == f"the training loss became nan by step {last['step']}"
    assert last["step"] in cell.evaluation_steps
    assert "loss" not in last
    assert finished(tmp_path) == {"status": "diverged", "reason": last["reason"]}


def test_a_test_loss_that_is_no_number_is_a_divergence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step alone can do it: the training loss before it was fine."""

    def broken(self: Trainer, batch: Any) -> torch.Tensor:
        loss = step(self, batch)
        if self.step == 15:
            self.model.head.weight.data.fill_(float("nan"))  # type: ignore[union-attr, operator]
        return loss

    step = Trainer.train_step
    monkeypatch.setattr(Trainer, "train_step", broken)
    assert work(monkeypatch, small(), tmp_path)[-1]["status"] == "diverged"
    good, bad = rows.read(tmp_path / "rows.jsonl")[-2:]
    assert (good["status"], good["step"]) == ("ok", 8)
    assert (bad["status"], bad["step"]) == ("diverged", 16)
    assert bad["reason"] == "the test loss became nan by step 16"


def test_a_cell_has_one_worker_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "LOCK_WAIT_S", 0.3)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="is being trained by another process"):
            work(monkeypatch, small(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    assert work(monkeypatch, small(), tmp_path)[-1]["status"] == "ok"


# Where cells run


def test_cells_on_a_cpu_have_one_thread_each() -> None:
    assert executors.slots("cpu", 3) == [{f"{x}_NUM_THREADS": "1" for x in ("OMP", "MKL", "OPENBLAS")}] * 3
    assert 1 <= len(executors.slots("cpu", None)) <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("visible", "jobs", "names"),
    [(None, None, ["0", "1"]), ("3,5", None, ["3", "5"]), ("GPU-a,GPU-b", 3, ["GPU-a", "GPU-b", "GPU-a"])],
)
def test_cells_on_gpus_have_one_each(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, jobs: int | None, names: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert executors.slots("cuda", jobs) == [{"CUDA_VISIBLE_DEVICES": name} for name in names]


# A sweep, with workers in processes of their own


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[str]]]:
    """The workers that were started, in order."""
    started: list[subprocess.Popen[str]] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], *args: Any, **kwargs: Any) -> None:
            super().__init__(command, *args, **kwargs)
            if "benchmark.run.worker" in command:
                started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    yield started
    assert all(process.poll() is not None for process in started), "no worker outlives its sweep"


def run(cells: list[Cell], out: Path, **options: Any) -> dict[str, tuple[str, str | None]]:
    with sweep.opened(out, cells):
        return sweep.run(cells, out, environments=executors.slots("cpu", 1), context=CONTEXT, **options)


def test_a_killed_worker_becomes_a_row_and_is_tried_again(tmp_path: Path, workers: list[subprocess.Popen[str]]) -> None:
    first, second = small(tokens=6_000, evaluations=25), small(seed=1)
    events = []

    def on_event(event: executors.Event) -> None:
        events.append((event.cell.seed, event.kind))
        if (event.cell, event.kind) == (first, "progress"):
            workers[0].send_signal(signal.SIGKILL)

    out = tmp_path / "out"
    states = run([first, second], out, on_event=on_event)
    state, reason = states[first.id]
    assert state == "failed"
    assert reason is not None
    assert reason.startswith("the worker ended with signal SIGKILL (out of memory?); see ")
    assert Path(reason.partition("; see ")[2]).exists()
    assert states[second.id] == ("ok", None), "the sweep went on"
    ends = [seed for seed, kind in events if kind == "end"]
    assert ends == [0, 1]
    failed = rows.read_table(out).filter(pl.col("status") != "ok").to_dicts()
    assert [(row["cell_id"], row["status"], row["reason"]) for row in failed] == [(first.id, "crashed", reason)]

    assert run([first, second], out) == {first.id: ("ok", None), second.id: ("ok", None)}
    assert len(workers) == 3, "only the failed cell was run again"
    assert set(rows.read_table(out)["status"]) == {"ok"}
    alone = tmp_path / "alone"
    alone.mkdir()
    Trainer(first, alone, context=CONTEXT).run()
    there = sweep.cell_folder(out, first)
    assert comparable(rows.read(there / "rows.jsonl")) == comparable(rows.read(alone / "rows.jsonl"))


def test_an_error_while_watching_stops_the_workers(tmp_path: Path, workers: list[subprocess.Popen[str]]) -> None:
    """Also the way of Ctrl-C: the worker saves, then the error goes on its way."""
    cell = small(tokens=10**8, evaluations=10**5)

    def on_event(event: executors.Event) -> None:
        if event.contents.get("new_rows"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([cell], tmp_path, on_event=on_event)
    assert [process.wait() for process in workers] == [0]
    assert sweep.cell_state(sweep.cell_folder(tmp_path, cell)) == ("interrupted", None)
    assert rows.read_table(tmp_path).height >= 1


# The folder of a sweep


def test_a_folder_is_held_by_one_sweep(tmp_path: Path) -> None:
    with sweep.opened(tmp_path, [small()]):
        with pytest.raises(sweep.FolderInUseError, match=f"in use by process {os.getpid()}; wait for it"):
            sweep.opened(tmp_path, []).__enter__()
        assert sweep.cells_in(tmp_path) == [small()]
    with sweep.opened(tmp_path, [small(seed=1)]):
        assert {cell.seed for cell in sweep.cells_in(tmp_path)} == {0, 1}


def test_a_cell_of_other_code_is_named(tmp_path: Path) -> None:
    cell = small()
    with sweep.opened(tmp_path, [cell]):
        path = sweep.cell_folder(tmp_path, cell) / "cell.json"
    data = cell.as_json()
    data["task"]["version"] += 1
    newer = f"version {cell.task.version + 1} was asked for"
    for text, said in ((json.dumps(data), newer), ("{", "Expecting"), ("{}", "task"), ("[]", "")):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"{cell.id}/cell\.json describes no cell of this code: .*{said}"):
            sweep.cells_in(tmp_path)


def test_the_machine_is_described() -> None:
    described = environment.describe()
    assert described["commit"] == environment.commit()
    assert set(described) >= {"commit", "python", "packages", "processor", "cores"}
    assert json.loads(json.dumps(described)) == described


def test_outside_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    environment.commit.cache_clear()
    try:
        assert environment.commit() is None
    finally:
        environment.commit.cache_clear()
