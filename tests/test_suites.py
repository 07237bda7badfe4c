"""Suites: every one at every scale is a grid of different cells, and `paper` has exactly the paper's sizes."""

from dataclasses import replace
from pathlib import Path

import pytest

from baselines.hybrid import MIXERS, Hybrid
from benchmark import rows
from benchmark.cells.cell import Cell, Training
from benchmark.cells.cost import cost
from benchmark.cells.grids import Grid, Plan
from benchmark.cells.rivals import RIVALS, exclusions
from benchmark.cells.suites import SCALES, SUITES, suite
from benchmark.run.trainer import Trainer
from tasks.depo import Depo
from tasks.depo.foretold import ForetoldDepo
from tasks.gsm_infinite.task import GSMInfinite
from tasks.rule110 import Rule110

# Matching rivals counts FLOPs, which takes a minute or so at the larger sizes: `controls` is tried at one of them.
SLOW = {("controls", "paper"), *((name, scale) for name in ("hop-controls", "roads") for scale in ("gpu", "paper"))}
EVERY = [(name, scale) for name in SUITES for scale in SCALES if (name, scale) not in SLOW]


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_every_suite_has_different_cells_at_every_scale(name: str, scale: str) -> None:
    cells = suite(name, scale).cells()
    assert len({cell.id for cell in cells}) == len(cells) >= 2
    other = {
        "hops": {"depo"},
        "hop-windows": {"depo"},
        "hop-controls": {"depo"},
        "predictability": {"depo_foretold"},
        "amortisation": {"depo"},
        "operations": {"gsm_infinite" if scale == "paper" else "gsm_compact"},
        "no-gain": {"rule110", "recall", "depo"},
        "roads": {"rule110", "depo"},
        "gate": {"rule110", "recall"},
        "retention": {"retention"},
        "interference": {"interference"},
        "pretrained": {"colors"},
        "sliding": {{"gpu": "gsm_compact", "paper": "gsm_infinite"}.get(scale, "rule110")},
    }
    assert {cell.task.name for cell in cells} == other.get(name, {"rule110"})


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_a_sweep_has_one_seed_of_everything_before_the_second(name: str, scale: str) -> None:
    seeds = [cell.seed for cell in suite(name, scale).cells()]
    assert seeds == sorted(seeds)
    several = 5 if scale == "cpu" and name in ("passes", "hops") else 3
    assert set(seeds) == ({0} if scale == "tiny" or name == "quick" else set(range(several)))


@pytest.mark.parametrize("name", SUITES)
def test_suites_are_described_in_a_line(name: str) -> None:
    line = (SUITES[name].__doc__ or "").partition("\n")[0]
    assert len(line) > 20
    assert line.endswith(".")


@pytest.mark.parametrize("scale", SCALES)
def test_any_cell_is_passes_but_for_what_is_asked(scale: str) -> None:
    known, any_cell = suite("passes", scale).cells(), suite("any-cell", scale).cells()
    assert {cell.axes["asked"] for cell in known} == {"first"}
    assert {cell.axes["asked"] for cell in any_cell} == {"any"}
    assert {cell.with_settings({"asked": "first"}).id for cell in any_cell} <= {cell.id for cell in known}


@pytest.mark.parametrize("scale", ["tiny", "cpu"])
def test_small_suites_show_depth_alone(scale: str) -> None:
    """One string per example, so that telling windows apart is no part of the job; t = 0 is there as the control."""
    for name in ("quick", "passes", "rollouts"):
        cells = suite(name, scale).cells()
        assert {cell.task.answers for cell in cells} == {1}
        assert all(cell.task.seq_len <= 2 * cell.task.window for cell in cells), "one window is slept on"
        assert {cell.training.sleep_passes for cell in cells if cell.difficulty == 0} == {
            cell.training.sleep_passes for cell in cells
        }


