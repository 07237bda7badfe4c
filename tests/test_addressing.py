"""What every task owes its readers: the contract, and examples that depend on their address alone.

Everything here runs over all tasks there are, plug-ins included, with default configurations: a new task is tested by
being listed, and by one line in `GOLDEN`.
"""

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields, is_dataclass
from hashlib import blake2b
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import tasks
from tasks import TASKS, available, load, rng
from tasks.base import IGNORE, SPLITS, Episode, Task, nearest

# Fingerprint of the first examples of each task and version. If one changes, so did the data behind every
# result: raise the task's `version`, and add a line here.
GOLDEN = {
    ("rule110", 2): "1b08ca2e6b4aeec9",
    ("recall", 1): "6284f5ea14986241",
    ("retention", 1): "8159a1dd510512f8",
    ("interference", 1): "cf9be836aaee7f29",
    ("colors", 1): "fac55f7739d8a3b3",
    ("depo", 1): "70b45d095f0ce82b",
    ("depo_foretold", 1): "058bdaab10372717",
    ("gsm_infinite", 2): "8cab7135ab2e3f71",
    ("gsm_compact", 1): "fce590530cfa7da0",
    ("toy-task", 1): "592a10f672d5fd88",
}

every_task = pytest.mark.parametrize("task", [load(name)() for name in available()], ids=list(available()))
every_split = pytest.mark.parametrize("split", SPLITS)


def arrays(episode: Episode) -> np.ndarray:
    """All that an episode says of its examples, [B, 4, T]."""
    return np.stack([episode.inputs, episode.targets, episode.difficulty, episode.answer], axis=1)


# --- the contract ---


@every_task
@every_split
def test_shapes_types_and_ranges(task: Task, split: str) -> None:
    episode = task.episodes(split, range(32))
    for array in (episode.inputs, episode.targets, episode.difficulty, episode.answer):
        assert array.shape == (32, task.seq_len)
        assert array.dtype == np.int64
        assert array.flags.writeable and array.flags.c_contiguous  # torch.from_numpy takes it without complaint
    assert episode.window == task.window
    assert episode.inputs.min() >= 0 and episode.inputs.max() < task.vocab_size
    asked = episode.targets != IGNORE
    assert episode.targets[asked].min() >= 0 and episode.targets[asked].max() < task.vocab_size
    for array in (episode.difficulty, episode.answer):
        assert (array[asked] >= 0).all()
        assert (array[~asked] == -1).all()
    for answers in episode.answer:
        assert set(answers[answers >= 0]) == set(range(answers.max() + 1))
    assert episode.answer.max() == task.answers - 1
    assert episode.content.dtype == np.uint64
    levels = episode.difficulty[asked]
    assert split == "train" or set(levels) <= set(task.levels)


@every_task
def test_windows_are_consolidated_or_predicted_alike_in_every_example(task: Task) -> None:
    asked = task.episodes("train", range(200)).targets != IGNORE
    windows = [asked[:, start : start + task.window].any(axis=1) for start in range(0, task.seq_len, task.window)]
    assert all(window.all() or not window.any() for window in windows)
    assert any(window.all() for window in windows)
    assert any(not window.any() for window in windows)


@every_task
def test_targets_are_shifted(task: Task) -> None:
    """Each target but the last is the very next input token, so no target is in the input it is asked at."""
    episode = task.episodes("train", range(200))
    given = episode.targets[:, :-1] != IGNORE
    np.testing.assert_array_equal(episode.inputs[:, 1:][given], episode.targets[:, :-1][given])


@every_task
def test_a_task_is_its_configuration(task: Task) -> None:
    assert is_dataclass(task) and task == type(task)() and hash(task) == hash(type(task)())
    with pytest.raises(FrozenInstanceError):
        setattr(task, fields(task)[0].name, 1)
    with pytest.raises(TypeError):
        type(task)(1)  # type: ignore[call-arg]  # keyword only
    assert available()[task.name].endswith(f":{type(task).__name__}")
    assert task.version >= 1 and task.axis


@every_task
def test_chance_is_a_probability(task: Task) -> None:
    episode = task.episodes("test", range(16))
    for difficulty in np.unique(episode.difficulty[episode.difficulty >= 0]):
        whole = task.chance(difficulty)
        single = [task.chance(difficulty, answer) for answer in range(task.answers)]
        assert type(whole) is float and 0 < whole <= min(single) <= max(single) <= 1
    with pytest.raises(ValueError, match=f"answer must be a whole number in 0..{task.answers - 1}; given -1"):
        task.chance(difficulty, -1)


