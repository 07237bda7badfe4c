"""The wording of problems and the way back to their graphs, the worked solution, the nouns, the vocabulary."""

import re
from typing import Any

import numpy as np
import pytest

from tasks import rng
from tasks.gsm_infinite.generator import Shape, draw
from tasks.gsm_infinite.graphs import COUNT, NONE, PRODUCT, RATE, TOTAL, VALUE_SENTENCE, Graphs
from tasks.gsm_infinite.language import parse, render, sentence, wordings
from tasks.gsm_infinite.solution import solution
from tasks.gsm_infinite.themes import CORE, FILLER, THEMES, Names, draw_names, names_in_order
from tasks.gsm_infinite.tokenizer import WordTokenizer

ANIMALS = names_in_order(THEMES["animals"])
SETTINGS = [(subset, mode) for subset in ("medium", "hard") for mode in ("forward", "reverse")]


def graph(*quantities: tuple[Any, ...], asked: int, answer: int = 0, given: int = NONE, end: int = 0) -> Graphs:
    """One problem; a quantity is (role, kind, place[, operands[, constant[, what is done]]]), `end` the value given."""
    rows = [(*q, *((), 0, "")[len(q) - 3 :]) for q in quantities]
    stated = [q for q, row in enumerate(rows) if row[0] in (COUNT, RATE)]
    width = max(len(row[3]) for row in rows)
    return Graphs(
        role=np.array([[row[0] for row in rows]]),
        kind=np.array([[row[1] for row in rows]]),
        place=np.array([[row[2] for row in rows]]),
        constant=np.array([[row[4] for row in rows]]),
        times=np.array([["times" in row[5] for row in rows]]),
        difference=np.array([["difference" in row[5] for row in rows]]),
        operands=np.array([[[*row[3], *[NONE] * (width - len(row[3]))] for row in rows]]).reshape(1, len(rows), width),
        value=np.array([[{asked: answer, given: end}.get(q, 0) for q in range(len(rows))]]),
        needed=np.zeros((1, len(rows)), bool),
        order=np.array([stated + [VALUE_SENTENCE] * (given != NONE)]),
        asked=np.array([asked]),
        given=np.array([given]),
        operations=np.zeros(1, np.int64),
        content=np.zeros(1, np.uint64),
        determinant=np.zeros(1, np.uint64),
        filler_kind=CORE,
        filler_place=CORE,
    )


# Of these phrases, every form of sentence uses the first three.
A = "the number of adult badger in Willow Marsh"
B = "the average number of newborn children per adult stoat in Granite Gully"
C = "the total number of adult animals in Granite Gully"
D = "the total number of newborn animal children in Willow Marsh"
USED = [(COUNT, 0, 0, (), 4), (RATE, 1, 1, (), 3), (TOTAL, NONE, 1), (PRODUCT, NONE, 0)]
FORMS = {
    ((), 2, ""): "2",
    ((0,), 0, ""): A,
    ((1,), 1, ""): f"1 plus {B}",
    ((2,), 4, "times"): f"4 times {C}",
    ((0, 1), 0, ""): f"the sum of {A} and {B}",
    ((2, 0), 3, ""): f"3 plus the sum of {C} and {A}",
    ((0, 0), 3, "times"): f"3 times the sum of {A} and {A}",
    ((1, 3), 0, "difference"): f"the difference between {B} and {D}",
    ((3, 0), 2, "difference"): f"2 plus the difference between {D} and {A}",
    ((3, 0), 2, "difference, times"): f"2 times the difference between {D} and {A}",
    ((0, 1, 2), 0, ""): f"the sum of {A}, {B}, and {C}",
    ((0, 1, 2, 3), 4, "times"): f"4 times the sum of {A}, {B}, {C}, and {D}",
}


@pytest.mark.parametrize(("form", "right"), FORMS.items(), ids=list(FORMS.values()))
def test_sentences(form: tuple[Any, ...], right: str) -> None:
    text, question = render(graph(*USED, (COUNT, 2, 7, *form), asked=2), 0, ANIMALS)
    assert text == (
        "The number of adult badger in Willow Marsh equals 4. "
        "The average number of newborn children per adult stoat in Granite Gully equals 3. "
        f"The number of adult woodpecker in Chalk Quarry equals {right}."
    )
    assert question == "What is the total number of adult animals in Granite Gully?"


