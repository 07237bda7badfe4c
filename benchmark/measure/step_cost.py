"""What one training step of a cell asks of a GPU, counted on tensors that have only shapes, and how long that takes.

Kernels, bytes moved, FLOPs and the peak of memory are counted (`benchmark.run.step_count`), as torch's CPU operations
have them: a norm is several kernels there and one on a GPU, so kernels, bytes and memory are rather too many. Seconds
are an estimate from them, for one H100: nothing here has been timed on a GPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from baselines.attention import rotary
from baselines.base import ModelConfig
from baselines.report import Report
from benchmark.cells.cell import Cell, Training
from benchmark.cells.cost import Notes, blank, sizes_of_notes
from benchmark.forward import Batch, Windows, autocast, predict, split_windows, trained_losses
from benchmark.run.device_optimizer import DeviceMuonAdamW
from benchmark.run.recomputation import ROOM, Memory, step_memory
from benchmark.run.step_count import StepCounter
from tasks.base import IGNORE

REPLAYED_S = 2e-6
"""A kernel of a replayed graph, at least."""

BYTES_PER_S = 2.7e12
"""Of the 3.35 TB/s of an H100."""

FLOPS_PER_S = {"fp32": 0.3 * 495e12, "bf16": 0.4 * 990e12}
"""A part of the peak of its matrix products."""

CARD_BYTES = 80e9
"""Memory of an H100."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """One training step of one cell.

    Attributes:
        kernels: Operations that compute.
        bytes_moved: Bytes of their inputs and outputs.
        flops: FLOPs of products, attention and solves.
        memory: Its peak beside parameters and optimizer, by the number of sequences at once.
        held_bytes: Parameters and what the optimizer keeps.
        precision: Of the matrix products.
        batch: Sequences.
        again: Whether a card of 80 GB needs activations to be computed again.
        parts: In how many parts it takes the batch then.
    """

    kernels: int
    bytes_moved: int
    flops: int
    memory: Memory
    held_bytes: int
    precision: str
    batch: int
    again: bool
    parts: int

    def peak_bytes(self, *, again: bool, parts: int = 1) -> int:
        """Memory of the step, with all that is held."""
        return self.held_bytes + self.memory.peak(-(-self.batch // parts), again=again)

    @property
    def seconds(self) -> float:
        """Estimated time on one H100, from a graph: the device waits for the slowest of the three."""
        work = 4 / 3 if self.again else 1.0
        products = self.flops / FLOPS_PER_S[self.precision]
        return work * max(self.parts * self.kernels * REPLAYED_S, self.bytes_moved / BYTES_PER_S + products)


def step_cost(cell: Cell) -> StepCost:
    """The cost of one step of a cell; cells alike in task, model, batch, precision and N share the count."""
    task = cell.task
    windows = split_windows(task.episodes("train", np.arange(1)))
    training = replace(cell.training, tokens=1, test_passes=(), test_at=())
    return _step_cost(cell.model, training, windows, task.vocab_size, task.window, sizes_of_notes(task, cell.model))


@contextmanager
def _shape_tensors() -> Iterator[None]:
    """Tensors without numbers; what is kept of tensors from call to call is of one kind, here and outside."""
    rotary.cache_clear()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        rotary.cache_clear()


@lru_cache(maxsize=256)
def _step_cost(
    model_config: ModelConfig, training: Training, windows: Windows, vocab: int, window: int, notes: Notes
) -> StepCost:
    n_targets = sum(stop - start for start, stop, has_targets in windows if has_targets)
    length = windows[-1][1]
    with torch.random.fork_rng(devices=[]), _shape_tensors():
        model = model_config.build(vocab_size=vocab, window=window, seq_len=length)
        optimizer = DeviceMuonAdamW(model, training)
        tokens, targets = (torch.zeros(training.batch, n, dtype=torch.int64) for n in (length, n_targets))
        batch = Batch(inputs=tokens, targets=targets, windows=windows, notes=blank(notes, training.batch))

        def gradients(part: Batch) -> None:
            report = Report()
            with autocast(torch.device("cpu"), training.precision):
                logits = predict(model, part, training.sleep_passes, report=report)
            loss = trained_losses(logits, part.targets, report).sum() / (part.targets != IGNORE).sum()
            (loss if report.loss is None else loss + report.loss).backward()  # type: ignore[no-untyped-call]

        memory = step_memory(model, batch, training.batch, gradients)
        with StepCounter() as counter:
            gradients(batch)
            optimizer.take()
        numbers = list[torch.Tensor](model.parameters())
        numbers += [
            number for part in optimizer.optimizers for state in part.state.values() for number in state.values()
        ]
        state_bytes = sum(tensor.numel() * tensor.element_size() for tensor in numbers)
    again, parts = memory.plan(training.batch, int(ROOM * (CARD_BYTES - state_bytes)))
    return StepCost(
        kernels=counter.kernels,
        bytes_moved=counter.bytes_moved,
        flops=counter.flops,
        memory=memory,
        held_bytes=state_bytes,
        precision=training.precision,
        batch=training.batch,
        again=again,
        parts=parts,
    )
