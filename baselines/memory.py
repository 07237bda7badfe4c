"""The fast-weight mixer: projections, gates and normalisation around one update rule, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.fast_weights import Rule
from baselines.layers import ShortConvolution, linear, split_heads

CONVOLUTION_WIDTH = 4


class FastWeightMixer(nn.Module, ABC):
    """Mixer that reads and writes a state [B, H, K, V], after Gated DeltaNet (Yang, Kautz, Hatamizadeh 2024).

    q, k and v pass a short convolution and SiLU; q and k are brought to unit length; the rule's outputs are normalised
    per head and gated. A subclass names its rule, says how many gates it projects per head and token, and brings these
    into the range of the rule's.
    """

    rule: ClassVar[Rule]
    gate_count: ClassVar[int]
    steps: ClassVar[int] = 1
    """J: how many keys and values a token has, which the rule takes one after the other."""

    def __init__(self, d_model: int, heads: int, *, state_size: int | None = None) -> None:
        super().__init__()
        self.heads, self.state_size = heads, state_size or d_model // heads
        width = heads * self.state_size
        self.qkv = linear(d_model, (1 + 2 * self.steps) * width)
        self.convolution = self.make_convolution(d_model, width)
        self.gates = linear(d_model, self.gate_count * heads) if self.gate_count else None
        self.output_gate = linear(d_model, width)
        self.norm = nn.RMSNorm(self.state_size)
        self.out = linear(width, d_model, zero=True)

    def make_convolution(self, d_model: int, width: int) -> nn.Module:
        """The layer that `convolve` runs over the projections; here one kernel over q, k and v alike."""
        return ShortConvolution((1 + 2 * self.steps) * width, CONVOLUTION_WIDTH)

    def convolve(self, qkv: Tensor, x: Tensor) -> Tensor:
        """Short convolution and SiLU of the projections [B, T, (1 + 2 J) H K] of tokens x [B, T, D]: q, k, v, k, v, ...

        Where nothing is read x has projections to k and v alone, [B, T, 2 J H K]: the last channels of the layer.
        """
        mixed: Tensor = functional.silu(self.convolution(qkv))
        return mixed

    @abstractmethod
    def in_range(self, k: Tensor, gates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The rule's gates, each [B, H, T], from the `gate_count` projected ones [B, H, T] and keys k [B, H, T, K]."""

    def initial_state(self, batch: int) -> Tensor:
        """Empty fast weights [B, H, K, V], or [B, M, H, K, V] under a rule of M matrices."""
        matrices = (self.rule.matrices,) * (self.rule.matrices > 1)
        return self.norm.weight.new_zeros(batch, *matrices, self.heads, self.state_size, self.state_size)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens [B, T, D] and the state to the same shapes."""
        return self.mix(x, self.convolve(self.qkv(x), x), state)

    def resume(self, x: Tensor, state: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """`forward` over tokens [B, T, D] that follow others in one pass over one window.

        `past` is what the convolution needs of those, their last projections; None before the first token. The third
        result is that of whoever comes next.
        """
        qkv = self.qkv(x)
        qkv = qkv if past is None else torch.cat((past, qkv), dim=1)
        before = qkv.shape[1] - x.shape[1]
        # Kernels that are made of tokens are asked for at new ones alone, so that zeros do for those before.
        convolved = self.convolve(qkv, functional.pad(x, (0, 0, before, 0)))[:, before:]
        return *self.mix(x, convolved, state), qkv[:, 1 - CONVOLUTION_WIDTH :]

    def mix(self, x: Tensor, convolved: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [B, T, D] and the new state of tokens x [B, T, D] whose projections went through `convolve`."""
        q, *kv = split_heads(convolved, self.heads, parts=1 + 2 * self.steps)
        mixed, state = self.recur(x, q, interleave(kv[0::2]), interleave(kv[1::2]), state)
        mixed = self.norm(mixed).transpose(1, 2).flatten(-2) * functional.silu(self.output_gate(x))
        return self.out(mixed), state

    def write(self, x: Tensor, state: Tensor) -> Tensor:
        """The state after tokens [B, T, D], as `forward` leaves it, where nobody reads the outputs."""
        width = self.heads * self.state_size
        kv = functional.linear(x, self.qkv.weight[width:])
        parts = split_heads(self.convolve(kv, x), self.heads, parts=2 * self.steps)
        return self.recur(x, parts[0][:, :, :0], interleave(parts[0::2]), interleave(parts[1::2]), state)[1]

    def recur(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [B, H, Q, V] and the new state of tokens x [B, T, D] with keys and values [B, H, J T, K = V].

        Queries are one per token, or none at all: [B, H, Q, K] with Q = T or 0.
        """
        gates = self.gates(x).mT.chunk(self.gate_count, dim=-2) if self.gates is not None else ()  # each [B, H, T]
        # The rule itself stays in the precision of the state: bf16 would round away small writes.
        with torch.autocast(x.device.type, enabled=False):
            q, k, v, *gates = (a.to(state.dtype) for a in (q, k, v, *gates))
            return self.rule.fast(unit_length(q), unit_length(k), v, *self.in_range(k, tuple(gates)), state)


class ForgettingMixer(FastWeightMixer):
    """A mixer whose rule decays by an input-dependent gate in the form of Mamba-2 (Dao, Gu 2024)."""

    def __init__(self, d_model: int, heads: int, *, state_size: int | None = None) -> None:
        super().__init__(d_model, heads, state_size=state_size)
        # Heads start with memories of about 1000 down to 10 tokens.
        steps = torch.logspace(-3, -1, heads) if heads > 1 else torch.tensor([1e-2])
        self.step_bias = nn.Parameter(steps.expm1().log())  # the inverse of softplus
        self.log_rate = nn.Parameter(torch.zeros(heads))

    def log_decay(self, step: Tensor) -> Tensor:
        """Logarithm of the decay [B, H, T], at most 0, from a projection of the same shape."""
        return -self.log_rate.exp()[:, None] * functional.softplus(step + self.step_bias[:, None])


def interleave(parts: Sequence[Tensor]) -> Tensor:
    """One sequence [B, H, J T, ...] of J of them [B, H, T, ...]: all steps of a token, then those of the next."""
    return parts[0] if len(parts) == 1 else torch.stack(tuple(parts), dim=3).flatten(2, 3)


def unit_length(x: Tensor) -> Tensor:
    """Scale the last dimension to (just under) unit length; zero stays zero, with a finite gradient."""
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)
