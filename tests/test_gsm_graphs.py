"""Problem graphs: recomputed one by one in plain Python, spread as they should be, impossible ones refused."""

import contextlib
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks import rng
from tasks.base import SPLITS
from tasks.gsm_infinite.generator import Shape, draw, statistics
from tasks.gsm_infinite.generator.content import content
from tasks.gsm_infinite.graphs import COUNT, NONE, PRODUCT, RATE, TOTAL, VALUE_SENTENCE, Graphs

KEY = rng.stream("graphs")
SHAPES = [Shape(subset=subset, mode=mode) for subset in ("medium", "hard") for mode in ("forward", "reverse")]
PUBLISHED = [replace(shape, published=True) for shape in SHAPES]
ARRAYS = [field.name for field in fields(Graphs) if field.name not in ("filler_kind", "filler_place")]


def every_operation(shape: Shape, each: int) -> np.ndarray:
    return np.tile(np.arange(shape.fewest_operations, shape.most_operations + 1), each)


class Plain:
    """One problem as dicts and lists, with its values and what it needs computed from the definitions alone."""

    def __init__(self, graphs: Graphs, b: int) -> None:
        row: dict[str, Any] = {name: getattr(graphs, name)[b].tolist() for name in ARRAYS}
        self.count = sum(role != NONE for role in row["role"])
        self.row, self.role, self.place, self.kind = row, row["role"], row["place"], row["kind"]
        self.operands = [[p for p in used if p != NONE] for used in row["operands"]]
        self.order = [q for q in row["order"] if q != NONE]
        self.stated = [q for q in range(self.count) if self.role[q] in (COUNT, RATE)]
        self.core = [q for q in self.stated if self.place[q] < graphs.filler_place]
        self.end = row["asked"] if row["given"] == NONE else row["given"]

    def slot(self, role: int, place: int) -> dict[int, int]:
        return {self.kind[q]: q for q in self.stated if (self.role[q], self.place[q]) == (role, place)}

    def used(self, q: int) -> list[int]:
        """What q depends on directly."""
        if self.role[q] < TOTAL:
            return self.operands[q]
        roles = (COUNT, RATE) if self.role[q] == PRODUCT else (COUNT,)
        return [p for role in roles for p in self.slot(role, self.place[q]).values()]

    def degree(self, q: int) -> int:
        return len(self.used(q)) + (self.row["constant"][q] > 0)

    def value(self, q: int, known: dict[int, int], above: tuple[int, ...] = ()) -> int:
        """The value of q, by definition; `known` collects all values on the way."""
        assert q not in above, "circular"
        if q not in known:
            values = [self.value(p, known, (*above, q)) for p in self.used(q)]
            k = self.row["constant"][q]
            if self.role[q] == PRODUCT:
                counts, rates = self.slot(COUNT, self.place[q]), self.slot(RATE, self.place[q])
                assert counts.keys() == rates.keys()
                known[q] = sum(known[counts[kind]] * known[rates[kind]] for kind in counts)
            else:
                inner = values[0] - values[1] if self.row["difference"][q] else sum(values)
                known[q] = k * inner if self.row["times"][q] else k + inner
        return known[q]

    def closure(self) -> set[int]:
        found, new = set(), [self.end]
        while new:
            q = new.pop()
            if q not in found:
                found.add(q)
                new += self.used(q)
        return found


def check(shape: Shape, graphs: Graphs, b: int) -> None:
    """All that is promised of one problem."""
    plain = Plain(graphs, b)
    row, end = plain.row, plain.end
    assert all(role != NONE for role in row["role"][: plain.count])
    known: dict[int, int] = {}
    assert [plain.value(q, known) for q in range(plain.count)] == row["value"][: plain.count]
    needed = plain.closure()
    assert needed == {q for q, flag in enumerate(row["needed"]) if flag}
    assert sum(plain.degree(q) for q in needed) == row["operations"]
    assert all(1 <= known[q] <= shape.max_value for q in needed)
    assert all(known[q] >= (q in plain.core) for q in plain.stated)
    assert all(p < q for q in range(plain.count) for p in plain.operands[q])

    slots = [(plain.role[q], plain.kind[q], plain.place[q]) for q in range(plain.count)]
    assert len(set(slots)) == len(slots)
    pairs = {(plain.kind[q], plain.place[q]) for q in plain.core}
    assert all(kind < shape.kinds and place < shape.places for kind, place in pairs)
    assert len(plain.core) == shape.roles * len(pairs) <= shape.max_stated
    assert shape.hard or (RATE not in plain.role[: plain.count] and PRODUCT not in plain.role[: plain.count])
    for q in range(plain.count):
        k, times, used = row["constant"][q], row["times"][q], len(plain.operands[q])
        assert len(set(plain.operands[q])) == used <= 3
        assert used == 2 or not row["difference"][q]
        assert (used and 2 <= k <= 4) or not times
        if plain.role[q] >= TOTAL:
            assert not used and not k and plain.used(q)
            assert q == end or any(q in plain.operands[p] for p in plain.core)  # no total but those in the text
        elif q in plain.core:
            assert 0 <= k <= 4 and (k or used)
        else:
            assert (
                not k and 1 <= used <= 2 and all(p in plain.core or plain.role[p] >= TOTAL for p in plain.operands[q])
            )
            assert plain.kind[q] >= graphs.filler_kind and plain.place[q] >= graphs.filler_place
    assert sorted(plain.order) == sorted(plain.stated + [VALUE_SENTENCE] * shape.reverse)

    assert (row["given"] != NONE) == shape.reverse
    if shape.reverse:
        asked = row["asked"]
        assert asked in needed and asked in plain.core and not plain.operands[asked]
        ends = [plain.value(end, {asked: guess}) for guess in (1, 2, 3, 4, 50, 99)]
        slope = ends[1] - ends[0]
        assert slope and ends == [ends[0] + slope * (guess - 1) for guess in (1, 2, 3, 4, 50, 99)]
        assert ends[known[asked] - 1] == known[end]


