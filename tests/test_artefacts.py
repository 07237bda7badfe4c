"""The controls catch planted artefacts: gains that are no gain in depth."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

import tasks
from benchmark.judge.claims import artefacts
from benchmark.judge.claims.artefacts import Control, examine, qualification
from benchmark.judge.evidence import Gain
from benchmark.rows.studies import Study, studies
from tasks.base import Episode
from tasks.rule110 import Rule110
from tests.planted import Curve, flat, planted, study, table

GAIN = Gain(low=1, high=2, depths=(2,))
AUTOMATON = {
    "task": "rule110", "task_version": Rule110.version, "cells": 8, "strings": 1, "boundary": "periodic",
    "window_tokens": 0, "asked": "first", "chance": 0.515625,
}  # fmt: skip
DEEP = Gain(low=1, high=2, depths=(3,))
BETTER = flat(n1=0.6, n2=0.9)


def one(letter: str, found: Study, every: list[Study] | None = None, gain: Gain = GAIN) -> Control:
    (control,) = examine(letter, found, gain, every or [found])
    assert control.name == artefacts.NAMES[letter]
    return control


def answered(*gains: float, **how: Any) -> Study:
    """Two N whose answers differ by so much each."""
    curves: list[Curve] = [lambda n, depth, share, g=gain: 0.6 + (g if n == 2 else 0) for gain in gains]  # type: ignore[misc]
    return study(planted(flat(n1=0.4, n2=0.4 + sum(gains) / len(gains)), answers=curves, **{"noise": 0.02} | how))


# (a)


def test_a_gain_in_one_string_alone_fails() -> None:
    found = one("a", answered(0.3, 0.0))
    assert found.status == "fails"
    assert "+0.3" in found.reading


def test_a_gain_in_every_string_survives() -> None:
    assert one("a", answered(0.3, 0.25)).status == "survives"


def test_a_gain_that_seeds_do_not_place_is_not_tested() -> None:
    assert one("a", answered(0.05, 0.06, noise=0.2, draw=3)).status == "not tested"


def test_one_answer_needs_no_control() -> None:
    assert one("a", study(planted(BETTER))).status == "not needed"


# (b)


def windows(curve: Curve, *, given: bool | None, **how: Any) -> list[dict[str, Any]]:
    return planted(curve, seq_len=34, window_embedding=given, noise=0.01, **how)


def test_one_window_cannot_be_mistaken() -> None:
    assert one("b", study(planted(BETTER))).status == "not needed"


def test_a_model_that_is_told_the_window_survives() -> None:
    assert one("b", study(windows(BETTER, given=True))).status == "survives"


def test_rows_that_do_not_say_are_not_tested() -> None:
    assert one("b", study(planted(BETTER, seq_len=34))).status == "not tested"
    assert one("b", study(windows(BETTER, given=False))).status == "not tested"


@pytest.mark.parametrize(
    ("told", "status"), [(flat(n1=0.9, n2=0.9), "fails"), (flat(n1=0.62, n2=0.9), "survives")], ids=["gone", "left"]
)
def test_a_gain_without_an_index_is_compared_with_one(told: Curve, status: str) -> None:
    every = studies(table(windows(BETTER, given=False), windows(told, given=True, draw=1)))
    (without,) = (found for found in every if "False" in found.name)
    found = one("b", without, every)
    assert found.status == status
    assert "is left of +0.3" in found.reading


# (c)


@dataclass(frozen=True, kw_only=True)
class Leaky(Rule110):
    """Held-out examples drawn from those of training."""

    name: ClassVar[str] = "rule110"

    def generate(self, split: str, indices: np.ndarray, key: np.uint64) -> Episode:
        return super().generate("train", indices, key)


def automaton(**how: Any) -> Study:
    return study(planted(how.pop("curve", BETTER), **{"depths": (3,)} | AUTOMATON | how))


def test_cones_that_are_held_out_survive() -> None:
    found = one("c", automaton(), gain=DEEP)
    assert found.status == "survives"
    assert found.reading == "test: 0 of 17 parts that fix an answer are among those of 2,048 examples of training"


def test_cones_met_in_training_fail_though_strings_are_new() -> None:
    """Two steps: 32 cones, in every split; of three steps, none."""
    found = one("c", automaton(depths=(2, 3)), gain=Gain(low=1, high=2, depths=(2, 3)))
    assert found.status == "fails"
    assert " at t = 2, 0 of 17 parts that fix an answer at t = 3 are among" in found.reading


def test_a_task_that_does_not_say_is_asked_for_whole_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rule110, "determinants", lambda self, episode: None)
    artefacts._overlap.cache_clear()
    found = one("c", automaton(depths=(2,)), gain=GAIN)
    assert found.status == "survives" and " contents are among" in found.reading


def test_strings_met_in_training_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "load", lambda name, **how: Leaky)
    assert one("c", automaton(), gain=DEEP).status == "fails"


def test_rows_of_an_older_version_say_what_that_was() -> None:
    older = automaton(task_version=1)
    found = one("c", older, gain=DEEP)
    assert found.status == "not tested"
    assert "the rows are of rule110 v1 (whole strings held out; now v2)" in found.reading
    assert "shortcuts of rule110 version 2, rows of 1" in one("d", older, gain=DEEP).reading


def test_a_test_on_training_examples_fails() -> None:
    assert one("c", automaton(split="train"), gain=DEEP).status == "fails"


@pytest.mark.parametrize("facts", [{}, AUTOMATON | {"task_version": 99}, AUTOMATON | {"cells": 99}])
def test_a_task_that_cannot_be_asked_is_not_tested(facts: dict[str, Any]) -> None:
    found = one("c", study(planted(BETTER, **facts)))
    assert found.status == "not tested"
    assert "cannot be asked" in found.reading


def test_lists_of_settings_come_back_from_rows() -> None:
    facts = {
        "task": "depo", "task_version": 1, "axis": "hops", "nodes": 7, "max_hops": 4, "questions": 2, "codec": "bare",
        "letters": 12, "distribution": "uniform", "test_hops": [1, 2, 3, 4], "train_hops": [], "window_tokens": 14,
    }  # fmt: skip
    found = study(planted(BETTER, depths=(2, 3), **facts))
    task = artefacts.task_of(found.final.row(0, named=True))
    assert task.levels == (1, 2, 3, 4)


# (d)


@pytest.mark.parametrize(
    ("score", "noise", "status"),
    [(0.6, 0.002, "fails"), (0.95, 0.01, "survives"), (0.75, 0.15, "not tested")],
)
def test_a_score_has_to_be_above_the_best_shortcut(score: float, noise: float, status: str) -> None:
    """Three steps on a ring of 8: who sees 5 of the 7 cells that matter is right in 0.703."""
    found = one("d", automaton(curve=flat(n1=0.55, n2=score), noise=noise, draw=1), gain=DEEP)
    assert found.status == status
    assert "strongest shortcut cells_5 0.703" in found.reading


def test_where_nothing_is_held_out_no_score_is_above_the_table() -> None:
    found = one("d", automaton(curve=flat(n1=0.5, n2=1.0), depths=(2,)), gain=GAIN)
    assert found.status == "fails"
    assert "strongest shortcut table 1.000" in found.reading


def test_shortcuts_of_another_version_never_suffice() -> None:
    above = automaton(curve=flat(n1=0.55, n2=0.95), noise=0.01, draw=1, task_version=99)
    control = one("d", above, gain=DEEP)
    assert control.status == "not tested"
    assert f"shortcuts of rule110 version {Rule110.version}, rows of 99" in control.reading
    below = automaton(curve=flat(n1=0.55, n2=0.6), noise=0.002, draw=1, task_version=99)
    assert one("d", below, gain=DEEP).status == "fails"


def test_the_highest_shortcut_of_each_difficulty_counts() -> None:
    """At t = 2 and 3 different ones are highest: the mean is of those, not of one that is known at both."""
    deep = Gain(low=1, high=2, depths=(2, 3))
    found = automaton(curve=flat(n1=0.55, n2=0.8), depths=(2, 3), noise=0.01)
    assert "strongest shortcut table, cells_5 0.852" in one("d", found, gain=deep).reading


def test_floors_of_rows_count_as_shortcuts() -> None:
    found = one("d", study(planted(flat(n1=0.6, n2=0.7), noise=0.001, question_only=0.8)))
    assert found.status == "fails"
    assert "question_only 0.800" in found.reading


def test_without_shortcuts_chance_is_left() -> None:
    found = one("d", study(planted(BETTER, noise=0.01)))
    assert found.status == "survives"
    assert "chance 0.500" in found.reading


# (e): a pass costs as many FLOPs again, so at the budget of N = 1 the run with N = 2 is half way.


def by_flops(n: int, depth: int, share: float) -> float:
    """N = 2 is better for one reason: it has spent more."""
    return 0.55 + 0.2 * n * share


def by_passes(n: int, depth: int, share: float) -> float:
    return 0.55 + (0.3 if n == 2 and share >= 0.4 else 0.1 * share)


def test_a_gain_that_compute_explains_fails() -> None:
    found = one("e", study(planted(by_flops, tests=4, noise=0.01)))
    assert found.status == "fails"
    assert found.reading.startswith("equal tokens +0.2")


def test_a_gain_at_the_smaller_budget_alone_is_not_settled() -> None:
    found = one("e", study(planted(by_passes, tests=4, noise=0.01)))
    assert found.status == "not tested"
    assert "at the FLOPs of N = 2 (2.0e+06): rows of N = 1 end at 1.0e+06" in found.reading
    assert qualification([found]) == "equal FLOPs not settled"


def test_rows_without_costs_are_not_tested() -> None:
    rows = [row | {"train_flops": None} for row in planted(BETTER, noise=0.01)]
    assert one("e", study(rows)).status == "not tested"


def late(n: int, depth: int, share: float) -> float:
    """N = 2 takes off behind the budget of N = 1."""
    return 0.55 + (0.4 if n == 2 and share > 0.8 else 0)


def plain(n: int, depth: int, share: float) -> float:
    return 0.6


@pytest.mark.parametrize(
    ("longer", "seeds", "status"),
    [(plain, 5, "survives"), (plain, 1, "not tested"), (flat(n1=0.95), 5, "fails")],
    ids=["longer training does not help", "one seed", "longer training does as well"],
)
def test_longer_training_of_the_smaller_n_decides(longer: Curve, seeds: int, status: str) -> None:
    short = planted(late, tests=5, noise=0.01)
    assert one("e", study(short)).status == "fails"
    every = studies(table(short, planted(longer, ns=(1,), seeds=seeds, tests=5, tokens=2000, noise=0.01, draw=1)))
    (found,) = (each for each in every if set(each.passes) == {1, 2})
    assert one("e", found, every).status == status


def test_rivals_of_the_same_flops_are_told() -> None:
    variants = {"sleep": 0.9, "plain": 0.6, "deeper": 0.91, "longer": 0.85}
    rivals = [
        planted(flat(n1=score), ns=(1,), depths=(2,), variant=name, suite="controls")
        for name, score in variants.items()
    ]
    every = studies(table(planted(by_flops, tests=4, noise=0.01), *rivals))
    (found,) = (each for each in every if each.variant is None)
    reading = one("e", found, every).reading
    assert "at t = 2, sleep (N = 1) minus rivals: deeper (1.00 of its FLOPs) -0.010 [-0.0" in reading
    assert ", longer (1.00 of its FLOPs) 0.050 [0.0" in reading and "plain" not in reading
    elsewhere = one("e", found, every, Gain(low=1, high=2, depths=(4,)))
    assert "rivals" not in elsewhere.reading  # they were trained at another difficulty


def line(n: int, depth: int, share: float) -> float:
    """On the line from chance: N = 1 to 0.6, N = 2 to 0.8, at t = 4 by 0.1 more."""
    return 0.5 + share * (0.1 if n == 1 else 0.3) + (0.1 * share if depth == 4 else 0)


def test_both_budgets_are_told_by_hand_as_larger_minus_smaller() -> None:
    """N = 2 is half way at the FLOPs of N = 1: 0.65 and 0.7; N = 1 ends at 0.6 and 0.7, however long it is trained."""
    every = studies(table(planted(line, tests=3, noise=0.0), planted(line, ns=(1,), tests=3, tokens=2000, seeds=3)))
    (found,) = (each for each in every if set(each.passes) == {1, 2})
    control = one("e", found, every, Gain(low=1, high=2, depths=(2, 4)))
    said = [(c.budget, c.where, c.flops, c.seeds, round(c.difference.estimate, 6)) for c in control.comparisons]  # type: ignore[union-attr]
    assert said == [
        ("smaller", "t = 2, 4", 1e6, 5, 0.025), ("larger", "t = 2, 4", 2e6, 3, 0.2),
        ("smaller", "t = 2", 1e6, 5, 0.05), ("larger", "t = 2", 2e6, 3, 0.2),
        ("smaller", "t = 4", 1e6, 5, 0.0), ("larger", "t = 4", 2e6, 3, 0.2),
    ]  # fmt: skip
    assert control.comparisons[0].means == (pytest.approx(0.65), pytest.approx(0.675))
    assert control.status == "survives"
    plain = control.as_dict()["comparisons"][1]
    assert (plain["of_low"], plain["of_high"], plain["difference"]) == pytest.approx((0.65, 0.85, 0.2))
    assert 0 < plain["difference_low"] < 0.2 < plain["difference_high"] and plain["ends"] is None


def test_a_gain_behind_at_the_smaller_budget_survives_at_the_larger_and_says_so() -> None:
    short = planted(late, tests=5, noise=0.01)
    every = studies(table(short, planted(flat(n1=0.7), ns=(1,), tests=5, tokens=2000, noise=0.01, draw=1)))
    (found,) = (each for each in every if set(each.passes) == {1, 2})
    ahead = one("e", found, every)
    assert ahead.status == "survives"
    behind = planted(lambda n, d, s: 0.5 + (0.3 * s if n == 1 else 0.45 * (s > 0.8)), tests=5, noise=0.01)
    every = studies(table(behind, planted(flat(n1=0.8), ns=(1,), tests=5, tokens=2000, noise=0.01, draw=1)))
    (found,) = (each for each in every if set(each.passes) == {1, 2})
    control = one("e", found, every)
    assert control.status == "survives"
    smaller = control.reading.partition("at the FLOPs of N = 1")[2].partition(";")[0]
    assert smaller.endswith("(5 seeds), clearly behind")


def test_a_smaller_n_whose_rows_end_before_leaves_the_gain_open() -> None:
    """N = 1 goes as far as N = 4 and is beaten; N = 2, with which the gain is compared, does not."""
    whole = planted(lambda n, d, s: 0.6 + (0.35 if n == 4 and s > 0.7 else 0), ns=(1, 2, 4), tests=4, noise=0.01)
    every = studies(table(whole, planted(flat(n1=0.6), ns=(1,), tests=4, tokens=4000, noise=0.01, draw=1)))
    (found,) = (each for each in every if set(each.passes) == {1, 2, 4})
    control = one("e", found, every, Gain(low=2, high=4, depths=(2,)))
    assert control.status == "not tested"
    assert "at the FLOPs of N = 4 (4.0e+06): rows of N = 2 end at 2.0e+06" in control.reading
    assert [(c.budget, c.low) for c in control.comparisons] == [
        ("smaller", 2), ("smaller", 1), ("larger", 2), ("larger", 1)
    ]  # fmt: skip


# Together


def test_no_gain_has_nothing_to_explain() -> None:
    found = examine("abcde", study(planted(flat(n1=0.8, n2=0.7))), GAIN, [])
    assert {control.status for control in found} == {"not needed"}


def test_a_claim_is_qualified_by_what_fails() -> None:
    found = examine("ae", answered(0.3, 0.0, tests=1), GAIN, [])
    assert [control.letter for control in found] == ["a", "e"]
    assert qualification(found).startswith("not at every answer")
    assert qualification(()) == ""
    assert found[0].as_dict() == {
        "letter": "a", "name": "every answer position", "status": "fails", "reading": found[0].reading,
        "comparisons": [],
    }  # fmt: skip


def test_single_seeds_and_missing_columns_break_nothing() -> None:
    found = examine("abcde", study(planted(BETTER, seeds=1)), GAIN, [])
    assert "survives" not in {control.status for control in found if control.letter in "de"}
    frame = table(planted(BETTER, seeds=1)).drop("sleep_flops").with_columns(pl.lit(None).alias("sleep_flops"))
    assert examine("e", studies(frame)[0], GAIN, [])[0].status == "not tested"
