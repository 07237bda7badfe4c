"""What the tasks of GSM-Infinite share: problems of several operation counts, one answer each."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from tasks.base import Task, check_whole
from tasks.gsm_infinite.generator.shape import MOST_OPERATIONS


@dataclass(frozen=True, kw_only=True)
class CountedTask(Task):
    """Problems of `least_operations` to `most_operations` operations, each count as often as any other.

    Held out by content: the core problem, with names, order and filler removed, belongs to one split.
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
