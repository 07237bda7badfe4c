"""Rule 110: the automaton against independent oracles, exact chance, and strings that are truly held out."""

import threading
from collections.abc import Callable
from itertools import product

import cellpylib
import numpy as np
import pytest

from tasks import automaton, rule110, rule110_views
from tasks.base import SPLITS
from tasks.rule110 import Rule110, evolve, first_cell_ones, split_of

# The rule's definition: (left, centre, right) -> next, the binary digits of 110 from 111 down to 000.
RULE = dict(zip(product((1, 0), repeat=3), (0, 1, 1, 0, 1, 1, 1, 0), strict=True))


def slow_evolve(cells: list[int], steps: int) -> list[int]:
    """One cell at a time, straight from the table; the list's ends are neighbours."""
    for _ in range(steps):
        cells = [RULE[cells[i - 1], cells[i], cells[(i + 1) % len(cells)]] for i in range(len(cells))]
    return cells


def unpack(state: int, cells: int) -> list[int]:
    return [int(bit) for bit in f"{state:0{cells}b}"]


# --- the automaton ---


@pytest.mark.parametrize(
    "rows",
    [
        ["00000001", "00000011", "00000111", "00001101", "00011111", "00110001"],  # the well-known triangle
        ["10000000", "10000001", "10000011", "10000110"],  # a neighbour across the edge
        ["1111", "0000", "0000"],
        ["011", "111", "000"],
        ["10110", "11111", "00000"],
        ["0110100", "1111100", "1000101", "1001111"],
    ],
)
def test_hand_worked_rows(rows: list[str]) -> None:
    cells = len(rows[0])
    for step, row in enumerate(rows):
        assert f"{evolve(int(rows[0], 2), cells, step):0{cells}b}" == row


@pytest.mark.parametrize("cells", [3, 5, 8, 24, 31, 32, 33, 63, 64])
def test_evolve_equals_cellpylib(cells: int) -> None:
    start = np.random.default_rng(cells).integers(0, 2, cells)
    rows = cellpylib.evolve(start[None], timesteps=13, apply_rule=lambda n, c, t: cellpylib.nks_rule(n, 110))
    state = int("".join(map(str, start)), 2)
    for step, row in enumerate(rows):
        assert unpack(evolve(state, cells, step), cells) == row.tolist()


@pytest.mark.parametrize("cells", [1, 2, 3, 4, 7])
def test_every_state_of_small_rings(cells: int) -> None:
    states = np.arange(1 << cells)
    for step in range(6):
        expected = [slow_evolve(unpack(state, cells), step) for state in states]
        assert [unpack(state, cells) for state in evolve(states, cells, step)] == expected


def test_blocks_do_not_show() -> None:
    states = np.random.default_rng(0).integers(0, 1 << 24, 2 * automaton._BLOCK + 7)
    border = slice(automaton._BLOCK - 3, automaton._BLOCK + 3)
    whole = evolve(states, 24, 5)
    np.testing.assert_array_equal(whole[border], evolve(states[border], 24, 5))
    assert evolve(int(states[-1]), 24, 5) == whole[-1]


@pytest.mark.parametrize("dtype", ["i1", "u1", ">i2", "u2", "i4", "u4", "i8", "u8"])
def test_any_dtype_and_shape(dtype: str) -> None:
    states = np.arange(96).reshape(2, 3, 16)[:, ::-1].astype(dtype)
    evolved = evolve(states, 7, 3)
    assert (evolved.shape, evolved.dtype) == (states.shape, states.dtype)
    np.testing.assert_array_equal(evolved, evolve(states.astype(np.int64), 7, 3))


def test_results_that_outgrow_the_dtype_widen_it() -> None:
    assert evolve(np.array([1], dtype=np.int8), 8, 6).dtype == np.uint32
    assert evolve(np.array([1]), 64, 70).dtype == np.uint64


