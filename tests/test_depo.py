"""Depo: every example is walked independently, in every codec, and names, lengths and hops are distributed as said."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import rng
from tasks.base import IGNORE
from tasks.depo import Depo, answer
from tasks.depo_codec import PAD, Codec
from tasks.ragged import ABSENT, distinct, first_met, halves, packed, shuffled

SMALL: dict[str, dict[str, Any]] = {
    "default": {},
    "two letters": {"codec": "2-2", "nodes": 11, "window_tokens": 60},
    "arrows": {"codec": "arrows", "nodes": 9, "letters": 12, "questions": 4, "window_tokens": 36},
    "bare": {"codec": "bare", "nodes": 7, "letters": 12, "questions": 4, "window_tokens": 14, "max_hops": 20},
    "long words": {"codec": "5-7", "nodes": 30, "letters": 3, "questions": 5, "window_tokens": 90},
    "fixed": {"distribution": "fixed", "nodes": 20},
    "uniform": {"distribution": "uniform", "nodes": 20, "questions": 3},
    "one k": {"train_hops": (3,), "test_hops": (3,), "nodes": 20},
}
every_size = pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)


def read_words(codec: Codec, tokens: np.ndarray) -> list[tuple[int, ...]]:
    """The names among tokens, found by their last letters alone."""
    found, word = [], []
    for token in tokens.tolist():
        if token == PAD or token >= codec.first_hop:
            assert not word, "a name is cut by a sign"
            continue
        word.append(token)
        if token >= codec.first_last:
            found.append(tuple(word))
            word = []
    assert not word
    return found


def check(task: Depo, split: str, examples: int) -> None:
    """Solve examples from their tokens, by walking the edges as presented."""
    episode, codec = task.episodes(split, range(examples)), task.coded
    read = -(-task.nodes * codec.edge_tokens // task.window) * task.window
    for row, targets, number, difficulty, n in zip(
        episode.inputs, episode.targets, episode.answer, episode.difficulty, episode.facts["nodes"], strict=True
    ):
        names = read_words(codec, row[:read])
        ids = {name: i for i, name in enumerate(dict.fromkeys(names))}
        edges = [(ids[a], ids[b]) for a, b in zip(names[::2], names[1::2], strict=True)]
        assert len(edges) == len(ids) == n
        assert answer(edges, 0, int(n)) == 0 and len({answer(edges, 0, k) for k in range(n)}) == n, "one cycle"
        asked = read_words(codec, row[read:])
        starts, ends = asked[::2], asked[1::2]
        assert len(starts) == len(set(starts)) == min(n, task.questions)
        hops = [t - codec.first_hop + 1 for t in row[read:].tolist() if 0 <= t - codec.first_hop < task.max_hops]
        for j, (start, end, k) in enumerate(zip(starts, ends, hops, strict=True)):
            assert answer(edges, ids[start], k) == ids[end]
            places = np.flatnonzero(number == j)
            assert tuple(targets[places]) == tuple(row[places + 1]) == end
            assert set(difficulty[places]) == {k}
            assert (np.diff(places) == 1).all()
        assert ((targets == IGNORE) == (number == -1)).all() and number.max() == len(starts) - 1
        assert (targets[:read] == IGNORE).all()


@every_size
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_answer_is_that_of_an_independent_walk(config: dict[str, Any], split: str) -> None:
    check(Depo(**config), split, 60)


@settings(max_examples=25, deadline=None)
@given(
    nodes=st.integers(3, 40),
    max_hops=st.integers(1, 50),
    questions=st.integers(1, 12),
    codec=st.sampled_from(["1-2", "2-2", "arrows", "bare", "1-3"]),
    distribution=st.sampled_from(["peer", "uniform", "fixed"]),
    window=st.integers(8, 90),
)
def test_any_configuration_is_refused_with_a_reason_or_solved(
    nodes: int, max_hops: int, questions: int, codec: str, distribution: str, window: int
) -> None:
    try:
        task = Depo(
            nodes=nodes,
            max_hops=max_hops,
            questions=questions,
            codec=codec,
            distribution=distribution,
            window_tokens=window,
        )
    except ValueError as error:
        assert re.search("must fit in one window|names; .* nodes need|too few cycles|no power of two", str(error))
        return
    check(task, "train", 6)
    check(task, "validation", 3)


def test_paper_sizes() -> None:
    task = Depo()
    assert (task.seq_len, task.window, task.levels) == (360, 75, (1, 2, 4, 8, 16))
    assert task.coded.words == 50 + 2500
    inputs = task.episodes("train", range(2000)).inputs
    assert (inputs[:, 299] != PAD).all() and not (inputs[:, 0] != PAD).any()  # padded on the left


# --- distributions ---


def within(counts: np.ndarray, expected: np.ndarray) -> None:
    """Counts as expected, within five standard deviations each."""
    assert (abs(counts - expected) < 5 * np.sqrt(expected) + 1).all(), (counts, expected)


def test_hops_are_uniform_in_training_and_powers_of_two_in_the_test() -> None:
    task = Depo(nodes=20)
    episode = task.episodes("train", range(3000))
    first = (episode.answer >= 0) & (np.diff(episode.answer, axis=1, prepend=-1) != 0)
    counts = np.bincount(episode.difficulty[first], minlength=17)[1:]
    within(counts, np.full(16, counts.sum() / 16))
    tested = task.episodes("test", range(200)).difficulty
    assert set(tested[tested >= 0]) == {1, 2, 4, 8, 16}


@pytest.mark.parametrize("distribution", ["peer", "uniform", "fixed"])
def test_nodes_are_distributed_as_named(distribution: str) -> None:
    task = Depo(distribution=distribution)
    n = task.episodes("train", range(6000)).facts["nodes"]
    sizes = np.arange(3, 76)
    weights = {
        "peer": 1 / (sizes + math.sqrt(75)),
        "uniform": np.ones(73),
        "fixed": (sizes == 75).astype(float),
    }[distribution]
    within(np.bincount(n, minlength=76)[3:], 6000 * weights / weights.sum())
    if distribution == "peer":
        assert n.mean() == pytest.approx(27.5, abs=1.5)
    assert (task.episodes("test", range(50)).facts["nodes"] == 75).all()


def test_names_are_as_if_drawn_one_by_one() -> None:
    """How many of 75 different names have one letter: about 30, the distribution that `floors` uses."""
    task = Depo(distribution="fixed")
    inputs = task.episodes("train", range(1500)).inputs[:, :300]
    single = []
    for row in inputs:
        single.append(sum(len(name) == 1 for name in set(read_words(task.coded, row))))
    expected = 1500 * task._short_words
    assert np.mean(single) == pytest.approx(np.arange(76) @ task._short_words, abs=0.4)
    within(np.bincount(single, minlength=76)[20:40], expected[20:40])


def test_the_floors_are_those_of_a_count() -> None:
    """Guess a one-letter word, the question's own start avoided: exact values against 40,000 answers."""
    task = Depo(nodes=12, letters=6, questions=10, window_tokens=60)
    right = {"majority": 0, "question_only": 0}
    answers = 0
    for row in task.episodes("test", range(4000)).inputs:
        asked = read_words(task.coded, row[60:])
        for start, end in zip(asked[::2], asked[1::2], strict=True):
            answers += 1
            guess = (task.coded.first_last,)
            right["majority"] += end == guess
            right["question_only"] += end == (guess if start != guess else (task.coded.first_last + 1,))
    for name, exact in task.floors(2).items():
        assert right[name] / answers == pytest.approx(exact, abs=5 * math.sqrt(exact / answers))
    assert task.chance(2) == 1 / 11 > task.floors(2)["question_only"] > task.floors(2)["majority"]


