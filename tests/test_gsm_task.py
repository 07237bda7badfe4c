"""GSM-Infinite as a task in words: what is read solves to what is asked, for every subset and mode."""

from typing import Any

import numpy as np
import pytest

from tasks.base import IGNORE
from tasks.gsm_infinite import solve
from tasks.gsm_infinite.problems import Problems
from tasks.gsm_infinite.task import PAD, GSMInfinite
from tasks.gsm_infinite.tokenizer import WordTokenizer

SHORT: dict[str, Any] = {"most_words": 1300, "least_words": 1000, "window_tokens": 800}
WORDS = WordTokenizer()


@pytest.mark.parametrize("question_first", [True, False])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"mode": "reverse"},
        {"subset": "medium", "least_operations": 2},
        {"subset": "medium", "mode": "reverse", "least_operations": 2, "theme": "movies"},
        {"subset": "symbolic"},
    ],
    ids=["hard", "hard reverse", "medium", "medium reverse", "symbolic"],
)
def test_what_is_read_solves_to_what_is_asked(config: dict[str, Any], split: str, question_first: bool) -> None:
    task = GSMInfinite(**SHORT | config, question_first=question_first)
    rows = task.records(split, range(6))
    episode = task.episodes(split, range(6))
    for row, tokens, targets, difficulty in zip(rows, episode.inputs, episode.targets, episode.difficulty, strict=True):
        prompt = row["prompt"].removesuffix(" Answer:")
        at = len(prompt)
        if question_first:
            at = min(prompt.index(mark) for mark in (" The ", " assign ") if mark in prompt)
            question, problem = prompt[:at], prompt[at + 1 :]
        else:
            at = max(prompt.rfind(mark) for mark in (". What ", ". How ", ". Each ")) + 1
            question, problem = prompt[at + 1 :], prompt[:at]
        found = solve(problem, question)
        asked = targets[targets != IGNORE] - 1
        said = WORDS.decode(asked.tolist())
        assert said == (", ".join(found.answer) if isinstance(found.answer, tuple) else str(found.answer))
        assert set(difficulty[targets != IGNORE]) == {found.operations}
        read = tokens[tokens != PAD] - 1
        assert WORDS.decode(read[: len(read) - len(asked) + 1].tolist()) == row["prompt"]
        assert (targets[-len(asked) :] != IGNORE).all() and tokens[-1] != PAD


def test_texts_are_filled_up_to_one_of_four_lengths() -> None:
    task = GSMInfinite(**SHORT)
    read = (task.episodes("train", range(60)).inputs != PAD).sum(axis=1)
    assert {int(np.argmin(abs(np.array([1000, 1100, 1200, 1300]) - n))) for n in read} == {0, 1, 2, 3}
    assert all(min(top - n for top in (1000, 1100, 1200, 1300) if n <= top) < 50 for n in read)  # and never above it


def test_the_floors_are_those_of_its_problems_without_filler() -> None:
    task = GSMInfinite(**SHORT)
    answers = [p.answer for p in Problems(operations=5, theme="mixed").problems("test", range(1500), seed=9)]
    floors = task.floors(5)
    share = max(answers.count(answer) for answer in set(answers)) / 1500
    assert floors["majority"] == pytest.approx(share, abs=0.04)
    assert floors["majority"] <= floors["question_only"] < 0.4
    assert task.chance(5) == floors["majority"]
    assert GSMInfinite(**SHORT, subset="symbolic").floors(5) == {"majority": 0.0, "question_only": 0.0}


def test_an_example_shows_question_core_and_solution() -> None:
    drawn = GSMInfinite(**SHORT).at(3).example()
    assert "question  " in drawn and "sentences of filler" in drawn
    assert drawn.splitlines()[-1].startswith("Answer: ")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"most_operations": 17}, "most_operations must be a whole number in 1..16; given 17"),
        ({"subset": "medium"}, "operations must be a whole number in 2..16"),
        ({"subset": "symbolical"}, "unknown subset 'symbolical'; valid: symbolic, medium, hard"),
        ({"theme": "animal"}, "unknown theme 'animal'; .*did you mean 'animals'"),
        ({"least_words": 999}, "least_words must be a whole number >= 1000 .*; given 999"),
        ({"most_words": 2000}, r"most_words must be a whole number >= 2100 \(least_words\); given 2000"),
        ({"window_tokens": 3300}, "window_tokens must be a whole number in 2..3299"),
        ({"subset": "symbolic", "window_tokens": 3299}, "the answer, of up to 63 tokens, must lie in the last window"),
        ({"subset": "symbolic", "mode": "reverse"}, "symbolic problems take no mode"),
    ],
)
def test_impossible_settings(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GSMInfinite(**config)
