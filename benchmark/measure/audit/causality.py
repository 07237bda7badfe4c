"""Does a later token of a prediction reach an earlier answer? In training the tokens after a question hold its answer.

One token of the predicted window is changed at a time: nothing that is predicted before it may change by more than
rounding (`ROUNDING`). The tests of this suite's own models ask for every bit.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from benchmark.measure.audit.tracing import Call, all_equal, equal, trace

ELSEWHERE = "the answer"
ROUNDING = 1e-9
"""What part of the largest logit a change may be, in double precision, and still be rounding."""


def backward_road(
    model: nn.Module, wake: Callable[[Tensor], Tensor], question: Tensor, vocabulary: int, positions: Iterable[int]
) -> tuple[str, str] | None:
    """The first road from a later token of a prediction to an earlier answer: its path and what was seen; else None.

    Args:
        model: The network, whose modules name the path.
        wake: Logits [B, P, V] of a prediction over tokens [B, P], each time from the same state.
        question: Tokens [B, P].
        vocabulary: How many tokens there are.
        positions: Which tokens to change, each from 1 to P - 1.
    """
    calls: list[Call] = []
    with trace(model, calls):
        answer = wake(question)
    limit = ROUNDING if answer.dtype == torch.float64 else ROUNDING**0.5
    for position in positions:
        variant = question.clone()
        variant[:, position] = (variant[:, position] + 1) % vocabulary
        again: list[Call] = []
        with trace(model, again):
            after = wake(variant)
        earlier, now = answer[:, :position], after[:, :position]
        if not equal(earlier, now) and not (now - earlier).abs().max() <= limit * earlier.abs().max():
            path, how = _first_leak(calls, again, question.shape[1], position)
            return path, f"token {position + 1} of a prediction changes the answers before it{how}"
    return None


def _first_leak(calls: Sequence[Call], again: Sequence[Call], length: int, position: int) -> tuple[str, str]:
    """The first module that gives something else at earlier positions than it should, and by what it hears.

    Innermost calls come first, so it is the deepest module on the road.
    """
    for (name, inputs, outputs), (_, inputs_now, outputs_now) in zip(calls, again, strict=False):
        earlier, now = (_earlier(each, length, position) for each in (outputs, outputs_now))
        if all_equal(earlier, now) or not all_equal(
            _earlier(inputs, length, position), _earlier(inputs_now, length, position)
        ):
            continue
        others, others_now = (_without_time(each, length) for each in (inputs, inputs_now))
        channel = "" if all_equal(others, others_now) else ", through a state that has heard of the whole prediction"
        return name or "the model", channel
    return ELSEWHERE, ", by a road outside its modules"


def _earlier(tensors: Sequence[Tensor], length: int, position: int) -> list[Tensor]:
    """Of the tensors that run over the tokens of the prediction, the part before a position."""
    return [t[:, :position] for t in tensors if _in_time(t, length)]


def _without_time(tensors: Sequence[Tensor], length: int) -> list[Tensor]:
    """The tensors that do not run over the tokens of the prediction."""
    return [t for t in tensors if not _in_time(t, length)]


def _in_time(t: Tensor, length: int) -> bool:
    """Whether it is features [B, P, ...] or tokens [B, P]."""
    return t.shape[1:2] == (length,) and (t.dim() > 2 or not t.is_floating_point())
