"""Equilibrium sleep: what it is at one pass, where its passes tend, and its three gradients against each other."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import Build, live, tokens
from torch import Tensor

from baselines.equilibrium import Equilibrium, EquilibriumSleeper, adjoint
from baselines.hybrid import Hybrid

TINY = Equilibrium(layout="attn gdn", d_model=8, heads=2, mlp_ratio=1)
FAR = 300
"""Passes after which the tiny model has come as near to its fixed point as double precision allows."""


def built(build: Build, **settings: Any) -> EquilibriumSleeper:
    """A model that contracts, in double precision."""
    model = build(replace(TINY, **settings), dtype=torch.float64, noise=0.05)
    assert isinstance(model, EquilibriumSleeper)
    return model


def gradients(model: EquilibriumSleeper, passes: int, windows: int = 2) -> Iterator[Tensor]:
    """Those of a fixed mix of the logits after sleep, by every parameter."""
    logits, _ = live(model, tokens(2, windows * 6), passes)
    mix = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)
    yield from torch.autograd.grad((mix * logits).sum(), [*model.parameters()], allow_unused=True)


def apart(model: EquilibriumSleeper, other: EquilibriumSleeper, passes: int) -> float:
    """The distance of all gradients of the first, relative to those of the second."""
    pairs = [(a, b) for a, b in zip(gradients(model, passes), gradients(other, passes), strict=True) if b is not None]
    assert all(a is not None for a, _ in pairs)
    off = math.sqrt(sum(float((a - b).square().sum()) for a, b in pairs))
    return off / math.sqrt(sum(float(b.square().sum()) for _, b in pairs))


def test_one_pass_is_the_hybrid(build: Build) -> None:
    same = {name: getattr(TINY, name) for name in ("layout", "d_model", "heads", "mlp_ratio")}
    assert torch.equal(live(build(TINY), tokens(), 1)[0], live(build(Hybrid(**same)), tokens(), 1)[0])


@pytest.mark.parametrize("eviction", ["hard", "sliding"])
def test_passes_tend_to_a_fixed_point_wherever_they_start(build: Build, eviction: str) -> None:
    model = built(build, eviction=eviction)
    state = model.sleep(tokens()[:, :6], model.start(3), 2)
    x, before = model.embed(tokens()[:, 6:12], 1), model.unpack(state, 3)
    with torch.no_grad():
        near, end = model.fixed_point(x, before, 4), model.fixed_point(x, before, FAR)
        z = torch.randn_like(x)
        for _ in range(FAR):
            z = torch.lerp(z, model.step(z, x, before), 0.5)
    torch.testing.assert_close(model.step(end, x, before), end, rtol=0, atol=1e-9)
    torch.testing.assert_close(z, end, rtol=0, atol=1e-9)
    assert (near - end).abs().max() > 1e-4


def test_every_gradient_has_the_same_values(build: Build) -> None:
    logits = [live(built(build, gradient=g), tokens(), 5)[0] for g in ("unrolled", "phantom", "implicit")]
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


def test_the_implicit_gradient_is_that_of_all_steps(build: Build) -> None:
    unrolled, implicit = built(build, gradient="unrolled"), built(build, gradient="implicit", attached=FAR)
    assert apart(implicit, unrolled, FAR) < 1e-8
    without = built(build, gradient="implicit", attached=0)
    assert 1e-3 < apart(without, unrolled, FAR) < 1  # the Jacobian-free gradient is none of these


def test_a_phantom_gradient_nears_that_of_all_steps(build: Build) -> None:
    unrolled = built(build, gradient="unrolled")
    errors = [apart(built(build, gradient="phantom", attached=k), unrolled, FAR) for k in (1, 5, 20)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.2
    assert apart(built(build, gradient="phantom", attached=4), unrolled, 5) == 0  # nothing is cut off


@pytest.mark.parametrize("gradient", ["implicit", "phantom"])
def test_memory_does_not_grow_with_passes(build: Build, gradient: str) -> None:
    """Bytes that are saved for the backward pass."""

    def saved(kind: str, passes: int) -> int:
        sizes: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            live(built(build, gradient=kind, attached=2), tokens(), passes)
        return sum(sizes)

    assert saved(gradient, 12) == saved(gradient, 5)
    assert saved("unrolled", 12) > 2 * saved("unrolled", 5)


def test_the_adjoint_of_a_linear_map_in_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    J = torch.randn(5, 5, dtype=torch.float64, generator=generator) / 10
    v = torch.randn(5, dtype=torch.float64, generator=generator)
    u = adjoint(lambda u: J.T @ u, v, 200, 0.5)
    torch.testing.assert_close(u, torch.linalg.solve(torch.eye(5, dtype=torch.float64) - J.T, v))
    assert torch.equal(adjoint(lambda u: J.T @ u, v, 0, 0.5), v)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gradient": "exact"}, "gradient = 'exact': needs to be one of phantom, implicit, unrolled"),
        ({"attached": 0}, "attached = 0: at least 1"),
        ({"gradient": "implicit", "attached": -1}, "attached = -1: at least 0"),
        ({"damping": 0.0}, "damping = 0.0"),
        ({"damping": 1.5}, "damping = 1.5"),
        ({"loop": "middle", "layout": "attn gdn attn gdn"}, "loop: an equilibrium sleep"),
        ({"reread": True}, "reread: an equilibrium sleep"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Equilibrium(**settings)
