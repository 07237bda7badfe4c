"""Rows with chosen accuracy curves: what a sweep would have written had its cells learned so."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from benchmark import rows
from benchmark.rows.studies import Study, studies

Curve = Callable[[int, int, float], float]
"""Accuracy of an N at a difficulty after a share of the training."""

TOKENS = 1000


def planted(
    curve: Curve,
    *,
    ns: Sequence[int] = (1, 2),
    depths: Sequence[int] = (0, 2, 4),
    seeds: int = 5,
    noise: float = 0.0,
    draw: int = 0,
    tests: int = 2,
    answers: Sequence[Curve] = (),
    chance: float = 0.5,
    examples: int = 2000,
    tokens: int = TOKENS,
    **facts: Any,
) -> list[rows.Row]:
    """Rows of a cell per N, difficulty and seed, tested at equal shares of its training.

    A pass costs as many FLOPs again. `noise` is the standard deviation over seeds, drawn anew for every cell from the
    stream `draw`; `answers` are the curves of the single answers, all moved by the noise of their cell.
    """
    random = np.random.default_rng(draw)
    found: list[rows.Row] = []
    for n in ns:
        for depth in depths:
            for seed in range(seeds):
                shift = noise * random.standard_normal()
                cell = {
                    "schema_version": 1, "suite": "passes", "scale": "cpu", "status": "ok", "task": "planted",
                    "task_version": 1, "model": "hybrid", "model_version": 1, "seed": seed, "device": "cpu",
                    "axis": "rollout_steps", "difficulty": depth, "rollout_steps": depth, "sleep_passes": n,
                    "tested_passes": n, "split": "test", "chance": chance, "seq_len": 17, "window": 16,
                    "state_bytes": 64, "sleep_flops": 100.0 * n, "wake_flops": 10.0, "tokens": tokens,
                    "test_passes": [], "n_examples": examples, "wall_s": float(n), "step": 0,
                } | facts  # fmt: skip
                cell["cell_id"] = f"{n}-{depth}-{seed}-{tokens}-{sorted(facts.items())}"
                for test in range(1, tests + 1):
                    spent = {
                        "step": test,
                        "tokens_seen": tokens * test // tests,
                        "train_flops": 1e3 * n * tokens * test / tests,
                    }
                    for answer, each in [(None, curve), *enumerate(answers)]:
                        score = float(np.clip(each(n, depth, test / tests) + shift, 0, 1))
                        lift = (score - chance) / (1 - chance)
                        found.append(cell | spent | {"answer": answer, "exact_match": score, "lift": lift})
    return found


def flat(**by_n: float) -> Curve:
    """Accuracy by N alone: `flat(n1=0.6, n2=0.9)`."""
    return lambda n, depth, share: by_n[f"n{n}"]


def table(*parts: list[rows.Row]) -> pl.DataFrame:
    return rows.table([row for part in parts for row in part])


def study(*parts: list[rows.Row]) -> Study:
    """The one study of the rows."""
    (found,) = studies(table(*parts))
    return found
