"""The matrix products of a training step by themselves: the time that no form of the rest can undercut."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from statistics import median
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.forward import predict, token_losses
from benchmark.run.trainer import Trainer

TURN_S = 0.004
"""Seconds that a product is repeated for at least, so that the clock can tell."""

ROUNDS = 3

Shape = tuple[int, int, int, int]
"""Products at once, rows, inner length, columns."""


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the shapes of the matrix products that run in it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shapes: Counter[Shape] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Sequence[Any] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation as it is."""
        aten = torch.ops.aten
        if function in (aten.mm.default, aten.bmm.default):
            self._count(arguments[0], arguments[1])
        elif function in (aten.addmm.default, aten.baddbmm.default):
            self._count(arguments[1], arguments[2])
        return function(*arguments, **(keywords or {}))

    def _count(self, first: torch.Tensor, second: torch.Tensor) -> None:
        many = first.shape[0] if first.dim() == 3 else 1
        self.shapes[many, first.shape[-2], first.shape[-1], second.shape[-1]] += 1


def shapes(trainer: Trainer) -> Counter[Shape]:
    """Shapes of the products of a step, forward and backward, as the torch blocks make them, without the optimizer's.

    Attention is counted as plain products of the whole window.
    """
    batch = next(iter(trainer.batches(0)))
    with sdpa_kernel(SDPBackend.MATH), Products() as products:
        logits = predict(trainer.model, batch, trainer.cell.training.sleep_passes)
        token_losses(logits, batch.targets).sum().backward()  # type: ignore[no-untyped-call]
    trainer.model.zero_grad(set_to_none=True)
    counts: Counter[Shape] = products.shapes
    return counts


def seconds(counts: "Counter[Shape]") -> float:
    """Thread seconds of all products, each of the faster of torch's two layouts, alone in the caches; fp32."""
    return sum(count * _fastest(shape) for shape, count in counts.items())


@cache
def _fastest(shape: Shape) -> float:
    many, rows, inner, columns = shape
    batch = (many,) if many > 1 else ()
    first, second = torch.randn(*batch, rows, inner), torch.randn(*batch, inner, columns)
    upright = second.mT.contiguous().mT
    layouts: list[Callable[[], object]] = [lambda: first @ second, lambda: first @ upright]
    return min(median(_each(call) for _ in range(ROUNDS)) for call in layouts)


def _each(call: Callable[[], object]) -> float:
    """Seconds of one call, of as many as fill a turn."""
    call()
    start = time.thread_time()
    for number in itertools.count(1):
        call()
        if (duration := time.thread_time() - start) >= TURN_S:
            return duration / number
    raise AssertionError("unreachable")
