"""Learning curves read between tests: against values by hand, and the two budgets at which two runs are equal."""

import polars as pl
import pytest
from test_tables import cell

from benchmark import rows
from benchmark.judge.learning_curve import REACH, at_flops, least_flops, most_flops, tokens_to
from benchmark.rows.studies import Study, studies


def study(*cells: list[rows.Row]) -> Study:
    (found,) = studies(rows.table([row for of_cell in cells for row in of_cell]))
    return found


CURVE = [0.6, 0.7, 0.9, 0.8]
"""Tests after 1000, 2000, 3000 and 4000 FLOPs, and 100 to 400 tokens; chance 0.5."""


def at(budget: float, *, curve: list[float] = CURVE) -> list[float]:
    found = at_flops(study(cell(1, 0, curve)).scores, {3: budget})
    assert found["train_flops"].to_list() == [budget] * found.height
    return list(found["exact_match"])


@pytest.mark.parametrize(
    ("budget", "score"),
    [(1000, 0.6), (2500, 0.8), (2100, 0.72), (3900, 0.81), (4000, 0.8), (250, 0.525), (0, 0.5)],
    ids=["a test", "half way", "a tenth", "down again", "the end", "before the first test", "nothing spent"],
)
def test_a_score_is_read_on_the_line_between_two_tests(budget: float, score: float) -> None:
    assert at(budget) == [pytest.approx(score)]


def test_a_run_that_ends_before_has_no_score() -> None:
    assert at(4000 / (1 - 0.9 * REACH)) == [0.8]  # budgets come in whole steps
    assert at(4000 / (1 - 1.1 * REACH)) == []
    assert at_flops(study(cell(1, 0, CURVE)).scores, {5: 1000.0}).is_empty()


def test_each_run_is_read_at_the_budget_of_its_difficulty() -> None:
    found = study(
        *(cell(n, seed, [0.6, 0.7, 0.8, 0.9], depth=depth) for n in (1, 2) for seed in (0, 1) for depth in (3, 5))
    )
    read = at_flops(found.scores, {3: 2000.0, 5: 3000.0}).sort("depth", "n", "seed")
    assert read.select("depth", "n", "seed").rows() == [(d, n, s) for d in (3, 5) for n in (1, 2) for s in (0, 1)]
    assert read["exact_match"].to_list() == pytest.approx([0.7, 0.7, 0.6, 0.6, 0.8, 0.8, 0.65, 0.65])
    assert read["answer"].is_null().all()


def test_the_budgets_are_those_of_whole_trainings() -> None:
    found = study(*(cell(n, 0, [0.6] * 4, depth=depth) for n in (1, 2, 4) for depth in (3, 5))).final
    assert least_flops(found) == {3: 4e3, 5: 4e3}
    assert most_flops(found) == {3: 16e3, 5: 16e3}
    assert least_flops(found.filter(pl.col("n") == 2)) == {3: 8e3, 5: 8e3}
    assert least_flops(found.with_columns(train_flops=pl.lit(None, pl.Float64))) == {}


def test_rows_without_flops_have_no_score_at_a_budget() -> None:
    found = study([row | {"train_flops": None} for row in cell(1, 0, CURVE)])
    assert at_flops(found.scores, {3: 1000.0}).is_empty()


@pytest.mark.parametrize(("lift", "tokens"), [(0.2, 100), (0.6, 250), (0.1, 50), (0.8, 300), (0.81, None)])
def test_tokens_to_a_lift_are_read_on_the_same_line(lift: float, tokens: float | None) -> None:
    (found,) = tokens_to(study(cell(1, 0, CURVE)).scores, lift)["tokens"].to_list()
    assert found == (None if tokens is None else pytest.approx(tokens))
