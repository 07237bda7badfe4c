"""Problems in words, and back: the sentences of a graph in the published wording, and the graph of a text.

    The number of adult toad in Reed Pond equals 3 plus the number of adult stork in Chalk Quarry.
    The number of adult stork in Chalk Quarry exists, and its number is greater than 0.
    The total number of adult animals in Reed Pond equals 14.
    How many adult stork does Chalk Quarry have?

One such sentence per stated quantity, in the order of the graph; the second and third are of the reverse mode: the
unknown, and the end quantity with its value. `parse` reads what `render` writes; `reading` reads any text in this
wording.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.gsm_infinite.graphs import COUNT, NONE, PRODUCT, RATE, TOTAL, VALUE_SENTENCE, Graphs
from tasks.gsm_infinite.themes import Names, Theme, names_in_order

_EXISTS = " exists, and its number is greater than 0"
_POSITIVE = " is greater than 0"  # rates are not introduced by a sentence


_COLUMNS = ("role", "kind", "place", "constant", "times", "difference", "value", "operands")


@dataclass(frozen=True, slots=True)
class Wording:
    """One problem as Python lists, as in `Graphs` but without padding, and the phrase of each quantity."""

    names: Names
    order: list[int]
    asked: int
    given: int
    core: int  # quantities of the core; those of the filler are numbered from here on
    phrases: list[str]  # without the article
    role: list[int]
    kind: list[int]
    place: list[int]
    constant: list[int]
    times: list[bool]
    difference: list[bool]
    value: list[int]
    operands: list[list[int]]  # padded
    used: list[int]  # how many operands there are


def wordings(graphs: Graphs, names: Sequence[Names], problems: slice = slice(None)) -> list[Wording]:
    """The `problems` of a batch, each with the names at its place in `names`."""
    exists, stands = graphs.role[problems] != NONE, graphs.order[problems] != NONE
    used = (graphs.operands[problems] != NONE).sum(axis=2)
    columns = [getattr(graphs, name)[problems] for name in _COLUMNS]
    flat = [column[exists].tolist() for column in (*columns, used)]
    order = graphs.order[problems][stands].tolist()
    core = exists & (graphs.place[problems] < graphs.filler_place)
    counts = [mask.sum(axis=1).tolist() for mask in (exists, stands, core)]
    asked, ends = graphs.asked[problems].tolist(), graphs.given[problems].tolist()
    q = s = 0
    wordings = []
    for name, Q, S, C, a, g in zip(names, *counts, asked, ends, strict=True):
        lists = [column[q : q + Q] for column in flat]
        phrase, kinds, places = name.theme.phrase, name.kinds, name.places
        phrases = [phrase(r, kinds[k], places[p]) for r, k, p in zip(*lists[:3], strict=True)]
        wordings.append(Wording(name, order[s : s + S], a, g, C, phrases, *lists))
        q, s = q + Q, s + S
    return wordings


def sentence(problem: Wording, q: int) -> str:
    """The sentence of a stated quantity, or (q = GIVEN) the one that gives the value of the end quantity."""
    phrases = problem.phrases
    if q == VALUE_SENTENCE:
        return f"The {phrases[problem.given]} equals {problem.value[problem.given]}."
    if q == problem.asked and problem.given != NONE:
        return f"The {phrases[q]}{_POSITIVE if problem.role[q] == RATE else _EXISTS}."
    operands, used, constant = problem.operands[q], problem.used[q], problem.constant[q]
    if not used:
        return f"The {phrases[q]} equals {constant}."
    if used == 1:
        inner = f"the {phrases[operands[0]]}"
    elif used == 2:
        how = "difference between" if problem.difference[q] else "sum of"
        inner = f"the {how} the {phrases[operands[0]]} and the {phrases[operands[1]]}"
    else:
        *most, last = [phrases[operand] for operand in operands[:used]]
        inner = f"the sum of the {', the '.join(most)}, and the {last}"
    if constant:
        inner = f"{constant} {'times' if problem.times[q] else 'plus'} {inner}"
    return f"The {phrases[q]} equals {inner}."


def question(problem: Wording) -> str:
    """What is asked of the sentences."""
    q = problem.asked
    if problem.role[q] == COUNT:
        return f"How many {problem.names.kinds[problem.kind[q]]} does {problem.names.places[problem.place[q]]} have?"
    return f"What is the {problem.phrases[q]}?"


def render(graphs: Graphs, b: int, names: Names) -> tuple[str, str]:
    """Problem `b` of a batch in words: its sentences, joined, and the question."""
    (problem,) = wordings(graphs, [names], slice(b, b + 1))
    return " ".join([sentence(problem, q) for q in problem.order]), question(problem)


_SENTENCE = re.compile(rf"The (.+?)(?: equals (.+)|{_EXISTS}|{_POSITIVE})")
_RIGHT = re.compile(r"(?:(\d+)(?: (plus|times) |$))?(?:the (sum of|difference between) )?(.*)")
_SEPARATOR = re.compile(r", and the |, the | and the ")
_COUNT_QUESTION = re.compile(r"How many (.+) does (.+) have\?")


class _Quantities:
    """Numbers quantities in the order in which they are met, kinds and places in that of the theme."""

    def __init__(self, theme: Theme) -> None:
        names = names_in_order(theme)
        self.places = {name: p for p, name in enumerate(names.places)}
        self.openings = {theme.phrase(role, "", ""): (role, NONE) for role in (TOTAL, PRODUCT)} | {
            theme.phrase(role, name, ""): (role, k) for role in (COUNT, RATE) for k, name in enumerate(names.kinds)
        }
        self.numbers: dict[tuple[int, int, int], int] = {}

    def number(self, phrase: str) -> int:
        """The number of a quantity, from its phrase without the article."""
        opening, inside, place = phrase.rpartition(" in ")
        if opening + inside not in self.openings or place not in self.places:
            raise ValueError(f"not a quantity of this theme: {phrase!r}")
        return self.numbers.setdefault((*self.openings[opening + inside], self.places[place]), len(self.numbers))


_Right = tuple[int, bool, bool, list[int]]  # constant, times, difference, operands


def _read_sentence(text: str, quantities: _Quantities) -> tuple[int, _Right | None]:
    """The quantity on the left, and the right-hand side; None: the quantity exists."""
    if not (match := _SENTENCE.fullmatch(text)):
        raise ValueError(f"not a sentence of a problem: {text!r}")
    q = quantities.number(match[1])
    if match[2] is None:
        return q, None
    constant, how, inner, rest = _RIGHT.fullmatch(match[2]).groups()  # type: ignore[union-attr]  # matches anything
    phrases = _SEPARATOR.split(rest.removeprefix("the ")) if rest else []
    operands = [quantities.number(phrase) for phrase in phrases]
    return q, (int(constant or 0), how == "times", inner == "difference between", operands)


def parse(problem: str, question: str, theme: Theme) -> Graphs:
    """The graph of one rendered problem (B = 1): the inverse of `render`.

    Kinds and places are numbered as in `themes.names_in_order`, quantities in the order in which they are met; totals
    that the text does not mention are left out. What cannot be read off the text is zero or false: the constant of the
    unknown, `needed`, `operations`, `content`, `determinant`, and `value` but that of the given quantity.

    Raises:
        ValueError: a sentence or question in another wording, or with names of another theme.
    """
    quantities = _Quantities(theme)
    sentences = [_read_sentence(text, quantities) for text in problem.removesuffix(".").split(". ")]
    match = _COUNT_QUESTION.fullmatch(question)
    phrase = theme.phrase(COUNT, match[1], match[2]) if match else question.removeprefix("What is the ").rstrip("?")
    asked = quantities.number(phrase)

    mentions, size = Counter(q for q, _ in sentences), len(quantities.numbers)
    role, kind, place = np.array(list(quantities.numbers), dtype=np.int64).T[:, None]
    most = max(len(right[3]) if right else 0 for _, right in sentences)
    constant, value = np.zeros((2, 1, size), dtype=np.int64)
    times, difference, needed = np.zeros((3, 1, size), dtype=np.bool_)
    operands = np.full((1, size, most), NONE)
    end, order = NONE, []
    for q, right in sentences:
        # Only the end quantity of the reverse mode has a sentence that is not its definition.
        if right and not right[3] and (mentions[q] > 1 or role[0, q] in (TOTAL, PRODUCT)):
            end, value[0, q] = q, right[0]
            order.append(VALUE_SENTENCE)
            continue
        order.append(q)
        if right:
            constant[0, q], times[0, q], difference[0, q] = right[:3]
            operands[0, q, : len(right[3])] = right[3]
    return Graphs(
        role=role,
        kind=kind,
        place=place,
        constant=constant,
        times=times,
        difference=difference,
        operands=operands,
        value=value,
        needed=needed,
        order=np.array([order]),
        asked=np.array([asked]),
        given=np.array([end]),
        operations=np.zeros(1, dtype=np.int64),
        content=np.zeros(1, dtype=np.uint64),
        determinant=np.zeros(1, dtype=np.uint64),
        filler_kind=len(theme.kinds),
        filler_place=len(theme.places),
    )