def test_scalars_and_empty_arrays() -> None:
    assert type(evolve(5, 24, 2)) is int
    assert evolve(2**64 - 1, 64, 1) == 0
    assert evolve(np.uint32(5), np.int64(24), np.int64(2)) == evolve(5, 24, 2)
    assert evolve([], 24, 3).shape == (0,)
    assert evolve(np.zeros((0, 4), dtype=np.uint8), 24, 3).shape == (0, 4)


def test_evolve_leaves_its_input_alone() -> None:
    states = np.arange(100, dtype=np.uint32)
    evolve(states, 24, 9)
    np.testing.assert_array_equal(states, np.arange(100))


@pytest.mark.parametrize(
    ("states", "cells", "steps", "message"),
    [
        (8, 3, 1, r"fit in 3 cells \(0\.\.2\^3 - 1\); given 8\.\.8"),
        ([1, -1], 3, 1, r"fit in 3 cells .* given -1\.\.1"),
        (1.0, 3, 1, "must be integers .* given float64"),
        (2**64, 64, 1, "must be integers that fit in 64 cells"),
        (1, 0, 1, r"cells must be a whole number in 1\.\.64; given 0"),
        (1, 65, 1, r"cells must be a whole number in 1\.\.64; given 65"),
        (1, 3, -1, "steps must be a whole number >= 0; given -1"),
        (1, 3, 1.5, r"steps must be a whole number >= 0; given 1\.5"),
    ],
)
def test_evolve_says_what_is_wrong(states: object, cells: int, steps: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evolve(states, cells, steps)  # type: ignore[call-overload]


# --- exact chance ---

ONES = {0: 8388608, 1: 10485760, 2: 8912896, 4: 8978432, 8: 9070080, 16: 9326577, 32: 9423121}
CHANCE = {
    0: 6.25,
    1: 15.26,
    2: 7.97,
    4: 8.20,
    8: 8.54,
    10: 8.78,
    12: 8.72,
    14: 9.43,
    16: 9.55,
    24: 9.77,
    32: 9.95,
}


@pytest.mark.parametrize("steps", ONES)
def test_first_cell_counts_of_24_cells(steps: int) -> None:
    assert first_cell_ones(24, steps) == ONES[steps]


@pytest.mark.parametrize("steps", CHANCE)
def test_chance_of_four_strings(steps: int) -> None:
    task = Rule110(rollout_steps=steps)
    assert round(100 * task.chance(steps), 2) == CHANCE[steps]
    assert task.chance(np.int64(steps)) == pytest.approx(task.chance(steps, answer=3) ** 4)


@pytest.mark.parametrize("cells", [3, 4, 9, 10])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 5, 11])
def test_counting_only_the_cells_heard_is_counting_all(cells: int, steps: int) -> None:
    """Also where the light cone just closes the ring, and where it does not."""
    firsts = [slow_evolve(unpack(state, cells), steps)[0] for state in range(1 << cells)]
    assert first_cell_ones(cells, steps) == sum(firsts)


def test_a_fixed_zero_edge_is_refused_for_a_reason() -> None:
    """With a zero beyond each end, the first cell after t steps is the OR of cells 0..t."""
    for state in range(1 << 8):
        cells = [0, *unpack(state, 8), 0]
        for step in range(8):
            assert cells[1] == any(unpack(state, 8)[: step + 1])
            cells = [0, *(RULE[cells[i - 1], cells[i], cells[i + 1]] for i in range(1, 9)), 0]
    with pytest.raises(ValueError, match=r"boundary must be 'periodic'; given 'zero'.*OR of cells"):
        Rule110(boundary="zero")


# --- examples ---


TASKS = [
    Rule110(),
    Rule110(rollout_steps=0),
    Rule110(cells=3, strings=3, rollout_steps=7),
    Rule110(cells=16, strings=1, rollout_steps=6),
    Rule110(cells=12, strings=2, rollout_steps=2),
    Rule110(asked="any"),
    Rule110(cells=9, strings=5, rollout_steps=4, asked="any"),
    Rule110(cells=8, strings=3, rollout_steps=5, window_tokens=24, asked="any"),
    Rule110(cells=16, strings=1, rollout_steps=0, asked="any"),
]