@every_task
def test_equal_determinants_have_equal_answers(task: Task) -> None:
    """Whatever fixes an answer fixes it in every split; what a task says it holds out is in one split alone."""
    episodes = {split: task.episodes(split, range(200)) for split in SPLITS}
    hashes = {split: task.determinants(episode) for split, episode in episodes.items()}
    assert len({found is None for found in hashes.values()}) == 1
    if any(found is None for found in hashes.values()):
        return  # a task need not say
    known: dict[int, tuple[int, ...]] = {}
    for split, episode in episodes.items():
        found = hashes[split]
        assert found is not None and found.shape == (200, task.answers) and found.dtype == np.uint64
        for b, row in enumerate(found.tolist()):
            for number, part in enumerate(row):
                answer = tuple(episode.targets[b, episode.answer[b] == number].tolist())
                assert (part == 0) == (not answer)
                assert known.setdefault(part, answer) == answer
    if all(task.held_out(level) for level in task.levels):
        assert not np.isin(hashes["test"], [hashes["train"], hashes["validation"]]).any()


@every_task
def test_bad_addresses(task: Task) -> None:
    with pytest.raises(ValueError, match="unknown split 'tset'; valid: train, validation, test; did you mean 'test'"):
        task.episodes("tset", [0])
    with pytest.raises(ValueError, match="seed must be a whole number >= 0; given -1"):
        task.episodes("train", [0], seed=-1)
    for indices in ([-1], [0.5], [[1]], 3):
        with pytest.raises(ValueError, match="indices must be one row of whole numbers >= 0; given"):
            task.episodes("train", indices)
    with pytest.raises(ValueError, match="index must be a whole number >= 0; given -1"):
        task.example(-1)


def test_an_episode_checks_its_shapes() -> None:
    row, contents = np.zeros((1, 4), dtype=np.int64), np.zeros((1, 1), dtype=np.uint64)
    with pytest.raises(ValueError, match=r"must all be \[B, T\]; given \[\(1, 4\), \(1, 4\), \(1, 4\), \(1, 3\)\]"):
        Episode(inputs=row, targets=row, window=2, difficulty=row, answer=row[:, :3], content=contents)
    with pytest.raises(ValueError, match=r"content must have a row per example, 1; given \(2, 3\)"):
        Episode(
            inputs=row, targets=row, window=2, difficulty=row, answer=row, content=np.zeros((2, 3), dtype=np.uint64)
        )


# --- addresses ---


@every_task
@every_split
def test_batch_size_and_order_do_not_matter(task: Task, split: str) -> None:
    indices = np.array([5, 0, 17, 3, 2**40, 17, 1])
    together = arrays(task.episodes(split, indices, seed=3))
    for row, index in zip(together, indices, strict=True):
        np.testing.assert_array_equal(row, arrays(task.episodes(split, [index], seed=3))[0])
    np.testing.assert_array_equal(together[::-1], arrays(task.episodes(split, indices[::-1], seed=3)))
    np.testing.assert_array_equal(together, arrays(task.episodes(split, indices.astype(np.uint64), seed=3)))
    assert task.episodes(split, []).inputs.shape == (0, task.seq_len)


@every_task
def test_workers_do_not_matter(task: Task) -> None:
    """Interleaved over threads and over fresh processes, the examples are those of one plain call."""
    expected = arrays(task.episodes("train", range(48), seed=1))
    shares = [np.arange(worker, 48, 3) for worker in range(3)]
    with (
        ThreadPoolExecutor(3) as threads,
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes,
    ):
        for pool in (threads, processes):
            parts = list(pool.map(task.episodes, ["train"] * 3, shares, [1] * 3))
            for share, part in zip(shares, parts, strict=True):
                np.testing.assert_array_equal(arrays(part), expected[share])


@every_task
def test_neighbouring_streams_share_nothing(task: Task) -> None:
    """No example comes back under another index, seed, or split: in particular not as `seed + i`."""
    seen: set[bytes] = set()
    streams = [("train", 0), ("train", 1), ("train", 2), ("validation", 0), ("test", 0), ("test", 1)]
    for split, seed in streams:
        seen.update(row.tobytes() for row in task.episodes(split, range(200), seed).inputs)
    assert len(seen) == 200 * len(streams)


