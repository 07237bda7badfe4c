"""What Ray adds to a cell once its workers are warm: a stream of cells of one step, on Ray and in this process.

Run by `make perf`, never by the suite. Nothing here asserts a time.
"""

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from baselines.hybrid import Hybrid
from benchmark.cells.cell import Cell, Training
from benchmark.run.executors import Executor, Job
from benchmark.run.executors.ray import Ray
from benchmark.run.executors.serial import Serial
from tasks.rule110 import Rule110

CELLS, WARM = 60, 20


def times(trains: Executor, folder: Path) -> tuple[float, float]:
    """Median seconds of a cell, and from the end of one to the start of the next, after the first few."""
    jobs, starts, ends = list[Job](), list[float](), list[float]()
    for seed in range(WARM + CELLS):
        cell = Cell(
            task=Rule110(cells=4, strings=1, rollout_steps=1),
            model=Hybrid(layout="attn gdn", d_model=8, heads=2, mlp_ratio=1),
            training=Training(tokens=40, batch=8, evaluations=1, test_examples=16),
            seed=seed,
        )
        jobs.append(Job(cell=cell, folder=folder / cell.id, device="cpu", context={}))
        jobs[-1].folder.mkdir(parents=True)
    for event in trains.run(jobs):
        if event.kind in ("start", "end"):
            (starts if event.kind == "start" else ends).append(time.perf_counter())
            assert event.contents.get("status", "ok") == "ok"
    each = [b - a for a, b in zip(ends[WARM:-1], ends[WARM + 1 :], strict=True)]
    between = [b - a for a, b in zip(ends[WARM:-1], starts[WARM + 1 :], strict=True)]
    return statistics.median(each), statistics.median(between)


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'ray==2.60.*'")
@pytest.mark.benchmark(group="60 cells of one step, one at a time")
def test_ray(benchmark: BenchmarkFixture, note: Callable[..., None], tmp_path: Path) -> None:
    here, _ = times(Serial(), tmp_path / "here")
    there, between = benchmark.pedantic(times, args=(Ray(jobs=1), tmp_path / "ray"), rounds=1)
    note(ms_here=1e3 * here, ms_on_ray=1e3 * there, ms_from_end_to_start=1e3 * between, added_ms=1e3 * (there - here))
