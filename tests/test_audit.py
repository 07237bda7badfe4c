"""The eviction audit: what every model declares, and a zoo of models that hide evicted tokens somewhere else."""

import json
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import pytest
import torch
from harness import bench
from torch import Tensor, nn

import baselines
from baselines.base import Model, ModelConfig, State
from baselines.fusion import FiD
from benchmark.cli.audit import window_ranges
from benchmark.measure.audit import audit
from benchmark.measure.audit.findings import Audit
from benchmark.measure.audit.holdings import World, changed_names
from benchmark.measure.audit.tracing import equal

SIZES: dict[str, Any] = {"layout": "attn gdn attn gdn", "d_model": 8, "heads": 2, "mlp_ratio": 1}
ALL = (1, 2, 3)


def audited(config: ModelConfig, passes: tuple[int, ...] = (1,)) -> Audit:
    return audit(config, window=4, windows=3, passes=passes, seeds=1)


def small(name: str, **settings: Any) -> ModelConfig:
    return baselines.load(name)(**SIZES | settings)


def carried(found: Audit, passes: int = 1) -> dict[str, tuple[int, ...]]:
    return {road.path: road.reaches for road in found.roads if road.passes == passes}


# --- honest models ---


@pytest.mark.parametrize("passes", [1, 2])
def test_every_model_passes(config: ModelConfig, passes: int) -> None:
    found = audited(config, (passes,))
    assert found.passed, found.leaks
    assert not found.notes
    if isinstance(config, FiD):  # nothing is embedded before a question is there: its gradients are asked elsewhere
        assert found.reaches == {passes: (1, 2, 3)}
        return
    # Two witnesses that share nothing but the network: changed tokens, and gradients.
    assert found.gradient == found.reaches


@pytest.mark.parametrize(
    ("name", "layout", "expected"),
    [
        ("transformer", "attn attn", {}),
        ("full-cache", "attn attn", {"cache[0]": ALL, "cache[1]": ALL}),
        ("hybrid", "attn gdn", {"fast_weights[0]": ALL}),
        ("ssm", "gdn gdn", {"fast_weights[0]": ALL, "fast_weights[1]": ALL}),
        # Keys and values of the first block are made of the kept tokens alone, all of the last window; those of
        # the second, of features that have attended to what the first had kept of the window before.
        ("sliding", "attn", {"cache[0]": (3,)}),
        ("sliding", "attn attn", {"cache[0]": (3,), "cache[1]": (2, 3)}),
        ("sliding", "attn gdn", {"cache[0]": (3,), "fast_weights[0]": ALL}),
    ],
)
def test_the_tensors_that_carry(name: str, layout: str, expected: dict[str, tuple[int, ...]]) -> None:
    found = audited(small(name, layout=layout))
    assert found.passed
    assert carried(found) == expected
    assert found.reaches == {1: tuple(sorted({w for windows in expected.values() for w in windows}))}


def test_a_second_pass_attends_to_what_the_first_kept_of_earlier_windows() -> None:
    found = audited(small("sliding", layout="attn"), (1, 2))
    assert carried(found, 1) == {"cache[0]": (3,)}
    assert carried(found, 2) == {"cache[0]": ALL}


@pytest.mark.parametrize(
    ("name", "bytes_after", "growth"),
    [
        ("transformer", (0, 0, 0, 0), 0),
        ("ssm", (256,) * 4, 0),  # 2 heads of 4 x 4 doubles
        ("sliding", (0, 384, 384, 384), 0),  # keys and values of 3 tokens of 8 doubles
        ("full-cache", (0, 512, 1024, 1536), 128),
    ],
)
def test_bytes_after_every_window(name: str, bytes_after: tuple[int, ...], growth: float) -> None:
    found = audited(small(name, layout="gdn" if name == "ssm" else "attn"))
    assert found.state_bytes == bytes_after
    assert found.growth == growth
    assert sum(road.state_bytes for road in found.roads) == bytes_after[-1]


