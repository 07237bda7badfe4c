"""Hebbian fast weights: every token adds its value under its key, whatever is stored there already."""

from typing import ClassVar

import torch
from torch import Tensor

from baselines.fast_weights import Rule, at_least_single, decays, in_chunks, in_turn, read, write
from baselines.memory import FastWeightMixer, ForgettingMixer


@at_least_single
def hebbian_reference(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Plain Hebbian rule, one token at a time: `S_t = S_{t-1} + k_t v_t^T` and `o_t = S_t^T q_t`.

    Linear attention (Katharopoulos et al. 2020, "Transformers are RNNs") without the division by the sum of scores.

    Args:
        q: Queries [B, H, T, K].
        k: Keys [B, H, T, K].
        v: Values [B, H, T, V].
        state: Fast weights before the first token [B, H, K, V].

    Returns:
        Outputs [B, H, T, V] and the fast weights after the last token [B, H, K, V].
    """
    outputs = []
    for q_t, k_t, v_t in in_turn(q, k, v):
        state = state + k_t @ v_t
        outputs.append(q_t.mT @ state)
    return torch.cat(outputs, dim=2), state


@at_least_single
def hebbian(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """`hebbian_reference` in chunks, in matrix products."""
    return in_chunks(_hebbian_chunk, q, k, v, state=state)


def _hebbian_chunk(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return q @ state + (q @ k.mT).tril() @ v, state + k.mT @ v


@at_least_single
def gated_hebbian_reference(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Gated Hebbian rule, one token at a time: `S_t = a_t S_{t-1} + b_t k_t v_t^T` and `o_t = S_t^T q_t`.

    The recurrence of Mamba-2 (Dao, Gu 2024, "Transformers are SSMs") with `a = exp(log_decay)` and `b = beta`.

    Args:
        q: Queries [B, H, T, K].
        k: Keys [B, H, T, K].
        v: Values [B, H, T, V].
        log_decay: Logarithm of the forget gate [B, H, T], at most 0.
        beta: Write strength [B, H, T].
        state: Fast weights before the first token [B, H, K, V].

    Returns:
        Outputs [B, H, T, V] and the fast weights after the last token [B, H, K, V].
    """
    outputs = []
    for q_t, k_t, v_t, a_t, b_t in in_turn(q, k, v, log_decay.exp(), beta):
        state = a_t * state + k_t @ (b_t * v_t)
        outputs.append(q_t.mT @ state)
    return torch.cat(outputs, dim=2), state


@at_least_single
def gated_hebbian(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """`gated_hebbian_reference` in chunks, in matrix products."""
    return in_chunks(_gated_hebbian_chunk, q, k, v, log_decay, beta, state=state)


def _gated_hebbian_chunk(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    decay, carried = decays(log_decay)
    writes = beta[..., None] * v
    return read(q, k, writes, decay, carried, state), write(k, writes, decay, carried, state)


class LinearAttention(FastWeightMixer):
    """Fast weights under the plain Hebbian rule: linear attention (Katharopoulos et al. 2020), without gates.

    The features of q and k are those of every mixer here, and the output's norm stands for the division by the sum of
    scores.
    """

    rule: ClassVar[Rule] = Rule(fast=hebbian, reference=hebbian_reference)
    gate_count: ClassVar[int] = 0

    def in_range(self, k: Tensor, gates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """There are no gates."""
        return gates


class GatedHebbian(ForgettingMixer):
    """Fast weights in the form of Mamba-2 (Dao, Gu 2024), the paper's plain form: forget, write.

    The write strength is a gate of its own; in Mamba-2 it is tied to the decay.
    """

    rule: ClassVar[Rule] = Rule(fast=gated_hebbian, reference=gated_hebbian_reference, gates=("log_decay", "beta"))
    gate_count: ClassVar[int] = 2

    def in_range(self, k: Tensor, gates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Decay and write strength."""
        step, write = gates
        return self.log_decay(step), write.sigmoid()
