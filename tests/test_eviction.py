"""Eviction: an evicted token reaches what comes after by the declared state, and by no other road."""

from collections.abc import Iterator

import pytest
import torch
from conftest import VOCABULARY, WINDOW, Build, differ, other, remembers, same, tokens, variants
from torch import Tensor, nn

from baselines.base import Model, ModelConfig, State
from baselines.chain_of_thought import ChainOfThought
from baselines.fusion import FiD
from baselines.hybrid import Hybrid
from baselines.sleeper import Sleeper

EVICTED = (0, 2, WINDOW - 1, WINDOW, 2 * WINDOW - 1)
"""Positions of tokens in the two windows that are slept on."""
PASSES = pytest.mark.parametrize("passes", [1, 3])


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


@PASSES
def test_with_a_frozen_state_an_evicted_token_is_gone(config: ModelConfig, build: Build, passes: int) -> None:
    model = build(config)
    inputs, changed = variants(EVICTED)
    logits, last, states = live(model, inputs, passes)
    after, last_after, slept = live(model, changed, passes, frozen=states)
    # The token was read: what is frozen would have differed, unless nothing is ever kept.
    for window in range(2):
        heard = [remembers(model) and at // WINDOW == window for at in EVICTED]
        assert differ(slept[window], states[window]) in (heard, [])
    assert torch.equal(after, logits)
    assert same(last_after, last)


@PASSES
def test_without_freezing_it_is_remembered(config: ModelConfig, build: Build, passes: int) -> None:
    """Or never heard of again, by a model of which nothing survives: whatever it read, it answers the same."""
    model = build(config)
    inputs, changed = variants(EVICTED)
    (logits, last, _), (after, last_after, _) = live(model, inputs, passes), live(model, changed, passes)
    for one, two in zip(logits, after, strict=True):
        assert torch.equal(one, two) is not remembers(model)
    assert differ(last, last_after) in ([remembers(model)] * len(EVICTED), [])


class ReadOnly(nn.Module):
    """A mixer that reads as ever, and writes nothing."""

    def __init__(self, mixer: nn.Module) -> None:
        super().__init__()
        self.mixer, self.initial_state = mixer, mixer.initial_state

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.mixer(x, state)[0], state

    def write(self, x: Tensor, state: Tensor | None) -> Tensor | None:
        return state

    def resume(
        self, x: Tensor, state: Tensor | None, past: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        mixed, _, past = self.mixer.resume(x, state, past)
        return mixed, state, past


@PASSES
def test_a_mixer_that_writes_nothing_remembers_nothing(config: ModelConfig, build: Build, passes: int) -> None:
    """The same from inside: the sleeps are untouched, and only the mixers no longer change what they hold."""
    if not isinstance(config, Hybrid):
        pytest.skip("a model of other parts")
    model = build(config)
    assert isinstance(model, Sleeper)
    for block in model.blocks:
        block.mixer = ReadOnly(block.mixer)
    inputs, changed = variants(EVICTED)
    (logits, last, _), (after, last_after, _) = live(model, inputs, passes), live(model, changed, passes)
    assert torch.equal(after, logits)
    assert same(last_after, last)


@PASSES
def test_without_keys_and_values_fast_weights_remember_alone(config: ModelConfig, build: Build, passes: int) -> None:
    """`State.evicted` is hard eviction under any model, as the first of two training stages needs it."""
    model = build(config)

    def hard(inputs: Tensor) -> Tensor:
        state = model.start(len(inputs))
        *evicted, last = inputs.split(WINDOW, dim=1)
        for window in evicted:
            state = model.sleep(window, state, passes).evicted()
        return model.wake(last, state)[0]

    evicted = model.sleep(tokens()[:, :WINDOW], model.start(3), passes).evicted()
    assert not evicted.cache
    heard = not torch.equal(hard(other(tokens(), 0)), hard(tokens()))
    assert heard is bool(evicted.tensors())


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
    if isinstance(config, ChainOfThought) and config.thought == "text":
        pytest.skip("its thoughts are tokens of any kind")
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
        cut = detached and not isinstance(config, FiD)  # which keeps text, and embeds it when it is asked
        assert (reached[evicted] == (remembers(model) and not cut)).all()


def test_detaching_keeps_the_values(config: ModelConfig, build: Build) -> None:
    model = build(config)
    state = model.sleep(tokens()[:, :WINDOW], model.start(3), 1)
    cut = state.detach()
    assert same(cut, state)
    assert cut.windows == state.windows == 1
    assert all(t.requires_grad for t in state.tensors().values() if t.is_floating_point())
    assert not any(t.requires_grad for t in cut.tensors().values())