def test_a_loop_at_prediction_time_is_told() -> None:
    found = audited(small("hybrid", layout="gdn", wake_passes=3))
    assert found.passed
    assert found.wake_passes == 3


# --- a model in a few lines, and what it hides where ---


class Plain(Model):
    """Keeps the mean of its features [B, D] as its only fast weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.body, self.head = nn.Embedding(11, 4), nn.Linear(4, 4), nn.Linear(4, 11)

    def start(self, batch: int) -> State:
        return State(fast_weights=(self.body.weight.new_zeros(batch, 4),))

    def features(self, tokens: Tensor, memory: Tensor) -> Tensor:
        return torch.tanh(self.body(self.embedding(tokens)) + memory[:, None])

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        self.hide(tokens)
        return State(fast_weights=(self.features(tokens, state.fast_weights[0]).mean(1),), windows=state.windows + 1)

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        return self.head(self.features(tokens, state.fast_weights[0]) + self.found(len(tokens))), state

    def hide(self, tokens: Tensor) -> None: ...

    def found(self, batch: int) -> Tensor | float:
        return 0.0


def shadow(tokens: Tensor) -> Tensor:
    """Something of the tokens that their order matters to [B, 1, 1]."""
    return (tokens * torch.arange(1, tokens.shape[1] + 1)).sum(1).double()[:, None, None]


@dataclass(frozen=True, kw_only=True)
class Planted(ModelConfig):
    name: ClassVar[str] = "planted"
    version: ClassVar[int] = 1

    kind: type[Model]

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        return self.kind()


def named_leaks(found: Audit) -> list[str]:
    """Paths of leaks; what sums over the batch leaks between sequences as well, which has a test of its own."""
    return [leak.path for leak in found.leaks if "of the batch" not in leak.reason]


class Attribute(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.last: Tensor | None = None

    def hide(self, tokens: Tensor) -> None:
        self.last = shadow(tokens)

    def found(self, batch: int) -> Tensor | float:
        return 0.0 if self.last is None else self.last


class Buffer(Plain):
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(3, 1, 1))

    def hide(self, tokens: Tensor) -> None:
        if len(tokens) == 3:
            self.seen += shadow(tokens)

    def found(self, batch: int) -> Tensor | float:
        return self.seen


class Parameter(Plain):
    def hide(self, tokens: Tensor) -> None:
        with torch.no_grad():
            self.head.bias += 1e-3 * shadow(tokens).mean()


class Notebook(nn.Linear):
    """A submodule with a list of tokens."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.pages: list[list[int]] = []


