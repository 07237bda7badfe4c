"""Muon and AdamW as one optimizer: who trains what, the warm-up, clipping, and going on from a saved state."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import VOCABULARY, Build, small_config
from torch import Tensor, nn

from baselines.base import Model, ModelConfig
from baselines.hybrid import Hybrid
from benchmark.cells.cell import Training
from benchmark.run import tensors
from benchmark.run.adamw import AdamW
from benchmark.run.muon import Muon
from benchmark.run.optimizer import MuonAdamW, split

TRAINING = Training(tokens=1, muon_lr=0.02, adam_lr=3e-3, weight_decay=0.1, clip=1.0)


@pytest.fixture(params=["hybrid", "transformer"])
def mixed(request: pytest.FixtureRequest) -> ModelConfig:
    """A model with parameters for both optimizers: which go where is all that an optimizer sees of it."""
    return small_config(request.param)


def groups(optimizer: MuonAdamW) -> dict[str, list[Tensor]]:
    """The parameters of each optimizer by its class."""
    return {type(o).__name__: [p for g in o.param_groups for p in g["params"]] for o in optimizer.optimizers}


def rates(model: Model) -> list[float]:
    """The full rate of each optimizer that a model needs: Muon's, if it has matrices at all, and AdamW's."""
    return [0.02, 3e-3] if model.matrices() else [3e-3]


def give_gradients(model: Model, step: int) -> None:
    random = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=random)


def train(model: Model, optimizer: MuonAdamW, steps: range) -> None:
    for step in steps:
        give_gradients(model, step)
        optimizer.step(step)


def test_every_parameter_has_one_optimizer(config: ModelConfig, build: Build) -> None:
    model = build(config)
    found = groups(MuonAdamW(model, TRAINING))
    assert list(found) == ["Muon", "AdamW"][-len(rates(model)) :]
    assert sorted(id(p) for part in found.values() for p in part) == sorted(id(p) for p in model.parameters())
    assert all(p.ndim == 2 for p in found.get("Muon", []))


def test_muon_trains_the_maps_between_features(config: ModelConfig, build: Build) -> None:
    """The parameters and their order, which the bits of a run depend on: each linear layer but the head."""
    model = build(config)
    linear = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    expected = [m.weight for name, m in linear.items() if name != "head"]
    muon = groups(MuonAdamW(model, TRAINING)).get("Muon", [])
    assert "head" in linear
    assert list(map(id, muon)) == list(map(id, expected))


class Conv1D(nn.Module):
    """As in transformers: y = x W + b with W [in, out]."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.randn(nx, nf))
        self.bias = nn.Parameter(torch.zeros(nf))


class Foreign(nn.Module):
    """Layers under names that this project does not use; each case adds what it is about."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.mlp = nn.Embedding(VOCABULARY, 4), nn.Linear(4, 4, bias=False)


def _never(*_: Any) -> Any:
    raise NotImplementedError


class Wrapped(Model):
    """Another project's network as a model, as its users wrap it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    start = sleep = wake = _never


def tied() -> nn.Module:
    net = Foreign()
    net.lm_head = nn.Linear(4, VOCABULARY, bias=False)
    net.lm_head.weight = net.wte.weight
    net.last = nn.Linear(4, 4, bias=False)
    return net


def untied() -> nn.Module:
    net = Foreign()
    net.out = nn.Linear(4, VOCABULARY)
    return net


def declared() -> nn.Module:
    net = Foreign()
    net.lm_head = nn.Linear(4, VOCABULARY + 1)
    net.get_output_embeddings = lambda: net.lm_head
    net.last = nn.Linear(4, 4, bias=False)
    return net


def shared() -> nn.Module:
    net = Foreign()
    net.again = nn.Linear(4, 4, bias=False)
    net.again.weight = net.mlp.weight
    return net


def convolved() -> nn.Module:
    net = Foreign()
    net.c_attn = Conv1D(12, 4)
    net.taps = nn.Conv1d(4, 4, 3)
    return net


def normalised() -> nn.Module:
    net = Foreign()
    net.computed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    return net


@pytest.mark.parametrize(
    ("make", "muon"),
    [
        (Foreign, ["mlp"]),
        (tied, ["mlp", "last"]),
        (untied, ["mlp"]),
        (declared, ["mlp", "last"]),
        (shared, ["mlp"]),
        (convolved, ["mlp", "c_attn"]),
        (normalised, ["mlp"]),
    ],
)
def test_tables_and_maps_are_known_by_what_they_are(make: Callable[[], nn.Module], muon: list[str]) -> None:
    model = Wrapped(make())
    names = {id(p): name for name, p in model.named_parameters()}
    matrices, rest = split(model)
    assert [names[id(p)] for p in matrices] == [f"net.{name}.weight" for name in muon]
    assert len(matrices) + len(rest) == len(list(model.parameters()))


