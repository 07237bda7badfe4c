"""Attention under each eviction: window by window it equals one call over all tokens, and sees as far as told."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import WINDOW, Build, live, other, tokens
from torch import Tensor

from baselines.attention import WindowAttention, rotary, rotate, visible
from baselines.hybrid import Hybrid
from baselines.presets import FullCache, Transformer

LENGTH = 4 * WINDOW
CUTS = pytest.mark.parametrize(
    "cuts",
    [[WINDOW] * 4, [1] * LENGTH, [WINDOW, 2, 5, WINDOW, 5], [LENGTH]],
    ids=["windows", "tokens", "uneven", "one"],
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def attention(keep: int | None) -> WindowAttention:
    """Width 16, 2 heads, every weight away from where it starts."""
    mixer = WindowAttention(16, 2, keep=keep).double()
    with torch.no_grad():
        for number, parameter in enumerate(mixer.parameters()):
            parameter += 0.3 * normal(*parameter.shape, seed=number)
    return mixer


def in_parallel(mixer: WindowAttention, x: Tensor, reach: float) -> Tensor:
    """Outputs [B, T, D] of a whole sequence at once: token t sees s where 0 <= t - s <= reach, and nothing is kept."""
    batch, length, width = x.shape
    size = width // mixer.heads
    q, k, v = (x @ mixer.qkv.weight.T).view(batch, length, 3, mixer.heads, size).unbind(2)
    q, k = (
        a / (a.square().mean(-1, keepdim=True) + torch.finfo(a.dtype).eps).sqrt() * norm.weight
        for a, norm in ((q, mixer.q_norm), (k, mixer.k_norm))
    )
    place = torch.arange(length, dtype=torch.float64)
    angle = place[:, None, None] * 10_000.0 ** (-2 * torch.arange(size // 2, dtype=torch.float64) / size)
    q, k = (torch.complex(*a.chunk(2, dim=-1)) * torch.polar(torch.ones_like(angle), angle) for a in (q, k))
    scores = torch.einsum("bthc,bshc->bhts", q, k.conj()).real / math.sqrt(size)
    distance = place[:, None] - place
    weights = scores.masked_fill((distance < 0) | (distance > reach), -math.inf).softmax(-1)
    return torch.einsum("bhts,bshc->bthc", weights, v).flatten(-2) @ mixer.out.weight.T


@CUTS
@pytest.mark.parametrize("keep", [1, WINDOW - 1, 2 * WINDOW, None])
def test_cut_anywhere_it_equals_banded_attention(keep: int | None, cuts: list[int]) -> None:
    """Outputs, gradients, and what is kept: the keys and values of the last `keep` tokens."""
    mixer = attention(keep)
    x = normal(2, LENGTH, 16, seed=9).requires_grad_()
    kept, outputs = mixer.initial_state(2), []
    for part in x.split(cuts, dim=1):
        output, kept = mixer(part, kept)
        outputs.append(output)
    ours, expected = torch.cat(outputs, dim=1), in_parallel(mixer, x, math.inf if keep is None else keep)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)
    assert kept is not None
    assert kept.shape == (2, 2, 2, min(LENGTH, LENGTH if keep is None else keep), 8)
    values = (x @ mixer.qkv.weight[32:].T).view(2, LENGTH, 2, 8).transpose(1, 2)
    torch.testing.assert_close(kept[:, 1], values[:, :, -kept.shape[3] :], rtol=0, atol=1e-12)

    leaves = (x, *mixer.parameters())
    weights = normal(*ours.shape, seed=5)
    for one, two in zip(*(torch.autograd.grad((weights * o).sum(), leaves) for o in (ours, expected)), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


@CUTS
def test_under_hard_eviction_every_window_is_alone(cuts: list[int]) -> None:
    mixer = attention(0)
    assert mixer.initial_state(2) is None
    for part in normal(2, LENGTH, 16).split(cuts, dim=1):
        output, kept = mixer(part, None)
        assert kept is None
        torch.testing.assert_close(output, in_parallel(mixer, part, math.inf), rtol=0, atol=1e-10)


def test_who_sees_whom() -> None:
    assert visible(3, 2, None, torch.device("cpu")).int().tolist() == [
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
    ]
    assert visible(3, 2, 1, torch.device("cpu")).int().tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    q, k = normal(2, 8)
    cos, sin = rotary(12, 8, q.device, q.dtype)
    scores = rotate(q.expand(12, 8), cos, sin) @ rotate(k.expand(12, 8), cos, sin).mT  # [query position, key position]
    torch.testing.assert_close(scores[0, 0], q @ k)
    for distance in range(12):
        diagonal = scores.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-12)
    assert scores[:, 0].unique().numel() == 12


# --- whole models of attention alone ---


@pytest.mark.parametrize("blocks", [1, 3])
def test_with_a_full_cache_windows_do_not_show(build: Build, blocks: int) -> None:
    """Read window by window, or all at once by a model with one large window: the same logits everywhere.

    But for the index of the window, which is left out here.
    """
    config = FullCache(layout=" ".join(["attn"] * blocks), d_model=16, heads=2, mlp_ratio=2, window_embedding=False)
    model = build(config, dtype=torch.float64)
    whole = build(config, dtype=torch.float64, window=LENGTH, windows=1)
    expected, after = whole.wake(tokens(), whole.start(3))
    state, logits = model.start(3), []
    for window in tokens().split(WINDOW, dim=1):
        output, state = model.wake(window, state)
        logits.append(output)
    torch.testing.assert_close(torch.cat(logits, dim=1), expected, rtol=0, atol=1e-10)
    for one, two in zip(state.cache, after.cache, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)
    torch.testing.assert_close(live(model, tokens(), 1)[0], expected[:, -WINDOW:], rtol=0, atol=1e-10)


@pytest.mark.parametrize("eviction", ["sliding", "none"])
@pytest.mark.parametrize("length", [1, WINDOW - 1, WINDOW])
def test_in_its_first_window_a_model_does_not_know_its_eviction(build: Build, eviction: str, length: int) -> None:
    inputs = tokens(length=length)
    hard, kept = (
        build(Hybrid(d_model=16, heads=2, mlp_ratio=2, eviction=kind), dtype=torch.float64)
        for kind in ("hard", eviction)
    )
    (logits, state), (after, kept_state) = (model.wake(inputs, model.start(3)) for model in (hard, kept))
    torch.testing.assert_close(after, logits, rtol=0, atol=1e-12)
    for one, two in zip(kept_state.fast_weights, state.fast_weights, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-12)
    assert kept_state.cache
    assert not state.cache


def heard(build: Build, config: Hybrid, passes: int, length: int = LENGTH) -> list[bool]:
    """Of the tokens 0, 1, 2, ... back from the last of a sequence: does the last token's prediction hear of them?"""
    model = build(config, dtype=torch.float64, windows=-(-length // WINDOW))
    inputs = tokens(length=length)
    last = live(model, inputs, passes)[0][:, -1]
    changed = (live(model, other(inputs, length - 1 - back), passes)[0][:, -1] for back in range(length))
    return [not torch.equal(after, last) for after in changed]


@pytest.mark.parametrize("length", [LENGTH, LENGTH - 2])
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_sliding_window_ends_exactly_where_it_says(build: Build, blocks: int, length: int) -> None:
    """One block hears of L tokens, itself included; each further one of L - 1 more, by features of what was kept."""
    config = Transformer(layout=" ".join(["attn"] * blocks), d_model=16, heads=2, mlp_ratio=2, eviction="sliding")
    reach = blocks * (WINDOW - 1)
    assert heard(build, config, 1, length) == [back <= reach for back in range(length)]


def test_with_passes_a_sliding_window_has_no_end(build: Build) -> None:
    """What the last pass keeps was made from what was kept before it: a chain of windows, though each is short.

    A pass that starts again from the embeddings keeps, in one block, what a single pass keeps.
    """
    config = Transformer(layout="attn", d_model=16, heads=2, mlp_ratio=2, eviction="sliding")
    length = 3 * WINDOW + 1  # the first token of a window looks back on what was kept
    cases: list[tuple[dict[str, Any], int]] = [({}, length - 1), ({"reembed": True}, WINDOW - 1)]
    for settings, reach in cases:
        expected = [back <= reach for back in range(length)]
        assert heard(build, replace(config, **settings), 2, length) == expected


@pytest.mark.parametrize("passes", [1, 3])
def test_under_hard_eviction_a_transformer_hears_of_its_window_alone(build: Build, passes: int) -> None:
    config = Transformer(layout="attn attn", d_model=16, heads=2, mlp_ratio=2)
    assert heard(build, config, passes) == [back < WINDOW for back in range(LENGTH)]
