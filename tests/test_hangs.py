"""Cells that hang, and processes that they leave: the sweep goes on or ends in time, and nothing is left of them.

Most workers here are a few lines that import no torch and do what a model might: what is looked at is the sweep.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import small

from baselines.addresses import FOLDER, model_at
from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.run import sweep
from benchmark.run.executors import Event, Job, executor, guard, local, patience, process
from benchmark.run.executors.local import Local
from benchmark.run.executors.patience import Patience
from benchmark.run.folder import SweepFolder

PRELUDE = """
import json, os, signal, sys, threading, time
pipe = int(sys.argv[1])
sys.stdin.readline()
def say(**event): os.write(pipe, (json.dumps(event) + chr(10)).encode())
def step(number): say(event="progress", step=number, tokens_per_s=1.0, new_rows=[])
def end(): say(event="end", status="ok", reason=None)
def child(then=lambda: time.sleep(99)):
    if not (pid := os.fork()):
        then()
        os._exit(0)
    return pid
def daemon():
    os.setsid()
    child()
"""

UNRULY = {
    "leaves a child that holds the pipe": "child(); end()",
    "leaves a thread that is no daemon": "threading.Thread(target=time.sleep, args=(99,)).start(); end()",
    "leaves a daemon in a session of its own": "child(daemon); time.sleep(0.1); end()",
    "leaves a child that hears no signal": "signal.signal(signal.SIGTERM, signal.SIG_IGN); child(); end()",
    "leaves a child that is stopped": "os.kill(child(), signal.SIGSTOP); end()",
    "stops its guard": "end(); os.kill(os.getppid(), signal.SIGSTOP); time.sleep(99)",
}
"""What a worker does whose cell is done."""

HANGING = {
    "before the first step": "say(event='alive'); time.sleep(99)",
    "after a step": "step(3); time.sleep(99)",
    "while it says that it is there": "step(3)\nwhile True: say(event='alive'); time.sleep(0.05)",
    "stopped": "step(3); os.kill(os.getpid(), signal.SIGSTOP)",
    "deaf": "[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; child(daemon); step(3); time.sleep(99)",
    "with everything closed": "step(3); sys.stdin.close(); child(); os.close(0) if 0 else None; time.sleep(99)",
}


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mark that every process has which is started meanwhile; nothing with it is left at the end."""
    mark = f"SLEEPBENCH_MARK_{uuid.uuid4().hex}"
    monkeypatch.setenv(mark, "1")
    yield mark
    assert not alive(mark)


def alive(mark: str) -> list[int]:
    """The processes with a mark in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in place.read_bytes():
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have workers do something; limits are short."""
    monkeypatch.setattr(Local, "least_patience_s", 0.4)
    monkeypatch.setattr(patience, "START_S", 5.0)
    monkeypatch.setattr(patience, "SILENCE_S", 0.2)
    monkeypatch.setattr(patience, "STOP_LEAST_S", 0.3)
    monkeypatch.setattr(process, "EXIT_WAIT_S", 0.2)
    monkeypatch.setattr(local, "EXIT_WAIT_S", 0.2)
    monkeypatch.setattr(local, "TICK_S", 0.02)
    monkeypatch.setattr(guard, "KILL_S", 1.0)

    def put(script: str) -> None:
        monkeypatch.setattr(process, "WORKER", ("-I", "-S", "-c", PRELUDE + textwrap.dedent(script)))

    return put


def jobs(folder: Path, *seeds: int) -> list[Job]:
    return [Job(cell=small(seed=seed), folder=folder / str(seed), device="cpu", context={}) for seed in seeds or (0,)]


