"""Where numbers come from: commit, versions and machine."""

import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PACKAGED = Path(__file__).resolve().parent / "paper"
"""Where a wheel has the files of `results/paper`; a checkout lacks this folder."""

PAPER = PACKAGED if PACKAGED.is_dir() else ROOT / "results" / "paper"
"""What the paper says, as data."""

REFERENCE = ROOT / "results" / "reference"
"""The committed evidence: a folder of rows and figures per suite and scale."""


@lru_cache(maxsize=1)
def commit() -> str | None:
    """The checkout's commit, with '-dirty' if its code was changed since; None outside a repository."""
    try:
        here = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "benchmark", "tasks", "baselines")
    except (OSError, subprocess.CalledProcessError):
        return None
    return here + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


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
        "python": platform.python_version(),
        "packages": packages,
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
    }


@lru_cache(maxsize=1)
def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