def test_the_default_suite_is_two_depths_by_two_passes() -> None:
    cells = suite("quick", "cpu").cells()
    depths = {cell.difficulty for cell in cells}
    assert len(cells) == 4
    assert {(cell.difficulty, cell.training.sleep_passes) for cell in cells} == {(t, n) for t in depths for n in (1, 2)}


# The paper's sizes


@pytest.mark.parametrize("name", ["quick", "rollouts", "passes", "addressing"])
def test_paper_scale_is_the_papers_setting(name: str) -> None:
    for cell in suite(name, "paper").cells():
        depth, training = cell.difficulty, cell.training
        assert isinstance(cell.model, Hybrid)
        assert depth is not None
        strings = 2 if name == "addressing" else 4  # which is no figure of the paper
        assert cell.task == Rule110(cells=24, strings=strings, rollout_steps=depth)
        assert cell.task.window == 24
        assert (cell.model.layout, cell.model.d_model) == ("attn gdn attn gdn", 256)
        assert (training.batch, training.muon_lr, training.adam_lr) == (512, 2e-3, 5e-5)
        assert training.precision == "bf16"
    assert suite("quick", "paper").bases[0].task.seq_len == 100


def test_figure_2a_at_the_papers_size() -> None:
    cells = suite("rollouts", "paper").cells()
    assert {cell.difficulty for cell in cells} == {4, 8, 10, 12, 14, 16}
    assert {cell.training.sleep_passes for cell in cells} == {1}
    assert {cell.training.tokens for cell in cells} == {40_000_000}
    assert len(cells) == 6 * 3


def test_figure_2b_at_the_papers_size() -> None:
    cells = suite("passes", "paper").cells()
    assert {cell.difficulty for cell in cells} == {32}
    assert {cell.training.sleep_passes for cell in cells} == {1, 2, 3, 4}
    assert {cell.training.tokens for cell in cells} == {5_000_000_000}
    assert len(cells) == 4 * 3


def test_a_cell_of_the_papers_size_takes_a_step_here(tmp_path: Path) -> None:
    """Everything as in the paper, four passes included, but for two sequences instead of 512."""
    (cell,) = suite("passes", "paper").with_settings({"batch": 2}).narrow(sleep_passes=[4], seed=[0]).cells()
    assert isinstance(cell.model, Hybrid)
    assert cell.model.window_embedding
    trainer = Trainer(cell, tmp_path)
    assert 3e6 < trainer.cost.parameters < 4e6
    batch = next(trainer.batches(0))
    assert batch.inputs.shape == (2, 100)
    assert batch.windows == ((0, 24, False), (24, 48, False), (48, 72, False), (72, 96, False), (96, 100, True))
    before = trainer.model.state_dict()["embedding.weight"].clone()
    loss = trainer.train_step(batch)
    assert 0.3 < loss.item() < 3.0
    assert (trainer.model.state_dict()["embedding.weight"] != before).any()
    assert all(p.isfinite().all() for p in trainer.model.parameters())
    assert not list(tmp_path.iterdir()), "a step writes nothing"


def test_figure_3_at_the_papers_size(tmp_path: Path) -> None:
    cells = suite("hops", "paper").cells()
    assert {cell.training.sleep_passes for cell in cells} == {1, 2, 4}
    for cell in cells:
        assert cell.task == Depo()
        assert (cell.task.seq_len, cell.task.window, cell.task.levels) == (360, 75, (1, 2, 4, 8, 16))
        assert isinstance(cell.model, Hybrid)
        assert (len(cell.model.layout.split()), cell.model.d_model) == (10, 512)
        assert (cell.training.batch, cell.steps) == (128, 100_000)
        assert (cell.training.muon_lr, cell.training.adam_lr) == (2e-3, 5e-5)
    trainer = Trainer(cells[0].with_settings({"batch": 1}), tmp_path)
    batch = next(trainer.batches(0))
    assert [asked for *_, asked in batch.windows] == [False] * 4 + [True]
    assert 2.0 < trainer.train_step(batch).item() < 20.0  # ln of 120 tokens is 4.8


