"""Cells as values: what their id names, what they refuse, and how they travel as JSON and from a command line."""

import json
from dataclasses import MISSING, fields, make_dataclass, replace
from typing import Any

import pytest

from baselines.hybrid import Hybrid
from benchmark.cells.cell import Cell, Training, parse_setting
from benchmark.cells.facts import cell_facts
from tasks.base import Task
from tasks.recall import Recall
from tasks.rule110 import Rule110

CELL = Cell(task=Rule110(), model=Hybrid(), training=Training(tokens=1_000_000))
CONTROL = replace(CELL, task=Recall())

# Every setting that has a default, at that default.
DEFAULTS: dict[type, dict[str, Any]] = {
    Rule110: {
        "cells": 24,
        "strings": 4,
        "rollout_steps": 4,
        "boundary": "periodic",
        "window_tokens": 0,
        "asked": "first",
        "rollout_steps_drawn": (),
    },
    Recall: {"pairs": 8, "keys": 16, "values": 16, "queries": 4, "window_tokens": 8},
    Hybrid: {
        "layout": "attn gdn attn gdn",
        "d_model": 256,
        "heads": 4,
        "mlp_ratio": 4,
        "state_size": 0,
        "window_embedding": True,
        "eviction": "hard",
        "loop": "all",
        "reembed": False,
        "reset_state": False,
        "reread": False,
        "wake_passes": 1,
        "backprop_passes": 0,
        "evict_every": 1,
    },
    Training: {
        "batch": 256,
        "sleep_passes": 1,
        "hard_share": 0.0,
        "test_passes": (),
        "test_at": (),
        "muon_lr": 0.01,
        "adam_lr": 3e-3,
        "weight_decay": 0.0,
        "clip": 1.0,
        "warmup_steps": 0,
        "precision": "fp32",
        "evaluations": 20,
        "test_examples": 2048,
        "test_split": "test",
        "sleep_passes_drawn": (),
    },
}

# Another value of every setting that has one.
OTHERS: dict[type, dict[str, Any]] = {
    Rule110: {
        "cells": 12,
        "strings": 2,
        "rollout_steps": 5,
        "window_tokens": 48,
        "asked": "any",
        "rollout_steps_drawn": (0, 2),
    },
    Recall: {"pairs": 6, "keys": 20, "values": 17, "queries": 3, "window_tokens": 16},
    Hybrid: {
        "layout": "gdn",
        "d_model": 128,
        "heads": 2,
        "mlp_ratio": 2,
        "state_size": 16,
        "window_embedding": False,
        "eviction": "sliding",
        "loop": "middle",
        "reembed": True,
        "reset_state": True,
        "reread": True,
        "wake_passes": 2,
        "backprop_passes": 1,
        "evict_every": 2,
    },
    Training: {
        "tokens": 2_000_000,
        "batch": 128,
        "sleep_passes": 2,
        "hard_share": 0.3,
        "test_passes": (1, 2),
        "test_at": (0, 3),
        "muon_lr": 0.02,
        "adam_lr": 1e-3,
        "weight_decay": 0.1,
        "clip": 0.5,
        "warmup_steps": 10,
        "precision": "bf16",
        "evaluations": 10,
        "test_examples": 1024,
        "test_split": "validation",
        "sleep_passes_drawn": (1, 2, 2),
    },
}
CHANGES = [(kind, name) for kind, others in OTHERS.items() for name in others]


def changed(kind: type, name: str) -> tuple[Cell, Cell]:
    """A cell, and one that differs in one setting."""
    base = CONTROL if kind is Recall else CELL
    return base, base.with_settings({name: OTHERS[kind][name]})


# Ids


@pytest.mark.parametrize(
    ("cell", "golden"),
    [
        (CELL, "b95cdba7672e"),
        (CONTROL, "7b879943fce9"),
        (CELL.with_settings({"seed": 3, "sleep_passes": 4, "test_passes": (1, 2), "muon_lr": 0.002}), "6872778e0de6"),
    ],
)
def test_ids_stand_still(cell: Cell, golden: str) -> None:
    """Committed results are found by id: another id here orphans them all."""
    assert cell.id == golden


@pytest.mark.parametrize("kind", DEFAULTS)
def test_a_changed_default_is_noticed(kind: type) -> None:
    """An id leaves defaults out, so a new default would give old ids to other numbers: it asks for a new version."""
    made = kind(**({"tokens": 1} if kind is Training else {}))
    now = {f.name: getattr(made, f.name) for f in fields(kind) if f.default is not MISSING}
    assert now == DEFAULTS[kind], "a default changed: raise the version; a new setting: add it here"


