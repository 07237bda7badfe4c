"""What a cell costs: FLOPs counted by torch's own counter, parameters, bytes of state and of what it replaces."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from baselines.attention import WindowAttention
from baselines.base import Model, ModelConfig, State
from baselines.sleeper import Sleeper
from benchmark.cells.cell import Cell
from benchmark.forward import Batch, Windows, evaluating, predict, split_windows, token_losses


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Counts for one cell; multiply and add are counted apart, element-wise work and the optimizer are not.

    What is counted is what is run. Of that only a small part is of no use: fast weights that a prediction writes, or a
    pass whose state is reset, and that are dropped.

    Attributes:
        parameters: Trained parameters.
        train_flops: Forward and backward of one sequence, at the trained N.
        sleep_flops: Forward of consolidating all windows of one sequence, at the trained N.
        wake_flops: Forward of all predicted windows of one sequence; the same for every N.
        state_bytes: State kept per sequence between windows.
        cache_bytes: What that state replaces: keys and values, in every attention block, of all windows of one sequence
            that are consolidated rather than predicted, as a cache that keeps them to the end would take. 0 without
            attention; None for a model whose attention is not this project's.
    """

    parameters: int
    train_flops: int
    sleep_flops: int
    wake_flops: int
    state_bytes: int
    cache_bytes: int | None


def cost(cell: Cell) -> Cost:
    """Count the cost of a cell by running one sequence on the CPU; leaves torch's random state as it was."""
    task = cell.task
    windows = split_windows(task.episodes("train", np.arange(1)))
    passes = cell.training.sleep_passes
    return count(cell.model, vocab_size=task.vocab_size, window=task.window, windows=windows, passes=passes)


def count(config: ModelConfig, *, vocab_size: int, window: int, windows: Windows, passes: int) -> Cost:
    """Count the cost of a model on one sequence, cut into `windows` of `window` tokens, at N = `passes`."""
    return _cost(config, vocab_size, window, windows, passes)


@lru_cache(maxsize=256)
def _cost(config: ModelConfig, vocab_size: int, window: int, windows: Windows, passes: int) -> Cost:
    """The same, of all that the count depends on: seeds and difficulties share it."""
    seq_len = windows[-1][1]
    predicted = sum(stop - start for start, stop, predicts in windows if predicts)
    tokens, targets = (torch.zeros(1, length, dtype=torch.int64) for length in (seq_len, predicted))
    batch = Batch(inputs=tokens, targets=targets, windows=windows)
    with torch.random.fork_rng(devices=[]):  # a model may draw in its passes too
        model = config.build(vocab_size=vocab_size, window=window, seq_len=seq_len)
        # The counter knows plain products but not the CPU's fused attention, so attention runs as plain products here.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as train:
            losses = token_losses(predict(model, batch, passes), batch.targets)
            losses.sum().backward()  # type: ignore[no-untyped-call]
        sleep_flops, wake_flops, state = forward_flops(model, windows, passes)
    evicted = sum(stop - start for start, stop, predicts in windows if not predicts)
    return Cost(
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        train_flops=train.get_total_flops(),
        sleep_flops=sleep_flops,
        wake_flops=wake_flops,
        state_bytes=model.state_bytes(state),
        cache_bytes=kv_bytes(model, evicted),
    )


def test_flops(cell: Cell, count: Cost) -> float:
    """FLOPs of one of its tests; one at another difficulty may read longer sequences."""
    training = cell.training
    longer = sum(cell.task.at(difficulty).seq_len for difficulty in training.test_at) / cell.task.seq_len
    examples = training.test_examples * max(1, len(training.test_passes)) * (longer or 1)
    return examples * (count.sleep_flops + count.wake_flops)


def work_of(cell: Cell, count: Cost) -> dict[str, float]:
    """FLOPs of all its training, and of a step with a test: what a sweep is told once they are counted."""
    step = float(cell.training.batch * count.train_flops)
    return {"train_flops": cell.steps * step, "step_flops": step + test_flops(cell, count)}


def kv_bytes(model: Model, tokens: int) -> int | None:
    """Bytes of the keys and values of so many tokens of one sequence, of all attention blocks, as the weights' numbers.

    0 without attention; None for a model whose attention is not this project's.
    """
    attention = [m for m in model.modules() if isinstance(m, WindowAttention)]
    if not attention and not isinstance(model, Sleeper):
        return None
    # One projection makes queries, keys and values: two thirds of it are keys and values.
    return sum(tokens * 2 * (m.qkv.out_features // 3) * m.qkv.weight.element_size() for m in attention)


def forward_flops(model: Model, windows: Windows, passes: int) -> tuple[int, int, State]:
    """FLOPs of one sequence's sleep at N = `passes`, FLOPs of its predictions, and the state after both."""
    sleep_flops = wake_flops = 0
    with torch.no_grad(), evaluating(model):
        state = model.start(1)
        for start, stop, predicts in windows:
            tokens = torch.zeros(1, stop - start, dtype=torch.int64)
            with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as forward:
                state = model.wake(tokens, state)[1] if predicts else model.sleep(tokens, state, passes)
            if predicts:
                wake_flops += forward.get_total_flops()
            else:
                sleep_flops += forward.get_total_flops()
    return sleep_flops, wake_flops, state