def test_a_weight_that_a_model_names_twice_is_stepped_once(build: Build) -> None:
    model = build(Hybrid(layout="gdn", d_model=8, heads=2))
    once = split(model)[0]
    model.matrices = lambda: once + once  # type: ignore[method-assign]
    assert [id(p) for p in groups(MuonAdamW(model, TRAINING))["Muon"]] == [id(p) for p in once]


def test_the_split_of_the_hybrid(build: Build) -> None:
    model = build(Hybrid(layout="attn gdn", d_model=16, heads=2))
    names = {id(p): name for name, p in model.named_parameters()}
    found = {kind: {names[id(p)] for p in part} for kind, part in groups(MuonAdamW(model, TRAINING)).items()}
    maps = {"mixer.qkv", "mixer.out", "mlp.up", "mlp.down"}
    expected = {f"blocks.{block}.{name}.weight" for block in (0, 1) for name in maps}
    assert found["Muon"] == expected | {"blocks.1.mixer.gates.weight", "blocks.1.mixer.output_gate.weight"}


def test_rates_warm_up_together(mixed: ModelConfig, build: Build) -> None:
    model = build(mixed)
    optimizer = MuonAdamW(model, replace(TRAINING, warmup_steps=4))
    shares = []
    for step in range(6):
        train(model, optimizer, range(step, step + 1))
        now = [o.param_groups[0]["lr"] / rate for o, rate in zip(optimizer.optimizers, rates(model), strict=True)]
        assert now == pytest.approx([now[0]] * len(now))
        shares.append(now[0])
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


def test_a_smaller_rate_is_a_smaller_step(mixed: ModelConfig, build: Build) -> None:
    """The rate of the warm-up is the one that is used, not only the one that is written down."""
    moved = []
    for warmup_steps in (0, 10):
        model = build(mixed)
        before = [p.detach().clone() for p in model.parameters()]
        train(model, MuonAdamW(model, replace(TRAINING, warmup_steps=warmup_steps, weight_decay=0.0)), range(1))
        moved.append([(p.detach() - b).norm() for p, b in zip(model.parameters(), before, strict=True)])
    for full, tenth in zip(*moved, strict=True):
        assert full > 0
        torch.testing.assert_close(tenth, full / 10, rtol=1e-2, atol=0)


def test_without_warm_up_the_rates_are_full_at_once(mixed: ModelConfig, build: Build) -> None:
    model = build(mixed)
    optimizer = MuonAdamW(model, TRAINING)
    train(model, optimizer, range(1))
    assert [o.param_groups[0]["lr"] for o in optimizer.optimizers] == rates(model)


@pytest.mark.parametrize(("size", "used"), [(50.0, 1.0), (0.5, 0.5)])
def test_gradients_are_clipped_as_one(mixed: ModelConfig, build: Build, size: float, used: float) -> None:
    model = build(mixed)
    optimizer = MuonAdamW(model, TRAINING)
    seen: list[Tensor] = []

    def look(which: torch.optim.Optimizer, *_: Any) -> None:
        seen.extend(p.grad.clone().flatten() for g in which.param_groups for p in g["params"])

    for part in optimizer.optimizers:
        part.register_step_pre_hook(look)
    give_gradients(model, 0)
    raw = torch.cat([p.grad.flatten() for part in groups(optimizer).values() for p in part if p.grad is not None])
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad *= size / raw.norm()
    optimizer.step(0)
    torch.testing.assert_close(torch.cat(seen), raw * used / raw.norm(), rtol=1e-4, atol=1e-7)


def test_a_step_leaves_no_gradient(mixed: ModelConfig, build: Build) -> None:
    model = build(mixed)
    train(model, MuonAdamW(model, TRAINING), range(1))
    assert all(p.grad is None for p in model.parameters())


def test_weight_decay_acts_on_both(mixed: ModelConfig, build: Build) -> None:
    """Decoupled: without any gradient to follow, weights shrink by rate times decay."""
    model = build(mixed)
    optimizer = MuonAdamW(model, TRAINING)
    before = [p.detach().clone() for p in optimizer.parameters]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0)
    sizes = [len(part) for part in groups(optimizer).values()]
    each = [rate for rate, size in zip(rates(model), sizes, strict=True) for _ in range(size)]
    for parameter, old, rate in zip(optimizer.parameters, before, each, strict=True):
        torch.testing.assert_close(parameter.detach(), old * (1 - rate * 0.1))


