"""The hybrid's own: which settings fall together with one pass, what consolidation teaches, what is refused."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import VOCABULARY, WINDOW, Build, live, same, tokens
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from baselines.base import State
from baselines.gated_deltanet import GatedDeltaNet
from baselines.hybrid import EVICTIONS, MIXERS, Hybrid
from baselines.sleeper import Sleeper

TINY = Hybrid(layout="attn gdn attn gdn", d_model=16, heads=2, mlp_ratio=2)

# --- sleep is a loop over the blocks ---


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


@pytest.mark.parametrize("eviction", EVICTIONS)
@pytest.mark.parametrize(
    "settings", [{"loop": "middle"}, {"reembed": True}, {"reset_state": True}, {"reread": True}], ids=str
)
def test_with_one_pass_it_is_the_plain_hybrid(build: Build, settings: dict[str, Any], eviction: str) -> None:
    """Bit for bit, from the same parameters; with two passes it no longer is."""
    plain = replace(TINY, eviction=eviction)
    for passes in (1, 2):
        (logits, state), (after, state_after) = (
            live(build(config), tokens(), passes) for config in (plain, replace(plain, **settings))
        )
        assert torch.equal(after, logits) is (passes == 1)
        assert same(state_after, state) is (passes == 1)


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_rereading_is_reading_the_window_many_times_over(build: Build, eviction: str) -> None:
    plain = build(replace(TINY, eviction=eviction))
    again = build(replace(TINY, eviction=eviction, reread=True))
    window, empty = tokens()[:, :WINDOW], plain.start(3)
    assert same(again.sleep(window, empty, 3), plain.sleep(torch.cat([window] * 3, dim=1), empty, 1))


@pytest.mark.parametrize(
    "settings",
    [{}, {"loop": "middle"}, {"reset_state": True}, {"eviction": "sliding"}, {"layout": "attn gdn"}],
    ids=str,
)
def test_a_prediction_that_loops_starts_every_pass_from_the_state_before(
    build: Build, settings: dict[str, Any]
) -> None:
    """It says so, leaves what a sleep of as many passes that resets its state leaves, and predicts something else."""
    one, three = (build(replace(TINY, wake_passes=passes, **settings)) for passes in (1, 3))
    reset = build(replace(TINY, **settings | {"reset_state": True}))
    assert (one.wake_passes, three.wake_passes) == (1, 3)
    *evicted, last = tokens().split(WINDOW, dim=1)
    state = one.start(3)
    for window in evicted:
        slept = one.sleep(window, state, 2)
        assert same(three.sleep(window, state, 2), slept)  # at a sleep the setting plays no part
        state = slept
    (logits, _), (after, left) = one.wake(last, state), three.wake(last, state)
    assert not torch.equal(after, logits)
    assert same(left, reset.sleep(last, state, 3))


def test_a_pass_that_resets_its_state_writes_once(build: Build) -> None:
    """In one block of fast weights, passes write what one pass over the last pass's features would have written."""
    config = replace(TINY, layout="gdn", reset_state=True, reembed=False)
    model = build(config)
    assert isinstance(model, Sleeper)
    window, before = tokens()[:, :WINDOW], model.sleep(tokens(seed=1)[:, :WINDOW], model.start(3), 1)
    h, _ = model.blocks[0](model.embed(window, 1), before.fast_weights[0])
    _, expected = model.blocks[0](h, before.fast_weights[0])
    assert torch.equal(model.sleep(window, before, 2).fast_weights[0], expected)


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [
        *({"layout": f"attn {word} attn"} for word in MIXERS),
        {"eviction": "sliding"},
        {"eviction": "none", "layout": "gdn attn"},
        {"loop": "middle"},
        {"loop": "middle", "layout": "gdn attn attn attn"},
        {"reembed": True},
        {"reset_state": True, "layout": "gdn gdn"},
        {"layout": "attn attn"},
    ],
    ids=str,
)
def test_a_sleep_computes_no_output_and_changes_nothing_that_is_used(
    build: Build, settings: dict[str, Any], passes: int
) -> None:
    """The state and its gradients are those of all blocks run in full; it takes fewer products."""
    model = build(replace(TINY, **settings), dtype=torch.float64, noise=0.1)
    assert isinstance(model, Sleeper)
    window, parameters = tokens()[:, :WINDOW], dict(model.named_parameters())
    before = model.sleep(tokens(seed=1)[:, :WINDOW], model.start(3), 1).detach()

    def full() -> State:
        return model.pack(model.loop(model.embed(window, 1), model.unpack(before, 3), passes)[1], 2)

    def short() -> State:
        return model.sleep(window, before, passes)

    left, products, grads = [], [], []
    for run in (full, short):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            left.append(run())
        products.append(counter.get_total_flops())
        loss = sum((t * t).sum() for t in left[-1].tensors().values())
        grads.append(torch.autograd.grad(loss, parameters.values(), allow_unused=True) if left[-1].tensors() else ())
    assert products[1] < products[0]
    for name, one in left[0].tensors().items():
        torch.testing.assert_close(left[1].tensors()[name], one, rtol=1e-12, atol=1e-12)
    for name, one, two in zip(parameters, *grads, strict=False):
        assert (one is None) == (two is None), name
        if one is not None:
            torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("blocks", [*range(4, 12), 28])
