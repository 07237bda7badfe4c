"""What a guesser gets right that has not read a problem: measured on answers."""

import numpy as np
from numpy.typing import ArrayLike


def floors_of(answers: ArrayLike, questions: ArrayLike) -> dict[str, float]:
    """The shares of answers [B] that the most frequent one, overall and per kind of question [B], gets right."""
    answers, questions = np.asarray(answers), np.asarray(questions)
    by_question = [np.bincount(answers[questions == kind]).max() for kind in np.unique(questions)]
    return {
        "majority": float(np.bincount(answers).max() / len(answers)),
        "question_only": float(sum(by_question) / len(answers)),
    }
