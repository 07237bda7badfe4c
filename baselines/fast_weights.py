"""Fast-weight rules: how a sequence of keys and values is written into a matrix state.

Every rule is a plain function on tensors, `rule(q, k, v, ..., state) -> (output, state)`, in two forms: a token
loop that reads like the equation (`*_reference`, the oracle of the tests) and a fast form with the same signature.

Shapes: B batch, H heads, T tokens, K key size, V value size.
"""

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

CHUNK = 32
"""Tokens solved at once. One chunk covers a whole window of the automaton; beyond 32 the T x T solve stops paying."""


def gated_delta_reference(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Gated delta rule, one token at a time (Yang, Kautz, Hatamizadeh 2024, "Gated Delta Networks").

    `S_t = a_t (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T` and `o_t = S_t^T q_t`, with `a = exp(log_decay)` and
    `b = beta`: the old value stored under k_t is forgotten by the share b_t before the new one is written.

    Args:
        q: Queries [B, H, T, K].
        k: Keys [B, H, T, K]; the rule is stable when they have at most unit length.
        v: Values [B, H, T, V].
        log_decay: Logarithm of the forget gate [B, H, T], at most 0.
        beta: Write strength [B, H, T], in [0, 1].
        state: Fast weights before the first token [B, H, K, V].

    Returns:
        Outputs [B, H, T, V] and the fast weights after the last token [B, H, K, V], both in the dtype of `state`.
    """
    outputs = []
    for t in range(q.shape[2]):
        q_t, k_t, v_t = q[:, :, t, :, None], k[:, :, t, :, None], v[:, :, t, None, :]
        state = state * log_decay[:, :, t, None, None].exp()
        stored = (k_t * state).sum(-2, keepdim=True)  # what the fast weights now answer to k_t  [B, H, 1, V]
        state = state + k_t * (beta[:, :, t, None, None] * (v_t - stored))
        outputs.append((q_t * state).sum(-2))
    return torch.stack(outputs, dim=2), state


def gated_delta(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Gated delta rule in chunks: the same values and gradients as `gated_delta_reference`, in matrix products.

    Within a chunk the corrected values u_t = b_t (v_t - what is stored under k_t) depend on the earlier u only, so they
    solve one unit lower triangular system; outputs and the final state are then plain products.

    Args:
        q: Queries [B, H, T, K].
        k: Keys [B, H, T, K].
        v: Values [B, H, T, V].
        log_decay: Logarithm of the forget gate [B, H, T].
        beta: Write strength [B, H, T].
        state: Fast weights before the first token [B, H, K, V].

    Returns:
        Outputs [B, H, T, V] and the fast weights after the last token [B, H, K, V], both in the dtype of `state`.
    """
    outputs = []
    for start in range(0, q.shape[2], CHUNK):
        part = slice(start, start + CHUNK)
        output, state = _gated_delta_chunk(
            q[:, :, part], k[:, :, part], v[:, :, part], log_decay[:, :, part], beta[:, :, part], state
        )
        outputs.append(output)
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)), state


def _gated_delta_chunk(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    since_start = log_decay.cumsum(-1)  # log of the decay from the chunk's start to after token t  [B, H, T]
    # decay_ts: what is left at t of a write at s <= t. The mask goes on before exp, which would overflow above the
    # diagonal and turn the gradient into 0 * inf.
    future = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).triu(1)
    decay = (since_start[..., :, None] - since_start[..., None, :]).masked_fill(future, -torch.inf).exp()
    carried = since_start.exp()[..., None]

    # Row t: u_t + b_t sum_{s<t} decay_ts (k_t . k_s) u_s = b_t (v_t - carried_t S^T k_t). The solver takes the unit
    # diagonal as given and never looks above it.
    overlap = beta[..., None] * decay * (k @ k.mT)
    corrected = torch.linalg.solve_triangular(
        overlap, beta[..., None] * (v - carried * (k @ state)), upper=False, unitriangular=True
    )
    output = carried * (q @ state) + (decay * (q @ k.mT)) @ corrected
    kept = carried[..., -1:, :]
    state = kept * state + (decay[..., -1, :, None] * k).mT @ corrected
    return output, state


@register_flop_formula(torch.ops.aten.linalg_solve_triangular)
def _solve_triangular_flops(a_shape: tuple[int, ...], b_shape: tuple[int, ...], **_: object) -> int:
    """Count a triangular solve, which torch's flop counter does not know: T (T - 1) / 2 multiply-adds per column."""
    *batch, t, columns = b_shape
    flops = t * (t - 1) * columns
    for size in batch:
        flops *= size
    return flops
