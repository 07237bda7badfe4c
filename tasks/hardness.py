"""How hard a task is without computing anything: floors, overlap of the splits and structure, counted per difficulty.

Two predictors that have read nothing are fitted to examples of training and scored on examples of test: `majority`
gives the most frequent answer, `question_only` the most frequent answer to the question (the majority where training
never asked it). Beside them stand the exact values that the task itself declares.

Where `Task.joint` holds, every answer is predicted from training answers of its own number and an example is right when
all are; elsewhere all answers of a difficulty are one population, and each counts alone.

A third predictor has read, but computes nothing: a table of the smallest part that fixes an answer, made of as many
training examples as a suite has. What it has met it answers rightly, and the rest with the most frequent answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks import rng
from tasks.base import SPLITS, Episode, Task, non_defaults
from tasks.export import chunks
from tasks.training_table import TrainingTable, training_table

QUESTION = "question"
"""The fact that says what is asked, for tasks that do not put the question just before the answer."""

MEASURES = {
    "chance": "exact match of a guess without computation on what was read, from the task",
    "majority_floor": "exact match of always the most frequent answer, from the task",
    "majority_measured": "the same, counted: the most frequent answer of training, scored on test",
    "question_only_floor": "exact match of a guess that sees the question alone, from the task",
    "question_only_measured": "the same, counted: the most frequent answer of training to the question",
    "test_in_train": "share of contents of test found among those of training",
    "validation_in_train": "share of contents of validation found among those of training",
    "test_in_validation": "share of contents of test found among those of validation",
    "training_examples": "examples that a table is made of: given, or the budget of the largest cpu suite",
    "determinants_in_train": "share of answers of test whose smallest part that fixes them is in one of those examples",
    "table": "exact match of that table; where it is 1, a difficulty asks for storage or a table, not for computation",
    "repeated_in_train": "share of contents of training met before in training",
    "repeated_in_test": "share of contents of test met before in test",
    "mean_...": "mean over the examples of test of what the task records of their structure",
}
"""What the rows measure."""

_PLACE_BITS = np.uint64(32)  # bits below the place of a token in its word: token ids are smaller
_NONE = np.uint64(0)

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What the examples of one split at one difficulty are counted by.

    Attributes:
        questions: Code [B, answers] of what is asked.
        answers: Code [B, answers] of the answer; whole words are one code.
        asked: [B, answers] Whether the example has that answer.
        content: [B * C] Hashes of what a split owns.
        determinants: [B, answers] Hashes of what fixes each answer; None where the task does not say.
        facts: Mean of every numeric fact.
    """

    questions: rng.Words
    answers: rng.Words
    asked: NDArray[np.bool_]
    content: rng.Words
    determinants: rng.Words | None
    facts: dict[str, float]


def measure_all(
    task: Task, examples: int, training: int, advance: Callable[[int], object] = lambda count: None
) -> Iterator[Row]:
    """The rows of `measure` at every difficulty that tables show, with a table of `training` training examples.

    A task that mixes difficulties in training is met once, as it is; of another, the training is that of each level.
    """
    table: TrainingTable | None = None
    for level in task.landmarks:
        if table is None or len(task.levels) == 1:
            table = training_table(task if len(task.levels) > 1 else task.at(level), training, advance)
        yield from measure(task, level, examples, advance, table)


