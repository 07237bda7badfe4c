"""Causal attention inside one window."""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.layers import linear, split_heads

ROPE_BASE = 10_000.0


class WindowAttention(nn.Module):
    """Multi-head causal self-attention over the tokens it is given and nothing else: hard eviction.

    Keys and values live for the length of the call. Rotary positions (Su et al. 2021, "RoFormer") restart at 0 in every
    window; queries and keys are normalised per head (Dehghani et al. 2023).
    """

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = linear(d_model, 3 * d_model)
        self.out = linear(d_model, d_model, zero=True)
        self.q_norm = nn.RMSNorm(d_model // heads)
        self.k_norm = nn.RMSNorm(d_model // heads)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        q, k, v = split_heads(self.qkv(x), self.heads)
        # Under autocast the projection is bf16: too coarse for angles, and the norm would leave its fused form.
        precise = self.q_norm.weight.dtype
        cos, sin = rotary(q.shape[-2], q.shape[-1], q.device, precise)
        q, k = (rotate(norm(a.to(precise)), cos, sin).to(v.dtype) for norm, a in ((self.q_norm, q), (self.k_norm, k)))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        output: Tensor = self.out(mixed.transpose(1, 2).flatten(-2))
        return output


@lru_cache(maxsize=64)
def rotary(length: int, size: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines [T, size / 2] of the rotary angles of positions 0 .. length - 1."""
    frequency = ROPE_BASE ** (-torch.arange(0, size, 2, device=device, dtype=torch.float64) / size)
    angle = torch.arange(length, device=device, dtype=torch.float64)[:, None] * frequency
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (first half, second half) of x [..., T, size] by the angles."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)
