"""Foretold questions: of the same cycle, right as often as said, and no help to a guess."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_depo import read_words

from tasks.depo import Depo, answer
from tasks.depo.codec import PAD
from tasks.depo.foretold import ForetoldDepo

SMALL: dict[str, Any] = {"nodes": 7, "max_hops": 4, "test_hops": (1, 2, 3, 4), "questions": 4, "letters": 12}
BARE = ForetoldDepo(**SMALL, codec="bare", distribution="uniform", window_tokens=22)
TASKS = [
    ForetoldDepo(),
    BARE,
    replace(BARE, window_tokens=13),  # questions are told across the border of a window
    ForetoldDepo(**SMALL, codec="arrows", window_tokens=40),
    ForetoldDepo(**SMALL | {"letters": 3, "questions": 2}, codec="1-3", window_tokens=30),
]
every_task = pytest.mark.parametrize("task", TASKS, ids=str)

Question = tuple[int, tuple[int, ...]]


def parts(task: Depo, row: np.ndarray) -> tuple[dict[Any, Any], list[Question], list[tuple[Question, Any]]]:
    """The edges that are read, the questions that are told, and those that are asked with their answers."""
    codec = task.coder
    hop = (row >= codec.first_hop) & (row < codec.first_hop + codec.most_hops)
    read = task.seq_len - task.questions * codec.question_tokens
    first = np.flatnonzero(hop)[0]
    names = read_words(codec, row[:first])
    ks = [int(k) for k in row[hop] - codec.first_hop + 1]
    told = read_words(codec, row[first:read])
    asked = read_words(codec, row[read:])
    questions = list(zip(ks[len(told) :], asked[::2], strict=True))
    return (
        dict(zip(names[::2], names[1::2], strict=True)),
        list(zip(ks[: len(told)], told, strict=True)),
        list(zip(questions, asked[1::2], strict=True)),
    )


@every_task
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("predictability", [0.0, 0.5, 1.0])
def test_what_is_read_is_a_cycle_and_as_many_questions_about_it(
    task: ForetoldDepo, split: str, predictability: float
) -> None:
    task = replace(task, predictability=predictability)
    episode = task.episodes(split, range(40))
    for row, known in zip(episode.inputs, episode.facts["foretold"], strict=True):
        after, told, asked = parts(task, row)
        assert set(after) == set(after.values())
        assert len(told) == len(asked) == min(len(after), task.questions)
        for (k, start), end in asked:
            assert answer(_numbered(after), list(after).index(start), k) == list(after).index(end)
        for k, start in told:
            assert 1 <= k <= task.max_hops and start in after
            assert split == "train" or k in task.levels
        right = [one == other for one, (other, _) in zip(told, asked, strict=True)]
        assert known.tolist() == right + [False] * (task.questions - len(right))
        assert predictability < 1 or all(right)


def _numbered(after: dict[Any, Any]) -> list[tuple[int, int]]:
    nodes = list(after)
    return [(nodes.index(one), nodes.index(other)) for one, other in after.items()]


@pytest.mark.parametrize("predictability", [0.0, 0.3, 1.0])
def test_a_question_is_foretold_with_the_probability_or_by_accident(predictability: float) -> None:
    task = replace(BARE, predictability=predictability)
    known = task.episodes("test", range(8000)).facts["foretold"]
    by_accident = 1 / (task.nodes * len(task.levels))
    expected = predictability + (1 - predictability) * by_accident
    assert known.mean(axis=0) == pytest.approx(np.full(task.questions, expected), abs=0.03)
    if 0 < predictability < 1:  # each by itself
        assert (known[:, 0] & known[:, 1]).mean() == pytest.approx(expected**2, abs=0.03)


def test_what_is_told_looks_alike_at_every_predictability() -> None:
    """How often each k is told, and each place in the list of edges; different starts where all are drawn anew."""
    for p in (0.0, 0.5, 1.0):
        inputs = replace(BARE, predictability=p).episodes("test", range(8000)).inputs
        ks, starts = inputs[:, 14:22:2] - BARE.coder.first_hop + 1, inputs[:, 15:22:2]
        assert np.bincount(ks.ravel(), minlength=5)[1:] / ks.size == pytest.approx(np.full(4, 1 / 4), abs=0.02)
        places = (inputs[:, None, 0:14:2] == starts[..., None]).argmax(axis=2)
        assert np.bincount(places.ravel(), minlength=7) / places.size == pytest.approx(np.full(7, 1 / 7), abs=0.02)
        distinct = np.mean([len(set(row)) == 4 for row in starts.tolist()])
        assert distinct == 1 if p in (0.0, 1.0) else distinct < 1


@pytest.mark.parametrize("predictability", [0.0, 1.0])
def test_what_is_told_is_no_help_to_a_guess(predictability: float) -> None:
    """Nodes that are named without edges are as good as those that `chance` guesses among, and no better."""
    task = replace(BARE, predictability=predictability)
    guessed: list[bool] = []
    for row in task.episodes("test", range(6000)).inputs:
        _, told, asked = parts(task, row)
        for (k, start), end in asked:
            others = {name for _, name in told} - {start}
            if k == 2 and others:
                guessed += [end == name for name in others]
    assert np.mean(guessed) == pytest.approx(task.chance(2), abs=0.01)
    depo = Depo(**SMALL, codec="bare", distribution="uniform", window_tokens=22)
    for k in task.levels:
        assert (task.chance(k), task.floors(k)) == (depo.chance(k), depo.floors(k))
        assert task.shortcuts(k) == depo.shortcuts(k)


@every_task
def test_notes_memories_and_what_fixes_answers_are_of_the_edges_alone(task: ForetoldDepo) -> None:
    """They are those of Depo of the same text without the questions that are told."""
    episode = task.episodes("test", range(20))
    bare = episode.inputs.copy()
    for row in bare:
        hop = (row >= task.coder.first_hop) & (row < task.coder.first_hop + task.max_hops)
        row[np.flatnonzero(hop)[0] : task._read_tokens] = PAD
    plain = replace(episode, inputs=bare)
    as_depo = ForetoldDepo.__mro__[1]
    np.testing.assert_array_equal(task.determinants(episode), task.determinants(plain))
    assert (task.determinants(episode) != 0).all()
    for one, other in zip(task.memories(episode), as_depo.memories(task, plain), strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    notes = task.notes("workings", episode)
    assert [*notes] == list(range(task._read_tokens // task.window + 1))
    last = notes[task._read_tokens // task.window - 1]
    for row, noted in zip(episode.inputs, last, strict=True):
        after = parts(task, row)[0]
        names = read_words(task.coder, noted[: task._read_tokens])
        assert names[1::2] == [after[after[name]] for name in names[::2]] and names[::2] == list(after)


def test_the_cycle_and_the_questions_of_an_example_stay_its_own() -> None:
    """Other examples beside it, and another order, change nothing."""
    whole = BARE.episodes("train", range(40))
    np.testing.assert_array_equal(BARE.episodes("train", [31, 7]).inputs, whole.inputs[[31, 7]])


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"predictability must be in 0\.\.1; given"):
        replace(BARE, predictability=value)