def test_edges_are_shuffled_and_starts_uniform() -> None:
    task = Depo(nodes=5, distribution="fixed", questions=2, codec="bare", letters=12, window_tokens=10)
    inputs = task.episodes("train", range(8000)).inputs
    follows = (inputs[:, 1:9:2] == inputs[:, 2:10:2]).mean()  # the next edge in the list goes on from this one
    assert follows == pytest.approx(1 / 4, abs=0.01)
    edges = inputs[:, 0:10:2]
    for question in (inputs[:, 11], inputs[:, 14]):
        within(np.bincount(np.argmax(edges == question[:, None], axis=1), minlength=5), np.full(5, 1600.0))


def test_questions_ask_in_random_order() -> None:
    drawn = distinct(
        rng.words(np.uint64(1), np.arange(6000), 3), rng.words(np.uint64(2), np.arange(6000), 3), np.full(6000, 4)
    )
    for column in drawn.T:
        within(np.bincount(column, minlength=4), np.full(4, 1500.0))
    pairs = np.bincount(drawn[:, 0] * 4 + drawn[:, 2], minlength=16).reshape(4, 4)
    within(pairs[~np.eye(4, dtype=bool)], np.full(12, 500.0))


# --- splits ---


def test_a_cycle_is_the_same_in_any_order_and_belongs_to_one_split() -> None:
    task = Depo(nodes=4, distribution="fixed", questions=2, codec="bare", letters=8, window_tokens=8, max_hops=3)
    seen: dict[str, set[frozenset[tuple[int, int]]]] = {}
    hashes: dict[str, set[int]] = {}
    for split in ("train", "validation", "test"):
        episode = task.episodes(split, range(3000))
        cycles = [frozenset(zip(row[0:8:2].tolist(), row[1:8:2].tolist(), strict=True)) for row in episode.inputs]
        seen[split], hashes[split] = set(cycles), set(episode.content[:, 0].tolist())
        assert (
            len(seen[split]) == len(hashes[split]) == len(set(zip(cycles, episode.content[:, 0].tolist(), strict=True)))
        )
    assert not seen["train"] & seen["test"] and not seen["train"] & seen["validation"]
    assert not seen["validation"] & seen["test"]
    assert sum(len(s) for s in seen.values()) == math.comb(8, 4) * math.factorial(3)  # every cycle is some split's


