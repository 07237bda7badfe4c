"""Problems in words: solved from their text, filled to a budget in any tokenizer, addressed; what is refused."""

import re
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import pytest

from tasks.base import SPLITS
from tasks.gsm_infinite import problems as module
from tasks.gsm_infinite import solve
from tasks.gsm_infinite.budget import fit
from tasks.gsm_infinite.problem import Problem
from tasks.gsm_infinite.problems import Problems, prompt
from tasks.gsm_infinite.themes import FILLER, THEMES
from tasks.gsm_infinite.tokenizer import WordTokenizer

SETTINGS = [(subset, mode) for subset in ("medium", "hard") for mode in ("forward", "reverse")]
WORDS = WordTokenizer()


def check_solution(problem: Problem) -> None:
    """Every equation of the solution holds, and what comes last is the answer."""
    *steps, last = problem.solution.split("\n")
    assert last == f"Answer: {problem.answer}."
    assert re.search(rf"\b{problem.answer}\.$", steps[-1])
    assert any(step.startswith("Let x be ") for step in steps) == (problem.mode == "reverse")
    for step in steps:
        equations = re.findall(r"[\dx(][\dx ()+*-]*(?: = [\dx ()+*-]+)+", step)
        assert all(len({eval(side, {"x": problem.answer}) for side in e.split(" = ")}) == 1 for e in equations), step


@pytest.mark.parametrize(("subset", "mode"), SETTINGS)
def test_problems_are_solved_from_their_text(subset: str, mode: str) -> None:
    for operations in (*([1] if subset == "hard" else []), *range(2, 17)):
        settings = Problems(subset=subset, mode=mode, theme="mixed", operations=operations)
        for problem in settings.problems("train", range(40)):
            found = solve(problem.problem, problem.question)
            assert (
                (found.answer, found.operations) == (problem.answer, problem.operations) == (problem.answer, operations)
            )
            assert (problem.subset, problem.mode) == (subset, mode)
            check_solution(problem)
            large = max(map(int, re.findall(r"\d+", problem.solution))) > 1000
            for text in [prompt(problem)] if large else [prompt(problem), problem.solution]:
                assert WORDS.decode(WORDS.encode(text)) == text


@pytest.mark.parametrize(("subset", "mode"), SETTINGS)
def test_hundreds_of_problems_of_each_operation_count_are_solved(subset: str, mode: str) -> None:
    for operations in (*([1] if subset == "hard" else []), *range(2, 17)):
        for problem in Problems(subset=subset, mode=mode, operations=operations).problems("train", range(300), seed=1):
            found = solve(problem.problem, problem.question)
            assert (found.answer, found.operations) == (problem.answer, operations)


class Letters:
    def encode(self, text: str) -> str:
        return text


class Chunks:
    """Seven characters a token, whatever words they are of, and two tokens at the ends."""

    def encode(self, text: str) -> list[str]:
        return ["<", *[text[i : i + 7] for i in range(0, len(text), 7)], ">"]


TOKENIZERS = {"words": None, "letters": Letters(), "chunks": Chunks()}


def tokens(problem: Problem, tokenizer: Any) -> int:
    return len((tokenizer or WORDS).encode(prompt(problem)))


def sentences(problem: Problem) -> list[str]:
    return problem.problem.removesuffix(".").split(". ")


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize(("subset", "mode"), SETTINGS)
def test_filler_meets_a_budget(subset: str, mode: str, name: str) -> None:
    tokenizer, unit = TOKENIZERS[name], 6 if name == "letters" else 1
    settings = Problems(subset=subset, mode=mode, theme="mixed", operations=4)
    budgets = range(900 * unit, 940 * unit, 5 * unit)
    filled = [replace(settings, token_budget=n).problems("test", range(4), tokenizer=tokenizer) for n in budgets]
    for core, *growing in zip(settings.problems("test", range(4)), *filled, strict=True):
        for before, (budget, problem) in zip([core, *growing], zip(budgets, growing, strict=True), strict=False):
            count, texts = len((tokenizer or WORDS).encode(prompt(problem))), sentences(problem)
            assert count <= budget
            assert problem.facts["tokens"] == count
            assert problem.facts["filler"] == len(texts) - len(sentences(core)) > 8
            # Filler leaves all else as it is, and what a smaller budget had stays, in order.
            assert replace(problem, problem=core.problem, facts=core.facts) == core
            assert [text for text in texts if text in sentences(core)] == sentences(core)
            later = iter(texts)
            assert all(text in later for text in sentences(before))
            # One sentence more than a smaller budget has would not have fitted in it.
            assert before is core or before.problem == problem.problem or count > budget - 5 * unit
        assert len({problem.problem for problem in growing}) > 1
        found = solve(growing[-1].problem, core.question)
        assert (found.answer, found.operations) == (core.answer, core.operations)


