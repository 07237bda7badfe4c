"""Rule 110 whose strings draw a t each: labels, what is held out, chance, and what a test of such examples says."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import small
from test_outcomes import suite
from test_rule110 import slow_evolve

from benchmark import rows
from tasks.base import IGNORE, SPLITS, non_defaults
from tasks.rule110 import QUERY, QUESTIONS, Rule110

STEPS = (0, 3, 3, 5)
TASKS = [
    Rule110(cells=11, strings=3, rollout_steps=5, rollout_steps_drawn=STEPS),
    Rule110(cells=8, strings=4, rollout_steps=6, rollout_steps_drawn=(1, 2, 6), asked="any", window_tokens=18),
]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_labels_solved_from_the_tokens(task: Rule110) -> None:
    """Before its cells each string tells its t; targets are what its asked cell is after so many steps."""
    episode = task.episodes("train", range(80))
    told = 3 + task.cells * (task.asked == "any")
    for b, tokens in enumerate(episode.inputs.tolist()):
        strings = [tokens[i * (task.cells + 1) :][: task.cells + 1] for i in range(task.strings)]
        asking = tokens[task.strings * (task.cells + 1) :]
        cells = [0] * task.strings if task.asked == "first" else [token - 3 for token in asking[::2]]
        steps = [string[0] - told for string in strings]
        labels = [slow_evolve(string[1:], t)[c] for string, t, c in zip(strings, steps, cells, strict=True)]
        assert set(steps) <= set(task.rollout_steps_drawn)
        assert [t for t in episode.targets[b].tolist() if t != IGNORE] == labels
        assert [t for t in episode.difficulty[b].tolist() if t >= 0] == steps
        assert asking[1:] == labels[:-1] if task.asked == "first" else asking[1::2] == labels[:-1]
        assert task.asked == "any" or asking[0] == QUERY
        assert max(tokens) < task.vocab_size and len(tokens) == task.seq_len
    assert task.word(told + 1) == "t1"


def test_each_t_is_drawn_as_often_as_it_is_named() -> None:
    difficulty = TASKS[0].episodes("test", range(4000)).difficulty
    counts = [int((difficulty == t).sum()) for t in (0, 3, 5)]
    assert counts == pytest.approx([3000, 6000, 3000], rel=0.05)
    of_strings = difficulty[:, -3:]
    assert abs(np.corrcoef(of_strings.T)[0, 1]) < 0.06  # strings draw apart


@pytest.mark.parametrize("asked", QUESTIONS)
def test_what_fixes_an_answer_is_in_one_split(asked: str) -> None:
    task = Rule110(cells=11, strings=4, rollout_steps=7, rollout_steps_drawn=(0, 3, 4, 7), asked=asked)
    hashes, views = {}, {}
    for split in SPLITS:
        episode = task.episodes(split, range(400))
        t = episode.difficulty[episode.difficulty >= 0].reshape(-1, 4)
        hashes[split] = task.determinants(episode)[t >= 3]
        views[split] = set()
        cells = task.cells_of(episode.inputs)
        asks = np.zeros_like(t) if asked == "first" else episode.inputs[:, 4 * 12 :: 2] - 3
        for string, steps, cell in zip(cells.reshape(-1, 11), t.flat, asks.flat, strict=True):
            if steps >= 3:
                around = range(-steps, steps + 1) if 2 * steps + 1 <= 11 else range(11)
                views[split].add((int(steps), *(int(string[(cell + i) % 11]) for i in around)))
        assert len(np.unique(hashes[split])) == len(views[split])
    for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
        assert not views[one] & views[other]
        assert not np.isin(hashes[one], hashes[other]).any()
    assert (task.held_out(0), task.held_out(3)) == ("", "light cones of 7 cells")


def test_a_string_has_the_answer_and_the_owner_that_it_has_where_all_have_its_t() -> None:
    """An example whose strings all have one t is of the same kind as those of a task of that t alone."""
    mixed = replace(TASKS[0], rollout_steps_drawn=(3,)).episodes("test", range(200))
    alone = Rule110(cells=11, strings=3, rollout_steps=3).episodes("test", range(2000))
    assert (np.isin(mixed.content, alone.content)).mean() > 0.99  # few cones are the test's, and all are met
    assert (mixed.difficulty[mixed.difficulty >= 0] == 3).all()


@pytest.mark.parametrize("level", [0, 3, 5])
def test_chance_and_shortcuts_are_those_of_every_way_to_draw(level: int) -> None:
    """Over all draws of t for the strings: right when all of this t are, among the draws that have it."""
    task = TASKS[0]
    one = task.chance(level, 0)
    assert one == Rule110(cells=11, rollout_steps=level).chance(level, 0)
    draws = [drawn.count(level) for drawn in product(STEPS, repeat=task.strings) if level in drawn]
    assert task.chance(level) == pytest.approx(np.mean([one**count for count in draws]))
    for name, share in Rule110(cells=11, strings=1, rollout_steps=level).shortcuts(level).items():
        assert task.shortcuts(level)[name] == pytest.approx(np.mean([share**count for count in draws]))
    assert task.at(level).chance(level) == pytest.approx(one**task.strings)


@pytest.mark.parametrize("level", [0, 3, 5])
def test_a_constant_guess_gets_the_chance(level: int) -> None:
    task = TASKS[0]
    episode = task.episodes("test", range(20_000))
    labels, steps = (values[:, -3:] for values in (episode.targets, episode.difficulty))
    best = int((labels[steps == level]).mean() > 0.5)
    right = ((labels == best) | (steps != level)).all(axis=1)[(steps == level).any(axis=1)]
    assert right.mean() == pytest.approx(task.chance(level), abs=0.02)


def test_at_one_t_tokens_stay() -> None:
    task = TASKS[0]
    at = task.at(5)
    assert (at.levels, task.levels, task.landmarks) == ((5,), (0, 3, 5), (0, 3, 5))
    for name in ("vocab_size", "window", "seq_len"):
        assert getattr(at, name) == getattr(task, name)


def test_without_the_setting_nothing_is_told() -> None:
    task = Rule110(cells=11, strings=3, rollout_steps=5)
    assert non_defaults(task) == {"cells": 11, "strings": 3, "rollout_steps": 5} and task.levels == (5,)
    assert "drawn" not in task.settings_in_words
    indices = torch.arange(4)
    assert task.tensors("train", indices) is not None and TASKS[0].tensors("train", indices) is None


def test_the_drawing_rolls_each_string_out_to_its_t() -> None:
    task = TASKS[0]
    lines = task.example(4).splitlines()
    episode = task.episodes("train", [4])
    steps, labels = (values[0, -3:].tolist() for values in (episode.difficulty, episode.targets))
    first = next(number for number, line in enumerate(lines) if line.startswith("step 0"))
    for place, (t, label) in enumerate(zip(steps, labels, strict=True)):
        column = len("step 0  ") + place * (task.cells + 2)
        assert lines[first + t][column] == ".#"[label]
        assert first + t + 1 == len(lines) or not lines[first + t + 1][column : column + task.cells].strip()


def test_a_test_says_how_each_t_is_answered(tmp_path: Path) -> None:
    cell = small(strings=2, rollout_steps=3, rollout_steps_drawn=(0, 3), tokens=2000)
    table = rows.read_table(suite(tmp_path, cell))
    last = table.filter((table["step"] == cell.evaluation_steps[-1]) & table["answer"].is_null())
    assert last["difficulty"].to_list() == [0, 3]
    assert last["chance"].to_list() == pytest.approx([cell.task.chance(0), cell.task.chance(3)])
    held_out = cell.task.episodes("test", range(cell.training.test_examples)).difficulty
    assert last["n_examples"].to_list() == [int((held_out == t).any(axis=1).sum()) for t in (0, 3)]
    assert last["loss"].is_finite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rollout_steps": 4, "rollout_steps_drawn": (1, 5)}, r"in 0\.\.4 \(rollout_steps is the largest t that has a"),
        ({"rollout_steps_drawn": (-1,)}, r"rollout_steps_drawn must be a whole number in 0\.\.4"),
        ({"rollout_steps_drawn": (1,), "window_tokens": 24}, "a string of 24 cells and a token for t does not fit"),
        ({"rollout_steps_drawn": (1,), "window_tokens": 60}, "cuts a string of 24 cells and a token for t; .* of 25"),
    ],
)
def test_impossible_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule110(**settings)  # type: ignore[arg-type]