# --- the solver ---


def test_answer_walks_any_edge_list() -> None:
    edges = [(7, 3), (3, 9), (9, 7)]
    assert [answer(edges, 3, k) for k in range(7)] == [3, 9, 7, 3, 9, 7, 3]
    assert answer(np.array(edges), 9, 1_000) == answer(reversed(edges), 9, 1_000 % 3)
    with pytest.raises(ValueError, match="node 4 must have one edge; it has 0"):
        answer([(3, 4)], 3, 2)
    with pytest.raises(ValueError, match="node 3 must have one edge; it has 2"):
        answer([(3, 4), (3, 5)], 3, 1)
    with pytest.raises(ValueError, match="k must be a whole number >= 0; given -1"):
        answer(edges, 3, -1)


# --- parts ---


def test_words_are_prefix_free_and_numbered() -> None:
    codec = Codec("1-3", 3, 4)
    words = [tuple(int(t) for t in row if t != ABSENT) for row in codec.tokens[:-1]]
    assert len(words) == len(set(words)) == codec.words == 3 + 9 + 27
    assert not any(a != b and b[: len(a)] == a for a in words for b in words)
    assert all(word[-1] > 3 and max(word[:-1], default=1) <= 3 for word in words)
    assert (codec.tokens[ABSENT] == ABSENT).all()


def test_names_drawn_are_uniform_in_length_then_in_letters() -> None:
    codec = Codec("1-2", 4, 1)
    drawn = codec.draw(halves(rng.words(np.uint64(3), np.arange(4000), 5)))
    counts = np.bincount(drawn.ravel(), minlength=20)
    within(counts, np.array([5000.0] * 4 + [1250.0] * 16))


