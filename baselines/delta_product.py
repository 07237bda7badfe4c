"""Passes inside the rule: several delta steps per token, each with a key, a value and a strength of its own."""

from typing import ClassVar

import torch
from torch import Tensor

from baselines.fast_weights import GATED_DELTA, Rule
from baselines.memory import ForgettingMixer, interleave


class DeltaProduct(ForgettingMixer):
    """Fast weights under Gated DeltaProduct (Siems et al. 2025, arXiv 2502.10297): forget once, then correct J times.

    Token t makes the steps j = 1..J of `S <- (I - b_tj k_tj k_tj^T) S + b_tj k_tj v_tj^T` on `a_t S_{t-1}`, and is
    answered after the last. Every b_tj is in (0, 2), the paper's wider range, in which a step may reflect along its key
    as well as erase there; so the transition of a token is a product of J generalised Householder matrices. That is J
    tokens of the gated delta rule, of which only the first decays and only the last is asked.
    """

    rule: ClassVar[Rule] = GATED_DELTA
    steps: ClassVar[int] = 2
    gate_count: ClassVar[int] = 3

    def recur(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [B, H, Q, V] and the new state of tokens x [B, T, D] with keys and values [B, H, J T, K = V]."""
        asked = interleave([torch.zeros_like(q)] * (self.steps - 1) + [q])
        outputs, state = super().recur(x, asked, k, v, state)
        return outputs[:, :, self.steps - 1 :: self.steps], state

    def in_range(self, k: Tensor, gates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Decay and write strength of every step [B, H, J T], from those of every token [B, H, T]."""
        decay, *strengths = gates
        first = self.log_decay(decay)
        decays = [first] + [torch.zeros_like(first)] * (self.steps - 1)
        return interleave(decays), interleave([2 * strength.sigmoid() for strength in strengths])


class DeltaProduct4(DeltaProduct):
    """The same with J = 4."""

    steps: ClassVar[int] = 4
    gate_count: ClassVar[int] = 5
