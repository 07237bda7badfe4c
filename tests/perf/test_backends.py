"""A training step in C against the same in torch: ratios of the thread's own time, steps in turn, data included.

Run by `make perf`, never by the suite. Nothing here asserts a time. Alone, `python tests/perf/test_backends.py`
prints a line per cell, as benchmark/PERFORMANCE.md has them; with words behind, only of cells that have one in their
name.
"""

import statistics
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost
from benchmark.cells.suites import suite
from benchmark.run.trainer import Trainer

CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"passes, N = {n}": ("passes", {"rollout_steps": 6, "sleep_passes": n}) for n in (1, 2, 4)},
    **{f"{name}, N = {n}": (name, {"sleep_passes": n}) for name in ("hops", "operations") for n in (1, 4)},
    **{f"sliding, N = {n}": ("sliding", {"eviction": "sliding", "sleep_passes": n}) for n in (1, 2)},
    "sliding in two stages, N = 2": ("sliding", {"eviction": "sliding", "hard_share": 0.33, "sleep_passes": 2}),
    "passes, full-cache, N = 1": ("passes", {"layout": "attn attn", "eviction": "none", "rollout_steps": 6}),
    **{
        f"rules, {word}, N = {n}": ("rules", {"layout": f"attn {word}", "sleep_passes": n})
        for word in ("delta", "gated", "linear")
        for n in (1, 2)
    },
}
"""Suite at scale cpu, and settings of its cells."""

WARM_UP = 2


def cell_of(name: str) -> Cell:
    suite_name, settings = CELLS[name]
    return suite(suite_name, "cpu").bases[0].with_settings(settings)


def times(cell: Cell, steps: int) -> list[tuple[float, float]]:
    """Seconds of each step, in torch and in C, of a cell; each begins every other round."""
    trainers = [Trainer(cell, Path(tempfile.mkdtemp()), backend=backend) for backend in ("torch", "native")]
    batches = [trainer.batches(0) for trainer in trainers]
    found = []
    for turn in range(WARM_UP + steps):
        spent = [0.0, 0.0]
        for which in (0, 1) if turn % 2 else (1, 0):
            begun = time.thread_time()
            trainers[which].train_step(next(batches[which]))
            trainers[which].step += 1
            spent[which] = time.thread_time() - begun
        found.append((spent[0], spent[1]))
    return found[WARM_UP:]


@cache
def best_rate() -> float:
    """FLOP/s of the fastest of 20 of torch's products of two matrices [256, 256]: what a core can do."""
    one, other = torch.randn(2, 256, 256)
    seconds = []
    for _ in range(20):
        begun = time.thread_time()
        torch.mm(one, other)
        seconds.append(time.thread_time() - begun)
    return 2 * 256**3 / min(seconds)


def summary(cell: Cell, steps: int) -> dict[str, float]:
    """Median and quartiles of the ratio; of each, tokens a second and the share of `best_rate`.

    The share counts the FLOPs that a step needs, not those that a backward pass in C computes again.
    """
    found = times(cell, steps)
    low, middle, high = statistics.quantiles([in_torch / in_c for in_torch, in_c in found], n=4)
    of = {"ratio": middle, "q25": low, "q75": high}
    for backend, each in zip(("torch", "native"), zip(*found, strict=True), strict=True):
        sequences = cell.training.batch / statistics.median(each)
        of[f"{backend}_tokens_per_s"] = sequences * cell.task.seq_len
        of[f"{backend}_share"] = sequences * cost(cell).train_flops / best_rate()
    return of


@pytest.mark.benchmark(group="training step in C against torch, cpu scale")
@pytest.mark.parametrize("name", CELLS)
def test_backends(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.extra_info |= benchmark.pedantic(lambda: summary(cell_of(name), 20), rounds=1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    steps, *words = [int(sys.argv[1]), *sys.argv[2:]] if len(sys.argv) > 1 else [40]
    for name in CELLS:
        if not words or any(str(word) in name for word in words):
            of = summary(cell_of(name), int(steps))
            print(
                f"{name}: {of['ratio']:.2f} [{of['q25']:.2f}, {of['q75']:.2f}], "
                f"{of['torch_tokens_per_s'] / 1e3:.0f}k -> {of['native_tokens_per_s'] / 1e3:.0f}k tokens/s, "
                f"{of['torch_share']:.0%} -> {of['native_share']:.0%} of the best products",
                flush=True,
            )