def measure(
    task: Task,
    level: int,
    examples: int,
    advance: Callable[[int], object] = lambda count: None,
    table: TrainingTable | None = None,
) -> list[Row]:
    """One row per measure, of `examples` examples of each split with all answers at one difficulty.

    Every measure is a share or a mean; `test_in_train` is the share of contents of test found among those of training.
    Those of `table` are left out where there is no table. `advance` hears the number of examples after each piece.
    """
    at = task.at(level)
    samples = {split: _sample(at, split, examples, advance) for split in SPLITS}
    train, validation, test = (samples[split] for split in ("train", "validation", "test"))
    floors = at.floors(level)
    guesses = {"majority": np.zeros_like(test.questions), "question_only": test.questions}
    known = {"majority": np.zeros_like(train.questions), "question_only": train.questions}
    values: dict[str, float] = {"chance": at.chance(level)}
    for name in guesses:
        values[f"{name}_floor"] = floors[name]
        values[f"{name}_measured"] = _accuracy(known[name], train, guesses[name], test, joint=task.joint)
    values |= {
        "test_in_train": _share_in(test.content, train.content),
        "validation_in_train": _share_in(validation.content, train.content),
        "test_in_validation": _share_in(test.content, validation.content),
        **(_table_scores(table, train, test, joint=task.joint) if table else {}),
        "repeated_in_train": _repeat_share(train.content),
        "repeated_in_test": _repeat_share(test.content),
        **{f"mean_{name}": mean for name, mean in test.facts.items()},
    }
    settings = " ".join(f"{name}={value}" for name, value in non_defaults(task).items())
    same: Row = {"task": task.name, "version": task.version, "settings": settings}
    same |= {"axis": task.axis, "difficulty": level, "examples": examples}
    return [same | {"measure": name, "value": float(value)} for name, value in values.items()]


def _sample(task: Task, split: str, examples: int, advance: Callable[[int], object]) -> Sample:
    parts: list[tuple[NDArray[Any], ...]] = []
    fixing: list[rng.Words] = []
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for indices in chunks(task, examples):
        episode = task.episodes(split, indices)
        parts.append((*_codes(episode, task.answers), episode.content))
        if (hashes := task.determinants(episode)) is not None:
            fixing.append(hashes)
        for name, fact in episode.facts.items():
            if name != QUESTION and fact.dtype.kind in "biuf":
                sums[name] = sums.get(name, 0) + fact.sum(dtype=np.float64).item()
                counts[name] = counts.get(name, 0) + fact.size
        advance(len(indices))
    questions, answers, asked, content = (np.concatenate(part) for part in zip(*parts, strict=True))
    means = {name: sums[name] / counts[name] for name in sums}
    return Sample(
        questions=questions,
        answers=answers,
        asked=asked,
        content=content.reshape(-1),
        determinants=np.concatenate(fixing) if fixing else None,
        facts=means,
    )


def _codes(episode: Episode, answers: int) -> tuple[rng.Words, rng.Words, NDArray[np.bool_]]:
    """Codes of questions and answers, and which are there, each [B, answers].

    A question is the fact `question` where there is one, else the tokens nearest before the answer, within predicted
    windows, that are no answer themselves.
    """
    answered: NDArray[np.bool_] = np.zeros(episode.answer.shape, np.bool_)
    for start in range(0, answered.shape[1], episode.window):
        part = slice(start, start + episode.window)
        answered[:, part] = (episode.answer[:, part] >= 0).any()
    visible = (episode.answer[:, :-1] >= 0) & (episode.inputs[:, 1:] == episode.targets[:, :-1])
    answered[:, 1:] &= ~visible  # the answer that was predicted one token before

    begins = answered.copy()
    begins[:, 1:] &= ~answered[:, :-1]
    run = np.cumsum(begins, axis=1)  # at an answer's token: the number of the run before it
    columns = np.flatnonzero(answered.any(axis=0) | (episode.answer >= 0).any(axis=0))
    runs = np.where(answered, run, 0)[:, columns]
    inputs, targets, number = (array[:, columns] for array in (episode.inputs, episode.targets, episode.answer))
    run = run[:, columns]

    shape = (len(inputs), answers)
    asked: NDArray[np.bool_] = np.zeros(shape, np.bool_)
    codes, questions = np.zeros(shape, np.uint64), np.zeros(shape, np.uint64)
    for j in range(answers):
        mine = number == j
        asked[:, j] = mine.any(axis=1)
        codes[:, j] = _word(targets, mine)
        first = run[np.arange(len(run)), mine.argmax(axis=1)]
        questions[:, j] = _word(inputs, runs == first[:, None])
    if QUESTION in episode.facts:
        fact = episode.facts[QUESTION].astype(np.uint64)
        questions[:] = fact.reshape(len(fact), -1)
    return questions, codes, asked


