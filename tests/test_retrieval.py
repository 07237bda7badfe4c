"""Retrieval: attention over the window and the best of a bounded store, against a slow token-by-token account of it."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import Build
from torch import Tensor

import baselines
from baselines.presets import Transformer
from baselines.retrieval import Retrieval, RetrievalAttention, top_scores
from baselines.sleeper import Sleeper

WINDOW, VOCABULARY = 6, 7
TINY = Retrieval(layout="attn attn", d_model=16, heads=2, mlp_ratio=2, top_k=3, store_tokens=10)


def tokens(length: int = 4 * WINDOW, batch: int = 2) -> Tensor:
    return torch.randint(VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(0))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mixer(top_k: int = 3, store_tokens: int = 10) -> RetrievalAttention:
    """Attention of width 8 and 2 heads with every weight away from where it starts."""
    made = RetrievalAttention(8, 2, top_k=top_k, store_tokens=store_tokens).double()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter += normal(*parameter.shape, seed=number)
    return made


# --- against a plain account ---

Pairs = list[tuple[Tensor, Tensor]]  # keys and values [H, D / H] of tokens, oldest first


def plain(made: RetrievalAttention, x: Tensor, store: Pairs) -> tuple[Tensor, Pairs]:
    """Outputs [T, D] for one example's tokens [T, D], and the store after them: one token, one head at a time."""
    size = x.shape[1] // made.heads

    def normalised(a: Tensor, weight: Tensor) -> Tensor:
        return a / (a.square().mean() + torch.finfo(a.dtype).eps).sqrt() * weight

    def placed(a: Tensor, position: int) -> Tensor:
        """Rotated as complex numbers: the first half of the features is real, the second imaginary."""
        angle = torch.tensor([position * 10_000.0 ** (-2 * i / size) for i in range(size // 2)], dtype=a.dtype)
        z = torch.complex(a[: size // 2], a[size // 2 :]) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat((z.real, z.imag))

    own: Pairs = []
    outputs = []
    for position, token in enumerate(x):
        q, k, v = (made.qkv.weight @ token).view(3, made.heads, size)
        q = torch.stack([normalised(row, made.q_norm.weight) for row in q])
        own.append((torch.stack([normalised(row, made.k_norm.weight) for row in k]), v))
        heads = []
        for head in range(made.heads):
            found = sorted(((q[head] @ k[head], v[head]) for k, v in store), key=lambda pair: -pair[0].item())
            seen = found[: made.top_k] + [
                (placed(q[head], position) @ placed(k[head], at), v[head]) for at, (k, v) in enumerate(own)
            ]
            weights = torch.stack([(score / math.sqrt(size)).exp() for score, _ in seen])
            heads.append(sum(w * v for w, (_, v) in zip(weights / weights.sum(), seen, strict=True)))
        outputs.append(made.out.weight @ torch.cat(heads))
    return torch.stack(outputs), (store + own)[-made.store_tokens :]


@pytest.mark.parametrize(("top_k", "store_tokens"), [(1, 1), (3, 10), (2, 3), (4, 512), (512, 512)])
def test_equals_the_plain_account(top_k: int, store_tokens: int) -> None:
    """Over three windows, each of which leaves its keys and values to the next: outputs, stores, gradients."""
    made = mixer(top_k, store_tokens)
    inputs = normal(2, 13, 8, seed=99)
    results = []
    for fast in (True, False):
        x = inputs.clone().requires_grad_()
        windows = x.split((5, 5, 3), dim=1)
        if fast:
            store = made.initial_state(2)
            outputs = []
            for window in windows:
                output, store = made(window, store)
                outputs.append(output)
        else:
            examples = []
            for example in range(2):
                pairs: Pairs = []
                parts = []
                for window in windows:
                    output, pairs = plain(made, window[example], pairs)
                    parts.append(output)
                kept = torch.stack([torch.stack([pair[part] for pair in pairs], dim=1) for part in (0, 1)])
                examples.append((torch.cat(parts), kept))
            outputs = [torch.stack([output for output, _ in examples])]
            store = torch.stack([kept for _, kept in examples])
        assert store is not None
        output = torch.cat(outputs, dim=1)
        loss = (output * normal(*output.shape, seed=5)).sum() + (store * normal(*store.shape, seed=6)).sum()
        gradients = torch.autograd.grad(loss, (x, *made.parameters()))
        results.append((output, store, *gradients))
    for one, other in zip(*results, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_reading_all_is_attention_to_all() -> None:
    """With top_k as large as the store nothing is chosen: one softmax over every key there is."""
    made = mixer(top_k=7, store_tokens=7)
    x, store = normal(2, 4, 8, seed=1), normal(2, 2, 2, 7, 4, seed=2)
    q, k, v = normal(3, 2, 2, 4, 4, seed=3)
    mixed, _ = made.attend(q, k, v, store)
    one = torch.tensor([1.0, 0.01], dtype=torch.float64) * torch.arange(4, dtype=torch.float64)[:, None]  # angles
    turn = torch.polar(torch.ones_like(one), one)
    rotated = [torch.complex(*a.chunk(2, dim=-1)) * turn for a in (q, k)]
    own = torch.einsum("bhtc,bhsc->bhts", rotated[0], rotated[1].conj()).real
    own = own + torch.full((4, 4), -math.inf, dtype=torch.float64).triu(1)
    scores = torch.cat((torch.einsum("bhtk,bhsk->bhts", q, store[:, 0]), own), dim=-1) / 2
    expected = torch.einsum("bhts,bhsk->bhtk", scores.softmax(-1), torch.cat((store[:, 1], v), dim=-2))
    torch.testing.assert_close(mixed, expected, rtol=1e-12, atol=1e-12)
    fewer = RetrievalAttention(8, 2, top_k=6, store_tokens=7).double()
    fewer.load_state_dict(made.state_dict())
    assert not torch.allclose(fewer(x, store)[0], made(x, store)[0])


def test_an_empty_store_is_hard_eviction() -> None:
    for length in (1, 5):
        made = mixer()
        hard = Transformer(d_model=8, heads=2).attention(WINDOW).double()
        hard.load_state_dict(made.state_dict())
        x = normal(2, length, 8, seed=1)
        torch.testing.assert_close(made(x, made.initial_state(2))[0], hard(x, None)[0], rtol=1e-12, atol=1e-12)


# --- what is chosen ---


def test_the_right_keys_are_read() -> None:
    """Stored tokens hold a content (first features) and a value (last): a query's content finds its value, wherever.

    The query itself matches as well, by its own key, and brings the value 0: half of the stored value comes out.
    """
    made = RetrievalAttention(8, 1, top_k=1, store_tokens=16).double()
    content, value = torch.eye(8).double()[:4], torch.eye(8).double()[4:]
    with torch.no_grad():
        made.qkv.weight.copy_(torch.cat([torch.diag(content.sum(0))] * 2 + [torch.diag(value.sum(0))]))
        made.out.weight.copy_(torch.eye(8))
    which = torch.tensor([2, 0, 3, 1])
    written = (content[which] + value * torch.arange(1.0, 5.0)[:, None])[None]  # token i: content which[i], value i + 1
    _, store = made(written, made.initial_state(1))
    assert store is not None
    store = store.detach().requires_grad_()
    for place, asked in enumerate(which):
        output, _ = made(content[asked][None, None], store)
        torch.testing.assert_close(output[0, 0], value[place] * (place + 1) / 2)
        (gradient,) = torch.autograd.grad(output.sum(), store)
        assert gradient[0, 1, 0].any(dim=-1).nonzero().flatten().tolist() == [place]  # no other value was touched


def test_what_is_found_does_not_depend_on_its_place() -> None:
    made, x, store = mixer(), normal(2, 4, 8, seed=1), normal(2, 2, 2, 9, 4, seed=2)
    shuffled = store[..., torch.randperm(9, generator=torch.Generator().manual_seed(0)), :]
    torch.testing.assert_close(made(x, shuffled)[0], made(x, store)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("stored", "count"), [(0, 3), (2, 3), (3, 3), (5, 3), (9, 1)])
@pytest.mark.parametrize("kind", ["equal", "different"])
def test_exactly_so_many_are_read(stored: int, count: int, kind: str) -> None:
    """Also where all scores are equal, as those of a token read again and again."""
    scores = torch.zeros(2, 4, stored) if kind == "equal" else normal(2, 4, stored)
    kept = top_scores(scores, count)
    finite = kept.isfinite()
    assert (finite.sum(dim=-1) == min(stored, count)).all()
    assert torch.equal(kept[finite], scores[finite])
    if stored:
        lowest_read = kept.masked_fill(~finite, math.inf).amin(dim=-1)
        assert (scores.masked_fill(finite, -math.inf).amax(dim=-1) <= lowest_read).all()


# --- the network ---


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_every_pass_sees_the_store_before_the_sleep_and_the_last_is_kept(build: Build, passes: int) -> None:
    model = build(TINY, dtype=torch.float64)
    assert isinstance(model, Sleeper)
    state = model.sleep(tokens()[:, :WINDOW], model.start(2), passes)
    slept = model.sleep(tokens()[:, WINDOW : 2 * WINDOW], state, passes)
    h = model.embed(tokens()[:, WINDOW : 2 * WINDOW], 1)
    for _ in range(passes):
        left = []
        for block, store in zip(model.blocks, state.cache, strict=True):
            h, after = block(h, store)
            left.append(after)
    assert slept.windows == 2
    for one, other, before in zip(slept.cache, left, state.cache, strict=True):
        torch.testing.assert_close(one, other)
        assert before.shape[-2:] == (WINDOW, 8)
        assert one.shape[-2:] == (10, 8)
        assert torch.equal(one[..., :4, :], before[..., -4:, :])  # the oldest went


@pytest.mark.parametrize("store_tokens", [3, 10, 18, 100])
def test_the_store_is_bounded(build: Build, store_tokens: int) -> None:
    """At most 2 D numbers of 4 bytes for each of `store_tokens` tokens and each block."""
    model = build(replace(TINY, store_tokens=store_tokens))
    state = model.start(2)
    assert model.state_bytes(state) == 0
    for number, window in enumerate((*tokens().split(WINDOW, dim=1), tokens()[:, :2]), start=1):
        state = model.sleep(window, replace(state, windows=0), 2)
        read = WINDOW * number if number < 5 else 4 * WINDOW + 2
        assert model.state_bytes(state) == 2 * 2 * 16 * 4 * min(read, store_tokens)
    assert not state.fast_weights


@pytest.mark.parametrize("store_tokens", [3, 18])
def test_evicted_tokens_are_heard_as_long_as_they_are_stored(build: Build, store_tokens: int) -> None:
    """One block, all of the store read: a token reaches the answer if it is one of the last, and else does not."""
    model = build(replace(TINY, layout="attn", top_k=store_tokens, store_tokens=store_tokens))

    def predicted(inputs: Tensor) -> Tensor:
        *before, last = inputs.split(WINDOW, dim=1)
        state = model.start(len(inputs))
        for window in before:
            state = model.sleep(window, state, 1)
        return model.wake(last, state)[0]

    for at in range(3 * WINDOW):
        changed = tokens()
        changed[:, at] = (changed[:, at] + 1) % VOCABULARY
        assert torch.equal(predicted(changed), predicted(tokens())) == (at < 3 * WINDOW - store_tokens)


def test_it_is_a_model_like_the_others() -> None:
    assert baselines.load("retrieval") is Retrieval
    assert Retrieval().layout.split() == ["attn"] * 4
    assert (Retrieval().top_k, Retrieval().store_tokens) == (8, 512)
    mixed = replace(TINY, layout="attn gdn").build(vocab_size=VOCABULARY, window=WINDOW, seq_len=2 * WINDOW)
    state = mixed.sleep(tokens()[:, :WINDOW], mixed.start(2), 2)
    assert (len(state.fast_weights), len(state.cache), len(state.evicted().cache)) == (1, 1, 0)
    assert mixed.wake(tokens()[:, :2], state.evicted())[0].isfinite().all()


def test_in_bf16_it_chooses_as_in_full_precision() -> None:
    """Two stored keys whose scores differ by less than bf16 can tell, and their values by much."""
    made = RetrievalAttention(8, 1, top_k=1, store_tokens=4)
    q = torch.eye(8)[:1][None, None]
    keys = torch.stack((torch.eye(8)[0], 1.001 * torch.eye(8)[0], torch.eye(8)[0]))
    values = torch.tensor([0.0, 8.0, 0.0])[:, None].expand(3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        v = torch.zeros(1, 1, 1, 8, dtype=torch.bfloat16)
        mixed, after = made.attend(q, torch.eye(8)[:1][None, None], v, torch.stack((keys, values))[None, :, None])
    assert mixed.dtype == torch.bfloat16
    assert after.dtype == torch.float32
    torch.testing.assert_close(mixed.float(), torch.full((1, 1, 1, 8), 4.0), rtol=0.01, atol=0)


# --- what is refused ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_k": 0}, "top_k = 0: a query must read at least 1 stored key"),
        ({"store_tokens": 2}, "store_tokens = 2 is less than top_k = 3"),
        ({"layout": "gdn gdn"}, "layout 'gdn gdn' has no attn"),
        ({"eviction": "hard"}, "eviction = 'hard': retrieval needs 'none'"),
        ({"eviction": "sliding"}, "eviction = 'sliding': retrieval needs 'none'"),
        ({"heads": 3}, "heads = 3 does not divide d_model = 16"),
    ],
)
def test_bad_settings(settings: dict[str, int | str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **settings)


@pytest.mark.parametrize("seq_len", [1, WINDOW])
def test_nothing_to_retrieve(seq_len: int) -> None:
    with pytest.raises(ValueError, match=f"retrieval without evicted tokens: a sequence of {seq_len} tokens"):
        TINY.build(vocab_size=VOCABULARY, window=WINDOW, seq_len=seq_len)
    assert TINY.build(vocab_size=VOCABULARY, window=WINDOW, seq_len=WINDOW + 1)