def test_ragged_parts() -> None:
    met = first_met(np.array([[5, 3, 5, 3, 1], [2, 2, 2, 2, 2]]), 6)
    assert met.tolist() == [[True, True, False, False, True], [True, False, False, False, False]]
    n, words = np.arange(2000) % 5, halves(rng.words(np.uint64(1), np.arange(2000), 2))
    order = shuffled(words, n, 4)
    for row, of in zip(order, n, strict=True):
        assert sorted(row[:of]) == list(range(of)) and (row[of:] == ABSENT).all()
    wider = np.concatenate([words, words], axis=1)  # in a batch with longer rows; coarse keys, so that some are equal
    narrow, wide = (shuffled(w >> np.uint32(26) << np.uint32(26), n, 1 << 20) for w in (words, wider))
    np.testing.assert_array_equal(wide, np.pad(narrow, ((0, 0), (0, 4)), constant_values=ABSENT))
    values = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    present = np.array([[[True, False], [True, True]], [[False, False], [False, True]]])
    assert packed(values, present, 4, 0).tolist() == [[1, 3, 4, 0], [8, 0, 0, 0]]
    assert packed(values, present, 4, 0, right=True).tolist() == [[0, 1, 3, 4], [0, 0, 0, 8]]
    assert packed(values[:0], present[:0], 4, 0).shape == (0, 4)


def test_drawing_more_names_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Depo(nodes=20).episodes("train", range(40)).inputs
    one = Depo(nodes=20)
    one._cycles.__dict__["_enough_words"] = [5] * 21  # too few: they are drawn again, twice as many
    np.testing.assert_array_equal(one.episodes("train", range(40)).inputs, whole)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"nodes": 2}, "nodes must be a whole number >= 3; given 2"),
        ({"max_hops": 0}, "max_hops must be a whole number >= 1; given 0"),
        ({"train_hops": (17,)}, r"train_hops must be a whole number in 1..16 \(max_hops\); given 17"),
        ({"test_hops": (0,)}, r"test_hops must be a whole number in 1..16"),
        ({"nodes": 8, "test_hops": (8,)}, "test_hops must not go whole rounds of the 8 nodes; given 8"),
        ({"codec": "1-3x"}, "unknown codec '1-3x'; valid: 1-2, 2-2, arrows, bare, A-B"),
        ({"codec": "arrow"}, "did you mean 'arrows'"),
        ({"codec": "2-1"}, "unknown codec"),
        ({"codec": "arrows"}, "has 50 names; 75 nodes need at least 94"),
        ({"codec": "5-7"}, "at most 1048576 are possible"),
        ({"distribution": "pear"}, "unknown distribution 'pear'; valid: peer, uniform, fixed; did you mean 'peer'"),
        (
            {"questions": 13},
            "13 questions take up to 78 tokens and must fit in one window of 75; .* up to 12 questions",
        ),
        (
            {"nodes": 3, "codec": "bare", "letters": 4, "questions": 1, "max_hops": 1},
            "too few cycles .* make 8; .* 256",
        ),
    ],
)
def test_impossible_settings(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Depo(**config)


def test_an_example_is_drawn_for_a_human() -> None:
    drawn = Depo(nodes=5, questions=3, window_tokens=20).example()
    cycle = re.search(r"cycle  (.*)", drawn)
    assert cycle is not None
    names = cycle[1].split(" -> ")
    assert names[0] == names[-1] and len(set(names)) == len(names) - 1
    walks = re.findall(r"k = (\d+) +(.*)   answer (\w+)", drawn)
    assert len(walks) == 3
    for k, walk, end in walks:
        nodes = walk.split(" -> ")
        assert len(nodes) == int(k) + 1 and nodes[-1] == end
        assert all(names[names.index(a) + 1] == b for a, b in itertools.pairwise(nodes))
