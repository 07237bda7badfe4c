"""Fast-weight rules: the fast forms against the token loops, and the token loops against numbers worked by hand."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from baselines import classic, fast_weights, hebbian, neural_memory
from baselines.fast_weights import CHUNK, Form, Rule, gated_delta, gated_delta_reference, in_chunks
from baselines.hybrid import MIXERS, fast_weight_mixer

FORMS: dict[str, Rule] = {}
"""Every update rule under the first word of a layout that has it."""
for each in MIXERS:
    if (rule_of := fast_weight_mixer(each).rule) not in FORMS.values():
        FORMS[each] = rule_of

RULES = pytest.mark.parametrize("word", FORMS)
BOTH = pytest.mark.parametrize(("word", "form"), [(word, form) for word in FORMS for form in ("fast", "reference")])


def sequences(rule: Rule) -> tuple[str, ...]:
    return "q", "k", "v", *rule.gates


def names(rule: Rule) -> tuple[str, ...]:
    """Of what `results` gives."""
    return "output", "new state", *sequences(rule), "state"


def draw(word: str, length: int, *, dtype: torch.dtype = torch.float64, heads: int = 3) -> dict[str, Tensor]:
    """Random arguments, K = 4 and V = 6 where it may differ: keys of unit length, gates in range, a state not empty."""
    random, rule = torch.Generator().manual_seed(0), FORMS[word]

    def normal(*shape: int) -> Tensor:
        return torch.randn(2, *shape, dtype=torch.float64, generator=random)

    values = 4 if rule.square else 6
    made = {
        "q": normal(heads, length, 4),
        "k": torch.nn.functional.normalize(normal(heads, length, 4), dim=-1),
        "v": normal(heads, length, values),
        **{name: gate(name, normal(heads, length)) for name in rule.gates},
        "state": normal(*(rule.matrices,) * (rule.matrices > 1), heads, 4, values),
    }
    return {name: a.to(dtype).requires_grad_() for name, a in made.items()}


def gate(name: str, raw: Tensor) -> Tensor:
    return -raw.exp() / 4 if name.startswith("log_") else raw.sigmoid()


def results(rule: Form, arguments: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Output, new state, and the gradients of all arguments under random weights of both."""
    random = torch.Generator().manual_seed(1)
    outputs = rule(**arguments)
    weights = [torch.randn(o.shape, dtype=torch.float64, generator=random).to(o.dtype) for o in outputs]
    return *outputs, *torch.autograd.grad(outputs, tuple(arguments.values()), weights)


