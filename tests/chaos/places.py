"""Folders where not all can be written, and that several sweeps want; clocks that jump."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos import forks
from chaos.study import Study, drive, expect

YEARS_S = 365.25 * 24 * 3600
KNOWN = {0, 1, 2}


def campaign(study: Study, count: int) -> None:
    """As many of each kind that this machine allows."""
    for kind in (full_disk, read_only, short_files, several_drivers, other_clocks):
        for _ in range(count):
            if not kind(study):
                study.counts[f"{_words(kind)}: not possible here"] = 1
                break
            study.counts[_words(kind)] += 1


def _words(kind: Callable[[Study], bool]) -> str:
    return kind.__name__.replace("_", " ")


def full_disk(study: Study) -> bool:
    """A disk that is full sooner or later, and has room again afterwards."""
    out, size = study.folder(), 4 * study.random.choice((1, 2, 4, *range(5, 60)))
    how = "local" if study.random.random() < 0.15 else "serial"
    with _mounted(out, f"size={size}k") as mounted:
        if mounted:
            done = forks.call(drive, study.planned, out, how)
            study.ended(done, KNOWN, f"a disk of {size} KiB", how=how)
            for line in done.said.splitlines():
                expect(not line.startswith("bench: ") or str(out) in line, "the full disk is not named", done.said)
            _mount(out, "remount,size=64m")
            study.whole(out, f"a disk of {size} KiB")
    return mounted


def read_only(study: Study) -> bool:
    """A folder that cannot be written, empty or not: one message, and it is as it was."""
    out = study.folder()
    with _mounted(out, "size=64m") as mounted:
        if mounted:
            if study.random.random() < 0.7:
                shutil.copytree(study.trained(), out, dirs_exist_ok=True)
            if study.random.random() < 0.5:
                for path in out.glob("cells/*/finished.json"):
                    path.unlink()
            before = _contents(out)
            _mount(out, "remount,ro")
            done = forks.call(drive, study.planned, out)
            study.ended(done, {2}, "a sweep in a read-only folder")
            expect(done.said.startswith(f"bench: cannot write to {out}: "), "it is not said", done.said)
            _mount(out, "remount,rw")
            expect(_contents(out) == before, "a read-only folder has changed", out)
            study.whole(out, "a read-only folder")
    return mounted


def short_files(study: Study) -> bool:
    """The system lets no file be longer than so many bytes."""
    out, most = study.folder(), study.random.choice((1, 100, 1000, *range(2000, 60000, 1000)))

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        drive(study.planned, out)

    study.ended(forks.call(limited), KNOWN, f"files of at most {most} bytes")
    study.whole(out, f"files of at most {most} bytes")
    return True


def several_drivers(study: Study) -> bool:
    """Sweeps that begin at nearly the same moment, in one folder: one trains, the others say why they do not."""
    out, drivers = study.folder(), []
    for _ in range(study.random.choice((2, 2, 3))):
        drivers.append(forks.begin(drive, study.planned, out))
        time.sleep(study.random.choice((0.0, 0.01, 0.1, 0.3)))
    ends = [driver.wait(60.0) for driver in drivers]
    for done in ends:
        study.ended(done, {0, 2}, "several drivers")
        expect(done.code == 0 or f"bench: {out} is in use by process " in done.said, "it is not said", done.said)
    expect(any(done.code == 0 for done in ends), "of several drivers none has trained", *ends)
    study.whole(out, "several drivers")
    return True


def other_clocks(study: Study) -> bool:
    """The clock jumps by years while a sweep runs, and files are of the past or the future."""
    out, jumps = study.folder(), [study.random.uniform(-50, 50) * YEARS_S for _ in range(99)]

    def jumping() -> None:
        now, now_ns, calls = time.time, time.time_ns, iter(range(10**9))
        time.time = lambda: now() + jumps[next(calls) % 99]
        time.time_ns = lambda: now_ns() + int(jumps[next(calls) % 99] * 1e9)
        drive(study.planned, out)

    def looking() -> None:
        from harness import bench

        print(done := bench("status", out))
        sys.exit(done.code)

    driver = forks.begin(jumping)
    time.sleep(study.random.uniform(0.05, 0.5))
    driver.send(9)
    study.ended(driver.wait(60.0), {0, -9}, "a clock that jumps")
    for path in out.rglob("*"):
        then = max(0.0, time.time() + study.random.choice(jumps))
        os.utime(path, (then, then))
    study.ended(forks.call(looking), KNOWN, "files of another time: bench status", how="local")
    study.whole(out, "files of another time")
    return True


def _contents(out: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@contextmanager
def _mounted(place: Path, options: str) -> Iterator[bool]:
    """A file system in memory at a place, where this user may make one."""
    place.mkdir()
    there = os.geteuid() == 0 and _mount(place, options)
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", str(place)], check=True)
        with contextlib.suppress(OSError):
            place.rmdir()


def _mount(place: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    return subprocess.run(command, capture_output=True).returncode == 0
