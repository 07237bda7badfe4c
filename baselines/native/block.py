"""Blocks that run in C: the same function of the same parameters as the torch block, with its gradient.

A block is handed over whole (norm, mixer, residual, norm, MLP, residual). Attention under every eviction
can be, and the update rules of `RULES`; which others cannot, and why, `obstacle` says.
"""

import ctypes
import threading
from typing import Any, cast

import torch
from torch import Tensor

from baselines.attention import WindowAttention
from baselines.gated_deltanet import DeltaNet, GatedDeltaNet
from baselines.hebbian import GatedHebbian, LinearAttention
from baselines.layers import ShortConvolution
from baselines.memory import FastWeightMixer, ForgettingMixer
from baselines.native.build import CompilerError, library
from baselines.sleeper import Block, Sleeper

RULES: dict[type[FastWeightMixer], bool] = {
    GatedDeltaNet: True,
    DeltaNet: True,
    GatedHebbian: False,
    LinearAttention: False,
}
"""Mixers of fast weights that run in C, and whether their rule corrects: writes what is missing, not the value."""

LONGEST = 64
"""Tokens of a window for which the kernel has room."""

_TILE_ROWS = 64  # tokens that a tile of sequences has together: what fits the first caches
_LANES = 16


class Sizes(ctypes.Structure):
    """`Dims` of parts.h, of one call."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("B", "T", "D", "H", "K", "hidden", "tile")),
        *((name, ctypes.c_int) for name in ("attends", "past", "keep", "forgets", "corrects", "gated")),
        ("eps", ctypes.c_float),
    ]


def attach(model: torch.nn.Module) -> None:
    """Let every block of a model run in C.

    Raises:
        ValueError: the model has a block that cannot, or there is no compiler; the message says why.
    """
    if reason := obstacle(model):
        raise ValueError(f"backend 'native' does not run this model: {reason}")
    assert isinstance(model, Sleeper)
    for block in model.stack:
        block.native = NativeBlock(block)


def obstacle(model: torch.nn.Module) -> str:
    """Why a model cannot run in C, in words; empty if it can."""
    if not isinstance(model, Sleeper):
        return "it is no stack of this project's blocks"
    for block in model.stack:
        mixer = block.mixer
        if type(mixer) is not WindowAttention and type(mixer) not in RULES:
            kind = "attention" if isinstance(mixer, WindowAttention) else "update rule"
            return f"{kind} {type(mixer).__name__} runs in torch"
        widths = (len(block.mixer_norm.weight), head_size(mixer), len(block.mlp.up.weight))
        if any(width % _LANES for width in widths):
            return f"widths {widths} of block, head and MLP: multiples of {_LANES} are needed"
        if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in block.parameters()):
            return "it takes single precision on the CPU"
    try:
        _kernel()
    except CompilerError as error:
        return str(error)
    return ""


def head_size(mixer: WindowAttention | FastWeightMixer) -> int:
    """Numbers of a head's key."""
    return len(mixer.q_norm.weight) if isinstance(mixer, WindowAttention) else mixer.state_size


