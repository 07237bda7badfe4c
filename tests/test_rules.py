"""Fast-weight mixers, one for each word of a layout: every one against a plain implementation, token by token."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.classic import INNER_STEPS
from baselines.hybrid import MIXERS, Hybrid
from baselines.jet import DynamicConvolution
from baselines.layers import ShortConvolution
from baselines.memory import FastWeightMixer

WORDS = pytest.mark.parametrize("word", MIXERS)
BY_HAND = ("linear", "gated", "delta", "gdn", "jet", "classic", "titans", "product2", "product4")
"""The words whose rule `Plain` writes out once more; of every other the token loop is the only oracle."""
WIDTH, HEADS, SIZE = 12, 2, 4


def make(word: str, dtype: torch.dtype = torch.float64) -> FastWeightMixer:
    """A small mixer with every weight away from 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mixer = Hybrid(layout=word, d_model=WIDTH, heads=HEADS, state_size=SIZE).mixer(word, window=6)
        assert isinstance(mixer, FastWeightMixer)
        with torch.no_grad():
            for parameter in mixer.to(dtype).parameters():
                parameter += 0.2 * torch.randn(parameter.shape, dtype=dtype)
    return mixer


def inputs(mixer: FastWeightMixer, length: int = 7, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Tokens [B, T, D], and a state that is not empty."""
    random = torch.Generator().manual_seed(1)
    dtype = mixer.out.weight.dtype
    state = mixer.initial_state(batch)
    x = torch.randn(batch, length, WIDTH, generator=random, dtype=dtype)
    return x.requires_grad_(), torch.randn(state.shape, generator=random, dtype=dtype).requires_grad_()


class Plain:
    """A mixer from its parameters alone, for one sequence, one head and one token at a time."""

    def __init__(self, word: str, mixer: nn.Module) -> None:
        self.word, self.weights = word, dict(mixer.named_parameters())

    def __call__(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [T, D] of tokens [T, D] and the state after them, of one without its batch dimension."""
        w, outputs = self.weights, []
        matrices = [state[..., head, :, :] for head in range(HEADS)]
        for t in range(len(x)):
            qkv = self.convolved(x, t).view(-1, HEADS, SIZE)
            gates = (w["gates.weight"] @ x[t]).view(-1, HEADS) if "gates.weight" in w else torch.zeros(0, HEADS)
            heads = []
            for head in range(HEADS):
                q, k, v, *more = qkv[:, head]
                answer, matrices[head] = self.rule(unit(q), unit(k), v, gates[:, head], head, matrices[head], *more)
                heads.append(answer / (answer.square().mean() + torch.finfo(x.dtype).eps).sqrt() * w["norm.weight"])
            outputs.append(w["out.weight"] @ (torch.cat(heads) * silu(w["output_gate.weight"] @ x[t])))
        return torch.stack(outputs), torch.stack(matrices, dim=-3)

    def convolved(self, x: Tensor, t: int) -> Tensor:
        w = self.weights
        taps, width = w["convolution.weight"], HEADS * SIZE
        if self.word == "jet":
            made = w["convolution.expand.weight"] @ silu(w["convolution.reduce.weight"] @ x[t])
            fixed = torch.zeros(len(taps), 2 * width, dtype=x.dtype)
            fixed[0] = 1.0  # queries and keys as projected
            taps = torch.cat((fixed, taps + made.view(taps.shape)), dim=1)
        return silu(sum(taps[j] * (w["qkv.weight"] @ x[t - j]) for j in range(len(taps)) if j <= t))

    def rule(
        self, q: Tensor, k: Tensor, v: Tensor, gates: Tensor, head: int, s: Tensor, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        w, eye = self.weights, torch.eye(SIZE, dtype=q.dtype)
        if "step_bias" in w:
            a = (-w["log_rate"][head].exp() * (1 + (gates[0] + w["step_bias"][head]).exp()).log()).exp()
        match self.word:
            case "linear":
                s = s + torch.outer(k, v)
            case "gated":
                s = a * s + gates[1].sigmoid() * torch.outer(k, v)
            case "delta":
                s = (eye - gates[0].sigmoid() * torch.outer(k, k)) @ s + gates[0].sigmoid() * torch.outer(k, v)
            case "gdn" | "jet":
                s = a * (eye - gates[1].sigmoid() * torch.outer(k, k)) @ s + gates[1].sigmoid() * torch.outer(k, v)
            case "product2" | "product4":
                s = a * s
                keys, values = [k, *map(unit, more[0::2])], [v, *more[1::2]]
                for k, v, gate in zip(keys, values, gates[1:], strict=True):
                    s = (eye - 2 * gate.sigmoid() * torch.outer(k, k)) @ s + 2 * gate.sigmoid() * torch.outer(k, v)
            case "titans":
                fast, momentum = s
                keep = gates[1].sigmoid()
                momentum = keep * momentum + (1 - keep) * gates[2].sigmoid() * torch.outer(k, v - k @ fast)
                fast = a * fast + momentum
                return q @ fast, torch.stack((fast, momentum))
            case "classic":
                s = w["decay_logit"][head].sigmoid() * s + w["log_rate"][head].exp() * torch.outer(k, v)
                asked = q
                for _ in range(INNER_STEPS):
                    asked = unit(q + asked @ s).clamp(min=0)
                return asked @ s, s
        return q @ s, s


def unit(x: Tensor) -> Tensor:
    return x / (x @ x + 1e-6).sqrt()


def silu(x: Tensor) -> Tensor:
    return x * x.sigmoid()


@WORDS
def test_a_mixer_is_its_token_loop(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mixer = make(word)
    x, state = inputs(mixer)
    fast = mixer(x, state)
    monkeypatch.setattr(type(mixer), "rule", replace(mixer.rule, fast=mixer.rule.reference))
    for name, a, b in zip(("output", "state"), fast, mixer(x, state), strict=True):
        assert a.abs().max() > 1e-3
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("word", BY_HAND)
def test_a_mixer_equals_its_plain_form(word: str) -> None:
    mixer = make(word)
    x, state = inputs(mixer)
    plain = [Plain(word, mixer)(*sequence) for sequence in zip(x, state, strict=True)]
    ours, theirs = mixer(x, state), tuple(torch.stack(part) for part in zip(*plain, strict=True))
    for name, a, b in zip(("output", "state"), ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")

    random = torch.Generator().manual_seed(2)
    weights = [torch.randn(a.shape, generator=random, dtype=a.dtype) for a in ours]
    wanted = {"x": x, "state before": state, **dict(mixer.named_parameters())}
    found = (torch.autograd.grad(outputs, tuple(wanted.values()), weights) for outputs in (ours, theirs))
    for name, a, b in zip(wanted, *found, strict=True):
        assert b.abs().max() > 1e-6, f"no gradient reaches {name}"
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


@WORDS
def test_a_token_hears_of_no_later_one(word: str) -> None:
    mixer = make(word)
    x, state = inputs(mixer)
    changed = x.detach().clone()
    changed[:, 4] += 0.5
    before, after = mixer(x, state)[0], mixer(changed, state)[0]
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


@WORDS
def test_nothing_but_the_state_goes_from_call_to_call(word: str) -> None:
    mixer = make(word, torch.float32)
    x, state = inputs(mixer)
    first = mixer(x, state)
    mixer(2 * x, 3 * state)
    assert all(torch.equal(a, b) for a, b in zip(first, mixer(x, state), strict=True))
    assert mixer.initial_state(3).shape[0] == 3
    assert first[1].shape == mixer.initial_state(2).shape
    assert not any(mixer.buffers())


@WORDS
def test_the_rule_keeps_the_precision_of_the_state_under_autocast(word: str) -> None:
    mixer = make(word, torch.float32)
    x, state = inputs(mixer)
    with torch.autocast("cpu", torch.bfloat16):
        output, after = mixer(x, state)
    assert after.dtype == torch.float32
    exact = mixer(x, state)
    assert (after - exact[1]).abs().max() < 0.05 * exact[1].abs().max()
    assert (output - exact[0]).abs().max() < 0.1 * exact[0].abs().max()


@pytest.mark.parametrize("sharper", [1, 4])
@WORDS
def test_long_sleeps_stay_finite(word: str, sharper: float) -> None:
    """Over 600 tokens that repeat few keys a mixer neither blows up nor goes silent, nor if its gates near 0 and 1."""
    torch.manual_seed(0)
    mixer = Hybrid(layout=word, d_model=WIDTH, heads=HEADS).mixer(word, window=6)
    assert isinstance(mixer, FastWeightMixer)
    words = torch.randn(4, WIDTH)
    with torch.no_grad():
        if mixer.gates is not None:
            mixer.gates.weight *= sharper
        _, state = mixer(words[torch.randint(4, (8, 600))], mixer.initial_state(8))
    assert 1e-2 < state.abs().max() < 500


# --- jet ---


def test_a_new_dynamic_convolution_is_a_fixed_one() -> None:
    torch.manual_seed(0)
    dynamic, fixed = DynamicConvolution(16, 6, 4), ShortConvolution(6, 4)
    with torch.no_grad():
        fixed.weight.copy_(dynamic.weight)
    v, x = torch.randn(2, 9, 6), torch.randn(2, 9, 16)
    torch.testing.assert_close(dynamic(v, x), fixed(v), rtol=0, atol=1e-6)
    torch.testing.assert_close(dynamic(v[:, :2], x[:, :2]), fixed(v[:, :2]), rtol=0, atol=1e-6)


def test_the_taps_are_those_of_the_reading_token() -> None:
    dynamic = DynamicConvolution(8, 1, 3)
    with torch.no_grad():
        dynamic.weight.copy_(torch.tensor([[1.0], [2.0], [4.0]]))
        dynamic.reduce.weight.copy_(torch.ones(1, 8))
        dynamic.expand.weight.copy_(torch.tensor([[0.0], [10.0], [0.0]]))
    x = torch.zeros(1, 4, 8)
    x[0, 2, 0] = 1.0
    mixed = dynamic(torch.tensor([[[1.0], [3.0], [5.0], [7.0]]]), x)
    more = 10 * functional.silu(torch.tensor(1.0)).item()  # on the middle tap of the third token alone
    expected = torch.tensor([1.0, 3 + 2, 5 + (2 + more) * 3 + 4, 7 + 2 * 5 + 4 * 3])
    torch.testing.assert_close(mixed.flatten(), expected)
