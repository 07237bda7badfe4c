"""`bench seeds`: the spread of the seeds that there are, by hand, and what the command says of it."""

import json
import math
from pathlib import Path

import pytest
from harness import bench

from benchmark import rows
from benchmark.judge.power import sd_limit, seeds_needed
from benchmark.judge.seeds import seed_requirements


def cell(n: int, seed: int, score: float, *, depth: int = 3, tokens_seen: int = 400) -> list[rows.Row]:
    """A cell with one test before the last; it is finished after 400 tokens."""
    facts = {
        "schema_version": rows.SCHEMA_VERSION, "suite": "passes", "scale": "tiny", "status": "ok",
        "cell_id": f"{n}-{seed}-{depth}", "task": "rule110", "task_version": 9,
        "model": "hybrid", "model_version": 1, "seed": seed, "device": "cpu", "n_examples": 1000,
        "axis": "rollout_steps", "difficulty": depth, "rollout_steps": depth, "sleep_passes": n, "tested_passes": n,
        "test_passes": [], "tokens": 400, "split": "test", "chance": 0.5, "train_flops": 1e3,
    }  # fmt: skip
    tests = [(1, 100, 0.5), (2, tokens_seen, score)]
    return [
        facts | {"step": step, "tokens_seen": tokens, "answer": answer, "exact_match": found, "lift": 2 * found - 1}
        for step, tokens, found in tests for answer in (None, 0)
    ]  # fmt: skip


ONE, TWO = [0.6, 0.7, 0.8], [0.7, 0.9, 0.9]
ROWS = [
    *(row for seed, score in enumerate(ONE) for row in cell(1, seed, score)),
    *(row for seed, score in enumerate(TWO) for row in cell(2, seed, score)),
    *cell(2, 3, 0.1),  # a seed that N = 1 lacks
    *cell(2, 4, 0.1, tokens_seen=300),  # unfinished
    *(row for seed in (0, 1) for n in (1, 2, 4) for row in cell(n, seed, 1.0, depth=0)),
    *cell(1, 0, 0.5, depth=8), *cell(2, 0, 0.6, depth=8),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows.write_table(tmp_path / "rows.parquet", ROWS)
    return tmp_path


def test_the_spread_of_the_seeds_by_hand() -> None:
    """Differences 0.1, 0.2 and 0.1: mean 0.1333, standard deviation 0.0577."""
    ceiling, ceiling_too, found, alone = seed_requirements(rows.table(ROWS), 0.1)
    assert (found["at"], found["n"], found["other_n"], found["seeds"]) == ("t = 3", 1, 2, 3)
    assert found["difference"] == pytest.approx(0.4 / 3)
    assert found["low"] < 0.4 / 3 - 4.3027 * 0.0577 / math.sqrt(3)  # seeds, and examples on top
    assert found["sd"] == pytest.approx(0.1)
    assert found["sd_of_differences"] == pytest.approx(0.1 / math.sqrt(3))
    assert found["needed"] == seeds_needed(0.1, 0.1 / math.sqrt(3))
    assert found["needed_likely"] == seeds_needed(0.1, sd_limit(0.1 / math.sqrt(3), 3)) > found["needed"]
    assert (ceiling["n"], ceiling["other_n"], ceiling_too["n"], ceiling_too["other_n"]) == (1, 2, 2, 4)
    assert ceiling["sd_of_differences"] == 0
    assert alone["difference"] == pytest.approx(0.1)
    for line in (ceiling, alone):
        assert line["needed"] is line["needed_likely"] is line["needed_unpaired"] is None
    assert alone["low"] is alone["high"] is alone["sd"] is None


def test_unpaired_seeds_go_by_all_that_each_n_has() -> None:
    """N = 2 has a fourth seed, far away from its others: it counts where seeds are not compared one by one."""
    found = seed_requirements(rows.table(ROWS), 0.1)[2]
    assert found["other_sd"] == pytest.approx(0.3786, abs=1e-4)
    pooled = math.sqrt((0.1**2 + found["other_sd"] ** 2) / 2)
    assert found["needed_unpaired"] == seeds_needed(0.1, pooled, paired=False)


def test_the_command_prints_a_table(folder: Path) -> None:
    done = bench("seeds", folder, "--difference", "0.1")
    assert done.code == 0, done.err
    assert "+0.133" in done.out
    assert "find a difference of 0.1" in done.out
    assert "[-inf" not in done.out


def test_the_command_prints_json_with_the_same_numbers(folder: Path) -> None:
    done = bench("seeds", folder, "--difference", "0.1", "--power", "0.9", "--json")
    found = json.loads(done.out)
    assert (found["difference"], found["power"]) == (0.1, 0.9)
    assert found["comparisons"] == seed_requirements(rows.table(ROWS), 0.1, 0.9)


def test_without_a_source_the_committed_rows_are_read() -> None:
    found = json.loads(bench("seeds", "--json").out)["comparisons"]
    assert min(line["seeds"] for line in found) >= 3
    assert {(line["n"], line["other_n"]) for line in found} == {(1, 2), (2, 4)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--difference", "0"], "above 0, at most 1, such as 0.05; given 0"),
        (["--difference", "5"], "above 0, at most 1, such as 0.05; given 5"),
        (["--power", "1"], "a power is between 0 and 1, given 1"),
        (["--level", "95"], "a level is between 0 and 1, such as 0.95; given 95"),
    ],
)
def test_impossible_questions_are_refused(folder: Path, arguments: list[str], message: str) -> None:
    done = bench("seeds", folder, *arguments)
    assert done.code == 2
    assert message in done.err


def test_rows_of_one_n_have_nothing_to_compare(tmp_path: Path) -> None:
    rows.write_table(tmp_path / "rows.parquet", cell(1, 0, 0.5))
    done = bench("seeds", tmp_path)
    assert done.code == 2
    assert "no difficulty at which two N have a final score" in done.err
