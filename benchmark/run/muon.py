"""torch's Muon with matrices of one shape orthogonalised together, with the same bits where a processor knows bf16."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

SLOW_IN_BF16 = ("DEFAULT", "AVX2", "NO AVX")
"""What torch calls processors on which it multiplies in bf16 number by number, fifty times as slow as in fp32."""


class Muon(torch.optim.Muon):
    """`torch.optim.Muon`, its state and its settings, for one group of matrices and Nesterov momentum.

    Products of small matrices take as long to call as to compute; one batched product for all of a shape is called
    once. It has the bits of the single ones where this was measured (benchmark/PERFORMANCE.md).
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step; nothing is evaluated again."""
        (group,) = self.param_groups
        live: list[Tensor] = [parameter for parameter in group["params"] if parameter.grad is not None]
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for parameter in live:
            by_shape.setdefault(parameter.shape, []).append(parameter)
        for shape, parameters in by_shape.items():
            updates = orthogonal(
                [self._nesterov(parameter, group["momentum"]) for parameter in parameters],
                group["ns_coefficients"],
                group["ns_steps"],
                group["eps"],
            )
            rate = group["lr"] * math.sqrt(max(1, shape[0] / shape[1]))
            for parameter, update in zip(parameters, updates, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-rate)

    def _nesterov(self, parameter: Tensor, momentum: float) -> Tensor:
        """Nesterov's average of a parameter's gradients."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient, memory_format=torch.preserve_format)
        buffer: Tensor = state["momentum_buffer"]
        buffer.lerp_(gradient, 1 - momentum)
        return gradient.lerp(buffer, momentum)


def orthogonal(
    matrices: Sequence[Tensor], coefficients: tuple[float, float, float], steps: int, eps: float
) -> Sequence[Tensor]:
    """Matrices of one shape made nearly orthogonal by Newton-Schulz iteration in bf16.

    On a processor that is slow in it, products are of numbers rounded to bf16, summed in fp32 and rounded again, which
    is the same but for the order of the sums.

    Args:
        matrices: Each [rows, columns].
        coefficients: Of the quintic polynomial, odd powers upwards.
        steps: Iterations.
        eps: Least norm that a matrix is divided by.
    """
    a, b, c = coefficients
    rows, columns = matrices[0].shape
    x = torch.stack([matrix.bfloat16() for matrix in matrices])
    x = x.mT if rows > columns else x
    x.div_(torch.stack([matrix.norm().clamp(min=eps) for matrix in x])[:, None, None])
    if x.is_cpu and torch.backends.cpu.get_cpu_capability() in SLOW_IN_BF16:
        x = x.float()
    for _ in range(steps):
        gram = _as_bf16(x @ x.mT)
        update = _as_bf16(torch.baddbmm(gram, gram, gram, beta=b, alpha=c))
        x = _as_bf16(torch.baddbmm(x, update, x, beta=a))
    return (x.mT if rows > columns else x).unbind()


def _as_bf16(x: Tensor) -> Tensor:
    """Numbers rounded to bf16, in the type that they have."""
    return x.bfloat16().to(x.dtype)