@pytest.mark.parametrize("what", UNRULY)
def test_a_cell_that_is_done_keeps_nobody_waiting(what: str, tmp_path: Path, token: str, says: Any) -> None:
    says(UNRULY[what])
    begun = time.monotonic()
    events = [(event.cell.seed, event.kind) for event in Local(jobs=1).run(jobs(tmp_path, 0, 1))]
    assert events == [(0, "start"), (0, "end"), (1, "start"), (1, "end")]
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("where", HANGING)
def test_a_hanging_cell_becomes_a_row(where: str, tmp_path: Path, token: str, says: Any) -> None:
    says(HANGING[where])
    cells, folder = [small(), small(seed=1)], SweepFolder(tmp_path)
    with folder.session(cells):
        states = sweep.run(cells, folder, Local(jobs=2))
    assert {state.status for state in states.values()} == {"timed_out"}
    for row in rows.read_table(tmp_path).to_dicts():
        assert row["status"] == "timed_out"
        assert row["step"] == (None if where == "before the first step" else 3)
        words, _, log = row["reason"].partition("; see ")
        assert (words.startswith("no step for ") and "after step 3" in words) or "before its first step" in words
        assert ("has said nothing" in words) == ("it is there" not in where)
        assert Path(log).is_file() and row["cell_id"] in log


def test_a_cell_may_take_so_long_and_no_longer(tmp_path: Path, token: str, says: Any) -> None:
    says("for i in range(999): step(i); time.sleep(0.02)")
    (_, *progress, end) = executor("local", jobs=1, cell_timeout=0.5).run(jobs(tmp_path))
    assert progress, "it was making steps"
    assert end.contents["status"] == "timed_out"
    assert end.contents["reason"].startswith("not done after ") and "--cell-timeout 0.5" in end.contents["reason"]
    for wrong in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="cell_timeout must be above 0 seconds"):
            executor("local", cell_timeout=wrong)
    with pytest.raises(ValueError, match="'serial' cannot end a cell that hangs"):
        executor("serial", cell_timeout=5.0)


def test_patience_grows_with_the_work_and_with_what_steps_took() -> None:
    now = [0.0]
    watch = Patience(clock=lambda: now[0])
    now[0] = 599.0
    assert watch.overdue is None
    watch.hear({"event": "alive"})
    now[0] += 601.0
    assert watch.overdue == "no step for 601 s, before its first step; its process has said nothing for 601 s"
    watch.hear({"event": "counted", "step_flops": 1e12})  # a fifth of a minute on a slow core, here at least 1000 s
    now[0] += 19_000
    assert watch.overdue is None
    watch.hear({"event": "progress", "step": 1})
    now[0] += 15_000
    watch.hear({"event": "progress", "step": 2})  # so slow is it
    now[0] += 290_000
    watch.hear({"event": "alive"})
    assert watch.overdue is None
    now[0] += 11_000
    watch.hear({"event": "alive"})
    assert watch.overdue == "no step for 301000 s, after step 2"
    assert (watch.stop_s(60.0), watch.stop_s(15.0)) == (60.0, 15.0)
    assert Patience().stop_s(60.0) == 10.0, "nothing is known of it: it hangs, or has only just begun"


# The end of a sweep


def stopped(tmp_path: Path, *, second: bool = False, seconds: float) -> tuple[SweepFolder, Cell]:
    """A sweep of one cell, interrupted at its first step, and again while it stops; it must end within seconds."""
    cell, folder, trains = small(), SweepFolder(tmp_path), Local(jobs=1)
    main, ends, timers = threading.main_thread().ident, list[float](), list[threading.Timer]()

    def on_event(event: Event) -> None:
        if event.kind == "progress":
            ends.append(time.monotonic())
            raise KeyboardInterrupt

    def on_stop() -> None:
        if second:
            timers.append(threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)))
            timers[0].start()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C
    try:
        with folder.session([cell]), pytest.raises(KeyboardInterrupt):
            sweep.run([cell], folder, trains, on_event=on_event, on_stop=on_stop)
    finally:
        for timer in timers:
            timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - ends[0] < seconds
    return folder, cell


def test_a_cell_that_saves_is_waited_for(tmp_path: Path, token: str, says: Any) -> None:
    says("step(1); sys.stdin.readline(); time.sleep(0.1); say(event='end', status='stopped', reason=None)")
    folder, cell = stopped(tmp_path, seconds=5)
    assert folder.of(cell).state == ("waiting", None)


