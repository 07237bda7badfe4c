"""The delta rule as fast weights: with a forget gate, those of the paper's hybrids, and without one."""

from typing import ClassVar

from torch import Tensor

from baselines.fast_weights import DELTA, GATED_DELTA, Rule
from baselines.memory import FastWeightMixer, ForgettingMixer


class GatedDeltaNet(ForgettingMixer):
    """Fast weights under the gated delta rule (Yang, Kautz, Hatamizadeh 2024): forget, correct, write."""

    rule: ClassVar[Rule] = GATED_DELTA
    gate_count: ClassVar[int] = 2

    def in_range(self, k: Tensor, gates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Decay and write strength."""
        step, write = gates
        return self.log_decay(step), write.sigmoid()


class DeltaNet(FastWeightMixer):
    """Fast weights under the delta rule (Schlag, Irie, Schmidhuber 2021; Yang et al. 2024): correct, write."""

    rule: ClassVar[Rule] = DELTA
    gate_count: ClassVar[int] = 1

    def in_range(self, k: Tensor, gates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Write strength."""
        return (gates[0].sigmoid(),)
