"""A training step at scale cpu against the same step of another commit, data included: the table of PERFORMANCE.md.

    git worktree add --detach ../then 607d8e4
    python tests/perf/against.py ../then 20

Three processes take turns at single steps: the other tree's, this one's in torch and this one's in C. Each tells the
thread time of a step, and by itself that of making batches, the mean of 32. Run by hand; nothing asserts a time.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CELLS = [("passes", 1), ("passes", 2), ("passes", 4), ("hops", 1), ("hops", 4), ("operations", 1), ("operations", 4)]
WARM_UP, BATCHES = 2, 32


def work(suite_name: str, passes: int, backend: str) -> None:
    """Answer each line of stdin with a line: of "step" seconds of a step, of "data" seconds of making a batch."""
    import torch

    def found(name: str, *places: str) -> Any:
        for place in places:
            try:
                return getattr(import_module(place), name)
            except ModuleNotFoundError:
                continue
        raise SystemExit(f"no {name}")

    torch.set_num_threads(1)
    base = found("suite", "benchmark.cells.suites", "benchmark.suites")(suite_name, "cpu").bases[0]
    cell = base.with_settings({"sleep_passes": passes} | ({"rollout_steps": 6} if suite_name == "passes" else {}))
    kind = found("Trainer", "benchmark.run.trainer", "benchmark.trainer")
    more = {"backend": backend} if backend == "native" else {}
    trainer = kind(cell, Path(tempfile.mkdtemp()), **more)
    made = [batch for batch, _ in zip(trainer.batches(0), range(BATCHES), strict=False)]
    for line in sys.stdin:
        if line.strip() == "data":
            batches = trainer.batches(BATCHES)
            begun = time.thread_time()
            for _ in range(BATCHES):
                next(batches)
            spent = (time.thread_time() - begun) / BATCHES
        else:
            begun = time.thread_time()
            trainer.train_step(made[trainer.step % BATCHES])
            spent = time.thread_time() - begun
            trainer.step += 1
        print(json.dumps(spent), flush=True)


def compare(then: Path, suite_name: str, passes: int, rounds: int) -> str:
    """A line of the table."""
    trees = [(then, "torch"), (ROOT, "torch"), (ROOT, "native")]
    processes = []
    for tree, backend in trees:
        environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-P", __file__, "--work", suite_name, str(passes), backend]
        processes.append(
            subprocess.Popen(
                command, cwd=tree, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )

    def ask(which: int, what: str) -> float:
        process = processes[which]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(what + "\n")
        process.stdin.flush()
        return float(json.loads(process.stdout.readline()))

    steps: list[list[float]] = [[], [], []]
    data: list[list[float]] = [[], [], []]
    for turn in range(WARM_UP + rounds):
        for which in (0, 1, 2) if turn % 2 else (2, 1, 0):
            steps[which].append(ask(which, "step"))
            if turn % 5 == 2:
                data[which].append(ask(which, "data"))
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    made = [statistics.median(spent) for spent in data]
    whole = [[step + of for step in of_steps[WARM_UP:]] for of_steps, of in zip(steps, made, strict=True)]
    ratios = [[a / b for a, b in zip(whole[0], now, strict=True)] for now in whole[1:]]
    texts = []
    for of in ratios:
        low, middle, high = statistics.quantiles(of, n=4)
        texts.append(f"{middle:.2f} [{low:.2f}, {high:.2f}]")
    times = " / ".join(f"{1e3 * statistics.median(spent):.1f}" for spent in whole)
    shares = " / ".join(f"{100 * of / statistics.median(spent):.1f}" for of, spent in zip(made, whole, strict=True))
    return f"| {suite_name}, N = {passes} | {times} | {texts[0]} | {texts[1]} | {shares} |"


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        work(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        print("| cell | then / torch / native, ms | then / torch | then / native | data, % of each |")
        print("|---|---|---|---|---|")
        for name, passes in CELLS:
            print(compare(Path(sys.argv[1]).resolve(), name, passes, int(sys.argv[2])), flush=True)