def test_figure_4_at_the_papers_size() -> None:
    cells = suite("operations", "paper").cells()
    assert {cell.training.sleep_passes for cell in cells} == {1, 2, 4, 6}
    for cell in cells:
        assert cell.task == GSMInfinite()
        assert (cell.task.seq_len, cell.task.window) == (3300, 2000)
        assert cell.task.levels == (1, 2, 3, 4, 5, 6, 7, 8)
        assert (cell.training.batch, cell.training.muon_lr, cell.training.test_examples) == (256, 1e-3, 1600)


def test_figure_5_at_the_papers_size() -> None:
    cells = suite("sliding", "paper").cells()
    assert {cell.training.sleep_passes for cell in cells} == {1, 2, 4}
    for cell in cells:
        assert cell.task == GSMInfinite(window_tokens=512)
        assert 4 <= cell.task.seq_len / cell.task.window <= 7
    assert {(c.axes["eviction"], c.training.hard_share) for c in cells} == {
        ("hard", 0.0),
        ("sliding", 0.0),
        ("sliding", 0.33),
    }


@pytest.mark.parametrize("name", ["hops", "operations"])
def test_suites_of_several_difficulties_test_each(name: str, tmp_path: Path) -> None:
    (cell,) = suite(name, "tiny").with_settings({"tokens": 1, "test_examples": 64}).narrow(sleep_passes=[2]).cells()
    assert Trainer(cell, tmp_path).run() == "ok"
    written = [row for row in rows.read(tmp_path / "rows.jsonl") if row["answer"] is None]
    assert [row["difficulty"] for row in written] == list(cell.task.levels)
    for row in written:
        assert row["chance"] == cell.task.chance(row["difficulty"])
        assert 0 < row["majority"] <= row["question_only"] < 1
        assert row["lift"] == pytest.approx((row["exact_match"] - row["chance"]) / (1 - row["chance"]))


# The questions that the paper leaves open


def fair(sleep: Cell) -> list[str]:
    """The variants that a sleep model has."""
    left_out = exclusions(sleep)
    assert set(left_out) <= {"in-rule", "bigger-window"}
    return ["sleep", "plain", *(name for name in RIVALS if name not in left_out)]


@pytest.mark.parametrize("scale", ["tiny", "cpu"])
def test_controls_are_sleep_the_plain_hybrid_and_every_rival(scale: str) -> None:
    cells = suite("controls", scale).narrow(seed=[0]).cells()
    assert [cell.variant for cell in cells] == fair(cells[0])
    totals = [cost(c).train_flops * c.steps * c.training.batch for c in cells if c.variant != "plain"]
    assert max(totals) < 1.05 * min(totals)


@pytest.mark.parametrize(
    ("changed", "passes"),
    [
        (suite("controls", "tiny").with_settings({"tokens": 200_000, "d_model": 24}), 2),
        (suite("controls", "tiny").with_task(Depo).with_settings({"nodes": 7, "tokens": 1_000_000}), 2),
        (suite("controls", "tiny").narrow(sleep_passes=[3]), 3),
    ],
    ids=["settings", "task", "N"],
)
def test_rivals_are_matched_to_what_is_asked_for(changed: Plan, passes: int) -> None:
    cells = {cell.variant: cell for cell in changed.narrow(seed=[0]).cells()}
    assert list(cells) == fair(cells["sleep"])
    assert cells["sleep"].training.sleep_passes == passes and cells["plain"].training.sleep_passes == 1
    totals = [cost(c).train_flops * c.steps * c.training.batch for name, c in cells.items() if name != "plain"]
    assert max(totals) < 1.05 * min(totals)


def test_a_task_of_a_suite_with_several_is_chosen_as_it_is() -> None:
    every = suite("roads", "tiny")
    chosen = every.with_task(Depo).cells()
    assert {cell.id for cell in chosen} == {cell.id for cell in every.cells() if cell.task.name == "depo"}