def test_reverse_sentences_and_questions() -> None:
    count = graph((COUNT, 0, 0), (TOTAL, NONE, 0), asked=0, given=1, end=14)
    assert render(count, 0, ANIMALS) == (
        "The number of adult badger in Willow Marsh exists, and its number is greater than 0. "
        "The total number of adult animals in Willow Marsh equals 14.",
        "How many adult badger does Willow Marsh have?",
    )
    rate = graph((RATE, 0, 0), asked=0, given=0, end=3)
    assert render(rate, 0, names_in_order(THEMES["schools"])) == (
        "The average number of teachers per music school in Lindenport is greater than 0. "
        "The average number of teachers per music school in Lindenport equals 3.",
        "What is the average number of teachers per music school in Lindenport?",
    )


@pytest.mark.parametrize(
    ("theme", "role", "question"),
    [
        ("animals", TOTAL, "What is the total number of adult animals in Willow Marsh?"),
        ("animals", PRODUCT, "What is the total number of newborn animal children in Willow Marsh?"),
        ("schools", TOTAL, "What is the total number of schools in Lindenport?"),
        ("schools", PRODUCT, "What is the total number of teachers from all schools in Lindenport?"),
        ("movies", TOTAL, "What is the total number of movies in Harbour Film Week?"),
        ("movies", PRODUCT, "What is the total number of movie nominations in Harbour Film Week?"),
        ("movies", RATE, "What is the average number of nominations per slapstick comedy in Harbour Film Week?"),
        ("movies", COUNT, "How many slapstick comedy does Harbour Film Week have?"),
    ],
)
def test_published_phrases(theme: str, role: int, question: str) -> None:
    asked = (role, 0 if role in (COUNT, RATE) else NONE, 0)
    assert render(graph((COUNT, 1, 1, (), 1), asked, asked=1), 0, names_in_order(THEMES[theme]))[1] == question


def canonical(graphs: Graphs, b: int, names: Names) -> dict[str, Any]:
    """All that a text says, with quantities known by role and names instead of numbers."""

    def name(q: int) -> tuple[int, str, str] | str:
        if q == NONE:
            return "none"
        role, kind, place = (int(array[b, q]) for array in (graphs.role, graphs.kind, graphs.place))
        return role, names.kinds[kind] if role in (COUNT, RATE) else "", names.places[place]

    asked, given = int(graphs.asked[b]), int(graphs.given[b])
    stated = [q for q in graphs.order[b].tolist() if q >= 0]
    return {
        "order": ["given" if q == VALUE_SENTENCE else name(q) for q in graphs.order[b].tolist() if q != NONE],
        "stated": {
            name(q): (
                0 if q == asked and given != NONE else int(graphs.constant[b, q]),
                bool(graphs.times[b, q]),
                bool(graphs.difference[b, q]),
                [name(p) for p in graphs.operands[b, q].tolist() if p != NONE],
            )
            for q in stated
        },
        "asked": name(asked),
        "given": (name(given), given != NONE and int(graphs.value[b, given])),
        "filler": {name(q) for q in stated if graphs.place[b, q] >= graphs.filler_place},
    }


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("subset", "mode"), SETTINGS)
def test_parse_is_the_inverse_of_render(subset: str, mode: str, theme: str) -> None:
    indices = np.arange(96)
    shape = Shape(subset=subset, mode=mode, filler_kinds=FILLER)
    key = rng.stream("round trip", theme)
    graphs, _ = draw(shape, 2 + indices % 15, "train", indices, key, filler=60)
    listed = draw_names([THEMES[theme]], key, indices, shape.kinds, shape.places, filler=True)
    for b, names in enumerate(listed):
        text, question = render(graphs, b, names)
        parsed = parse(text, question, THEMES[theme])
        assert canonical(parsed, 0, names_in_order(THEMES[theme])) == canonical(graphs, b, names)
        assert render(parsed, 0, names_in_order(THEMES[theme])) == (text, question)


def test_parse_takes_every_form() -> None:
    for form in FORMS:
        text, question = render(graph(*USED, (COUNT, 2, 7, *form), asked=2), 0, ANIMALS)
        assert render(parse(text, question, ANIMALS.theme), 0, ANIMALS) == (text, question)


