"""The paper's algorithm over one batch: consolidate windows without targets, predict those with targets in one pass."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from baselines.base import Model
from baselines.report import Report
from tasks.base import IGNORE, NOTES, Episode, Task, Tokens

Windows: TypeAlias = tuple[tuple[int, int, bool], ...]
"""(start, stop, predicted) of each window of a sequence, in order."""


Note: TypeAlias = tuple[int, str, Tokens]
"""Index of the window, kind, tokens [B, M]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """An `Episode` on a device. Which windows are predicted is plain Python, so shapes are static and nothing syncs.

    Attributes:
        inputs: Token ids [B, T].
        targets: Targets of the predicted windows only, side by side [B, P].
        windows: How the sequence is cut, and which parts are predicted.
        notes: What a teacher gives: (index of the window, kind, tokens [B, M]); empty where a test scores.
    """

    inputs: Tensor
    targets: Tensor
    windows: Windows
    notes: tuple[tuple[int, str, Tensor], ...] = ()

    @classmethod
    def of(cls, episode: Episode, device: torch.device, notes: Iterable[Note] = ()) -> Self:
        """Move an episode, and notes on it, to a device, through pinned memory if that is a GPU."""
        windows = split_windows(episode)
        answer_parts = [slice(start, stop) for start, stop, predicts in windows if predicts]
        targets = np.concatenate([episode.targets[:, part] for part in answer_parts], axis=1)

        def on_device(array: Tokens) -> Tensor:
            tokens = torch.from_numpy(array)
            return (tokens.pin_memory() if device.type == "cuda" else tokens).to(device, non_blocking=True)

        return cls(
            inputs=on_device(episode.inputs),
            targets=on_device(targets),
            windows=windows,
            notes=tuple((number, kind, on_device(tokens)) for number, kind, tokens in notes),
        )

    def tensors(self) -> tuple[Tensor, ...]:
        """Inputs, targets and the tokens of every note."""
        return (self.inputs, self.targets, *(tokens for *_, tokens in self.notes))

    def with_tensors(self, *tensors: Tensor) -> Self:
        """The same cut of others, in the order of `tensors`."""
        inputs, targets, *others = tensors
        notes = tuple((number, kind, tokens) for (number, kind, _), tokens in zip(self.notes, others, strict=True))
        return replace(self, inputs=inputs, targets=targets, notes=notes)

    def notes_on(self, number: int) -> dict[str, Tensor]:
        """The notes on a window, by kind."""
        return {kind: tokens for at, kind, tokens in self.notes if at == number}

    def parts(self, count: int) -> list[Self]:
        """Its sequences in so many parts, or as many as there are."""
        if count == 1:
            return [self]
        chunks = zip(*(tensor.chunk(count) for tensor in self.tensors()), strict=True)
        return [self.with_tensors(*tensors) for tensors in chunks]


def notes_of(task: Task, model: Model, episode: Episode) -> list[Note]:
    """The notes of a task on an episode that a model uses, in a fixed order."""
    kinds = [kind for kind in NOTES if kind in model.uses_notes]
    return [(number, kind, tokens) for kind in kinds for number, tokens in sorted(task.notes(kind, episode).items())]


def split_windows(episode: Episode) -> Windows:
    """Cut an episode into its windows: (start, stop, has targets)."""
    length = episode.inputs.shape[1]
    edges = [(start, min(start + episode.window, length)) for start in range(0, length, episode.window)]
    predicts = tuple((a, b, bool((episode.targets[:, a:b] != IGNORE).any())) for a, b in edges)
    if not any(has_targets for *_, has_targets in predicts):
        raise ValueError("an episode without a single target cannot be trained on or tested")
    return predicts


def predict(model: Model, batch: Batch, passes: int, *, hard: bool = False, report: Report | None = None) -> Tensor:
    """Logits [B, P, V] of the predicted windows, side by side, after sleeping `passes` times over each other window.

    With `hard`, keys and values are dropped after every window, whatever the model's own eviction is. `report` takes
    what the model says beside.
    """
    state, logits = model.start(len(batch.inputs)), []
    for number, (start, stop, predicts) in enumerate(batch.windows):
        tokens = batch.inputs[:, start:stop]
        keywords = model.keywords(report, batch.notes_on(number))
        if predicts:
            output, state = model.wake(tokens, state, **keywords)
            if output.shape[:-1] != tokens.shape:  # another shape may fit the targets all the same, and be scored
                expected, returned = list(tokens.shape), list(output.shape)
                raise ValueError(f"the model must return logits [B, P, V] of tokens {expected}; returned {returned}")
            logits.append(output)
        else:
            state = model.sleep(tokens, state, passes, **keywords)
        state = state.evicted() if hard else state
    return logits[0] if len(logits) == 1 else torch.cat(logits, dim=1)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Switch a model to eval mode, so that dropout drops nothing, and every module back to its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats of every token [B, P], 0 where there is no target; in at least single precision."""
    return torch.nn.functional.cross_entropy(
        logits.mT.float() if logits.dtype != torch.float64 else logits.mT,
        targets,
        ignore_index=IGNORE,
        reduction="none",
    )


def trained_losses(logits: Tensor, targets: Tensor, report: Report) -> Tensor:
    """What is trained on: `token_losses`, or where a model has answered in several ways, those expected over them.

    Raises:
        ValueError: it has answered some predicted windows in several ways, and others not.
    """
    if not report.answers:
        return token_losses(logits, targets)
    lengths = [answers.shape[2] for _, answers in report.answers]
    if sum(lengths) != (places := targets.shape[1]):
        raise ValueError(f"whoever expects answers must in all {places} predicted places; it did in {sum(lengths)}")
    parts = []
    for (chances, answers), part in zip(report.answers, torch.split(targets, lengths, dim=1), strict=True):
        losses = token_losses(answers.flatten(0, 1), part.repeat(len(answers), 1)).view(*chances.shape, -1)
        parts.append((chances[..., None].to(losses.dtype) * losses).sum(0))
    return torch.cat(parts, dim=1)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Run matrix products in bf16 where the cell's precision says so."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
