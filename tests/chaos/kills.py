"""Signals at random moments, to the driver of a sweep and to its workers and their guards."""

import contextlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

from chaos import forks
from chaos.forks import Fork
from chaos.study import LIMIT_S, Study, drive, expect

ENDING = ("driver KILL", "driver TERM", "driver INT", "driver INT twice", "driver HUP", "all KILL", "stopped KILL")
"""After these the driver ends. The last stops the workers first, so that none can notice."""
PASSING = (
    *(f"worker {name}" for name in ("KILL", "KILL", "TERM", "INT", "SEGV", "STOP CONT")),
    *("guard KILL", "guard TERM", "guard STOP CONT", "driver STOP CONT"),
)
"""After these it goes on. On Ray the guard is its raylet."""

MOST_S = {"local": 4.0, "ray": 15.0}
"""The latest that a moment is, by executor: Ray takes seconds to start."""

GONE_S = 20.0
"""How long a driver may take that has been told to end."""

PER_FOLDER = 40

Progress = tuple[int, bytes | None]
"""The step of a cell's checkpoint, and once the cell has ended its rows: times too, as it is not trained again."""


def campaign(study: Study, count: int, how: str = "local", jobs: int = 2) -> None:
    """As many signals; once the cells of a folder are done, or it has had its share, all must be whole."""
    while (done := sum(study.counts.values())) < count:
        out, most, before = study.folder(), min(count, done + PER_FOLDER), dict[str, Progress]()
        while sum(study.counts.values()) < most and len(list(out.glob("cells/*/finished.json"))) < len(study.planned):
            _sweep(study, out, most, how, jobs)
            if study.random.random() < 0.5:  # else the next driver begins while workers of the last still save
                study.alone("signals")
                before = _no_less(before, _progress(out))
        expect(not (aside := list(out.rglob("*.damaged-*"))), "signals have damaged files", *aside)
        study.whole(out, f"{sum(study.counts.values())} signals", how=how if study.random.random() < 0.2 else "serial")
        shutil.rmtree(out)


def _sweep(study: Study, out: Path, most: int, how: str, jobs: int) -> None:
    """One driver, until a signal ends it or its cells are done."""
    driver, sent = forks.begin(drive, study.planned, out, how, jobs), list[str]()
    while sum(study.counts.values()) < most:
        _moment(study, out, driver, MOST_S[how])
        if driver.poll():
            break
        kind = study.random.choice(ENDING if study.random.random() < 0.35 else PASSING)
        if not _send(study, kind, driver):
            continue
        sent.append(kind)
        study.counts[kind.replace(" STOP CONT", " stopped for a while")] += 1
        if kind in ENDING:
            return _ended(study, driver, sent)
    # Without Ray's guard there is no Ray; a driver that was about to join it is ended by it.
    study.ended(driver.wait(LIMIT_S), {0, 1} if how == "local" else {0, 1, 2}, sent, how=how)
    return None


def _progress(out: Path) -> dict[str, Progress]:
    """That of each cell."""
    found = {}
    for folder in out.glob("cells/*"):
        rows = (folder / "rows.jsonl").read_bytes() if (folder / "finished.json").exists() else None
        step = 0
        if (saved := folder / "checkpoint.safetensors").exists():
            with saved.open("rb") as file:
                header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            step = json.loads(header["__metadata__"]["facts"])["step"]
        found[folder.name] = step, rows
    return found


def _no_less(before: dict[str, Progress], after: dict[str, Progress]) -> dict[str, Progress]:
    """The later progress, which must contain the earlier one."""
    for name, (step, rows) in before.items():
        expect(after[name][0] >= step, f"cell {name} has lost its checkpoint of step {step}", after[name][0])
        expect(rows in (None, after[name][1]), f"cell {name} had ended, and its rows are others")
    return after


def _moment(study: Study, out: Path, driver: Fork, most_s: float) -> None:
    """Wait: for some time, or until cells have written something, and a little longer."""
    deadline = time.monotonic() + study.random.uniform(0, most_s)
    if study.random.random() < 0.3:
        while time.monotonic() < deadline and not driver.poll():
            time.sleep(0.01)
        return
    changes, before = study.random.randint(1, 3), _written(out)
    while time.monotonic() < deadline and not driver.poll() and changes:
        if (now := _written(out)) != before:
            before, changes = now, changes - 1
        time.sleep(0.003)
    time.sleep(study.random.choice((0.0, 0.002, 0.02)))


def _written(out: Path) -> dict[str, int]:
    """What the cells have written, and when."""
    found = {}
    for folder in out.glob("cells/*"):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                found[entry.path] = entry.stat().st_mtime_ns
    return found


def _send(study: Study, kind: str, driver: Fork) -> bool:
    """Send what a kind says; whether there was anybody to send it to."""
    whom, name, *rest = kind.split()
    there = study.descent.look()
    workers = [pid for pid, said in there.items() if _is_worker(said)]
    guards = [pid for pid, said in there.items() if "guard.py" in said or "/raylet/raylet " in said]
    if whom == "driver":
        pids = [driver.pid]
    elif whom == "all":
        pids = [driver.pid, *study.random.sample(sorted(there), len(there))]
    elif whom == "stopped":
        # A worker of Ray that has no cell is Ray's alone: while it is stopped, nothing of the sweep's can end it.
        workers = [pid for pid in workers if there[pid] != "ray::IDLE"]
        for pid in workers:
            _kill(pid, signal.SIGSTOP)
        pids = [driver.pid] if workers else []
    else:
        pids = [study.random.choice(found)] if (found := sorted(workers if whom == "worker" else guards)) else []
    for pid in pids:
        _kill(pid, signal.Signals[f"SIG{name}"])
    if rest:
        time.sleep(study.random.uniform(0, 0.5))
        for pid in pids:
            _kill(pid, signal.SIGCONT if rest == ["CONT"] else signal.Signals[f"SIG{name}"])
    return bool(pids)


def _is_worker(command: str) -> bool:
    ours = "benchmark.run.worker" in command and "guard.py" not in command
    return ours or command.startswith(("ray::attempt", "ray::IDLE"))


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _ended(study: Study, driver: Fork, sent: list[str]) -> None:
    """Wait for a driver that was told to end; the next one may begin while its workers save."""
    name = sent[-1].split()[1]
    begun = time.monotonic()
    done = driver.wait(LIMIT_S)
    number = signal.Signals[f"SIG{name}"]
    # A fork that is only beginning, or has done its work, has the system's handling of signals, as any process.
    codes = {-number, 128 + number, *((0, 1) if name != "KILL" else ())}
    study.ended(done, codes, sent, how="local")
    took = time.monotonic() - begun
    # One whose cells were done writes its tables whatever it is told, which on a busy machine takes long.
    expect(took < GONE_S or done.code in (0, 1), f"{sent[-1]}: the driver took {took:.0f} s", done)


def on_ray(study: Study, count: int) -> None:
    """The same on Ray of this machine."""
    before = set(Path("/tmp").glob("bench-ray-*"))
    campaign(study, count, how="ray")
    for left in set(Path("/tmp").glob("bench-ray-*")) - before:  # of drivers that were killed: Ray's own logs
        shutil.rmtree(left, ignore_errors=True)