def test_variants_are_chosen_by_name() -> None:
    plan = suite("controls", "tiny").narrow(seed=[0, 1])
    chosen = plan.only(["wider", "sleep", "wider"]).cells()
    assert [(c.seed, c.variant) for c in chosen] == [(s, v) for s in (0, 1) for v in ("wider", "sleep")]
    assert plan.only(None) == plan
    assert {c.variant for c in suite("hop-controls", "tiny").only(["reread"]).cells()} == {"reread"}
    with pytest.raises(ValueError, match=r"unknown variant 'widr'; valid: sleep, .*did you mean 'wider'"):
        plan.only(["widr"]).cells()
    with pytest.raises(ValueError, match="no variants to choose from; given sleep"):
        suite("passes", "tiny").only(["sleep"])


def test_the_suite_of_rules_changes_the_rule_alone() -> None:
    cells = suite("rules", "cpu").narrow(seed=[0]).cells()
    rules = [cell.axes["layout"].removeprefix("attn ") for cell in cells]
    assert len(cells) == 2 * len(set(rules))
    assert set(rules) <= set(MIXERS)
    assert len({cell.task for cell in cells}) == 1


def test_sliding_has_both_evictions_and_the_two_stages() -> None:
    cells = suite("sliding", "cpu").narrow(seed=[0], sleep_passes=[2]).cells()
    kinds = [(cell.axes["eviction"], cell.training.hard_share) for cell in cells]
    assert kinds == [("hard", 0.0), ("sliding", 0.0), ("sliding", 0.33)]
    assert all(cell.task.answers == 2 for cell in cells), "one string is evicted when the other is not"


@pytest.mark.parametrize("scale", SCALES)
def test_retention_is_tested_far_beyond_training(scale: str) -> None:
    for cell in suite("retention", scale).narrow(seed=[0]).cells():
        trained = cell.axes["windows_after"]
        assert 0 in cell.levels
        assert max(cell.levels) > trained
        assert scale == "tiny" or max(cell.levels) == 64
        assert not cell.axes["window_embedding"], "there is no index beyond the windows of training"


@pytest.mark.parametrize("scale", ["tiny", "cpu"])
def test_small_suites_foretell_questions_in_the_window_of_the_cycle(scale: str) -> None:
    cells = suite("predictability", scale).narrow(seed=[0]).cells()
    assert {cell.axes["predictability"] for cell in cells} == {0.0, 1.0} | ({0.5} if scale == "cpu" else set())
    for cell in cells:
        task = cell.task
        assert isinstance(task, ForetoldDepo)
        assert task.seq_len - task.window == task.questions * task.coder.question_tokens


def test_questions_that_share_a_sleep_are_asked_of_every_system_on_the_same_tokens() -> None:
    cells = suite("amortisation", "cpu").narrow(seed=[0]).cells()
    assert [(cell.variant, cell.training.sleep_passes) for cell in cells] == [
        *(("sleep", n) for n in (1, 2, 4)),
        *((name, 1) for name in ("wake-loop", "cot", "questions-asleep")),
    ]
    assert len({(cell.task, cell.training.tokens, cell.steps) for cell in cells}) == 1
    *_, loop, awake, asleep = cells
    assert (loop.axes["wake_passes"], awake.axes["thoughts"]) == (4, 4)
    assert (asleep.axes["taught"], asleep.axes["thoughts"]) == ("questions", 11 * 4 * 3)  # nodes, k, tokens of each
    assert cells[0].task.answers == 10