def test_a_budget_that_no_filler_meets_is_refused() -> None:
    for tokenizer in TOKENIZERS.values():
        with pytest.raises(ValueError, match="at least") as refused:
            Problems(token_budget=20).problems("train", range(50), tokenizer=tokenizer)
        least = int(re.search(r"at least (\d+)", str(refused.value))[1])  # type: ignore[index]
        kept = Problems(token_budget=least).problems("train", range(50), tokenizer=tokenizer)
        assert max(problem.facts["tokens"] for problem in kept) == least
        with pytest.raises(ValueError, match=f"at least {least}"):
            Problems(token_budget=least - 1).problems("train", range(50), tokenizer=tokenizer)
        with pytest.raises(ValueError, match=f"with all {FILLER * FILLER} sentences") as refused:
            Problems(token_budget=10**7).problems("train", [3], tokenizer=tokenizer)
        most = int(re.search(r"below (\d+)", str(refused.value))[1])  # type: ignore[index]
        (kept,) = Problems(token_budget=most - 1).problems("train", [3], tokenizer=tokenizer)
        assert kept.facts["filler"] == FILLER * FILLER - 1


def test_32k_tokens_can_be_filled() -> None:
    for theme in THEMES:
        (problem,) = Problems(subset="medium", theme=theme, token_budget=32_768).problems("train", [0])
        assert 32_700 < problem.facts["tokens"] <= 32_768


@pytest.mark.parametrize("core_first", [False, True])
def test_fitting_is_exact_whatever_the_estimate(core_first: bool) -> None:
    sizes = [(7 * i) % 11 + (3 if core_first else 0) for i in range(300)]
    for wrong in ([0] * 300, [1] * 300, [1000] * 300, sizes):
        for budget in range(10, 2000, 97):
            calls = []

            def count(n: int, calls: list[int] = calls) -> int:
                calls.append(n)
                return 10 + sum(sizes[:n])

            n, used = fit(count, 10, wrong, budget)
            assert used == 10 + sum(sizes[:n]) <= budget
            assert n == 300 or 10 + sum(sizes[: n + 1]) > budget
            assert len(calls) <= 32


def test_a_problem_is_a_pure_function_of_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in (Problems(), Problems(mode="reverse", theme="mixed", token_budget=900, operations=3)):
        listed = settings.problems("validation", range(30), seed=5)
        monkeypatch.setattr(module, "_BLOCK", 4)
        assert settings.problems("validation", [17, 2, 29, 2], seed=5) == [listed[i] for i in (17, 2, 29, 2)]
        assert settings.problems("validation", range(30), seed=5) == listed
        monkeypatch.undo()
        assert settings.problems("validation", [], seed=5) == []
        others = [
            settings.problems("validation", range(30), seed=6),
            settings.problems("train", range(30), seed=5),
            replace(settings, theme="movies").problems("validation", range(30), seed=5),
        ]
        for other in others:
            assert not {p.problem for p in listed} & {p.problem for p in other}
        assert not {p.content for p in listed} & {p.content for p in others[1]}


def test_the_question_stands_first_or_last() -> None:
    (problem,) = Problems().problems("train", [0])
    assert prompt(problem) == f"{problem.problem} {problem.question}"
    assert prompt(problem, question_first=True) == f"{problem.question} {problem.problem}"


def test_symbolic_problems_in_tokens() -> None:
    settings = Problems(subset="symbolic", operations=5)
    for problem in settings.problems("train", range(20)) + replace(settings, token_budget=400).problems("test", [3]):
        assert solve(problem.problem, problem.question).answer == problem.answer
        for text in (prompt(problem), problem.solution):
            assert WORDS.decode(WORDS.encode(text)) == text


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"subset": "hrad"}, "unknown subset 'hrad'; valid: symbolic, medium, hard; did you mean 'hard'"),
        ({"mode": "backward"}, "unknown mode"),
        ({"theme": "animal"}, "did you mean 'animals'"),
        ({"operations": 17}, r"operations must be a whole number in 1\.\.16 .*given 17"),
        ({"operations": 2.5}, "given 2.5"),
        ({"subset": "medium", "operations": 1}, r"in 2\.\.16 .*given 1"),
        ({"subset": "symbolic", "operations": 65}, r"1\.\.64"),
        ({"subset": "symbolic", "mode": "reverse", "kinds": 2}, "take no kinds, mode"),
        ({"kinds": 9}, r"kinds must be a whole number in 1\.\.8 \(names of core kinds\); given 9"),
        ({"places": 0}, "places must be"),
        ({"token_budget": 0}, "token_budget must be a whole number >= 1; given 0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Problems(**settings)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("tset", [0]), "did you mean 'test'"),
        (("test", [0], -1), "seed must be"),
        (("test", [-1]), "indices must be"),
        (("test", [[0]]), "indices must be"),
        (("test", [0.5]), "indices must be"),
    ],
)
def test_impossible_addresses_are_refused(arguments: tuple[Any, ...], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Problems().problems(*arguments)


GOLDEN = {
    ("medium", "forward"): "e0d51df6a73335be",
    ("medium", "reverse"): "0aa8af5d4f282439",
    ("hard", "forward"): "3f9f38966d7294e4",
    ("hard", "reverse"): "e3bfedb6f62408c5",
}


@pytest.mark.parametrize(("subset", "mode"), GOLDEN)
def test_first_problems_stay_as_they_are(subset: str, mode: str) -> None:
    """If these change, so did the data behind every result: raise `Problems.version`."""
    found = [
        (p.problem, p.question, p.answer, p.content)
        for split in SPLITS
        for operations in (2, 8, 16)
        for p in Problems(subset=subset, mode=mode, theme="mixed", operations=operations).problems(split, range(8))
    ]
    assert blake2b(repr(found).encode(), digest_size=8).hexdigest() == GOLDEN[subset, mode]
