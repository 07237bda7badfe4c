"""`bench verify`: which rows judge a claim, what the verdict says, points beside rows, and the command."""

import json
import shlex
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer

from benchmark import rows
from benchmark.cli import app
from benchmark.judge import claims, paper, points
from benchmark.judge.claims import Judgement, judge
from benchmark.judge.statistics import holm
from tests.harness import bench
from tests.planted import Curve, flat, planted, table

GOOD = {"depths": (0, 4, 8), "ns": (1, 2, 4), "noise": 0.01}
SLEEPS = flat(n1=0.51, n2=0.7, n4=0.85)


def by_id(frame: pl.DataFrame) -> dict[str, Judgement]:
    return {found.id: found for found in judge(frame)}


def said(claim: str, *parts: list[rows.Row]) -> Judgement:
    return by_id(table(*parts))[claim]


# Verdicts


def test_a_suite_that_was_not_run_is_not_enough_evidence() -> None:
    found = by_id(table(planted(SLEEPS, **GOOD)))
    assert list(found) == [claim.id for claim in paper.claims()]
    missing = found["depo-largest-deepest"]
    assert (missing.verdict, missing.estimate, missing.p, missing.seeds) == ("not enough evidence", None, None, 0)
    assert missing.reading == "no rows of suite hops"
    assert missing.command == "bench run hops"


@pytest.mark.parametrize(
    ("curve", "noise", "verdict"),
    [
        (SLEEPS, 0.01, "reproduced"),
        (flat(n1=0.7, n2=0.7, n4=0.7), 0.003, "not reproduced"),
        (flat(n1=0.7, n2=0.6, n4=0.6), 0.01, "not reproduced"),
        (flat(n1=0.7, n2=0.75, n4=0.75), 0.2, "not enough evidence"),
    ],
)
def test_planted_rows_get_the_verdict_they_were_planted_for(curve: Curve, noise: float, verdict: str) -> None:
    assert said("two-beats-one", planted(curve, **GOOD | {"noise": noise})).verdict == verdict


def test_a_gain_that_is_gone_at_equal_flops_is_visibly_qualified() -> None:
    def by_flops(n: int, depth: int, share: float) -> float:
        return 0.5 + 0.1 * n * share

    found = said("two-beats-one", planted(by_flops, tests=4, **GOOD))
    assert found.full_verdict == "reproduced; not at equal FLOPs"
    assert [control.letter for control in found.controls] == ["a", "b", "c", "d", "e"]


def test_a_claim_that_is_not_reproduced_is_not_qualified() -> None:
    found = said("two-beats-one", planted(flat(n1=0.7, n2=0.7, n4=0.7), **GOOD | {"noise": 0.003}))
    assert found.full_verdict == "not reproduced"


def test_p_values_are_corrected_together() -> None:
    found = judge(table(planted(SLEEPS, **GOOD), planted(SLEEPS, **GOOD | {"suite": "rollouts", "noise": 0.05})))
    tested = [one for one in found if one.p is not None]
    assert len(tested) > 5
    assert [one.p_adjusted for one in tested] == pytest.approx(holm([one.p for one in tested if one.p is not None]))
    assert all(one.p_adjusted < claims.ALPHA for one in tested if one.verdict == "reproduced")  # type: ignore[operator]


def test_counted_costs_have_no_p() -> None:
    found = by_id(table(planted(SLEEPS, **GOOD | {"seeds": 1})))
    for claim in ("memory-fixed", "wake-constant", "sleep-linear"):
        assert (found[claim].verdict, found[claim].p) == ("reproduced", None)
    grown = [row | {"state_bytes": 64 * row["sleep_passes"]} for row in planted(SLEEPS, **GOOD)]
    assert said("memory-fixed", grown).verdict == "not reproduced"


