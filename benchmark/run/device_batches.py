"""The batches of a cell on a GPU: made ahead by another thread, or on the GPU itself."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from baselines.base import Model
from benchmark.cells.cell import Cell
from benchmark.forward import Batch, notes_of, split_windows


def device_batches(
    cell: Cell, device: torch.device, steps: Sequence[int], model: Model | None = None
) -> Iterator[Batch]:
    """The batches of steps: made on the device if the task can, else by a background thread, the next one meanwhile.

    With the notes that `model` uses, which no task makes on a device.
    """
    there = None if model and model.uses_notes else tensor_maker(cell, device)
    return map(there, steps) if there else prefetch(maker(cell, device, model), steps)


def maker(cell: Cell, device: torch.device, model: Model | None = None) -> Callable[[int], Batch]:
    """What makes the batch of a step from numpy arrays."""
    size = cell.training.batch

    def make(step: int) -> Batch:
        episode = cell.task.episodes("train", np.arange(step * size, (step + 1) * size), seed=cell.seed)
        return Batch.of(episode, device, notes_of(cell.task, model, episode) if model else ())

    return make


def tensor_maker(cell: Cell, device: torch.device) -> Callable[[int], Batch] | None:
    """What makes the batch of a step on the device (`tasks.base.Task.tensors`); None where the task cannot."""
    task, size = cell.task, cell.training.batch
    if task.tensors("train", torch.zeros(1, dtype=torch.int64, device=device), cell.seed) is None:
        return None
    windows = split_windows(task.episodes("train", np.arange(1), seed=cell.seed))
    answer_parts = [slice(start, stop) for start, stop, predicts in windows if predicts]

    def make(step: int) -> Batch:
        indices = torch.arange(step * size, (step + 1) * size, device=device)
        examples = task.tensors("train", indices, cell.seed)
        assert examples is not None
        inputs, targets = examples
        parts = [targets[:, part] for part in answer_parts]
        return Batch(inputs=inputs, targets=torch.cat(parts, dim=1), windows=windows)

    return make


def prefetch(make: Callable[[int], Batch], steps: Sequence[int]) -> Iterator[Batch]:
    """The batches of `steps`, the next one made by a background thread while the last one is trained on."""
    with ThreadPoolExecutor(max_workers=1) as background:
        waiting: deque[Future[Batch]] = deque()
        for step in steps:
            waiting.append(background.submit(make, step))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
