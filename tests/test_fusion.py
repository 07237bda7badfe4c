"""Fusion-in-decoder and its forms asleep, against one dense attention over all windows and their limiting cases."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import WINDOW, Build, live, tokens
from torch import Tensor

from baselines.fusion import Anticipated, CrossAttention, FiD, FiDAsleep, Fusion, FusionNetwork
from baselines.presets import Transformer

SIZES = {"blocks": 2, "d_model": 8, "heads": 2, "mlp_ratio": 2}
KINDS = {"fid": FiD(**SIZES), "fid-asleep": FiDAsleep(**SIZES), "anticipated": Anticipated(**SIZES, queries_asleep=3)}
every_kind = pytest.mark.parametrize("kind", KINDS)


def built(build: Build, kind: str, **settings: Any) -> FusionNetwork:
    model = build(replace(KINDS[kind], **settings), dtype=torch.float64, noise=0.2)
    assert isinstance(model, FusionNetwork)
    return model


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x @ x / len(x) + torch.finfo(x.dtype).eps).sqrt() * weight


def crossed(cross: CrossAttention, h: Tensor, memory: list[Tensor]) -> Tensor:
    """One feature [D] after attention over a list of vectors, head by head."""
    w = dict(cross.named_parameters())
    q = w["query.weight"] @ rms(h, w["query_norm.weight"])
    seen = [w["keys_values.weight"] @ rms(m, w["memory_norm.weight"]) for m in memory]
    size, width, heads = len(h) // cross.heads, len(h), []
    for head in range(cross.heads):
        part = slice(head * size, (head + 1) * size)
        scores = torch.stack([q[part] @ s[:width][part] for s in seen]) / size**0.5
        heads.append(sum(p * s[width:][part] for p, s in zip(scores.softmax(0), seen, strict=True)))
    return h + w["out.weight"] @ torch.cat(heads)


def plain(model: FusionNetwork, kind: str, windows: list[Tensor], passes: int) -> Tensor:
    """Logits [P, V] of one example, from its text."""
    encoder, decoder = model.stack[:1], model.stack[1:]
    *read, asked = windows
    memory: list[Tensor] = []
    for number, window in enumerate(read):
        h = model.embed(window, number)
        if kind == "fid":
            h = torch.cat((model.embed(asked[:1], len(read)), h))
        for _ in range(passes if kind == "fid-asleep" else 1):
            for block in encoder:
                h = block(h[None], None)[0][0]
        if kind == "anticipated":
            answers = [*model.first]
            for _ in range(passes):
                answers = [crossed(model.asking, answer, [*h]) for answer in answers]
            memory += answers
        else:
            memory += [*h]
    h = model.embed(asked, len(read))
    for block, cross in zip(decoder, model.cross, strict=True):
        h = block(h[None], None)[0][0]
        h = torch.stack([crossed(cross, row, memory) for row in h])
    return model.logits(h)


@pytest.mark.parametrize("passes", [1, 3])
@every_kind
def test_it_equals_its_definition(build: Build, kind: str, passes: int) -> None:
    """Values and the gradient of every parameter."""
    model, inputs = built(build, kind), tokens(2, 3 * WINDOW)
    ours = live(model, inputs, passes)[0]
    theirs = torch.stack([plain(model, kind, [*row.split(WINDOW)], passes) for row in inputs])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    mix = torch.randn(ours.shape, dtype=ours.dtype, generator=torch.Generator().manual_seed(0))
    grads = [torch.autograd.grad((mix * logits).sum(), [*model.parameters()]) for logits in (ours, theirs)]
    for (name, _), a, b in zip(model.named_parameters(), *grads, strict=True):
        assert b.abs().max() > 1e-9, f"no gradient reaches {name}"
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


@every_kind
def test_the_order_of_windows_is_told_by_their_index_alone(build: Build, kind: str) -> None:
    first, second, asked = tokens(2, 3 * WINDOW).split(WINDOW, dim=1)
    for told in (False, True):
        model = built(build, kind, window_embedding=told)
        one, other = (live(model, torch.cat((*order, asked), 1), 2)[0] for order in ((first, second), (second, first)))
        assert torch.allclose(one, other, rtol=0, atol=1e-12) is not told


@every_kind
def test_without_a_window_its_decoder_is_the_transformer(build: Build, kind: str) -> None:
    model = built(build, kind)
    plain = build(Transformer(layout="attn", d_model=8, heads=2, mlp_ratio=2), dtype=torch.float64)
    mine = {name: value for name, value in model.state_dict().items() if not name.startswith("blocks.0.")}
    own = {name.replace("blocks.1.", "blocks.0."): value for name, value in mine.items()}
    plain.load_state_dict({name: own[name] for name in plain.state_dict()})
    assert torch.equal(model.wake(tokens(2, 4), model.start(2))[0], plain.wake(tokens(2, 4), plain.start(2))[0])


def test_text_is_kept_for_the_last_windows(build: Build) -> None:
    """Those that go are gone; those that stay keep their numbers."""
    model, inputs = built(build, "fid", passages=2), tokens(2, 4 * WINDOW)
    state = model.start(2)
    for window in inputs[:, : 3 * WINDOW].split(WINDOW, dim=1):
        state = model.sleep(window, state, 1)
    assert torch.equal(state.passages, inputs[:, WINDOW : 3 * WINDOW].unflatten(1, (2, WINDOW)))
    assert state.first == 1
    assert model.state_bytes(state) == 2 * WINDOW * 8


def test_a_longer_sleep_changes_what_is_encoded_asleep_alone(build: Build) -> None:
    for kind, changes in (("fid", False), ("fid-asleep", True), ("anticipated", True)):
        model = built(build, kind)
        once, more = (live(model, tokens(), passes)[0] for passes in (1, 3))
        assert torch.equal(once, more) is not changes, kind


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (FiD, {"blocks": 1}, "blocks = 1: encoder and decoder need one each"),
        (FiD, {"passages": 0}, "passages = 0: at least 1"),
        (Anticipated, {"queries_asleep": -1}, "queries_asleep = -1"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(kind: type[Fusion], settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**settings)
