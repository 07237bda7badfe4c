"""How long a cell will take here: a few real training steps, timed."""

import time
from pathlib import Path

import torch

from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost, test_flops
from benchmark.run.trainer import Trainer

PROBE_FLOPS = 2e10
"""Work of a timed step: enough to be typical, little enough for the paper's sizes on a laptop."""


def seconds(cell: Cell) -> float:
    """Estimated seconds of training and testing on one core of this machine."""
    count, training = cost(cell), cell.training
    like = (cell.model, count, training.batch, training.precision)  # cells alike in these take the same time
    if like not in _measured:
        _measured[like] = _seconds_per_flop(cell)
    tests = len(cell.evaluation_steps) * test_flops(cell, count)
    return (cell.steps * training.batch * count.train_flops + tests) * _measured[like]


_measured: dict[tuple[object, ...], float] = {}


def _seconds_per_flop(cell: Cell) -> float:
    """Median of three timed steps after one to warm up, on one thread, over the FLOPs of a step."""
    flops = cost(cell).train_flops
    batch = max(1, min(cell.training.batch, int(PROBE_FLOPS / flops)))
    trainer = Trainer(cell.with_settings({"batch": batch, "tokens": 4 * batch * cell.task.seq_len}), Path())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for batch_now in trainer.batches(0):
            begun = time.perf_counter()
            trainer.train_step(batch_now)
            trainer.step += 1
            times.append(time.perf_counter() - begun)
    finally:
        torch.set_num_threads(threads)
    return sorted(times[1:])[1] / (batch * flops)