class NativeBlock:
    """One block in C. It holds nothing of its own but the flat copy of the parameters of the moment."""

    def __init__(self, block: Block) -> None:
        mixer = block.mixer
        self.heads, self.size, self.hidden = mixer.heads, head_size(mixer), len(block.mlp.up.weight)
        if isinstance(mixer, WindowAttention):
            self.kind = {"attends": 1, "keep": -1 if mixer.keep is None else mixer.keep}
            own = [mixer.qkv.weight, mixer.q_norm.weight, mixer.k_norm.weight]
        else:
            forgets, gated = isinstance(mixer, ForgettingMixer), "beta" in mixer.rule.gates
            self.kind = {"forgets": forgets, "corrects": RULES[type(mixer)], "gated": gated}
            own = [mixer.output_gate.weight, mixer.qkv.weight]
            own += [mixer.gates.weight] if mixer.gates is not None else []
            own += [cast(ShortConvolution, mixer.convolution).weight, mixer.norm.weight]
            own += [mixer.step_bias, mixer.log_rate] if isinstance(mixer, ForgettingMixer) else []
        mlp = [block.mlp_norm.weight, block.mlp.up.weight, block.mlp.down.weight]
        self.parameters: list[Tensor] = [block.mixer_norm.weight, *own, mixer.out.weight, *mlp]
        self.flat: tuple[tuple[Any, ...], Tensor] | None = None

    def takes(self, h: Tensor) -> bool:
        """Whether the kernel runs these features [B, T, D]; the torch block runs others."""
        return h.dtype == torch.float32 and h.shape[1] <= LONGEST and not torch.is_autocast_enabled("cpu")

    def __call__(self, h: Tensor, state: Tensor | None, *, read: bool = True) -> tuple[Tensor | None, Tensor | None]:
        """What `Block.forward` gives or, unless the features are to be `read`, `Block.write`: no features then."""
        batch, length, width = h.shape
        tile, eps = max(1, _TILE_ROWS // length), torch.finfo(torch.float32).eps
        sizes = Sizes(batch, length, width, self.heads, self.size, self.hidden, tile, **self.kind, eps=eps)
        if sizes.attends and state is not None:
            sizes.past = state.shape[-2]
        outputs: tuple[Tensor | None, Tensor | None] = _Block.apply(sizes, self.parameter_row(), h, state, read)  # type: ignore[no-untyped-call]
        return outputs

    def parameter_row(self) -> Tensor:
        """All parameters in one row, put together once for as long as none changes: its gradient is split once, too."""
        now = (torch.is_grad_enabled(), *((id(p), p._version, p.requires_grad) for p in self.parameters))
        if self.flat is None or self.flat[0] != now:
            self.flat = now, torch.cat([p.reshape(-1) for p in self.parameters])
        return self.flat[1]

    def __deepcopy__(self, _: object) -> None:
        """A copy of a model runs in torch until it is attached: this block's parameters are not the copy's."""
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()


class _Block(torch.autograd.Function):
    """A block as a function of its parameters, features and what its mixer holds."""

    @staticmethod
    def forward(ctx: Any, sizes: Sizes, flat: Tensor, h: Tensor, state: Tensor | None, read: bool) -> Any:
        """Features, or None unless they are read, and what the mixer holds after them, None if it never does."""
        h, state = h.contiguous(), None if state is None else state.contiguous()
        features, after = (torch.empty_like(h) if read else None), None
        if state is not None:
            length = sizes.past + sizes.T if sizes.keep < 0 else min(sizes.past + sizes.T, sizes.keep)
            after = state.new_empty((*state.shape[:-2], length, sizes.K)) if sizes.attends else torch.empty_like(state)
        kernel = _kernel()
        scratch = _scratch(kernel.block_need(sizes, 0))
        kernel.block_forward(sizes, *map(_at, (flat, h, state, features, after, scratch)))
        ctx.save_for_backward(flat, h, state)
        ctx.sizes = sizes
        ctx.set_materialize_grads(False)
        return features, after

    @staticmethod
    def backward(ctx: Any, of_features: Tensor | None, of_after: Tensor | None) -> Any:
        """By everything that was computed with."""
        if of_features is None and of_after is None:
            return None, None, None, None, None
        flat, h, state = ctx.saved_tensors
        of_features, of_after = (None if g is None else g.contiguous() for g in (of_features, of_after))
        by_h, by_flat = torch.empty_like(h), torch.empty_like(flat)
        by_state = None if state is None else torch.empty_like(state)
        kernel = _kernel()
        scratch = _scratch(kernel.block_need(ctx.sizes, 1))
        tensors = (flat, h, state, of_features, of_after, by_h, by_state, by_flat, scratch)
        kernel.block_backward(ctx.sizes, *map(_at, tensors))
        return None, by_flat, by_h, by_state, None


_rooms = threading.local()


def _scratch(floats: int) -> Tensor:
    """Room for a call, kept from call to call: pages that were touched once are not asked for again.

    Each thread has its own: a call lets go of Python's lock, so that two may be under way at once.
    """
    room: Tensor | None = getattr(_rooms, "room", None)
    if room is None or len(room) < floats:
        room = _rooms.room = torch.empty(floats)
    return room


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _kernel() -> ctypes.CDLL:
    """The library, its functions declared."""
    kernel = library()
    if kernel.block_need.argtypes is None:
        sizes, tensor = ctypes.POINTER(Sizes), ctypes.c_void_p
        kernel.block_forward.argtypes, kernel.block_forward.restype = [sizes, *[tensor] * 6], None
        kernel.block_backward.argtypes, kernel.block_backward.restype = [sizes, *[tensor] * 9], None
        kernel.block_need.argtypes, kernel.block_need.restype = [sizes, ctypes.c_int], ctypes.c_long
    return kernel