def _word(tokens: NDArray[np.int64], where: NDArray[np.bool_]) -> rng.Words:
    """Code [B] of the tokens [B, T] that `where` picks, in their order."""
    place = np.cumsum(where, axis=1).astype(np.uint64) << _PLACE_BITS
    words: rng.Words = np.where(where, rng.mix(place | tokens.astype(np.uint64)), _NONE).sum(axis=1, dtype=np.uint64)
    return words


def _accuracy(known: rng.Words, train: Sample, asked: rng.Words, test: Sample, *, joint: bool) -> float:
    """Share of answers of test (of whole examples, if `joint`) that a table of training answers gets right.

    The table is made with the keys `known` [B, answers] of training and asked with the keys `asked` of test.
    """
    return _exact(_right_answers(known, train, asked, test, joint=joint), test, joint=joint)


def _right_answers(
    known: rng.Words, train: Sample, asked: rng.Words, test: Sample, *, joint: bool
) -> NDArray[np.bool_]:
    """Which answers [B, answers] of test that table gets right."""
    right: NDArray[np.bool_] = np.zeros_like(test.asked)
    for columns in np.arange(right.shape[1])[:, None] if joint else [np.arange(right.shape[1])]:
        there = train.asked[:, columns]
        keys, best = _most_frequent(known[:, columns][there], train.answers[:, columns][there])
        _, fallback = _most_frequent(np.zeros(there.sum(), np.uint64), train.answers[:, columns][there])
        right[:, columns] = _look_up(keys, best, fallback, asked[:, columns]) == test.answers[:, columns]
    return right


def _exact(right: NDArray[np.bool_], test: Sample, *, joint: bool) -> float:
    """Share of answers of test, of whole examples if `joint`, that are right."""
    hits = (right | ~test.asked).all(axis=1) if joint else right[test.asked]
    return np.count_nonzero(hits) / max(1, hits.size)


def _table_scores(table: TrainingTable, train: Sample, test: Sample, *, joint: bool) -> dict[str, float]:
    """How many answers of test a table of what fixes them has met, and its exact match."""
    assert test.determinants is not None
    repeated: NDArray[np.bool_] = np.isin(test.determinants, table.determinants) & test.asked
    guessed = _right_answers(np.zeros_like(train.questions), train, np.zeros_like(test.questions), test, joint=joint)
    return {
        "training_examples": table.examples,
        "determinants_in_train": float(repeated.sum() / max(1, int(test.asked.sum()))),
        "table": _exact(repeated | guessed, test, joint=joint),
    }


def _most_frequent(keys: rng.Words, values: rng.Words) -> tuple[rng.Words, rng.Words]:
    """The different keys, rising, and for each the value it is met with most often; of equals, the smallest."""
    pairs, counts = np.unique(np.stack([keys, values], axis=1), axis=0, return_counts=True)
    pairs = pairs[np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))]
    different, first = np.unique(pairs[:, 0], return_index=True)
    return different, pairs[first, 1]


def _look_up(keys: rng.Words, values: rng.Words, fallback: rng.Words, asked: rng.Words) -> rng.Words:
    """The value of each key asked (any shape), or the one fallback; no training answer at all matches none."""
    if not len(keys):
        return np.full(asked.shape, _NONE)
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], fallback[0])


def _share_in(these: rng.Words, those: rng.Words) -> float:
    return np.count_nonzero(np.isin(these, those)) / these.size


def _repeat_share(content: rng.Words) -> float:
    """Share of contents that an earlier example, or an earlier place of the same one, has had."""
    return (content.size - np.unique(content).size) / content.size
