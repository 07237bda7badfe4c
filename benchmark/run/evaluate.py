"""Scores of a model on held-out examples: per difficulty, for each answer of the episode and for all of them."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.base import Model
from benchmark.forward import Batch, autocast, evaluating, predict, split_windows, token_losses
from benchmark.rows.scores import Score
from tasks.base import IGNORE, Episode, Task

TEST_BATCH = 1024
"""Held-out examples scored at once; it bounds memory and changes no score."""

TEST_SEED = 0
"""Every cell, whatever its own seed, is tested on the same held-out examples."""


@torch.no_grad()
def evaluate(
    model: Model,
    task: Task,
    *,
    examples: int,
    passes: int,
    device: torch.device,
    precision: str,
    split: str = "test",
    at_once: int = TEST_BATCH,
) -> list[Score]:
    """Score the first `examples` held-out examples of a split, predicting each answer in a single pass."""
    parts = []
    for start in range(0, examples, at_once):
        episode = task.episodes(split, np.arange(start, min(start + at_once, examples)), seed=TEST_SEED)
        batch = Batch.of(episode, device)
        with evaluating(model), autocast(device, precision):
            logits = predict(model, batch, passes)
        losses = token_losses(logits, batch.targets).double().cpu().numpy()
        right = (logits.argmax(-1) == batch.targets).cpu().numpy()
        parts.append((_predicted(episode, episode.difficulty), _predicted(episode, episode.answer), losses, right))
    difficulty, answer, losses, right = (np.concatenate(part) for part in zip(*parts, strict=True))
    return list(_scores(difficulty, answer, losses, right, joint=task.joint))


def _predicted(episode: Episode, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values [B, T] at the predicted windows [B, P]; -1 where there is no target."""
    values = np.where(episode.targets == IGNORE, -1, values)
    return np.concatenate([values[:, a:b] for a, b, asked in split_windows(episode) if asked], axis=1)


def _scores(
    difficulty: NDArray[np.int64],
    answer: NDArray[np.int64],
    losses: NDArray[np.float64],
    right: NDArray[np.bool_],
    *,
    joint: bool,
) -> Iterator[Score]:
    """Scores from per-token results, all [examples, P]."""

    def solved(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which examples have tokens in the mask, and which of those have all of them right."""
        asked: NDArray[np.bool_] = np.logical_or.reduce(mask, axis=1)
        return asked, asked & np.logical_and.reduce(right | ~mask, axis=1)

    for level in np.unique(difficulty[difficulty >= 0]):
        at_level = difficulty == level
        answers = {int(which): at_level & (answer == which) for which in np.unique(answer[at_level])}
        each = {which: solved(mask) for which, mask in answers.items()}
        together = solved(at_level) if joint else (None, None)
        for name, mask in [(None, at_level), *answers.items()]:
            asked, correct = together if name is None else each[name]
            if asked is None or correct is None:
                match = np.concatenate([of_answer[wanted] for wanted, of_answer in each.values()])
            else:
                match = correct[asked]
            yield Score(
                difficulty=int(level),
                answer=name,
                n_examples=len(match),
                loss=float(losses[mask].mean()),
                token_accuracy=float(right[mask].mean()),
                exact_match=float(match.mean()),
                asked=asked,
                right=correct,
            )
