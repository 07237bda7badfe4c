"""The part of a GPU that a cell needs, so that several small ones share it."""

import math

from benchmark.run.executors.base import Job

SHARERS = 8
"""Cells on one GPU, at most."""

HEADROOM, CONTEXT_BYTES = 1.25, 2**30
"""Memory of a GPU to keep for a cell: so many times what it held at its peak, and what CUDA takes for a process."""


def share(*, peak: int, total: int) -> float:
    """The part of a GPU for each of some cells that are alike.

    Args:
        peak: The most bytes that one of them held.
        total: Bytes of the GPU.
    """
    fit = int(total / (HEADROOM * peak + CONTEXT_BYTES))
    return math.floor(1e4 / max(1, min(fit, SHARERS))) / 1e4  # rounded up as Ray does, one would not fit


def memory_class(job: Job) -> str:
    """The same for cells that need the same memory."""
    return job.cell.with_settings({"seed": 0}).id