def test_the_middle_half(blocks: int) -> None:
    looped = Hybrid(layout=" ".join(["gdn"] * blocks), loop="middle").loop_range
    assert len(looped) == blocks // 2
    before, after = looped.start, blocks - looped.stop
    assert 1 <= before <= after <= before + 2
    assert (blocks != 28) or looped == range(7, 21)  # as in the paper: 14 of 28


# --- what consolidation teaches, and who hears of whom ---


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


@pytest.mark.parametrize("settings", [{}, {"loop": "middle"}, {"eviction": "sliding"}, {"eviction": "none"}], ids=str)
def test_a_new_model_predicts_the_same_for_every_number_of_passes(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = replace(TINY, **settings).build(vocab_size=VOCABULARY, window=WINDOW, seq_len=4 * WINDOW)
    assert torch.equal(live(model, tokens(), 1)[0], live(model, tokens(), 4)[0])


@pytest.mark.parametrize("word", MIXERS)
@pytest.mark.parametrize("eviction", EVICTIONS)
def test_features_of_a_pass_hear_of_no_later_token(build: Build, word: str, eviction: str) -> None:
    model = build(replace(TINY, layout=f"attn {word} {word} attn", eviction=eviction))
    assert isinstance(model, Sleeper)
    before = model.unpack(model.sleep(tokens()[:, :WINDOW], model.start(3), 1), 3)
    h = torch.randn(3, WINDOW, 16, generator=torch.Generator().manual_seed(0))
    changed = h.clone()
    changed[:, 4] += 1
    one, two = (model.loop(x, before, 1)[0] for x in (h, changed))
    assert torch.equal(one[:, :4], two[:, :4])
    assert not torch.equal(one[:, 4:], two[:, 4:])


def test_window_embedding_tells_windows_apart(build: Build) -> None:
    window = tokens()[:, :WINDOW]
    for told in (True, False):
        model = build(replace(TINY, window_embedding=told))
        first, third = (model.wake(window, replace(model.start(3), windows=number))[0] for number in (0, 2))
        assert torch.equal(first, third) is not told


def test_a_window_without_an_index_is_refused(build: Build) -> None:
    inputs = tokens(length=5 * WINDOW)
    with pytest.raises(ValueError, match=r"window 5 was read by a model built for 4; build it with a larger seq_len"):
        live(build(TINY), inputs, 1)
    assert live(build(replace(TINY, window_embedding=False)), inputs, 1)[1].windows == 5


# --- sizes ---


def test_state_of_the_hybrid(build: Build) -> None:
    model = build(TINY)
    assert [s.shape for s in model.start(5).fast_weights] == [(5, 2, 8, 8)] * 2
    assert model.state_bytes(model.start(5)) == 2 * 2 * 8 * 8 * 4
    assert not build(replace(TINY, layout="attn")).start(5).fast_weights


@pytest.mark.parametrize("word", MIXERS)
@pytest.mark.parametrize("size", [0, 3, 20])
def test_size_of_the_fast_weights(build: Build, word: str, size: int) -> None:
    """A matrix K x V per head, or for some rules more than one, all zeros before the first window."""
    model = build(replace(TINY, layout=word, state_size=size))
    state = model.start(5)
    (fast,) = state.fast_weights
    assert (fast.shape[0], *fast.shape[-3:]) == (5, 2, size or 8, size or 8)
    assert not fast.any()
    assert not state.cache
    assert model.sleep(tokens(5)[:, :WINDOW], state, 2).fast_weights[0].shape == fast.shape


@pytest.mark.parametrize(("ratio", "hidden"), [(2, 32), (0.5, 8), (1.3, 21), (0.04, 1)])
def test_hidden_units(build: Build, ratio: float, hidden: int) -> None:
    model = build(replace(TINY, mlp_ratio=ratio))
    assert isinstance(model, Sleeper)
    assert all(block.mlp.up.weight.shape == (hidden, 16) for block in model.blocks)


def test_a_whole_ratio_is_one_setting_however_written() -> None:
    assert type(replace(TINY, mlp_ratio=2.0).mlp_ratio) is int
    assert replace(TINY, mlp_ratio=2.0) == TINY


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


def test_odd_heads_do_without_rotary_positions() -> None:
    model = replace(TINY, layout="gdn", d_model=6).build(vocab_size=VOCABULARY, window=WINDOW, seq_len=4 * WINDOW)
    assert live(model, tokens(), 2)[0].shape == (3, WINDOW, VOCABULARY)


# --- what is refused ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": ""}, r"layout '': needs one word per block out of attn, gdn\b.*[^,;]$"),
        ({"layout": "attn mamba gdn"}, r"layout 'attn mamba gdn': .*out of attn, gdn.*; not mamba$"),
        ({"heads": 3}, r"heads = 3 does not divide d_model = 16"),
        ({"heads": 0}, r"heads = 0 does not divide d_model = 16"),
        ({"d_model": 0}, r"heads = 2 does not divide d_model = 0"),
        ({"d_model": 6}, r"d_model / heads = 3 is odd"),
        ({"mlp_ratio": 0}, r"mlp_ratio = 0: at least one hidden unit"),
        ({"mlp_ratio": 0.01}, r"mlp_ratio = 0.01: at least one hidden unit"),
        ({"mlp_ratio": -1}, r"mlp_ratio = -1: at least one hidden unit"),
        ({"mlp_ratio": float("inf")}, r"mlp_ratio = inf: "),
        ({"mlp_ratio": float("nan")}, r"mlp_ratio = nan: "),
        ({"state_size": -1}, r"state_size = -1: at least 1 is needed, or 0 for d_model / heads"),
        ({"eviction": "slide"}, r"eviction = 'slide': needs to be one of hard, sliding, none"),
        ({"loop": "half"}, r"loop = 'half': needs to be one of all, middle"),
        ({"loop": "middle", "layout": "attn gdn gdn"}, r"at least 4 blocks.*layout 'attn gdn gdn' has 3"),
        ({"reembed": True, "reset_state": True}, r"reembed with reset_state: every pass would repeat the first"),
        ({"reembed": True, "wake_passes": 2}, r"reembed with wake_passes = 2: every pass of a prediction would repeat"),
        ({"reread": True, "reembed": True}, r"reread runs a single pass"),
        ({"reread": True, "reset_state": True}, r"reread runs a single pass"),
        ({"reread": True, "loop": "middle"}, r"reread runs a single pass"),
        ({"wake_passes": 0}, r"wake_passes = 0: at least 1"),
    ],
    ids=str,
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **settings)


