"""Layers of published decoders in the form of Qwen2, by the names of their checkpoints."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.attention import rotate_at, visible
from baselines.pretrained.settings import Settings


class Norm(nn.RMSNorm):
    """Division by the root of the mean square, in the precision of its weight, as published."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., D] to [..., D]."""
        return super().forward(x.to(self.weight.dtype))


class GroupedAttention(nn.Module):
    """Causal attention in which several heads of queries share one of keys and values; no norm of either.

    Args:
        settings: Sizes, and the base of rotary positions.
        bias: Whether q, k and v have biases.
        reach: How many tokens before its own a token sees; None: all.
    """

    def __init__(self, settings: Settings, *, bias: bool, reach: int | None = None) -> None:
        super().__init__()
        width, self.size, self.base, self.reach = settings.hidden_size, settings.head_dim, settings.rope_theta, reach
        queries, keys = (self.size * n for n in (settings.num_attention_heads, settings.num_key_value_heads))
        self.shared_by = settings.num_attention_heads // settings.num_key_value_heads
        self.q_proj = nn.Linear(width, queries, bias=bias)
        self.k_proj = nn.Linear(width, keys, bias=bias)
        self.v_proj = nn.Linear(width, keys, bias=bias)
        self.o_proj = nn.Linear(queries, width, bias=False)

    def forward(self, x: Tensor, kept: Tensor | None, read: int, reach: int | None) -> tuple[Tensor, Tensor]:
        """Map tokens [B, T, D] after `read` others, and what was kept of those, to outputs and all that was seen.

        Keys are kept after their rotation, [B, 2, H, C, size]. `reach` cuts sight as the layer's own does, if shorter.
        """
        q, k, v = (
            part(x).unflatten(-1, (-1, self.size)).transpose(1, 2) for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        precise = self.o_proj.weight.dtype  # under autocast a projection is bf16: too coarse for angles
        q, k = (rotate_at(part.to(precise), read, self.base) for part in (q, k))
        both = torch.stack((k, v.to(k.dtype)), dim=1)
        both = both if kept is None else torch.cat((kept, both), dim=-2)
        reach = min((r for r in (reach, self.reach) if r is not None), default=None)
        mask = visible(x.shape[1], both.shape[-2] - x.shape[1], reach, x.device)
        seen_k, seen_v = (part.repeat_interleave(self.shared_by, dim=1).to(v.dtype) for part in both.unbind(1))
        mixed = functional.scaled_dot_product_attention(q.to(v.dtype), seen_k, seen_v, attn_mask=mask)
        output: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(-2))
        return output, both if self.reach is None else both[..., max(0, both.shape[-2] - self.reach) :, :]


class GatedMLP(nn.Module):
    """down(SiLU(gate) up), without biases."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width, hidden = settings.hidden_size, settings.intermediate_size
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        output: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return output


class DecoderLayer(nn.Module):
    """A mixer and an MLP, each normed before; of a sandwich each once more before it is added.

    Args:
        settings: Sizes.
        mixer: Called with normed features and what is handed to the layer after them.
        sandwich: Whether there are norms behind both as well.
    """

    def __init__(self, settings: Settings, mixer: nn.Module, *, sandwich: bool = False) -> None:
        super().__init__()

        def norm() -> Norm:
            return Norm(settings.hidden_size, eps=settings.rms_norm_eps)

        self.self_attn, self.mlp = mixer, GatedMLP(settings)
        self.input_layernorm, self.post_attention_layernorm = norm(), norm()
        self.input_layernorm_2 = norm() if sandwich else nn.Identity()
        self.post_attention_layernorm_2 = norm() if sandwich else nn.Identity()

    def forward(self, h: Tensor, *context: Any) -> tuple[Tensor, ...]:
        """Features [B, T, D] after the layer, and what its mixer returns beside them."""
        mixed, *caches = self.self_attn(self.input_layernorm(h), *context)
        h = h + self.input_layernorm_2(mixed)
        return h + self.post_attention_layernorm_2(self.mlp(self.post_attention_layernorm(h))), *caches
