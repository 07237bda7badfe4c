"""The Jet block: Gated DeltaNet whose short convolution makes its kernel anew for every token, and acts on v alone."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.gated_deltanet import GatedDeltaNet
from baselines.layers import linear
from baselines.memory import CONVOLUTION_WIDTH

REDUCTION = 8
"""Width D over the hidden width of the network that makes the kernels."""


class Jet(GatedDeltaNet):
    """Fast weights of Jet-Nemotron (Gu et al. 2025, "Efficient Language Model with Post Neural Architecture Search").

    As there, q and k pass SiLU without a convolution, v one whose kernel depends on the token, then SiLU. Two things
    differ: values are as wide as keys (twice as wide there), and no inputs of the convolution are kept, so that the
    fast weights stay the only road past eviction.
    """

    convolution: "DynamicConvolution"

    def make_convolution(self, d_model: int, width: int) -> nn.Module:
        """A kernel for each token, over v alone."""
        return DynamicConvolution(d_model, width, CONVOLUTION_WIDTH)

    def convolve(self, qkv: Tensor, x: Tensor) -> Tensor:
        """SiLU of q, k and the convolved v, [B, T, 3 H K], of tokens x [B, T, D]; or of k and v alone."""
        *plain, v = torch.split(qkv, self.heads * self.state_size, dim=-1)
        return functional.silu(torch.cat((*plain, self.convolution(v, x)), dim=-1))


class DynamicConvolution(nn.Module):
    """Causal depthwise convolution whose taps are a small network's answer to the token, plus fixed ones.

    Like `ShortConvolution` it starts from zeros in every window and every pass. A new one equals a fixed convolution:
    the network ends in zeros.
    """

    def __init__(self, d_model: int, channels: int, width: int) -> None:
        super().__init__()
        hidden = max(1, d_model // REDUCTION)
        self.reduce = linear(d_model, hidden)
        self.expand = linear(hidden, width * channels, zero=True)
        self.weight = nn.Parameter(torch.randn(width, channels) / width)
        with torch.no_grad():
            self.weight[0] += 1.0

    def forward(self, v: Tensor, x: Tensor) -> Tensor:
        """Map v [B, T, C] to [B, T, C] by taps made from x [B, T, D]; tap j sees the token j steps back."""
        taps = self.weight + self.expand(functional.silu(self.reduce(x))).unflatten(-1, self.weight.shape)
        mixed: Tensor = v * taps[:, :, 0]
        for back in range(1, min(self.weight.shape[0], v.shape[1])):
            mixed = mixed + functional.pad(v[:, :-back] * taps[:, back:, back], (0, 0, back, 0))
        return mixed
