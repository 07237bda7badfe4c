"""Every model, and every update rule in the place of the hybrid's, keeps the contract of `baselines.base`."""

from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint

import pytest
import torch
from conftest import VOCABULARY, WINDOW, Build, held, live, remembers, same, tokens, variants
from torch import Tensor
from torch.nn import functional

import baselines
from baselines.attention_stack import AttentionStack
from baselines.base import Model, ModelConfig, State
from baselines.chain_of_thought import ChainOfThought, Thinking
from baselines.fusion import FiD, Fusion
from baselines.hybrid import Hybrid
from baselines.memory_tokens import AutoCompressor, Gist
from baselines.pondernet import PonderNet
from baselines.presets import FullCache
from baselines.subtask_tree import SubtaskTree

# --- calls and what they return ---


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_shapes_and_number_of_passes(config: ModelConfig, build: Build, passes: int) -> None:
    model = build(config)
    logits, state = live(model, tokens()[:, :-2], passes)  # a short last window
    assert logits.shape == (3, WINDOW - 2, VOCABULARY)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert state.windows == 4
    assert [s.shape for s in state.fast_weights] == [s.shape for s in model.start(3).fast_weights]
    assert all(len(t) == 3 for t in (*state.tensors().values(), *model.start(3).tensors().values()))


def test_passes_change_what_is_kept(config: ModelConfig, build: Build) -> None:
    model = build(config)
    window, empty = tokens()[:, :WINDOW], model.start(3)
    states = [model.sleep(window, empty, passes) for passes in (1, 2, 4)]
    changes = remembers(model) and not isinstance(config, FiD)  # text is text
    assert same(states[0], states[1]) is not changes
    assert same(states[1], states[2]) is not changes


@pytest.mark.parametrize("passes", [0, -1])
def test_less_than_one_pass_is_refused(config: ModelConfig, build: Build, passes: int) -> None:
    model = build(config)
    with pytest.raises(ValueError, match=rf"N = {passes}: at least 1"):
        model.sleep(tokens()[:, :WINDOW], model.start(3), passes)


def test_a_sleep_of_one_pass_leaves_what_prediction_leaves(config: ModelConfig, build: Build) -> None:
    """But for networks that remember by another road than their blocks: of these a prediction writes nothing.

    And but for thoughts, which are in one of the two alone.
    """
    model = build(replace(config, thoughts=0) if isinstance(config, Thinking) else config)
    assert model.wake_passes == 1
    state = model.start(3)
    for window in tokens().split(WINDOW, dim=1):
        slept, woken = model.sleep(window, state, 1), model.wake(window, state)[1]
        assert same(replace(state, windows=slept.windows) if isinstance(config, AttentionStack) else slept, woken)
        state = slept


# --- determinism ---


def test_same_seed_same_model(config: ModelConfig) -> None:
    def built(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return config.build(vocab_size=VOCABULARY, window=WINDOW, seq_len=4 * WINDOW).state_dict()

    one, again, another = built(3), built(3), built(4)
    assert list(one) == list(again)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], another[name]) for name in one)


def test_calls_leave_nothing_behind(config: ModelConfig, build: Build) -> None:
    """The same input gives the same output, whatever was read between, and so does a model that read nothing."""
    model = build(config)
    logits, state = live(model, tokens(), 2)
    live(model, tokens(batch=2, seed=1), 3)
    for again, after in (live(model, tokens(), 2), live(build(config), tokens(), 2)):
        assert torch.equal(again, logits)
        assert same(after, state)


def test_a_call_leaves_the_state_it_was_given(config: ModelConfig, build: Build) -> None:
    model = build(config)
    state = model.sleep(tokens()[:, :WINDOW], model.start(3), 2)
    before = state.map(torch.Tensor.clone)
    model.sleep(tokens()[:, WINDOW : 2 * WINDOW], state, 2)
    model.wake(tokens()[:, WINDOW : 2 * WINDOW], state)
    assert same(state, before)


