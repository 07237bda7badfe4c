"""A training step whose blocks are compiled by torch.compile, one by one, against torch's own and those in C.

    python tests/perf/compiled.py passes 1

Thread time of steps in turn, and the process's CPU time, children included, that compiling took. Run by hand; it needs
the C++ compiler that torch's inductor calls.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmark.cells.suites import suite
from benchmark.run.trainer import Trainer

KINDS = ("torch", "compiled", "native")


def main(name: str, passes: int, rounds: int = 15) -> None:
    """Print a line of the table."""
    torch.set_num_threads(1)
    base = suite(name, "cpu").bases[0]
    cell = base.with_settings({"sleep_passes": passes} | ({"rollout_steps": 6} if name == "passes" else {}))
    trainers = {
        kind: Trainer(cell, Path(tempfile.mkdtemp()), backend="native" if kind == "native" else "torch")
        for kind in KINDS
    }
    for block in trainers["compiled"].model.stack:  # type: ignore[attr-defined, union-attr]
        block.forward = torch.compile(block.forward, dynamic=False)
        block.write = torch.compile(block.write, dynamic=False)
    batches = [batch for batch, _ in zip(trainers["torch"].batches(0), range(rounds + 3), strict=False)]
    begun = sum(os.times()[:4])
    for batch in batches[:3]:  # shapes and gradients of every call are met in the first
        trainers["compiled"].train_step(batch)
    compiling = sum(os.times()[:4]) - begun
    spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for turn, batch in enumerate(batches):
        for kind in KINDS if turn % 2 else reversed(KINDS):
            start = time.thread_time()
            trainers[kind].train_step(batch)
            spent[kind].append(time.thread_time() - start)
    kept = {kind: times[3:] for kind, times in spent.items()}
    texts = []
    for kind in KINDS[1:]:
        ratios = [one / other for one, other in zip(kept["torch"], kept[kind], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        texts.append(f"{middle:.2f} [{low:.2f}, {high:.2f}]")
    times = " / ".join(f"{1e3 * statistics.median(kept[kind]):.1f}" for kind in KINDS)
    print(f"| {name}, N = {passes} | {times} | {texts[0]} | {texts[1]} | {compiling:.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