@pytest.mark.parametrize("name", ["sliding", "retention", "test-passes", "any-n", "rules", "controls"])
def test_new_suites_train_and_test_as_told(name: str, tmp_path: Path) -> None:
    # Budgets of rivals are matched in whole steps: one step cannot be.
    plan = suite(name, "tiny").with_settings({"tokens": 30_000 if name == "controls" else 1, "test_examples": 16})
    cell = plan.narrow(seed=[0]).cells()[-1]
    assert Trainer(cell, tmp_path).run() == "ok"
    every = rows.read(tmp_path / "rows.jsonl")
    written = [row for row in every if row["answer"] is None and row["step"] == cell.steps]
    passes = cell.training.test_passes or (cell.training.sleep_passes,)
    assert [(r["tested_passes"], r["difficulty"]) for r in written] == [(n, d) for n in passes for d in cell.levels]
    assert {r["variant"] for r in written} == {cell.variant}


# Changing a grid


def test_narrowing_chooses_values_of_axes() -> None:
    grid = suite("passes", "cpu").narrow(sleep_passes=[3, 1, 3], rollout_steps=[5], seed=None)
    assert [(c.seed, c.training.sleep_passes) for c in grid.cells()] == [(s, n) for s in range(5) for n in (3, 1)]
    assert {c.difficulty for c in grid.cells()} == {5}


def test_narrowing_refuses_what_is_no_axis() -> None:
    with pytest.raises(ValueError, match=r"unknown axis of this suite 'sleep_pass'.*did you mean 'sleep_passes'"):
        suite("passes", "cpu").narrow(sleep_pass=[1])


def test_narrowed_values_are_checked() -> None:
    with pytest.raises(ValueError, match=r"rollout_steps must be a whole number >= 0; given -1"):
        suite("passes", "cpu").narrow(rollout_steps=[-1]).cells()


def test_a_plan_runs_a_seed_of_every_grid_before_the_next() -> None:
    cells = suite("no-gain", "cpu").cells()
    assert [(c.seed, c.task.name) for c in cells[:9]] == [(0, n) for n in ("rule110", "recall", "depo") for _ in "124"]
    assert [c.seed for c in cells] == [0] * 9 + [1] * 9 + [2] * 9


def test_a_cell_that_two_grids_hold_is_run_once_under_its_first_name() -> None:
    (grid,) = suite("quick", "tiny").grids
    named = [Grid(base=replace(grid.base, variant=name), axes=grid.axes) for name in ("one", "other")]
    plan = Plan(tuple(named))
    assert [c.id for c in plan.cells()] == [c.id for c in grid.cells()]
    assert {c.variant for c in plan.cells()} == {"one"}


def test_settings_change_the_grids_that_have_them() -> None:
    plan = suite("no-gain", "tiny").with_settings({"pairs": 5, "tokens": 5})
    assert {c.axes.get("pairs") for c in plan.cells()} == {5, None}
    assert {c.training.tokens for c in plan.cells()} == {5}
    with pytest.raises(ValueError, match=r"unknown setting 'pears'.*did you mean 'pairs'"):
        suite("no-gain", "tiny").with_settings({"pears": 3})


def test_settings_change_every_cell() -> None:
    cells = suite("passes", "tiny").with_settings({"cells": 6, "tokens": 5}).cells()
    assert {c.training for c in cells} == {
        Training(tokens=5, batch=128, evaluations=4, test_examples=256, sleep_passes=n) for n in (1, 2)
    }
    assert {c.task.window for c in cells} == {6}


def test_an_axis_that_is_set_has_that_value_alone() -> None:
    grid = suite("addressing", "tiny").with_settings({"window_embedding": True, "seed": 5})
    assert {(c.model.window_embedding, c.seed) for c in grid.cells()} == {(True, 5)}  # type: ignore[attr-defined]
    assert len(grid.cells()) == 4


@pytest.mark.parametrize(
    ("name", "scale", "said"),
    [
        ("pases", "cpu", r"unknown suite 'pases'; valid: quick, rollouts, passes.*did you mean 'passes'"),
        ("passes", "papr", r"unknown scale 'papr'; valid: tiny, cpu, gpu, paper; did you mean 'paper'"),
    ],
)
def test_unknown_names_are_refused(name: str, scale: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        suite(name, scale)