def test_a_model_without_matrices_is_left_to_adam(build: Build) -> None:
    model = build(Hybrid(layout="gdn", d_model=8, heads=2))
    model.matrices = list  # type: ignore[method-assign]
    found = groups(MuonAdamW(model, TRAINING))
    assert {kind: len(part) for kind, part in found.items()} == {"AdamW": len(list(model.parameters()))}


@pytest.mark.parametrize("warmup_steps", [0, 5])
def test_going_on_from_a_saved_state(mixed: ModelConfig, build: Build, warmup_steps: int) -> None:
    """Through a file and into fresh objects: bit for bit what an uninterrupted run gives."""
    training = replace(TRAINING, warmup_steps=warmup_steps)
    model = build(mixed)
    optimizer = MuonAdamW(model, training)
    train(model, optimizer, range(3))
    text, named = tensors.json_of({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    file = b"".join(tensors.encode(named, {}))
    train(model, optimizer, range(3, 7))

    saved = tensors.value_of(text, tensors.decode(file)[0])
    again = build(mixed, seed=1)
    again.load_state_dict(saved["model"])
    resumed = MuonAdamW(again, training)
    resumed.load_state_dict(saved["optimizer"])
    forgetful = copy.deepcopy(again)
    train(again, resumed, range(3, 7))
    train(forgetful, MuonAdamW(forgetful, training), range(3, 7))

    for one, other, without in zip(model.parameters(), again.parameters(), forgetful.parameters(), strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, without)  # the optimizer's own state matters


def test_another_number_of_optimizers_is_refused(build: Build) -> None:
    model = build(Hybrid(layout="gdn", d_model=8, heads=2))
    optimizer = MuonAdamW(model, TRAINING)
    with pytest.raises(ValueError, match="shorter"):
        optimizer.load_state_dict(optimizer.state_dict()[:1])


@pytest.mark.parametrize(("processor", "rounding"), [("AVX512", 0.0), ("AVX2", 0.004)])
def test_matrices_orthogonalised_together_are_those_of_torch_one_by_one(
    monkeypatch: pytest.MonkeyPatch, processor: str, rounding: float
) -> None:
    """Where bf16 is slow, but for sums in another order, of which a few are rounded to another number of eight bits."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    random = torch.Generator().manual_seed(0)
    shapes = [(48, 16), (16, 48), (16, 16), (48, 16), (16, 16), (4, 32), (16, 16)]
    both = [
        [nn.Parameter(torch.randn(shape, generator=random.manual_seed(i))) for i, shape in enumerate(shapes)]
        for _ in "ab"
    ]
    kept: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.1, "eps": 1e-7, "adjust_lr_fn": "original"}
    ours, theirs = Muon(both[0], **kept), torch.optim.Muon(both[1], **kept)
    for step in range(4):
        for parameters in both:
            for i, parameter in enumerate(parameters):
                gradient = torch.randn(shapes[i], generator=random.manual_seed(100 * step + i))
                parameter.grad = None if step == 1 and i == 3 else gradient * (0 if i == 6 else 1)
        ours.step()
        theirs.step()
    for i, (one, other) in enumerate(zip(*both, strict=True)):
        assert not torch.equal(one, torch.randn(shapes[i], generator=random.manual_seed(i)))
        torch.testing.assert_close(one, other, rtol=0, atol=rounding)
        assert torch.equal(ours.state[one]["momentum_buffer"], theirs.state[other]["momentum_buffer"])
    state = theirs.state_dict()
    ours.load_state_dict(state)
    assert str(ours.state_dict()) == str(state)


def test_adamw_is_torchs_to_the_last_bit() -> None:
    random = torch.Generator().manual_seed(0)
    both = [[nn.Parameter(torch.ones(shape)) for shape in ((5, 7), (3,))] for _ in "ab"]
    how: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1, "fused": True}
    optimizers = AdamW(both[0], **how), torch.optim.AdamW(both[1], **how)
    for step in range(4):
        for parameters, optimizer in zip(both, optimizers, strict=True):
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=random.manual_seed(step))
            optimizer.step()
            optimizer.zero_grad()
    assert all(map(torch.equal, *both)) and not any((one == 1).any() for one in both[0])
    ours, theirs = (optimizer.state_dict() for optimizer in optimizers)
    optimizers[0].load_state_dict(theirs)
    assert str(ours) == str(theirs) == str(optimizers[0].state_dict())
