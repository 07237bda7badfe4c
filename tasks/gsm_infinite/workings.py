"""Workings of word problems: the steps of the solution, as far as they follow from the sentences that were read so far.

Steps are in the order of the solution, in which whatever a step uses comes before it; those behind the first whose
sentence is yet to come wait for it. In reverse mode steps are equations in the unknown, which the compact form has no
words for: there, and where the question comes last, nobody knows what to work out, and there are no workings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.base import Tokens
from tasks.gsm_infinite.compact_tokens import FIRST_NUMBER, ID, names
from tasks.gsm_infinite.graphs import Graphs
from tasks.gsm_infinite.problem import Problem
from tasks.ragged import ABSENT, pack

COMPACT_STEP, WORDS_STEP = 5, 64
"""Tokens that a step is given room for: a name of 3, its value and a sign; in words more than most take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CompactSource:
    """What workings of compact problems are made from."""

    graphs: Graphs
    ends: Tokens  # [B, S] how many tokens are read with each sentence


def compact(source: CompactSource, borders: Sequence[int], steps: int, pad: int) -> dict[int, Tokens]:
    """Each needed quantity with its value, `N k3 p2 12 ;`, by window that is read: [B, 5 `steps`].

    Args:
        source: The problems, forward.
        borders: How many tokens are read with each window.
        steps: Most needed quantities.
        pad: The token behind the last step.
    """
    graphs = source.graphs
    rows, places = np.nonzero(graphs.order >= 0)
    read_with = np.zeros(graphs.role.shape, dtype=np.int64)  # a total has no sentence
    read_with[rows, graphs.order[rows, places]] = source.ends[rows, places]
    known_with = np.maximum.accumulate(np.where(graphs.needed, read_with, 0), axis=1)
    value, end = FIRST_NUMBER + graphs.value, np.full(graphs.role.shape, ID[";"])
    slots = np.concatenate([names(graphs)[:, :-1], value[..., None], end[..., None]], axis=2)
    notes = {}
    for number, border in enumerate(borders):
        known = graphs.needed & (known_with <= border)
        present = known[..., None] & (slots != ABSENT)
        notes[number] = pack(slots, present, COMPACT_STEP * steps, pad)
    return notes


def in_words(
    problems: Sequence[Problem],
    prompts: Sequence[str],
    borders: Sequence[int],
    width: int,
    encode: Callable[[str], Tokens],
    pad: int,
) -> dict[int, Tokens]:
    """The lines of the solution, by window that is read: [B, `width`], as many tokens of them as there is room for.

    Args:
        problems: Forward, in sentences.
        prompts: What is read of each, padded on the left to the same end.
        borders: How many tokens are read with each window, counted from that end: 0 or less. Where an answer has
            several, all but the last of them stand behind the prompt, and a step may come a few tokens late.
        width: Room.
        encode: Tokens of a text.
        pad: The token behind the last step.
    """
    notes = {number: np.full((len(problems), width), pad, dtype=np.int64) for number in range(len(borders))}
    for b, (problem, text) in enumerate(zip(problems, prompts, strict=True)):
        lines = problem.solution.splitlines()
        ends = [
            text.find(sentence := _sentence(line)) + len(sentence) if _sentence(line) in text else 0 for line in lines
        ]
        behind = _tokens_behind(text, ends, encode)
        known_with = np.maximum.accumulate([-behind[end] if end else -len(text) for end in ends])
        tokens = [encode(f" {line}") for line in lines]
        for number, border in enumerate(borders):
            steps = [step for step, known in zip(tokens, known_with, strict=True) if known <= border]
            line = np.concatenate([*steps, np.empty(0, dtype=np.int64)])[:width]
            notes[number][b, : len(line)] = line
    return notes


def _sentence(line: str) -> str:
    """The sentence that a step is about: all of it, or what is said before it is worked out."""
    sentence, worked, _ = line.partition(": ")
    return f"{sentence}." if worked else sentence


def _tokens_behind(text: str, ends: Sequence[int], encode: Callable[[str], Tokens]) -> dict[int, int]:
    """How many tokens of a text stand behind each of some places in it; each part is cut by itself."""
    places = sorted({end for end in ends if end})
    behind, count = {}, 0
    for start, stop in reversed(list(zip(places, [*places[1:], len(text)], strict=True))):
        count += len(encode(text[start:stop]))
        behind[start] = count
    return behind