@pytest.mark.parametrize(
    "text",
    [
        "The number of adult badger in Willow Marsh is 4.",
        "The number of adult badger in Lindenport equals 4.",
        "The number of music school in Willow Marsh equals 4.",
        "The number of adult badger in Willow Marsh equals 4 plus 3.",
    ],
)
def test_parse_refuses_other_texts(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse(text, "How many adult badger does Willow Marsh have?", ANIMALS.theme)


def test_themes_can_be_told_apart() -> None:
    for theme in THEMES.values():
        for core, filler in ((theme.kinds, theme.filler_kinds), (theme.places, theme.filler_places)):
            assert (len(core), len(filler)) == (CORE, FILLER)
            names = [*core, *filler]
            assert len(set(names)) == len(names)
            assert all(re.fullmatch(r"[A-Za-z]+( [A-Za-z]+)*", name) for name in names)
            # A name inside another, or a word of the sentences inside a name, could be read in two ways.
            assert not [(a, b) for a in names for b in names if a != b and f" {a} " in f" {b} "]
            assert not {word for name in names for word in name.split()} & {"in", "and", "the", "per", "of", "have"}
            # Filler shares no word with the core, but the "adult" of all animals.
            assert {w for n in core for w in n.split()} & {w for n in filler for w in n.split()} <= {"adult"}


def test_names_are_shuffled_and_those_of_the_core_do_not_depend_on_filler() -> None:
    key, indices = rng.stream("names"), np.arange(400)
    plain = draw_names(list(THEMES.values()), key, indices, 3, CORE)
    filled = draw_names(list(THEMES.values()), key, indices, 3, CORE, filler=True)
    for a, b in zip(plain, filled, strict=True):
        assert (a.theme, a.kinds, a.places) == (b.theme, b.kinds[:3], b.places[:CORE])
        assert set(b.kinds[3:]) == set(b.theme.filler_kinds)
        assert set(b.places[CORE:]) == set(b.theme.filler_places)
    assert {names.theme.name for names in plain} == set(THEMES)
    assert {names.kinds[0] for names in plain} == {kind for theme in THEMES.values() for kind in theme.kinds}


def worked(graphs: Graphs) -> str:
    (problem,) = wordings(graphs, [ANIMALS])
    return solution(problem, {q: sentence(problem, q) for q in problem.order})


def test_solution_in_words() -> None:
    forward = graph(
        (COUNT, 0, 0, (), 3),
        (COUNT, 1, 0, (0,), 2, "times"),
        (RATE, 0, 0, (1, 0), 4, "difference"),
        (RATE, 1, 0, (), 2),
        (PRODUCT, NONE, 0),
        asked=4,
        answer=33,
    )
    counts = "number of adult badger in Willow Marsh", "number of adult stoat in Willow Marsh"
    rates = [f"average number of newborn children per adult {kind} in Willow Marsh" for kind in ("badger", "stoat")]
    assert worked(forward).split("\n") == [
        f"The {counts[0]} equals 3.",
        f"The {counts[1]} equals 2 times the {counts[0]}: 2 * 3 = 6.",
        f"The {rates[0]} equals 4 plus the difference between the {counts[1]} and the {counts[0]}: 4 + (6 - 3) = 7.",
        f"The {rates[1]} equals 2.",
        "The total number of newborn animal children in Willow Marsh is the sum over adult badger and adult stoat: "
        "3 * 7 + 6 * 2 = 33.",
        "Answer: 33.",
    ]
    total = "total number of adult animals in Willow Marsh"
    reverse = graph((COUNT, 0, 0), (COUNT, 1, 0, (0, 0), 2), (TOTAL, NONE, 0), asked=0, answer=4, given=2, end=14)
    assert worked(reverse).split("\n") == [
        f"Let x be the {counts[0]}.",
        f"The {counts[1]} equals 2 plus the sum of the {counts[0]} and the {counts[0]}: 2 + (x + x) = 2 * x + 2.",
        f"The {total} is the sum over adult badger and adult stoat: x + (2 * x + 2) = 3 * x + 2.",
        f"The {total} equals 14, so 3 * x + 2 = 14, so 3 * x = 12, so x = 4.",
        "Answer: 4.",
    ]
    falling = graph(
        *((COUNT, 0, 0), (COUNT, 1, 0, (), 4), (COUNT, 2, 0, (1,), 2, "times")),
        (COUNT, 3, 0, (2, 0), 0, "difference"),
        asked=0,
        answer=2,
        given=3,
        end=6,
    )
    assert worked(falling).split("\n")[-2:] == [
        "The number of adult toad in Willow Marsh equals 6, so 8 - x = 6, so x = 2.",
        "Answer: 2.",
    ]
    leaf = graph((COUNT, 0, 0), asked=0, answer=3, given=0, end=3)
    assert worked(leaf).split("\n") == [
        f"Let x be the {counts[0]}.",
        f"The {counts[0]} equals 3, so x = 3.",
        "Answer: 3.",
    ]


def test_vocabulary() -> None:
    words = WordTokenizer()
    assert len(set(words.vocabulary)) == words.vocab_size < 1500
    assert words.encode("The number equals 1000.") == [
        words.vocabulary.index(token) for token in ("The", "number", "equals", "1000", ".")
    ]
    assert len(words.encode("V012345 = 7")) == 9
    for text, match in {
        "adult bagder": "mean 'badger'",
        "zebra!": "'zebra'",
        "1001": r"-64\.\.1000; given 1001",
    }.items():
        with pytest.raises(ValueError, match=match):
            words.encode(text)