@pytest.mark.parametrize(("third", "verdict"), [(13, "reproduced"), (14, "not reproduced")])
def test_every_further_pass_costs_the_same(third: int, verdict: str) -> None:
    """However cheap the first is."""
    costs = {1: 4, 2: 7, 4: third}
    rows_ = [row | {"sleep_flops": float(costs[row["sleep_passes"]])} for row in planted(SLEEPS, **GOOD)]
    assert said("sleep-linear", rows_).verdict == verdict
    two = [row for row in rows_ if row["sleep_passes"] < 4]
    assert "takes N = 1 and two others" in said("sleep-linear", two).reading


def test_two_stages_are_compared_within_the_suite() -> None:
    part = {"suite": "sliding", "eviction": "sliding", "ns": (1, 2), "depths": (5,), "noise": 0.01}
    found = said(
        "two-stages-help",
        planted(flat(n1=0.5, n2=0.6), hard_share=0.0, **part),
        planted(flat(n1=0.5, n2=0.8), hard_share=0.33, draw=1, **part),
    )
    assert found.verdict == "reproduced"
    assert "with hard share 0.33" in found.reading
    assert found.estimate == pytest.approx(0.2, abs=0.03)


# What would settle it


def test_an_open_claim_says_how_many_seeds_would_settle_it() -> None:
    found = said("two-beats-one", planted(flat(n1=0.6, n2=0.63, n4=0.6), **GOOD | {"noise": 0.05}))
    assert found.verdict == "not enough evidence"
    assert found.seeds_needed is not None
    assert found.seeds_needed >= found.seeds + 2
    seeds = shlex.split(found.command)[shlex.split(found.command).index("--seeds") + 1]
    assert seeds == f"0-{found.seeds_needed - 1}"


def test_seeds_do_not_make_up_for_few_examples() -> None:
    part = GOOD | {"noise": 0.005, "examples": 64, "test_examples": 64}
    found = said("two-beats-one", planted(flat(n1=0.7, n2=0.7, n4=0.7), **part))
    assert found.verdict == "not enough evidence"
    assert f"--set test_examples={found.examples_needed}" in found.command
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    assert command.make_context("run", shlex.split(found.command)[2:]).params["suite"] == "passes"  # it can be run
    enough = part | {"examples": found.examples_needed, "seeds": found.seeds_needed}
    assert said("two-beats-one", planted(flat(n1=0.7, n2=0.7, n4=0.7), **enough)).verdict == "not reproduced"


def test_a_mean_on_its_bound_asks_for_no_number_of_seeds() -> None:
    """0.05 is the smallest gain that matters: seeds and examples without end would tell which side of it."""
    at_the_bound = planted(flat(n1=0.6, n2=0.65 - 1e-9, n4=0.6), **GOOD | {"noise": 0, "test_examples": 1024})
    for row in at_the_bound:
        row["exact_match"] += (-1) ** row["seed"] * 0.005 * (row["sleep_passes"] == 2) * (row["seed"] < 4)
    found = said("two-beats-one", at_the_bound)
    assert found.verdict == "not enough evidence"
    assert (found.seeds_needed, found.examples_needed) == (None, None)
    assert found.command == "bench run passes --set test_examples=1024 --set tokens=1000"


def test_one_seed_asks_for_more() -> None:
    found = said("two-beats-one", planted(SLEEPS, **GOOD | {"seeds": 1}))
    assert (found.verdict, found.low, found.high) == ("not enough evidence", None, None)
    assert found.command == "bench run passes --seeds 0-2 --set tokens=1000"


def test_one_seed_decides_nothing_but_what_is_counted() -> None:
    found = judge(table(*(planted(SLEEPS, **GOOD | {"seeds": 1, "suite": suite}) for suite in ("passes", "rollouts"))))
    decided = {one.id for one in found if one.verdict != "not enough evidence"}
    assert decided == {"memory-fixed", "wake-constant", "sleep-linear", "training-linear"}


def test_the_command_is_that_of_the_rows() -> None:
    noisy = GOOD | {"noise": 0.2}
    found = said("two-beats-one", planted(SLEEPS, **noisy | {"scale": "gpu", "model": "sliding"}))
    assert found.command.startswith("bench run passes --scale gpu --model sliding --seeds 0-")
    found = said("two-beats-one", planted(SLEEPS, **noisy | {"scale": "paper", "depths": (0, 32)}))
    assert found.command.startswith("bench run passes --scale paper --seeds 0-")


