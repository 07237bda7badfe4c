"""A cell of `passes` at cpu scale: its training step, its sleep, its prediction and what `Trainer.run` adds.

Run by `make perf`, never by the suite. Nothing here asserts a time.
"""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from timing import medians, per_second

from benchmark.measure.speed import workloads

Note = Callable[..., None]
PASSES = pytest.mark.parametrize("passes", [1, 2, 4])


@pytest.mark.benchmark(group="training step, cpu scale")
@PASSES
def test_train_step(benchmark: BenchmarkFixture, note: Note, passes: int) -> None:
    benchmark.pedantic(workloads.train_step(passes), rounds=20, warmup_rounds=2)
    note(tokens_per_s=per_second(benchmark, workloads.trainer(passes).tokens_per_step))


@pytest.mark.benchmark(group="sleep over one window, no gradients, cpu scale")
@PASSES
def test_sleep(benchmark: BenchmarkFixture, note: Note, passes: int) -> None:
    benchmark.pedantic(workloads.sleep(passes), rounds=20, warmup_rounds=2)
    one, here = medians(workloads.sleep(1), workloads.sleep(passes), rounds=15)
    note(ms_per_pass=1e3 * here / passes, cost_per_pass_against_one_pass=here / passes / one)


@pytest.mark.benchmark(group="prediction after sleeping N times, no gradients, cpu scale")
@PASSES
def test_wake(benchmark: BenchmarkFixture, note: Note, passes: int) -> None:
    benchmark.pedantic(workloads.wake(passes), rounds=100, warmup_rounds=10)
    one, here = medians(workloads.wake(1), workloads.wake(passes), rounds=100)
    note(latency_against_one_pass=here / one)


@pytest.mark.benchmark(group="100 training steps with data, bookkeeping and a checkpoint, cpu scale")
def test_trainer_overhead(benchmark: BenchmarkFixture, note: Note, tmp_path: Path) -> None:
    """Everything in `Trainer.run` beside the steps themselves, at N = 1, where a step is shortest."""
    made = workloads.trainer(1, steps=100, folder=tmp_path, evaluations=1, test_examples=1)
    spent = dict.fromkeys(("batches", "train_step", "save", "test"), 0.0)

    def watched(name: str) -> Callable[..., Any]:
        inner = getattr(made, name)

        def call(*arguments: Any) -> Any:
            begun = time.perf_counter()
            result = inner(*arguments)
            spent[name] += time.perf_counter() - begun
            return result

        def iterate(*arguments: Any) -> Iterator[Any]:
            items, end = inner(*arguments), object()
            while True:
                begun = time.perf_counter()
                item = next(items, end)
                spent[name] += time.perf_counter() - begun
                if item is end:
                    return
                yield item

        return iterate if name in ("batches", "test") else call

    for name in spent:
        setattr(made, name, watched(name))
    assert benchmark.pedantic(made.run, rounds=1) == "ok"
    step = spent["train_step"] / 100
    bookkeeping = benchmark.stats.stats.total - sum(spent.values()) if benchmark.stats else math.nan
    note(
        data_percent_of_a_step=spent["batches"] / step,
        bookkeeping_percent_of_a_step=bookkeeping / step,
        checkpoint_ms=1e3 * spent["save"],
        step_ms=1e3 * step,
    )
