"""Learning curves read between tests: the one meaning of "at equal training FLOPs" and of "tokens needed".

A run's score at a budget, and the tokens it took to a score, are read on the line through its two nearest tests; before
its first test the line begins at chance, with nothing spent. Tables, figures, verdicts and reports all read them here.

Two budgets are equal for two runs: what the one that spent less spent in all, at which the other has read fewer tokens;
and what the one that spent more spent, at which both are trained to their ends, if rows of the first go so far.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

REACH = 0.01
"""A run that ends within this share of a budget counts at its end: budgets come in whole optimizer steps."""

_RUN = ("cell_id", "seed", "n", "depth", "answer", "n_examples", "processor")


def at_flops(scores: pl.DataFrame, budgets: Mapping[int, float]) -> pl.DataFrame:
    """The score of each run where it had spent the budget of its difficulty.

    Args:
        scores: Tests, as `Study.scores`, of which those of whole examples count.
        budgets: Training FLOPs by difficulty; tests at other difficulties are left out.

    Returns:
        A row per run and difficulty: `exact_match` there, `train_flops` the budget, and what tells the run. A run that
        ends before the budget has none, and neither has one whose FLOPs are not counted.
    """
    readings: list[tuple[object, ...]] = []
    tests = scores.filter(pl.col("depth").is_in(list(budgets))).drop_nulls(["train_flops", "exact_match"])
    for curve in _curves(tests, "train_flops"):
        flops, score = curve["train_flops"].to_numpy(), curve["exact_match"].to_numpy()
        budget = budgets[curve["depth"][0]]
        if flops[-1] >= budget * (1 - REACH):
            start = float(curve["chance"][0])
            at = np.interp(budget, np.concatenate([[0.0], flops]), np.concatenate([[start], score]))
            readings.append((*curve.select(_RUN).row(-1), budget, float(at)))
    schema = {name: scores.schema[name] for name in (*_RUN, "train_flops", "exact_match")}
    return pl.DataFrame(readings, schema=schema, orient="row")


def tokens_to(scores: pl.DataFrame, lift: float) -> pl.DataFrame:
    """The training tokens that each run took to a lift.

    Args:
        scores: As for `at_flops`, with `lift` and `tokens_seen`.
        lift: Above 0, up to 1.

    Returns:
        A row per run and difficulty: `tokens`, null where no test had that lift, and what tells the run.
    """
    readings: list[tuple[object, ...]] = []
    for curve in _curves(scores.drop_nulls("lift"), "tokens_seen"):
        tokens = _tokens_at(curve["tokens_seen"].to_list(), curve["lift"].to_list(), lift)
        readings.append((*curve.select(_RUN).row(-1), tokens))
    schema = {name: scores.schema[name] for name in _RUN}
    return pl.DataFrame(readings, schema=schema | {"tokens": pl.Float64()}, orient="row")


def least_flops(final: pl.DataFrame) -> dict[int, float]:
    """By difficulty, the training FLOPs of the finished run that spent least; none where they are not counted."""
    return _flops(final, pl.col("train_flops").min())


def most_flops(final: pl.DataFrame) -> dict[int, float]:
    """By difficulty, the training FLOPs of the finished run that spent most; none where they are not counted."""
    return _flops(final, pl.col("train_flops").max())


def _flops(final: pl.DataFrame, which: pl.Expr) -> dict[int, float]:
    tests = final.drop_nulls("train_flops").group_by("depth").agg(which).sort("depth")
    return dict(tests.select("depth", "train_flops").iter_rows())


def _curves(scores: pl.DataFrame, along: str) -> list[pl.DataFrame]:
    """The tests of whole examples of each run and difficulty, in order."""
    whole = scores.filter(pl.col("answer").is_null()).sort(along, maintain_order=True)
    return whole.partition_by("cell_id", "depth", maintain_order=True) if whole.height else []


def _tokens_at(tokens: Sequence[float], lifts: Sequence[float], goal: float) -> float | None:
    """Where the line through the tests, from no lift at no tokens, first has a lift."""
    before, had = 0.0, 0.0
    for now, lift in zip(tokens, lifts, strict=True):
        if lift >= goal:
            return before + (now - before) * (goal - had) / (lift - had)
        before, had = float(now), float(lift)
    return None
