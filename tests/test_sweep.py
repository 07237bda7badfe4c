"""Cells in processes of their own: how they start, stop, fail and are recorded, while the sweep goes on."""

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from harness import comparable, small

from baselines.addresses import FOLDER, model_at
from benchmark import environment, rows
from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost
from benchmark.run import checkpoint, sweep, worker
from benchmark.run.executors import EXECUTORS, Event, Executor, Job, executor, process
from benchmark.run.executors.local import Local, slots
from benchmark.run.executors.serial import Serial
from benchmark.run.folder import CellFolder, FolderInUseError, State, SweepFolder
from benchmark.run.trainer import Trainer

CONTEXT = {"suite": "here", "scale": "small"}


# A worker, in this process


class Pipe:
    """Stands for a worker's stdin: the job, and then silence until it is closed."""

    def __init__(self, job: Job) -> None:
        read, self.write = os.pipe()
        self.file = os.fdopen(read)
        os.write(self.write, (json.dumps(job.as_json()) + "\n").encode())

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
    """Run a worker on a cell; the events that it tells."""
    folder.mkdir(exist_ok=True)
    pipe = Pipe(Job(cell=cell, folder=folder, device="cpu", context=CONTEXT))
    threads = torch.get_num_threads()
    if stop:
        pipe.hang_up()
    with monkeypatch.context() as patched, tempfile.TemporaryFile("w+", encoding="utf-8") as told:
        patched.setattr(sys, "stdin", pipe.file)
        patched.setattr(sys, "argv", ["worker", str(os.dup(told.fileno()))])
        try:
            worker.main()
        finally:
            pipe.close()
            torch.set_num_threads(threads)
        told.seek(0)
        return [json.loads(line) for line in told]


def finished(folder: Path) -> Any:
    return json.loads((folder / "finished.json").read_text())


def test_a_worker_trains_its_cell_and_tells_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = small()
    _, counted, *progress, end = work(monkeypatch, cell, tmp_path)
    assert counted["event"] == "counted"
    assert counted["train_flops"] == cost(cell).train_flops * cell.steps * 8 < counted["step_flops"] * cell.steps
    assert end == {"event": "end", "status": "ok", "reason": None}
    said, written = finished(tmp_path), rows.read(tmp_path / "rows.jsonl")
    assert (said["status"], said["reason"], said["rows"][0]) == ("ok", None, len(written))
    assert CellFolder(tmp_path).state == ("ok", None)
    assert {said["event"] for said in progress} == {"progress"}
    assert [row for said in progress for row in said["new_rows"]] == rows.read(tmp_path / "rows.jsonl")
    assert progress[-1]["step"] == cell.steps
    assert all(said["tokens_per_s"] > 0 for said in progress)
    assert {(row["suite"], row["scale"]) for row in rows.read(tmp_path / "rows.jsonl")} == {("here", "small")}


def test_a_worker_whose_sweep_is_gone_saves_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = work(monkeypatch, small(tokens=40_000), tmp_path, stop=True)[-1]
    assert end == {"event": "end", "status": "stopped", "reason": None}
    assert not (tmp_path / "finished.json").exists()
    assert checkpoint.load(tmp_path / "checkpoint.safetensors", torch.device("cpu"))["step"] >= 1
    assert CellFolder(tmp_path).state == ("interrupted", None)


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
        *told, end = work(monkeypatch, small(), tmp_path)
    again = status == "out_of_memory"
    reason = f"{type(error).__name__}: {error}" + (" (with each batch in 8 parts too)" if again else "")
    assert [said["event"] for said in told] == ["alive", *(["counted", "note", "counted"] if again else ["counted"])]
    assert end == {"event": "end", "status": status, "reason": reason}
    (row,) = rows.read(tmp_path / "rows.jsonl")
    assert (row["status"], row["reason"], row["cell_id"], row["step"]) == (status, reason, small().id, 0)
    assert (row["batch"], row["suite"]) == (8, "here")
    assert "Traceback" in capsys.readouterr().err, "for log.txt"
    assert CellFolder(tmp_path).state == (status, reason)
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
    assert (finished(tmp_path)["status"], finished(tmp_path)["reason"]) == ("diverged", last["reason"])


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
        _, end = work(monkeypatch, small(), tmp_path)
    assert (end["status"], end["reason"]) == ("stopped", f"{tmp_path} is being trained by another process")
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    assert work(monkeypatch, small(), tmp_path)[-1]["status"] == "ok"