@pytest.mark.parametrize("second", [False, True])
def test_one_that_does_not_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, says: Any, second: bool
) -> None:
    says("step(1); child(daemon); time.sleep(99)")
    monkeypatch.setattr(patience, "STOP_LEAST_S", 60.0 if second else 0.3)
    monkeypatch.setattr(Local, "least_patience_s", 60.0)
    folder, cell = stopped(tmp_path, second=second, seconds=5)
    status, reason = folder.of(cell).state
    assert status == "cancelled"
    assert reason is not None and reason.startswith("the sweep was stopped, and it did not save in time; see ")
    assert rows.read(folder.of(cell).rows_file)[-1]["step"] == 1


# The guard alone


def guarded(script: str, wait_s: float = 0.2) -> tuple[subprocess.Popen[str], int]:
    """A guard with a worker of a few lines, and the pipe of events."""
    told, tell = os.pipe()
    worker = [sys.executable, "-I", "-S", "-c", PRELUDE + script, str(tell)]
    command = [sys.executable, "-I", "-S", str(guard.__file__), str(wait_s), str(tell), *worker]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(tell,), text=True, start_new_session=True)
    os.close(tell)
    assert started.stdin is not None
    started.stdin.write("job\n")
    started.stdin.flush()
    return started, told


def first_words(pipe: int) -> Any:
    with os.fdopen(pipe) as file:
        return json.loads(file.readline())


@pytest.mark.parametrize(
    "hang", ["time.sleep(99)", "os.kill(os.getpid(), signal.SIGSTOP)", "child(daemon); os.abort()"]
)
def test_nothing_is_left_once_the_sweep_is_gone(hang: str, token: str) -> None:
    """Killed, it cannot end its workers; what is left of it is that the pipe closes."""
    started, told = guarded(f"child(); child(daemon); time.sleep(0.1); step(1); {hang}")
    assert first_words(told)["step"] == 1
    assert alive(token)
    with started:
        started.stdin.close()  # type: ignore[union-attr]
        code = started.wait(10)
    assert code == 128 + (signal.SIGABRT if "abort" in hang else signal.SIGKILL)


def test_a_worker_has_time_to_save_when_the_sweep_is_gone(token: str) -> None:
    started, told = guarded("step(1); sys.stdin.readline(); time.sleep(0.2); sys.exit(7)", wait_s=30.0)
    assert first_words(told)["step"] == 1
    with started:
        started.stdin.close()  # type: ignore[union-attr]
        assert started.wait(10) == 7


def test_a_worker_does_not_outlive_its_guard(token: str) -> None:
    started, told = guarded("step(1); time.sleep(99)")
    assert first_words(told)["step"] == 1
    with started:
        started.kill()
    deadline = time.monotonic() + 5
    while alive(token) and time.monotonic() < deadline:
        time.sleep(0.01)


# Real workers


def test_models_that_end_hang_or_are_too_large_are_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """None of them runs in the process of the sweep, which goes on to the last."""
    monkeypatch.setenv(FOLDER, str(Path(__file__).parent))
    monkeypatch.setattr(Local, "least_patience_s", 4.0)
    names = ("Leaving", "Dying", "Stuck")
    cells = [replace(small(), model=model_at(f"faulty:{name}")(layout="gdn", d_model=8, heads=2)) for name in names]
    cells += [small(d_model=2_000_000, heads=2), small()]
    folder = SweepFolder(tmp_path)
    with folder.session(cells):
        states = sweep.run(cells, folder, Local(jobs=2))
    status = [states[cell.id].status for cell in cells]
    assert status == ["crashed", "crashed", "timed_out", "out_of_memory", "ok"]
    reasons = [states[cell.id].reason or "" for cell in cells]
    assert reasons[0] == "SystemExit: 0"
    assert reasons[1].startswith("the worker ended with signal SIGSEGV; see ")
    assert "before its first step" in reasons[2]
    assert "can't allocate memory" in reasons[3]
