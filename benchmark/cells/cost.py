"""What a cell costs: FLOPs counted by torch's own formulas, parameters, bytes of state and of what it replaces."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from baselines.attention import WindowAttention
from baselines.base import Model, ModelConfig, State
from baselines.report import Report
from baselines.sleeper import Sleeper
from benchmark.cells.cell import Cell
from benchmark.cells.flops import FlopCounter
from benchmark.forward import Batch, Windows, eval_mode, predict, split_windows, trained_losses
from tasks.base import NOTES, Task

Notes: TypeAlias = tuple[tuple[int, str, int], ...]
"""Window, kind and length of each note."""

MOST_WAKE = 1.5
"""Times the FLOPs of a plain pass that a prediction may take within the latency constraint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Counts for one cell; multiply and add are counted apart, element-wise work and the optimizer are not.

    What is counted is what is run. Of that only a small part is of no use: fast weights that a prediction writes, or a
    pass whose state is reset, and that are dropped.

    Attributes:
        parameters: Trained parameters.
        train_flops: Forward and backward of one sequence, at the trained N; the mean over N where steps draw it.
        sleep_flops: Forward of consolidating all windows of one sequence, the same way.
        wake_flops: Forward of all predicted windows of one sequence; the same for every N.
        state_bytes: State kept per sequence between windows.
        cache_bytes: What that state replaces: keys and values, in every attention block, of all windows of one sequence
            that are consolidated rather than predicted, as a cache that keeps them to the end would take. 0 without
            attention; None for a model whose attention is not this project's.
        wake_passes: How often a prediction runs the network, one run after the other, as the model says.
        plain_wake_flops: What one plain pass over the predicted tokens would take: every weight that maps features, and
            the output layer, once for each token; fast weights are weights too, each read and written once.
    """

    parameters: int
    train_flops: int
    sleep_flops: int
    wake_flops: int
    state_bytes: int
    cache_bytes: int | None
    wake_passes: int
    plain_wake_flops: int

    @property
    def wake_ratio(self) -> float:
        """How many times the FLOPs of one plain pass a prediction takes."""
        return self.wake_flops / self.plain_wake_flops if self.plain_wake_flops else 1.0

    @property
    def breaks_latency(self) -> str:
        """Why predictions take longer than one pass of the network over their tokens; empty if they do not."""
        if self.wake_passes > 1:
            return f"{self.wake_passes} passes per prediction"
        if self.wake_ratio > MOST_WAKE:
            return f"a prediction takes {self.wake_ratio:.3g} times the FLOPs of one plain pass over its tokens"
        return ""

    @property
    def latency_facts(self) -> dict[str, float]:
        """What rows say of a broken constraint, under the names of settings that other models have or would have."""
        if self.wake_passes > 1:
            return {"wake_passes": self.wake_passes}
        return {"wake_ratio": round(self.wake_ratio, 3)} if self.breaks_latency else {}


def cost(cell: Cell) -> Cost:
    """Count the cost of a cell by running one sequence on the CPU; leaves torch's random state as it was."""
    task = cell.task
    windows = split_windows(task.episodes("train", np.arange(1)))
    notes = sizes_of_notes(task, cell.model)
    each = [
        _cost(cell.model, task.vocab_size, task.window, windows, passes, notes)
        for passes in cell.training.sleep_passes_drawn or (cell.training.sleep_passes,)
    ]
    means = {name: round(sum(getattr(c, name) for c in each) / len(each)) for name in ("train_flops", "sleep_flops")}
    return replace(each[0], **means)


def count(config: ModelConfig, *, vocab_size: int, window: int, windows: Windows, passes: int) -> Cost:
    """Count the cost of a model on one sequence, cut into `windows` of `window` tokens, at N = `passes`."""
    return _cost(config, vocab_size, window, windows, passes, ())


@lru_cache(maxsize=256)
def sizes_of_notes(task: Task, config: ModelConfig) -> Notes:
    """Every note of a task that a model uses."""
    kinds = _note_kinds(config, task.vocab_size, task.window, task.seq_len)
    episode = task.episodes("train", np.arange(1))
    return tuple((at, kind, t.shape[1]) for kind in kinds for at, t in sorted(task.notes(kind, episode).items()))