def close(one: tuple[Tensor, ...], other: tuple[Tensor, ...], of: tuple[str, ...] = ("output", "state")) -> None:
    for name, a, b in zip(of, one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11, msg=lambda m, name=name: f"{name}: {m}")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few tokens then cross many borders."""
    monkeypatch.setattr(fast_weights, "CHUNK", 4)


# --- for every rule ---


@pytest.mark.parametrize("length", [1, 5, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
@RULES
def test_fast_form_equals_the_token_loop(word: str, length: int) -> None:
    forms, arguments = FORMS[word], draw(word, length)
    fast, slow = results(forms.fast, arguments), results(forms.reference, arguments)
    assert min(a.abs().max() for a in slow) > 1e-3, "no gradient reaches something: nothing is compared"
    close(fast, slow, names(forms))


@pytest.mark.usefixtures("small_chunks")
@RULES
def test_many_chunks(word: str) -> None:
    forms, arguments = FORMS[word], draw(word, 18)
    close(results(forms.fast, arguments), results(forms.reference, arguments), names(forms))


@pytest.mark.usefixtures("small_chunks")
@BOTH
def test_gradcheck(word: str, form: str) -> None:
    arguments = [a.detach()[:1].clone().requires_grad_() for a in draw(word, 5, heads=1).values()]
    assert torch.autograd.gradcheck(getattr(FORMS[word], form), arguments)


@pytest.mark.usefixtures("small_chunks")
@BOTH
def test_two_parts_are_the_whole(word: str, form: str) -> None:
    rule, arguments = getattr(FORMS[word], form), draw(word, 11)
    outputs, state = [], arguments["state"]
    for part in (slice(0, 6), slice(6, 11)):
        output, state = rule(*(arguments[name][:, :, part] for name in sequences(FORMS[word])), state)
        outputs.append(output)
    close((torch.cat(outputs, dim=2), state), rule(**arguments))


@pytest.mark.usefixtures("small_chunks")
@BOTH
def test_a_token_reads_no_later_one(word: str, form: str) -> None:
    rule, arguments = getattr(FORMS[word], form), draw(word, 11)
    before = rule(**arguments)[0]
    for name in sequences(FORMS[word]):
        changed = arguments[name].detach().clone()
        changed[:, :, 6] += 0.1
        after = rule(**arguments | {name: changed})[0]
        assert torch.equal(after[:, :, :6], before[:, :, :6]), name
        assert not torch.equal(after[:, :, 6:], before[:, :, 6:]), name


@BOTH
def test_dtype_is_kept(word: str, form: str) -> None:
    rule, arguments = getattr(FORMS[word], form), draw(word, 5, dtype=torch.float32)
    assert {a.dtype for a in results(rule, arguments)} == {torch.float32}


def extremes() -> Iterator[tuple[str, float | None, float | None]]:
    """Every rule with gates, its decays and its strengths at an end of their range or (None) as drawn."""
    for word, rule in FORMS.items():
        decays = [name.startswith("log_") for name in rule.gates]
        for log_gate in (0.0, -50.0, None) if any(decays) else (None,):
            for strength in (0.0, 1.0, None) if not all(decays) else (None,):
                if rule.gates:
                    yield word, log_gate, strength


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("same_key", [False, True])
@pytest.mark.parametrize(("word", "log_gate", "strength"), list(extremes()))
def test_extreme_gates(
    word: str, log_gate: float | None, strength: float | None, same_key: bool, dtype: torch.dtype
) -> None:
    forms, arguments = FORMS[word], draw(word, 11, dtype=dtype)
    with torch.no_grad():
        for name in forms.gates:
            value = log_gate if name.startswith("log_") else strength
            if value is not None:
                arguments[name].fill_(value)
        if same_key:
            arguments["k"].copy_(arguments["k"][:, :, :1].clone().expand_as(arguments["k"]))
    precise = {name: a.detach().double().requires_grad_() for name, a in arguments.items()}
    fast, slow = results(forms.fast, arguments), results(forms.reference, precise)
    tolerance = {torch.float32: 1e-3, torch.float64: 1e-10}[dtype]
    for name, a, b in zip(names(forms), fast, slow, strict=True):
        assert a.isfinite().all(), name
        assert (a - b).abs().max() <= tolerance * b.abs().max().clamp(min=1), name


@pytest.mark.parametrize("length", [1, CHUNK + 8])
@pytest.mark.parametrize("strength", [0.0, 1.0, None])
@pytest.mark.parametrize(("log_gate", "share"), [(-torch.inf, 0.3), (-torch.inf, 1.0), (-1e30, 0.3)])
@pytest.mark.parametrize("word", [word for word in FORMS if "log_decay" in FORMS[word].gates])
def test_where_everything_is_forgotten(
    word: str, log_gate: float, share: float, strength: float | None, length: int
) -> None:
    """At some tokens or all: values and gradients are those of the token loop, and what comes later still fades."""
    forms, arguments = FORMS[word], draw(word, length)
    with torch.no_grad():
        for name in forms.gates:
            if name.startswith("log_"):
                gone = torch.rand(arguments[name].shape, generator=torch.Generator().manual_seed(2)) < share
                arguments[name].masked_fill_(gone, log_gate)
            elif strength is not None:
                arguments[name].fill_(strength)
    fast, slow = results(forms.fast, arguments), results(forms.reference, arguments)
    assert all(a.isfinite().all() for a in slow)
    close(fast, slow, names(forms))


@pytest.mark.parametrize("state", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("length", [1, CHUNK + 8])
@RULES
def test_half_precision_is_cast_alike(word: str, length: int, dtype: torch.dtype, state: torch.dtype) -> None:
    """Of rounded arguments both forms give what is right for these, rounded once, in the dtype of the state."""
    forms, exact = FORMS[word], draw(word, length)
    halved = {name: a.detach().to(state if name == "state" else dtype).requires_grad_() for name, a in exact.items()}
    right = results(forms.reference, {name: a.detach().double().requires_grad_() for name, a in halved.items()})
    for form in (forms.fast, forms.reference):
        for name, a, b in zip(("output", "new state"), form(**halved), right[:2], strict=True):
            assert a.dtype == state, name
            torch.testing.assert_close(a, b.to(state), rtol=2 * torch.finfo(state).eps, atol=1e-5, msg=name)
    fast, slow = results(forms.fast, halved), results(forms.reference, halved)
    for name, a, b in zip(names(forms), fast, slow, strict=True):
        eps = max(torch.finfo(a.dtype).eps, 1e-5)
        torch.testing.assert_close(a, b, rtol=2 * eps, atol=eps, msg=lambda m, name=name: f"{name}: {m}")


def test_edges_leave_the_bits_of_ordinary_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decays without a bound, as they were: the same outputs and gradients, bit for bit."""

    def unbounded(log_decay: Tensor) -> tuple[Tensor, Tensor]:
        since_start = log_decay.cumsum(-1)
        future = torch.ones(log_decay.shape[-1], log_decay.shape[-1], dtype=torch.bool).triu(1)
        decay = (since_start[..., :, None] - since_start[..., None, :]).masked_fill(future, -torch.inf).exp()
        return decay, since_start.exp()[..., None]

    for dtype in (torch.float32, torch.float64):
        arguments = draw("gdn", 2 * CHUNK + 5, dtype=dtype)
        now = results(gated_delta, arguments)
        with monkeypatch.context() as patch:
            patch.setattr(fast_weights, "decays", unbounded)
            before = results(gated_delta, arguments)
        assert all(torch.equal(a, b) for a, b in zip(now, before, strict=True))