class TokensInSubmodule(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.body = Notebook()

    def hide(self, tokens: Tensor) -> None:
        self.body.pages.extend(tokens.tolist())

    def found(self, batch: int) -> Tensor | float:
        return float(sum(map(sum, self.body.pages)))


class FirstOnly(Plain):
    """A dict keyed by the number of the call, of which only what came first is read."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[int, Tensor] = {}

    def hide(self, tokens: Tensor) -> None:
        self.calls[len(self.calls)] = shadow(tokens)

    def found(self, batch: int) -> Tensor | float:
        return self.calls[0] if self.calls else 0.0


class OnTheClass(Plain):
    last: ClassVar[Tensor | float] = 0.0

    def hide(self, tokens: Tensor) -> None:
        OnTheClass.last = shadow(tokens)

    def found(self, batch: int) -> Tensor | float:
        return OnTheClass.last


GLOBAL: list[Tensor] = []


class InTheFile(Plain):
    def hide(self, tokens: Tensor) -> None:
        if not GLOBAL:  # what came first stays: seen only from a world that was put back
            GLOBAL.append(shadow(tokens))

    def found(self, batch: int) -> Tensor | float:
        return GLOBAL[0] if GLOBAL else 0.0


def remembering() -> tuple[Callable[[Tensor], None], Callable[[], Tensor | float]]:
    kept: Tensor | float = 0.0

    def put(tokens: Tensor) -> None:
        nonlocal kept
        kept = shadow(tokens)

    return put, lambda: kept


class InAClosure(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.put, self.get = remembering()

    def hide(self, tokens: Tensor) -> None:
        self.put(tokens)

    def found(self, batch: int) -> Tensor | float:
        return self.get()


PENDING: list[Tensor | float] = [0.0]


@lru_cache
def first_seen(batch: int) -> Tensor | float:
    return PENDING[0]


class InACache(Plain):
    """A cached function: what it gave first it gives ever after."""

    def hide(self, tokens: Tensor) -> None:
        PENDING[0] = shadow(tokens)
        first_seen(len(tokens))
        PENDING[0] = 0.0

    def found(self, batch: int) -> Tensor | float:
        return first_seen(batch)


class Slotted:
    __slots__ = ("page",)

    def __init__(self) -> None:
        self.page: Tensor | float = 0.0


class InAnObject(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.desk = {"drawer": (Slotted(),)}

    def hide(self, tokens: Tensor) -> None:
        self.desk["drawer"][0].page = shadow(tokens)

    def found(self, batch: int) -> Tensor | float:
        return self.desk["drawer"][0].page


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (Attribute, "last (attribute)"),
        (Buffer, "seen (buffer)"),
        (Parameter, "head.bias (parameter)"),
        (TokensInSubmodule, "body.pages (attribute)"),
        (FirstOnly, "calls (attribute)"),
        (OnTheClass, "OnTheClass.last (class attribute)"),
        (InTheFile, "test_audit.GLOBAL (module global)"),
        (InAClosure, "put.put.kept (closure variable)"),
        (InACache, "test_audit.first_seen (functools cache)"),
        (InAnObject, "desk.page (attribute)"),
    ],
)
def test_what_is_held_outside_the_state_is_named(kind: type[Model], path: str) -> None:
    found = audited(Planted(kind=kind))
    assert named_leaks(found) == [path]
    assert not audited(Planted(kind=Plain)).leaks  # and nothing of it is left behind


class Elsewhere(Plain):
    def hide(self, tokens: Tensor) -> None:
        os.environ["SLEEPBENCH_TEST"] = str(float(shadow(tokens).sum()))

    def found(self, batch: int) -> Tensor | float:
        return float(os.environ.get("SLEEPBENCH_TEST", "0"))


def test_a_road_that_cannot_be_found_fails_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLEEPBENCH_TEST", "0")
    found = audited(Planted(kind=Elsewhere))
    assert named_leaks(found) == ["a road outside its modules and its state"]


class Diary(Attribute):
    """Holds tokens that no answer hears of."""

    def found(self, batch: int) -> Tensor | float:
        return 0.0


def test_what_is_held_and_never_read_is_a_note() -> None:
    found = audited(Planted(kind=Diary))
    assert found.passed
    (note,) = found.notes
    assert "last (attribute)" in note


class Forgetful(Plain):
    """Carries the window before into the next sleep in an attribute, which a new sequence and a prediction clear."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Tensor | float = 0.0

    def start(self, batch: int) -> State:
        self.before = 0.0
        return super().start(batch)

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        slept = super().sleep(tokens, state, passes)
        kept = slept.fast_weights[0] + torch.as_tensor(self.before).reshape(-1, 1)
        self.before = shadow(tokens)
        return State(fast_weights=(kept,), windows=slept.windows)


def test_a_road_between_two_sleeps_is_found() -> None:
    (leak,) = audited(Planted(kind=Forgetful)).leaks
    assert leak.path == "before (attribute)"
    assert "earlier call" in leak.reason


# --- the state itself ---


@dataclass(frozen=True, kw_only=True)
class Extended(State):
    extra: Tensor | None = None
    tokens: tuple[int, ...] = ()
    shelf: dict[str, Any] = field(default_factory=dict)


class Extends(Plain):
    """Keeps what `more` gives in fields of its own state."""

    def start(self, batch: int) -> State:
        return Extended(fast_weights=super().start(batch).fast_weights, **self.more(torch.zeros(batch, 4)))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        return Extended(fast_weights=super().sleep(tokens, state, passes).fast_weights, **self.more(tokens))

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        logits, _ = super().wake(tokens, state)
        return logits + self.read(state), state

    def more(self, tokens: Tensor) -> dict[str, Any]:
        return {"extra": shadow(tokens)[:, 0]}

    def read(self, state: Any) -> Any:
        return state.extra[..., None]


def test_a_state_with_a_declared_field_of_its_own_passes() -> None:
    found = audited(Planted(kind=Extends))
    assert found.passed, found.leaks
    assert carried(found) == {"fast_weights[0]": ALL, "extra": ALL[2:]}
    assert found.state_bytes == (40,) * 4  # 4 + 1 doubles


class Uncounted(Extends):
    def state_bytes(self, state: State) -> int:
        return 32


class HalfCounted(Extends):
    def state_bytes(self, state: State) -> int:
        return sum(t[0].numel() * t.element_size() for t in state.fast_weights)


class InDict(Extends):
    """A tensor in an object that the walk of the contract does not enter."""

    def more(self, tokens: Tensor) -> dict[str, Any]:
        return {"shelf": {"deep": {Held(shadow(tokens))}}}

    def read(self, state: Any) -> Any:
        (held,) = state.shelf["deep"]
        return held.page


@dataclass(frozen=True, eq=False)
class Held:
    page: Tensor


class Integers(Extends):
    def more(self, tokens: Tensor) -> dict[str, Any]:
        return {"tokens": tuple(tokens.flatten().tolist())}

    def read(self, state: Any) -> Any:
        return float(sum(t * i for i, t in enumerate(state.tokens)))


class OnATensor(Extends):
    """The declared tensor carries another one as an attribute."""

    def more(self, tokens: Tensor) -> dict[str, Any]:
        extra = torch.zeros(len(tokens), 1, dtype=torch.float64)
        extra.hidden = shadow(tokens)  # type: ignore[attr-defined]
        return {"extra": extra}

    def read(self, state: Any) -> Any:
        return getattr(state.extra, "hidden", 0.0)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (Uncounted, "extra"),
        (HalfCounted, "extra"),
        (InDict, "shelf.page"),
        (Integers, "tokens"),
        (OnATensor, "extra.hidden"),
    ],
)
def test_undeclared_fields_are_named(kind: type[Model], path: str) -> None:
    found = audited(Planted(kind=kind))
    assert named_leaks(found) == [path]
    if kind in (Uncounted, HalfCounted):
        (note,) = found.notes
        assert note == "the state holds 40 bytes a sequence and declares 32; not counted: extra"


