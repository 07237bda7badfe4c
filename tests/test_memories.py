"""What a memory may hold, against slow references: `evolve`, a walk along edges, a dict of pairs."""

from typing import Any

import numpy as np
import pytest

from tasks.base import Task
from tasks.depo import Depo, answer
from tasks.depo.paths import names_in
from tasks.gsm_infinite.compact import GSMCompact
from tasks.gsm_infinite.compact_tokens import FIRST_NUMBER
from tasks.gsm_infinite.task import GSMInfinite
from tasks.memories import MOST_NAMES, Memory
from tasks.ragged import ABSENT
from tasks.recall import Recall
from tasks.retention import Retention
from tasks.rule110 import Rule110, evolve

EXAMPLES = np.arange(40)


@pytest.mark.parametrize(
    "settings",
    [
        {"cells": 16, "strings": 1, "rollout_steps": 6},
        {"cells": 5, "strings": 2, "rollout_steps": 3},
        {"cells": 3, "strings": 2, "rollout_steps": 4, "window_tokens": 6},
        {"cells": 24, "strings": 4, "rollout_steps": 2},
        {"cells": 8, "strings": 1, "rollout_steps": 0},
        {"cells": 7, "strings": 3, "rollout_steps": 3, "asked": "any"},
    ],
)
def test_rollouts_are_those_of_evolve(settings: dict[str, Any]) -> None:
    task = Rule110(**settings)
    episode = task.episodes("test", EXAMPLES)
    strings = episode.inputs[:, : task.strings * task.cells].reshape(-1, task.strings, task.cells)
    packed = strings @ (1 << np.arange(task.cells)[::-1])
    found = {(m.kind, m.step): m for m in task.memories(episode)}
    kinds = ("first cell", "every cell") if task.asked == "first" else ("every cell",)
    assert sorted(found) == sorted((k, t) for k in kinds for t in range(task.rollout_steps + 1))
    for (kind, step), memory in found.items():
        state = evolve(packed, task.cells, step)
        bits = (state[..., None] >> np.arange(task.cells)[::-1]) & 1
        wanted = bits[..., 0] if kind == "first cell" else bits.reshape(len(EXAMPLES), -1)
        np.testing.assert_array_equal(memory.values, wanted)
        assert (memory.classes, memory.stored) == (2, step == 0)
        assert memory.chance == task.chance(step, 0)
        assert memory.asked == (step if kind == kinds[0] else None)
    last, labels = found[kinds[0], task.rollout_steps].values, episode.targets[episode.targets >= 0]
    if task.asked == "any":
        cells = episode.inputs[:, task.strings * task.cells :: 2] - 3
        last = np.take_along_axis(last, cells + task.cells * np.arange(task.strings), axis=1)
    np.testing.assert_array_equal(last.ravel(), labels)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(("codec", "letters"), [("bare", 12), ("arrows", 12), ("1-2", 5), ("2-2", 4), ("1-3", 3)])
def test_nodes_after_hops_are_those_of_a_walk(codec: str, letters: int, split: str) -> None:
    task = Depo(nodes=6, max_hops=8, questions=1, codec=codec, letters=letters, window_tokens=13)
    episode = task.episodes(split, EXAMPLES)
    read = episode.inputs[:, : episode.inputs.shape[1] - task.coder.question_tokens]
    words = ["".join(task.coder.names_in(word[word != ABSENT])) for word in task.coder.tokens[:-1]]
    memories = task.memories(episode)
    assert [m.step for m in memories] == list(range(1, 9))
    for b, tokens in enumerate(read):
        names = [words.index(name) for name in task.coder.names_in(tokens)]
        edges = list(zip(names[::2], names[1::2], strict=True))
        for memory in memories:
            for name in range(task.coder.words):
                wanted = answer(edges, name, memory.step) if name in names else ABSENT
                assert memory.values[b, name] == wanted
    assert [m.stored for m in memories] == [m.step == 1 for m in memories]
    assert [m.chance for m in memories] == [task.chance(k) for k in range(1, 9)]


def test_names_across_the_border_of_a_window() -> None:
    task = Depo(nodes=6, max_hops=2, questions=1, codec="2-2", letters=4, window_tokens=13)
    inputs = task.episodes("test", EXAMPLES).inputs[:, :26]
    numbers = names_in(inputs, task.coder)
    assert numbers.shape == (len(EXAMPLES), 12)
    assert all(sorted(row[::2]) == sorted(row[1::2]) for row in numbers.tolist())  # every node is left and reached


@pytest.mark.parametrize(
    "task",
    [
        Recall(pairs=3, keys=6, values=5, queries=2, window_tokens=4),
        Recall(pairs=4, keys=4),
        Retention(windows_after=3),
    ],
)
def test_values_are_those_of_a_dict(task: Recall) -> None:
    episode = task.episodes("test", EXAMPLES)
    (memory,) = task.memories(episode)
    first = task.window if isinstance(task, Retention) else task.seq_len - (2 * task.queries - 1)
    for b, tokens in enumerate(episode.inputs[:, :first].tolist()):
        pairs = [(k - 1, v - 1 - task.keys) for k, v in zip(tokens[::2], tokens[1::2], strict=True) if k]
        stored = dict(pairs)
        assert len(stored) == task.pairs
        assert memory.values[b].tolist() == [stored.get(key, ABSENT) for key in range(task.keys)]
    assert (memory.step, memory.stored, memory.chance, memory.asked) == (0, True, 1 / task.values, task.levels[0])


def test_answers_by_operations() -> None:
    task = GSMCompact(most_operations=3, most_tokens=64, least_tokens=48, window_tokens=40)
    episode = task.episodes("test", EXAMPLES)
    memories = task.memories(episode)
    assert [m.step for m in memories] == [1, 2, 3]
    for b in range(len(EXAMPLES)):
        (place,) = np.flatnonzero(episode.targets[b] >= 0)
        for memory in memories:
            mine = memory.step == episode.difficulty[b, place]
            assert memory.values[b, 0] == (episode.targets[b, place] - FIRST_NUMBER if mine else ABSENT)


@pytest.mark.parametrize(
    "task",
    [
        GSMInfinite(),
        GSMCompact(most_operations=2, question_first=False),
        Depo(),  # 2,550 names
    ],
)
def test_nothing_to_look_for(task: Task) -> None:
    if isinstance(task, Depo):
        assert task.coder.words > MOST_NAMES
    assert task.memories(task.episodes("train", [0])) == ()


@pytest.mark.parametrize(
    ("values", "said"), [(np.zeros(3, np.int64), "B, M"), (np.array([[-2]]), "ABSENT"), (np.array([[2]]), "below 2")]
)
def test_values_must_be_of_the_classes(values: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Memory(kind="x", step=0, values=values, classes=2, chance=None, stored=True, asked=None)
