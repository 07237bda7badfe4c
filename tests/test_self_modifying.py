"""Self-modifying sleep: its written-out descent against autograd, what bounds it, and what teaches the window."""

from typing import Any

import pytest
import torch
from conftest import WINDOW, Build, live, tokens
from torch import Tensor
from torch.nn import functional

from baselines.self_modifying import SelfModifying, SlowLearner

TINY = SelfModifying(blocks=2, d_model=8, heads=2, mlp_ratio=2, probes=3, slow_units=5)


def built(build: Build) -> SlowLearner:
    model = build(TINY, dtype=torch.float64)
    assert isinstance(model, SlowLearner)
    return model


def norm(h: Tensor) -> Tensor:
    return h / (h.square().mean(-1, keepdim=True) + torch.finfo(h.dtype).eps).sqrt()


def answer(z: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """m, of features [T, D] of one sequence."""
    return z + torch.stack([down @ (up @ row).clamp(min=0) ** 2 for row in z])


def plain(model: SlowLearner, windows: list[Tensor], passes: int) -> Tensor:
    """Logits [P, V] of one example; every step by autograd on the loss, which it goes back through once more."""
    *read, asked = windows
    up, down = torch.zeros_like(model.up.weight), torch.zeros_like(model.down.weight)
    for number, window in enumerate(read):
        both = torch.cat((model.embed(window, number), model.first))[None]
        alone = model.first[None]
        for block in model.blocks:
            both, alone = block(both, None)[0], block(alone, None)[0]
        z = norm(alone[0])
        teacher = answer(norm(both[0, -len(model.first) :]), model.up.weight + up, model.down.weight + down)
        for _ in range(passes):
            fixed = [model.up.weight + up, model.down.weight + down]
            loss = (answer(z, *fixed) - teacher).square().mean() / 2
            grads = torch.autograd.grad(loss, fixed, create_graph=True)
            size = functional.softplus(model.rate) / (1 + sum(g.square().sum() for g in grads)).sqrt()
            up, down = (model.keep.sigmoid() * w - size * g for w, g in zip((up, down), grads, strict=True))
    h = model.embed(asked, len(read))[None]
    for block in model.blocks:
        h = block(h, None)[0]
    return model.logits(answer(norm(h[0]), model.up.weight + up, model.down.weight + down))


@pytest.mark.parametrize("passes", [1, 3])
def test_it_is_descent_by_autograd(build: Build, passes: int) -> None:
    """Values and the gradient of every parameter, second order included."""
    model, inputs = built(build), tokens(2, 3 * WINDOW)
    ours = live(model, inputs, passes)[0]
    theirs = torch.stack([plain(model, [*row.split(WINDOW)], passes) for row in inputs])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    mix = torch.randn(ours.shape, dtype=ours.dtype, generator=torch.Generator().manual_seed(0))
    grads = [torch.autograd.grad((mix * logits).sum(), [*model.parameters()]) for logits in (ours, theirs)]
    for (name, _), a, b in zip(model.named_parameters(), *grads, strict=True):
        assert b.abs().max() > 1e-9, f"no gradient reaches {name}"
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


def test_its_gradient_by_finite_differences(build: Build) -> None:
    model = built(build)
    z, teacher = torch.randn(2, 1, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    changes = tuple(0.1 * torch.ones_like(w) for w in model.start(1).fast_weights)
    arguments = [a.requires_grad_() for a in (z, teacher, *changes)]
    assert torch.autograd.gradcheck(lambda z, t, u, d: model.step(z, t, (u, d)), arguments)


def test_steps_bring_the_answers_nearer_to_the_teachers(build: Build) -> None:
    model = built(build)
    z, teacher = torch.randn(2, 4, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.keep += 10
        model.rate -= 2
        changes, errors = model.start(4).fast_weights, []
        for _ in range(6):
            errors.append(float((model.answers(z, changes) - teacher).square().mean()))
            changes = model.step(z, teacher, changes)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.95 * errors[0]


def test_slow_weights_stay_within_their_bound(build: Build) -> None:
    """However long it sleeps and however far the teacher is: e / (1 - a)."""
    model = built(build)
    z, teacher = torch.randn(2, 4, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    bound = float((functional.softplus(model.rate) / (1 - model.keep.sigmoid())).detach())
    with torch.no_grad():
        changes = model.start(4).fast_weights
        for step in range(300):
            changes = model.step(z, 1e6 * teacher * (-1) ** step, changes)
    length = sum(w.square().sum((1, 2)) for w in changes).sqrt()
    assert torch.isfinite(length).all() and (length <= bound).all()


def test_without_the_gradient_into_the_teacher_nothing_teaches_the_window(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, inputs = built(build), tokens(2, 2 * WINDOW)
    embedded: list[Tensor] = []
    model.embedding.register_forward_hook(lambda *call: embedded.append(call[2]))

    def reaches() -> bool:
        embedded.clear()
        logits = live(model, inputs, 2)[0]
        (grad,) = torch.autograd.grad(logits.square().sum(), embedded[:1], allow_unused=True)
        return grad is not None and bool(grad.abs().max() > 0)

    assert reaches()
    step = model.step
    monkeypatch.setattr(model, "step", lambda z, teacher, changes: step(z, teacher.detach(), changes))
    assert not reaches()


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"probes": 0}, "probes = 0: at least 1"), ({"slow_units": -1}, "slow_units = -1"), ({"blocks": 0}, "blocks = 0")],
)
def test_settings_that_cannot_be_built_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SelfModifying(**settings)