class InPlace(Plain):
    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        state.fast_weights[0].add_(self.features(tokens, state.fast_weights[0]).mean(1))
        return state


def test_a_state_that_is_written_in_place_is_named() -> None:
    found = audited(Planted(kind=InPlace))
    assert "fast_weights[0]" in [leak.path for leak in found.leaks]


# --- the batch ---


class Mixer(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x)
        return y - y.mean(0)


class BatchNorm(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.body = Mixer(4, 4)


class OnlyAwake(Plain):
    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        logits, state = super().wake(tokens, state)
        return logits - logits.mean(0), state


@pytest.mark.parametrize(
    ("kind", "path", "where"),
    [(BatchNorm, "body", "fast_weights[0], the answer"), (OnlyAwake, "the answer", "the answer")],
)
def test_one_sequence_that_reaches_another_is_named(kind: type[Model], path: str, where: str) -> None:
    (leak,) = audited(Planted(kind=kind)).leaks
    assert leak.path == path
    assert leak.reason == f"one sequence reaches another of the batch, in {where}"


# --- without gradients, and the second witness ---


class NoEmbedding(Plain):
    def features(self, tokens: Tensor, memory: Tensor) -> Tensor:
        return torch.tanh(self.embedding.weight[tokens] + memory[:, None])


def test_without_an_embedding_the_gradient_is_not_asked() -> None:
    found = audited(Planted(kind=NoEmbedding))
    assert found.passed
    assert found.gradient == "not asked: no nn.Embedding runs in a sleep, nor over evicted tokens awake"


@dataclass(frozen=True, kw_only=True)
class Passages(State):
    """Windows as they were read."""

    passages: tuple[Tensor, ...] = ()


class Reader(Plain):
    """Keeps the tokens of the last two windows as they are, and embeds them when it is asked."""

    hears = 2

    def start(self, batch: int) -> State:
        return Passages()

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        assert isinstance(state, Passages)
        return Passages(passages=(*state.passages, tokens)[-2:])

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        assert isinstance(state, Passages)
        read = self.embedding(torch.cat((tokens, *state.passages), dim=1))
        question, passages = read.split([tokens.shape[1], read.shape[1] - tokens.shape[1]], dim=1)
        if self.hears == 1:
            passages = passages.detach()
        logits: Tensor = self.head(torch.tanh(self.body(question) + passages.mean(1, keepdim=True)))
        return logits, state


class ReaderWithoutGradient(Reader):
    hears = 1


@pytest.mark.parametrize(("kind", "felt"), [(Reader, (2, 3)), (ReaderWithoutGradient, ())])
def test_tokens_embedded_awake_have_their_windows(kind: type[Model], felt: tuple[int, ...]) -> None:
    """A passage and the question share one call of the embedding; only the passage's places are of evicted windows."""
    found = audited(Planted(kind=kind))
    assert found.passed, found.leaks
    assert found.reaches == {1: (2, 3)}
    assert found.gradient == {1: felt}


# --- numbers that are none ---


class Overflowing(Plain):
    """Grows without bound over windows."""

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        (memory,) = super().sleep(tokens, state, passes).fast_weights
        return State(fast_weights=(memory.abs().mul(1e200) * (1 + state.fast_weights[0].abs()),), windows=1)


class NotANumber(Plain):
    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        logits, state = super().wake(tokens, state)
        return logits.log(), state


class RulesOut(Plain):
    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        logits, state = super().wake(tokens, state)
        return torch.cat((torch.full_like(logits[..., :1], -torch.inf), logits[..., 1:]), dim=-1), state


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        (Overflowing, ["fast_weights[0] after window 2 at N = 1"]),
        (NotANumber, ["the answer at N = 1"]),
        (RulesOut, []),
    ],
)
def test_numbers_that_are_none_are_a_finding_of_their_own(kind: type[Model], places: list[str]) -> None:
    found = audited(Planted(kind=kind))
    assert (found.not_finite, found.passed) == (places, not places)
    assert not found.leaks


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ([torch.nan, 1], [torch.nan, 1], True),
        ([torch.nan, 1], [0.0, 1], False),
        ([torch.inf, 1], [torch.finfo(torch.float32).max, 1], False),
        ([torch.inf, 1], [torch.inf, 1], True),
    ],
)
def test_what_is_no_number_equals_no_number(one: list[float], other: list[float], alike: bool) -> None:
    assert equal(torch.tensor(one), torch.tensor(other)) is alike


