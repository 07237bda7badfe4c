"""What fixes an answer of GSM-Infinite: against the needed part written out from the text, by another reader."""

from typing import Any

import numpy as np
import pytest
from test_gsm_compact import SMALL, english

from tasks.base import Task
from tasks.gsm_infinite import operations as by_operations
from tasks.gsm_infinite.compact import GSMCompact
from tasks.gsm_infinite.problems import Problems
from tasks.gsm_infinite.reading import TOTALS, read
from tasks.gsm_infinite.task import GSMInfinite


def needed_part(problem: str, question: str) -> Any:
    """The formula of what is asked, without names; in reverse of what is given, of x, with its value."""
    reading = read(problem, question, TOTALS)

    def formula(quantity: str) -> Any:
        if quantity == reading.asked and quantity in reading.positive:
            return "x"
        definition = reading.definition(quantity)
        assert definition is not None
        used = [formula(operand) for operand in definition.operands]
        if definition.what == "products of":
            used = sorted(zip(used[::2], used[1::2], strict=True), key=repr)
        elif definition.what == "sum of":
            used = sorted(used, key=repr)
        total = "total" if quantity.startswith("total") else ""
        return (total + definition.what, definition.constant, definition.times, used)

    if reading.asked in reading.positive:
        (end,) = reading.given or [reading.asked]
        return repr((formula(end), reading.numbers[end]))
    return repr(formula(reading.asked))


CASES = {
    "hard": GSMCompact(**SMALL),
    "hard, longer": GSMCompact(),
    "hard reverse": GSMCompact(**SMALL, mode="reverse"),
    "medium": GSMCompact(**SMALL, subset="medium", least_operations=2),
    "medium reverse": GSMCompact(**SMALL, subset="medium", least_operations=2, mode="reverse"),
}


@pytest.mark.parametrize("task", CASES.values(), ids=CASES)
def test_hashes_stand_for_what_is_needed(task: GSMCompact) -> None:
    """One hash for each formula, one formula for each hash, in training and in test; equal ones, equal answers."""
    formulas: dict[int, str] = {}
    answers: dict[int, int] = {}
    for split in ("train", "test"):
        episode = task.episodes(split, range(300))
        hashes = task.determinants(episode)
        assert hashes is not None and hashes.shape == (300, 1)
        for tokens, answer, (of,) in zip(episode.inputs, episode.targets.max(axis=1), hashes.tolist(), strict=True):
            formula = needed_part(*english(tokens))
            assert formulas.setdefault(of, formula) == formula
            assert answers.setdefault(of, answer) == answer
    assert len(set(formulas.values())) == len(formulas) > 20


@pytest.mark.parametrize("settings", [{}, {"mode": "reverse"}, {"subset": "medium"}])
def test_problems_in_words_have_the_same(settings: dict[str, Any]) -> None:
    problems = [p for k in (2, 4) for p in Problems(operations=k, **settings).problems("train", range(300))]
    formulas = {p.determinant: needed_part(p.problem, p.question) for p in problems}
    assert all(formulas[p.determinant] == needed_part(p.problem, p.question) for p in problems)
    assert len(set(formulas.values())) == len(formulas)


def test_symbolic_problems_are_needed_whole_and_held_out() -> None:
    listed = [
        p for split in ("train", "test") for p in Problems(subset="symbolic", operations=2).problems(split, range(400))
    ]
    assert len({p.determinant for p in listed}) == 800  # their names are part of the answer
    task = GSMInfinite(subset="symbolic", most_operations=3, least_words=1000, most_words=1100, window_tokens=900)
    assert task.held_out(2) == "trees of 2 variables"
    assert task.shortcuts(2) == {}
    assert GSMCompact().held_out(8) == ""


def test_an_english_episode_says_what_fixes_its_answers() -> None:
    task = GSMInfinite(most_operations=2, least_words=1000, most_words=1100, window_tokens=900)
    episode = task.episodes("test", range(40))
    hashes = task.determinants(episode)
    problems = task.texts("test", np.arange(40), task.key("test"))
    assert hashes is not None
    assert hashes[:, 0].tolist() == [p.determinant for p in problems]
    assert 2 <= len(set(hashes[:, 0].tolist())) <= 12  # a number, a copy of one, a total of one kind; 1..4 each


@pytest.mark.parametrize("operations", [1, 3])
def test_shortcuts_are_those_of_a_table_over_examples(operations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples of training and validation, with filler, one by one; more than one problem is new."""
    monkeypatch.setattr(by_operations, "SEEN", 150)
    monkeypatch.setattr(by_operations, "GUESSED", 400)
    by_operations._shortcuts.cache_clear()
    task: Task = GSMCompact(**SMALL).at(operations)
    train, validation = (task.episodes(split, range(n)) for split, n in (("train", 150), ("validation", 400)))
    hashes = [task.determinants(episode)[:, 0].tolist() for episode in (train, validation)]  # type: ignore[index]
    table = dict(zip(hashes[0], train.targets.max(axis=1), strict=True))
    lone = validation.facts["lone_number"]
    right = [
        table[h] == answer if h in table else guess
        for h, answer, guess in zip(hashes[1], validation.targets.max(axis=1), lone, strict=True)
    ]
    assert task.shortcuts(operations) == {"lone_number": lone.mean(), "needed_table": np.mean(right)}
    assert all(h in table for h in hashes[1]) == (operations == 1)
    by_operations._shortcuts.cache_clear()
