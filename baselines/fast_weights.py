"""Fast-weight rules: how a sequence of keys and values is written into a matrix state, and what they are made of.

Every rule is a plain function on tensors, `rule(q, k, v, ..., state) -> (output, state)`, in two forms: a token
loop that reads like the equation (`*_reference`, the oracle of the tests) and a fast form with the same signature.
The delta rules are here; every other rule lies beside its mixer.

Where only the new state is of use, a fast form is called with no queries, q [B, H, 0, K], and gives no outputs.

A fast form is made of the parts at the end. Of the write k_s w_s^T a rule leaves a share c_ts after token t, the
influence [B, H, T, T]. Reading, writing and correcting are matrix products and one triangular solve, whatever c is.

Shapes: B batch, H heads, T tokens, K key size, V value size.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

CHUNK = 32
"""Tokens solved at once. One chunk covers a whole window of the automaton; beyond 32 the T x T solve stops paying."""

P = ParamSpec("P")
Form: TypeAlias = Callable[..., tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An update rule in both of its forms, and what they take besides q, k, v and the state.

    Tests, timings and counts read this, so that a new rule needs no entry of its own in any of them.
    """

    fast: Form  # in chunks
    reference: Form  # token by token, the same arguments by the same names
    gates: tuple[str, ...] = ()  # arguments [B, H, T] after v: "log_..." are logarithms at most 0, the others in (0, 1)
    matrices: int = 1  # M: the state is [B, H, K, V] for one matrix per head, [B, M, H, K, V] for more
    square: bool = False  # whether V must be K