def test_a_sliding_window_needs_two_tokens(build: Build) -> None:
    config = replace(TINY, eviction="sliding")
    with pytest.raises(
        ValueError, match=r"keeps the last L - 1 tokens: L = 1 keeps none; use eviction 'hard', or L >= 2"
    ):
        build(config, window=1)
    assert live(build(config, window=2, windows=12), tokens(), 1, window=2)[1].cache[0].shape == (3, 2, 2, 1, 8)


# --- gradients through the last passes alone ---


def gradients(model: Sleeper, passes: int) -> list[Tensor | None]:
    logits, _ = live(model, tokens(length=2 * WINDOW), passes)
    mix = torch.linspace(-1, 1, logits.numel()).view_as(logits)
    return [*torch.autograd.grad((mix * logits).sum(), [*model.parameters()], allow_unused=True)]


@pytest.mark.parametrize("settings", [{}, {"loop": "middle"}, {"reembed": True}, {"eviction": "sliding"}], ids=str)
def test_back_through_all_passes_is_as_without_the_setting(build: Build, settings: dict[str, Any]) -> None:
    """Bit for bit: logits whatever it is, and gradients where it is at least N."""
    every = build(replace(TINY, **settings))
    for back in (1, 3, 5):
        model = build(replace(TINY, backprop_passes=back, **settings))
        assert isinstance(model, Sleeper)
        assert isinstance(every, Sleeper)
        assert torch.equal(live(model, tokens(), 3)[0], live(every, tokens(), 3)[0])
        pairs = list(zip(gradients(model, 3), gradients(every, 3), strict=True))
        assert all(a is b is None or torch.equal(a, b) for a, b in pairs) is (back >= 3)  # type: ignore[arg-type]


