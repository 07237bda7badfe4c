"""Compact GSM-Infinite: tokens are turned into English and solved from the text alone, by the independent solver."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.base import IGNORE
from tasks.gsm_infinite import solve
from tasks.gsm_infinite.compact import GSMCompact
from tasks.gsm_infinite.compact_tokens import VOCABULARY, core_tokens, sentences
from tasks.gsm_infinite.generator import draw
from tasks.gsm_infinite.generator.shape import Shape

SMALL = {"most_operations": 4, "most_tokens": 100, "least_tokens": 64, "window_tokens": 60}
CONFIGS: dict[str, dict[str, Any]] = {
    "paper's ratio": {},
    "short": SMALL,
    "sliding": {"window_tokens": 48},
    "no filler": {"filler": False},
    "question behind": {"question_first": False},
    "reverse": {"mode": "reverse"},
    "medium": {"subset": "medium", "least_operations": 2},
    "medium reverse": {"subset": "medium", "least_operations": 2, "mode": "reverse"},
    "sixteen": {"least_operations": 16, "most_operations": 16},
}
EXTRA = {f"k{i}" for i in range(8, 20)} | {f"p{i}" for i in range(8, 16)}  # names of filler

every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def quantity(words: list[str]) -> str:
    """Take a name off the front and say it in English."""
    role, place_or_kind = words.pop(0), words.pop(0)
    if role == "T":
        return f"total number of adult animals in {place_or_kind}"
    if role == "P":
        return f"total number of newborn animal children in {place_or_kind}"
    kind, place = place_or_kind, words.pop(0)
    return {"N": f"number of adult {kind}", "R": f"average number of newborn children per adult {kind}"}[
        role
    ] + f" in {place}"


def sentence(words: list[str]) -> str:
    """A sentence in English."""
    name = quantity(words)
    if words == ["any"]:
        exists = "is" if name.startswith("average") else "exists, and its number is"
        return f"The {name} {exists} greater than 0."
    constant = words.pop(0) if words[0].isdecimal() else ""
    if not words:
        return f"The {name} equals {constant}."
    said = f"{constant} {words.pop(0)} " if constant else ""
    form = words.pop(0) if words[0] in ("sum", "minus") else ""
    used = []
    while words:
        used.append(f"the {quantity(words)}")
    if form:
        said += {"sum": "the sum of ", "minus": "the difference between "}[form]
        listed = " and ".join(used) if len(used) == 2 else ", ".join(used[:-1]) + f", and {used[-1]}"
    else:
        (listed,) = used
    return f"The {name} equals {said}{listed}."


def english(tokens: np.ndarray) -> tuple[str, str]:
    """Problem and question of one example, from its input tokens."""
    words = [VOCABULARY[t] for t in tokens if VOCABULARY[t] != "_"][:-1]  # the last one is the answer
    assert words[0] == "<bos>" and words[-1] == "A" and words.count("Q") == words.count("?") == 1
    first, last = words.index("Q"), words.index("?")
    asked = quantity(words[first + 1 : last])
    body = " ".join(words[1:first] + words[last + 1 : -1]).split(" ; ")
    assert body[-1].endswith(" ;")
    parts = [part.removesuffix(" ;").split() for part in body]
    if asked.startswith("number"):
        kind, _, place = asked.removeprefix("number of ").partition(" in ")
        question = f"How many {kind} does {place} have?"
    else:
        question = f"What is the {asked}?"
    return " ".join(sentence(part) for part in parts), question


def check(task: GSMCompact, split: str, examples: int) -> None:
    episode = task.episodes(split, range(examples))
    for tokens, targets, difficulty in zip(episode.inputs, episode.targets, episode.difficulty, strict=True):
        (place,) = np.flatnonzero(targets != IGNORE)
        found = solve(*english(tokens))
        assert str(found.answer) == VOCABULARY[targets[place]]
        assert found.operations == difficulty[place]
        assert VOCABULARY[tokens[place]] == "A" and place >= (task.seq_len - 2) // task.window * task.window
        padding = tokens == 0
        assert (np.diff(padding.astype(int)) != 0).sum() <= 1, "padding on one side"


@every_config
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_problem_is_solved_from_its_tokens(config: dict[str, Any], split: str) -> None:
    check(GSMCompact(**config), split, 120)


@settings(max_examples=12, deadline=None)
@given(
    subset=st.sampled_from(["medium", "hard"]),
    mode=st.sampled_from(["forward", "reverse"]),
    operations=st.integers(2, 6),
    most=st.integers(90, 240),
    share=st.floats(0.5, 1.0),
    window=st.integers(20, 80),
    filler=st.booleans(),
    first=st.booleans(),
)
def test_any_configuration(
    subset: str, mode: str, operations: int, most: int, share: float, window: int, filler: bool, first: bool
) -> None:
    task = GSMCompact(
        subset=subset,
        mode=mode,
        least_operations=2,
        most_operations=operations,
        most_tokens=most,
        least_tokens=int(most * share),
        window_tokens=window,
        filler=filler,
        question_first=first,
    )
    check(task, "train", 10)


@pytest.mark.parametrize("subset", ["medium", "hard"])
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_tokens_are_counted_as_they_are_written(subset: str, mode: str) -> None:
    graphs, _ = draw(Shape(subset=subset, mode=mode), 5, "train", np.arange(500), np.uint64(1))
    np.testing.assert_array_equal(core_tokens(graphs), (sentences(graphs) != -1).sum(axis=(1, 2)))


def test_lengths_are_in_the_range_and_fill_it() -> None:
    episode = GSMCompact().episodes("train", range(1500))
    tokens = episode.facts["text_tokens"]
    np.testing.assert_array_equal(tokens, (episode.inputs != 0).sum(axis=1))
    assert tokens.min() >= 192 and tokens.max() <= 300
    assert tokens.mean() == pytest.approx(250, abs=4)
    assert len(VOCABULARY) == len(set(VOCABULARY)) < 200


def test_operations_are_flat() -> None:
    episode = GSMCompact().episodes("train", range(2000))
    counts = np.bincount(episode.difficulty.max(axis=1), minlength=9)[1:]
    assert (abs(counts - 250) < 5 * 250**0.5).all()


def test_filler_uses_the_core_and_nothing_uses_filler() -> None:
    task = GSMCompact(**SMALL)
    for tokens in task.episodes("train", range(200)).inputs:
        words = " ".join(VOCABULARY[t] for t in tokens)
        for said in words.partition(" ? ")[2].split(" ; ")[:-1]:
            words = said.split()
            name, rest = (words[:2], words[2:]) if words[0] in "TP" else (words[:3], words[3:])
            assert not set(rest) & EXTRA
            if set(name) & EXTRA:
                assert not any(word.isdecimal() for word in rest)


@pytest.mark.parametrize("question_first", [True, False])
def test_visible_is_the_share_of_needed_sentences_in_the_last_window(question_first: bool) -> None:
    """Counted from the text: with one operation the only needed sentence is the one about what is asked."""
    task = GSMCompact(**SMALL | {"most_operations": 1}, question_first=question_first)
    episode = task.episodes("train", range(300))
    for tokens, visible in zip(episode.inputs, episode.facts["visible"], strict=True):
        words = [VOCABULARY[t] for t in tokens]
        first = words.index("Q")
        asked = words[first + 1 : words.index("?")]
        starts = [i + 1 for i, word in enumerate(words) if word in ("<bos>", "?", ";")]
        (place,) = (i for i in starts if words[i : i + len(asked)] == asked)
        assert visible == (place >= 60)
    assert 0 < episode.facts["visible"].mean() < 1


def test_the_lone_number_is_the_most_frequent_one_that_stands_alone() -> None:
    episode = GSMCompact(**SMALL).episodes("test", range(300))
    for tokens, targets, right in zip(episode.inputs, episode.targets, episode.facts["lone_number"], strict=True):
        text, _ = english(tokens)
        alone = [int(s.rpartition(" equals ")[2]) for s in text.rstrip(".").split(". ") if s.split()[-1].isdecimal()]
        alone = [n for n in alone if n]
        guess = max(sorted(set(alone)), key=alone.count) if alone else 1
        assert right == (VOCABULARY[targets.max()] == str(guess))
    assert episode.facts["lone_number"].mean() > max(GSMCompact(**SMALL).chance(k) for k in (1, 2, 3, 4))


def test_floors_are_measured() -> None:
    task = GSMCompact(**SMALL)
    for level in task.levels:
        floors = task.floors(level)
        episode = task.at(level).episodes("test", range(1500))
        answers = episode.targets.max(axis=1)
        assert floors["majority"] == pytest.approx(np.bincount(answers).max() / 1500, abs=0.05)
        assert floors["majority"] <= floors["question_only"] < 0.5
        assert task.chance(level) == floors["majority"]
    with pytest.raises(ValueError, match=r"difficulty must be a whole number in 1\.\.4; given 5"):
        task.chance(5)


def test_structures_of_splits_differ() -> None:
    task = GSMCompact(**SMALL)
    contents = {split: set(task.episodes(split, range(4000)).content.ravel()) for split in ("train", "test")}
    assert not contents["train"] & contents["test"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"most_operations": 17}, "most_operations must be a whole number in 1..16; given 17"),
        ({"least_operations": 9}, r"least_operations must be a whole number in 1..8 \(most_operations\); given 9"),
        ({"subset": "medium"}, "operations must be a whole number in 2.."),
        ({"subset": "heard"}, "unknown subset 'heard'; valid: medium, hard; did you mean 'hard'"),
        ({"mode": "backward"}, "unknown mode"),
        ({"most_tokens": 47, "least_tokens": 40}, "most_tokens must be a whole number >= 48"),
        ({"least_tokens": 301}, r"least_tokens must be a whole number in 1..300 \(most_tokens\); given 301"),
        ({"window_tokens": 300}, "window_tokens must be a whole number in 2..299"),
        ({"most_tokens": 60, "least_tokens": 50, "window_tokens": 30}, "operations must be a whole number in 1..4 "),
    ],
)
def test_impossible_settings(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GSMCompact(**config)
