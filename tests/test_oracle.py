"""The bound of exit rules against a loop over examples, of planted outcomes and of cells that were trained."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from harness import bench, small
from numpy.typing import NDArray
from test_outcomes import SINGLE, suite

from benchmark import rows
from benchmark.judge.oracle import Bound, bound, bounds, guess_accuracy
from benchmark.rows import outcomes
from benchmark.run.evaluate import TEST_SEED

pytestmark = pytest.mark.usefixtures("one_thread")

LEVELS = [1, 2, 4, 8]


def by_hand(right: NDArray[np.bool_], passes: list[int]) -> Bound:
    """One example at a time, from the definitions."""
    first, spent, spent_staying = 0, 0, 0
    count = right.shape[1]
    shares = [sum(row) / count for row in right.tolist()]
    best = shares.index(max(shares))
    for example in right.T.tolist():
        hits = [n for n, hit in zip(passes, example, strict=True) if hit]
        first += bool(hits)
        spent += min(hits, default=passes[0])
        stays = [n for i, n in enumerate(passes[: best + 1]) if all(example[i : best + 1])]
        spent_staying += min(stays, default=passes[0])
    return Bound(
        fixed=max(shares),
        fixed_passes=passes[best],
        oracle=first / count,
        oracle_passes=spent / count,
        stays_passes=spent_staying / count,
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_bound_is_that_of_a_loop_over_examples(share: float) -> None:
    right = np.random.default_rng(1).random((4, 500)) < share
    assert bound(right, LEVELS) == pytest.approx(by_hand(right, LEVELS))


def test_the_bound_of_four_examples() -> None:
    """Right from 2 on; at 1 and 2; at 4 alone; at 1, and again from 4 on: the best N is 4."""
    right = np.array([[0, 1, 0, 1], [1, 1, 0, 0], [1, 0, 1, 1]], dtype=bool)
    found = bound(right, [1, 2, 4])
    assert (found.fixed, found.fixed_passes) == (0.75, 4)
    assert (found.oracle, found.oracle_passes) == (1.0, (2 + 1 + 4 + 1) / 4)
    assert found.stays_passes == (2 + 1 + 4 + 4) / 4


def test_an_oracle_of_guesses_is_what_is_told_of_it() -> None:
    right = np.random.default_rng(2).random((8, 100_000)) < 0.25
    found = bound(right, list(range(1, 9)))
    assert found.oracle == pytest.approx(guess_accuracy(0.25, 8), abs=0.005)
    assert found.fixed == pytest.approx(0.25, abs=0.005)


def test_bounds_of_trained_cells(tmp_path: Path) -> None:
    """Seeds are averaged, kinds of training kept apart; the command says the same."""
    cell = small(test_passes=(1, 2), sleep_passes=2)
    cells = [replace(cell, seed=seed) for seed in (0, 1)]
    drawn = cell.with_settings({"sleep_passes_drawn": (1, 2)})
    kept = outcomes.read(suite(tmp_path, *cells, drawn))
    of_fixed, of_drawn = bounds(rows.read_table(tmp_path), kept)
    assert [line["drawn"] for line in (of_fixed, of_drawn)] == [None, "1 2"]
    assert [line["seeds"] for line in (of_fixed, of_drawn)] == [2, 1]
    last, level = cell.evaluation_steps[-1], cell.task.levels[0]
    by_cell = [
        by_hand(np.array([kept[outcomes.Key(c.id, last, n, level, None)].right > 0 for n in (1, 2)]), [1, 2])
        for c in cells
    ]
    for name in ("fixed", "oracle", "oracle_passes", "stays_passes"):
        assert of_fixed[name] == pytest.approx(np.mean([getattr(each, name) for each in by_cell]))
    chance = cell.task.chance(level)
    assert of_fixed["guessing"] == pytest.approx(1 - (1 - chance) ** 2)
    assert json.loads(bench("exits", tmp_path, "--json").out)["bounds"] == [of_fixed, of_drawn]
    shown = bench("exits", tmp_path).out
    assert f"{100 * of_fixed['oracle']:.1f} at" in shown


def test_answers_that_count_by_themselves_have_an_n_each(tmp_path: Path) -> None:
    cell = SINGLE.with_settings({"test_passes": (1, 2)})
    kept = outcomes.read(suite(tmp_path, cell))
    found = bounds(rows.read_table(tmp_path), kept)
    episode = cell.task.episodes("test", np.arange(cell.training.test_examples), seed=TEST_SEED)
    assert len(found) == len(cell.task.levels)
    for line, level in zip(found, cell.task.levels, strict=True):
        asked = int(((episode.difficulty == level) & (episode.targets >= 0)).sum())
        last = {n: outcomes.Key(cell.id, cell.evaluation_steps[-1], n, level, None) for n in (1, 2)}
        assert all(int(kept[key].asked.sum()) == asked for key in last.values())
        assert line["fixed"] == pytest.approx(max(kept[key].exact_match for key in last.values()))
        assert line["oracle"] >= line["fixed"] and line["oracle_passes"] >= 1


def test_rows_of_one_n_are_refused(tmp_path: Path) -> None:
    suite(tmp_path, small())
    done = bench("exits", tmp_path)
    assert done.code == 2
    assert "no finished cell was tested at several N" in done.err