# Of t tokens of a chunk, per sequence and head, with K = 4: multiply and add counted apart, by hand.
def products(t: int, value: int) -> dict[str, int]:
    state = 2 * t * 4 * value  # asking the state, or writing to it, t times
    inside = 2 * t * t * (4 + value)  # the chunk's own writes: scores, and what they weigh
    solving = 2 * t * t * 4 + state + t * (t - 1) * value  # overlaps of keys, what is stored, substitution
    influence = 2 * t * t * t + 2 * t * t  # decay times momentum, and times the momentum before the chunk
    return {
        "linear": 2 * state + inside,
        "gated": 2 * state + inside,
        "delta": 2 * state + inside + solving,
        "gdn": 2 * state + inside + solving,
        "classic": (classic.INNER_STEPS + 1) * (state + inside) + state,
        "titans": 2 * state + inside + solving + influence + 3 * state,
    }


@pytest.mark.parametrize("length", [1, 24, CHUNK + 3])
@pytest.mark.parametrize("word", products(1, 1))
def test_flops_are_those_of_the_products(word: str, length: int) -> None:
    with FlopCounterMode(display=False) as counter:
        FORMS[word].fast(**draw(word, length))
    parts = [min(CHUNK, length - start) for start in range(0, length, CHUNK)]
    value = 4 if FORMS[word].square else 6
    assert counter.get_total_flops() == 2 * 3 * sum(products(t, value)[word] for t in parts)


# --- each rule by hand, and against the others ---


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[None, None, :, None]


