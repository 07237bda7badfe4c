"""One optimizer step in C, over the state of torch's own optimizers: checkpoints are the same with either."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from baselines.native.build import library


def prepare(muon: torch.optim.Optimizer | None, adam: torch.optim.Optimizer | None, clip: float) -> Callable[[], None]:
    """A function that clips all gradients to a common norm, and takes and clears one step of both optimizers.

    Their constants are those of `benchmark.run.optimizer`: momentum 0.95 and five steps of Newton-Schulz, betas of 0.9
    and 0.999, eps 1e-8; the rates and the weight decay are read off them at each step.

    Args:
        muon: torch's Muon, of matrices; None without any.
        adam: torch's AdamW; None without any.
        clip: Largest norm of all gradients together.
    """
    chosen = [(parameter, optimizer) for optimizer in (muon, adam) if optimizer for parameter in _of(optimizer)]
    room = torch.empty(max((_room(parameter) for parameter, kind in chosen if kind is muon), default=1))

    def step() -> None:
        live = [(parameter, kind) for parameter, kind in chosen if parameter.grad is not None]
        first: list[Tensor] = []
        second: list[Tensor | None] = []
        counts: list[int] = []
        for parameter, kind in live:
            state = kind.state[parameter]
            if kind is muon:
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                first.append(state["momentum_buffer"])
                second.append(None)
                counts.append(0)
            else:
                if not state:
                    state["step"] = torch.zeros(())
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["step"] += 1
                counts.append(int(state["step"]))
                first.append(state["exp_avg"])
                second.append(state["exp_avg_sq"])
        if not live:
            return
        gradients = [parameter.grad.contiguous() for parameter, _ in live if parameter.grad is not None]
        matrices = [kind is muon for _, kind in live]
        shapes = [tuple(p.shape) if m else (1, p.numel()) for (p, _), m in zip(live, matrices, strict=True)]
        groups = [optimizer.param_groups[0] if optimizer else {"lr": 0.0} for optimizer in (muon, adam)]
        decay = max(group.get("weight_decay", 0.0) for group in groups)
        _function()(
            len(live),
            _pointers([parameter for parameter, _ in live]),
            _pointers(gradients),
            _pointers(first),
            _pointers(second),
            (ctypes.c_long * len(live))(*(rows for rows, _ in shapes)),
            (ctypes.c_long * len(live))(*(columns for _, columns in shapes)),
            (ctypes.c_int * len(live))(*(0 if matrix else 1 for matrix in matrices)),
            clip,
            groups[0]["lr"],
            groups[1]["lr"],
            decay,
            (ctypes.c_int * len(live))(*counts),
            room.data_ptr(),
        )
        for parameter, _ in live:
            parameter.grad = None
        torch.autograd.graph.increment_version([parameter for parameter, _ in live])  # they have changed unseen

    return step


def _of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    parameters: list[Tensor] = optimizer.param_groups[0]["params"]
    return parameters


def _room(matrix: Tensor) -> int:
    """Floats that Newton-Schulz takes beside a matrix, which is brought to multiples of 16 and lies on its side."""
    short, long = sorted(-(-size // 16) * 16 for size in matrix.shape)
    return 3 * short * long + 2 * short * short


def _pointers(tensors: Sequence[Tensor | None]) -> "ctypes.Array[ctypes.c_void_p]":
    return (ctypes.c_void_p * len(tensors))(*(None if tensor is None else tensor.data_ptr() for tensor in tensors))


@cache
def _function() -> Callable[..., float]:
    """The kernel's function, declared."""
    function = library().optimizer_step
    number, pointer = ctypes.c_double, ctypes.c_void_p
    function.argtypes = [ctypes.c_int, *[pointer] * 7, ctypes.c_float, number, number, number, pointer, pointer]
    function.restype = ctypes.c_float
    return function
