"""Costs: torch's counter against a count by hand, and how they grow with the number of passes."""

from dataclasses import fields, replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from baselines.base import ModelConfig
from baselines.hybrid import Hybrid
from benchmark.config import Cell, Training
from benchmark.cost import Cost, _cost, cost
from tasks.rule110 import Rule110

TASK = Rule110(cells=5, strings=2, rollout_steps=1)
HYBRID = Hybrid(layout="attn gdn", d_model=8, heads=2, mlp_ratio=3)


def cell(model: ModelConfig, passes: int = 1, task: Rule110 = TASK) -> Cell:
    return Cell(task=task, model=model, training=Training(tokens=1, sleep_passes=passes))


def blocks_by_hand(config: Hybrid, tokens: int) -> int:
    """FLOPs of one pass over one window, from the equations: a product of n x m with m x p takes 2 n m p."""
    d, size = config.d_model, config.d_model // config.heads
    mlp = 2 * 2 * tokens * d * config.mlp_ratio * d
    projections = 2 * tokens * d * (3 * d + d)
    pairs = 2 * tokens * tokens * d  # a product for each two tokens, all heads
    fast = 2 * tokens * d * size  # one between tokens and fast weights, all heads
    solve = tokens * (tokens - 1) * d
    per_block = {
        "attn": projections + 2 * pairs + mlp,  # scores, and the mix of values
        # Both gates; overlaps, scores and the mix of corrections; reads under q and k and the write; the corrections.
        "gdn": projections + 2 * tokens * d * (d + 2 * config.heads) + 3 * pairs + 3 * fast + solve + mlp,
    }
    return sum(per_block[word] for word in config.layout.split())


@pytest.mark.parametrize("layout", ["attn", "gdn", "gdn attn gdn"])
@pytest.mark.parametrize("passes", [1, 3])
def test_flops_equal_a_count_by_hand(layout: str, passes: int) -> None:
    config = replace(HYBRID, layout=layout)
    counted = cost(cell(config, passes))
    labels = TASK.strings
    assert counted.sleep_flops == TASK.strings * passes * blocks_by_hand(config, TASK.cells)
    assert counted.wake_flops == blocks_by_hand(config, labels) + 2 * labels * config.d_model * TASK.vocab_size


def test_training_costs_three_forwards_of_what_is_heard() -> None:
    """Backward multiplies twice for each product of the forward pass: for its input and for its weight."""
    counted = cost(cell(replace(HYBRID, layout="attn attn")))
    # Without fast weights no gradient comes back from the evicted windows.
    assert counted.train_flops == counted.sleep_flops + 3 * counted.wake_flops


def test_passes_cost_alike_and_waking_costs_the_same(config: ModelConfig) -> None:
    one, two, three, four = (cost(cell(config, passes)) for passes in (1, 2, 3, 4))
    assert two.sleep_flops == 2 * one.sleep_flops > 0
    assert four.sleep_flops == 2 * two.sleep_flops
    assert one.wake_flops == two.wake_flops == three.wake_flops == four.wake_flops > 0
    step = three.train_flops - two.train_flops
    assert four.train_flops - three.train_flops == step > 0
    # The first pass of all starts from empty fast weights, which need no gradient.
    assert two.train_flops - one.train_flops == pytest.approx(step, rel=0.01)
    for counted in (one, two, four):
        forward = counted.sleep_flops + counted.wake_flops
        assert 2 * forward < counted.train_flops < 3.2 * forward
        assert counted.state_bytes == one.state_bytes
        assert counted.parameters == one.parameters


def test_windows_cost_alike(config: ModelConfig) -> None:
    few, many = (cost(cell(config, 2, replace(TASK, strings=strings))) for strings in (1, 2))
    assert many.sleep_flops == 2 * few.sleep_flops
    assert many.state_bytes == few.state_bytes


def test_parameters_and_state_by_hand() -> None:
    counted = cost(cell(HYBRID))
    d, heads, hidden = 8, 2, 24
    attention = 4 * d * d + 2 * (d // heads)
    gdn = 3 * d * d + 4 * 3 * d + 2 * heads * d + d * d + d // heads + d * d + heads + heads
    shared = 2 * (2 * d + 2 * d * hidden)  # two norms and an MLP, in each of two blocks
    tables = 3 * d + 3 * d + d + 3 * d  # tokens, windows, the last norm, the head
    assert counted.parameters == attention + gdn + shared + tables
    assert counted.state_bytes == heads * (d // heads) ** 2 * 4


def test_counts_are_whole_numbers(config: ModelConfig) -> None:
    counted = cost(cell(config))
    assert all(type(getattr(counted, f.name)) is int and getattr(counted, f.name) > 0 for f in fields(Cost))


def test_randomness_is_left_alone(config: ModelConfig) -> None:
    _cost.cache_clear()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    counted = cost(cell(config))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    _cost.cache_clear()
    assert cost(cell(config)) == counted  # nor does the count depend on it


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_triangular_solves_are_counted(tokens: int) -> None:
    matrix = torch.ones(2, 3, tokens, tokens)
    right = torch.ones(2, 3, tokens, 4, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        solved = torch.linalg.solve_triangular(matrix, right, upper=False, unitriangular=True)
    # Row t subtracts t multiples of the rows before it: a multiplication and a subtraction each.
    by_hand = sum(2 * row for row in range(tokens)) * 4 * (2 * 3)
    assert counter.get_total_flops() == by_hand
    with FlopCounterMode(display=False) as counter:
        solved.sum().backward()
    assert counter.get_total_flops() >= by_hand  # its gradient is another solve
