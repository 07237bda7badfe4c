"""Depo: every example is walked independently, in every codec, and names, lengths and hops are distributed as said."""

import itertools
import math
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import rng
from tasks.base import IGNORE
from tasks.depo import Depo, answer, splits
from tasks.depo.codec import PAD, Codec
from tasks.ragged import ABSENT, distinct_numbers, first_occurrences, halves, pack, permutations

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
    episode, codec = task.episodes(split, range(examples)), task.coder
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


@every_size
def test_workings_are_walks_along_the_edges_so_far(config: dict[str, Any]) -> None:
    task = Depo(**config)
    episode, codec = task.episodes("train", range(20)), task.coder
    notes = task.notes("workings", episode)
    read = -(-task.nodes * codec.edge_tokens // task.window) * task.window
    assert [*notes] == list(range(read // task.window + 1))
    for (number, noted), b in itertools.product([*notes.items()][:-1], range(20)):
        text = episode.inputs[b, : (number + 1) * task.window]
        complete = (
            int(((text >= codec.first_last) & (text < codec.first_hop)).sum()) // 2 * 2
        )  # a window may cut a name
        names = read_words(codec, episode.inputs[b, :read])[:complete]
        after = dict(zip(names[::2], names[1::2], strict=True))
        tables = noted[b].reshape(-1, read)
        assert len(tables) == int(math.log2(task.max_hops))
        for doubling, table in enumerate(tables, start=1):
            expected = []
            for start in names[::2]:
                node: Any = start
                for _ in range(2**doubling):
                    node = after.get(node)
                expected += [start, node] if node else []
            assert read_words(codec, table) == expected
            assert not expected or table[-1] != PAD
            if task.codec == "arrows":
                assert sum(table == codec.vocab_size - 1) == len(expected) // 2, "a comma behind every pair"


@every_size
def test_workings_of_a_prediction_are_the_walks_to_its_answers(config: dict[str, Any]) -> None:
    """After the token that ends a question, and the answer again for the hops that are left; elsewhere padding."""
    task = Depo(**config)
    episode, codec = task.episodes("train", range(20)), task.coder
    number, walks = [*task.notes("workings", episode).items()][-1]
    read, size = number * task.window, task.max_hops * codec.lengths[-1]
    assert walks.shape == (20, (task.seq_len - read) * size)
    for b in range(20):
        names = read_words(codec, episode.inputs[b, :read])
        after, asked = dict(zip(names[::2], names[1::2], strict=True)), read_words(codec, episode.inputs[b, read:])
        questions = iter(zip(asked[::2], asked[1::2], strict=True))
        for t, walk in enumerate(walks[b].reshape(-1, size), start=read):
            if episode.answer[b, t] < 0 or episode.answer[b, t - 1] >= 0:
                assert (walk == PAD).all()
                continue
            node, end = next(questions)
            nodes = []
            for _ in range(episode.difficulty[b, t]):
                node = after[node]
                nodes.append(node)
            assert nodes[-1] == end
            assert read_words(codec, walk) == nodes + [end] * (task.max_hops - len(nodes))
        assert next(questions, None) is None


@every_size
def test_questions_are_all_that_might_be_asked_with_their_answers(config: dict[str, Any]) -> None:
    """A dictionary of them is right about every question of training, whatever that is."""
    task = Depo(**config)
    episode, codec = task.episodes("train", range(20)), task.coder
    ks = task.train_hops or range(1, task.max_hops + 1)
    notes = task.notes("questions", episode)
    read = -(-task.nodes * codec.edge_tokens // task.window) * task.window
    assert [*notes] == list(range(read // task.window))
    asked = episode.inputs.copy()
    asked[:, read:] = PAD  # nothing of what the episode asks is told
    again = task.notes("questions", replace(episode, inputs=asked))
    for (number, noted), b in itertools.product(notes.items(), range(20)):
        np.testing.assert_array_equal(noted[b], again[number][b])
        assert noted.shape[1] == task.nodes * len(ks) * codec.question_tokens
        hops = [t - codec.first_hop + 1 for t in noted[b].tolist() if 0 <= t - codec.first_hop < task.max_hops]
        names = read_words(codec, noted[b])
        known = {(k, start): end for k, start, end in zip(hops, names[::2], names[1::2], strict=True)}
        text = episode.inputs[b, : (number + 1) * task.window]
        complete = int(((text >= codec.first_last) & (text < codec.first_hop)).sum()) // 2 * 2
        nodes = read_words(codec, episode.inputs[b, :read])
        after = dict(zip(nodes[:complete:2], nodes[1:complete:2], strict=True))
        expected = {}
        for start in nodes[:complete:2]:
            end: Any = start
            for k in range(1, max(ks) + 1):
                end = after.get(end)
                if end and k in ks:
                    expected[k, start] = end
        assert [*known.items()] == [*expected.items()]
        if number == len(notes) - 1:
            assert len(known) == episode.facts["nodes"][b] * len(ks)


def test_one_hop_needs_no_workings() -> None:
    task = Depo(max_hops=1)
    assert not task.notes("workings", task.episodes("train", range(1)))


def test_paper_sizes() -> None:
    task = Depo()
    assert (task.seq_len, task.window, task.levels) == (360, 75, (1, 2, 4, 8, 16))
    assert task.coder.words == 50 + 2500
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
        single.append(sum(len(name) == 1 for name in set(read_words(task.coder, row))))
    expected = 1500 * splits._short_words(task.coder, task.nodes)
    assert np.mean(single) == pytest.approx(np.arange(76) @ splits._short_words(task.coder, task.nodes), abs=0.4)
    within(np.bincount(single, minlength=76)[20:40], expected[20:40])


def test_the_floors_are_those_of_a_count() -> None:
    """Guess a one-letter word, the question's own start avoided: exact values against 40,000 answers."""
    task = Depo(nodes=12, letters=6, questions=10, window_tokens=60)
    right = {"majority": 0, "question_only": 0}
    answers = 0
    for row in task.episodes("test", range(4000)).inputs:
        asked = read_words(task.coder, row[60:])
        for start, end in zip(asked[::2], asked[1::2], strict=True):
            answers += 1
            guess = (task.coder.first_last,)
            right["majority"] += end == guess
            right["question_only"] += end == (guess if start != guess else (task.coder.first_last + 1,))
    for name, exact in task.floors(2).items():
        assert right[name] / answers == pytest.approx(exact, abs=5 * math.sqrt(exact / answers))
    assert task.chance(2) == 1 / 11 > task.floors(2)["question_only"] > task.floors(2)["majority"]


FEW: dict[str, dict[str, Any]] = {
    "3 of 11": {"nodes": 3, "codec": "bare", "letters": 11, "questions": 1, "window_tokens": 6, "max_hops": 2},
    "4 of 8": {"nodes": 4, "codec": "bare", "letters": 8, "questions": 2, "window_tokens": 8, "distribution": "fixed"},
    "4 of two lengths": {"nodes": 4, "letters": 3, "questions": 2, "window_tokens": 16, "distribution": "fixed"},
    "5 of 7": {"nodes": 5, "codec": "bare", "letters": 7, "window_tokens": 10, "questions": 2, "distribution": "fixed"},
}


@pytest.mark.parametrize("config", FEW.values(), ids=FEW)
def test_the_floors_of_few_cycles_are_those_of_the_split_that_is_tested(config: dict[str, Any]) -> None:
    """A table of (start, k) from examples of training with as many nodes, asked on examples of test."""
    task = Depo(**config)
    read = task.nodes * task.coder.edge_tokens
    asked: dict[str, Counter[tuple[int, Any, Any]]] = {"train": Counter(), "test": Counter()}
    for split, counts in asked.items():
        episode = task.episodes(split, range(12_000))
        whole = np.flatnonzero(episode.facts["nodes"] == task.nodes)
        _, first, often = np.unique(episode.content[whole, 0], return_index=True, return_counts=True)
        for row, count in zip(episode.inputs[whole[first]], often.tolist(), strict=True):
            names = read_words(task.coder, row[:read])
            after = dict(zip(names[::2], names[1::2], strict=True))
            for name in after:  # every question that could be asked
                end = name
                for k in range(1, task.nodes):
                    end = after[end]
                    counts[k, name, end] += count if len(task.coder.lengths) > 1 else 1
    for k in range(1, min(task.nodes - 1, task.max_hops) + 1):
        constant: Counter[Any] = Counter()
        table: dict[Any, Counter[Any]] = {}
        for (hops, start, end), count in asked["train"].items():
            if hops == k:
                constant[end] += count
                table.setdefault(start, Counter())[end] += count
        right = {"majority": 0, "question_only": 0}
        total = 0
        for (hops, start, end), count in asked["test"].items():
            if hops == k:
                total += count
                right["majority"] += count * (end == constant.most_common(1)[0][0])
                right["question_only"] += count * (end == table[start].most_common(1)[0][0])
        floors = task.floors(k)
        # What is nearly as frequent in training may be more frequent among those drawn.
        for name, of in right.items():
            assert floors[name] == pytest.approx(of / total, abs=0.03), (k, name)
        assert floors["question_only"] < task.chance(k)


def test_floors_of_few_cycles_as_published_by_hand() -> None:
    assert Depo(**FEW["3 of 11"]).floors(1)["question_only"] == 0  # not 1 / 10
    assert Depo(**FEW["4 of 8"]).floors(3)["question_only"] == pytest.approx(0.0766, abs=1e-4)  # not 1 / 7


def test_floors_of_few_and_of_many_cycles_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Depo(nodes=6, codec="bare", letters=12, window_tokens=12, questions=2, max_hops=4)
    counted = [task.floors(k) for k in (1, 2, 4)]
    monkeypatch.setattr(splits, "MOST_CYCLES", 0)
    for k, floors in zip((1, 2, 4), counted, strict=True):
        assert floors == pytest.approx(task.floors(k), abs=0.004)
        assert floors != task.floors(k)


def test_what_fixes_an_answer_fixes_it() -> None:
    """Equal hashes have equal answers, k and paths; other paths have other hashes; so in every split."""
    task = Depo(nodes=4, codec="bare", letters=11, questions=2, window_tokens=8, max_hops=7, distribution="uniform")
    task = replace(task, test_hops=(1, 2, 3, 5, 6, 7))
    known: dict[int, tuple[Any, ...]] = {}
    hashes, ks = {}, {}
    for split in ("train", "test"):
        episode = task.episodes(split, range(60_000 if split == "train" else 8_000))
        hashes[split] = task.determinants(episode)
        assert hashes[split].shape == (len(episode.inputs), task.answers)
        hops = episode.inputs[:, 8:] - task.coder.first_hop + 1
        ks[split] = hops[(hops > 0) & (hops <= 7)].reshape(-1, 2)  # every cycle has two nodes to start from
        for row, of in zip(episode.inputs[:3000], hashes[split][:3000].tolist(), strict=True):
            names = read_words(task.coder, row[:8])
            after, n = dict(zip(names[::2], names[1::2], strict=True)), len(names) // 2
            questions = read_words(task.coder, row[8:])
            asked = [t - task.coder.first_hop + 1 for t in row[8:].tolist() if 0 <= t - task.coder.first_hop < 7]
            for k, start, end, h in zip(asked, questions[::2], questions[1::2], of, strict=True):
                path = [start]
                for _ in range(k % n):
                    path.append(after[path[-1]])
                assert path[-1] == end
                back = n - k % n < k % n
                if back:  # the way on to the start is shorter, and fixes the answer with n
                    path = [end]
                    while path[-1] != start:
                        path.append(after[path[-1]])
                mine = (k, n if k >= n or back else 0, *path)
                assert known.setdefault(h, mine) == mine
    assert len(set(known.values())) == len(known)
    seen = np.isin(hashes["test"], hashes["train"])
    for k in task.levels:
        share = seen[ks["test"] == k].mean()
        assert task._seen_paths(k) == pytest.approx(share, abs=0.03), k
        assert share > 0.3 and not task.held_out(k)
        assert task.shortcuts(k)["path_table"] == pytest.approx(share + (1 - share) / 3, abs=0.03)


def test_paths_of_few_and_of_many_cycles_are_seen_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Depo(nodes=7, codec="bare", letters=9, window_tokens=14, questions=2, max_hops=6, distribution="fixed")
    counted = [task._seen_paths(k) for k in (1, 3, 4, 5, 6)]
    splits.seen_paths.cache_clear()
    monkeypatch.setattr(splits, "MOST_CYCLES", 0)
    assert [task._seen_paths(k) for k in (1, 3, 4, 5, 6)] == pytest.approx(counted, abs=0.02)
    assert counted[0] == counted[4] == 1
    splits.seen_paths.cache_clear()


def test_paths_among_many_names_are_new_though_not_held_out() -> None:
    task = Depo()
    tables = {k: task.shortcuts(k)["path_table"] for k in task.levels}
    assert tables[1] > 0.95 and tables[4] < 0.05 and tables[16] == pytest.approx(task.chance(16))
    assert not any(map(task.held_out, task.levels))
    cpu = Depo(nodes=7, max_hops=4, codec="bare", letters=12, questions=4, window_tokens=14)
    assert [splits.paths(12, edges) for edges in (1, 3)] == [132, 11_880]
    assert [cpu.shortcuts(k)["path_table"] for k in (1, 2, 4)] == pytest.approx([1, 1, 1], abs=2e-3)
    assert replace(cpu, train_hops=(1, 2)).held_out(4) == "questions for 4 hops"
    assert replace(cpu, train_hops=(1, 2)).shortcuts(4)["path_table"] == pytest.approx(1 / 6)


def test_edges_are_shuffled_and_starts_uniform() -> None:
    task = Depo(nodes=5, distribution="fixed", questions=2, codec="bare", letters=12, window_tokens=10)
    inputs = task.episodes("train", range(8000)).inputs
    follows = (inputs[:, 1:9:2] == inputs[:, 2:10:2]).mean()  # the next edge in the list goes on from this one
    assert follows == pytest.approx(1 / 4, abs=0.01)
    edges = inputs[:, 0:10:2]
    for question in (inputs[:, 11], inputs[:, 14]):
        within(np.bincount(np.argmax(edges == question[:, None], axis=1), minlength=5), np.full(5, 1600.0))


def test_questions_ask_in_random_order() -> None:
    drawn = distinct_numbers(
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
    met = first_occurrences(np.array([[5, 3, 5, 3, 1], [2, 2, 2, 2, 2]]), 6)
    assert met.tolist() == [[True, True, False, False, True], [True, False, False, False, False]]
    n, words = np.arange(2000) % 5, halves(rng.words(np.uint64(1), np.arange(2000), 2))
    order = permutations(words, n, 4)
    for row, of in zip(order, n, strict=True):
        assert sorted(row[:of]) == list(range(of)) and (row[of:] == ABSENT).all()
    wider = np.concatenate([words, words], axis=1)  # in a batch with longer rows; coarse keys, so that some are equal
    narrow, wide = (permutations(w >> np.uint32(26) << np.uint32(26), n, 1 << 20) for w in (words, wider))
    np.testing.assert_array_equal(wide, np.pad(narrow, ((0, 0), (0, 4)), constant_values=ABSENT))
    values = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    present = np.array([[[True, False], [True, True]], [[False, False], [False, True]]])
    assert pack(values, present, 4, 0).tolist() == [[1, 3, 4, 0], [8, 0, 0, 0]]
    assert pack(values, present, 4, 0, right=True).tolist() == [[0, 1, 3, 4], [0, 0, 0, 8]]
    assert pack(values[:0], present[:0], 4, 0).shape == (0, 4)


def test_where_names_are_few_not_many_more_are_drawn_than_needed() -> None:
    few = Depo(nodes=7, codec="bare", letters=12, max_hops=4, questions=4, window_tokens=14)
    enough = few._cycles._enough_words[7]
    assert enough < few._cycles._most_words / 4
    drawn = few.coder.draw(halves(rng.words(np.uint64(7), np.arange(4000), enough)))
    assert (first_occurrences(drawn, 12).sum(axis=1) >= 7).mean() > 0.999


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
