"""The summary of rows: what each column says, by hand on a few rows."""

import polars as pl
import pytest

from benchmark import rows
from benchmark.tables import markdown, summary


def cell(
    n: int, seed: int, scores: list[float], *, depth: int = 3, tokens: int = 400, **more: object
) -> list[rows.Row]:
    """A cell tested every 100 tokens; a pass more costs as many FLOPs again."""
    facts = {
        "schema_version": 1, "suite": "passes", "scale": "tiny", "status": "ok",
        "cell_id": f"{n}-{seed}-{depth}-{more}", "task": "rule110", "task_version": 1,
        "model": "hybrid", "model_version": 1, "seed": seed, "device": "cpu",
        "axis": "rollout_steps", "difficulty": depth, "rollout_steps": depth, "sleep_passes": n, "tested_passes": n,
        "test_passes": [], "tokens": 400, "split": "test", "chance": 0.5,
    }  # fmt: skip
    steps = range(1, len(scores) + 1)
    return [
        facts | more | {"step": i, "tokens_seen": 100 * i, "train_flops": 1e3 * n * i, "answer": answer,
                        "exact_match": score, "lift": 2 * score - 1}
        for i, score in zip(steps, scores, strict=True) for answer in (None, 0)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    found = [
        *cell(1, 0, [0.5, 0.6, 0.7, 0.8]), *cell(1, 1, [0.5, 0.5, 0.6, 0.6]),
        *cell(2, 0, [0.6, 0.7, 0.95, 1.0]), *cell(2, 1, [0.6, 0.8, 0.85, 0.85]),
        *cell(4, 0, [0.7, 0.9]),  # unfinished
    ]  # fmt: skip
    return summary(rows.table(found))


def test_a_line_for_every_n_with_finished_cells(table: pl.DataFrame) -> None:
    assert table["N"].to_list() == [1, 2]
    assert table["rollout_steps"].to_list() == [3, 3]
    assert table["seeds"].to_list() == [2, 2]
    assert table["setting"].to_list() == [None, None]


def test_scores_at_the_end_of_the_budget(table: pl.DataFrame) -> None:
    assert table["exact_match"].to_list() == pytest.approx([0.7, 0.925])
    assert table["lowest"].to_list() == [0.6, 0.85]
    assert table["highest"].to_list() == [0.8, 1.0]


def test_at_equal_flops_the_dearer_model_has_read_less(table: pl.DataFrame) -> None:
    assert table["at_equal_flops"].to_list() == pytest.approx([0.7, 0.75])  # N = 2 after half its tokens


def test_tokens_needed_count_only_the_seeds_that_got_there(table: pl.DataFrame) -> None:
    assert table["reached"].to_list() == [0, 1]
    assert table["tokens_needed"].to_list() == [None, 300.0]


def test_what_varies_is_never_averaged_over() -> None:
    both = cell(1, 0, [0.6] * 4, window_embedding=False) + cell(1, 0, [0.9] * 4, window_embedding=True)
    found = summary(rows.table(both))
    assert sorted(zip(found["setting"], found["exact_match"], strict=True)) == [
        ("window embedding False", 0.6),
        ("window embedding True", 0.9),
    ]


def test_variants_are_ranked_at_one_budget_with_their_costs() -> None:
    cost = {"parameters": 1000, "state_bytes": 64}
    found = [
        *cell(2, 0, [0.6, 0.7, 0.8, 0.9], variant="sleep", d_model=8, **cost),
        *cell(1, 0, [0.5, 0.6, 0.6, 0.7], variant="plain", d_model=8, **cost),
        *cell(1, 0, [0.6, 0.7, 0.9, 1.0], variant="wider", d_model=16, parameters=4000, state_bytes=64),
    ]
    table = summary(rows.table(found))
    assert table["variant"].to_list() == ["wider", "sleep", "plain"]
    assert table["setting"].to_list() == [None, None, None]
    assert table["parameters"].to_list() == [4000, 1000, 1000]
    assert table["train_flops"].to_list() == [4e3, 8e3, 4e3]
    assert table["at_equal_flops"].to_list() == [1.0, 0.7, 0.7]  # the plain model has 4 tests, sleep 2 for as much
    assert markdown(table).splitlines()[2] == (
        "| wider | 3 | 1 | 1 | 0.500 | 1.000 | 1.000 | 1.000 | 1.000 | 1 | 0.00M | 4000 | 64 | 4.00e+03 |"
    )


def test_tests_at_other_n_are_lines_of_their_own_under_the_n_of_training() -> None:
    found = []
    for n in (1, 2):
        for tested in (1, 2):
            score = 0.9 if n == tested else 0.6
            found += cell(n, 0, [score] * 4, tested_passes=tested, cell_id=f"cell {n}", test_passes=[1, 2])
    table = summary(rows.table(found))
    assert table.select("setting", "N", "tested_N", "exact_match").rows() == [
        (None, 1, 1, 0.9), (None, 1, 2, 0.6), (None, 2, 1, 0.6), (None, 2, 2, 0.9),
    ]  # fmt: skip
    trained = summary(rows.table(cell(1, 0, [0.9] * 4)))
    assert trained["tested_N"].to_list() == [None]


def test_tasks_of_several_axes_share_a_column_of_difficulties() -> None:
    found = cell(1, 0, [0.9] * 4) + cell(1, 0, [0.8] * 4, task="depo", axis="hops", task_version=2)
    table = summary(rows.table(found))
    assert table.select("setting", "difficulty", "exact_match").rows() == [
        ("task depo", "k = 3", 0.8), ("task rule110", "t = 3", 0.9),
    ]  # fmt: skip


def test_markdown_leaves_out_what_has_no_value(table: pl.DataFrame) -> None:
    lines = markdown(table).splitlines()
    assert lines[0].startswith("| rollout steps | N | seeds | chance | exact match |")
    assert lines[2] == "| 3 | 1 | 2 | 0.500 | 0.700 | 0.600 | 0.800 | 0.700 | 0 | - |"
    assert len(lines) == 4


def test_rows_without_a_finished_cell_make_an_empty_table() -> None:
    assert summary(rows.table(cell(1, 0, [0.5]))).is_empty()
