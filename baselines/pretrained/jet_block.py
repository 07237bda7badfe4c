"""The Jet block as published: Gated DeltaNet whose values pass a convolution with kernels made of the token.

Gu et al. 2025, "Jet-Nemotron: Efficient Language Model with Post Neural Architecture Search" (arXiv 2508.15884), with
the names and the order of parameters of its checkpoints. The Jet of `baselines.jet` has values as wide as keys, and
forgets the inputs of its convolution with every window; here values are wider, and those inputs are handed on.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.fast_weights import gated_delta
from baselines.layers import linear
from baselines.memory import unit_length


class JetBlock(nn.Module):
    """Fast weights [B, H, K, V] of a layer, and the last inputs [B, W - 1, H V] of its convolution of W taps.

    q and k are SiLU of projections, of unit length, q times K^-0.5; v is SiLU of the convolved projection. Rates of
    decay are exp(-exp(A_log) softplus(a + dt_bias)), write strengths sigmoid(b), and what is read is normed per head
    and gated by SiLU of a projection.

    Args:
        d_model: D.
        heads: H.
        key_size: K.
        value_size: V.
        taps: W.
        reduction: Width H V over the hidden width of the network that makes the kernels.
        norm_eps: Epsilon of the norm of what is read.
    """

    def __init__(
        self,
        d_model: int,
        heads: int,
        *,
        key_size: int,
        value_size: int,
        taps: int = 4,
        reduction: int = 8,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.heads, self.key_size, self.value_size = heads, key_size, value_size
        keys, values = heads * key_size, heads * value_size
        self.q_proj, self.k_proj = linear(d_model, keys), linear(d_model, keys)
        self.v_proj = linear(d_model, values)
        self.b_proj, self.a_proj = linear(d_model, heads), linear(d_model, heads)
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(1e-3, 16).log())
        # As published: steps between 0.001 and 0.1, and the inverse of softplus of them.
        steps = torch.empty(heads).uniform_(-3, -1).mul(torch.tensor(10.0).log()).exp()
        self.dt_bias = nn.Parameter(steps.expm1().log())
        self.dynamic_conv1d = DynamicShortConvolution(d_model, values, taps, reduction)
        self.g_proj = linear(d_model, values)
        self.o_norm = nn.RMSNorm(value_size, eps=norm_eps)
        self.o_proj = linear(values, d_model, zero=True)

    def initial_state(self, batch: int) -> Tensor:
        """Empty fast weights [B, H, K, V]."""
        return self.o_norm.weight.new_zeros(batch, self.heads, self.key_size, self.value_size)

    def forward(self, x: Tensor, state: Tensor | None, tail: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Map tokens [B, T, D], fast weights and the last inputs of the convolution before them to the same.

        None of either: there were none before.
        """
        state = self.initial_state(len(x)) if state is None else state
        v, tail = self.dynamic_conv1d(self.v_proj(x), x, tail)
        heads = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.q_proj(x), self.k_proj(x), v))
        a, b = self.a_proj(x).mT, self.b_proj(x).mT  # each [B, H, T]
        # The rule itself stays in the precision of the state: bf16 would round away small writes.
        with torch.autocast(x.device.type, enabled=False):
            q, k, v, a, b = (part.to(state.dtype) for part in (*heads, a, b))
            q, k = (unit_length(functional.silu(part)) for part in (q, k))
            log_decay = -self.A_log.exp()[:, None] * functional.softplus(a + self.dt_bias[:, None])
            read, state = gated_delta(self.key_size**-0.5 * q, k, v, log_decay, b.sigmoid(), state)
            normed = self.o_norm(read.transpose(1, 2)).flatten(-2)
        output: Tensor = self.o_proj(normed * functional.silu(self.g_proj(x)))
        return output, state, tail


class DynamicShortConvolution(nn.Module):
    """Causal depthwise convolution, then SiLU, whose kernel for each token is a small network's answer to it.

    The published one is drawn with zeros in both layers of that network, where no gradient would ever reach it. Here a
    new one has them in the second alone, whose bias is the identity and a little of the past.
    """

    def __init__(self, d_model: int, channels: int, taps: int, reduction: int) -> None:
        super().__init__()
        self.taps, hidden = taps, max(1, channels // reduction)
        last = nn.Linear(hidden, channels * taps)
        self.kernel_generator = nn.Sequential(OrderedDict(w1=linear(d_model, hidden), act=nn.SiLU(), w2=last))
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_((torch.randn(channels, taps) / taps + torch.eye(taps)[-1]).flatten())

    def forward(self, v: Tensor, x: Tensor, tail: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map v [B, T, C], after a tail [B, W - 1, C], by kernels made from x [B, T, D]; the new tail is the second.

        Kernels lie channel by channel, and tap W - 1 is the token's own.
        """
        length = v.shape[1]
        tail = v.new_zeros(len(v), self.taps - 1, v.shape[-1]) if tail is None else tail.to(v.dtype)
        seen = torch.cat((tail, v), dim=1)
        kernels = self.kernel_generator(x).unflatten(-1, (-1, self.taps))
        mixed: Tensor = seen[:, :length] * kernels[..., 0]
        for tap in range(1, self.taps):
            mixed = mixed + seen[:, tap : tap + length] * kernels[..., tap]
        return functional.silu(mixed), seen[:, length:]
