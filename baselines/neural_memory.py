"""Fast weights that learn by gradient descent while they read: neural memory with momentum and decay."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from baselines.fast_weights import Rule, at_least_single, before, corrections, decays, in_chunks, in_turn, read, write
from baselines.memory import ForgettingMixer


@at_least_single
def neural_memory_reference(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, log_momentum: Tensor, rate: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient rule with momentum and decay, one token at a time.

    The inner loss is `1/2 |S^T k_t - v_t|^2`, of gradient `G_t = k_t (S_{t-1}^T k_t - v_t)^T` at S_{t-1}. Then
    `Z_t = e_t Z_{t-1} - r_t G_t`, `S_t = a_t S_{t-1} + Z_t` and `o_t = S_t^T q_t`, with `a = exp(log_decay)`,
    `e = exp(log_momentum)` and `r = rate`.

    Without momentum this is the gated delta rule with `b_t = r_t / a_t` and values `a_t v_t`: the gradient is taken
    before the decay, that rule corrects after it.

    Args:
        q: Queries [B, H, T, K].
        k: Keys [B, H, T, K].
        v: Values [B, H, T, V].
        log_decay: Logarithm of the forget gate [B, H, T], at most 0.
        log_momentum: Logarithm of what stays of the momentum [B, H, T], at most 0.
        rate: Step size of the inner descent [B, H, T].
        state: Fast weights S and momentum Z before the first token [B, 2, H, K, V].

    Returns:
        Outputs [B, H, T, V] and both matrices after the last token [B, 2, H, K, V].
    """
    outputs = []
    fast, momentum = state.unbind(1)
    for q_t, k_t, v_t, a_t, e_t, r_t in in_turn(q, k, v, log_decay.exp(), log_momentum.exp(), rate):
        gradient = k_t @ (k_t.mT @ fast - v_t)
        momentum = e_t * momentum - r_t * gradient
        fast = a_t * fast + momentum
        outputs.append(q_t.mT @ fast)
    return torch.cat(outputs, dim=2), torch.stack((fast, momentum), dim=1)


@at_least_single
def neural_memory(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, log_momentum: Tensor, rate: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """`neural_memory_reference` in chunks, exactly: of a linear memory the gradients solve a triangular system.

    A step at s joins the momentum, and each later token adds what is left of it there to the fast weights, where it
    decays: at t there stands the share `c_ts = sum_r decay_tr momentum_rs` over s <= r <= t, a product of two lower
    triangular matrices.
    """
    return in_chunks(_neural_memory_chunk, q, k, v, log_decay, log_momentum, rate, state=state)


def _neural_memory_chunk(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, log_momentum: Tensor, rate: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    fast, momentum = state.unbind(1)
    decay, carried = decays(log_decay)
    kept, kept_carried = decays(log_momentum)
    influence, flown = decay @ kept, decay @ kept_carried  # of steps in the chunk, and of the momentum before it

    # Token t steps from what token t - 1 left.
    less = v - before(flown, 0.0) * (k @ momentum)
    steps = corrections(k, less, rate, before(influence, 0.0), before(carried, 1.0), fast)
    output = read(q, k, steps, influence, carried, fast) + flown[..., : q.shape[2], :] * (q @ momentum)
    fast = write(k, steps, influence, carried, fast) + flown[..., -1:, :] * momentum
    return output, torch.stack((fast, write(k, steps, kept, kept_carried, momentum)), dim=1)


class NeuralMemory(ForgettingMixer):
    """Fast weights in the manner of "Titans: Learning to Memorize at Test Time" (Behrouz, Zhong, Mirrokni 2024).

    Every token takes one step on the loss of recalling its value from its key; the step's size, the momentum and the
    decay are gates. The state is S and the momentum Z, [B, 2, H, K, V]. What differs from Titans: the memory is a
    matrix (theirs is a network of one layer or more), gradients are exact for every token rather than taken at the
    start of a chunk, the decay has Mamba-2's form, and the step's size is a share of what the momentum loses, so that
    momentum averages gradients. Steps of full size under a momentum of .9 reach further than the gap they close: over
    1000 tokens the memory grows without bound, decay or not.
    """

    rule: ClassVar[Rule] = Rule(
        fast=neural_memory,
        reference=neural_memory_reference,
        gates=("log_decay", "log_momentum", "rate"),
        matrices=2,
    )
    gate_count: ClassVar[int] = 3

    def in_range(self, k: Tensor, gates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Decay, momentum and step size."""
        step, momentum, rate = gates
        size = rate.sigmoid() * (-momentum).sigmoid()  # the second factor is 1 - momentum
        return self.log_decay(step), functional.logsigmoid(momentum), size
