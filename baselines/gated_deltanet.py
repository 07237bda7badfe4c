"""The Gated DeltaNet mixer: projections, gates and normalisation around the gated delta rule."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.fast_weights import gated_delta
from baselines.layers import ShortConvolution, linear, split_heads

CONVOLUTION_WIDTH = 4


class GatedDeltaNet(nn.Module):
    """Fast-weight mixer (Yang, Kautz, Hatamizadeh 2024): reads and writes a state [B, H, K, V], K = V = D / H.

    q, k and v pass a short convolution and SiLU; q and k are brought to unit length; the forget gate follows Mamba-2
    (Dao, Gu 2024); the output is normalised per head and gated.
    """

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = linear(d_model, 3 * d_model)
        self.convolution = ShortConvolution(3 * d_model, CONVOLUTION_WIDTH)
        self.gates = linear(d_model, 2 * heads)
        self.output_gate = linear(d_model, d_model)
        self.norm = nn.RMSNorm(d_model // heads)
        self.out = linear(d_model, d_model, zero=True)
        # Heads start with memories of about 1000 down to 10 tokens.
        steps = torch.logspace(-3, -1, heads) if heads > 1 else torch.tensor([1e-2])
        self.step_bias = nn.Parameter(steps.expm1().log())  # the inverse of softplus
        self.log_rate = nn.Parameter(torch.zeros(heads))

    def initial_state(self, batch: int) -> Tensor:
        """Empty fast weights [B, H, K, V]."""
        size = self.norm.weight.shape[0]
        return self.norm.weight.new_zeros(batch, self.heads, size, size)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens [B, T, D] and fast weights [B, H, K, V] to the same shapes."""
        qkv: Tensor = functional.silu(self.convolution(self.qkv(x)))
        q, k, v = split_heads(qkv, self.heads)
        step, write = self.gates(x).mT.chunk(2, dim=-2)  # each [B, H, T]
        # The rule itself stays in the precision of the state: bf16 would round away small writes.
        with torch.autocast(x.device.type, enabled=False):
            q, k, v, step, write = (a.to(state.dtype) for a in (q, k, v, step, write))
            log_decay = -self.log_rate.exp()[:, None] * functional.softplus(step + self.step_bias[:, None])
            q, k = unit_length(q), unit_length(k)
            mixed, state = gated_delta(q, k, v, log_decay, write.sigmoid(), state)
        mixed = self.norm(mixed).transpose(1, 2).flatten(-2) * functional.silu(self.output_gate(x))
        return self.out(mixed), state


def unit_length(x: Tensor) -> Tensor:
    """Scale the last dimension to (just under) unit length; zero stays zero, with a finite gradient."""
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)
