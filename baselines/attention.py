"""Causal attention inside one window, and over whatever keys and values of earlier windows were kept."""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.layers import linear, split_heads

ROPE_BASE = 10_000.0


class WindowAttention(nn.Module):
    """Multi-head causal self-attention over the tokens it is given and the keys and values that were kept.

    Rotary positions (Su et al. 2021, "RoFormer") count from the oldest key there is, so they restart at 0 in every
    window if nothing is kept; queries and keys are normalised per head (Dehghani et al. 2023). Keys are kept before
    their rotation: scores depend on distances alone.
    """

    def __init__(self, d_model: int, heads: int, *, keep: int | None = 0) -> None:
        """Attention that keeps the last `keep` tokens' keys and values: 0 is hard eviction, None keeps all.

        With a whole number above 0, no token attends further back than that: a sliding window of keep + 1 tokens.
        """
        super().__init__()
        self.heads, self.keep = heads, keep
        self.qkv = linear(d_model, 3 * d_model)
        self.out = linear(d_model, d_model, zero=True)
        self.q_norm = nn.RMSNorm(d_model // heads)
        self.k_norm = nn.RMSNorm(d_model // heads)

    def initial_state(self, batch: int) -> Tensor | None:
        """Keys and values [B, 2, H, 0, D / H] of no tokens; None where none are ever kept."""
        if self.keep == 0:
            return None
        return self.qkv.weight.new_zeros(batch, 2, self.heads, 0, len(self.q_norm.weight))

    def forward(self, x: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Map [B, T, D] and kept keys and values [B, 2, H, C, D / H] to the same, C grown and cut to `keep`."""
        mixed, kept = self.attend(*self.projections(x), kept)
        output: Tensor = self.out(mixed.transpose(1, 2).flatten(-2))
        # A slice would hold on to the memory of what it was cut from, evicted tokens included.
        return output, None if kept is None else kept.contiguous()

    def projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised queries and keys, and values, each [B, H, T, D / H], of tokens [B, T, D]."""
        q, k, v = split_heads(self.qkv(x), self.heads)
        # Under autocast the projection is bf16: too coarse for angles, and the norm would leave its fused form.
        precise = self.q_norm.weight.dtype
        return self.q_norm(q.to(precise)), self.k_norm(k.to(precise)), v

    def resume(self, x: Tensor, kept: Tensor | None, past: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
        """`forward` over tokens [B, T, D] that follow others in one pass over one window, under hard eviction.

        `past` holds the keys and values of those [B, 2, H, C, D / H]; None before the first token. The third result is
        that of whoever comes next.
        """
        q, k, v = self.projections(x)
        seen = torch.stack((k, v.to(k.dtype)), dim=1)
        seen = seen if past is None else torch.cat((past, seen), dim=-2)
        before, length = seen.shape[-2] - q.shape[-2], q.shape[-2]
        mask = visible(length, before, None, q.device) if before and length > 1 else None  # the last token sees all
        q, k, v = rotate_at(q, before).to(v.dtype), rotate_at(seen[:, 0], 0).to(v.dtype), seen[:, 1].to(v.dtype)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=not before)
        output: Tensor = self.out(mixed.transpose(1, 2).flatten(-2))
        return output, kept, seen

    def write(self, x: Tensor, kept: Tensor | None) -> Tensor | None:
        """What is kept after tokens [B, T, D], as `forward` leaves it, where nobody reads the outputs."""
        if kept is None:
            return None
        k, v = split_heads(functional.linear(x, self.qkv.weight[x.shape[-1] :]), self.heads, parts=2)
        return self.cache(kept, self.k_norm(k.to(self.k_norm.weight.dtype)), v).contiguous()

    def cache(self, kept: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The keys and values [B, 2, H, C, D / H] that are kept after some more, at most `keep` tokens' worth."""
        both = torch.cat((kept, torch.stack((k, v.to(k.dtype)), dim=1)), dim=-2)
        return both if self.keep is None else both[..., -self.keep :, :]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Mixed values [B, H, T, D / H] of normalised queries and keys, and what is kept after them."""
        if self.keep == 0:
            q, k = (rotate_at(a, 0).to(v.dtype) for a in (q, k))
            return functional.scaled_dot_product_attention(q, k, v, is_causal=True), None
        assert kept is not None
        past, length = kept.shape[-2], q.shape[-2]
        all_k, all_v = torch.cat((kept[:, 0], k), dim=-2), torch.cat((kept[:, 1], v), dim=-2)
        mask = visible(length, past, self.keep, q.device)
        turned_q, turned_k = rotate_at(q, past).to(v.dtype), rotate_at(all_k, 0).to(v.dtype)
        mixed = functional.scaled_dot_product_attention(turned_q, turned_k, all_v.to(v.dtype), attn_mask=mask)
        return mixed, self.cache(kept, k, v)


def visible(length: int, past: int, reach: int | None, device: torch.device) -> Tensor:
    """Which of past + length keys each of the last `length` tokens sees [T, C + T]: itself and `reach` before it."""
    query = torch.arange(past, past + length, device=device)[:, None]
    distance = query - torch.arange(past + length, device=device)
    return (distance >= 0) if reach is None else (distance >= 0) & (distance <= reach)


def rotate_at(x: Tensor, first: int, base: float = ROPE_BASE) -> Tensor:
    """Rotate x [B, H, T, size] by the angles of positions first .. first + T - 1."""
    cos, sin = rotary(first + x.shape[-2], x.shape[-1], x.device, x.dtype, base)
    return rotate(x, cos[first:], sin[first:])


@lru_cache(maxsize=64)
def rotary(
    length: int, size: int, device: torch.device, dtype: torch.dtype, base: float = ROPE_BASE
) -> tuple[Tensor, Tensor]:
    """Cosines and sines [T, size / 2] of the rotary angles of positions 0 .. length - 1."""
    frequency = base ** (-torch.arange(0, size, 2, device=device, dtype=torch.float64) / size)
    angle = torch.arange(length, device=device, dtype=torch.float64)[:, None] * frequency
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (first half, second half) of x [..., T, size] by the angles."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)
