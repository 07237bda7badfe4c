"""Symbolic GSM-Infinite: evaluated again from the text alone, held out by tree, uniform where it says so."""

import re
from collections.abc import Callable, Sized
from dataclasses import replace
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import rng
from tasks.gsm_infinite import solve, symbolic
from tasks.gsm_infinite.problem import Problem
from tasks.gsm_infinite.symbolic import draw_problems, render
from tasks.gsm_infinite.tokenizer import WordTokenizer
from tasks.gsm_infinite.trees import draw

SPLITS = ("train", "validation", "test")
KEY = rng.stream("test of symbolic problems")
BUDGET = 600

Sentence = tuple[str, int]  # the variable a sentence copies ("" for a number), and the number in it, signed


def problems(operations: int, count: int, split: str = "train", **options: object) -> list[Problem]:
    return draw_problems(operations, split, np.arange(count), rng.stream("symbolic", split), **options)  # type: ignore[arg-type]


def sentences_of(text: str) -> dict[str, Sentence]:
    """What each variable is assigned; every sentence must have the one form and every variable one sentence."""
    assigned: dict[str, Sentence] = {}
    for sentence in text.removesuffix(".").split(". "):
        match = re.fullmatch(r"assign (V\d{6}) = (?:(\d+)|(V\d{6})(?: ([+-]) 1)?)", sentence)
        assert match, sentence
        name, number, source, sign = match.groups()
        assert name not in assigned
        assigned[name] = (source or "", int(number) if number else {"+": 1, "-": -1, None: 0}[sign])
    return assigned


def evaluate(assigned: dict[str, Sentence]) -> dict[str, int]:
    """The values of all variables that have one, parents first."""
    values: dict[str, int] = {}
    while True:
        new = {
            name: values.get(source, 0) + number
            for name, (source, number) in assigned.items()
            if name not in values and (not source or source in values)
        }
        if not new:
            return values
        values |= new


def asked_of(problem: Problem) -> int:
    (value,) = re.findall(r"determine which variables \(if any\).* are equal to (-?\d+)\.", problem.question)
    return int(value)


def canonical(problem: Problem) -> str:
    """The core tree written without names, children sorted: the same for the same content only."""
    assigned = sentences_of(problem.problem)

    def subtree(name: str) -> str:
        children = sorted(subtree(child) for child, (source, _) in assigned.items() if source == name)
        return f"({assigned[name][1]}{''.join(children)})"

    (root,) = (name for name, (source, _) in assigned.items() if not source)
    return f"{asked_of(problem)} {subtree(root)}"


def check(problem: Problem, operations: int) -> None:
    """Answer, facts and solution, from the text and in the words of the independent solver."""
    assigned = sentences_of(problem.problem)
    values = evaluate(assigned)
    answer = tuple(sorted(name for name, value in values.items() if value == asked_of(problem)))
    assert problem.answer == answer
    assert len(answer) > 0
    assert len(values) == problem.operations == operations

    solved = solve(problem.problem, problem.question)
    assert (solved.answer, solved.operations) == (answer, operations)

    def depth(name: str) -> int:
        return 1 + depth(assigned[name][0]) if assigned[name][0] else 1

    assert problem.facts == {
        "chain_depth": max(map(depth, answer)),
        "binary_operations": sum(bool(assigned[name][0] and assigned[name][1]) for name in values),
        "answers": len(answer),
    }

    worked, last = problem.solution.split(". Answer: ")
    assert last == ", ".join(answer) + "."
    known: dict[str, int] = {}
    for step in worked.split(". "):
        name, *expressions = step.split(" = ")
        source, number = assigned[name]
        sign = {1: " + 1", -1: " - 1", 0: ""}[number] if source else ""
        expected = [str(values[name])]
        if sign:
            expected = [f"{known[source]}{sign}", *expected]
        if source:
            assert source in known
            expected = [source + sign, *expected]
        assert expressions == expected
        known[name] = values[name]
    assert known == values