# Where cells run


def test_cells_on_a_cpu_have_one_thread_each() -> None:
    assert slots("cpu", 3) == [{f"{x}_NUM_THREADS": "1" for x in ("OMP", "MKL", "OPENBLAS")}] * 3
    assert 1 <= len(slots("cpu", None)) <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("quota", "most"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", 99), ("", 99)])
def test_a_quota_of_processor_time_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, most: int
) -> None:
    monkeypatch.setattr(environment, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(99)))
    (tmp_path / "cpu.max").write_text(quota)
    assert len(slots("cpu", None)) == most


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
    assert slots("cuda", jobs) == [{"CUDA_VISIBLE_DEVICES": name} for name in names]


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
    assert all(each.poll() is not None for each in started), "no worker outlives its sweep"


def run(cells: list[Cell], out: Path, executor: Executor | None = None, **options: Any) -> dict[str, State]:
    folder = SweepFolder(out)
    with folder.session(cells, CONTEXT):
        return sweep.run(cells, folder, executor or Local(jobs=1), context=CONTEXT, **options)


def test_a_killed_worker_becomes_a_row_and_is_tried_again(tmp_path: Path, workers: list[subprocess.Popen[str]]) -> None:
    first, second = small(tokens=6_000, evaluations=25), small(seed=1)
    events = []

    def on_event(event: Event) -> None:
        events.append((event.cell.seed, event.kind))
        if (event.cell, event.kind) == (first, "progress"):
            workers[0].send_signal(signal.SIGKILL)

    out = tmp_path / "out"
    states = run([first, second], out, on_event=on_event)
    state, reason = states[first.id]
    assert state == "crashed"
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
    there = out / "cells" / first.id
    assert comparable(rows.read(there / "rows.jsonl")) == comparable(rows.read(alone / "rows.jsonl"))


def test_an_error_while_watching_stops_the_workers(tmp_path: Path, workers: list[subprocess.Popen[str]]) -> None:
    """Also the way of Ctrl-C: the worker saves, then the error goes on its way."""
    cell = small(tokens=10**8, evaluations=10**5)

    def on_event(event: Event) -> None:
        if event.contents.get("new_rows"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([cell], tmp_path, on_event=on_event)
    assert [each.wait() for each in workers] == [0]
    assert SweepFolder(tmp_path).of(cell).state == ("interrupted", None)
    assert rows.read_table(tmp_path).height >= 1


# The folder of a sweep


def test_a_folder_is_held_by_one_sweep(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    with folder.session([small()]):
        with pytest.raises(FolderInUseError, match=f"in use by process {os.getpid()}; wait for it"):
            SweepFolder(tmp_path).session([]).__enter__()
        assert folder.cells() == [small()]
    with folder.session([small(seed=1)]):
        assert {cell.seed for cell in folder.cells()} == {0, 1}


def test_a_cell_of_other_code_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    cell, other = small(), small(seed=1)
    folder = SweepFolder(tmp_path)
    with folder.session([cell, other]):
        path = folder.of(cell).plan
    data = cell.as_json()
    data["task"]["version"] += 1
    newer = f"version {cell.task.version + 1} was asked for"
    for text, said in ((json.dumps(data), newer), ("{", "Expecting"), ("{}", "task"), ("[]", "")):
        path.write_text(text)
        assert folder.cells() == [other]
        (line,) = folder.unreadable()
        assert re.search(rf"{cell.id}/cell\.json describes no cell of this code: .*{said}", line)
    with folder.session([other]):
        assert sweep.run([other], folder, Serial())[other.id] == ("ok", None)
    folder.of(other).finished.write_text("")  # a disk that was full
    with pytest.raises(ValueError, match=r"finished\.json: not JSON"):
        SweepFolder(tmp_path).cells()
    with pytest.raises(rows.DamagedFileError, match=r"finished\.json: not JSON .*\n  set aside as "):
        folder.session([other]).__enter__()
    assert SweepFolder(tmp_path).of(other).state.status == "interrupted"  # its checkpoint is there


def test_a_cell_of_two_sweeps_belongs_to_both(tmp_path: Path) -> None:
    cell, folder = small(), SweepFolder(tmp_path)
    for suite in ("one", "two", "one"):
        context = {"suite": suite, "scale": "tiny"}
        with folder.session([cell], context):
            sweep.run([cell], folder, Serial(), context=context)
    frame = rows.read_table(tmp_path)
    assert frame.height == 2 * len(folder.of(cell).rows)
    one, two = (frame.filter(pl.col("suite") == suite).drop("suite") for suite in ("one", "two"))
    assert one.equals(two)


def test_workers_import_what_the_caller_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run in another folder, where a relative path would mean another place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["own", "", "/elsewhere"]))
    assert process.import_path()["PYTHONPATH"].split(os.pathsep) == [f"{tmp_path}/own", str(tmp_path), "/elsewhere"]
    monkeypatch.delenv("PYTHONPATH")
    assert process.import_path() == {}


