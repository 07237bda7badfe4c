"""A training step in C against the same in torch: ratios of the thread's own time, steps in turn, data included.

Run by `make perf`, never by the suite. Nothing here asserts a time. Alone, `python tests/perf/test_backends.py`
prints a line per cell, as benchmark/PERFORMANCE.md has them.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmark.cells.suites import suite
from benchmark.run.trainer import Trainer

CELLS = [("passes", 1), ("passes", 2), ("passes", 4), ("hops", 1), ("hops", 4), ("operations", 1), ("operations", 4)]
WARM_UP = 2


def times(name: str, passes: int, steps: int) -> list[tuple[float, float]]:
    """Seconds of each step, in torch and in C, of a cell at scale cpu and one N; each begins every other round."""
    base = suite(name, "cpu").bases[0]
    cell = base.with_settings({"sleep_passes": passes} | ({"rollout_steps": 6} if name == "passes" else {}))
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


def summary(found: list[tuple[float, float]], tokens: int) -> dict[str, float]:
    """Median and quartiles of the ratio, and what each does in a second."""
    ratios = [in_torch / in_c for in_torch, in_c in found]
    low, middle, high = statistics.quantiles(ratios, n=4)
    rates = [tokens / statistics.median(each) for each in zip(*found, strict=True)]
    return {"ratio": middle, "q25": low, "q75": high, "torch_tokens_per_s": rates[0], "native_tokens_per_s": rates[1]}


@pytest.mark.benchmark(group="training step in C against torch, cpu scale")
@pytest.mark.parametrize(("name", "passes"), CELLS)
def test_backends(benchmark: BenchmarkFixture, name: str, passes: int) -> None:
    base = suite(name, "cpu").bases[0]
    found = benchmark.pedantic(lambda: times(name, passes, 20), rounds=1)
    benchmark.extra_info |= summary(found, base.training.batch * base.task.seq_len)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, passes in CELLS:
        base = suite(name, "cpu").bases[0]
        of = summary(
            times(name, passes, int(sys.argv[1]) if len(sys.argv) > 1 else 40), base.training.batch * base.task.seq_len
        )
        print(
            f"{name} N = {passes}: {of['ratio']:.2f} [{of['q25']:.2f}, {of['q75']:.2f}], "
            f"{of['torch_tokens_per_s'] / 1e3:.0f}k -> {of['native_tokens_per_s'] / 1e3:.0f}k tokens/s",
            flush=True,
        )