def test_the_command_has_the_settings_of_the_rows() -> None:
    """Those that the suite does not ask for, of rates each N's own."""
    budget = GOOD | {"tokens": 20_000_000, "backend": "native", "adam_lr": 3e-3, "window": 16}
    each = [planted(SLEEPS, **budget | {"ns": ns, "muon_lr": rate}) for ns, rate in (((1,), 0.005), ((2, 4), 0.01))]
    found = said("two-beats-one", *each)
    assert found.command.split(" && ") == [
        "bench run passes --backend native --sleep-passes 1 --set muon_lr=0.005 --set tokens=20M",
        "bench run passes --backend native --sleep-passes 2,4 --set tokens=20M",
    ]


# Arms that were not tuned

RATE = {"muon_lr": 0.01, "tokens": 1000}


def validated(ns: tuple[int, ...], best: float, **facts: Any) -> list[list[rows.Row]]:
    """Validation rows of several N at two rates, of which `best` ends higher."""
    part = {"split": "validation", "ns": ns, "depths": (5,), "suite": "rollouts", "seeds": 2, **facts}
    return [planted(lambda n, d, s, b=rate == best: 0.8 + 0.1 * b, **part, muon_lr=rate) for rate in (0.005, 0.01)]  # type: ignore[misc]


def test_nothing_is_concluded_against_an_n_that_was_not_tuned() -> None:
    alike = planted(flat(n1=0.7, n2=0.7, n4=0.7), **GOOD | RATE | {"noise": 0.003})
    found = said("two-beats-one", alike)
    assert found.full_verdict == "not enough evidence; N = 2 tried at one muon lr"
    assert found.seeds_needed is None
    trials = [
        f"bench run passes --set tokens=1000 --set test_split=validation --set muon_lr={rate}" for rate in (0.01, 0.005)
    ]
    assert found.command.split(" && ") == trials  # a choice takes two
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    command.make_context("run", shlex.split(trials[1])[2:])  # it can be run
    tuned = said("two-beats-one", alike, *validated((1, 2), best=0.01))
    assert tuned.full_verdict == "not reproduced"
    other = said("two-beats-one", alike, *validated((1, 2), best=0.005))
    assert other.full_verdict == "not enough evidence; N = 2 not at its best muon lr, 0.005"
    assert other.command == "bench run passes --set tokens=1000 --set muon_lr=0.005"
    elsewhere = said("two-beats-one", alike, *validated((1, 2), best=0.01, scale="gpu"))
    assert elsewhere.full_verdict == "not enough evidence; N = 2 tried at one muon lr"
    alike = planted(flat(n1=0.7, n2=0.7, n4=0.7), **GOOD | RATE | {"noise": 0.003, "cells": 16, "strings": 4})
    others = said("two-beats-one", alike, *validated((1, 2), best=0.01, cells=8, strings=4))
    assert others.full_verdict == "not enough evidence; N = 2 tried at one muon lr"  # of another size of the task
    share = said("two-beats-one", alike, *validated((1, 2), best=0.01, cells=16, strings=4, tokens=500))
    assert share.full_verdict == "not reproduced"  # of the same; a share of the budget tells which is better


def test_validation_rows_judge_nothing() -> None:
    """Of trials of rates there may be more and newer ones than of what they were made for."""
    trials = planted(flat(n1=0.7, n2=0.9, n4=0.9), **GOOD | RATE | {"split": "validation"})
    assert not any(judged.has_rows for judged in judge(rows.table(trials)))


def test_a_gain_over_an_n_that_was_not_tuned_has_a_reservation() -> None:
    better = planted(SLEEPS, **GOOD | RATE)
    assert (
        said("two-beats-one", better).full_verdict == "reproduced; equal FLOPs not settled; N = 1 tried at one muon lr"
    )
    tuned = said("two-beats-one", better, *validated((1,), best=0.01))
    assert tuned.full_verdict == "reproduced; equal FLOPs not settled"


