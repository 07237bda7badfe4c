"""Every model keeps the contract; the hybrid equals a slow, plain implementation of the paper's algorithm."""

import math
from dataclasses import fields, replace
from importlib.metadata import EntryPoint

import pytest
import torch
from conftest import Build
from torch import Tensor, nn
from torch.nn import functional

import baselines
from baselines.attention import rotary, rotate
from baselines.base import Model, ModelConfig, State
from baselines.gated_deltanet import GatedDeltaNet
from baselines.hybrid import Hybrid, Sleeper

WINDOW, VOCABULARY = 6, 7
TINY = Hybrid(layout="attn gdn attn gdn", d_model=16, heads=2, mlp_ratio=2)


def tokens(batch: int = 3, length: int = 4 * WINDOW, seed: int = 0) -> Tensor:
    return torch.randint(VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


def live(model: Model, inputs: Tensor, passes: int) -> tuple[Tensor, State]:
    """Sleep over all windows but the last and predict in that one: logits and the last state."""
    state = model.start(len(inputs))
    *evicted, last = inputs.split(WINDOW, dim=1)
    for window in evicted:
        state = model.sleep(window, state, passes)
    return model.wake(last, state)


def same(one: State, other: State) -> bool:
    pairs = zip(one.fast_weights, other.fast_weights, strict=True)
    return one.windows == other.windows and all(torch.equal(a, b) for a, b in pairs)


# --- the contract, for every model ---


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_shapes_and_number_of_passes(config: ModelConfig, build: Build, passes: int) -> None:
    model = build(config)
    logits, state = live(model, tokens()[:, :-2], passes)  # a short last window
    assert logits.shape == (3, WINDOW - 2, VOCABULARY)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert state.windows == 4
    assert [s.shape for s in state.fast_weights] == [s.shape for s in model.start(3).fast_weights]
    assert all(len(s) == 3 and not s.any() for s in model.start(3).fast_weights)


def test_passes_change_what_is_kept(config: ModelConfig, build: Build) -> None:
    model = build(config)
    window, empty = tokens()[:, :WINDOW], model.start(3)
    states = [model.sleep(window, empty, passes) for passes in (1, 2, 4)]
    assert not same(states[0], states[1])
    assert not same(states[1], states[2])
    assert same(model.sleep(window, empty, 2), states[1])  # nothing is left over from the calls between


@pytest.mark.parametrize("passes", [0, -1])
def test_less_than_one_pass_is_refused(config: ModelConfig, build: Build, passes: int) -> None:
    model = build(config)
    with pytest.raises(ValueError, match=rf"N = {passes}: at least 1"):
        model.sleep(tokens()[:, :WINDOW], model.start(3), passes)


def test_a_sleep_of_one_pass_leaves_what_prediction_leaves(config: ModelConfig, build: Build) -> None:
    model = build(config)
    state = model.start(3)
    for window in tokens().split(WINDOW, dim=1):
        slept = model.sleep(window, state, 1)
        assert same(slept, model.wake(window, state)[1])
        state = slept


def test_same_seed_same_model(config: ModelConfig) -> None:
    def built(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return config.build(vocab_size=VOCABULARY, window=WINDOW, seq_len=4 * WINDOW).state_dict()

    one, again, other = built(3), built(3), built(4)
    assert list(one) == list(again)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_same_input_same_output(config: ModelConfig, build: Build) -> None:
    model = build(config)
    (first, state), (second, again) = live(model, tokens(), 2), live(model, tokens(), 2)
    assert torch.equal(first, second)
    assert same(state, again)


def test_modules_hold_parameters_and_nothing_else(config: ModelConfig, build: Build) -> None:
    model = build(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attributes = [list(vars(module)) for module in model.modules()]
    live(model, tokens(), 2)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [list(vars(module)) for module in model.modules()] == attributes
    for module in model.modules():
        assert not list(module.buffers(recurse=False))
        assert not [name for name, value in vars(module).items() if isinstance(value, Tensor | State)]


def test_what_survives_is_of_one_size(config: ModelConfig, build: Build) -> None:
    """Nothing of the features is kept: the state's bytes are those declared, whatever was read, and how often."""
    model = build(config)

    def held(state: State) -> int:
        values = [getattr(state, field.name) for field in fields(state)]
        tensors = [t for value in values for t in (value if isinstance(value, tuple) else (value,))]
        return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor))

    declared = model.state_bytes(model.start(1))
    assert declared > 0
    for batch in (1, 3):
        state = model.start(batch)
        for number, window in enumerate(tokens(batch).split(WINDOW, dim=1), start=1):
            state = model.sleep(window, state, number)
            assert (state.windows, model.state_bytes(state), held(state)) == (number, declared, batch * declared)


@pytest.mark.parametrize("passes", [1, 2])
def test_gradients_reach_every_parameter(config: ModelConfig, build: Build, passes: int) -> None:
    model = build(config)
    logits, _ = live(model, tokens(8), passes)
    functional.cross_entropy(logits.flatten(0, 1), tokens(8)[:, -WINDOW:].flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_gradients_reach_the_first_window(config: ModelConfig, build: Build) -> None:
    """Through every window and every pass: nothing on the way is detached."""
    model = build(config, dtype=torch.float64, noise=0.1)
    state = model.start(1)
    start = tuple(s.requires_grad_() for s in state.fast_weights)
    for window in tokens(1).split(WINDOW, dim=1)[:-1]:
        state = model.sleep(window, state, 2)
    model.wake(tokens(1)[:, -WINDOW:], state)[0].square().sum().backward()
    assert all(s.grad is not None and s.grad.any() for s in start)


def test_examples_of_a_batch_do_not_meet(config: ModelConfig, build: Build) -> None:
    model = build(config)
    inputs = tokens()
    changed = inputs.clone()
    changed[1] = (changed[1] + 1) % VOCABULARY
    (logits, state), (after, state_after) = live(model, inputs, 2), live(model, changed, 2)
    for one, other in [(logits, after), *zip(state.fast_weights, state_after.fast_weights, strict=True)]:
        assert torch.equal(one[[0, 2]], other[[0, 2]])
        assert not torch.equal(one[1], other[1])


@pytest.mark.parametrize("position", range(1, WINDOW))
def test_a_prediction_hears_of_no_later_token(config: ModelConfig, build: Build, position: int) -> None:
    model = build(config)
    inputs = tokens()
    changed = inputs.clone()
    at = 3 * WINDOW + position
    changed[:, at] = (changed[:, at] + 1) % VOCABULARY
    logits, after = live(model, inputs, 2)[0], live(model, changed, 2)[0]
    assert torch.equal(after[:, :position], logits[:, :position])
    assert not torch.equal(after[:, position], logits[:, position])


def test_every_window_reaches_the_prediction(config: ModelConfig, build: Build) -> None:
    model = build(config)
    logits, _ = live(model, tokens(), 1)
    for window in range(3):
        changed = tokens()
        changed[:, window * WINDOW] = (changed[:, window * WINDOW] + 1) % VOCABULARY
        assert not torch.equal(live(model, changed, 1)[0], logits)


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
    plug_in(monkeypatch, "toy", "baselines.hybrid:Block")
    with pytest.raises(ValueError, match=r"'toy': baselines.hybrid:Block is not a subclass"):
        baselines.load("toy")


def test_plug_in_with_a_taken_name(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, "hybrid", "other:Hybrid")
    with pytest.raises(ValueError, match=r"two models are named 'hybrid': .* and other:Hybrid"):
        baselines.load("hybrid")


# --- the hybrid against a plain implementation ---


class Plain:
    """The paper's algorithm one example, one token, one head at a time, from the parameters of a `Sleeper` alone."""

    def __init__(self, model: Sleeper, config: Hybrid) -> None:
        self.config, self.layout = config, config.layout.split()
        self.weights = dict(model.named_parameters())
        self.size = config.d_model // config.heads

    def predict(self, windows: list[Tensor], passes: int) -> Tensor:
        """Logits [P, V] in the last window of one example, after sleeping over the windows [L] before it."""
        fast = {
            (block, head): torch.zeros(self.size, self.size, dtype=torch.float64)
            for block in range(len(self.layout))
            for head in range(self.config.heads)
        }
        for number, window in enumerate(windows):
            embedded = [self.embed(int(token), number) for token in window]
            h = embedded
            last = number == len(windows) - 1
            for _ in range(1 if last else passes):
                h = self.run_blocks(embedded if self.config.reembed else h, fast)
        return torch.stack([self.weights["head.weight"] @ self.rms(x, "norm") for x in h])

    def embed(self, token: int, window: int) -> Tensor:
        x = self.weights["embedding.weight"][token]
        return x + self.weights["window_embedding.weight"][window] if self.config.window_embedding else x

    def rms(self, x: Tensor, name: str) -> Tensor:
        mean_square = (x * x).sum() / len(x)
        return x / (mean_square + torch.finfo(x.dtype).eps).sqrt() * self.weights[name + ".weight"]

    def run_blocks(self, h: list[Tensor], fast: dict[tuple[int, int], Tensor]) -> list[Tensor]:
        for block, kind in enumerate(self.layout):
            name = f"blocks.{block}"
            x = [self.rms(h_t, f"{name}.mixer_norm") for h_t in h]
            mixed = self.attend(x, name + ".mixer") if kind == "attn" else self.delta(x, name + ".mixer", fast, block)
            h = [h_t + m_t for h_t, m_t in zip(h, mixed, strict=True)]
            for t, h_t in enumerate(h):
                up = (self.weights[f"{name}.mlp.up.weight"] @ self.rms(h_t, f"{name}.mlp_norm")).clamp(min=0)
                h[t] = h_t + self.weights[f"{name}.mlp.down.weight"] @ (up * up)
        return h

    def part(self, qkv: Tensor, which: int, head: int) -> Tensor:
        """q, k or v of one head."""
        start = which * self.config.d_model + head * self.size
        return qkv[start : start + self.size]

    def turn(self, x: Tensor, position: int) -> Tensor:
        """Rotary position: entry i and entry i + size / 2 are one complex number."""
        half = self.size // 2
        rate = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        z = torch.complex(x[:half], x[half:]) * torch.exp(1j * position * rate)
        return torch.cat([z.real, z.imag])

    def attend(self, x: list[Tensor], name: str) -> list[Tensor]:
        qkv = [self.weights[name + ".qkv.weight"] @ x_t for x_t in x]
        outputs = []
        for t in range(len(x)):
            heads = []
            for head in range(self.config.heads):
                q = self.turn(self.rms(self.part(qkv[t], 0, head), name + ".q_norm"), t)
                keys = [self.turn(self.rms(self.part(qkv[s], 1, head), name + ".k_norm"), s) for s in range(t + 1)]
                scores = [(q @ k / math.sqrt(self.size)).exp() for k in keys]
                values = [score * self.part(qkv[s], 2, head) for s, score in enumerate(scores)]
                heads.append(torch.stack(values).sum(0) / torch.stack(scores).sum())
            outputs.append(self.weights[name + ".out.weight"] @ torch.cat(heads))
        return outputs

    def delta(self, x: list[Tensor], name: str, fast: dict[tuple[int, int], Tensor], block: int) -> list[Tensor]:
        taps = self.weights[name + ".convolution.weight"]
        projected = [self.weights[name + ".qkv.weight"] @ x_t for x_t in x]
        outputs = []
        for t, x_t in enumerate(x):
            qkv = torch.stack([taps[j] * projected[t - j] for j in range(min(len(taps), t + 1))]).sum(0)
            qkv = qkv * qkv.sigmoid()
            gates = self.weights[name + ".gates.weight"] @ x_t
            heads = []
            for head in range(self.config.heads):
                q, k, v = (self.part(qkv, which, head) for which in range(3))
                q, k = (a / (a @ a + 1e-6).sqrt() for a in (q, k))
                step = (1 + (gates[head] + self.weights[name + ".step_bias"][head]).exp()).log()
                decay = (-self.weights[name + ".log_rate"][head].exp() * step).exp()
                beta = gates[self.config.heads + head].sigmoid()
                # S_t = a_t (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T
                forget = torch.eye(self.size, dtype=torch.float64) - beta * torch.outer(k, k)
                fast[block, head] = decay * forget @ fast[block, head] + beta * torch.outer(k, v)
                heads.append(self.rms(q @ fast[block, head], name + ".norm"))
            gate = self.weights[name + ".output_gate.weight"] @ x_t
            outputs.append(self.weights[name + ".out.weight"] @ (torch.cat(heads) * gate * gate.sigmoid()))
        return outputs


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize(
    "config",
    [
        TINY,
        replace(TINY, reembed=True),
        replace(TINY, window_embedding=False),
        replace(TINY, layout="gdn gdn attn", heads=4),
        replace(TINY, layout="gdn", heads=1, window_embedding=False, reembed=True),
    ],
    ids=lambda config: f"{config.layout} index={config.window_embedding} reembed={config.reembed}",
)
def test_the_hybrid_equals_a_plain_implementation(build: Build, config: Hybrid, passes: int) -> None:
    model = build(config, dtype=torch.float64, noise=0.1)
    assert isinstance(model, Sleeper)
    windows = tokens(1, 2 * WINDOW + 3).split(WINDOW, dim=1)

    logits, _ = live(model, torch.cat(windows, dim=1), passes)
    expected = Plain(model, config).predict([window[0] for window in windows], passes)
    torch.testing.assert_close(logits[0], expected, rtol=0, atol=1e-9)

    parameters = dict(model.named_parameters())
    weights = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = (
        torch.autograd.grad((weights * out).sum(), tuple(parameters.values())) for out in (logits[0], expected)
    )
    for name, one, other in zip(parameters, ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("reembed", [False, True])
def test_sleep_is_the_blocks_in_a_loop_bit_for_bit(build: Build, reembed: bool, passes: int) -> None:
    """With one pass the loop is gone, and what is left is the plain hybrid."""
    model = build(replace(TINY, reembed=reembed))
    assert isinstance(model, Sleeper)
    assert model.window_embedding is not None
    fast: list[Tensor | None] = [None, model.start(3).fast_weights[0], None, model.start(3).fast_weights[1]]
    for number, window in enumerate(tokens().split(WINDOW, dim=1)):
        embedded = h = model.embedding(window) + model.window_embedding.weight[number]
        for _ in range(passes if number < 3 else 1):
            h = embedded if reembed else h
            for index, block in enumerate(model.blocks):
                h, fast[index] = block(h, fast[index])
    logits, state = live(model, tokens(), passes)
    assert torch.equal(logits, model.head(model.norm(h)))
    assert same(state, State(fast_weights=tuple(s for s in fast if s is not None), windows=4))


@pytest.mark.parametrize(("passes", "reembed", "heard"), [(1, False, False), (2, False, True), (2, True, False)])
def test_what_consolidation_teaches(build: Build, passes: int, reembed: bool, heard: bool) -> None:
    """Features that no further pass reads teach nothing: the last block's outputs learn from sleep only if looped.

    In training these weights get their gradient from the predicted window, whatever N is.
    """
    model = build(replace(TINY, reembed=reembed))
    state = model.sleep(tokens()[:, :WINDOW], model.start(3), passes)
    parameters = dict(model.named_parameters())
    loss = torch.stack([s.square().sum() for s in state.fast_weights]).sum()
    grads = torch.autograd.grad(loss, tuple(parameters.values()), allow_unused=True)
    unused = {name for name, grad in zip(parameters, grads, strict=True) if grad is None}
    outputs = {"mlp_norm", "mlp.up", "mlp.down", "mixer.output_gate", "mixer.norm", "mixer.out"}
    last_block = {f"blocks.3.{name}.weight" for name in outputs}
    assert unused == {"norm.weight", "head.weight"} | (set() if heard else last_block)


def test_a_new_model_predicts_the_same_for_every_number_of_passes() -> None:
    torch.manual_seed(0)
    model = TINY.build(vocab_size=VOCABULARY, window=WINDOW, seq_len=4 * WINDOW)
    assert torch.equal(live(model, tokens(), 1)[0], live(model, tokens(), 4)[0])


def test_features_of_a_pass_hear_of_no_later_token(build: Build) -> None:
    model = build(TINY)
    assert isinstance(model, Sleeper)
    h = torch.randn(3, WINDOW, 16, generator=torch.Generator().manual_seed(0))
    changed = h.clone()
    changed[:, 4] += 1
    before, after = (model.run_blocks(x, model.start(3).fast_weights)[0] for x in (h, changed))
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


def test_state_of_the_hybrid(build: Build) -> None:
    model = build(TINY)
    assert [s.shape for s in model.start(5).fast_weights] == [(5, 2, 8, 8)] * 2
    assert model.state_bytes(model.start(5)) == 2 * 2 * 8 * 8 * 4
    assert not build(replace(TINY, layout="attn")).start(5).fast_weights


def test_window_embedding_tells_windows_apart(build: Build) -> None:
    window = tokens()[:, :WINDOW]
    for told in (True, False):
        model = build(replace(TINY, window_embedding=told))
        first, third = (model.wake(window, replace(model.start(3), windows=number))[0] for number in (0, 2))
        assert torch.equal(first, third) is not told


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": ""}, r"layout '': needs one word per block out of attn, gdn$"),
        ({"layout": "attn mamba gdn"}, r"layout 'attn mamba gdn': .*out of attn, gdn; not mamba"),
        ({"heads": 3}, r"heads = 3 does not divide d_model = 16"),
        ({"heads": 0}, r"heads = 0 does not divide d_model = 16"),
        ({"d_model": 0}, r"heads = 2 does not divide d_model = 0"),
        ({"d_model": 6}, r"d_model / heads = 3 is odd"),
        ({"mlp_ratio": 0}, r"mlp_ratio = 0: at least 1"),
    ],
)
def test_bad_settings(settings: dict[str, str | int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **settings)


def test_odd_heads_do_without_rotary_positions() -> None:
    model = replace(TINY, layout="gdn", d_model=6).build(vocab_size=VOCABULARY, window=WINDOW, seq_len=4 * WINDOW)
    assert live(model, tokens(), 2)[0].shape == (3, WINDOW, VOCABULARY)


# --- parts of the hybrid ---


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    q, k = torch.randn(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    cos, sin = rotary(12, 8, q.device, q.dtype)
    scores = rotate(q.expand(12, 8), cos, sin) @ rotate(k.expand(12, 8), cos, sin).mT  # [query position, key position]
    torch.testing.assert_close(scores[0, 0], q @ k)
    for distance in range(12):
        diagonal = scores.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-12)
    assert scores[:, 0].unique().numel() == 12


@pytest.mark.parametrize("heads", [1, 4])
def test_memories_start_between_1000_and_10_tokens(heads: int) -> None:
    mixer = GatedDeltaNet(16, heads)
    tokens_kept = 1 / functional.softplus(mixer.step_bias)
    expected = torch.tensor([1000.0, 215.44, 46.416, 10.0] if heads == 4 else [100.0])
    torch.testing.assert_close(tokens_kept.detach(), expected, rtol=1e-3, atol=0)


def test_a_layout_is_read_word_by_word(build: Build) -> None:
    model = build(replace(TINY, layout="  gdn attn\tgdn "))
    assert isinstance(model, Sleeper)
    kinds = [type(block.mixer).__name__ for block in model.blocks]
    assert kinds == ["GatedDeltaNet", "WindowAttention", "GatedDeltaNet"]
    assert isinstance(model.head, nn.Linear)