def test_what_the_first_passes_left_carries_no_gradient(build: Build) -> None:
    """Those of the last pass, from features and fast weights that are numbers."""
    model = build(replace(TINY, backprop_passes=1))
    assert isinstance(model, Sleeper)
    window, question = tokens(length=2 * WINDOW).split(WINDOW, dim=1)
    with torch.no_grad():
        h, held = model.loop(model.embed(window, 0), model.unpack(model.start(3), 3), 2)
    _, held = model.loop(h, held, 1, output=False)
    logits, _ = model.wake(question, model.pack(held, 1))
    mix = torch.linspace(-1, 1, logits.numel()).view_as(logits)
    expected = torch.autograd.grad((mix * logits).sum(), [*model.parameters()], allow_unused=True)
    for ours, theirs in zip(gradients(model, 3), expected, strict=True):
        assert (ours is None and theirs is None) or torch.equal(ours, theirs)  # type: ignore[arg-type]


def test_its_memory_does_not_grow_with_passes(build: Build) -> None:
    def saved(back: int, passes: int) -> int:
        sizes: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            live(build(replace(TINY, backprop_passes=back)), tokens(), passes)
        return sum(sizes)

    assert saved(1, 8) == saved(1, 3)
    assert saved(0, 8) > 2 * saved(0, 3)


# --- eviction after several windows ---


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("layout", ["attn gdn", "attn gdn attn gdn"])
def test_windows_are_read_together_until_all_are_evicted(build: Build, layout: str, passes: int) -> None:
    """As by the model that never evicts, whose keys and values go by hand after every second window."""
    config = replace(TINY, layout=layout)
    model, whole = build(replace(config, evict_every=2)), build(replace(config, eviction="none"))
    state, by_hand = model.start(3), whole.start(3)
    *read, asked = tokens(3, 4 * WINDOW).split(WINDOW, dim=1)
    for number, window in enumerate(read):
        state, by_hand = model.sleep(window, state, passes), whole.sleep(window, by_hand, passes)
        by_hand = by_hand.evicted() if number == 1 else by_hand
        assert same(state, by_hand)
        assert bool(state.cache) is (number != 1)
    logits, last = model.wake(asked, state)
    assert torch.equal(logits, whole.wake(asked, by_hand.evicted())[0])
    assert not last.cache
    assert not torch.equal(logits, live(build(config), tokens(3, 4 * WINDOW), passes)[0])


def test_what_is_read_together_is_evicted_like_anything_else(build: Build) -> None:
    """Of attention alone a prediction hears nothing, neither of whole groups of windows nor of one that was begun."""
    model = build(replace(TINY, layout="attn attn", evict_every=2))
    inputs = tokens(1, 4 * WINDOW)
    changed = inputs.clone()
    changed[:, : 3 * WINDOW] = (inputs[:, : 3 * WINDOW] + 1) % VOCABULARY
    assert torch.equal(live(model, inputs, 1)[0], live(model, changed, 1)[0])


@pytest.mark.parametrize("settings", [{"evict_every": 0}, {"eviction": "sliding"}, {"layout": "gdn"}, {"reread": True}])
def test_longer_windows_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="evict_every"):
        replace(TINY, **{"evict_every": 2, **settings})
