"""The contract between a model and everything that trains, measures or audits it.

A model is built from a frozen config by `build(vocab_size, window, seq_len)`. What it remembers of a window is in the
`State` that goes in and comes out of every call: modules hold parameters and nothing else, so evicting is dropping.

A model may ask for two keywords more, and is given them only if it does. With `reports` it takes `report=`, a
`baselines.report.Report` or None, in `sleep` and `wake`, and adds losses and measures of its own to it, or answers in
several ways over which the loss is expected. With `uses_notes` it takes `notes=`: tokens [B, M] of the window by the
kind of note, such as "workings", or None. Notes are what a teacher writes beside a text (`tasks.base.Task.notes`); they
are given in training, and no score is with them.

Shapes: B batch, T sequence, L window, P prediction window, V vocabulary, H heads, K/V key/value size, D width,
N passes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, Self, TypeAlias

import torch
from torch import Tensor, nn

from baselines.report import Report
from baselines.tables import maps

Notes: TypeAlias = Mapping[str, Tensor]
"""Tokens [B, M] that a teacher gives with a window, by kind."""


@dataclass(frozen=True, kw_only=True)
class State:
    """All that survives a window. A model of another kind may subclass it and add fields; `tensors` finds them.

    `evicted` drops `cache` alone: under hard eviction any other field is a road. Every field has a default, or `start`
    makes it; tensors of whole numbers are as good as others.

    Attributes:
        fast_weights: One tensor per fast-weight block, the batch first, in the order of the blocks: a matrix per head
            [B, H, K, V], or what its rule needs beside it.
        cache: Keys and values that were not evicted, one tensor [B, 2, H, C, D / H] per attention block; empty under
            hard eviction.
        windows: How many windows have been read; the same for the whole batch.
    """

    fast_weights: tuple[Tensor, ...] = ()
    cache: tuple[Tensor, ...] = ()
    windows: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by its path, such as "fast_weights[0]"."""
        return dict(_tensors(self))

    def map(self, change: Any) -> Self:
        """The same state with `change(tensor)` in the place of every tensor."""
        changed: Self = _mapped(self, change)
        return changed

    def detach(self) -> Self:
        """The same values, cut from the autograd graph."""
        return self.map(torch.Tensor.detach)

    def evicted(self) -> Self:
        """What is left when all keys and values go: hard eviction, whatever the model's own is."""
        return replace(self, cache=())


def _tensors(value: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Tensors in nested dataclasses, tuples, lists and dicts, with their paths."""
    if isinstance(value, Tensor):
        yield path, value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name), f"{path}.{field.name}".lstrip("."))
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _tensors(part, f"{path}[{key!r}]")
    elif isinstance(value, tuple | list):
        for number, part in enumerate(value):
            yield from _tensors(part, f"{path}[{number}]")


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _mapped(getattr(value, f.name), change) for f in fields(value)})
    if isinstance(value, dict):
        return {key: _mapped(part, change) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_mapped(part, change) for part in value)
    return value


class Model(nn.Module, ABC):
    """A language model that reads windows, sleeps before each is evicted, and predicts without sleeping again.

    A prediction is a single pass, unless `wake_passes` says otherwise.

    Attributes:
        reports: Whether `sleep` and `wake` take `report=`.
        uses_notes: The kinds of notes that `sleep` and `wake` take by `notes=`; empty: they do not take the keyword.
    """

    reports: ClassVar[bool] = False
    uses_notes: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def start(self, batch: int) -> State:
        """The state before the first window, for `batch` sequences."""

    @abstractmethod
    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Consolidate one window into the state, then evict it.

        Args:
            tokens: The window [B, L].
            state: What survived the windows before.
            passes: N >= 1, how often the network is run over the window; it may differ from the N of training.
        """

    @abstractmethod
    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict over tokens [B, P]: logits [B, P, V] and the new state, by `wake_passes` passes, whatever N was.

        A prediction is causal: the logits at position p depend on `state` and on the tokens up to p alone, bit for bit,
        however many passes it takes. In training the tokens after p hold the answers that are asked at p.
        """

    @property
    def wake_passes(self) -> int:
        """How often a prediction runs the network, in sequence; above the constraint, 1, a model says so here."""
        return 1

    def keywords(self, report: Report | None, notes: Notes | None) -> dict[str, Any]:
        """Of the two keywords those that `sleep` and `wake` take, where there is anything to give."""
        keywords: dict[str, Any] = {}
        if self.reports and report is not None:
            keywords["report"] = report
        if self.uses_notes and notes:
            keywords["notes"] = {kind: tokens for kind, tokens in notes.items() if kind in self.uses_notes}
        return keywords

    def matrices(self) -> list[Tensor]:
        """Weights of the linear maps between features, which Muon trains; AdamW trains every other parameter.

        The default takes the weight of every `nn.Linear`, and of what maps features like one, each once, but no table
        that is looked up by token: orthogonalised updates make no sense for those. `baselines.tables` knows them.
        """
        return maps(self)

    def memory(self) -> list[nn.Parameter]:
        """Parameters of the fast-weight layers, which the first of two training stages trains alone; here none."""
        return []

    def state_bytes(self, state: State) -> int:
        """Bytes that `state` occupies for one sequence: of every tensor in it, whatever field it is in."""
        return sum(t.element_size() * t[0].numel() for t in state.tensors().values())


@dataclass(frozen=True, kw_only=True)
class ModelConfig(ABC):
    """A model's settings: a frozen dataclass that can build the model. Subclasses set `name` and `version`.

    Raise the version when the same settings and seed no longer give the same numbers.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    @property
    def revision(self) -> int:
        """The version of these settings' numbers: `version`, unless only some settings have changed theirs since."""
        return self.version

    @abstractmethod
    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """The model with freshly drawn parameters (from torch's global generator, which the caller seeds)."""


def check_passes(passes: int) -> None:
    """Refuse a number of sleep passes below one."""
    if passes < 1:
        raise ValueError(f"sleep passes N = {passes}: at least 1 is needed (N = 1 is the plain hybrid)")
