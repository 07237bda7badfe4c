"""Fast-weight rules: the fast form against the token loop, and the token loop against numbers worked by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from baselines import fast_weights
from baselines.fast_weights import CHUNK, gated_delta, gated_delta_reference

Rule = Callable[..., tuple[Tensor, Tensor]]
FORMS = pytest.mark.parametrize("rule", [gated_delta_reference, gated_delta])
NAMES = ("q", "k", "v", "log_decay", "beta", "state")


def draw(length: int, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> dict[str, Tensor]:
    """Random arguments with K = 4, V = 6: keys of unit length, gates inside their range, fast weights not empty."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(2, 3, *shape, dtype=torch.float64, generator=random)

    arguments = {
        "q": normal(length, 4),
        "k": torch.nn.functional.normalize(normal(length, 4), dim=-1),
        "v": normal(length, 6),
        "log_decay": -normal(length).exp() / 4,
        "beta": normal(length).sigmoid(),
        "state": normal(4, 6),
    }
    return {name: a.to(dtype).requires_grad_() for name, a in arguments.items()}


def gradients(rule: Rule, arguments: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Gradients of all six arguments under random weights of both outputs."""
    random = torch.Generator().manual_seed(1)
    outputs = rule(**arguments)
    weights = [torch.randn(o.shape, dtype=torch.float64, generator=random).to(o.dtype) for o in outputs]
    return torch.autograd.grad(outputs, tuple(arguments.values()), weights)


@FORMS
def test_two_tokens_by_hand(rule: Rule) -> None:
    def column(*values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)[None, None, :, None]

    output, state = rule(
        q=torch.tensor([[[[1.0, 1.0], [2.0, -1.0]]]], dtype=torch.float64),
        k=torch.tensor([[[[1.0, 0.0], [0.6, 0.8]]]], dtype=torch.float64),
        v=column(5.0, 8.4),
        log_decay=column(0.5, 1.0).log().squeeze(-1),
        beta=column(0.5, 1.0).squeeze(-1),
        state=column(2.0, 4.0),
    )
    # Token 1: (2, 4) decays to (1, 2). Under k = (1, 0) lies 1; half the way to v = 5 makes (3, 2).
    # Token 2: under k = (.6, .8) lies 3.4; v = 8.4 is 5 more, and 5 k added makes (6, 6).
    torch.testing.assert_close(state, column(6.0, 6.0))
    torch.testing.assert_close(output, column(3.0 + 2.0, 2 * 6.0 - 6.0))


@pytest.mark.parametrize("length", [1, 5, 24, CHUNK, CHUNK + 1, 70])
def test_fast_form_equals_the_token_loop(length: int) -> None:
    arguments = draw(length)
    for fast, slow in zip(gated_delta(**arguments), gated_delta_reference(**arguments), strict=True):
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-11)
    pairs = zip(gradients(gated_delta, arguments), gradients(gated_delta_reference, arguments), strict=True)
    for name, (fast, slow) in zip(NAMES, pairs, strict=True):
        assert slow.abs().max() > 1e-3, f"no gradient reaches {name}: nothing is compared"
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}")


@FORMS
def test_gradcheck(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_weights, "CHUNK", 3)  # so that 5 tokens cross a border of chunks
    arguments = [a.detach()[:1, :2].clone().requires_grad_() for a in draw(5).values()]
    assert torch.autograd.gradcheck(rule, arguments)


@FORMS
def test_two_halves_are_the_whole(rule: Rule) -> None:
    arguments = draw(40)
    outputs, state = [], arguments["state"]
    for part in (slice(0, 17), slice(17, 40)):
        output, state = rule(*(arguments[name][:, :, part] for name in NAMES[:-1]), state)
        outputs.append(output)
    whole, last = rule(**arguments)
    torch.testing.assert_close(torch.cat(outputs, dim=2), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=0, atol=1e-12)


@FORMS
def test_a_token_reads_no_later_one(rule: Rule) -> None:
    arguments = draw(40)
    before = rule(**arguments)[0]
    changed = {name: a.detach().clone() for name, a in arguments.items()}
    for name in NAMES[:-1]:
        changed[name][:, :, 35] += 0.1
    after = rule(**changed)[0]
    assert torch.equal(after[:, :, :35], before[:, :, :35])
    assert not torch.equal(after[:, :, 35:], before[:, :, 35:])


@FORMS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(rule: Rule, dtype: torch.dtype) -> None:
    arguments = draw(5, dtype=dtype)
    assert [a.dtype for a in (*rule(**arguments), *gradients(rule, arguments))] == [dtype] * 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("log_decay", [0.0, -60.0, None])
@pytest.mark.parametrize("beta", [0.0, 1.0, None])
@pytest.mark.parametrize("same_key", [False, True])
def test_extreme_gates(dtype: torch.dtype, log_decay: float | None, beta: float | None, same_key: bool) -> None:
    arguments = draw(40, dtype=dtype)
    with torch.no_grad():
        if log_decay is not None:
            arguments["log_decay"].fill_(log_decay)
        if beta is not None:
            arguments["beta"].fill_(beta)
        if same_key:
            arguments["k"].copy_(arguments["k"][:, :, :1].clone().expand_as(arguments["k"]))
    fast = (*gated_delta(**arguments), *gradients(gated_delta, arguments))
    precise = {name: a.detach().double().requires_grad_() for name, a in arguments.items()}
    slow = (*gated_delta_reference(**precise), *gradients(gated_delta_reference, precise))
    tolerance = {torch.float32: 1e-3, torch.float64: 1e-10}[dtype]
    for name, a, b in zip(("output", "new state", *NAMES), fast, slow, strict=True):
        assert a.isfinite().all(), name
        assert (a - b).abs().max() <= tolerance * b.abs().max().clamp(min=1), name


@FORMS
def test_meaning_of_the_extremes(rule: Rule) -> None:
    arguments = {name: a.detach() for name, a in draw(40).items()}
    zeros, ones = torch.zeros_like(arguments["beta"]), torch.ones_like(arguments["beta"])

    # Nothing is written: the fast weights only fade.
    state = rule(**arguments | {"beta": zeros})[1]
    faded = arguments["log_decay"].sum(-1).exp()[..., None, None] * arguments["state"]
    torch.testing.assert_close(state, faded, rtol=0, atol=1e-12)

    # Everything is forgotten at once: only the token's own write is left to read.
    output = rule(**arguments | {"log_decay": -60 * ones})[0]
    match = (arguments["q"] * arguments["k"]).sum(-1) * arguments["beta"]
    torch.testing.assert_close(output, match[..., None] * arguments["v"], rtol=0, atol=1e-12)

    # Nothing fades and writes are whole: each value replaces the one before it under the same key.
    k = arguments["k"][:, :, :1].expand_as(arguments["k"])
    output = rule(**arguments | {"q": k, "k": k, "beta": ones, "log_decay": zeros})[0]
    torch.testing.assert_close(output, arguments["v"], rtol=0, atol=1e-12)