def read(task: Rule110, tokens: list[int]) -> tuple[list[list[int]], list[int], list[int]]:
    """The strings of an example, the cell that is asked of each, and the labels that are given away."""
    context = task.cells * task.strings
    strings = [tokens[start : start + task.cells] for start in range(0, context, task.cells)]
    asking = tokens[context:]
    if task.asked == "first":
        assert asking[0] == rule110.QUERY
        return strings, [0] * task.strings, asking[1:]
    return strings, [token - 3 for token in asking[::2]], asking[1::2]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_labels_solved_from_the_tokens(task: Rule110) -> None:
    """One string per window, then the query, or a cell per string, and the labels so far; targets are the labels."""
    episode = task.episodes("train", range(60))
    asked = episode.targets != -100
    for tokens, targets in zip(episode.inputs.tolist(), episode.targets.tolist(), strict=True):
        strings, cells, given = read(task, tokens)
        assert all(0 <= cell < task.cells for cell in cells)
        labels = [slow_evolve(s, task.rollout_steps)[c] for s, c in zip(strings, cells, strict=True)]
        assert given == labels[:-1]
        assert [t for t in targets if t != -100] == labels
    context, every = task.cells * task.strings, 1 if task.asked == "first" else 2
    assert (
        np.flatnonzero(asked.any(axis=0)) == np.arange(context, task.seq_len, every)
    ).all() and asked.sum() % 60 == 0
    assert (episode.difficulty[asked] == task.rollout_steps).all()
    assert (episode.answer[asked].reshape(-1, task.strings) == np.arange(task.strings)).all()


def test_any_cell_is_asked_as_often_and_no_first_one_is_named() -> None:
    task = Rule110(cells=12, strings=2, asked="any")
    assert (task.vocab_size, Rule110().vocab_size, task.word(3), task.word(14)) == (15, 3, "c0", "c11")
    named = task.episodes("test", range(6000)).inputs[:, 24::2] - 3
    for cells in named.T:
        counts = np.bincount(cells, minlength=12)
        assert ((counts - 500) ** 2 / 500).sum() < 45  # 11 degrees of freedom: once in 200,000
    assert abs(np.corrcoef(named.T)[0, 1]) < 0.06


