"""Whether a model of somebody else's may train: both questions of the audit, on one small batch of the task's shape.

`bench audit` looks further, at every position, and names every road; this looks at a few and takes a moment, so that no
hour is spent on a model that reads its own answers.
"""

import copy

import torch
from torch import Tensor

from baselines import MODELS
from baselines.addresses import own_errors
from baselines.base import Model, ModelConfig, State
from benchmark.cells.grids import Plan
from benchmark.measure.audit.causality import backward_road
from benchmark.measure.audit.tracing import BATCH, equal
from tasks.base import Task

_WINDOWS = 2
_POSITIONS = 4


def admit(config: ModelConfig, task: Task, passes: int) -> None:
    """Refuse a model whose answers hear of evicted tokens outside its state, or of later tokens of the prediction.

    Args:
        config: The model's settings.
        task: What it is to learn; its vocabulary and window are taken.
        passes: N of the sleeps.

    Raises:
        ValueError: it fails one of the two questions, or raises; the message says where.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = config.build(vocab_size=task.vocab_size, window=task.window, seq_len=task.seq_len).eval()
        for parameter in model.parameters():  # branches that start at zero would hide roads
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        shape = (BATCH, _windows(task), task.window)
        one = torch.randint(task.vocab_size, shape)
        other = (one + torch.randint(1, max(2, task.vocab_size), shape)) % task.vocab_size
        question = one[:, 0, : min(task.window, task.seq_len)]
        with own_errors(f"model {config.name!r}: running it raised"):
            reason = _reason(model, one, other, question, task.vocab_size, passes)
    if reason:
        raise ValueError(
            f"model {config.name!r} is refused: {reason}. `bench audit {config.name}` says more; --no-audit trains it "
            "all the same, and says so in the rows"
        )


def audit_status(plan: Plan, model: str | None, *, ask: bool = True) -> str | None:
    """What rows say of the audit of the model of a plan: "passed" or, unless `ask`, "skipped"; None for our own.

    Raises:
        ValueError: as `admit`.
    """
    if model is None or model in MODELS:
        return None
    for base in plan.bases if ask else ():
        admit(base.model, base.task, base.training.sleep_passes)
    return "passed" if ask else "skipped"


def _windows(task: Task) -> int:
    """How many windows to sleep over: no more than a sequence of the task has beside the prediction."""
    return max(1, min(_WINDOWS, (task.seq_len - 1) // task.window))


def _reason(model: Model, one: Tensor, other: Tensor, question: Tensor, vocabulary: int, passes: int) -> str:
    """Why a model must not train; empty if it may."""
    state = _state_after(model, one, passes)
    for path, t in state.tensors().items():
        if not bool(t.isfinite().all()):
            return f"{path} of its state overflows under random weights, so nothing can be compared"

    def wake(tokens: Tensor) -> Tensor:
        return model.wake(tokens, copy.deepcopy(state))[0]

    answer = wake(question)
    _state_after(model, other, passes)
    if not equal(wake(question), answer):
        return "evicted tokens reach its answers by a road outside its state"
    length = question.shape[1]
    positions = sorted(
        {round(1 + i * (length - 2) / (_POSITIONS - 1)) for i in range(_POSITIONS)} if length > 1 else ()
    )
    if road := backward_road(model, wake, question, vocabulary, positions):
        path, how = road
        return f"in {path}, {how}"
    return ""


def _state_after(model: Model, windows: Tensor, passes: int) -> State:
    """The state after sleeping over windows [B, W, L]."""
    state = model.start(len(windows))
    for tokens in windows.unbind(1):
        state = model.sleep(tokens, state, passes)
    return state
