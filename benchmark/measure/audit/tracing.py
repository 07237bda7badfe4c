"""What an audit compares: tensors bit for bit, and what each module of a network is given and gives."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

BATCH = 3
Call = tuple[str, list[Tensor], list[Tensor]]
"""A module's name, what it was given and what it gave."""


def equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same numbers, not-a-number in the same places included."""
    return torch.equal(one, other) or (
        one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())
    )


def all_equal(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Whether two lists of tensors are the same."""
    return len(one) == len(other) and all(map(equal, one, other))


@contextmanager
def trace(model: nn.Module, calls: list[Call]) -> Iterator[None]:
    """Collect what each module is given and gives, of all but the first sequence, innermost calls first."""

    def others(values: Any) -> list[Tensor]:
        parts = values if isinstance(values, tuple) else (values,)
        return [t[1:].clone() for t in parts if isinstance(t, Tensor) and t.dim() and len(t) == BATCH]

    def recorder(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda _, inputs, output: calls.append((name, others(inputs), others(output)))

    hooks = [module.register_forward_hook(recorder(name)) for name, module in model.named_modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