@pytest.mark.parametrize(
    "task",
    [
        Rule110(),
        Rule110(cells=8, strings=4, rollout_steps=6, window_tokens=16),
        Rule110(cells=7, strings=2, rollout_steps=5),
        Rule110(cells=6, strings=2, rollout_steps=1, asked="any"),
    ],
    ids=str,
)
def test_workings_are_rows_and_the_cones_of_first_cells(task: Rule110) -> None:
    episode = task.episodes("train", np.arange(5))
    notes, steps, read = task.notes("workings", episode), range(1, task.rollout_steps + 1), task.strings * task.cells
    assert [*notes] == list(range(read // task.window + (task.asked == "first")))
    for b, row in enumerate(episode.inputs.tolist()):
        strings = [row[start : start + task.cells] for start in range(0, read, task.cells)]
        rolled = [[slow_evolve(string, step) for string in strings] for step in steps]
        per = task.window // task.cells
        for number in range(read // task.window):
            expected = [cell for of in rolled for string in of[number * per : (number + 1) * per] for cell in string]
            assert notes[number][b].tolist() == expected
        if task.asked == "any":
            continue
        cones = notes[read // task.window][b].reshape(task.strings, -1)
        for number, (cone, label) in enumerate(zip(cones.tolist(), episode.targets[b, read:], strict=True)):
            assert cone[-1] == label
            for step in steps:
                width = min(task.cells, 2 * (task.rollout_steps - step) + 1)
                part, cone = cone[:width], cone[width:]
                assert part == [rolled[step - 1][number][i - width // 2] for i in range(width)]
            assert not cone


def test_without_a_step_there_are_no_workings() -> None:
    task = Rule110(rollout_steps=0)
    assert not task.notes("workings", task.episodes("train", np.arange(1)))
    assert not Rule110().notes("questions", Rule110().episodes("train", np.arange(1)))


# --- what is held out ---


def views_of(task: Rule110, split: str, count: int, seed: int = 0) -> set[tuple[int, ...]]:
    """The cells that fix each answer, read off the tokens: those around the asked one, or the ring from it on."""
    found = set()
    for tokens in task.episodes(split, range(count), seed).inputs.tolist():
        strings, cells, _ = read(task, tokens)
        t = task.rollout_steps
        around = range(-t, t + 1) if 2 * t + 1 <= task.cells else range(task.cells)
        found |= {tuple(s[(c + i) % task.cells] for i in around) for s, c in zip(strings, cells, strict=True)}
    return found


@pytest.mark.parametrize("asked", rule110.QUESTIONS)
@pytest.mark.parametrize(("cells", "steps"), [(c, t) for t in range(3, 9) for c in (8, 11, 16)])
def test_what_fixes_an_answer_is_in_one_split(
    cells: int, steps: int, asked: str, record_property: Callable[[str, object], None]
) -> None:
    task = Rule110(cells=cells, strings=4, rollout_steps=steps, asked=asked)
    split = {name: views_of(task, name, 400) | views_of(task, name, 400, seed=1) for name in SPLITS}
    record_property("views", {name: len(found) for name, found in split.items()})
    assert not split["train"] & split["test"]
    assert not split["train"] & split["validation"]
    assert not split["validation"] & split["test"]
    width = min(cells, 2 * steps + 1)
    assert task.held_out(steps) == f"{'light cones' if width < cells else 'whole strings'} of {width} cells"
    hashes = {name: task.determinants(task.episodes(name, range(400))) for name in SPLITS}
    assert not np.isin(hashes["test"], hashes["train"]).any()
    assert np.unique(hashes["test"]).size == len(views_of(task, "test", 400))


@pytest.mark.parametrize("asked", rule110.QUESTIONS)
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_too_few_cones_are_in_every_split(steps: int, asked: str) -> None:
    """A table of them passes: the task says that it holds nothing out that matters, and what the table scores."""
    task = Rule110(cells=8, rollout_steps=steps, asked=asked)
    assert task.held_out(steps) == "" and task.shortcuts(steps)["table"] == 1
    assert len(views_of(task, "train", 600)) == 1 << 2 * steps + 1
    content = [task.episodes(split, range(300)).content for split in ("train", "test")]
    assert not np.isin(*content).any()  # the strings as they are read from the asked cell differ


@pytest.mark.parametrize("steps", [4, 5, 6])
def test_holding_out_strings_does_not_hold_out_answers(steps: int) -> None:
    """The rule of version 1: whole strings. With 16 cells all that fixes a test answer is in training."""
    ranks = np.arange(1 << 16, dtype=np.uint64)
    views = rule110_views.views(rule110_views._string(ranks, 16), 16, steps)
    assert np.isin(views[ranks % 8 == 0], views[ranks % 8 > 1]).all()
    owners = split_of(rule110_views._string(ranks, 16), 16, steps)
    assert not np.isin(views[owners == "test"], views[owners == "train"]).any()


@pytest.mark.parametrize(
    ("cells", "steps"), [(3, 7), (6, 2), (7, 3), (8, 3), (9, 4), (12, 4), (16, 7), (16, 8), (24, 5)]
)
@pytest.mark.parametrize("asked", rule110.QUESTIONS)
def test_the_owner_of_a_string_is_known(cells: int, steps: int, asked: str) -> None:
    task = Rule110(cells=cells, strings=2, rollout_steps=steps, asked=asked)
    for split in SPLITS:
        for tokens in task.episodes(split, range(40)).inputs.tolist():
            strings, places, _ = read(task, tokens)
            for string, cell in zip(strings, places, strict=True):
                assert split_of(int("".join(map(str, string)), 2), cells, steps, cell) == split


def test_a_cone_has_one_owner_whatever_else_is_set() -> None:
    """However many cells there are and whichever is asked; where the cone closes the ring, too."""
    cones = np.arange(1 << 9)
    owner = split_of(cones, 9, 4, 4)
    assert sorted(np.unique(owner, return_counts=True)[1].tolist()) == pytest.approx([64, 64, 384], abs=2)
    first = (cones & 31) << 11 | 0b1011010 << 4 | cones >> 5  # what is left of the first cell is at the other end
    for strings, cells, asked in ((cones << 3, 12, 4), (cones << 3 | 5, 12, 4), (first, 16, 0)):
        np.testing.assert_array_equal(split_of(strings, cells, 4, asked), owner)
    hashes = [task.episodes("test", range(9000)) for task in (Rule110(cells=9), Rule110(cells=16, asked="any"))]
    assert len({frozenset(np.unique(episode.content).tolist()) for episode in hashes}) == 1
    rings = [Rule110(cells=8, rollout_steps=t).episodes("test", range(2000)) for t in (5, 9)]
    assert len({frozenset(np.unique(episode.content).tolist()) for episode in rings}) == 1  # whatever t is


@pytest.mark.parametrize(("steps", "split"), [(t, split) for t in range(3, 12) for split in SPLITS])
def test_answers_are_as_frequent_in_every_split(steps: int, split: str) -> None:
    """Of light cones exactly, so that chance is; here counted over as many draws as there is time for."""
    words = np.random.default_rng(steps).integers(0, 1 << 63, (60_000, 3)).astype(np.uint64)
    rings = rule110_views.draw(words, split, 24, steps)
    ones = (evolve(rings, 24, steps) >> np.uint64(23)).mean()
    assert abs(ones - first_cell_ones(24, steps) / 2**24) < 4 * 0.5 / 60_000**0.5


@pytest.mark.parametrize("cells", range(3, 25))
def test_every_string_has_one_rank(cells: int) -> None:
    """The scrambling behind the split is a bijection, with an eighth of the strings held out for each use."""
    ranks = np.arange(min(1 << cells, 1 << 16), dtype=np.uint64)
    strings = rule110_views._string(ranks, cells)
    np.testing.assert_array_equal(rule110_views._rank(strings, cells), ranks)
    assert np.unique(strings).size == ranks.size
    assert (np.count_nonzero(split_of(strings, cells, cells) == "test")) * 8 == ranks.size


def test_no_split_is_easier() -> None:
    """All 2^21 test strings of 24 cells: cells, neighbours and labels as frequent as among all strings."""
    strings = rule110_views._string(np.arange(0, 1 << 24, 8, dtype=np.uint64), 24).astype(np.uint32)
    assert (split_of(strings[:1000], 24, 12) == "test").all()
    bits = automaton.unpack(strings, 24)
    sigma = 0.5 / len(strings) ** 0.5
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 4 * sigma
    assert np.abs((bits ^ np.roll(bits, 1, axis=1)).mean(axis=0) - 0.5).max() < 4 * sigma
    for steps in (12, 16):
        share = (evolve(strings, 24, steps) >> np.uint32(23)).mean()
        assert abs(share - first_cell_ones(24, steps) / 2**24) < 4 * sigma


def strings_of(task: Rule110, split: str, count: int) -> np.ndarray:
    """Packed strings [count, strings], read back from the tokens."""
    tokens = task.episodes(split, range(count)).inputs[:, : task.strings * task.cells]
    return tokens.reshape(count, task.strings, task.cells) @ (1 << np.arange(task.cells)[::-1])


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("steps", [2, 3, 4])
def test_strings_are_uniform_within_a_split(split: str, steps: int) -> None:
    """Chi-square over the strings of a split of 8 cells, and independence of the strings of an example.

    Where cones are held out (3 steps), over the strings of each answer, which is as frequent as among all.
    """
    strings, every = strings_of(Rule110(cells=8, strings=2, rollout_steps=steps), split, 48_000), np.arange(256)
    owned, ends = split_of(every, 8, steps) == split, evolve(every, 8, steps) >> 7
    groups = [owned] if steps != 3 else [owned & (ends == answer) for answer in (0, 1)]
    weights = [1.0] if steps != 3 else [(ends == answer).mean() for answer in (0, 1)]
    expected = sum(w * group / group.sum() for w, group in zip(weights, groups, strict=True))
    counts = np.bincount(strings.ravel(), minlength=256)
    assert not counts[~owned].any()
    wanted = strings.size * expected[owned]
    chi2 = ((counts[owned] - wanted) ** 2 / wanted).sum()
    assert abs(chi2 - (owned.sum() - 1)) < 4 * (2 * owned.sum()) ** 0.5
    same, chance = (strings[:, 0] == strings[:, 1]).mean(), (expected**2).sum()
    assert abs(same - chance) < 4 * (chance / len(strings)) ** 0.5


def test_split_of_keeps_shapes_and_checks() -> None:
    assert split_of(np.zeros((2, 3), dtype=np.uint8), 5, 1).shape == (2, 3)
    assert split_of(np.zeros((2, 3), dtype=np.uint8), 9, 4).shape == (2, 3)
    assert split_of([], 5, 2).shape == (0,)
    assert str(split_of(5, 24, 3)) in SPLITS
    with pytest.raises(ValueError, match=r"given 32\.\.32"):
        split_of([32], 5, 2)
    with pytest.raises(ValueError, match=r"cells must be a whole number in 3\.\.24; given 25"):
        split_of([1], 25, 2)
    with pytest.raises(ValueError, match=r"steps must be a whole number >= 0; given -1"):
        split_of([1], 5, -1)
    with pytest.raises(ValueError, match=r"asked must be a whole number in 0\.\.4; given 5"):
        split_of([1], 5, 2, 5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"cells": 2}, r"cells must be a whole number in 3\.\.24 .*enumeration.*; given 2"),
        ({"cells": 25}, r"in 3\.\.24 .*; given 25"),
        ({"cells": 24.0}, r"in 3\.\.24 .*; given 24\.0"),
        ({"strings": 0}, r"strings must be a whole number in 1\.\.24 .*one window.*; given 0"),
        ({"cells": 5, "strings": 6}, r"in 1\.\.5 .*; given 6"),
        ({"rollout_steps": -1}, "rollout_steps must be a whole number >= 0; given -1"),
        ({"strings": True}, "given True"),
        ({"asked": "all"}, "unknown value of asked 'all'; valid: first, any"),
        (
            {"cells": 9, "strings": 6, "asked": "any"},
            r"6 strings take 11 tokens .* one window of 9 tokens; allowed here: 1\.\.5 strings",
        ),
    ],
)
def test_impossible_settings(config: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule110(**config)


def test_the_drawing_points_at_the_asked_cells() -> None:
    task = Rule110(cells=7, strings=3, rollout_steps=3, asked="any")
    assert "held out: light cones" not in task.example() and "held out: whole strings of 7 cells" in task.example()
    last, marks = task.example(5).splitlines()[-2:]
    labels = task.episodes("train", [5]).targets[0, -5::2]
    assert [".#".index(last[place]) for place, mark in enumerate(marks) if mark == "^"] == labels.tolist()


def test_the_drawing_ends_in_the_labels() -> None:
    task = Rule110(cells=6, strings=2, rollout_steps=10)
    lines = task.example(3).splitlines()
    labels = task.episodes("train", [3]).targets[0, -2:]
    assert lines[-1].startswith("step 10  ")
    assert [".#".index(string[0]) for string in lines[-1].split()[2:]] == labels.tolist()


def test_threads_share_nothing() -> None:
    """Work arrays belong to a call: data may be made in the background."""
    states = np.arange(1 << 16)
    expected, wrong = evolve(states, 24, 8), []

    def work() -> None:
        wrong.append((evolve(states, 24, 8) != expected).any())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [False] * 4
