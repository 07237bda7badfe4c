"""The delta rule as fast weights: with a forget gate, those of the paper's hybrids, and without one."""

from typing import ClassVar

from torch import Tensor

from baselines.fast_weights import delta, gated_delta
from baselines.memory import FastWeightMixer, ForgettingMixer


class GatedDeltaNet(ForgettingMixer):
    """Fast weights under the gated delta rule (Yang, Kautz, Hatamizadeh 2024): forget, correct, write."""

    gate_count: ClassVar[int] = 2

    def update(
        self, q: Tensor, k: Tensor, v: Tensor, gates: tuple[Tensor, ...], state: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`gated_delta` with decay and write strength from the gates."""
        step, write = gates
        return gated_delta(q, k, v, self.log_decay(step), write.sigmoid(), state)


class DeltaNet(FastWeightMixer):
    """Fast weights under the delta rule (Schlag, Irie, Schmidhuber 2021; Yang et al. 2024): correct, write."""

    gate_count: ClassVar[int] = 1

    def update(
        self, q: Tensor, k: Tensor, v: Tensor, gates: tuple[Tensor, ...], state: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`delta` with write strength from the gate."""
        (write,) = gates
        return delta(q, k, v, write.sigmoid(), state)
