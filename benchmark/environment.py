"""Where numbers come from: commit, source, versions and machine."""

import hashlib
import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PACKAGES = ("benchmark", "tasks", "baselines")
"""The packages that numbers come from."""

SOURCES = ("tasks", "baselines", "benchmark/forward.py", "benchmark/cells", "benchmark/run")
"""What computes the numbers of a row: all Python and C of these, but for `EXEMPTIONS`."""

EXEMPTIONS = {
    "benchmark/cells": ("dictionary", "grids", "request", "rivals", "scales", "source", "suites", "words"),
    "benchmark/run": (
        *("executors", "board", "cell_folder", "checkpoint", "code", "damage", "estimate", "folder", "reference"),
        *("standing", "sweep", "tracking", "upkeep", "weights", "work", "worker"),
    ),
}
"""What of `SOURCES` chooses, moves, keeps or shows cells, and computes nothing of them. A new file counts."""

PACKAGED_PAPER = Path(__file__).resolve().parent / "paper"
"""Where a wheel has the files of `results/paper`; a checkout lacks this folder."""

PAPER = PACKAGED_PAPER if PACKAGED_PAPER.is_dir() else ROOT / "results" / "paper"
"""What the paper says, as data."""

REFERENCE = ROOT / "results" / "reference"
"""The committed evidence: a folder of rows and figures per suite and scale."""


@lru_cache(maxsize=1)
def commit() -> str | None:
    """The checkout's commit, with '-dirty' if its code was changed since; None where this code is not under git.

    A repository around it that does not hold it, such as that of a project whose environment it is installed in, is
    none of its own.
    """
    try:
        if not _git("ls-files", "--", *PACKAGES):
            return None
        here = _git("rev-parse", "--short=12", "HEAD")
        changes = _git("status", "--porcelain", "--", *PACKAGES)
    except (OSError, subprocess.CalledProcessError):
        return None
    return here + ("-dirty" if changes else "")


@lru_cache(maxsize=1)
def source() -> str:
    """Twelve hex digits of the hash of `SOURCES`, names and bytes: the same in a checkout and where it is installed.

    Read once a process, when first asked. A module named on the command line is no part of it.
    """
    digest = hashlib.sha256()
    for path in source_files():
        data = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT).as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:12]


def source_files() -> list[Path]:
    """The files that `SOURCES` names, in a fixed order."""
    apart = {ROOT / place / name for place, names in EXEMPTIONS.items() for name in names}
    places = [ROOT / name for name in SOURCES]
    paths = (path for place in places for path in (place.rglob("*") if place.is_dir() else [place]))
    files = (path for path in paths if path.suffix in (".py", ".c", ".h"))
    return sorted(path for path in files if not apart & {path.with_suffix(""), *path.parents})


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    process = subprocess.run(command, cwd=ROOT, env=without_git(), capture_output=True, text=True, check=True)
    return process.stdout.strip()


def without_git() -> dict[str, str]:
    """The environment without git's own variables: inside a hook they name another repository or index."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def describe() -> dict[str, object]:
    """Commit, versions and machine, as written beside results."""
    packages: dict[str, str | None] = {}
    for name in ("torch", "numpy", "polars", "matplotlib", "typer"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {
        "commit": commit(),
        "source": source(),
        "python": platform.python_version(),
        "packages": packages,
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
    }


QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """Cores that this process may use: those it may run on, and no more than a container's quota of processor time."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="utf-8").split()
        return max(1, min(mine, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return mine


@lru_cache(maxsize=1)
def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
