"""Whether an object keeps the contract of `baselines.base.Model` in what its methods give back, asked by calling them.

What breaks it is named with the file and line of the method: the harness unpacks these values in places of its own,
where an error would say nothing of the model's code.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.base import Model, State

BATCH = 2


def check(model: Model, *, vocab_size: int, window: int) -> State:
    """Start, sleep over one window and predict over one; returns the state after both.

    Raises:
        ValueError: something that a method gives back is not what the contract says.
    """
    tokens = torch.zeros(BATCH, window, dtype=torch.int64)
    state = _state(model.start(BATCH), model.start)
    state = _state(model.sleep(tokens, state, 1), model.sleep)
    pair = model.wake(tokens, state)
    if not (isinstance(pair, tuple) and len(pair) == 2):
        raise ValueError(f"{place(model.wake)}: must return logits and the state after them; returned {_kind(pair)}")
    logits, after = pair
    shape = (BATCH, window, vocab_size)
    if not (isinstance(logits, Tensor) and logits.shape == shape and logits.is_floating_point()):
        raise ValueError(
            f"{place(model.wake)}: must return logits [B, P, V], here {list(shape)}; returned {_kind(logits)}"
        )
    return _state(after, model.wake)


def place(method: Callable[..., Any]) -> str:
    """File, line and name of a method."""
    code = inspect.unwrap(getattr(method, "__func__", method)).__code__
    return f"{Path(code.co_filename)}:{code.co_firstlineno}, {code.co_name}"


def _state(value: Any, method: Callable[..., Any]) -> State:
    """The value, if it is a state whose tensors have the batch first.

    Raises:
        ValueError: it is not; the message says where `method` is.
    """
    if not isinstance(value, State):
        raise ValueError(f"{place(method)}: must return a baselines.base.State; returned {_kind(value)}")
    for path, t in value.tensors().items():
        if t.shape[:1] != (BATCH,):
            raise ValueError(
                f"{place(method)}: every tensor of the state has the batch first, here {BATCH}; {path} is {_kind(t)}"
            )
    return value


def _kind(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "None" if value is None else f"a value of type {type(value).__qualname__}"
