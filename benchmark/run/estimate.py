"""How long a cell will take here: a few real training steps, timed."""

import time
from pathlib import Path

import torch

from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost, test_flops
from benchmark.run.step_graph import WARM_UP
from benchmark.run.trainer import Trainer

PROBE_FLOPS = 2e10
"""Work of a timed step: enough to be typical, little enough for the paper's sizes on a laptop."""


def seconds(cell: Cell, device: str = "cpu", backend: str = "torch") -> float:
    """Estimated seconds of training and testing on one core of this machine, or on its GPU.

    Raises:
        ValueError: the backend cannot run the model.
    """
    count, training = cost(cell), cell.training
    like = (
        device,
        backend,
        cell.model,
        count,
        training.batch,
        training.precision,
    )  # cells alike in these take the same time
    if like not in _timings:
        _timings[like] = _seconds_per_flop(cell, torch.device(device), backend)
    tests = len(cell.evaluation_steps) * test_flops(cell, count)
    return (cell.steps * training.batch * count.train_flops + tests) * _timings[like]


_timings: dict[tuple[object, ...], float] = {}


def _seconds_per_flop(cell: Cell, device: torch.device, backend: str) -> float:
    """Median of timed steps, on a CPU of one thread, over the FLOPs of a step; those before are to warm up.

    A GPU has the batch of the cell, and a captured step to be timed.
    """
    flops = cost(cell).train_flops
    on_cpu = device.type == "cpu"
    batch = max(1, min(cell.training.batch, int(PROBE_FLOPS / flops))) if on_cpu else cell.training.batch
    warm, count = (1, 3) if on_cpu else (WARM_UP + 2, 5)
    tokens = (warm + count) * batch * cell.task.seq_len
    cell = cell.with_settings({"batch": batch, "tokens": tokens})
    trainer = Trainer(cell, Path(), device=device.type, backend=backend)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for batch_now in trainer.batches(0):
            start = time.perf_counter()
            trainer.train_step(batch_now)
            if not on_cpu:
                torch.cuda.synchronize()
            trainer.step += 1
            times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return sorted(times[warm:])[count // 2] / (batch * flops)
