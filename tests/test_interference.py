"""Interference: solved from the facts of the asked kind alone, and by no memory that does not tell kinds apart."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from tasks.interference import Interference

TASKS = [
    Interference(),
    Interference(shared_keys=False),
    Interference(pairs=3, window_tokens=4, queries=2),  # a padded window of each kind
    Interference(pairs=2, keys=4, values=300, window_tokens=4, shared_keys=False),  # every key is read
]
every_task = pytest.mark.parametrize("task", TASKS, ids=str)

Facts = list[tuple[str, str]]


def windows_of(task: Interference, tokens: list[int]) -> tuple[list[Facts], str, list[str]]:
    """The facts of every window that is read, the kind asked, and the questions, as drawn for a human."""
    words = [task.word(token) for token in tokens]
    *read, asked = (words[start : start + task.window] for start in range(0, len(words), task.window))
    facts = [[(k, v) for k, v in zip(w[::2], w[1::2], strict=True) if k != "_"] for w in read]
    return facts, asked[0], asked[1:]


@every_task
def test_solved_from_the_facts_of_the_asked_kind(task: Interference) -> None:
    episode = task.episodes("test", range(60))
    kinds = set()
    for tokens, targets in zip(episode.inputs.tolist(), episode.targets.tolist(), strict=True):
        windows, kind, question = windows_of(task, tokens)
        memories = {"A": dict(chain(*windows[0::2])), "B": dict(chain(*windows[1::2]))}
        for name, memory in memories.items():
            assert len(memory) == task.pairs and {value[0] for value in memory.values()} == {name.lower()}
        assert (set(memories["A"]) == set(memories["B"])) is task.shared_keys
        assert task.shared_keys or not set(memories["A"]) & set(memories["B"])
        answers = [task.word(target) for target in targets if target != -100]
        assert [memories[kind][key] for key in question[::2]] == answers
        assert question[1::2] == answers[:-1]
        kinds.add(kind)
    assert kinds == {"A", "B"}
    assert [episode.facts["kind"][0]] == ["AB".index(windows_of(task, episode.inputs[0].tolist())[1])]


def test_the_other_kind_has_its_keys_in_another_order() -> None:
    """So that places in a window do not tell what was written with what."""
    pairs = Interference().episodes("train", range(50)).inputs[:, :16].reshape(50, 2, 4, 2)[..., 0]
    assert len({tuple(np.argsort(row[1])[np.argsort(np.argsort(row[0]))]) for row in pairs}) > 10


def test_a_constant_answer_is_of_one_kind() -> None:
    task = Interference(values=2, queries=1)
    episode = task.episodes("train", range(4000))
    targets = episode.targets[episode.targets >= 0]
    most = np.bincount(targets).max() / len(targets)
    assert most == pytest.approx(task.floors(4)["majority"], abs=0.03)
    assert task.floors(4) == {"majority": 0.25, "question_only": 0.5}


def test_memories_are_the_facts_of_both_kinds() -> None:
    task = Interference(pairs=3, window_tokens=4)
    episode = task.episodes("test", range(20))
    (memory,) = task.memories(episode)
    for values, tokens in zip(memory.values, episode.inputs.tolist(), strict=True):
        found = {divmod(int(at), task.keys): int(values[at]) for at in np.flatnonzero(values >= 0)}
        facts = [fact for window in windows_of(task, tokens)[0] for fact in window]
        assert found == {("ab".index(v[0]), int(k[1:])): int(v[1:]) for k, v in facts}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shared_keys": False, "keys": 7}, "keys must be >= 8 where the kinds share none"),
        ({"queries": 4, "window_tokens": 7}, "even"),
        ({"queries": 3, "window_tokens": 4}, "queries"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(Interference(), **settings)
