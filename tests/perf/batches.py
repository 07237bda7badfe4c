"""What data and tests take of a cell, thread time: `python tests/perf/batches.py`, a line per suite, N = 1."""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmark.cells.suites import suite
from benchmark.run.trainer import Trainer

BATCHES = 32


def main(name: str) -> None:
    """Print milliseconds of a batch made alone and of one made with others, and seconds of the first tests."""
    base = suite(name, "cpu").bases[0]
    cell = base.with_settings({"sleep_passes": 1} | ({"rollout_steps": 6} if name == "passes" else {}))
    trainer = Trainer(cell, Path(tempfile.mkdtemp()), backend="auto")
    size, alone = cell.training.batch, []
    for number in range(BATCHES):
        begun = time.thread_time()
        cell.task.episodes("train", np.arange(size) + number * size)
        alone.append(time.thread_time() - begun)
    together = []
    for first in (0, BATCHES, 2 * BATCHES):
        batches = trainer.batches(first)
        begun = time.thread_time()
        for _ in range(BATCHES):
            next(batches)
        together.append((time.thread_time() - begun) / BATCHES)
    trainer.step, tests = cell.evaluation_steps[0], []
    for _ in range(3):
        begun = time.thread_time()
        list(trainer.test(1.0))
        tests.append(time.thread_time() - begun)
    begun = time.thread_time()
    trainer.save()
    saved = time.thread_time() - begun
    of = [1e3 * statistics.median(times) for times in (alone, together)]
    told = ", ".join(f"{spent:.2f}" for spent in tests)
    print(f"{name}: a batch {of[0]:.2f} ms alone, {of[1]:.2f} with others; tests {told} s; save {1e3 * saved:.0f} ms")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in ("passes", "hops", "operations"):
        main(name)