@pytest.mark.parametrize("operations", [1, 2, 3, 5, 8, 16, 64])
def test_evaluated_from_the_text(operations: int) -> None:
    for problem in problems(operations, 150):
        assert len(sentences_of(problem.problem)) == operations
        check(problem, operations)
        assert (problem.subset, problem.mode, problem.theme) == ("symbolic", "forward", None)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 64), st.sampled_from(SPLITS), st.integers(0, 2**62), st.sampled_from([None, 1500]))
def test_any_problem_is_solved(operations: int, split: str, index: int, budget: int | None) -> None:
    (problem,) = draw_problems(operations, split, np.array([index]), KEY, token_budget=budget)
    check(problem, operations)


def test_values_below_zero_are_asked_and_answered() -> None:
    below = [problem for problem in problems(16, 400) if asked_of(problem) < 0]
    assert len(below) > 10
    for problem in below:
        check(problem, 16)


def test_filler_is_one_tree_without_a_value() -> None:
    for problem, bare in zip(problems(4, 40, token_budget=BUDGET), problems(4, 40), strict=True):
        check(problem, 4)
        assert replace(problem, problem=bare.problem) == bare
        assigned = sentences_of(problem.problem)
        filler = {name: step for name, step in assigned.items() if name not in evaluate(assigned)}
        assert len(filler) == len(assigned) - 4 > 20
        sources = {source for source, _ in filler.values()}
        (root,) = sources - filler.keys()  # never assigned, and the only such variable
        reached = {root}
        for _ in filler:
            reached |= {name for name, (source, _) in filler.items() if source in reached}
        assert reached == {root, *filler}
        own = [s for s in bare.problem.split(". ") if s.rstrip(".")]
        kept = [s for s in problem.problem.split(". ") if s.split()[1] not in filler]
        assert [s.rstrip(".") for s in kept] == [s.rstrip(".") for s in own]  # the core in its order


def test_texts_are_those_of_a_plain_loop() -> None:
    """Bytes written side by side say what one formatted sentence after the other says."""
    for operations, filler in ((1, 0), (8, 0), (12, 5)):
        trees, _ = draw(operations, "train", np.arange(300), KEY, filler=filler)
        order = trees.order.copy()
        order[:100][order[:100] > operations + 2] = -1  # sentences left out, as for a budget
        expected = []
        for row, variables in enumerate(order.tolist()):
            names = [f"V{name:06}" for name in trees.names[row]]
            words = []
            for variable in variables:
                if variable == 0:
                    words.append(f"assign {names[0]} = {trees.value[row, 0]}.")
                elif variable > 0:
                    step = {1: " + 1", -1: " - 1", 0: ""}[int(trees.step[row, variable])]
                    words.append(f"assign {names[variable]} = {names[trees.parent[row, variable]]}{step}.")
            expected.append(" ".join(words))
        assert render(replace(trees, order=order)) == expected


