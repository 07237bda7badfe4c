"""Small layers that every block shares."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def linear(inputs: int, outputs: int, *, zero: bool = False) -> nn.Linear:
    """A linear map without bias: weights of variance 1 / inputs, or zeros where a residual branch ends.

    A branch that starts at zero lets a freshly made network of any depth, looped any number of times, begin as the
    identity: N passes cost nothing at the first step and N = 1 and N = 4 start from the same function.
    """
    layer = nn.Linear(inputs, outputs, bias=False)
    if zero:
        nn.init.zeros_(layer.weight)
    else:
        nn.init.normal_(layer.weight, std=1 / math.sqrt(inputs))
    return layer


def split_heads(qkv: Tensor, heads: int, parts: int = 3) -> tuple[Tensor, ...]:
    """Queries, keys and values, each [B, H, T, D / H], from one projection [B, T, 3 D]; with 2 `parts` keys, values."""
    batch, length, width = qkv.shape
    return qkv.view(batch, length, parts, heads, width // (parts * heads)).permute(2, 0, 3, 1, 4).unbind()


class SquaredReluMLP(nn.Module):
    """Position-wise network with squared ReLU (So et al. 2021, "Primer")."""

    def __init__(self, d_model: int, ratio: float) -> None:
        super().__init__()
        hidden = round(ratio * d_model)
        self.up = linear(d_model, hidden)
        self.down = linear(hidden, d_model, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        hidden = functional.relu(self.up(x))
        output: Tensor = self.down(hidden * hidden)
        return output


class ShortConvolution(nn.Module):
    """Causal depthwise convolution over the last few tokens of the window.

    It starts from zeros in every window and every pass: carrying inputs over would be a second road, beside the fast
    weights, by which an evicted token could reach the answer.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        # Starts as the identity plus a little of the past, so that training begins from plain projections.
        self.weight = nn.Parameter(torch.randn(width, channels) / width)
        with torch.no_grad():
            self.weight[0] += 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, C] to [B, T, C]; tap j sees the token j steps back. Of fewer channels x has the last ones."""
        weight = self.weight[:, -x.shape[-1] :]
        mixed = x * weight[0]
        for back in range(1, min(weight.shape[0], x.shape[1])):
            mixed = mixed + functional.pad(x[:, :-back] * weight[back], (0, 0, back, 0))
        return mixed
