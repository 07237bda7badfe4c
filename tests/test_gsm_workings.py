"""Workings of word problems: steps of the solution, none of them before its sentences were read."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from baselines.chain_of_thought import ChainOfThoughtAsleep
from benchmark.forward import notes_of
from tasks.gsm_infinite.compact import GSMCompact
from tasks.gsm_infinite.operations import CountedTask
from tasks.gsm_infinite.task import GSMInfinite

COMPACT = GSMCompact(least_operations=2, most_operations=5, most_tokens=100, least_tokens=80, window_tokens=24)
WORDS = GSMInfinite(least_operations=2, window_tokens=256)
Name = tuple[str, ...]


def name_at(words: list[str], at: int) -> Name:
    return tuple(words[at : at + (3 if words[at] in "NR" else 2)])


def parsed(words: list[str]) -> dict[Name, tuple[list[Any], int]]:
    """What each quantity equals, as the words after its name, and where its sentence ends."""
    found, start = {}, words.index("?") + 1
    while ";" in words[start:]:
        end = words.index(";", start)
        name = name_at(words, start)
        found[name] = (words[start + len(name) : end], end)
        start = end + 1
    return found


def value(name: Name, known: dict[Name, tuple[list[Any], int]]) -> int:
    """By recursion over sentences, as the grammar reads."""
    if name[0] in "TP":
        kinds = [other[1] for other in known if other[0] == "N" and other[2] == name[1]]
        rates = [value(("R", kind, name[1]), known) if name[0] == "P" else 1 for kind in kinds]
        return sum(value(("N", kind, name[1]), known) * rate for kind, rate in zip(kinds, rates, strict=True))
    right, operands, constant, at = known[name][0], [], 0, 0
    while at < len(right):
        if right[at] in ("N", "R", "T", "P"):
            operands.append(value(name_at(right, at), known))
            at += len(name_at(right, at))
        else:
            constant, at = int(right[at]) if right[at].isdecimal() else constant, at + 1
    if not operands:
        return constant
    rest = operands[0] - operands[1] if "minus" in right else sum(operands)
    return constant * rest if "times" in right else constant + rest


def needs(name: Name, known: dict[Name, tuple[list[Any], int]]) -> set[Name]:
    """The stated quantities that a value depends on, itself among them."""
    if name[0] in "TP":
        of = [n for n in known if n[0] in ("N" if name[0] == "T" else "NR") and n[2] == name[1]]
    else:
        right = known[name][0]
        of = [name_at(right, at) for at, word in enumerate(right) if word in ("N", "R", "T", "P")]
    return set().union(*(needs(other, known) for other in of)) | ({name} if name in known else set())


@pytest.mark.parametrize("subset", ["medium", "hard"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_steps_of_compact_problems_are_values_of_sentences_that_were_read(subset: str, split: str) -> None:
    task = replace(COMPACT, subset=subset)
    episode = task.episodes(split, range(150))
    notes = task.notes("workings", episode)
    assert [*notes] == [0, 1, 2, 3] and {noted.shape for noted in notes.values()} == {(150, 25)}
    ended = 0
    for b, row in enumerate(episode.inputs):
        words = [task.word(token) for token in row]
        asked, known = name_at(words, words.index("Q") + 1), parsed(words)
        before: list[Name] = []
        for number, noted in notes.items():
            border = (number + 1) * task.window
            said = [task.word(token) for token in noted[b] if token]
            steps = " ".join(said).split(" ;")
            assert steps.pop() == ""
            named = [tuple(step.split()[:-1]) for step in steps]
            assert named[: len(before)] == before
            for step, name in zip(steps, named, strict=True):
                assert int(step.split()[-1]) == value(name, known)
                assert all(known[other][1] < border for other in needs(name, known))
                assert set(named[: named.index(name)]) >= needs(name, known) - {name}
            if all(known[other][1] < border for other in needs(asked, known)):
                assert named[-1] == asked and task.word(episode.targets[b].max()) == steps[-1].split()[-1]
            before = named
        ended += before[-1:] == [asked]
    assert 20 < ended < 140  # of some problems all that is needed is read before the prediction


def test_steps_in_words_are_the_beginning_of_the_solution_that_was_read() -> None:
    problems = WORDS.texts("train", np.arange(12), WORDS.key("train"))
    episode = WORDS.episodes("train", range(12))
    notes, tokens = WORDS.notes("workings", episode), WORDS._tokens
    assert [*notes] == list(range(WORDS.seq_len // WORDS.window))

    def encoded(text: str) -> list[int]:
        return [token + WORDS._first_token for token in tokens.encode(text)]

    def is_read(line: str, row: list[int]) -> bool:
        """Whether the sentence that a step is about stands among tokens."""
        wanted = encoded(" " + line.partition(": ")[0].rstrip(".") + " .")
        return any(row[at : at + len(wanted)] == wanted for at in range(len(row)))

    some = 0
    for b, problem in enumerate(problems):
        lines = problem.solution.splitlines()
        for number, noted in notes.items():
            row = episode.inputs[b, : (number + 1) * WORDS.window].tolist()
            written = noted[b][noted[b] != 0].tolist()
            steps = [line for i, line in enumerate(lines) if written[: len(encoded(" " + " ".join(lines[: i + 1])))]
                     == encoded(" " + " ".join(lines[: i + 1]))]  # fmt: skip
            assert steps == lines[: len(steps)] and written == (encoded(" " + " ".join(steps)) if steps else [])
            some += bool(steps)
            for line in steps:
                assert line.startswith(("The total", "Answer")) or is_read(
                    line.partition(": ")[0].rstrip(".") + " .", row
                )
            if steps != lines:  # the next one has a sentence that is yet to come
                assert not is_read(lines[len(steps)], row)
    assert some > 5


@pytest.mark.parametrize("task", [COMPACT, WORDS], ids=lambda task: task.name)
@pytest.mark.parametrize("settings", [{"mode": "reverse"}, {"question_first": False}, {"subset": "symbolic"}])
def test_where_nobody_knows_what_to_work_out_there_are_none(task: CountedTask, settings: dict[str, Any]) -> None:
    if (task.name, *settings.values()) == ("gsm_compact", "symbolic"):
        return  # there are none
    task = replace(task, **settings)
    assert not task.notes("workings", task.episodes("train", range(2)))
    assert not COMPACT.notes("questions", COMPACT.episodes("train", range(2)))


def test_a_model_that_thinks_asleep_is_taught_them() -> None:
    model = ChainOfThoughtAsleep(layout="attn gdn", d_model=8, heads=2).build(
        vocab_size=COMPACT.vocab_size, window=COMPACT.window, seq_len=COMPACT.seq_len
    )
    noted = notes_of(COMPACT, model, COMPACT.episodes("train", range(3)))
    assert [(number, kind, tokens.shape) for number, kind, tokens in noted] == [
        (number, "workings", (3, 25)) for number in range(4)
    ]
