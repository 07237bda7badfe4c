"""Small models that several test files share, and how to run one over a sequence; sweeps without processes."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is there: threads of small products wait for each other

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import baselines
from baselines.base import Model, ModelConfig, State
from baselines.chain_of_thought import KINDS
from baselines.hybrid import MIXERS, Hybrid
from benchmark.run.executors import EXECUTORS

WINDOW, VOCABULARY = 6, 7

# Sizes under the names that models give them: a new model is tested without an entry here.
SMALL = {"d_model": 16, "heads": 2, "mlp_ratio": 2, "top_k": 4, "store_tokens": 16, "memory_tokens": 4}
SMALL |= {"probes": 4, "queries_asleep": 4, "thoughts": 3}
BLOCKS = 4
"""Of its own layout a model keeps as many words: enough to loop the middle half."""

OF_A_MODEL = ("gdn", "jet")
"""Update rules that a registered model has; the others are tested in the place of the hybrid's."""

THOUGHTS = [f"{name}/{thought}" for name in ("cot", "cot-asleep") for thought in KINDS[1:]]
"""Models that think, with thoughts of each kind but the first, which is the default."""

Build = Callable[..., Model]


def small_config(name: str) -> ModelConfig:
    """A model of the registry, or the hybrid with another update rule, with small settings."""
    if name in MIXERS and name not in OF_A_MODEL:
        return Hybrid(layout=f"attn {name} attn {name}", d_model=16, heads=2, mlp_ratio=2)
    name, _, thought = name.partition("/")
    kind = baselines.load(name)
    settings: dict[str, Any] = {field.name: SMALL[field.name] for field in fields(kind) if field.name in SMALL}
    settings |= {"thought": thought} if thought else {}
    layout = getattr(kind, "layout", None)
    if isinstance(layout, str):
        settings["layout"] = " ".join(layout.split()[:BLOCKS])
    return kind(**settings)


@pytest.fixture(params=[*baselines.available(), *THOUGHTS, *(word for word in MIXERS if word not in OF_A_MODEL)])
def config(request: pytest.FixtureRequest) -> ModelConfig:
    """Every model there is, plug-ins included, and every update rule in turn, with small settings."""
    return small_config(request.param)


@pytest.fixture(params=[*baselines.available()])
def registered(request: pytest.FixtureRequest) -> ModelConfig:
    """Every model there is, where the update rule makes no difference."""
    return small_config(request.param)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As a worker has it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="module")
def signals() -> Iterator[None]:
    """No module leaves a handler of its own to the next."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = list(map(signal.getsignal, numbers))
    yield
    after = list(map(signal.getsignal, numbers))
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    assert after == before


@pytest.fixture
def workers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands train cells in this process: for tests of what a sweep leaves, as a worker is seconds of imports."""
    monkeypatch.setitem(EXECUTORS, "local", EXECUTORS["serial"])


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands draw no figures: for tests that look at none, as a sweep's figures are seconds."""
    monkeypatch.setattr("benchmark.figures.redraw", lambda frame, folder: ([], []))


@pytest.fixture
def build() -> Build:
    """Make a small model for windows of 6 tokens out of 7 kinds, 4 unless told, with every weight away from 0.

    As built, branches that end in zeros keep gradients and tokens from each other, and much would hold by accident.
    """

    def build(
        config: ModelConfig,
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        noise: float = 0.3,
        window: int = WINDOW,
        windows: int = 4,
    ) -> Model:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = config.build(vocab_size=VOCABULARY, window=window, seq_len=windows * window).to(dtype)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter += noise * torch.randn(parameter.shape, dtype=dtype)
        return model

    return build


def tokens(batch: int = 3, length: int = 4 * WINDOW, seed: int = 0) -> Tensor:
    """Random tokens [B, T]."""
    return torch.randint(VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


def other(inputs: Tensor, at: int) -> Tensor:
    """The same tokens [B, T], with another at one position of every sequence."""
    changed = inputs.clone()
    changed[:, at] = (changed[:, at] + 1) % VOCABULARY
    return changed


def variants(positions: Sequence[int]) -> tuple[Tensor, Tensor]:
    """One sequence again and again, a row per position, and the same with another token there: [P, T] each."""
    inputs = tokens(1).repeat(len(positions), 1)
    return inputs, torch.cat([other(inputs[:1], at) for at in positions])


def live(model: Model, inputs: Tensor, passes: int, window: int = WINDOW) -> tuple[Tensor, State]:
    """Sleep over all windows but the last and predict in that one: logits and the last state."""
    state = model.start(len(inputs))
    *evicted, last = inputs.split(window, dim=1)
    for part in evicted:
        state = model.sleep(part, state, passes)
    return model.wake(last, state)


def same(one: State, two: State) -> bool:
    """Whether two states are equal bit for bit."""
    a, b = one.tensors(), two.tensors()
    return one.windows == two.windows and list(a) == list(b) and all(torch.equal(a[path], b[path]) for path in a)


def differ(one: State, two: State) -> list[bool]:
    """Of each sequence of a batch, whether anything in two states of equal shapes differs."""
    pairs = zip(one.tensors().values(), two.tensors().values(), strict=True)
    apart = [(a != b).flatten(1).any(dim=1) for a, b in pairs if a.numel()]
    return torch.stack(apart).any(dim=0).tolist() if apart else []


def remembers(model: Model) -> bool:
    """Whether anything at all survives a window."""
    return bool(model.sleep(tokens()[:, :WINDOW], model.start(3), 1).tensors())


def held(value: object) -> int:
    """Bytes of memory that tensors occupy, wherever they hide in a value; parameters aside."""
    if isinstance(value, Tensor):
        return 0 if isinstance(value, nn.Parameter) else value.untyped_storage().nbytes()
    if isinstance(value, dict):
        return sum(map(held, value.values()))
    if isinstance(value, list | tuple | set):
        return sum(map(held, value))
    return held(vars(value)) if is_dataclass(value) and not isinstance(value, type) else 0