def test_modules_hold_parameters_and_nothing_else(config: ModelConfig, build: Build) -> None:
    model = build(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attributes = [list(vars(module)) for module in model.modules()]
    live(model, tokens(), 2)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [list(vars(module)) for module in model.modules()] == attributes
    assert not list(model.buffers())
    for module in model.modules():
        assert not held({name: value for name, value in vars(module).items() if name != "_modules"})


# --- the size of what survives ---


def test_what_survives_is_of_the_declared_and_a_bounded_size(config: ModelConfig, build: Build) -> None:
    """Nothing of the features is kept, nor any memory of evicted tokens behind a view of what was not."""
    model = build(config, windows=8)
    for batch in (1, 3):
        state, declared = model.start(batch), []
        for number, window in enumerate(tokens(batch, 8 * WINDOW).split(WINDOW, dim=1), start=1):
            state = model.sleep(window, state, 1 + number % 3)
            declared.append(model.state_bytes(state))
            assert state.windows == number
            assert held(state) == batch * declared[-1]
        if isinstance(config, FullCache):  # keys and values of width 16 in 4 blocks, for every token
            assert declared == [number * WINDOW * 4 * 2 * 16 * 4 for number in range(1, 9)]
        elif isinstance(config, SubtaskTree):  # a conclusion for every open subtask
            assert declared == [number.bit_count() * declared[0] for number in range(1, 9)]
        elif isinstance(config, AutoCompressor | Gist | Fusion):  # as many vectors, or keys and values, of every window
            assert declared == [number * declared[0] for number in range(1, 9)]
        else:
            assert declared[3:] == [declared[3]] * 5
            assert (declared[3] > 0) is remembers(model)


# --- gradients ---


@pytest.mark.parametrize("passes", [1, 2])
def test_gradients_reach_every_parameter(config: ModelConfig, build: Build, passes: int) -> None:
    """Where nothing survives a window, from the predicted one. But where there is one pass, none has to halt.

    And PonderNet's unit learns by the loss that is expected, of which a report has to take the parts.
    """
    model = build(config)
    idle = {"halt", "halt_bias"} if passes == 1 or isinstance(config, PonderNet) else set()
    logits, _ = live(model, tokens(8), passes)
    functional.cross_entropy(logits.flatten(0, 1), tokens(8)[:, -WINDOW:].flatten()).backward()
    for name, parameter in model.named_parameters():
        if name in idle:
            assert parameter.grad is None
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_gradients_reach_the_first_window(config: ModelConfig, build: Build) -> None:
    """Through every window and every pass: nothing on the way is detached."""
    model = build(config, dtype=torch.float64, noise=0.1)
    if isinstance(config, FiD):
        pytest.skip("text has no gradient")
    state = model.start(1).map(Tensor.requires_grad_)
    watched = [t for t in state.tensors().values() if t.numel()]
    for window in tokens(1).split(WINDOW, dim=1)[:-1]:
        state = model.sleep(window, state, 2)
        watched += state.tensors().values()
    for tensor in watched:
        tensor.retain_grad()
    model.wake(tokens(1)[:, -WINDOW:], state)[0].square().sum().backward()
    assert bool(watched) is remembers(model)
    assert all(t.grad is not None and t.grad.any() for t in watched)


def test_memory_is_of_the_parameters(config: ModelConfig, build: Build) -> None:
    model = build(config)
    ids = [id(p) for p in model.memory()]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= {id(p) for p in model.parameters()}
    assert bool(ids) or not model.start(1).fast_weights


# --- who hears of whom ---


def test_examples_of_a_batch_do_not_meet(config: ModelConfig, build: Build) -> None:
    model = build(config)
    inputs = tokens()
    changed = inputs.clone()
    changed[1] = (changed[1] + 1) % VOCABULARY
    (logits, state), (after, state_after) = live(model, inputs, 2), live(model, changed, 2)
    pairs = zip(state.tensors().values(), state_after.tensors().values(), strict=True)
    for one, two in [(logits, after), *pairs]:
        assert torch.equal(one[[0, 2]], two[[0, 2]])
        assert not torch.equal(one[1], two[1])


@pytest.mark.parametrize("wake_passes", [1, 3])
def test_a_prediction_hears_of_no_later_token(config: ModelConfig, build: Build, wake_passes: int) -> None:
    """Bit for bit, over two predicted windows, however often a prediction runs the network."""
    thinks = isinstance(config, ChainOfThought)  # its passes are its thoughts
    if wake_passes > 1 and (thinks or not hasattr(config, "wake_passes")):
        pytest.skip("a model whose predictions do not loop")
    model = build(replace(config, wake_passes=wake_passes) if wake_passes > 1 else config)
    assert thinks or model.wake_passes == wake_passes
    positions = range(1, 2 * WINDOW)
    inputs, changed = variants([2 * WINDOW + position for position in positions])

    def predicted(inputs: Tensor) -> Tensor:
        first, second, *asked = inputs.split(WINDOW, dim=1)
        state = model.sleep(second, model.sleep(first, model.start(len(inputs)), 2), 2)
        logits = []
        for window in asked:
            output, state = model.wake(window, state)
            logits.append(output)
        return torch.cat(logits, dim=1)

    for position, before, after in zip(positions, predicted(inputs), predicted(changed), strict=True):
        assert torch.equal(after[:position], before[:position])
        assert not torch.equal(after[position], before[position])


@pytest.mark.parametrize("passes", [1, 2])
def test_every_window_reaches_the_prediction_of_who_remembers(config: ModelConfig, build: Build, passes: int) -> None:
    """And none the prediction of who does not: whatever it was shown, it can but guess."""
    model = build(config)
    inputs, changed = variants([window * WINDOW for window in range(3)])
    (logits, _), (after, _) = live(model, inputs, passes), live(model, changed, passes)
    for one, two in zip(logits, after, strict=True):
        assert torch.equal(one, two) is not remembers(model)


# --- the state ---


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Something that a state may hold, which is no state."""

    left: Tensor
    right: Tensor


@dataclass(frozen=True, kw_only=True)
class Diary(State):
    """A state with fields of its own."""

    pages: dict[str, list[Tensor]] = field(default_factory=dict)
    pair: Pair | None = None
    within: State | None = None


def test_tensors_are_found_in_every_field() -> None:
    one, two, three, four, five = (torch.full((3, n), float(n), requires_grad=True) for n in range(1, 6))
    state = Diary(
        fast_weights=(one,),
        windows=7,
        pages={"a": [two]},
        pair=Pair(left=three, right=four),
        within=State(cache=(five,)),
    )
    found = state.tensors()
    assert list(found) == ["fast_weights[0]", "pages['a'][0]", "pair.left", "pair.right", "within.cache[0]"]
    assert [t.shape[1] for t in found.values()] == [1, 2, 3, 4, 5]

    cut = state.detach()
    assert type(cut) is Diary
    assert same(cut, state)
    assert not any(t.requires_grad for t in cut.tensors().values())
    assert all(t.requires_grad for t in state.tensors().values())
    assert not any(t.any() for t in state.map(torch.zeros_like).tensors().values())


def test_bytes_of_a_state_are_those_of_one_sequence(build: Build) -> None:
    model = build(Hybrid(d_model=16, heads=2, mlp_ratio=2))
    page = torch.zeros(3, 5, dtype=torch.float64)
    state = Diary(fast_weights=(torch.zeros(3, 2, 4),), pages={"a": [page, page.to(torch.int8)]})
    assert model.state_bytes(state) == 2 * 4 * 4 + 5 * 8 + 5


def test_evicting_drops_keys_and_values_alone() -> None:
    state = Diary(fast_weights=(torch.ones(1),), cache=(torch.ones(1),), windows=3, pages={"a": [torch.ones(1)]})
    assert list(state.evicted().tensors()) == ["fast_weights[0]", "pages['a'][0]"]
    assert state.evicted().windows == 3


# --- the registry ---


def test_unknown_model() -> None:
    with pytest.raises(ValueError, match=r"unknown model 'hybird'; valid: hybrid.*; did you mean 'hybrid'"):
        baselines.load("hybird")


def plug_in(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    entry = EntryPoint(name, value, baselines.ENTRY_POINTS)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: [entry] * (group == baselines.ENTRY_POINTS))


def test_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, "toy", "baselines.hybrid:Hybrid")
    assert baselines.load("toy") is Hybrid


def test_plug_in_that_is_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, "toy", "baselines.sleeper:Block")
    with pytest.raises(ValueError, match=r"'toy': baselines.sleeper:Block is not a subclass"):
        baselines.load("toy")


def test_plug_in_with_a_taken_name(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, "hybrid", "other:Hybrid")
    with pytest.raises(ValueError, match=r"two models are named 'hybrid': .* and other:Hybrid"):
        baselines.load("hybrid")


def test_models_are_models(build: Build) -> None:
    for name in baselines.MODELS:
        kind = baselines.load(name)
        assert kind.name == name
        assert issubclass(kind, ModelConfig)
    assert isinstance(build(Hybrid(d_model=16, heads=2)), Model)