@every_task
def test_neighbouring_seeds_agree_as_often_as_chance(task: Task) -> None:
    """Equal tokens at equal places: as often between seeds as between unrelated examples of one seed."""
    count = min(4000, 10**6 // task.seq_len)
    first, second = (task.episodes("train", range(count), seed).inputs for seed in (0, 1))
    between = (first == second).mean(axis=1)
    within = (first == np.roll(first, 1, axis=0)).mean(axis=1)
    spread = (between.var() / len(between) + within.var() / len(within)) ** 0.5
    assert abs(between.mean() - within.mean()) < 5 * spread


@pytest.mark.parametrize("name", [name for name in available() if name in {name for name, _ in GOLDEN}])
def test_golden_examples(name: str) -> None:
    task, digest = load(name)(), blake2b(digest_size=8)
    for split in SPLITS:
        for seed in (0, 1):
            digest.update(arrays(task.episodes(split, range(64), seed)).astype("<i8").tobytes())
    assert digest.hexdigest() == GOLDEN.get((task.name, task.version)), "raise `version`; see GOLDEN"


# --- the random words ---


def test_words_are_independent_of_their_neighbours() -> None:
    """Bits are fair, and words one step apart in key, index, or column differ in half of their bits."""
    key, indices = np.uint64(0), np.arange(4000)  # the plainest key and indices there are
    drawn = rng.words(key, indices, 8)
    bits = (drawn[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    sigma = 0.5 / (4000 * 8) ** 0.5
    assert np.abs(bits.mean(axis=(0, 1)) - 0.5).max() < 5 * sigma
    for other in (
        rng.words(np.uint64(1), indices, 8),
        rng.words(key, indices + 1, 8),
        rng.words(key, indices, 8, 1),
    ):
        flipped = (((drawn ^ other)[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).mean(axis=(0, 1))
        assert np.abs(flipped - 0.5).max() < 5 * sigma
    assert np.unique(drawn).size == drawn.size
    np.testing.assert_array_equal(drawn[:, 3:], rng.words(key, indices, 5, start=3))


def test_streams_are_named_by_all_their_parts() -> None:
    names = [
        ("a", 1, {"x": 1}, 0),
        ("a", 1, {"x": 1}, 1),
        ("a", 1, {"x": 2}, 0),
        ("a", 2, {"x": 1}, 0),
        ("b",),
    ]
    assert len({int(rng.stream(*name)) for name in names}) == len(names)
    assert rng.stream({"x": 1, "y": 2}) == rng.stream({"y": np.int64(2), "x": 1})


def test_integers_and_contents() -> None:
    drawn = rng.integers(rng.words(np.uint64(7), np.arange(9000), 2), 6)
    counts = np.bincount(drawn.ravel(), minlength=6)
    assert np.abs(counts - 3000).max() < 5 * 3000**0.5
    codes = np.array([[1, 2, 3], [3, 1, 2], [1, 2, 4], [0, 0, 0], [0, 0, 1]])
    hashes = rng.content_hash(codes)
    assert hashes[0] == hashes[1] and np.unique(hashes).size == 4
    names = rng.split_of(np.arange(16, dtype=np.uint64).reshape(2, 8))
    assert names[0].tolist() == names[1].tolist() == ["test", "validation"] + ["train"] * 6
    for split in SPLITS:
        np.testing.assert_array_equal(rng.in_split(np.arange(8, dtype=np.uint64), split), names[0] == split)


# --- the registry ---


def test_unknown_task() -> None:
    with pytest.raises(ValueError, match=r"unknown task 'rule10'; valid: rule110, .*; did you mean 'rule110'"):
        load("rule10")
    assert nearest("zzz", ["a", "b"]) == "unknown name 'zzz'; valid: a, b"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter in the checkout, so that nothing imported here shows there."""
    root = Path(__file__).parents[1]
    return subprocess.run([sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False)


def plug_in(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, str]) -> None:
    points = [metadata.EntryPoint(name, value, tasks.ENTRY_POINTS) for name, value in entries]
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: points if group == "sleepbench.tasks" else [])


def test_plug_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, ("other", "tasks.recall:Recall"), ("broken", "no_such_module:X"), ("odd", "tasks:load"))
    assert load("other") is load("recall")
    assert list(tasks.available()) == [*TASKS, "other", "broken", "odd"]
    with pytest.raises(ValueError, match="task 'broken': cannot import no_such_module: No module named"):
        load("broken")
    with pytest.raises(ValueError, match=r"task 'odd': tasks:load is not a subclass"):
        load("odd")


def test_two_tasks_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, ("recall", "their:Recall"))
    with pytest.raises(ValueError, match=r"two tasks are named 'recall': .*:Recall and their:Recall"):
        load("rule110")


def test_listing_imports_no_task() -> None:
    heavy = {"numpy", "torch", "importlib.metadata", "tasks.base", "tasks.rule110"}
    done = python("-c", f"import sys, tasks; print({heavy} & set(sys.modules))")
    assert (done.stdout, done.stderr) == ("set()\n", "")


# --- the command ---


def command(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python("-m", available()[name].partition(":")[0], *arguments)


@every_task
def test_command_draws_an_example(task: Task) -> None:
    done = command(task.name, "--index", "2", "--split", "test", "--seed", "5")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == task.example(2, "test", 5) + "\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cells", "30"], "cells must be a whole number in 3..24"),
        (["--rollout-steps", "-1"], "rollout_steps must be a whole number >= 0"),
        (["--strings", "many"], "strings takes a whole number; given 'many'"),
        (
            ["--split", "training"],
            "unknown split 'training'; valid: train, validation, test; did you mean 'train'?",
        ),
        (["--seed", "-1"], "seed must be a whole number >= 0; given -1"),
        (["--cell", "12"], "unrecognized arguments: --cell 12"),
    ],
)
def test_command_errors_are_one_line(arguments: list[str], message: str) -> None:
    done = command("rule110", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and done.stderr.count("\n") == 1
