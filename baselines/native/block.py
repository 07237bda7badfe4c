"""Blocks that run in C: the same function of the same parameters as the torch block, with its gradient.

A block is handed over whole (norm, mixer, residual, norm, MLP, residual). Attention under hard eviction and Gated
DeltaNet can be; which others cannot, and why, `unsupported` says.
"""

import ctypes
import threading
from typing import Any, cast

import torch
from torch import Tensor

from baselines.attention import WindowAttention
from baselines.gated_deltanet import GatedDeltaNet
from baselines.layers import ShortConvolution
from baselines.native.build import CompilerError, library
from baselines.sleeper import Block, Sleeper

LONGEST = 64
"""Tokens of a window, and numbers of a head, for which the kernel has room."""

_TILE_ROWS = 64  # tokens that a tile of sequences has together: what fits the first caches
_LANES = 16


class Sizes(ctypes.Structure):
    """Batch, tokens, width, heads, numbers of a head, hidden units of the MLP, sequences of a tile; the norms' eps."""

    _fields_ = [(name, ctypes.c_int) for name in ("B", "T", "D", "H", "K", "hid", "tile")] + [("eps", ctypes.c_float)]


def attach(model: torch.nn.Module) -> None:
    """Let every block of a model run in C.

    Raises:
        ValueError: the model has a block that cannot, or there is no compiler; the message says why.
    """
    if reason := unsupported(model):
        raise ValueError(f"backend 'native' does not run this model: {reason}")
    assert isinstance(model, Sleeper)
    for block in model.stack:
        block.native = NativeBlock(block)


def unsupported(model: torch.nn.Module) -> str:
    """Why a model cannot run in C, in words; empty if it can."""
    if not isinstance(model, Sleeper):
        return "it is no stack of this project's blocks"
    for block in model.stack:
        mixer = block.mixer
        if isinstance(mixer, WindowAttention):
            if mixer.keep != 0:
                return "attention that keeps keys and values runs in torch"
            size = len(mixer.q_norm.weight)
            if size not in (16, 32, 64):  # pairs of a rotation lie half a head apart, each half whole vectors or one
                return f"heads of attention of {size} numbers: 16, 32 or 64 are needed"
        elif type(mixer) is GatedDeltaNet:
            size = mixer.state_size
        else:
            return f"update rule {type(mixer).__name__} runs in torch"
        widths = (len(block.mixer_norm.weight), size, len(block.mlp.up.weight))
        if any(width % _LANES for width in widths) or size > LONGEST:
            return (
                f"widths {widths} of block, head and MLP: multiples of {_LANES} are needed, of a head at most {LONGEST}"
            )
        if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in block.parameters()):
            return "it takes single precision on the CPU"
    try:
        _kernel()
    except CompilerError as error:
        return str(error)
    return ""