def test_an_overflow_ends_the_command_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "load", lambda name: lambda: Planted(kind=Overflowing))
    done = bench("audit", "planted", "--window", "4", "--windows", "2", "--sleep-passes", "1")
    assert done.code == 1
    assert done.out.startswith("planted OVERFLOWS")
    assert "fast_weights[0] after window 2 at N = 1" in done.out


# --- the world around a model ---


def test_the_world_is_put_back() -> None:
    model = InAClosure()
    model.cache = {"a": [1]}  # type: ignore[assignment]
    world = World(model)
    before = world.fingerprints()
    model.put(torch.ones(1, 2))
    model.cache["a"].append(2)  # type: ignore[operator,index]
    GLOBAL.append(torch.zeros(1))
    OnTheClass.last = 3.0
    model.body.weight.data += 1
    changed = {"cache (attribute)", "put.put.kept (closure variable)", "body.weight (parameter)"}
    changed |= {"test_audit.GLOBAL (module global)", "OnTheClass.last (class attribute)"}
    assert set(changed_names(before, world.fingerprints())) == changed
    world.rewind()
    assert world.fingerprints() == before
    assert not GLOBAL


# --- the command ---

SET = [a for name, value in SIZES.items() for a in ("--set", f"{name}={value}")]
QUICK = ["--window", "4", "--windows", "3", *SET]


