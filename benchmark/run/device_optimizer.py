"""Muon and AdamW without a word to the host: the step of a GPU, which can be captured in a graph.

The same steps over the same state as torch's own, so that checkpoints of either go on with the other. Rate and number
of steps are tensors on the device; matrices of one shape are orthogonalised together, by batched products. On a CPU
torch's own are used, whose bits the committed rows have; tests compare the two there.
"""

import math
from itertools import groupby

import torch
from torch import Tensor, nn

from baselines.base import Model
from benchmark.cells.cell import Training
from benchmark.run.optimizer import MuonAdamW

Group = dict[str, object]


class DeviceMuonAdamW(MuonAdamW):
    """`MuonAdamW` in operations on tensors alone.

    Attributes:
        number: The number of the step to take, from 0, as a tensor on the device; `step` sets it from outside a graph.
    """

    def __init__(self, model: Model, training: Training) -> None:
        super().__init__(model, training)
        self.muon = self.optimizers[0] if isinstance(self.optimizers[0], torch.optim.Muon) else None
        self.adam = self.optimizers[-1] if isinstance(self.optimizers[-1], torch.optim.AdamW) else None
        self.training = training
        self.number = torch.zeros((), device=self.parameters[0].device)

    def step(self, step: int) -> None:
        """See `MuonAdamW.step`."""
        self.set(step)
        self.take()

    def set(self, step: int) -> None:
        """Say which step is next, without waiting for the device."""
        self.number.fill_(step)

    def take(self) -> None:
        """Clip the gradients, take the step that `number` says and clear the gradients."""
        share = self.number + 1
        share = (share / self.training.warmup_steps).clamp(max=1) if self.training.warmup_steps else share.clamp(max=1)
        nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        with torch.no_grad():
            if self.muon:
                _muon(self.muon, self.training.muon_lr * share)
            if self.adam:
                _adam(self.adam, self.training.adam_lr * share)
        for parameter in self.parameters:
            parameter.grad = None


def _live_parameters(optimizer: torch.optim.Optimizer) -> tuple[list[Tensor], list[Tensor]]:
    """The parameters with gradients, and these."""
    (group,) = optimizer.param_groups
    parameters = [p for p in group["params"] if p.grad is not None]
    return parameters, [p.grad for p in parameters]


def _muon(optimizer: torch.optim.Optimizer, rate: Tensor) -> None:
    """`torch.optim.Muon` of matrices of each shape together."""
    (group,) = optimizer.param_groups
    parameters, gradients = _live_parameters(optimizer)
    buffers = []
    for parameter in parameters:
        state = optimizer.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffers.append(state["momentum_buffer"])
    if not parameters:
        return
    torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])
    updates = torch._foreach_lerp(gradients, buffers, group["momentum"])
    torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
    order = sorted(range(len(parameters)), key=lambda i: tuple(parameters[i].shape))
    for shape, alike in groupby(order, key=lambda i: tuple(parameters[i].shape)):
        places = list(alike)
        together = orthogonal(torch.stack([updates[i] for i in places]), group["ns_coefficients"], group["eps"])
        together = together * (-rate * math.sqrt(max(1, shape[0] / shape[1])))
        torch._foreach_add_([parameters[i] for i in places], list(together.unbind()))


def orthogonal(matrices: Tensor, coefficients: tuple[float, float, float], eps: float, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration in bf16 over matrices [n, rows, columns], as torch's Muon does it for each."""
    a, b, c = coefficients
    x = matrices.bfloat16()
    upright = x.shape[1] > x.shape[2]
    x = x.mT if upright else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.mT
        gram = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, gram, x, beta=a)
    return x.mT if upright else x


def _adam(optimizer: torch.optim.Optimizer, rate: Tensor) -> None:
    """`torch.optim.AdamW`, its numbers of steps tensors where the parameters are."""
    (group,) = optimizer.param_groups
    parameters, gradients = _live_parameters(optimizer)
    first, second = group["betas"]
    steps, means, squares = [], [], []
    for parameter in parameters:
        state = optimizer.state[parameter]
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        steps.append(state["step"])
        means.append(state["exp_avg"])
        squares.append(state["exp_avg_sq"])
    if not parameters:
        return
    torch._foreach_add_(steps, 1)
    torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
    torch._foreach_lerp_(means, gradients, 1 - first)
    torch._foreach_mul_(squares, second)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
    # p -= rate * (mean / (1 - first^t)) / (sqrt(square / (1 - second^t)) + eps), for all parameters at once
    counts = torch.stack(steps)
    of_means, of_squares = -rate / (1 - first**counts), (1 - second**counts).sqrt()
    sizes = torch._foreach_sqrt(squares)
    torch._foreach_div_(sizes, list(of_squares.unbind()))
    torch._foreach_add_(sizes, group["eps"])
    torch._foreach_div_(sizes, list(of_means.unbind()))
    torch._foreach_addcdiv_(parameters, means, sizes)
