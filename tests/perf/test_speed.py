"""Timings, all on one thread: run by `make perf`, never by the suite. They assert nothing about time.

What a row means beyond its seconds is printed below it and kept in `extra_info` of `--benchmark-json`. Ratios are
medians over alternating calls in one run, so that a busy machine slows both sides alike.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from baselines.base import State
from baselines.fast_weights import gated_delta, gated_delta_reference
from benchmark.forward import Batch
from benchmark.suites import suite
from benchmark.trainer import Trainer
from tasks.rule110 import Rule110, evolve

Run = Callable[[], object]
PASSES = pytest.mark.parametrize("passes", [1, 2, 4])


def timed(run: Run) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def medians(*runs: Run, rounds: int) -> list[float]:
    """Median seconds of each, called in turn, after two rounds to warm up."""
    times = [[timed(run) for run in runs] for _ in range(rounds + 2)][2:]
    return [statistics.median(column) for column in zip(*times, strict=True)]


# --- the rule ---


def gated_delta_step(form: Callable[..., tuple[Tensor, Tensor]]) -> Run:
    """Forward and backward at B 32, H 4, T 24, K 32, V 64."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(32, 4, *shape, generator=random)

    q, k = (torch.nn.functional.normalize(normal(24, 32), dim=-1) for _ in range(2))
    log_decay, beta = -normal(24).exp() / 10, normal(24).sigmoid()
    arguments = [a.requires_grad_() for a in (q, k, normal(24, 64), log_decay, beta, normal(32, 64))]
    weights = normal(24, 64), normal(32, 64)
    return lambda: torch.autograd.grad(form(*arguments), arguments, weights)


@pytest.mark.benchmark(group="gated delta rule, forward and backward: B 32, H 4, T 24, K 32, V 64")
@pytest.mark.parametrize("form", [gated_delta_reference, gated_delta], ids=["token loop", "fast form"])
def test_gated_delta(benchmark: BenchmarkFixture, note: Callable[..., None], form: Any) -> None:
    benchmark.pedantic(gated_delta_step(form), rounds=20, warmup_rounds=2)
    if form is gated_delta:
        slow, fast = medians(gated_delta_step(gated_delta_reference), gated_delta_step(gated_delta), rounds=25)
        note(times_faster_than_token_loop=slow / fast)


# --- data ---


@pytest.mark.benchmark(group="Rule 110: 200,000 strings of 24 cells, 32 steps")
def test_evolve(benchmark: BenchmarkFixture, note: Callable[..., None]) -> None:
    states = np.random.default_rng(0).integers(0, 1 << 24, 200_000, dtype=np.uint32)
    benchmark.pedantic(evolve, args=(states, 24, 32), rounds=20, warmup_rounds=2)
    note(strings_per_s=len(states) / benchmark.stats.stats.median)


@pytest.mark.benchmark(group="Rule 110: 512 training examples of the paper's size")
def test_episodes(benchmark: BenchmarkFixture, note: Callable[..., None]) -> None:
    task = Rule110(cells=24, strings=4, rollout_steps=32)
    benchmark.pedantic(task.episodes, args=("train", np.arange(512)), rounds=50, warmup_rounds=3)
    note(tokens_per_s=512 * task.seq_len / benchmark.stats.stats.median)


# --- a cell of `passes` at cpu scale ---


def trainer(passes: int, *, steps: int = 1000, folder: Path | None = None, **settings: Any) -> Trainer:
    base = suite("passes", "cpu").bases[0].with_settings({"rollout_steps": 6, "sleep_passes": passes, **settings})
    tokens = steps * base.training.batch * base.task.seq_len
    return Trainer(base.with_settings({"tokens": tokens}), folder or Path())


def windows(made: Trainer, batch: Batch) -> tuple[Tensor, Tensor]:
    """The consolidated and the predicted window of a batch."""
    (_, end, _), _ = batch.windows
    return batch.inputs[:, :end], batch.inputs[:, end:]


@pytest.mark.benchmark(group="training step, cpu scale")
@PASSES
def test_train_step(benchmark: BenchmarkFixture, note: Callable[..., None], passes: int) -> None:
    made = trainer(passes)
    batch = next(made.batches(0))
    benchmark.pedantic(made.train_step, args=(batch,), rounds=20, warmup_rounds=2)
    note(tokens_per_s=made.tokens_per_step / benchmark.stats.stats.median)


@pytest.mark.benchmark(group="sleep over one window, no gradients, cpu scale")
@PASSES
def test_sleep(benchmark: BenchmarkFixture, note: Callable[..., None], passes: int) -> None:
    made = trainer(passes)
    read, _ = windows(made, next(made.batches(0)))

    @torch.no_grad()
    def sleep(count: int) -> State:
        return made.model.sleep(read, made.model.start(len(read)), count)

    benchmark.pedantic(sleep, args=(passes,), rounds=20, warmup_rounds=2)
    one, here = medians(lambda: sleep(1), lambda: sleep(passes), rounds=15)
    note(ms_per_pass=1e3 * here / passes, cost_per_pass_against_one_pass=here / passes / one)


@pytest.mark.benchmark(group="prediction after sleeping N times, no gradients, cpu scale")
@PASSES
def test_wake(benchmark: BenchmarkFixture, note: Callable[..., None], passes: int) -> None:
    made = trainer(passes)
    read, asked = windows(made, next(made.batches(0)))
    with torch.no_grad():
        states = [made.model.sleep(read, made.model.start(len(read)), count) for count in (1, passes)]

    @torch.no_grad()
    def wake(state: State) -> Tensor:
        return made.model.wake(asked, state)[0]

    benchmark.pedantic(wake, args=(states[1],), rounds=100, warmup_rounds=10)
    one, here = medians(lambda: wake(states[0]), lambda: wake(states[1]), rounds=100)
    note(latency_against_one_pass=here / one)


@pytest.mark.benchmark(group="100 training steps with data, bookkeeping and a checkpoint, cpu scale")
def test_trainer_overhead(benchmark: BenchmarkFixture, note: Callable[..., None], tmp_path: Path) -> None:
    """Everything in `Trainer.run` beside the steps themselves, at N = 1, where a step is shortest."""
    made = trainer(1, steps=100, folder=tmp_path, evaluations=1, test_examples=1)
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
    bookkeeping = benchmark.stats.stats.total - sum(spent.values())
    note(
        data_percent_of_a_step=spent["batches"] / step,
        bookkeeping_percent_of_a_step=bookkeeping / step,
        checkpoint_ms=1e3 * spent["save"],
        step_ms=1e3 * step,
    )
