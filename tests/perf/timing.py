"""Rates, and medians of calls in turn, so that a busy machine slows all of them alike."""

import math
import statistics
import time
from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture


def per_second(benchmark: BenchmarkFixture, count: float) -> float:
    """So many things a call, over its median seconds; nothing to tell under --benchmark-disable."""
    return float(count / benchmark.stats.stats.median) if benchmark.stats else math.nan


def medians(*runs: Callable[[], object], rounds: int) -> list[float]:
    """Median seconds of each, called in turn, after two rounds to warm up."""
    times = [[timed(run) for run in runs] for _ in range(rounds + 2)][2:]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def timed(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun
