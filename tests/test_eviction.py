"""Eviction: an evicted token reaches what comes after by the fast weights, and by no other road."""

from collections.abc import Iterator

import pytest
import torch
from conftest import Build
from torch import Tensor, nn

from baselines import gated_deltanet
from baselines.base import Model, ModelConfig, State

WINDOW, VOCABULARY, WINDOWS = 6, 7, 4
TOKEN = pytest.mark.parametrize("at", [0, 2, WINDOW - 1, WINDOW, 2 * WINDOW - 1])
PASSES = pytest.mark.parametrize("passes", [1, 3])


def draw() -> Tensor:
    return torch.randint(VOCABULARY, (3, WINDOWS * WINDOW), generator=torch.Generator().manual_seed(0))


def perturbed(at: int) -> Tensor:
    inputs = draw()
    inputs[:, at] = (inputs[:, at] + 1) % VOCABULARY
    return inputs


def live(
    model: Model, inputs: Tensor, passes: int, frozen: list[State] | None = None
) -> tuple[Tensor, State, list[State]]:
    """Sleep over two windows, predict in two; logits, the last state, and the states that the sleeps left.

    With `frozen`, the sleeps run as ever, and the states they return are replaced by those.
    """
    state, slept = model.start(len(inputs)), []
    first, second, *asked = inputs.split(WINDOW, dim=1)
    for number, window in enumerate((first, second)):
        state = model.sleep(window, state, passes)
        slept.append(state)
        if frozen is not None:
            state = frozen[number]
    logits = []
    for window in asked:
        output, state = model.wake(window, state)
        logits.append(output)
    return torch.cat(logits, dim=1), state, slept


def equal(one: State, other: State) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.fast_weights, other.fast_weights, strict=True))


@TOKEN
@PASSES
def test_with_frozen_fast_weights_an_evicted_token_is_gone(
    config: ModelConfig, build: Build, at: int, passes: int
) -> None:
    model = build(config)
    logits, last, states = live(model, draw(), passes)
    after, last_after, slept = live(model, perturbed(at), passes, frozen=states)
    window = at // WINDOW
    assert not equal(slept[window], states[window])  # the token was read: what is frozen would have differed
    assert torch.equal(after, logits)
    assert equal(last_after, last)


@TOKEN
@PASSES
def test_without_freezing_it_is_remembered(config: ModelConfig, build: Build, at: int, passes: int) -> None:
    model = build(config)
    logits, last, _ = live(model, draw(), passes)
    after, last_after, _ = live(model, perturbed(at), passes)
    assert not torch.equal(after, logits)
    assert not equal(last_after, last)


@TOKEN
@PASSES
def test_a_rule_that_writes_nothing_remembers_nothing(
    config: ModelConfig, build: Build, monkeypatch: pytest.MonkeyPatch, at: int, passes: int
) -> None:
    """The same from inside: the sleeps are untouched, and only the rule no longer changes its state."""
    rule, calls = gated_deltanet.gated_delta, 0

    def read_only(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        return rule(*arguments)[0], arguments[-1]

    model = build(config)
    monkeypatch.setattr(gated_deltanet, "gated_delta", read_only)
    logits, last, _ = live(model, draw(), passes)
    if not calls:
        pytest.skip("this model writes by another rule")
    after, last_after, _ = live(model, perturbed(at), passes)
    assert torch.equal(after, logits)
    assert equal(last_after, last)


def token_tables(model: Model) -> Iterator[Tensor]:
    """Embeddings of tokens; the indices of windows are no tokens."""
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.num_embeddings == VOCABULARY:
            yield module.weight


@PASSES
@pytest.mark.parametrize("detached", [True, False])
def test_gradients_reach_evicted_tokens_by_the_state_alone(
    config: ModelConfig, build: Build, passes: int, detached: bool
) -> None:
    model = build(config)
    evicted, seen = torch.arange(4), torch.arange(4, VOCABULARY)  # each kind of token is in one of the windows only
    state = model.sleep(evicted.repeat(2)[None, :WINDOW], model.start(1), passes)
    logits, _ = model.wake(seen.repeat(2)[None], state.detach() if detached else state)
    logits.square().sum().backward()
    tables = list(token_tables(model))
    assert tables
    for table in tables:
        assert table.grad is not None
        reached = table.grad.any(dim=1)
        assert reached[seen].all()
        assert (reached[evicted] == (not detached)).all()


def test_detaching_keeps_the_values(config: ModelConfig, build: Build) -> None:
    model = build(config)
    state = model.sleep(draw()[:, :WINDOW], model.start(3), 1)
    cut = state.detach()
    assert equal(cut, state)
    assert cut.windows == state.windows == 1
    assert all(s.requires_grad for s in state.fast_weights)
    assert not any(s.requires_grad for s in cut.fast_weights)
