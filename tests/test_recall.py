"""Recall: solved from the tokens alone, held out by content, uniform where it says so."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from tasks import rng
from tasks.recall import PAD, Recall

TASKS = [
    Recall(),
    Recall(pairs=7, window_tokens=8, queries=3),  # padded
    Recall(pairs=16, queries=4),  # every key used
    Recall(pairs=4, queries=4, keys=5, values=300, window_tokens=10),  # one window
    Recall(pairs=1, queries=1, keys=40, values=9, window_tokens=2),
]


def pairs_of(task: Recall, tokens: list[int]) -> dict[str, str]:
    """The pairs read in the consolidated windows, from the words drawn for a human."""
    context = task.seq_len - (2 * task.queries - 1)
    words = [task.word(token) for token in tokens[:context] if token != PAD]
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_solved_from_the_tokens(task: Recall) -> None:
    episode = task.episodes("train", range(60))
    for tokens, targets in zip(episode.inputs.tolist(), episode.targets.tolist(), strict=True):
        stored = pairs_of(task, tokens)
        assert len(stored) == task.pairs
        assert all(key[0] == "k" and value[0] == "v" for key, value in stored.items())
        questions = [task.word(token) for token in tokens[-(2 * task.queries - 1) :]]
        asked = [task.word(target) for target in targets if target != -100]
        assert len(set(questions[::2])) == task.queries
        assert [stored[key] for key in questions[::2]] == asked
        assert questions[1::2] == asked[:-1]
        assert [position for position, target in enumerate(targets) if target != -100] == list(
            range(task.seq_len - 2 * task.queries + 1, task.seq_len, 2)
        )
    asked_at = episode.targets != -100
    assert (episode.difficulty[asked_at] == task.pairs).all()
    assert (episode.answer[asked_at].reshape(-1, task.queries) == np.arange(task.queries)).all()


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_no_pair_is_cut(task: Recall) -> None:
    """Padding is on the left, and keys stand at even places of every consolidated window."""
    context = task.seq_len - (2 * task.queries - 1)
    assert context % task.window == 0
    read = task.episodes("test", range(20)).inputs[:, :context]
    padding = context - 2 * task.pairs
    assert (read[:, :padding] == PAD).all()
    assert ((read[:, padding::2] >= 1) & (read[:, padding::2] <= task.keys)).all()
    assert (read[:, padding + 1 :: 2] > task.keys).all()
    assert read.max() < task.vocab_size


def test_splits_are_disjoint_by_content(record_property: Callable[[str, object], None]) -> None:
    """The set of pairs decides, whatever its order, also where contents are few enough to be met often."""
    task = Recall(pairs=2, keys=6, values=6, queries=1, window_tokens=4)
    contents = {}
    for split in ("train", "validation", "test"):
        tokens = task.episodes(split, range(20_000)).inputs.tolist()
        contents[split] = {frozenset(pairs_of(task, row).items()) for row in tokens}
        record_property(f"repeated_{split}", 1 - len(contents[split]) / len(tokens))
    assert not contents["train"] & contents["validation"]
    assert not contents["train"] & contents["test"]
    assert not contents["validation"] & contents["test"]
    assert sum(map(len, contents.values())) == math.comb(6, 2) * 6**2
    assert 0.6 < len(contents["train"]) / (15 * 36) < 0.9


def test_a_content_keeps_its_split_in_every_configuration() -> None:
    """More possible keys or values, or other windows, cannot move a held-out set of pairs into training."""
    small, large = Recall(pairs=2, keys=6, values=6, queries=1), Recall(pairs=2, keys=7, values=8, queries=2)
    held_out, trained = (
        {frozenset(pairs_of(task, row).items()) for row in task.episodes(split, range(20_000)).inputs.tolist()}
        for task, split in ((small, "test"), (large, "train"))
    )
    assert not held_out & trained


def test_draws_are_uniform() -> None:
    """Keys by place, values, and which pair is asked; counts within 5 standard deviations."""
    task = Recall(pairs=4, keys=8, values=8, queries=2)
    episodes = task.episodes("train", range(20_000)).inputs

    def check(samples: np.ndarray, kinds: int) -> None:
        counts = np.bincount(samples, minlength=kinds)
        expected = len(samples) / kinds
        assert len(counts) == kinds
        assert np.abs(counts - expected).max() < 5 * expected**0.5

    for place in range(4):
        check(episodes[:, 2 * place] - 1, 8)
        check(episodes[:, 2 * place + 1] - 9, 8)
    first, second = (np.argmax(episodes[:, :8:2] == episodes[:, [at]], axis=1) for at in (8, 10))
    check(first, 4)
    check((second - first) % 4 - 1, 3)


def test_chance() -> None:
    task = Recall(values=10, queries=3)
    assert task.chance(8, answer=0) == 0.1
    assert task.chance(8) == pytest.approx(0.001)
    with pytest.raises(ValueError, match=r"answer must be a whole number in 0\.\.2; given 3"):
        task.chance(8, answer=3)
    with pytest.raises(ValueError, match=r"difficulty must be a whole number in 1\.\.16"):
        task.chance(0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"pairs": 17}, r"pairs must be a whole number in 1\.\.16 .*distinct.*; given 17"),
        ({"queries": 9}, r"queries must be a whole number in 1\.\.8 .*; given 9"),
        ({"values": 1}, r"values must be a whole number >= 2 .*; given 1"),
        ({"keys": 0}, "keys must be a whole number >= 1; given 0"),
        ({"window_tokens": 7}, "window_tokens must be even .*; given 7"),
        ({"queries": 5}, r"5 queries take 9 tokens .* 8 tokens; allowed here: 1\.\.4 queries"),
        ({"pairs": 1, "queries": 1, "keys": 2, "values": 2}, "too few contents .* make 4; at least 256"),
    ],
)
def test_impossible_settings(config: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recall(**config)


def test_a_split_without_content_is_an_error_not_a_loop() -> None:
    def draw(indices: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        return indices, np.full(len(indices), 7, dtype=np.uint64)  # always owned by train

    contents, _, rejected = rng.draw_in_split(draw, "train", np.arange(3))
    assert (contents.tolist(), rejected) == ([0, 1, 2], 0)
    with pytest.raises(RuntimeError, match="3 of 3 examples found no test content in 5 draws"):
        rng.draw_in_split(draw, "test", np.arange(3), attempts=5)


def test_rejections_are_as_many_as_the_split_is_small() -> None:
    def draw(indices: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        return indices, rng.words(np.uint64(1), indices, 1, attempt)[:, 0]

    for split, share in (("train", 6 / 8), ("validation", 1 / 8), ("test", 1 / 8)):
        *_, rejected = rng.draw_in_split(draw, split, np.arange(4000))
        expected = 4000 * (1 - share) / share
        assert abs(rejected - expected) < 5 * (expected / share) ** 0.5
