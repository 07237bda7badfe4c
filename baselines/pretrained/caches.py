"""What one layer of a transformers decoder reads and writes, as a cache of values: nothing in it is changed in place.

The library's own layers of a cache copy into buffers, which would change a `State` that was handed in and cut the
gradients through it. Only caches of one layer's call are made; what goes from window to window is the `State`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DummyLayer, DynamicLayer, LinearAttentionLayer


class KeysValues(DynamicLayer):  # type: ignore[misc]
    """Keys and values that go on from those that were kept, [B, 2, H, C, D / H]."""

    def __init__(self, kept: Tensor | None) -> None:
        super().__init__()
        if kept is not None and kept.shape[-2]:
            self.keys, self.values = kept.unbind(1)
            self.dtype, self.device = kept.dtype, kept.device
            self.is_initialized = True

    @property
    def both(self) -> Tensor:
        """Kept and new keys and values [B, 2, H, C + T, D / H]."""
        return torch.stack((self.keys, self.values), dim=1)


class FastWeights(LinearAttentionLayer):  # type: ignore[misc]
    """Fast weights and the last inputs of the convolution before them; None of both before the first window."""

    def __init__(self, tail: Tensor | None, fast_weights: Tensor | None) -> None:
        super().__init__()
        # Without it a window of one token takes a road that writes into the convolution's state in place.
        self.record_past = True
        if fast_weights is not None:
            self.conv_states[0], self.recurrent_states[0] = tail, fast_weights
            self.has_previous_state[0] = self.is_recurrent_states_initialized[0] = True
            self.is_conv_states_initialized[0] = tail is not None
            self.conv_kernel_size[0] = None if tail is None else tail.shape[-1]

    def update_conv_state(
        self, conv_states: Tensor, state_idx: int = 0, conv_kernel_size: int | None = None, **_: Any
    ) -> Tensor:
        """The inputs [B, C, T] after those that were kept; the last of them are kept in turn."""
        width = conv_kernel_size or self.conv_kernel_size[state_idx] or conv_states.shape[-1]
        before = self.conv_states[state_idx] if self.has_previous_state[state_idx] else None
        inputs = conv_states if before is None else torch.cat((before, conv_states), dim=-1)
        inputs = nn.functional.pad(inputs, (max(0, width - inputs.shape[-1]), 0))
        self.conv_kernel_size[state_idx] = width
        self.conv_states[state_idx] = inputs[..., -width:]
        self.has_previous_state[state_idx] = self.is_conv_states_initialized[state_idx] = True
        return inputs

    def update_recurrent_state(self, recurrent_states: Tensor, state_idx: int = 0, **_: Any) -> Tensor:
        """The fast weights after the window, as they are."""
        self.recurrent_states[state_idx] = recurrent_states
        self.is_recurrent_states_initialized[state_idx] = True
        return recurrent_states


def cache_of(layer: Any | None, index: int, layers: int) -> Cache:
    """A cache for the call of layer `index` of `layers` alone; those of the others hold nothing."""
    own = DummyLayer() if layer is None else layer
    return Cache(
        layers=[*(DummyLayer() for _ in range(index)), own, *(DummyLayer() for _ in range(layers - index - 1))]
    )