def gates(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[None, None]


@pytest.mark.parametrize("rule", [gated_delta_reference, gated_delta])
def test_gated_delta_by_hand(rule: Form) -> None:
    output, state = rule(
        q=torch.tensor([[[[1.0, 1.0], [2.0, -1.0]]]], dtype=torch.float64),
        k=torch.tensor([[[[1.0, 0.0], [0.6, 0.8]]]], dtype=torch.float64),
        v=column(5.0, 8.4),
        log_decay=gates(0.5, 1.0).log(),
        beta=gates(0.5, 1.0),
        state=column(2.0, 4.0),
    )
    # Token 1: (2, 4) decays to (1, 2). Under k = (1, 0) lies 1; half the way to v = 5 makes (3, 2).
    # Token 2: under k = (.6, .8) lies 3.4; v = 8.4 is 5 more, and 5 k added makes (6, 6).
    close((output, state), (column(3.0 + 2.0, 2 * 6.0 - 6.0), column(6.0, 6.0)))


@pytest.mark.parametrize("rule", [hebbian.gated_hebbian_reference, hebbian.gated_hebbian])
def test_gated_hebbian_by_hand(rule: Form) -> None:
    output, state = rule(
        column(1.0, 2.0), column(1.0, 3.0), column(5.0, 4.0), gates(0.5, 0.25).log(), gates(0.4, 0.5), column(4.0)
    )
    # 4 decays to 2, and .4 * 5 joins it; 4 decays to 1, and .5 * 3 * 4 joins it.
    close((output, state), (column(4.0, 2 * 7.0), column(7.0)))


@pytest.mark.parametrize("rule", [neural_memory.neural_memory_reference, neural_memory.neural_memory])
def test_neural_memory_by_hand(rule: Form) -> None:
    output, state = rule(
        q=column(1.0, 1.0, 1.0),
        k=column(1.0, 1.0, 0.0),
        v=column(4.0, 4.0, 9.0),
        log_decay=gates(1.0, 0.5, 1.0).log(),
        log_momentum=gates(0.5, 0.5, 0.5).log(),
        rate=gates(0.5, 0.5, 1.0),
        state=torch.zeros(1, 2, 1, 1, 1, dtype=torch.float64),
    )
    # Token 1: 4 is missing, half of it is the momentum: 2, and the memory.
    # Token 2: 2 is missing; momentum 2 / 2 + 2 / 2 = 2, memory 2 / 2 + 2 = 3.
    # Token 3 has no key and teaches nothing, but momentum 2 / 2 = 1 still moves the memory, to 4.
    close((output, state), (column(2.0, 3.0, 4.0), torch.stack((column(4.0), column(1.0)), dim=1)))


@pytest.mark.parametrize("rule", [classic.classic_reference, classic.classic])
@pytest.mark.parametrize(
    ("value", "steps", "answer"), [(4 / 3, 0, (0, 4)), (4 / 3, 1, (0.8, 0.8)), (-4 / 3, 1, (0, -0.8))]
)
def test_classic_by_hand(rule: Form, value: float, steps: int, answer: tuple[float, float]) -> None:
    q, k, v = (torch.tensor([[[row]]], dtype=torch.float64) for row in ((3.0, 0.0), (1.0, 0.0), (0.0, value)))
    state = torch.tensor([[[[0.0, 0.0], [2.0, 0.0]]]], dtype=torch.float64)
    output, _ = rule(q, k, v, gates(0.5).log(), gates(1.0), state, steps=steps)
    # 2 decays to 1. The memory answers (1, 0) with (0, value) and (0, 1) with (1, 0). Asked q, it says (0, 3 value) =
    # (0, +-4); added to q and scaled that is (.6, +-.8), of which the rectifier lets (.6, .8) or (.6, 0) ask again.
    torch.testing.assert_close(output.flatten(), torch.tensor(answer, dtype=torch.float64), rtol=0, atol=1e-6)


def test_meaning_of_the_extremes() -> None:
    arguments = {name: a.detach() for name, a in draw("gdn", 40).items()}
    zeros, ones = torch.zeros_like(arguments["beta"]), torch.ones_like(arguments["beta"])

    # Nothing is written: the fast weights only fade.
    state = gated_delta(**arguments | {"beta": zeros})[1]
    faded = arguments["log_decay"].sum(-1).exp()[..., None, None] * arguments["state"]
    torch.testing.assert_close(state, faded, rtol=0, atol=1e-12)

    # Everything is forgotten at once: only the token's own write is left to read.
    output = gated_delta(**arguments | {"log_decay": -60 * ones})[0]
    match = (arguments["q"] * arguments["k"]).sum(-1) * arguments["beta"]
    torch.testing.assert_close(output, match[..., None] * arguments["v"], rtol=0, atol=1e-12)

    # Nothing fades and writes are whole: each value replaces the one before it under the same key.
    k = arguments["k"][:, :, :1].expand_as(arguments["k"])
    output = gated_delta(**arguments | {"q": k, "k": k, "beta": ones, "log_decay": zeros})[0]
    torch.testing.assert_close(output, arguments["v"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", ["fast", "reference"])
def test_rules_that_contain_another(form: str) -> None:
    rules = {word: getattr(forms, form) for word, forms in FORMS.items()}
    a = draw("titans", 40)
    q, k, v, log_decay, rate, state = (a[name] for name in ("q", "k", "v", "log_decay", "rate", "state"))
    fast, zeros, ones = state[:, 0], torch.zeros_like(rate), torch.ones_like(rate)

    close(rules["gated"](q, k, v, zeros, ones, fast), rules["linear"](q, k, v, fast))
    close(rules["gdn"](q, k, v, zeros, rate, fast), rules["delta"](q, k, v, rate, fast))
    close(rules["classic"](q, k, v, log_decay, rate, fast, steps=0), rules["gated"](q, k, v, log_decay, rate, fast))

    # Without momentum: a (I - r / a k k^T) S + r / a k (a v)^T = a S + r k (v - S^T k)^T.
    output, both = rules["titans"](q, k, v, log_decay, -200 * ones, rate, state)
    decay = log_decay.exp()
    close((output, both[:, 0]), rules["gdn"](q, k, decay[..., None] * v, log_decay, rate / decay, fast))


def test_neural_memory_descends_the_gradient_of_its_inner_loss() -> None:
    def automatic(q, k, v, log_decay, log_momentum, rate, state):  # type: ignore[no-untyped-def]
        outputs, (fast, momentum) = [], state.unbind(1)
        for t in range(q.shape[2]):
            recalled = torch.einsum("bhkv,bhk->bhv", fast, k[:, :, t])
            loss = (recalled - v[:, :, t]).square().sum() / 2
            (gradient,) = torch.autograd.grad(loss, fast, create_graph=True)
            decay, keep, size = (g[:, :, t, None, None] for g in (log_decay.exp(), log_momentum.exp(), rate))
            momentum = keep * momentum - size * gradient
            fast = decay * fast + momentum
            outputs.append(torch.einsum("bhkv,bhk->bhv", fast, q[:, :, t]))
        return torch.stack(outputs, dim=2), torch.stack((fast, momentum), dim=1)

    arguments = draw("titans", 7)
    rule = FORMS["titans"]
    for form in (rule.fast, rule.reference):
        close(results(form, arguments), results(automatic, arguments), names(rule))


@pytest.mark.parametrize("length", [1, CHUNK, CHUNK + 11, 3 * CHUNK])
@pytest.mark.parametrize("queries", [True, False])
def test_chunks_are_those_of_slices(length: int, *, queries: bool) -> None:
    """Values and gradients bit for bit, and laid out alike: by their layout later products choose how they round."""

    def chunk(*parts: Tensor) -> tuple[Tensor, Tensor]:
        *sequences, state = parts
        assert all(part.shape[2] <= CHUNK for part in sequences)
        after = state + torch.einsum("bhtk,bhtv->bhkv", sequences[1], sequences[2])
        return torch.einsum("bhtk,bhkv->bhtv", sequences[0], after), after.tanh()

    def sliced(*sequences: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs = []
        for start in range(0, length, CHUNK):
            output, state = chunk(*(a[:, :, start : start + CHUNK] for a in sequences), state)
            outputs.append(output)
        return torch.cat(outputs, dim=2), state

    results = []
    for form in (partial(in_chunks, chunk), sliced):
        random = torch.Generator().manual_seed(0)
        q, k, v = (torch.randn(2, 2, length, 4, generator=random).requires_grad_() for _ in range(3))
        state = torch.randn(2, 2, 4, 4, generator=random).requires_grad_()
        outputs, after = form(q if queries else q[:, :, :0], k, v, state=state)
        gradients = torch.autograd.grad(outputs.sum() + after.sum(), (k, v, state))
        results.append((outputs, after, *gradients))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
        assert one.stride() == other.stride()
