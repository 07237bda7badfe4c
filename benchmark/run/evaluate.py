"""Scores of a model on held-out examples: per difficulty, for each answer of the episode and for all of them."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.base import Model
from baselines.report import Report
from benchmark.forward import Batch, autocast, eval_mode, notes_of, predict, split_windows, token_losses
from benchmark.rows.scores import Score
from tasks.base import IGNORE, Episode, Task

TEST_BATCH = 1024
"""Held-out examples scored at once; it bounds memory and changes no score."""

TEST_SEED = 0
"""Every cell, whatever its own seed, is tested on the same held-out examples."""


KEPT_BYTES = 1 << 25
"""What the held-out examples of a task may take in memory to be kept for the next test."""


class HeldOut:
    """The first `examples` held-out examples of a task, kept from the first test to the next ones if they are small.

    Attributes:
        task: The task.
        examples: How many.
        split: "validation" or "test".
        at_once: How many are tested at once; by default `TEST_BATCH`.
    """

    def __init__(self, task: Task, examples: int, split: str = "test", at_once: int | None = None) -> None:
        self.task, self.examples, self.split, self.at_once = task, examples, split, at_once or TEST_BATCH
        self.batches: list[Episode] = []

    def episodes(self) -> Iterator[Episode]:
        """Batches of at most `at_once`, in order."""
        if self.batches:
            yield from self.batches
            return
        keeps = 4 * 8 * self.examples * self.task.seq_len <= KEPT_BYTES
        batches = []
        for start in range(0, self.examples, self.at_once):
            indices = np.arange(start, min(start + self.at_once, self.examples))
            episode = self.task.episodes(self.split, indices, seed=TEST_SEED)
            batches += [episode] if keeps else []
            yield episode
        self.batches = batches


@torch.no_grad()
def evaluate(
    model: Model,
    held_out: HeldOut,
    *,
    passes: int,
    device: torch.device,
    precision: str,
    report_means: dict[str, float] | None = None,
    with_notes: bool = False,
) -> list[Score]:
    """Score held-out examples, predicting without notes; `report_means` takes the means of what the model says.

    With `with_notes` the model reads the notes that it uses, answers among them perhaps: no score of the model, but
    what it would have if it wrote them itself without a fault.
    """
    parts, report = [], Report()
    for episode in held_out.episodes():
        batch = Batch.of(episode, device, notes_of(held_out.task, model, episode) if with_notes else ())
        with eval_mode(model), autocast(device, precision):
            logits = predict(model, batch, passes, report=report)
        losses = token_losses(logits, batch.targets).double().cpu().numpy()
        right = (logits.argmax(-1) == batch.targets).cpu().numpy()
        parts.append((_predicted(episode, episode.difficulty), _predicted(episode, episode.answer), losses, right))
    if report_means is not None:
        report_means |= {name: mean for name, (mean, _) in report.means().items()}
    difficulty, answer, losses, right = (np.concatenate(part) for part in zip(*parts, strict=True))
    return list(_scores(difficulty, answer, losses, right, joint=held_out.task.joint))


def _predicted(episode: Episode, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values [B, T] at the predicted windows [B, P]; -1 where there is no target."""
    values = np.where(episode.targets == IGNORE, -1, values)
    return np.concatenate([values[:, a:b] for a, b, predicts in split_windows(episode) if predicts], axis=1)


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
                match = np.concatenate([right_ones[present] for present, right_ones in each.values()])
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
