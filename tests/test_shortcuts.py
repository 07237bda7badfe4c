"""Shortcuts of tasks: exact values against counting by hand, and what is no shortcut."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

import tasks
from tasks.automaton import seen_cells
from tasks.base import strongest
from tasks.depo import Depo
from tasks.gsm_infinite import operations as by_operations
from tasks.gsm_infinite.compact import GSMCompact
from tasks.rule110 import Rule110, evolve


def counted(cells: int, steps: int, width: int) -> float:
    """Every string, grouped by the cells around the first that are seen; the more frequent value of each group."""
    votes: dict[tuple[int, ...], list[int]] = {}
    for bits in product((0, 1), repeat=cells):
        state = int("".join(map(str, bits)), 2)
        seen = tuple(bits[i % cells] for i in range(-(width // 2), width // 2 + 1))
        votes.setdefault(seen, []).append(evolve(state, cells, steps) >> cells - 1)
    return sum(max(sum(v), len(v) - sum(v)) for v in votes.values()) / 2**cells


@pytest.mark.parametrize(("cells", "steps"), [(7, 2), (7, 5), (8, 4), (10, 3)])
def test_a_predictor_that_sees_some_cells_is_counted_right(cells: int, steps: int) -> None:
    heard = min(cells, 2 * steps + 1)
    found = seen_cells(cells, steps)
    assert list(found) == list(range(1, heard, 2))
    assert found == pytest.approx({width: counted(cells, steps, width) for width in found})


def test_the_values_of_the_paper_s_size() -> None:
    found = seen_cells(24, 32)
    assert {w: round(found[w], 3) for w in (17, 21, 23)} == {17: 0.602, 21: 0.683, 23: 0.772}
    assert found[1] == 9423121 / 2**24  # who sees too little guesses the more frequent value
    together = Rule110(rollout_steps=32).shortcuts(32)
    assert together["cells_21"] == pytest.approx(0.2177, abs=1e-4)  # about what N = 2 gets in the paper


@pytest.mark.parametrize("asked", ["first", "any"])
def test_a_table_of_cones_passes_where_none_is_held_out(asked: str) -> None:
    task = Rule110(cells=16, strings=2, asked=asked)
    assert [t for t in range(10) if "table" in task.shortcuts(t)] == [0, 1, 2]
    assert task.shortcuts(1) == {"cells_1": pytest.approx(0.625**2), "table": 1.0}
    assert strongest(task.shortcuts(2)) == ("table", 1.0)
    assert strongest(task.shortcuts(6)) == ("cells_11", pytest.approx(seen_cells(16, 6)[11] ** 2))
    assert strongest({}) is None and strongest({"b": 0.5, "a": 0.5}) == ("a", 0.5)


def test_more_cells_never_see_less_and_all_would_see_everything() -> None:
    shares = list(seen_cells(9, 6).values())
    assert shares == sorted(shares)
    assert shares[-1] < 1
    assert seen_cells(9, 0) == {}  # the first cell is all that matters


def test_a_guess_among_the_nodes_that_are_left_on_the_cycle() -> None:
    task = Depo(nodes=7, max_hops=6, test_hops=(4,), questions=4)
    random = np.random.default_rng(0)
    answers = 4 % 7
    nearer, neighbours = set(range(4)), {0, 1, 6}
    for name, known in (("shorter_hops", nearer), ("neighbours", neighbours)):
        left = [node for node in range(7) if node not in known]
        counted = np.mean(random.choice(left, 20_000) == answers)
        assert task.shortcuts(4)[name] == pytest.approx(counted, abs=0.01)
    one = task.shortcuts(1)
    assert set(one) == {"shorter_hops", "path_table"}
    assert one["shorter_hops"] == pytest.approx(task.chance(1))  # one hop: nothing nearer is known
    assert set(task.shortcuts(6)) == {"shorter_hops", "path_table"}  # the answer is a neighbour itself


def test_whole_rounds_of_depo_have_no_shortcut_beside_chance() -> None:
    assert Depo(nodes=5, max_hops=8, questions=2).shortcuts(5) == {}


@pytest.fixture(autouse=True)
def fewer_problems(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Shortcuts of GSM-Infinite are measured on fewer problems, so that it takes no seconds."""
    monkeypatch.setattr(by_operations, "SEEN", 1 << 11)
    monkeypatch.setattr(by_operations, "GUESSED", 1 << 11)
    by_operations._shortcuts.cache_clear()
    yield
    by_operations._shortcuts.cache_clear()


def test_lone_numbers_are_the_shortcut_of_few_operations() -> None:
    task = GSMCompact(most_operations=4, most_tokens=64, least_tokens=48, window_tokens=40)
    test = task.episodes("test", np.arange(2048))
    level = test.difficulty.max(axis=1)
    for operations in task.levels:
        counted = test.facts["lone_number"][level == operations].mean()
        assert task.shortcuts(operations)["lone_number"] == pytest.approx(counted, abs=0.06)
    assert task.shortcuts(2)["lone_number"] > 0.6 > 0.3 > task.shortcuts(4)["lone_number"]


@pytest.mark.parametrize("task", [Depo(), GSMCompact()], ids=lambda task: task.name)
def test_a_difficulty_that_is_not_asked_is_refused(task: Depo | GSMCompact) -> None:
    with pytest.raises(ValueError, match="difficulty must be a whole number"):
        task.shortcuts(99)


@pytest.mark.parametrize("name", [name for name in tasks.TASKS if name not in ("rule110", "gsm_compact")])
def test_every_other_task_can_be_asked(name: str) -> None:
    task = tasks.load(name)()
    assert all(0 < share <= 1 for share in task.shortcuts(task.levels[0]).values())