def at_least_single(rule: Callable[P, tuple[Tensor, Tensor]]) -> Callable[P, tuple[Tensor, Tensor]]:
    """`rule` for inputs of any floating dtypes: computed in the state's, in float32 if that has fewer bits.

    Outputs and state come back in the dtype of the state. So both forms of a rule agree, whatever they are given: half
    precision would round the state after every token in one and not in the other, and has no triangular solve.
    """
    signature = inspect.signature(rule)

    @wraps(rule)
    def cast(*args: P.args, **kwargs: P.kwargs) -> tuple[Tensor, Tensor]:
        if {a.dtype for a in (*args, *kwargs.values()) if isinstance(a, Tensor)} in _WIDE:
            return rule(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        dtype = bound.arguments["state"].dtype
        wide = torch.promote_types(dtype, torch.float32)
        for name, a in bound.arguments.items():
            if isinstance(a, Tensor):
                bound.arguments[name] = a.to(wide)
        outputs, state = rule(*bound.args, **bound.kwargs)
        return outputs.to(dtype), state.to(dtype)

    return cast


_WIDE = ({torch.float32}, {torch.float64})  # nothing to cast


@at_least_single
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
        log_decay: Logarithm of the forget gate [B, H, T], at most 0; -inf forgets everything.
        beta: Write strength [B, H, T], in [0, 1].
        state: Fast weights before the first token [B, H, K, V].

    Returns:
        Outputs [B, H, T, V] and the fast weights after the last token [B, H, K, V], both in the dtype of `state`.
    """
    outputs = []
    for q_t, k_t, v_t, a_t, b_t in in_turn(q, k, v, log_decay.exp(), beta):
        state = a_t * state
        state = state + k_t @ (b_t * (v_t - k_t.mT @ state))
        outputs.append(q_t.mT @ state)
    return torch.cat(outputs, dim=2), state


@at_least_single
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
    return in_chunks(_gated_delta_chunk, q, k, v, log_decay, beta, state=state)


def _gated_delta_chunk(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    decay, carried = decays(log_decay)
    corrected = corrections(k, v, beta, decay, carried, state)
    return read(q, k, corrected, decay, carried, state), write(k, corrected, decay, carried, state)


@at_least_single
def delta_reference(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Delta rule, one token at a time.

    Schlag, Irie, Schmidhuber 2021, "Linear Transformers Are Secretly Fast Weight Programmers".
    `S_t = S_{t-1} + b_t k_t (v_t - S_{t-1}^T k_t)^T` and `o_t = S_t^T q_t`: nothing fades, but a write replaces the
    share b_t of what its key answered.

    Args:
        q: Queries [B, H, T, K].
        k: Keys [B, H, T, K]; the rule is stable when they have at most unit length.
        v: Values [B, H, T, V].
        beta: Write strength [B, H, T], in [0, 1].
        state: Fast weights before the first token [B, H, K, V].

    Returns:
        Outputs [B, H, T, V] and the fast weights after the last token [B, H, K, V].
    """
    outputs = []
    for q_t, k_t, v_t, b_t in in_turn(q, k, v, beta):
        state = state + k_t @ (b_t * (v_t - k_t.mT @ state))
        outputs.append(q_t.mT @ state)
    return torch.cat(outputs, dim=2), state


@at_least_single
def delta(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """`delta_reference` in chunks (Yang et al. 2024): the gated delta rule that never forgets."""
    return gated_delta(q, k, v, torch.zeros_like(beta), beta, state)


GATED_DELTA = Rule(fast=gated_delta, reference=gated_delta_reference, gates=("log_decay", "beta"))
DELTA = Rule(fast=delta, reference=delta_reference, gates=("beta",))


# --- the parts that rules are made of ---


def in_turn(q: Tensor, k: Tensor, v: Tensor, *gates: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Token by token: q_t and k_t as columns [B, H, K, 1], v_t as a row [B, H, 1, V], gates as [B, H, 1, 1]."""
    for t in range(q.shape[2]):
        part = slice(t, t + 1)
        yield q[:, :, part].mT, k[:, :, part].mT, v[:, :, part], *(gate[:, :, part, None] for gate in gates)


def in_chunks(chunk: Callable[..., tuple[Tensor, Tensor]], *sequences: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs and last state of `chunk(*sequences, state)` over at most `CHUNK` tokens (dimension 2) after another.

    The sequences are q, k and whatever else a rule takes per token.
    """
    if sequences[1].shape[2] <= CHUNK:
        # A slice, though of everything, lays its gradient out in order; products before it round by that.
        return chunk(*(a[:, :, :CHUNK] for a in sequences), state)
    # One split each: the gradient of a slice is as long as the whole, so that slices would cost their number squared.
    parts = [torch.split(a, CHUNK, dim=2) for a in sequences]
    outputs = []
    for number in range(len(parts[1])):
        # No queries make one part, of no tokens.
        output, state = chunk(*(part[min(number, len(part) - 1)] for part in parts), state)
        outputs.append(output)
    return torch.cat(outputs, dim=2), state


_UNDERFLOW = {torch.float32: -128.0, torch.float64: -768.0}  # of these exp is exactly 0, with room to spare


def decays(log_decay: Tensor) -> tuple[Tensor, Tensor]:
    """What decay leaves at t of a write at s <= t [B, H, T, T], and of the state before the chunk [B, H, T, 1]."""
    # Where everything is forgotten a bounded number says so as well as -inf, whose differences are no numbers, or as
    # one so large that the sum would lose all that comes after it.
    bounded = log_decay.clamp(min=_UNDERFLOW[log_decay.dtype])
    since_start = bounded.cumsum(-1)  # log of the decay from the chunk's start to after token t  [B, H, T]
    # The mask goes on before exp, which would overflow above the diagonal and turn the gradient into 0 * inf.
    length = log_decay.shape[-1]
    future = torch.ones(length, length, dtype=torch.bool, device=log_decay.device).triu(1)
    decay = (since_start[..., :, None] - since_start[..., None, :]).masked_fill(future, -torch.inf).exp()
    return decay, since_start.exp()[..., None]


def read(q: Tensor, k: Tensor, writes: Tensor, influence: Tensor, carried: Tensor, state: Tensor) -> Tensor:
    """What the fast weights after token t answer to q_t [B, H, T, V], for writes [B, H, T, V] under keys k.

    Args:
        q: Queries [B, H, T, K]; or none, [B, H, 0, K], which get no answers.
        k: Keys [B, H, T, K].
        writes: What token s wrote under k_s [B, H, T, V].
        influence: What is left at t of the write at s [B, H, T, T], lower triangular.
        carried: What is left at t of `state` [B, H, T, 1].
        state: Fast weights before the chunk [B, H, K, V].
    """
    if not q.shape[2]:
        return q @ state
    return carried * (q @ state) + (influence * (q @ k.mT)) @ writes


def write(k: Tensor, writes: Tensor, influence: Tensor, carried: Tensor, state: Tensor) -> Tensor:
    """The fast weights after the chunk's last token [B, H, K, V], from the arguments of `read`."""
    return carried[..., -1:, :] * state + (influence[..., -1, :, None] * k).mT @ writes


def corrections(k: Tensor, v: Tensor, strength: Tensor, influence: Tensor, carried: Tensor, state: Tensor) -> Tensor:
    """Writes u [B, H, T, V] of a rule that writes what is missing: `u_t = b_t (v_t - what k_t finds stored)`.

    What it finds is `g_t state^T k_t + sum_{s<t} c_ts (k_t . k_s) u_s`: the earlier writes of the chunk, so that all of
    them solve one unit lower triangular system.

    Args:
        k: Keys [B, H, T, K].
        v: Values [B, H, T, V].
        strength: b, the write strength [B, H, T].
        influence: c, what token t finds left of the write at s [B, H, T, T]; nothing but s < t is looked at.
        carried: g, what token t finds left of `state` [B, H, T, 1].
        state: Fast weights before the chunk [B, H, K, V].
    """
    # The overlap comes before what is missing: gradients of k add up in this order, and the bits of runs depend on it.
    overlap = strength[..., None] * influence * (k @ k.mT)
    missing = strength[..., None] * (v - carried * (k @ state))
    # The solver takes the unit diagonal as given and never looks above it.
    writes: Tensor = torch.linalg.solve_triangular(overlap, missing, upper=False, unitriangular=True)
    return writes


def before(after: Tensor, first: float) -> Tensor:
    """What each token finds [B, H, T, n], from what it leaves: rows moved down by one, `first` in the first."""
    return functional.pad(after[..., :-1, :], (0, 0, 1, 0), value=first)


@register_flop_formula(torch.ops.aten.linalg_solve_triangular)
def _solve_triangular_flops(a_shape: tuple[int, ...], b_shape: tuple[int, ...], **_: object) -> int:
    """Count a triangular solve, which torch's flop counter does not know: T (T - 1) / 2 multiply-adds per column."""
    *batch, t, columns = b_shape
    flops = t * (t - 1) * columns
    for size in batch:
        flops *= size
    return flops
