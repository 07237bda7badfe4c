"""Rates are chosen alike for every arm: one grid, seeds of their own, validation examples, a share of the budget."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from harness import bench, small

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.facts import cell_facts, failure_row
from benchmark.cells.request import Request
from benchmark.cells.tuning import TUNING, Rates, Tuning
from benchmark.judge.equal_flops import FREE_SETTINGS, alike, at_larger_budget
from benchmark.judge.evidence import Gain
from benchmark.rows import Status
from benchmark.rows.studies import studies

HERE = Tuning(muon_lr=(0.005, 0.01, 0.02), adam_lr=(1e-3, 3e-3), seeds=(1000, 1001))


def scored(trial: Cell, score: float, steps: int = 4) -> list[rows.Row]:
    """Rows of a trial whose last three tests have a score, and the first another."""
    facts = cell_facts(trial, device="cpu", context={})
    base = dict.fromkeys(rows.COLUMNS) | facts | {"chance": 0.25, "answer": None, "difficulty": trial.difficulty or 0}
    return [
        base | {"step": i, "tokens_seen": trial.training.tokens * i // steps, "exact_match": score if i > 1 else 0.0}
        for i in range(1, steps + 1)
    ]


def table(cells: list[Cell], score: Any, **options: Any) -> Any:
    return rows.table([row for cell in cells for row in scored(cell, score(cell), **options)])


def by_rate(cell: Cell) -> float:
    """N = 1 is best at the middle rate, N = 2 at the lowest and at the other of AdamW."""
    rates, n = Rates(cell.training.muon_lr, cell.training.adam_lr), cell.training.sleep_passes
    return ({1: Rates(0.01, 1e-3), 2: Rates(0.005, 3e-3)}[n] == rates and 0.9) or 0.5


def arm(n: int, seed: int) -> Cell:
    cell = small(seed=seed, tokens=8000)
    return replace(cell, training=replace(cell.training, sleep_passes=n))


ARMS = [arm(n, seed) for n in (1, 2) for seed in (0, 1)]


def test_every_arm_has_the_same_trials() -> None:
    trials = HERE.trials(ARMS)
    assert len(trials) == len({cell.id for cell in trials}) == 2 * 6 * 2, "a seed of an arm is no arm"
    assert {(cell.seed, cell.training.tokens, cell.training.test_split) for cell in trials} == {
        (1000, 2000, "validation"),
        (1001, 2000, "validation"),
    }
    for n in (1, 2):
        of_arm = [cell.training for cell in trials if cell.training.sleep_passes == n]
        assert {(t.muon_lr, t.adam_lr) for t in of_arm} == set(HERE.grid)
    assert [cell.seed for cell in trials] == sorted(cell.seed for cell in trials)


def test_each_arm_gets_the_rates_of_its_own() -> None:
    frame = table(list(HERE.trials(ARMS)), by_rate)
    tuned = HERE.with_best_rates(ARMS, frame)
    assert [(c.training.muon_lr, c.training.adam_lr) for c in tuned] == [(0.01, 1e-3)] * 2 + [(0.005, 3e-3)] * 2
    assert [replace(c, training=a.training) for c, a in zip(tuned, ARMS, strict=True)] == ARMS, "nothing else changes"
    one, two = HERE.choice(ARMS[0], frame), HERE.choice(ARMS[2], frame)
    assert one and two and (one.at_edge, two.at_edge) == ((), ("muon_lr",))
    assert one.scores[Rates(0.01, 1e-3)] == pytest.approx(0.9)
    shown = HERE.choices(ARMS, frame)
    assert [line[1:] for line in shown.texts()] == [
        ["0.01", "0.001", "0.900", "0.500", "0.500"],
        ["0.005 (edge)", "0.003", "0.900", "0.500", "0.500"],
    ]


def test_what_diverged_counts_as_chance_and_what_failed_not_at_all() -> None:
    trials = list(HERE.trials(ARMS[:1]))
    every = [row for cell in trials for row in scored(cell, 0.2 if cell.training.muon_lr > 0.005 else 0.6)]
    best = trials[0]
    ended = [row for row in every if row["cell_id"] != best.id or row["step"] == 1]
    facts = cell_facts(best, device="cpu", context={})
    diverged = failure_row(facts, Status.DIVERGED, "the loss is not finite", step=2)
    choice = HERE.choice(ARMS[0], rows.table([*ended, diverged]))
    assert choice is not None and choice.scores[HERE.grid[0]] == pytest.approx((0.25 + 0.6) / 2)
    crashed = failure_row(facts, Status.CRASHED, "no memory", step=2)
    assert HERE.choice(ARMS[0], rows.table([*ended, crashed])) is None
    with pytest.raises(ValueError, match=r"no trials of hybrid with N = 1 on rule110 are finished there; .* --tune"):
        HERE.with_best_rates(ARMS, rows.table(ended))


def test_an_arm_has_one_choice_where_its_own_difficulty_or_budget_was_not_tried() -> None:
    frame = table(list(HERE.trials(ARMS)), by_rate)
    deeper = [cell.with_settings({"rollout_steps": 2, "tokens": 64_000}) for cell in ARMS]
    assert {cell.training.muon_lr for cell in HERE.with_best_rates(deeper, frame)} == {0.01, 0.005}
    wider = ARMS[0].with_settings({"d_model": 24})
    assert HERE.choice(wider, frame) is None, "another arm"


def test_trials_of_the_whole_budget_count_before_those_of_a_share() -> None:
    """A quarter of the budget may prefer what learns first."""
    whole = replace(HERE, share=1)
    quarter = table(list(HERE.trials(ARMS)), by_rate)
    full = table(list(whole.trials(ARMS)), lambda cell: 0.9 if cell.training.muon_lr > 0.01 else 0.5)
    assert set(full["tokens"]) == {8000}
    for tuning in (HERE, whole):
        tuned = tuning.with_best_rates(ARMS, rows.concatenate([quarter, full]))
        assert {cell.training.muon_lr for cell in tuned} == {0.02}
        assert {cell.training.muon_lr for cell in tuning.with_best_rates(ARMS, quarter)} == {0.01, 0.005}


@pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan")])
def test_a_share_is_a_part(share: float) -> None:
    with pytest.raises(ValueError, match="a part of the budget is above 0 and at most 1"):
        Request(suite="quick", tune=True, trial_share=share).cells()
    with pytest.raises(ValueError, match="it goes with --tune"):
        Request(suite="quick", trial_share=0.5).cells()


def test_seeds_of_trials_are_not_published() -> None:
    frame = table(list(HERE.trials(ARMS)), by_rate)
    with pytest.raises(ValueError, match=r"seed 1000 is of trials of rates"):
        HERE.with_best_rates([replace(ARMS[0], seed=1000)], frame)


def test_trials_and_what_they_choose_from_the_command_line(tmp_path: Path, workers_here: None) -> None:
    """One sweep of trials, its figure and table, then cells at those rates; a request says the commands."""
    asked = ["quick", "--scale", "tiny", "--sleep-passes", "1", "--rollout-steps", "0", "--set", "tokens=4000"]
    asked += ["--set", "evaluations=1", "--set", "test_examples=16"]
    refused = bench("run", *asked, "--rates", tmp_path / "trials")
    assert refused.code == 2 and "trials" in refused.err
    done = bench("run", *asked, "--tune", "--out", tmp_path / "trials")
    assert done.code == 0 and "second best" in done.out
    assert {path.stem for path in (tmp_path / "trials" / "figures").iterdir()} == {"accuracy_by_rate"}
    frame = rows.read_table(tmp_path / "trials")
    assert set(frame["cell_id"]) == {cell.id for cell in Request(**QUICK, tune=True).cells()}
    (cell,) = Request(**QUICK, rates=tmp_path / "trials").cells()
    assert (cell.training.muon_lr, cell.training.adam_lr) in TUNING.grid and cell.training.test_split == "test"
    assert cell.id in bench("show", *asked, "--rates", tmp_path / "trials").out
    assert f" --rates {tmp_path} --set tokens=4000 " in Request(**QUICK, rates=tmp_path).command
    with pytest.raises(ValueError, match="only one of them"):
        Request(**QUICK, tune=True, rates=tmp_path).cells()


QUICK: dict[str, Any] = {
    "suite": "quick",
    "scale": "tiny",
    "sleep_passes": (1,),
    "rollout_steps": (0,),
    "settings": ("tokens=4000", "evaluations=1", "test_examples=16"),
}


def test_arms_at_rates_of_their_own_are_one_study() -> None:
    """What differs by N alone hides in no mean; a network that differs is still another study."""
    tuned = HERE.with_best_rates(ARMS, table(list(HERE.trials(ARMS)), by_rate))
    (study,) = studies(table(list(tuned), by_rate_of_n))
    assert study.passes == [1, 2] and "Each N at learning rates of its own." in study.note
    wider = [cell.with_settings({"d_model": 24}) if cell.training.sleep_passes == 2 else cell for cell in tuned]
    assert len(studies(table(wider, by_rate_of_n))) == 2
    gain = Gain(low=1, high=2, depths=tuple(study.depths))
    (longer,) = studies(table([cell.with_settings({"tokens": 16_000}) for cell in tuned[2:]], by_rate_of_n))
    assert alike(study, longer, gain, FREE_SETTINGS), "N = 2 for longer, at the rates of N = 2"
    (other,) = studies(table([cell.with_settings({"muon_lr": 0.02}) for cell in tuned[2:]], by_rate_of_n))
    assert not alike(study, other, gain, FREE_SETTINGS)


def test_one_n_at_several_rates_stands_beside_the_others_at_each() -> None:
    """A rate added for one N takes nothing from a comparison; where several N have several, rates are told apart."""
    tuned = HERE.with_best_rates(ARMS, table(list(HERE.trials(ARMS)), by_rate))
    others = [cell.with_settings({"muon_lr": 0.04}) for cell in tuned]
    (alone,) = studies(table(list(tuned), by_rate_of_n))
    both = studies(table([*tuned, *others[2:]], by_rate_of_n))
    assert [study.passes for study in both] == [[1, 2], [1, 2]]
    assert all("muon lr" in study.name and study.name.endswith("of N = 2") for study in both)
    own = [study.final.filter(pl.col("n") == 2)["muon_lr"].unique().to_list() for study in both]
    assert own == [[tuned[2].training.muon_lr], [0.04]] and "muon lr 0.04" in both[1].name
    assert both[0].scores.equals(alone.scores)
    assert [study.passes for study in studies(table([*tuned, *others], by_rate_of_n))] == [[2], [1], [1, 2]]


def test_equal_flops_are_against_the_smaller_n_at_whatever_rates() -> None:
    """Those of its own study have had a choice at another budget: what is best for it there counts."""
    tuned = HERE.with_best_rates(ARMS, table(list(HERE.trials(ARMS)), by_rate))
    longer = [cell.with_settings({"tokens": 32_000}) for cell in tuned[:2]]
    better = [cell.with_settings({"muon_lr": 0.04}) for cell in longer]
    scores = {cell.id: 0.9 for cell in better}
    frame = table([*tuned, *longer, *better], lambda cell: scores.get(cell.id, by_rate_of_n(cell)))
    every = studies(frame.with_columns(train_flops=1.0 * pl.col("tokens_seen") * pl.col("sleep_passes")))
    (study,) = (each for each in every if each.passes == [1, 2])
    (found,) = at_larger_budget(study, Gain(low=1, high=2, depths=tuple(study.depths)), every)
    assert found.means == pytest.approx((0.9, 0.7))


def by_rate_of_n(cell: Cell) -> float:
    return 0.5 + 0.1 * cell.training.sleep_passes