# Which rows judge


def test_the_largest_scale_judges_then_most_seeds_then_most_cells() -> None:
    few = planted(SLEEPS, **GOOD | {"seeds": 3, "scale": "gpu"})
    many = planted(SLEEPS, **GOOD | {"seeds": 6})
    assert said("two-beats-one", few, many).seeds == 3
    assert said("two-beats-one", few, many).others == 1
    assert said("two-beats-one", many, few).study.startswith("passes-gpu")
    more = planted(SLEEPS, **GOOD | {"seeds": 7, "muon_lr": 0.005, "depths": (0, 8)})
    assert said("two-beats-one", many, more).seeds == 7
    wide = planted(SLEEPS, **GOOD | {"seeds": 6, "muon_lr": 0.005, "depths": (0, 2, 4, 8), "tests": 1})
    narrow = planted(flat(n1=0.9, n2=0.5, n4=0.5), **GOOD | {"seeds": 6, "muon_lr": 0.01, "depths": (0, 8)})
    assert said("two-beats-one", wide, narrow).estimate > 0  # type: ignore[operator]


def test_the_newest_version_of_a_task_judges_and_is_mixed_with_no_other() -> None:
    old = planted(flat(n1=0.9, n2=0.5, n4=0.5), **GOOD | {"seeds": 7})
    new = planted(SLEEPS, **GOOD | {"task_version": 2, "seeds": 4})
    found = said("two-beats-one", old, new)
    assert (found.seeds, found.others) == (4, 1)
    assert found.estimate == pytest.approx(0.19, abs=0.02)
    part = {"suite": "sliding", "eviction": "sliding", "ns": (1, 2), "depths": (5,), "noise": 0.01}
    apart = said(
        "two-stages-help",
        planted(flat(n1=0.5, n2=0.6), hard_share=0.0, **part),
        planted(flat(n1=0.5, n2=0.8), hard_share=0.33, task_version=2, **part),
    )
    assert (apart.verdict, apart.estimate) == ("not enough evidence", None)


def test_what_varies_is_never_averaged_over() -> None:
    one = planted(SLEEPS, **GOOD | {"muon_lr": 0.01})
    other = planted(flat(n1=0.9, n2=0.5, n4=0.5), **GOOD | {"muon_lr": 0.02, "seeds": 4})
    assert said("two-beats-one", one, other).estimate == pytest.approx(0.19, abs=0.02)


def test_the_same_rows_twice_count_once() -> None:
    part = planted(SLEEPS, **GOOD)
    assert judge(table(part)) == judge(table(part, part))


def test_tests_at_another_n_than_the_trained_one_judge_nothing() -> None:
    part = planted(SLEEPS, **GOOD)
    other = [row | {"tested_passes": 8, "exact_match": 0.1} for row in planted(SLEEPS, **GOOD)]
    assert said("two-beats-one", part, other).estimate == said("two-beats-one", part).estimate


def test_failed_and_unfinished_cells_judge_nothing() -> None:
    whole = planted(SLEEPS, **GOOD)
    failed = [
        row | {"status": "diverged", "reason": "loss", "exact_match": None, "lift": None, "answer": None}
        if row["seed"] == 4 and row["sleep_passes"] == 2
        else row
        for row in whole
    ]
    assert said("two-beats-one", failed).seeds == 4
    begun = [row | {"tokens": 10_000} for row in whole]
    found = said("two-beats-one", begun)
    assert (found.verdict, found.reading) == ("not enough evidence", "no cell has finished")


def test_one_difficulty_is_no_deepest() -> None:
    found = said("two-beats-one", planted(SLEEPS, **GOOD | {"depths": (7,)}))
    assert found.verdict == "not enough evidence"
    assert "one difficulty only" in found.reading


def test_another_task_can_judge() -> None:
    facts = {"task": "mine", "axis": "size", "size": 0}
    part = [row | {"size": row["difficulty"]} for row in planted(SLEEPS, **GOOD | facts)]
    found = said("two-beats-one", part)
    assert (found.verdict, found.study) == ("reproduced", "passes-cpu: mine, hybrid")
    assert "size = 8" in found.reading


