"""Retention: solved by the first window alone and by any perfect memory; the later windows are others, and uniform."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.recall import Recall
from tasks.retention import Retention

TASKS = [
    Retention(),
    Retention(windows_after=0),
    Retention(windows_after=64),
    Retention(pairs=3, keys=6, values=300, queries=3, window_tokens=6, windows_after=5),  # every other key each time
    Retention(pairs=1, keys=40, values=9, queries=1, window_tokens=2, windows_after=3),
]
every_task = pytest.mark.parametrize("task", TASKS, ids=str)

Pairs = list[tuple[str, str]]


def windows_of(task: Retention, tokens: list[int]) -> tuple[list[Pairs], list[str]]:
    """The pairs of every consolidated window, and the words of the question window, as drawn for a human."""
    words = [task.word(token) for token in tokens]
    read = task.seq_len - (2 * task.queries - 1)
    windows = [words[start : start + task.window] for start in range(0, read, task.window)]
    return [list(zip(window[::2], window[1::2], strict=True)) for window in windows], words[read:]


@every_task
def test_solved_from_the_tokens(task: Retention) -> None:
    episode = task.episodes("train", range(40))
    for tokens, targets in zip(episode.inputs.tolist(), episode.targets.tolist(), strict=True):
        windows, question = windows_of(task, tokens)
        asked = [task.word(target) for target in targets if target != -100]
        everything = {key: value for window in windows for key, value in window}  # written and overwritten, in order
        for memory in (dict(windows[0]), everything):
            assert [memory[key] for key in question[::2]] == asked
        assert question[1::2] == asked[:-1]
        assert len(set(question[::2])) == task.queries
        assert [at for at, target in enumerate(targets) if target != -100] == list(
            range(task.seq_len - 2 * task.queries + 1, task.seq_len, 2)
        )
    at = episode.targets != -100
    assert (episode.difficulty[at] == task.windows_after).all()
    assert (episode.answer[at].reshape(-1, task.queries) == np.arange(task.queries)).all()


@every_task
def test_windows_are_full_and_later_ones_write_other_keys(task: Retention) -> None:
    for tokens in task.episodes("test", range(40)).inputs.tolist():
        windows, _ = windows_of(task, tokens)
        assert len(windows) == 1 + task.windows_after
        for window in windows:
            assert {key[0] for key, _ in window} == {"k"} and {value[0] for _, value in window} == {"v"}
            assert len(dict(window)) == len(window) == task.pairs
        first = set(dict(windows[0]))
        assert not any(first & set(dict(window)) for window in windows[1:])


def test_later_windows_are_uniform_and_say_nothing_of_the_facts() -> None:
    """Counts within 5 standard deviations: keys among the others, by place; values; how often a value is that asked."""
    task = Retention(pairs=2, keys=7, values=8, queries=1, window_tokens=4, windows_after=3)
    inputs = task.episodes("train", range(20_000)).inputs
    keys, values = inputs[:, :16:2] - 1, inputs[:, 1:16:2] - 8
    taken = keys[:, :2]

    def check(counts: np.ndarray, kinds: int) -> None:
        expected = counts.sum() / kinds
        assert len(counts) == kinds
        assert np.abs(counts - expected).max() < 5 * expected**0.5

    for place in range(2, 8):
        rank = keys[:, place] - (taken < keys[:, [place]]).sum(axis=1)  # among the five others
        check(np.bincount(rank, minlength=5), 5)
        check(np.bincount(values[:, place], minlength=8), 8)
        for fact in (0, 1):
            check(np.bincount((values[:, place] - values[:, fact]) % 8, minlength=8), 8)
    for earlier, later in ((2, 4), (2, 6), (5, 7)):  # windows do not repeat each other
        check(np.bincount((values[:, later] - values[:, earlier]) % 8, minlength=8), 8)
        pairs = keys[:, [earlier, later]] - (taken[:, None] < keys[:, [earlier, later], None]).sum(axis=2)
        check(np.bincount(pairs[:, 0] * 5 + pairs[:, 1], minlength=25), 25)


def test_no_window_after_is_recall() -> None:
    """The same shapes, and the same splits: no set of pairs that one task trains on is held out by the other."""
    settings = {"pairs": 2, "keys": 5, "values": 6, "queries": 2, "window_tokens": 4}
    none, recall = Retention(windows_after=0, **settings), Recall(**settings)
    assert (none.seq_len, none.vocab_size, none.answers) == (recall.seq_len, recall.vocab_size, recall.answers)
    assert none.chance(0) == recall.chance(2)
    owned: dict[str, set[frozenset[tuple[str, str]]]] = {}
    for task in (none, replace(none, windows_after=3), recall):
        for split in ("train", "test"):
            episode = task.episodes(split, range(5000))
            words = [[task.word(token) for token in row[:4]] for row in episode.inputs.tolist()]
            sets = {frozenset(zip(row[::2], row[1::2], strict=True)) for row in words}
            owned.setdefault(split, set()).update(sets)
            assert len(np.unique(episode.content)) == len(sets)
    assert len(owned["train"] | owned["test"]) > 0.8 * 10 * 36
    assert not owned["train"] & owned["test"]


def test_levels() -> None:
    task = Retention()
    assert (task.axis, task.levels, task.landmarks) == ("windows_after", (8,), (0, 1, 2, 4, 8, 16, 32, 64))
    for level in task.landmarks:
        at = task.at(level)
        assert at == Retention(windows_after=level)
        assert at.seq_len == (1 + level) * 8 + 3
        assert (at.window, at.vocab_size, at.answers) == (8, 1 + 12 + 16, 2)


def test_chance() -> None:
    task = Retention(values=10)
    for level in (0, 8, 64):
        assert task.chance(level, answer=1) == 0.1
        assert task.chance(level) == pytest.approx(0.01)
        assert task.floors(level) == {"majority": task.chance(level), "question_only": task.chance(level)}
    with pytest.raises(ValueError, match=r"answer must be a whole number in 0\.\.1; given 2"):
        task.chance(8, answer=2)
    with pytest.raises(ValueError, match="difficulty must be a whole number >= 0; given -1"):
        task.chance(-1)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"windows_after": -1}, "windows_after must be a whole number >= 0; given -1"),
        ({"windows_after": 1.5}, "windows_after must be a whole number >= 0; given 1.5"),
        ({"window_tokens": 16}, r"window_tokens must be 2 \* pairs = 8 .*; given 16"),
        ({"pairs": 5}, r"window_tokens must be 2 \* pairs = 10 .*; given 8"),
        ({"keys": 7}, r"keys must be >= 2 \* pairs = 8 .*; given 7"),
        ({"queries": 5}, r"queries must be a whole number in 1\.\.4 .*; given 5"),
        ({"values": 1}, "values must be a whole number >= 2 .*; given 1"),
    ],
)
def test_impossible_settings(config: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Retention(**config)
