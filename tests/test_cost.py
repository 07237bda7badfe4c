"""Costs: torch's counter against a count by hand, and how they grow with the number of passes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import benchmark.cells.cost
from baselines.attention_stack import AttentionStack
from baselines.base import ModelConfig
from baselines.chain_of_thought import ChainOfThoughtAsleep
from baselines.fusion import Anticipated, FiD, Fusion
from baselines.hybrid import Hybrid
from baselines.memory_tokens import RMT, AutoCompressor, Gist
from baselines.pondernet import PonderNet
from baselines.self_modifying import SelfModifying
from baselines.subtask_tree import SubtaskTree
from benchmark.cells.cell import Cell, Training
from benchmark.cells.cost import _cost, cost
from benchmark.cells.flops import FlopCounter
from benchmark.cells.suites import suite
from tasks.rule110 import Rule110

TASK = Rule110(cells=5, strings=2, rollout_steps=1)
SHORT = replace(TASK, strings=1)
HYBRID = Hybrid(layout="attn gdn", d_model=8, heads=2, mlp_ratio=3)


def cell(model: ModelConfig, passes: int = 1, task: Rule110 = TASK) -> Cell:
    return Cell(task=task, model=model, training=Training(tokens=1, sleep_passes=passes))


def block_by_hand(config: Hybrid, word: str, tokens: int, past: int) -> int:
    """FLOPs of one block over a window, from the equations: a product of n x m with m x p takes 2 n m p."""
    d, size = config.d_model, config.state_size or config.d_model // config.heads
    mlp = 2 * 2 * tokens * d * round(config.mlp_ratio * d)
    if word == "attn":  # scores with all keys there are, and the mix of values
        return 2 * tokens * d * 4 * d + 2 * 2 * tokens * (past + tokens) * d + mlp
    width = config.heads * size
    pairs = 2 * tokens * tokens * width  # a product for each two tokens, all heads
    fast = 2 * tokens * width * size  # one between tokens and fast weights, all heads
    solve = tokens * (tokens - 1) * width
    # Both gates; overlaps, scores and the mix of corrections; reads under q and k and the write; the corrections.
    return 2 * tokens * d * (5 * width + 2 * config.heads) + 3 * pairs + 3 * fast + solve + mlp


def write_by_hand(config: Hybrid, word: str, tokens: int) -> int:
    """FLOPs of what a block keeps of a window, where nobody reads its output."""
    d, size = config.d_model, config.state_size or config.d_model // config.heads
    if word == "attn":  # keys and values
        return 2 * tokens * d * 2 * d
    width = config.heads * size
    fast, solve = 2 * tokens * width * size, tokens * (tokens - 1) * width
    # Keys, values and both gates; overlaps; what keys find, and the write; the corrections.
    return 2 * tokens * d * (2 * width + 2 * config.heads) + 2 * tokens * tokens * width + 2 * fast + solve


def sleep_by_hand(config: Hybrid, passes: int, past: int) -> int:
    """FLOPs of a sleep over a window of the task's length, with keys and values of `past` tokens kept before it.

    Of a chain of blocks the last one that keeps something only writes, and nothing is run after it.
    """
    words = config.layout.split()
    tokens = TASK.cells
    if config.reread:
        tokens, passes = tokens * passes, 1

    def chain(blocks: list[str]) -> int:
        keep = [i for i, word in enumerate(blocks) if word != "attn" or config.eviction != "hard"]
        if not keep:
            return 0
        full = [block_by_hand(config, word, tokens, past) for word in blocks[: keep[-1]]]
        return sum(full) + write_by_hand(config, blocks[keep[-1]], tokens)

    looped = words if config.loop == "all" else words[1:3]
    if config.reembed:  # no pass goes on from another
        return passes * chain(looped)
    return chain(passes * looped if config.loop == "all" else [words[0], *passes * looped, words[3]])


@pytest.mark.parametrize(
    ("passes", "settings"),
    [
        (1, {"layout": "attn"}),
        (3, {"layout": "attn"}),
        (1, {"layout": "gdn"}),
        (3, {"layout": "gdn"}),
        (2, {"layout": "gdn attn gdn"}),
        (2, {"eviction": "sliding"}),
        (2, {"eviction": "none"}),
        (1, {"layout": "attn gdn gdn gdn", "loop": "middle"}),
        (3, {"layout": "attn gdn gdn gdn", "loop": "middle"}),
        (3, {"reread": True}),
        (2, {"reembed": True}),
        (2, {"reset_state": True}),
        (2, {"state_size": 3, "mlp_ratio": 0.6}),
        (1, {"wake_passes": 2}),
    ],
    ids=str,
)
def test_flops_equal_a_count_by_hand(passes: int, settings: dict[str, Any]) -> None:
    config = replace(HYBRID, **settings)
    counted = cost(cell(config, passes))
    labels, length = TASK.strings, TASK.cells
    pasts = {"hard": (0, 0, 0), "sliding": (0, length - 1, length - 1), "none": (0, length, 2 * length)}
    *slept, last = pasts[config.eviction]
    assert counted.sleep_flops == sum(sleep_by_hand(config, passes, past) for past in slept)
    wake = sum(block_by_hand(config, word, labels, last) for word in config.layout.split())
    assert counted.wake_flops == config.wake_passes * wake + 2 * labels * config.d_model * TASK.vocab_size


def test_training_costs_three_forwards_of_what_is_heard() -> None:
    """Backward multiplies twice for each product of the forward pass: for its input and for its weight."""
    counted = cost(cell(replace(HYBRID, layout="attn attn")))
    # Without fast weights no gradient comes back from the evicted windows.
    assert counted.train_flops == counted.sleep_flops + 3 * counted.wake_flops


def test_passes_cost_alike_and_waking_costs_the_same(registered: ModelConfig) -> None:
    one, two, three, four = (cost(cell(registered, passes, SHORT)) for passes in (1, 2, 3, 4))
    step = two.sleep_flops - one.sleep_flops
    assert three.sleep_flops - two.sleep_flops == four.sleep_flops - three.sleep_flops == step
    if not one.state_bytes:
        assert one.sleep_flops == step == 0  # nothing survives, so nothing is run
    elif isinstance(registered, FiD):
        assert one.sleep_flops == step == 0  # the encoder waits for a question
    elif isinstance(registered, SelfModifying | Anticipated):
        assert 0 < step < one.sleep_flops  # a step is less than a pass of the blocks
    elif isinstance(registered, ChainOfThoughtAsleep):
        assert step < one.sleep_flops < 2 * step  # thoughts are in the last pass alone
    elif getattr(registered, "loop", "all") == "all" and isinstance(registered, Hybrid | Gist | SubtaskTree):
        assert step / 2 < one.sleep_flops < step  # the last pass computes no output
    else:
        assert step <= one.sleep_flops < 4 * step  # half of the blocks, and the rest but once
    assert one.wake_flops == two.wake_flops == three.wake_flops == four.wake_flops > 0
    assert four.train_flops - three.train_flops == three.train_flops - two.train_flops >= step
    for passes, counted in ((1, one), (2, two), (4, four)):
        if counted.state_bytes:
            answers = passes if isinstance(registered, PonderNet) else 1  # training answers after each of its passes
            forward = counted.sleep_flops + answers * counted.wake_flops
            assert 2 * forward < counted.train_flops < 3.2 * forward
        else:
            assert counted.train_flops == counted.sleep_flops + 3 * counted.wake_flops
        assert counted.state_bytes == one.state_bytes
        assert counted.parameters == one.parameters


def test_windows_cost_alike_but_for_what_was_kept_before_them(registered: ModelConfig) -> None:
    one, two, three = (cost(cell(registered, 1, replace(TASK, strings=strings))) for strings in (1, 2, 3))
    first, second, third = one.sleep_flops, two.sleep_flops - one.sleep_flops, three.sleep_flops - two.sleep_flops
    eviction = getattr(registered, "eviction", "none" if isinstance(registered, AutoCompressor | Gist) else "hard")
    if isinstance(registered, SubtaskTree):  # the second window completes a subtask
        assert first < third < second
        assert one.state_bytes == two.state_bytes == three.state_bytes / 2
        return
    if isinstance(registered, AutoCompressor):
        assert 0 < second - first < third - second  # all summaries are read again with every window
    elif eviction == "hard":
        assert first == second == third
    elif eviction == "sliding":
        assert first < second == third
    else:
        assert second - first == third - second > 0
    if eviction == "none" or isinstance(registered, Fusion):
        assert one.state_bytes < two.state_bytes < three.state_bytes
    else:
        assert one.state_bytes == two.state_bytes == three.state_bytes


def test_parameters_and_state_by_hand() -> None:
    counted = cost(cell(HYBRID))
    d, heads, hidden = 8, 2, 24
    attention = 4 * d * d + 2 * (d // heads)
    gdn = 3 * d * d + 4 * 3 * d + 2 * heads * d + d * d + d // heads + d * d + heads + heads
    shared = 2 * (2 * d + 2 * d * hidden)  # two norms and an MLP, in each of two blocks
    tables = 3 * d + 3 * d + d + 3 * d  # tokens, windows, the last norm, the head
    assert counted.parameters == attention + gdn + shared + tables
    assert counted.state_bytes == heads * (d // heads) ** 2 * 4


def test_counts_are_whole_numbers(registered: ModelConfig) -> None:
    counted = asdict(cost(cell(registered)))
    assert counted.pop("cache_bytes") is None or isinstance(registered, Hybrid | AttentionStack)
    assert all(type(count) is int for count in counted.values())
    free = {"state_bytes", "sleep_flops"} if not counted["state_bytes"] else set()
    free |= {"sleep_flops"} if isinstance(registered, FiD) else set()  # it keeps text
    assert all(count > 0 for name, count in counted.items() if name not in free)


@contextmanager
def compared() -> Iterator[FlopCounter]:
    """A counter inside torch's own, which is asked for the same number at the end."""
    with FlopCounterMode(display=False) as torchs, FlopCounter() as counter:
        yield counter
    assert counter.flops == torchs.get_total_flops()