# Data and pages


def test_judgements_are_plain_data() -> None:
    found = [one.as_dict() for one in judge(table(planted(SLEEPS, **GOOD)))]
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    keys = {
        "id", "figure", "claim", "reduced", "verdict", "reading", "estimate", "low", "high", "p", "p_adjusted",
        "seeds", "suite", "command", "controls", "kind",
    }  # fmt: skip
    assert all(keys <= set(one) for one in found)
    control = next(one["controls"] for one in found if one["id"] == "two-beats-one")[0]
    assert set(control) == {"letter", "name", "status", "reading", "comparisons"}


def test_the_page_has_a_line_for_every_claim_control_and_comparison() -> None:
    found = judge(table(planted(SLEEPS, **GOOD)))
    page = claims.markdown(found)
    for one in found:
        comparisons = sum(len(control.comparisons) for control in one.controls)
        assert page.count(f"| `{one.id}` |") == 2 + len(one.controls) + comparisons
    assert any(len(control.comparisons) > 2 for one in found for control in one.controls)
    heads = [i for i, line in enumerate(page.splitlines()) if line.startswith("|---")]
    for head in heads:
        lines = page.splitlines()[head - 1 :]
        for line in lines[: next(i for i, line in enumerate([*lines, ""]) if not line)]:
            assert line.count("|") == lines[0].count("|")


def test_claims_true_by_construction_are_counted_apart() -> None:
    found = judge(table(planted(SLEEPS, **GOOD)))
    built = {"memory-fixed", "wake-constant", "sleep-linear", "training-linear"}
    assert {one.id for one in found if one.kind == "construction"} == built
    counts = claims.counts(found)
    assert counts["construction"]["claims"] == counts["construction"]["reproduced"] == 4
    assert counts["empirical"]["claims"] == len(found) - 4
    verdicts = ("reproduced", "not reproduced", "not enough evidence")
    assert sum(counts["empirical"][verdict] for verdict in verdicts) == len(found) - 4
    page = claims.markdown(found)
    assert f"Empirical claims: {len(found) - 4}, of which " in page
    first, _, rest = page.partition("Claims true by construction, counted apart:")
    assert not any(f"| `{name}` |" in first for name in built)
    assert all(f"| `{name}` |" in rest.partition("Empirical claims: ")[0] for name in built)


# Points

POINT = {"suite": "passes", "task": "rule110", "depths": (32,), "chance": 0.0995, "noise": 0.004, "examples": 8192}


def of_figure(frame: pl.DataFrame, figure: str) -> list[points.PointEvidence]:
    return [found for found in points.point_evidence(frame) if found.figure == figure]


def test_rows_of_another_scale_are_never_beside_a_point() -> None:
    found = points.point_evidence(table(planted(flat(n1=0.1, n2=0.2), **POINT)))
    assert len(found) == paper.points().height
    assert {p.contains for p in found} == {None}
    assert all(p.reading.startswith("no rows at this setting") and "--scale paper" in p.command for p in found)


def test_points_stand_beside_rows_at_their_setting() -> None:
    curve = flat(n1=0.1, n2=0.31, n3=0.36, n4=0.24)
    found = of_figure(table(planted(curve, ns=(1, 2, 3, 4), scale="paper", **POINT)), "2b")
    assert [p.contains for p in found] == [True, False, True, False]  # about 0.1 and 0.2; above 0.3 twice
    assert found[1].estimate == pytest.approx(0.31, abs=0.01)
    assert {p.seeds for p in found} == {5}