class NativeBlock:
    """One block in C. It holds nothing of its own but the flat copy of the parameters of the moment."""

    def __init__(self, block: Block) -> None:
        mixer = block.mixer
        norms = block.mixer_norm.weight, block.mlp_norm.weight
        self.writes = isinstance(mixer, GatedDeltaNet)
        if isinstance(mixer, GatedDeltaNet):
            assert mixer.gates is not None
            convolution = cast(ShortConvolution, mixer.convolution)
            own = (mixer.qkv, convolution, mixer.gates, mixer.output_gate, mixer.norm, mixer.out)
            weights = [*(layer.weight for layer in own), mixer.step_bias, mixer.log_rate]
            self.heads, self.size = mixer.heads, mixer.state_size
        else:
            assert isinstance(mixer, WindowAttention)
            weights = [mixer.qkv.weight, mixer.q_norm.weight, mixer.k_norm.weight, mixer.out.weight]
            self.heads, self.size = mixer.heads, len(mixer.q_norm.weight)
        self.parameters: list[Tensor] = [norms[0], *weights, norms[1], block.mlp.up.weight, block.mlp.down.weight]
        self.hidden = len(block.mlp.up.weight)
        self.flat: tuple[tuple[Any, ...], Tensor] | None = None

    def takes(self, h: Tensor) -> bool:
        """Whether the kernel runs these features [B, T, D]; the torch block runs others."""
        return h.dtype == torch.float32 and h.shape[1] <= LONGEST and not torch.is_autocast_enabled("cpu")

    def __call__(self, h: Tensor, state: Tensor | None, *, read: bool = True) -> tuple[Tensor | None, Tensor | None]:
        """What `Block.forward` gives or, unless the features are to be `read`, `Block.write`: no features then."""
        batch, length, width = h.shape
        tile = max(1, _TILE_ROWS // length)
        eps = torch.finfo(torch.float32).eps
        sizes = Sizes(batch, length, width, self.heads, self.size, self.hidden, tile, eps)
        if state is None:
            return _Attention.apply(sizes, self.together(), h), None  # type: ignore[no-untyped-call]
        outputs: tuple[Tensor | None, Tensor | None] = _Delta.apply(sizes, self.together(), h, state, read)  # type: ignore[no-untyped-call]
        return outputs

    def together(self) -> Tensor:
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


class _Delta(torch.autograd.Function):
    """A block of Gated DeltaNet."""

    @staticmethod
    def forward(ctx: Any, sizes: Sizes, flat: Tensor, h: Tensor, state: Tensor, read: bool) -> Any:
        """Features, or None unless they are read, and the new fast weights."""
        h, state = h.contiguous(), state.contiguous()
        features, after = (torch.empty_like(h) if read else None), torch.empty_like(state)
        kernel = _kernel()
        scratch = _scratch(kernel.delta_need(sizes, 0))
        kernel.delta_forward(sizes, _at(flat), _at(h), _at(state), _at(features), _at(after), _at(scratch))
        ctx.save_for_backward(flat, h, state)
        ctx.sizes = sizes
        ctx.set_materialize_grads(False)
        return features, after

    @staticmethod
    def backward(ctx: Any, of_features: Tensor | None, of_after: Tensor | None) -> Any:
        """By everything that was computed with."""
        flat, h, state = ctx.saved_tensors
        if of_features is None and of_after is None:
            return None, None, None, None, None
        of_features, of_after = (None if g is None else g.contiguous() for g in (of_features, of_after))
        by_h, by_state, by_flat = torch.empty_like(h), torch.empty_like(state), torch.empty_like(flat)
        kernel = _kernel()
        scratch = _scratch(kernel.delta_need(ctx.sizes, 1))
        tensors = (flat, h, state, of_features, of_after, by_h, by_state, by_flat, scratch)
        kernel.delta_backward(ctx.sizes, *map(_at, tensors))
        return None, by_flat, by_h, by_state, None


class _Attention(torch.autograd.Function):
    """A block of attention that keeps nothing."""

    @staticmethod
    def forward(ctx: Any, sizes: Sizes, flat: Tensor, h: Tensor) -> Tensor:
        """Features."""
        h = h.contiguous()
        features, kernel = torch.empty_like(h), _kernel()
        scratch = _scratch(kernel.attention_need(sizes, 0))
        kernel.attention_forward(sizes, _at(flat), _at(h), _at(features), _at(scratch))
        ctx.save_for_backward(flat, h)
        ctx.sizes = sizes
        return features

    @staticmethod
    def backward(ctx: Any, of_features: Tensor) -> Any:
        """By parameters and features."""
        flat, h = ctx.saved_tensors
        of_features = of_features.contiguous()
        by_h, by_flat, kernel = torch.empty_like(h), torch.empty_like(flat), _kernel()
        scratch = _scratch(kernel.attention_need(ctx.sizes, 1))
        kernel.attention_backward(ctx.sizes, *map(_at, (flat, h, of_features, by_h, by_flat, scratch)))
        return None, by_flat, by_h


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
    if kernel.delta_need.argtypes is None:
        sizes, tensor = ctypes.POINTER(Sizes), ctypes.c_void_p
        for name, tensors in (
            ("delta_forward", 6),
            ("delta_backward", 9),
            ("attention_forward", 4),
            ("attention_backward", 6),
        ):
            getattr(kernel, name).argtypes, getattr(kernel, name).restype = [sizes] + [tensor] * tensors, None
        for name in ("attention_need", "delta_need"):
            getattr(kernel, name).argtypes, getattr(kernel, name).restype = [sizes, ctypes.c_int], ctypes.c_long
    return kernel
