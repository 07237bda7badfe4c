"""The batches of a cell on a CPU: made several at once, since a call of numpy costs much the same for few examples.

Example i of a task is a pure function of i, so that how many are made at once changes none. A background thread would
take the same time from the one core that a cell has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from baselines.base import Model
from benchmark.forward import Batch, notes_of
from tasks.base import Episode, Task

GROUP_LIMIT = 32

GROUP_BYTES = 1 << 23
"""What the arrays of the episodes made at once may take: more gains nothing, and would leave a core's caches."""


def batches_at_once(task: Task, size: int) -> int:
    """How many batches of `size` examples are made at once."""
    of_batch = 4 * 8 * size * task.seq_len  # inputs, targets, difficulty, answer
    return max(1, min(GROUP_LIMIT, GROUP_BYTES // of_batch))


def batches(task: Task, size: int, steps: Sequence[int], *, seed: int, model: Model | None = None) -> Iterator[Batch]:
    """The batches of the training steps `steps`, consecutive ones, of `size` examples each, on the CPU.

    With the notes that `model` uses.
    """
    device, count = torch.device("cpu"), batches_at_once(task, size)
    for first in range(0, len(steps), count):
        some = steps[first : first + count]
        episode = task.episodes("train", np.arange(some[0] * size, (some[-1] + 1) * size), seed=seed)
        notes = notes_of(task, model, episode) if model else []
        for number in range(len(some)):
            rows = slice(number * size, (number + 1) * size)
            yield Batch.of(_part(episode, rows), device, ((at, kind, tokens[rows]) for at, kind, tokens in notes))


def _part(episode: Episode, rows: slice) -> Episode:
    """Some of the examples: views of their arrays; what is known of them is left out."""
    names = ("inputs", "targets", "difficulty", "answer", "content")
    return replace(episode, **{name: getattr(episode, name)[rows] for name in names}, facts={})