@pytest.mark.parametrize(
    "shape", SHAPES + PUBLISHED, ids=lambda shape: f"{shape.subset}-{shape.mode}{'-published' * shape.published}"
)
def test_every_problem_is_what_it_should_be(shape: Shape) -> None:
    for filler, each in ((0, 60), (25, 5)):
        operations = every_operation(shape, each)
        graphs, _ = draw(shape, operations, "train", np.arange(len(operations)), KEY, filler=filler)
        assert (graphs.operations == operations).all()
        for b in range(len(operations)):
            check(shape, graphs, b)


@settings(max_examples=60, deadline=None)
@given(
    subset=st.sampled_from(["medium", "hard"]),
    mode=st.sampled_from(["forward", "reverse"]),
    kinds=st.integers(1, 12),
    places=st.integers(1, 12),
    max_value=st.integers(20, 2000),
    max_stated=st.integers(4, 40),
    filler=st.integers(0, 9),
    filler_kinds=st.integers(1, 6),
    split=st.sampled_from(["train", "test"]),
    published=st.booleans(),
)
@example(  # no problem of the batch has a place for a distractor
    subset="medium",
    mode="forward",
    kinds=9,
    places=1,
    max_value=46,
    max_stated=9,
    filler=0,
    filler_kinds=1,
    split="test",
    published=False,
)
@example(  # four contents of two operations, all of them train's
    subset="medium",
    mode="forward",
    kinds=4,
    places=1,
    max_value=20,
    max_stated=4,
    filler=0,
    filler_kinds=1,
    split="test",
    published=True,
)
def test_any_shape(split: str, filler: int, **sizes: Any) -> None:
    try:
        shape = Shape(**sizes)
    except ValueError as error:
        assert "at least 4 are needed" in str(error)
        return
    operations = every_operation(shape, 1)
    try:
        graphs, _ = draw(shape, operations, split, np.arange(len(operations)), KEY, filler=filler)
    except RuntimeError as error:  # true: a level with so few contents that the split may own none
        assert f"found no {split} problem" in str(error)
        assert min(contents(shape, level) for level in operations) < 40
        return
    for b in range(len(operations)):
        check(shape, graphs, b)
    assert (content(graphs) == graphs.content).all()


def contents(shape: Shape, operations: int) -> int:
    """How many different contents are met in 192 problems, 64 of each split that has any."""
    found: set[int] = set()
    for split in SPLITS:
        with contextlib.suppress(RuntimeError):
            found |= set(draw(shape, operations, split, np.arange(64), KEY)[0].content.tolist())
    return len(found)


@pytest.mark.parametrize("published", [False, True])
def test_the_profile_of_hard_forward_problems(published: bool) -> None:
    """Longest chain, binary operations and majority answer at 1..8 operations, against the published ones."""
    chain = [1.0, 2.0, 2.1, 2.8, 3.1, 3.4, 4.2, 4.4]
    binary = [0, 0, 0.9, 1.0, 1.8, 2.1, 2.5, 3.0]
    majority = [0.34, 0.31, 0.17, 0.27, 0.12, 0.12, 0.08, 0.08]
    each = 1500
    operations = np.repeat(np.arange(1, 9), each)
    graphs, _ = draw(Shape(published=published), operations, "train", np.arange(len(operations)), KEY)
    known = {name: values.reshape(8, each).mean(axis=1) for name, values in statistics(graphs).items()}
    assert np.abs(known["chain_depth"] - chain).max() < 0.4
    assert np.abs(known["binary_operations"] - binary).max() < 0.4
    most = [np.bincount(answers).max() / each for answers in graphs.answer.reshape(8, each)]
    assert np.abs(np.array(most) - majority).max() < 0.15
    assert ((known["stated"] > 12) & (known["stated"] < 16)).all()
    medium, _ = draw(Shape(subset="medium"), 6, "train", np.arange(each), KEY)
    assert 5 < statistics(medium)["stated"].mean() < 10
    assert (np.take_along_axis(medium.role, medium.asked[:, None], axis=1) == TOTAL).mean() > 0.7