@pytest.mark.parametrize("kind", OTHERS)
def test_every_setting_is_tried(kind: type) -> None:
    only_one_value = {"boundary"}
    assert {f.name for f in fields(kind)} - only_one_value == set(OTHERS[kind])


@pytest.mark.parametrize(("kind", "name"), CHANGES)
def test_the_id_reacts_to_every_setting(kind: type, name: str) -> None:
    base, other = changed(kind, name)
    assert other.axes[name] == OTHERS[kind][name] != base.axes[name]
    assert other.id != base.id


def test_no_two_changes_share_an_id() -> None:
    ids = {changed(*change)[1].id for change in CHANGES} | {CELL.id, CONTROL.id, replace(CELL, seed=1).id}
    assert len(ids) == len(CHANGES) + 3


@pytest.mark.parametrize("name", ["cells", "window_tokens", "heads", "reembed", "muon_lr", "test_passes"])
def test_a_setting_spelled_out_at_its_default_changes_no_id(name: str) -> None:
    assert CELL.with_settings({name: CELL.axes[name]}).id == CELL.id


@pytest.mark.parametrize("kind", [Rule110, Hybrid])
def test_versions_are_part_of_the_id(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    before = CELL.id
    monkeypatch.setattr(kind, "version", kind.version + 1)
    assert replace(CELL).id != before


# JSON


@pytest.mark.parametrize(("kind", "name"), CHANGES)
def test_json_brings_back_the_same_cell(kind: type, name: str) -> None:
    cell = changed(kind, name)[1]
    back = Cell.from_json(json.loads(json.dumps(cell.as_json())))
    assert back == cell
    assert back.id == cell.id


@pytest.mark.parametrize(
    ("part", "name", "value", "said"),
    [
        ("task", "name", "rule111", "unknown task 'rule111'.*rule110, recall.*did you mean 'rule110'"),
        ("model", "name", "hybird", "unknown model 'hybird'.*did you mean 'hybrid'"),
        ("task", "version", 7, "rule110 version 7 was asked for; here is version 2"),
        ("model", "version", 0, "hybrid version 0 was asked for; here is version 1"),
        ("task", "cell", 8, "unknown setting of Rule110 'cell'.*did you mean 'cells'"),
        ("model", "width", 8, "unknown setting of Hybrid 'width'; valid: backprop_passes, d_model"),
        ("training", "bacth", 8, "unknown setting of Training 'bacth'.*did you mean 'batch'"),
        ("training", "batch", 2.5, "batch must be a whole number >= 1; given 2.5"),
        ("training", "batch", "8", "batch must be a whole number >= 1; given '8'"),
    ],
)
def test_json_of_something_else_is_refused(part: str, name: str, value: Any, said: str) -> None:
    data = CELL.as_json()
    data[part][name] = value
    with pytest.raises(ValueError, match=said):
        Cell.from_json(data)


# Steps


@pytest.mark.parametrize(("tokens", "steps"), [(1, 1), (799, 1), (800, 1), (801, 2), (1600, 2), (8_000_001, 10_001)])
def test_the_budget_is_rounded_up_to_whole_steps(tokens: int, steps: int) -> None:
    assert CELL.task.seq_len == 100
    assert CELL.with_settings({"tokens": tokens, "batch": 8}).steps == steps


def test_evaluation_steps_rise_strictly_and_end_at_the_last_step() -> None:
    for steps in range(1, 30):
        for evaluations in range(1, 35):
            cell = CELL.with_settings({"tokens": 100 * steps, "batch": 1, "evaluations": evaluations})
            points = cell.evaluation_steps
            assert points[-1] == steps == cell.steps
            assert len(points) == min(evaluations, steps)
            gaps = {b - a for a, b in zip((0, *points), points, strict=False)}
            assert min(gaps) >= 1
            assert max(gaps) - min(gaps) <= 1


# Changing settings


def test_with_settings_changes_the_part_that_has_them() -> None:
    cell = CELL.with_settings({"rollout_steps": 9, "heads": 8, "clip": 2.0, "seed": 4})
    assert cell == Cell(
        task=Rule110(rollout_steps=9), model=Hybrid(heads=8), training=Training(tokens=1_000_000, clip=2.0), seed=4
    )


def test_with_settings_refuses_an_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"unknown setting 'sleep_pases'.*did you mean 'sleep_passes'"):
        CELL.with_settings({"sleep_pases": 2})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("batch=8", 8),
        ("muon_lr=1", 1.0),
        ("adam_lr=5e-5", 5e-5),
        ("window_embedding=False", False),
        ("reembed=true", True),
        ("layout=attn gdn", "attn gdn"),
        ("test_passes=1,2,4", (1, 2, 4)),
        ("test_passes=", ()),
        ("boundary=zero", "zero"),  # refused by the task, which knows why
    ],
)
def test_a_setting_from_the_command_line_has_its_own_type(text: str, value: Any) -> None:
    name, parsed = parse_setting(text, CELL)
    assert name == text.partition("=")[0]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("batch", "a setting is written name=value; given 'batch'"),
        ("bacth=8", "unknown setting 'bacth'; valid: adam_lr, .*did you mean 'batch'"),
        ("batch=many", "batch takes a whole number; given 'many'"),
        ("batch=2.5", "batch takes a whole number; given '2.5'"),
        ("muon_lr=fast", "muon_lr takes a number; given 'fast'"),
        ("reembed=1", "reembed takes true or false; given '1'"),
        ("test_passes=1,x", "test_passes takes whole numbers separated by commas, such as 1,2,4; given '1,x'"),
    ],
)
def test_a_setting_that_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_setting(text, CELL)