# What runs cells


class Backwards(Executor):
    """An executor of somebody: cells in this process, the last first."""

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`."""
        yield from Serial(self.device).run(jobs[::-1])


def test_an_executor_is_a_file_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXECUTORS, "backwards", f"{__name__}:Backwards")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Backwards.__module__])
    cells, tables, orders = [small(), small(seed=1)], [], []
    for name in ("local", "serial", "backwards"):
        starts: list[int] = []

        def on_event(event: Event, starts: list[int] = starts) -> None:
            starts += [event.cell.seed] if event.kind == "start" else []

        states = run(cells, tmp_path / name, executor(name, jobs=1), on_event=on_event)
        assert set(states.values()) == {("ok", None)}
        tables.append(rows.read_table(tmp_path / name).drop(*rows.WALL_COLUMNS, *rows.IDENTITY))
        orders.append(starts)
    assert tables[0].equals(tables[1]) and tables[0].equals(tables[2])
    assert orders == [[0, 1], [0, 1], [1, 0]]
    with pytest.raises(ValueError, match=r"unknown executor 'lokal'; valid: .* did you mean 'local'"):
        executor("lokal")
    with pytest.raises(ValueError, match="jobs must be at least 1; given 0"):
        executor("local", jobs=0)


@pytest.mark.parametrize("kind", [Local, Serial])
def test_what_goes_wrong_in_one_cell_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Executor]
) -> None:
    """A model that prints, starts programs that print, or ends the process."""
    monkeypatch.setenv(FOLDER, str(Path(__file__).parent))
    model = model_at("faulty:Loud")(layout="attn gdn", d_model=8, heads=2, mlp_ratio=1)
    cells = [replace(small(seed=seed), model=model) for seed in (0, 1)]
    states = run([*cells, small()], tmp_path, kind())
    assert [states[cell.id].status for cell in cells] == ["ok", "crashed"]
    assert states[small().id] == ("ok", None)
    assert rows.read_table(tmp_path).filter(pl.col("status") == "crashed").height == 1


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


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = fcntl.flock

    def refuse(file: Any, how: int) -> None:
        if Path(file.name).is_relative_to(refused):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        usual(file, how)

    monkeypatch.setattr(fcntl, "flock", refuse)
    refused, folder = tmp_path, SweepFolder(tmp_path)
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "lock"))):
        folder.session([small()]).__enter__()
    refused = tmp_path / "cells"
    with folder.session([small()]), pytest.raises(OSError, match=re.escape(str(folder.of(small()).path / "lock"))):
        sweep.run([small()], folder, Serial())