class Makers(OrderedDict[str, Any]):
    """As transformers keeps its activations: classes are stored, what is read is an object made of one."""

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name)()


class Recent(list[int]):
    """A list that refuses what a plain one takes."""

    def extend(self, _: Any) -> None:
        raise TypeError("one at a time")


class WithContainers(Plain):
    makers, recent = Makers(relu=nn.ReLU, tanh=nn.Tanh), Recent([1, 2])

    def hide(self, tokens: Tensor) -> None:
        self.recent.append(int(tokens[0, 0]))
        self.makers["tanh"](torch.zeros(1))


def test_containers_of_classes_of_their_own_survive() -> None:
    WithContainers.makers.move_to_end("relu")
    found = audited(Planted(kind=WithContainers))
    assert found.passed, found.leaks
    assert [note.partition(";")[0] for note in found.notes] == [
        "evicted tokens change WithContainers.recent (class attribute)"
    ]
    assert list(WithContainers.makers.items()) == [("tanh", nn.Tanh), ("relu", nn.ReLU)]
    assert WithContainers.recent == [1, 2]


class SingleState(Plain):
    """Its state is of single precision whatever its weights are, and its layers take no other."""

    def start(self, batch: int) -> State:
        return State(fast_weights=(torch.zeros(batch, 4),))

    def features(self, tokens: Tensor, memory: Tensor) -> Tensor:
        return super().features(tokens, self.body(memory))


def test_a_state_of_single_precision_is_audited_in_it() -> None:
    found = audited(Planted(kind=SingleState))
    assert found.passed, found.leaks
    assert found.notes == ["asked in single precision: the model does not run in double"]
    assert found.state_bytes == (16, 16, 16, 16)


def test_the_command_says_what_was_found() -> None:
    done = bench("audit", "sliding", "--sleep-passes", "1", *QUICK, "--set", "layout=attn")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("sliding passes")
    (row,) = [line.replace("│", " ").split() for line in lines if "cache[0]" in line]
    assert row == ["cache[0]", "1", "384", "3", "3"]
    assert "state: 0 → 384 → 384 → 384 bytes a sequence, bounded" in lines
    assert "prediction runs the network once" in lines


def test_the_command_as_json() -> None:
    done = bench("audit", "full-cache", "--json", *QUICK, "--set", "layout=attn")
    found = json.loads(done.out)
    assert found["passes"]
    assert found["growth_bytes_per_token"] == 128
    assert {road["passes"] for road in found["roads"]} == {1, 2}
    assert found["leaks"] == []


def test_a_leak_ends_the_command_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "load", lambda name: lambda: Planted(kind=Attribute))
    done = bench("audit", "planted", "--window", "4", "--windows", "2", "--sleep-passes", "1")
    assert done.code == 1
    assert done.out.startswith("planted LEAKS")
    assert "last (attribute)" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hybird"], "did you mean 'hybrid'"),
        (["hybrid", "--set", "widht=4"], "unknown setting 'widht'"),
        (["hybrid", "--windows", "0"], "windows must be a whole number >= 1; given 0"),
        (["baselines.hybrid:Hybrid", "--windows", "0"], "bench: windows must be a whole number >= 1; given 0"),
        (["hybrid", "--sleep-passes", "0"], "sleep passes N must be a whole number >= 1; given 0"),
        (["sliding", "--window", "1"], "keeps none"),
    ],
)
def test_bad_input_is_refused(arguments: list[str], message: str) -> None:
    done = bench("audit", *arguments)
    assert done.code == 2
    assert message in done.err
    assert not done.out


@pytest.mark.parametrize(
    ("windows", "text"), [((), "none"), ((3,), "3"), ((1, 2), "1, 2"), ((1, 2, 3), "1-3"), ((1, 2, 4), "1, 2, 4")]
)
def test_windows_as_text(windows: tuple[int, ...], text: str) -> None:
    assert window_ranges(windows) == text