def test_statistics_count_by_hand() -> None:
    """Against the same in plain Python."""
    graphs, _ = draw(Shape(), every_operation(Shape(), 5), "train", np.arange(80), KEY)
    known = statistics(graphs)

    def depth(plain: Plain, q: int) -> int:
        return 1 + max((depth(plain, p) for p in plain.used(q)), default=0)

    for b in range(80):
        plain = Plain(graphs, b)
        closure = plain.closure()
        row = {name: int(values[b]) for name, values in known.items()}
        binary = sum(plain.degree(q) - 1 for q in closure)
        assert row == {
            "chain_depth": depth(plain, plain.end),
            "binary_operations": binary,
            "stated": len(plain.core),
            "needed": len(closure),
        }


def test_choices_are_even() -> None:
    """Plus and times, sum and difference, constants, roles, who is first, where names are; in 4,000 problems."""
    shape = Shape()
    graphs, _ = draw(shape, 8, "train", np.arange(4000), KEY)

    def near(samples: np.ndarray, options: int, within: float = 0.06) -> None:
        shares = np.bincount(samples.reshape(-1).astype(np.int64), minlength=options) / samples.size
        assert len(shares) == options
        assert np.abs(shares * options - 1).max() < within, shares

    stated = (graphs.role >= 0) & (graphs.role < TOTAL)
    used = (graphs.operands != NONE).sum(axis=2)
    for part in (stated & graphs.needed, stated & ~graphs.needed):
        leaf, both = part & (used == 0), part & (used > 0) & (graphs.constant > 0)
        near(graphs.constant[leaf] - 1, 4)
        near(graphs.constant[both & ~graphs.times] - 1, 4, 0.1)
        near(graphs.constant[both & graphs.times] - 2, 3)
        near(graphs.times[both], 2, 0.1)
        near(graphs.difference[part & (used == 2)], 2, 0.3)  # what is equal is added
        assert 0.05 < (used[part] == 0).mean() < 0.5
        near(graphs.role[part], 2, 0.2)  # more counts are needed, T having them alone
    near(graphs.kind[stated], shape.kinds)
    near(graphs.place[stated], shape.places)
    # Each sentence is as likely to be first: on average the first is half-way along the numbers.
    middle = (np.where(stated, np.arange(stated.shape[1]), 0).sum(axis=1) / stated.sum(axis=1)).mean()
    assert abs(graphs.order[:, 0].mean() - middle) < 0.5
    ends = np.bincount(np.take_along_axis(graphs.role, graphs.asked[:, None], axis=1)[:, 0], minlength=4)
    assert (ends > 400).all()
    backward, _ = draw(Shape(mode="reverse"), 8, "train", np.arange(4000), KEY)
    near(backward.answer - 1, 4, 0.1)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"subset": "mediun"}, "unknown subset 'mediun'; valid: medium, hard; did you mean 'medium'"),
        ({"mode": "backward"}, "unknown mode 'backward'; valid: forward, reverse"),
        ({"kinds": 0}, "kinds must be a whole number >= 1; given 0"),
        ({"places": 1.5}, r"places must be a whole number >= 1; given 1\.5"),
        ({"max_value": 19}, r"max_value must be a whole number in 20\.\.1000000; given 19"),
        ({"subset": "medium", "kinds": 3, "places": 1}, "too few .* leave 3 sentences; at least 4 are needed"),
        ({"max_stated": 3}, "max_stated=3 leave 2 sentences; at least 4"),
        ({"filler_kinds": 0}, "filler_kinds must be a whole number >= 1; given 0"),
    ],
)
def test_impossible_shapes(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Shape(**sizes)


@pytest.mark.parametrize(
    ("sizes", "operations", "message"),
    [
        ({"subset": "medium"}, [2, 1], r"operations must be a whole number in 2\.\.16 \(medium, kinds=8.*; given 1"),
        ({}, 17, r"operations must be a whole number in 1\.\.16 \(hard, .*; given 17"),
        ({"kinds": 2, "places": 3}, 13, r"operations must be a whole number in 1\.\.12 \(hard, kinds=2, .*; given 13"),
        ({"max_stated": 9}, [8, 9], r"operations must be a whole number in 1\.\.8 .*max_stated=9\); given 9"),
    ],
)
def test_impossible_operations(sizes: dict[str, Any], operations: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(Shape(**sizes), operations, "train", np.arange(2), KEY)


def test_other_bad_input() -> None:
    with pytest.raises(ValueError, match=r"unknown split 'tests'.*did you mean 'test'"):
        draw(Shape(), 2, "tests", np.arange(2), KEY)
    with pytest.raises(ValueError, match="filler must be a whole number >= 0; given -1"):
        draw(Shape(), 2, "test", np.arange(2), KEY, filler=-1)
