"""How fast examples are made, one process, one thread: by `make perf`. Nothing here asserts a time."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from timing import per_second

from benchmark.forward import Batch
from benchmark.run.device_batches import prefetch
from tasks import rng
from tasks.base import Task
from tasks.depo import Depo
from tasks.gsm_infinite import solve, trees
from tasks.gsm_infinite.compact import GSMCompact
from tasks.gsm_infinite.problems import Problems
from tasks.gsm_infinite.symbolic import answers, question, render
from tasks.gsm_infinite.task import GSMInfinite
from tasks.recall import Recall
from tasks.retention import Retention
from tasks.rule110 import Rule110, evolve

Note = Callable[..., None]

EPISODES: dict[str, tuple[Task, str, int]] = {
    "rule110, four strings of 24 cells, t = 32": (Rule110(rollout_steps=32), "train", 2048),
    "recall, 8 pairs": (Recall(), "train", 2048),
    "retention, 8 windows after": (Retention(), "train", 2048),
    "depo, N = 75, training mix": (Depo(), "train", 2048),
    "depo, n = 75": (Depo(distribution="fixed"), "train", 2048),
    "depo, n = 75, held out": (Depo(), "test", 2048),
    "gsm_compact, operations 1..8, T 192..300": (GSMCompact(), "train", 1024),
    "gsm_compact, operations 8, no filler": (GSMCompact(least_operations=8, filler=False), "train", 1024),
    "gsm_infinite, operations 1..8, T 2100..3300": (GSMInfinite(), "train", 64),
}

PROBLEMS: dict[str, tuple[dict[str, Any], int]] = {
    "hard, operations 8": ({}, 1024),
    "hard, operations 8, reverse": ({"mode": "reverse"}, 1024),
    "hard, operations 8, 8k tokens": ({"token_budget": 8192}, 128),
    "medium, operations 8": ({"subset": "medium"}, 1024),
    "medium, operations 8, reverse": ({"subset": "medium", "mode": "reverse"}, 1024),
    "symbolic, operations 8, with solutions": ({"subset": "symbolic"}, 16384),
}


def repeated(benchmark: BenchmarkFixture, make: Callable[[np.ndarray], object], size: int, rounds: int = 12) -> float:
    """Examples per second, from the median of rounds that each make others."""
    batches = iter(np.arange(size) + size * i for i in range(rounds + 2))
    benchmark.pedantic(lambda: make(next(batches)), rounds=rounds, warmup_rounds=2)
    return per_second(benchmark, size)


@pytest.mark.benchmark(group="training examples as arrays")
@pytest.mark.parametrize("name", EPISODES)
def test_episodes(benchmark: BenchmarkFixture, note: Note, name: str) -> None:
    task, split, size = EPISODES[name]
    speed = repeated(benchmark, lambda indices: task.episodes(split, indices), size)
    note(examples_per_s=speed, tokens_per_s=speed * task.seq_len)


@pytest.mark.benchmark(group="Rule 110: 200,000 strings of 24 cells, 32 steps")
def test_evolve(benchmark: BenchmarkFixture, note: Note) -> None:
    states = np.random.default_rng(0).integers(0, 1 << 24, 200_000, dtype=np.uint32)
    benchmark.pedantic(evolve, args=(states, 24, 32), rounds=20, warmup_rounds=2)
    note(strings_per_s=per_second(benchmark, len(states)))


@pytest.mark.benchmark(group="problems in words, with question, solution and answer")
@pytest.mark.parametrize("name", PROBLEMS)
def test_problems(benchmark: BenchmarkFixture, note: Note, name: str) -> None:
    settings, size = PROBLEMS[name]
    problems = Problems(**settings)
    note(problems_per_s=repeated(benchmark, lambda indices: problems.problems("train", indices), size))


@pytest.mark.benchmark(group="problems in words, with question and answer")
def test_symbolic_texts(benchmark: BenchmarkFixture, note: Note) -> None:
    def make(indices: np.ndarray) -> object:
        drawn, _ = trees.draw(8, "train", indices, rng.stream("perf"))
        return render(drawn), [question(int(value)) for value in drawn.asked], answers(drawn)

    note(problems_per_s=repeated(benchmark, make, 16384))


@pytest.mark.benchmark(group="solving problems from their text alone")
@pytest.mark.parametrize("name", PROBLEMS)
def test_solver(benchmark: BenchmarkFixture, note: Note, name: str) -> None:
    problems = Problems(**PROBLEMS[name][0]).problems("train", range(100))
    benchmark.pedantic(lambda: [solve(p.problem, p.question) for p in problems], rounds=5, warmup_rounds=1)
    note(problems_per_s=per_second(benchmark, len(problems)))


@pytest.mark.benchmark(group="50 batches of 256 compact problems made in the background")
@pytest.mark.parametrize("step_ms", [10, 20, 40])
def test_wait_for_batches(benchmark: BenchmarkFixture, note: Note, step_ms: int) -> None:
    """How long a device whose step takes so many milliseconds waits for the batch of the next."""
    task, waits = GSMCompact(), []

    def make(step: int) -> Batch:
        return Batch.of(task.episodes("train", np.arange(256) + 256 * step), torch.device("cpu"))

    def consume() -> None:
        batches = prefetch(make, range(50))
        while True:
            begun = time.perf_counter()
            if next(batches, None) is None:
                return
            waits.append(time.perf_counter() - begun)
            time.sleep(step_ms / 1e3)

    benchmark.pedantic(consume, rounds=1)
    note(median_wait_ms=1e3 * float(np.median(waits[1:])), longest_wait_ms=1e3 * max(waits[1:]))