def test_a_count_is_that_of_torchs_counter_and_leaves_randomness_alone(
    config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = cost(cell(config, 1, SHORT))
    monkeypatch.setattr(benchmark.cells.cost, "_cost", _cost.__wrapped__)  # which remembers nothing
    monkeypatch.setattr(benchmark.cells.cost, "FlopCounter", compared)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert cost(cell(config, 1, SHORT)) == counted  # nor does the count depend on it
    assert torch.equal(torch.get_rng_state(), before)


def test_operations_made_of_others_are_counted_without_autograd_too() -> None:
    inputs, weight = torch.ones(2, 3), torch.ones(4, 3)
    with torch.inference_mode(), FlopCounter() as counter:
        assert nn.functional.linear(inputs, weight).shape == (2, 4)
    assert counter.flops == 2 * 2 * 3 * 4


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


@pytest.mark.parametrize(
    ("config", "blocks"),
    [
        (HYBRID, 1),
        (replace(HYBRID, layout="attn gdn attn gdn"), 2),
        (replace(HYBRID, layout="gdn gdn"), 0),
        (replace(HYBRID, eviction="sliding"), 1),
        (replace(HYBRID, eviction="none"), 1),
        (replace(HYBRID, reread=True), 1),
    ],
    ids=str,
)
def test_the_cache_that_the_state_replaces_by_hand(config: Hybrid, blocks: int) -> None:
    """Two evicted windows of 5 tokens, keys and values of 8 numbers of 4 bytes, whatever else of them is kept."""
    assert cost(cell(config, passes=3)).cache_bytes == blocks * 2 * 5 * 2 * 8 * 4


def test_on_hops_the_state_is_larger_than_the_cache_it_replaces() -> None:
    hops = suite("hops", "cpu").cells()[0]
    assert (cost(hops).state_bytes, cost(hops).cache_bytes) == (8192, 7168)


def test_memory_read_beside_the_question_breaks_the_latency_constraint() -> None:
    """Its prediction is one pass, over many more tokens than are predicted."""
    counted = cost(cell(RMT(blocks=2, d_model=16, heads=2, memory_tokens=32)))
    assert counted.wake_passes == 1
    assert counted.breaks_latency.startswith("a prediction takes")
    assert counted.latency_facts == {"wake_ratio": round(counted.wake_ratio, 3)}
    assert counted.wake_ratio > 32 / TASK.strings
    for settings in ({}, {"state_size": 64}, {"layout": "attn attn", "eviction": "none"}):
        lawful = cost(cell(replace(HYBRID, d_model=32, **settings)))
        assert (lawful.breaks_latency, lawful.latency_facts) == ("", {})
    assert cost(cell(replace(HYBRID, wake_passes=2))).breaks_latency == "2 passes per prediction"