def test_draws_are_uniform() -> None:
    """Parents, steps, the root's number, places and names; counts within 5 standard deviations."""
    count, operations, filler = 30_000, 7, 4
    trees, _ = draw(operations, "train", np.arange(count), KEY, filler=filler)

    def even(samples: np.ndarray, kinds: int) -> None:
        counts = np.bincount(samples, minlength=kinds)
        assert len(counts) == kinds
        expected = len(samples) / kinds
        assert np.abs(counts - expected).max() < 5 * expected**0.5

    even(trees.value[:, 0], 11)
    for variable in range(1, operations):
        even(trees.parent[:, variable], variable)
        even(trees.step[:, variable] + 1, 3)
    for variable in range(operations + 1, operations + 1 + filler):
        even(trees.parent[:, variable] - operations, variable - operations)
        even(trees.step[:, variable] + 1, 3)
    assert (trees.parent[:, [0, operations]] == -1).all()
    assert (trees.step[:, [0, operations]] == 0).all()
    assert (np.sort(trees.order, axis=1) == [*range(7), 8, 9, 10, 11]).all()
    for place in (0, 6, 10):
        even(np.searchsorted([*range(7), 8, 9, 10, 11], trees.order[:, place]), operations + filler)
    for variable in (0, 3, operations, operations + filler):
        even(trees.names[:, variable] // 1000, 1000)
        even(trees.names[:, variable] % 1000, 1000)
    between = (trees.names[:, 1:] - trees.names[:, :-1]) % 1_000_000
    for gap in between.T:
        even(gap // 10_000, 100)
    # The value asked about is that of each variable equally often: one held by n of V with probability n / V.
    held = (trees.value[:, :, None] == trees.value[:, None, :]).mean(axis=2)
    difference = (trees.value == trees.asked[:, None]).mean(axis=1) - held.mean(axis=1)
    assert abs(difference.mean()) < 5 * difference.std() / count**0.5


def test_names_are_distinct() -> None:
    for filler in (0, 3000):
        names = draw(64, "train", np.arange(20), KEY, filler=filler)[0].names
        assert names.shape == (20, 64 + (filler and 1 + filler))
        assert ((names >= 0) & (names < 1_000_000)).all()
        assert all(len(set(row)) == len(row) for row in names.tolist())


@pytest.mark.parametrize("budget", [None, 700])
def test_a_problem_is_its_address(budget: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch it is drawn in, its place there and the blocks within change nothing; index, key and split do."""

    def texts(split: str, indices: list[int], key: np.uint64 = KEY) -> list[Problem]:
        return draw_problems(6, split, np.array(indices), key, token_budget=budget)

    together = texts("test", [*range(9)])
    assert [texts("test", [i])[0] for i in (3, 8)] == [together[3], together[8]]
    assert texts("test", [7, 3, 7, 10**12])[:3] == [together[7], together[3], together[7]]
    monkeypatch.setattr(symbolic, "_BLOCK", 64 * 7)  # 7 problems without filler, else 2
    assert texts("test", [*range(9)]) == together
    assert texts("test", []) == []
    assert len({problem.problem for problem in together}) == 9
    other = texts("test", [*range(9)], rng.stream("another")) + texts("train", [*range(9)])
    assert not {problem.problem for problem in together} & {problem.problem for problem in other}


def test_more_filler_leaves_the_rest_as_it_was() -> None:
    few, many = (draw(5, "test", np.arange(50), KEY, filler=filler)[0] for filler in (3, 60))
    assert (few.names == many.names[:, :9]).all()
    assert (few.parent == many.parent[:, :9]).all()
    assert (few.step == many.step[:, :9]).all()
    assert (few.order == many.order[many.order < 9].reshape(50, 8)).all()
    assert (few.content == draw(5, "test", np.arange(50), KEY)[0].content).all()


@pytest.mark.parametrize("operations", range(1, 9))
def test_splits_are_disjoint_by_tree(operations: int, record_property: Callable[[str, object], None]) -> None:
    """Contents of two splits never meet, and a hash stands for one content, however its variables are numbered."""
    hashes: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        drawn = problems(operations, 1200 if operations <= 2 else 600, split)
        hashes[split] = {canonical(problem): problem.content for problem in drawn}
        assert all(hashes[split][canonical(problem)] == problem.content for problem in drawn)
        record_property(f"repeated_{split}", 1 - len(hashes[split]) / len(drawn))
        assert (rng.split_of(np.array([problem.content for problem in drawn], dtype=np.uint64)) == split).all()
    contents = [content for split in SPLITS for content in hashes[split]]
    assert len(contents) == len(set(contents)) == len({h for split in SPLITS for h in hashes[split].values()})
    if operations <= 2:  # few enough to meet them all
        shares = [len(hashes[split]) for split in SPLITS]
        assert shares == {1: [7, 2, 2], 2: [41, 7, 7]}[operations]
        assert sum(shares) == {1: 11, 2: 11 * (1 + 2 + 2)}[operations]


def test_rejections_are_counted() -> None:
    for split, share in (("train", 6 / 8), ("test", 1 / 8)):
        _, rejected = draw(8, split, np.arange(4000), KEY)
        expected = 4000 * (1 - share) / share
        assert abs(rejected - expected) < 6 * (expected / share) ** 0.5


class Characters:
    def encode(self, text: str) -> Sized:
        return text


class Pairs:
    """Not additive: what a sentence costs depends on those around it."""

    def encode(self, text: str) -> Sized:
        return [0, *re.findall(r"[0-4]+|[^0-4]\W?", text), 0]


@pytest.mark.parametrize("tokenizer", [None, Characters(), Pairs()], ids=["words", "characters", "pairs"])
@pytest.mark.parametrize("budget", [1103, 3001])
def test_filler_fills_the_budget(tokenizer: Characters | None, budget: int) -> None:
    """At most the budget, and one sentence more would exceed it."""
    count = (tokenizer or WordTokenizer()).encode
    filled = problems(8, 12, "test", token_budget=budget, tokenizer=tokenizer)
    sizes = set()
    for index, problem in enumerate(filled):
        filler = len(sentences_of(problem.problem)) - 8
        key = rng.stream("symbolic", "test")
        same, more = (render(draw(8, "test", np.array([index]), key, filler=filler + n)[0])[0] for n in (0, 1))
        assert problem.problem == same
        assert len(count(f"{same} {problem.question}")) <= budget < len(count(f"{more} {problem.question}"))
        sizes.add(filler)
    assert len(sizes) > 1


def test_a_strange_tokenizer_ends_within_the_budget() -> None:
    """Lengths that jump up and down, and some that do not grow at all."""

    class Jumping:
        def encode(self, text: str) -> Sized:
            return range(5 + blake2b(text.encode()).digest()[0] % 200)

    class Constant:
        def encode(self, text: str) -> Sized:
            return range(9)

    for problem in problems(3, 8, token_budget=205, tokenizer=Jumping()):
        assert len(Jumping().encode(f"{problem.problem} {problem.question}")) <= 205
    for problem in problems(3, 8, token_budget=40, tokenizer=Constant()):
        assert len(sentences_of(problem.problem)) == 3 + 40 - 9  # a sentence counts as one token at least


def test_a_budget_of_the_core_leaves_no_room() -> None:
    for problem in problems(8, 20):
        assert len(problem.problem) >= 8 * 19
    longest = max(len(f"{problem.problem} {problem.question}") for problem in problems(8, 20))
    filled = problems(8, 20, token_budget=longest, tokenizer=Characters())
    assert any(len(sentences_of(problem.problem)) == 8 for problem in filled)
    with pytest.raises(ValueError, match=rf"at least {longest}, the longest of 20 problems of 8 .*given {longest - 1}"):
        problems(8, 20, token_budget=longest - 1, tokenizer=Characters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operations": 0}, r"operations must be a whole number in 1\.\.64 .*; given 0"),
        ({"operations": 65}, r"operations must be a whole number in 1\.\.64 .*; given 65"),
        ({"operations": 2.0}, r"operations must be a whole number in 1\.\.64 .*; given 2\.0"),
        ({"split": "trian"}, "unknown split 'trian'; valid: .*did you mean 'train'"),
        ({"token_budget": 0}, r"token_budget must be a whole number in 1\.\.1000000 .*; given 0"),
        ({"token_budget": 10**7}, r"token_budget must be a whole number in 1\.\.1000000 .*names.*; given 10000000"),
    ],
)
def test_impossible_requests(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_problems(**{"operations": 3, "split": "train", "indices": np.arange(2), "key": KEY, **arguments})  # type: ignore[arg-type]


@pytest.mark.parametrize("filler", [-1, 999_992, 1.5])
def test_filler_is_limited_by_its_names(filler: int) -> None:
    with pytest.raises(ValueError, match=rf"filler must be a whole number in 0\.\.999991 .*; given {filler}"):
        draw(8, "train", np.arange(1), KEY, filler=filler)


def test_first_problems_stay_as_they_are() -> None:
    """Whatever changes these changes all examples, and asks for a new version of the tasks that use them."""
    texts = [
        (p.problem, p.answer, p.content)
        for p in problems(8, 50) + problems(3, 50, "test", token_budget=BUDGET, tokenizer=Characters())
    ]
    assert blake2b(repr(texts).encode(), digest_size=8).hexdigest() == "561d5e542c10adf1"
