"""Every fast-weight rule, and every layer that holds one, forward and backward: by `make perf`.

`times_faster_than_token_loop` is a ratio of medians over alternating calls in one run. Nothing here asserts a time.
"""

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from timing import medians, per_second
from torch import Tensor

from baselines.fast_weights import gated_delta, gated_delta_reference
from baselines.hybrid import MIXERS
from benchmark.measure.speed import workloads

Note = Callable[..., None]


@pytest.mark.benchmark(group="update rules in chunks, forward and backward: B 16, H 4, K = V = 32")
@pytest.mark.parametrize("length", [24, 75, 512])
@pytest.mark.parametrize("word", workloads.RULES)
def test_rule(benchmark: BenchmarkFixture, note: Note, word: str, length: int) -> None:
    chunks, loop = (workloads.rule(word, length=length, reference=reference) for reference in (False, True))
    rounds = max(3, 500 // length)
    benchmark.pedantic(chunks, rounds=rounds, warmup_rounds=1)
    slow, fast = medians(loop, chunks, rounds=rounds)
    note(times_faster_than_token_loop=slow / fast, tokens_per_s=16 * length / fast)


@pytest.mark.benchmark(group="fast-weight layers, forward and backward: B 16, T 75, D 128, H 4")
@pytest.mark.parametrize("word", MIXERS)
def test_layer(benchmark: BenchmarkFixture, note: Note, word: str) -> None:
    benchmark.pedantic(workloads.layer(word), rounds=20, warmup_rounds=2)
    note(tokens_per_s=per_second(benchmark, 16 * 75))


@pytest.mark.benchmark(group="gated delta rule, forward and backward: B 32, H 4, T 24, K 32, V 64")
def test_values_wider_than_keys(benchmark: BenchmarkFixture, note: Note) -> None:
    """The sizes of the first measurement, kept so that it can be repeated."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(32, 4, *shape, generator=random)

    q, k = (torch.nn.functional.normalize(normal(24, 32), dim=-1) for _ in range(2))
    log_decay, beta = -normal(24).exp() / 10, normal(24).sigmoid()
    arguments = [a.requires_grad_() for a in (q, k, normal(24, 64), log_decay, beta, normal(32, 64))]
    weights = normal(24, 64), normal(32, 64)

    def step(form: Callable[..., tuple[Tensor, Tensor]]) -> workloads.Call:
        return lambda: torch.autograd.grad(form(*arguments), arguments, weights)

    benchmark.pedantic(step(gated_delta), rounds=20, warmup_rounds=2)
    slow, fast = medians(step(gated_delta_reference), step(gated_delta), rounds=25)
    note(times_faster_than_token_loop=slow / fast)