# What a cell refuses


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("tokens", 0, "tokens must be a whole number >= 1; given 0"),
        ("batch", -1, "batch must be a whole number >= 1; given -1"),
        ("batch", True, "batch must be a whole number >= 1; given True"),
        ("sleep_passes", 0, "sleep_passes must be a whole number >= 1; given 0"),
        ("test_passes", (1, 0), "test_passes must be a whole number >= 1; given 0"),
        ("evaluations", 0, "evaluations must be a whole number >= 1; given 0"),
        ("test_examples", 1.5, "test_examples must be a whole number >= 1; given 1.5"),
        ("muon_lr", 0.0, "muon_lr must be above 0; given 0.0"),
        ("adam_lr", float("nan"), "adam_lr must be above 0; given nan"),
        ("clip", -1.0, "clip must be above 0; given -1.0"),
        ("weight_decay", -0.1, "weight_decay must be at least 0; given -0.1"),
        ("warmup_steps", -1, "warmup_steps must be a whole number >= 0; given -1"),
        ("precision", "fp16", "unknown precision 'fp16'; valid: fp32, bf16; did you mean"),
        ("test_split", "train", "unknown test_split 'train'; valid: test, validation"),
        ("seed", -1, "seed must be a whole number >= 0; given -1"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CELL.with_settings({name: value})


def clashing(field: str) -> Task:
    """A task with a setting of that name."""
    made = make_dataclass(
        "Clash", [(field, int, 1)], bases=(Rule110,), namespace={"name": "clash"}, frozen=True, kw_only=True
    )
    task: Task = made()
    return task


@pytest.mark.parametrize("field", ["heads", "batch", "seed", "loss", "cell_id"])
def test_settings_that_rows_could_not_tell_apart_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"task 'clash'.*{field}"):
        replace(CELL, task=clashing(field))


def test_a_setting_with_a_name_of_its_own_is_welcome() -> None:
    assert replace(CELL, task=clashing("speed")).axes["speed"] == 1


# What is no part of the id


def test_a_variant_is_a_name_and_no_setting() -> None:
    named = replace(CELL, variant="wider")
    assert named.id == CELL.id
    assert Cell.from_json(named.as_json()) == named
    assert named.with_settings({"seed": 2}).variant == "wider"


def test_a_whole_ratio_is_one_setting_however_it_is_written() -> None:
    name, value = parse_setting("mlp_ratio=2", CELL)
    assert CELL.with_settings({name: value}).id == CELL.with_settings({"mlp_ratio": 2}).id
    assert CELL.with_settings({"mlp_ratio": 1.5}).axes["mlp_ratio"] == 1.5


# Settings that came later


@pytest.mark.parametrize(("passes", "there"), [(0, False), (2, True)])
def test_a_later_setting_is_in_no_row_that_does_not_use_it(passes: int, there: bool) -> None:
    """So that new rows are alike with those of before it."""
    facts = cell_facts(CELL.with_settings({"backprop_passes": passes}), device="cpu", context={})
    assert ("backprop_passes" in facts) is there
    assert {"wake_passes", "sleep_passes", "cells"} <= set(facts)
