"""The classic fast-weight network: fixed decay and rate, and an inner loop that settles before it reads."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.fast_weights import Rule, at_least_single, decays, in_chunks, in_turn, read, write
from baselines.memory import FastWeightMixer, unit_length

INNER_STEPS = 2
"""Steps of the inner loop: how often an answer is asked again before it is given."""


@at_least_single
def classic_reference(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, rate: Tensor, state: Tensor, steps: int = INNER_STEPS
) -> tuple[Tensor, Tensor]:
    """Classic fast weights, token by token, after "Using Fast Weights to Attend to the Recent Past" (Ba et al. 2016).

    `S_t = l_t S_{t-1} + n_t k_t v_t^T` with `l = exp(log_decay)` and `n = rate`. Reading settles first, from
    `h_0 = q_t`, by `h_{i+1} = relu(unit_length(q_t + S_t^T h_i))`; then `o_t = S_t^T h_steps`.

    Args:
        q: Queries [B, H, T, K].
        k: Keys [B, H, T, K].
        v: Values [B, H, T, K]: what is read must be able to ask, so V = K (unless `steps` is 0).
        log_decay: Logarithm of the decay [B, H, T], at most 0.
        rate: Rate of writing [B, H, T].
        state: Fast weights before the first token [B, H, K, K].
        steps: Steps of the inner loop, at least 0.

    Returns:
        Outputs [B, H, T, K] and the fast weights after the last token [B, H, K, K].
    """
    outputs = []
    for q_t, k_t, v_t, l_t, n_t in in_turn(q, k, v, log_decay.exp(), rate):
        state = l_t * state + n_t * (k_t @ v_t)
        h = q_t.mT
        for _ in range(steps):
            h = functional.relu(unit_length(q_t.mT + h @ state))
        outputs.append(h @ state)
    return torch.cat(outputs, dim=2), state


@at_least_single
def classic(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, rate: Tensor, state: Tensor, steps: int = INNER_STEPS
) -> tuple[Tensor, Tensor]:
    """`classic_reference` in chunks: all tokens of a chunk settle at once, each in the fast weights of its own time."""

    def chunk(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, rate: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        decay, carried = decays(log_decay)
        writes, h = rate[..., None] * v, q
        for _ in range(steps):
            h = functional.relu(unit_length(q + read(h, k, writes, decay, carried, state)))
        return read(h, k, writes, decay, carried, state), write(k, writes, decay, carried, state)

    return in_chunks(chunk, q, k, v, log_decay, rate, state=state)


class ClassicFastWeights(FastWeightMixer):
    """Fast weights after Schmidhuber (1992) and Ba et al. (2016): the gates are learned numbers, one pair per head.

    Decay and rate start at the 0.95 and 0.5 of Ba et al. What differs from their network:

    - It associates keys with values that the slow weights choose, as in Schmidhuber (1992, "Learning to control
      fast-weight memories"); theirs associates a hidden state with itself, so that K = V is needed in both.
    - It is a mixer in a stack of blocks: the query stands for `W h(t) + C x(t+1)`, the part that the inner loop holds
      fixed, so no token's query depends on what the token before it read, and chunks can be read in parallel.
    - The token's own write is there to be read, as in every rule here; theirs reads before it writes.
    - The settled vector is read out once more through the fast weights instead of being the output: nothing passes this
      mixer but memory, and zero steps leave the decayed Hebbian rule.
    - Scaling to unit length, which queries and keys have, stands for layer normalisation.
    """

    rule: ClassVar[Rule] = Rule(fast=classic, reference=classic_reference, gates=("log_decay", "rate"), square=True)
    gate_count: ClassVar[int] = 0

    def __init__(self, d_model: int, heads: int, *, state_size: int | None = None) -> None:
        super().__init__(d_model, heads, state_size=state_size)
        self.decay_logit = nn.Parameter(torch.full((heads,), 0.95).logit())
        self.log_rate = nn.Parameter(torch.full((heads,), 0.5).log())

    def in_range(self, k: Tensor, gates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The same decay and rate for every token."""
        shape = k.shape[:-1]
        log_decay = functional.logsigmoid(self.decay_logit)[:, None].expand(shape)
        return log_decay, self.log_rate.exp()[:, None].expand(shape)
