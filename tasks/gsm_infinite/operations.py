"""What the tasks of GSM-Infinite share: problems of several operation counts, one answer each."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks import rng
from tasks.base import Episode, Task, check_whole
from tasks.gsm_infinite.generator.shape import MOST_OPERATIONS
from tasks.gsm_infinite.graphs import NONE, Graphs, Numbers

DETERMINANT = "determinant"
"""The fact that says what fixes an answer: a hash in hexadecimal, so that nobody takes a mean of it."""

SEEN, GUESSED = 1 << 15, 1 << 13
"""Problems of training that a table is made from, about what a run at scale `cpu` reads of each number of operations;
and those of validation that shortcuts are measured on."""


@dataclass(frozen=True, kw_only=True)
class CountedTask(Task):
    """Problems of `least_operations` to `most_operations` operations, each count as often as any other.

    Held out by content: the core problem, with names, order and filler removed, belongs to one split. What fixes the
    answer is less, the part of it that is needed, and that is in problems of every split among other distractors: see
    `shortcuts`. Only symbolic problems are needed whole.
    """

    axis: ClassVar[str] = "operations"

    subset: str = "hard"
    mode: str = "forward"
    least_operations: int = 1
    most_operations: int = 8
    question_first: bool = True

    def __post_init__(self) -> None:
        """Refuse operation counts that no subset has."""
        check_whole("most_operations", self.most_operations, 1, MOST_OPERATIONS)
        check_whole("least_operations", self.least_operations, 1, self.most_operations, "most_operations")

    @property
    def answers(self) -> int:
        """One."""
        return 1

    @property
    def levels(self) -> tuple[int, ...]:
        """Every number of operations."""
        return tuple(range(self.least_operations, self.most_operations + 1))

    @property
    def worked(self) -> bool:
        """Whether windows that are read have workings: who reads knows what is asked, and steps are numbers."""
        return self.question_first and self.mode == "forward" and self.subset != "symbolic"

    def at(self, level: int) -> Self:
        """The same task with one number of operations."""
        return replace(self, least_operations=level, most_operations=level)

    def chance(self, difficulty: int, answer: int | None = None) -> float:
        """Share of the most frequent answer among problems of this many operations, measured; see `floors`."""
        return self.floors(difficulty, answer)["majority"]

    def floors(self, difficulty: int, answer: int | None = None) -> dict[str, float]:
        """Measured on training problems without filler; a question tells what kind of quantity it asks for."""
        check_whole("difficulty", difficulty, self.least_operations, self.most_operations)
        self.check_answer(answer)
        return self.at(difficulty).measured_floors()

    def shortcuts(self, difficulty: int) -> dict[str, float]:
        """How often a lone number is right, and a table of what is needed; measured. Symbolic problems have neither.

        `lone_number`: the most frequent of the numbers that quantities equal by themselves, the smallest of equals.
        `needed_table`: the needed part of a problem, without names, is looked up among those of 32,768 problems of
        training; what is new is guessed as a lone number. To use such a table the needed part must first be found: it
        is no less than the whole computation that it takes the place of, but a network that has a table for it need
        not compute. Both on 8,192 problems of validation without filler, which changes neither.
        """
        check_whole("difficulty", difficulty, self.least_operations, self.most_operations)
        return {} if self.subset == "symbolic" else dict(_shortcuts(self.at(difficulty)))

    def held_out(self, difficulty: int) -> str:
        """Trees, of symbolic problems; of others the needed part is in every split."""
        check_whole("difficulty", difficulty, self.least_operations, self.most_operations)
        return f"trees of {difficulty} variables" if self.subset == "symbolic" else ""

    def determinants(self, episode: Episode) -> rng.Words | None:
        """Hashes [B, 1] of the needed part of each problem; of symbolic ones of all of it, names included."""
        if DETERMINANT not in episode.facts:
            return None
        hashes = [int(word, 16) for word in episode.facts[DETERMINANT].tolist()]
        return np.array(hashes, dtype=np.uint64).reshape(-1, 1)

    @abstractmethod
    def graphs(self, split: str, count: int) -> Graphs:
        """The first problems of a split without filler, of a task of one operation count; none are symbolic."""

    @abstractmethod
    def measured_floors(self) -> dict[str, float]:
        """The floors of a task of one operation count."""


def floors_of(answers: ArrayLike, questions: ArrayLike) -> dict[str, float]:
    """The shares of answers [B] that the most frequent one, overall and per kind of question [B], gets right."""
    answers, questions = np.asarray(answers), np.asarray(questions)
    by_question = [np.bincount(answers[questions == kind]).max() for kind in np.unique(questions)]
    return {
        "majority": float(np.bincount(answers).max() / len(answers)),
        "question_only": float(sum(by_question) / len(answers)),
    }


def words_of(hashes: Iterable[int]) -> NDArray[np.str_]:
    """The fact `DETERMINANT` [B] from hashes."""
    return np.array([f"{word:016x}" for word in hashes], dtype="<U16")


def lone_number(graphs: Graphs) -> Numbers:
    """The most frequent [B] of the constants that quantities equal by themselves: a guess that takes no reasoning.

    In problems of few sentences it is often right where few operations are asked for.
    """
    alone = (graphs.constant > 0) & (graphs.operands[..., 0] == NONE)
    hidden = (np.arange(alone.shape[1]) == graphs.asked[:, None]) & (graphs.given != NONE)[:, None]
    counts = [(alone & ~hidden & (graphs.constant == k)).sum(axis=1) for k in range(1, 5)]
    guess: Numbers = 1 + np.argmax(counts, axis=0)
    return guess


@cache
def _shortcuts(task: CountedTask) -> tuple[tuple[str, float], ...]:
    """The shortcuts of a task of one level."""
    training, tests = task.graphs("train", SEEN).determinant, task.graphs("validation", GUESSED)
    lone = lone_number(tests) == tests.answer
    repeated = np.isin(tests.determinant, training)
    return ("lone_number", float(lone.mean())), ("needed_table", float((repeated | lone).mean()))
