"""The batches of a cell on a CPU: made several at once, since a call of numpy costs much the same for few examples.

Example i of a task is a pure function of i, so that how many are made at once changes none. A background thread would
take the same time from the one core that a cell has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from benchmark.forward import Batch
from tasks.base import Episode, Task

MOST_TOGETHER = 32

TOGETHER_BYTES = 1 << 23
"""What the arrays of the episodes made at once may take: more gains nothing, and would leave a core's caches."""


def together(task: Task, size: int) -> int:
    """How many batches of `size` examples are made at once."""
    of_batch = 4 * 8 * size * task.seq_len  # inputs, targets, difficulty, answer
    return max(1, min(MOST_TOGETHER, TOGETHER_BYTES // of_batch))


def batches(task: Task, size: int, steps: Sequence[int], *, seed: int) -> Iterator[Batch]:
    """The batches of the training steps `steps`, consecutive ones, of `size` examples each, on the CPU."""
    device, count = torch.device("cpu"), together(task, size)
    for first in range(0, len(steps), count):
        some = steps[first : first + count]
        episode = task.episodes("train", np.arange(some[0] * size, (some[-1] + 1) * size), seed=seed)
        for number in range(len(some)):
            yield Batch.of(_part(episode, slice(number * size, (number + 1) * size)), device)


def _part(episode: Episode, rows: slice) -> Episode:
    """Some of the examples: views of their arrays; what is known of them is left out."""
    names = ("inputs", "targets", "difficulty", "answer", "content")
    return replace(episode, **{name: getattr(episode, name)[rows] for name in names}, facts={})