def blank(notes: Notes, batch: int) -> tuple[tuple[int, str, torch.Tensor], ...]:
    """Notes of these sizes for a batch, of zeros."""
    return tuple((at, kind, torch.zeros(batch, length, dtype=torch.int64)) for at, kind, length in notes)


@lru_cache(maxsize=256)
def _note_kinds(config: ModelConfig, vocab_size: int, window: int, seq_len: int) -> tuple[str, ...]:
    """Kinds of notes that a model uses."""
    with torch.random.fork_rng(devices=[]):
        model = config.build(vocab_size=vocab_size, window=window, seq_len=seq_len)
    return tuple(kind for kind in NOTES if kind in model.uses_notes)


@lru_cache(maxsize=256)
def _cost(
    config: ModelConfig,
    vocab_size: int,
    window: int,
    windows: Windows,
    passes: int,
    notes: Notes,
) -> Cost:
    """The same, of all that the count depends on: seeds and difficulties share it."""
    seq_len = windows[-1][1]
    answer_tokens = sum(stop - start for start, stop, predicts in windows if predicts)
    tokens, targets = (torch.zeros(1, length, dtype=torch.int64) for length in (seq_len, answer_tokens))
    batch = Batch(inputs=tokens, targets=targets, windows=windows, notes=blank(notes, 1))
    with torch.random.fork_rng(devices=[]):  # a model may draw in its passes too
        model = config.build(vocab_size=vocab_size, window=window, seq_len=seq_len)
        # The counter knows plain products but not the CPU's fused attention, so attention runs as plain products here.
        with sdpa_kernel(SDPBackend.MATH), FlopCounter() as train:
            report = Report()
            loss = trained_losses(predict(model, batch, passes, report=report), batch.targets, report).sum()
            (loss if report.loss is None else loss + report.loss).backward()  # type: ignore[no-untyped-call]
        sleep_flops, wake_flops, state = forward_flops(model, windows, passes)
    evicted = sum(stop - start for start, stop, predicts in windows if not predicts)
    return Cost(
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        train_flops=train.flops,
        sleep_flops=sleep_flops,
        wake_flops=wake_flops,
        state_bytes=model.state_bytes(state),
        cache_bytes=kv_bytes(model, evicted),
        wake_passes=model.wake_passes,
        plain_wake_flops=2
        * answer_tokens
        * (plain_weights(model, vocab_size) + 2 * sum(map(_size, state.fast_weights))),
    )


def _size(t: torch.Tensor) -> int:
    """Numbers of a tensor for one sequence."""
    return t[0].numel()


def plain_weights(model: Model, vocab_size: int) -> int:
    """Numbers in the matrices that one pass of a network multiplies each token with, the output layer included."""
    maps = sum(weight.numel() for weight in model.matrices())
    heads = [weight.numel() for weight in model.parameters() if weight.dim() == 2 and vocab_size in weight.shape]
    return maps + max(heads, default=0)


def test_flops(cell: Cell, count: Cost) -> float:
    """FLOPs of one of its tests: again with notes, where there are any; another difficulty may read longer ones."""
    training = cell.training
    longer = sum(cell.task.at(difficulty).seq_len for difficulty in training.test_at) / cell.task.seq_len
    examples = training.test_examples * max(1, len(training.test_passes)) * (longer or 1)
    again = 2 if sizes_of_notes(cell.task, cell.model) else 1
    return again * examples * (count.sleep_flops + count.wake_flops)


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
    with torch.no_grad(), eval_mode(model):
        state = model.start(1)
        for start, stop, predicts in windows:
            tokens = torch.zeros(1, stop - start, dtype=torch.int64)
            with sdpa_kernel(SDPBackend.MATH), FlopCounter() as forward:
                state = model.wake(tokens, state)[1] if predicts else model.sleep(tokens, state, passes)
            if predicts:
                wake_flops += forward.flops
            else:
                sleep_flops += forward.flops
    return sleep_flops, wake_flops, state
