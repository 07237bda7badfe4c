"""Every fast-weight rule, forward and backward: its token loop and its form in chunks, by `make perf`.

`times_faster_than_token_loop` is a ratio of medians over alternating calls in one run. Nothing here asserts a time.
"""

import statistics
import time
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from baselines import classic, hebbian, neural_memory
from baselines.fast_weights import delta, delta_reference, gated_delta, gated_delta_reference

Rule = Callable[..., tuple[Tensor, Tensor]]

# Chunks, token loop, and the gates they take: logarithms, then strengths.
RULES: dict[str, tuple[Rule, Rule, int, int]] = {
    "linear": (hebbian.hebbian, hebbian.hebbian_reference, 0, 0),
    "gated": (hebbian.gated_hebbian, hebbian.gated_hebbian_reference, 1, 1),
    "delta": (delta, delta_reference, 0, 1),
    "gdn": (gated_delta, gated_delta_reference, 1, 1),
    "classic": (classic.classic, classic.classic_reference, 1, 1),
    "titans": (neural_memory.neural_memory, neural_memory.neural_memory_reference, 2, 1),
}


def step(rule: Rule, length: int, logarithms: int, strengths: int) -> Callable[[], object]:
    """One forward and backward at B 16, H 4, K = V = 32."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(16, *shape, generator=random)

    q, k = (torch.nn.functional.normalize(normal(4, length, 32), dim=-1) for _ in range(2))
    gates = [-normal(4, length).exp() / 10 for _ in range(logarithms)]
    gates += [normal(4, length).sigmoid() for _ in range(strengths)]
    state = normal(*((2,) if logarithms == 2 else ()), 4, 32, 32)
    arguments = [a.requires_grad_() for a in (q, k, normal(4, length, 32), *gates, state)]
    weights = normal(4, length, 32), torch.ones_like(state)
    return lambda: torch.autograd.grad(rule(*arguments), arguments, weights)


@pytest.mark.benchmark(group="update rules in chunks, forward and backward: B 16, H 4, K = V = 32")
@pytest.mark.parametrize("length", [24, 75, 512])
@pytest.mark.parametrize("word", RULES)
def test_rule(benchmark: BenchmarkFixture, note: Callable[..., None], word: str, length: int) -> None:
    chunks, loop, *gates = RULES[word]
    fast, slow = step(chunks, length, *gates), step(loop, length, *gates)
    rounds = max(3, 500 // length)
    benchmark.pedantic(fast, rounds=rounds, warmup_rounds=1)
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        slow()
        middle = time.perf_counter()
        fast()
        times.append((middle - begun, time.perf_counter() - middle))
    slow_s, fast_s = map(statistics.median, zip(*times, strict=True))
    note(times_faster_than_token_loop=slow_s / fast_s, tokens_per_s=16 * length / fast_s)
