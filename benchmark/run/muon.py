"""torch's Muon with matrices of one shape orthogonalised together, with the same bits."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


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
    for _ in range(steps):
        gram = x @ x.mT
        update = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, update, x, beta=a)
    return (x.mT if rows > columns else x).unbind()
