"""Rule 110: the automaton against independent oracles, exact chance, and strings that are truly held out."""

import threading
from collections.abc import Callable
from itertools import product

import cellpylib
import numpy as np
import pytest

from tasks import rule110
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
    states = np.random.default_rng(0).integers(0, 1 << 24, 2 * rule110._BLOCK + 7)
    border = slice(rule110._BLOCK - 3, rule110._BLOCK + 3)
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


@pytest.mark.parametrize(
    "task",
    [
        Rule110(),
        Rule110(rollout_steps=0),
        Rule110(cells=3, strings=3, rollout_steps=7),
        Rule110(cells=16, strings=1, rollout_steps=6),
        Rule110(cells=12, strings=2, rollout_steps=2),
    ],
    ids=str,
)
def test_labels_solved_from_the_tokens(task: Rule110) -> None:
    """One string per window, then the query and the labels so far; targets are the labels."""
    episode = task.episodes("train", range(60))
    for tokens, targets in zip(episode.inputs.tolist(), episode.targets.tolist(), strict=True):
        strings = [tokens[task.cells * j : task.cells * (j + 1)] for j in range(task.strings)]
        labels = [slow_evolve(string, task.rollout_steps)[0] for string in strings]
        context = task.cells * task.strings
        assert tokens[context:] == [rule110.QUERY, *labels[:-1]]
        assert targets == [-100] * context + labels
    asked = episode.targets != -100
    assert (episode.difficulty[asked] == task.rollout_steps).all()
    assert (episode.answer[asked].reshape(-1, task.strings) == np.arange(task.strings)).all()
    assert task.windows_alike == (task.strings > 1)


def strings_of(task: Rule110, split: str, count: int, seed: int = 0) -> np.ndarray:
    """Packed strings [count, strings], read back from the tokens."""
    tokens = task.episodes(split, range(count), seed).inputs[:, : -task.strings]
    return tokens.reshape(count, task.strings, task.cells) @ (1 << np.arange(task.cells)[::-1])


@pytest.mark.parametrize("cells", [3, 4, 7, 12, 24])
def test_splits_are_disjoint(cells: int, record_property: Callable[[str, object], None]) -> None:
    """Whole strings are held out: zero overlaps, for all seeds, however few the strings."""
    task = Rule110(cells=cells, strings=min(cells, 4))
    drawn = {
        split: np.concatenate([strings_of(task, split, 20_000, seed).ravel() for seed in (0, 1)])
        for split in ("train", "validation", "test")
    }
    for split, strings in drawn.items():
        assert (split_of(strings, cells) == split).all()
        record_property(f"repeated_{split}", 1 - len(np.unique(strings)) / len(strings))
    assert not np.intersect1d(drawn["train"], drawn["validation"]).size
    assert not np.intersect1d(drawn["train"], drawn["test"]).size
    assert not np.intersect1d(drawn["validation"], drawn["test"]).size
    if cells <= 7:  # and together they are all strings
        assert np.unique(np.concatenate(list(drawn.values()))).size == 1 << cells


@pytest.mark.parametrize("cells", range(3, 25))
def test_every_string_has_one_rank(cells: int) -> None:
    """The scrambling behind the split is a bijection, with an eighth of the strings held out for each use."""
    ranks = np.arange(min(1 << cells, 1 << 16), dtype=np.uint64)
    strings = rule110._string(ranks, cells)
    np.testing.assert_array_equal(rule110._rank(strings, cells), ranks)
    assert np.unique(strings).size == ranks.size
    assert (np.count_nonzero(split_of(strings, cells) == "test")) * 8 == ranks.size


def test_no_split_is_easier() -> None:
    """All 2^21 test strings of 24 cells: cells, neighbours and labels as frequent as among all strings."""
    strings = rule110._string(np.arange(0, 1 << 24, 8, dtype=np.uint64), 24).astype(np.uint32)
    assert (split_of(strings[:1000], 24) == "test").all()
    bits = rule110._unpack(strings, 24)
    sigma = 0.5 / len(strings) ** 0.5
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 4 * sigma
    assert np.abs((bits ^ np.roll(bits, 1, axis=1)).mean(axis=0) - 0.5).max() < 4 * sigma
    for steps in (1, 4, 8):
        share = (evolve(strings, 24, steps) >> np.uint32(23)).mean()
        assert abs(share - first_cell_ones(24, steps) / 2**24) < 4 * sigma


@pytest.mark.parametrize("split", ["train", "test"])
def test_strings_are_uniform_within_a_split(split: str) -> None:
    """Chi-square over the strings of a split of 8 cells, and independence of the strings of an example."""
    strings = strings_of(Rule110(cells=8, strings=2), split, 48_000)
    owned = np.flatnonzero(split_of(np.arange(256), 8) == split)
    counts = np.searchsorted(owned, strings)
    expected = strings.size / owned.size
    chi2 = ((np.bincount(counts.ravel()) - expected) ** 2 / expected).sum()
    assert abs(chi2 - (owned.size - 1)) < 4 * (2 * owned.size) ** 0.5
    same = (strings[:, 0] == strings[:, 1]).mean()
    assert abs(same - 1 / owned.size) < 4 / (owned.size * len(strings)) ** 0.5


def test_split_of_keeps_shapes_and_checks() -> None:
    assert split_of(np.zeros((2, 3), dtype=np.uint8), 5).shape == (2, 3)
    assert split_of([], 5).shape == (0,)
    assert str(split_of(5, 24)) in ("train", "validation", "test")
    with pytest.raises(ValueError, match=r"given 32\.\.32"):
        split_of([32], 5)
    with pytest.raises(ValueError, match=r"cells must be a whole number in 3\.\.24; given 25"):
        split_of([1], 25)


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
    ],
)
def test_impossible_settings(config: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule110(**config)


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