def test_values_without_an_n_are_compared_as_a_set() -> None:
    facts = {
        "suite": "operations", "task": "gsm_infinite", "axis": "operations", "scale": "paper", "depths": (2, 6),
        "ns": (1, 2, 4, 6), "noise": 0.001, "examples": 1600,
    }  # fmt: skip

    def near(n: int, depth: int, share: float) -> float:
        return {2: {1: 0.979, 2: 0.985, 4: 0.98, 6: 0.985}, 6: {1: 0.742, 2: 0.6, 4: 0.8, 6: 0.812}}[depth][n]

    found = of_figure(table(planted(near, **facts)), "4a")  # type: ignore[arg-type]
    sets = {depth: {p.contains for p in found if p.difficulty == depth and p.sleep_passes is None} for depth in (2, 6)}
    assert sets == {2: {True}, 6: {False}}  # at 6, 0.753 has no N of its own
    assert all("2 billion" in p.reading for p in found if p.contains is not None)  # told to be another network


@pytest.mark.parametrize(
    ("source", "expected"),
    [("text", (0.0005, 0.0005)), ("text: approximately", (0.05, 0.05)), ("text: above", (0.0, float("inf")))],
)
def test_how_exact_a_point_is(source: str, expected: tuple[float, float]) -> None:
    assert points.tolerance(source) == expected


# The command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("passes-cpu")
    rows.write_table(path / "rows.parquet", planted(SLEEPS, **GOOD))  # type: ignore[arg-type]
    return path


def test_the_command_prints_verdicts_and_exits_with_0(folder: Path) -> None:
    done = bench("verify", folder)
    assert (done.code, done.err) == (0, "")
    assert "two-beats-one" in done.out
    assert "bench run hops" not in done.out and "printed points" not in done.out, "nothing here can judge those"
    rest = sum(claim.suite != "passes" or claim.where.get("scale") == "paper" for claim in paper.claims())
    assert done.out.splitlines()[-1].startswith(f"{rest} of the paper's claims need rows that are not here, of suites")
    assert max(map(len, done.out.partition("What was read")[0].splitlines())) <= 120


def test_json_and_markdown(folder: Path) -> None:
    found = json.loads(bench("verify", folder, "--json").out)
    assert [claim["id"] for claim in found["claims"]] == [claim.id for claim in paper.claims()]
    assert len(found["points"]) == paper.points().height
    page = bench("verify", folder, "--format", "markdown").out
    assert bench("verify", folder, "--markdown").out == page
    assert page.startswith("Empirical claims:\n\n| claim |")
    assert found["counts"] == claims.counts(judge(rows.read_table(folder)))
    assert "two-beats-one" in page and "| 2b | rollout steps 32" not in page
    assert all(claim.id not in page for claim in paper.claims() if claim.suite == "hops")
    assert page.splitlines()[-1].endswith("`bench verify --json` lists them.")


def test_rows_that_can_judge_nothing_take_one_line(tmp_path: Path) -> None:
    rows.write_table(tmp_path / "rows.parquet", [r | {"suite": "mine"} for r in planted(SLEEPS, **GOOD)])  # type: ignore[arg-type]
    for options in ([], ["--format", "markdown"]):
        done = bench("verify", tmp_path, *options)
        assert (done.code, len(done.out.splitlines())) == (0, 1)
        assert done.out.startswith(f"{len(paper.claims())} of the paper's claims need rows that are not here")


def test_one_claim_in_full(folder: Path) -> None:
    done = bench("verify", folder, "--claim", "two-beats-one")
    assert "(e) equal training FLOPs" in done.out
    several = " ".join(bench("verify", folder, "--claim", "passes-help").out.split())
    assert "at t = 4, at the FLOPs of N = 1 (1.0e+06): N = 2 0." in several
    assert "four-beats-two" not in done.out
    (found,) = json.loads(bench("verify", folder, "--claim", "two-beats-one", "--json").out)["claims"]
    whole = json.loads(bench("verify", folder, "--json").out)["claims"]
    assert found == next(claim for claim in whole if claim["id"] == "two-beats-one")  # corrected for all all the same


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--claim", "two-beat-one"), "did you mean 'two-beats-one'?"),
        (("nowhere",), "no rows at nowhere"),
    ],
)
def test_wrong_input_ends_with_a_message(arguments: tuple[Any, ...], message: str, folder: Path) -> None:
    done = bench("verify", *([folder] if arguments[0] == "--claim" else []), *arguments)
    assert done.code == 2
    assert message in done.err
