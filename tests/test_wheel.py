"""A wheel works far from the repository: it trains, judges and draws."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark import environment, rows
from benchmark.environment import ROOT

RUN = ("run", "quick", "--scale", "tiny", "--set", "tokens=2000", "--seeds", "0,1")
ROWS = "results/runs/quick-tiny"


def pip(*arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments), "--quiet", "--no-deps", "--no-index"], check=True
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    pip("install", "--target", folder / "site", *folder.glob("*.whl"))
    return folder / "site"


def bench(site: Path, here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmark", *arguments]
    return subprocess.run(command, cwd=here, env=environ, capture_output=True, text=True)


@pytest.mark.long
def test_a_wheel_trains_judges_and_draws(site: Path, tmp_path: Path) -> None:
    for arguments in (RUN, ("verify", ROWS), ("figures", ROWS), ("seeds", ROWS)):
        done = bench(site, tmp_path, *arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    assert (tmp_path / ROWS / "figures" / "accuracy_by_depth.png").exists()
    identity = rows.read_table(tmp_path / ROWS).select(rows.IDENTITY).unique().rows()
    assert identity == [(None, environment.source())], "no commit, and the source of the checkout"
    assert all((site / package / "py.typed").exists() for package in ("benchmark", "tasks", "baselines"))
    assert (site / "baselines" / "native" / "kernel.c").exists()  # compiled where it is used


def test_it_says_where_the_reference_rows_are(site: Path, tmp_path: Path) -> None:
    done = bench(site, tmp_path, "verify")
    assert done.returncode == 2
    assert "come with a clone" in done.stderr
