"""The contract between a model and everything that trains, measures or audits it.

A model is built from a frozen config by `build(vocab_size, window, seq_len)`. What it remembers of a window is in the
`State` that goes in and comes out of every call: modules hold parameters and nothing else, so evicting is dropping.

Shapes: B batch, T sequence, L window, P prediction window, V vocabulary, H heads, K/V key/value size, D width,
N passes.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """All that survives a window.

    Attributes:
        fast_weights: One matrix state [B, H, K, V] per fast-weight block, in the order of the blocks.
        windows: How many windows have been read; the same for the whole batch.
    """

    fast_weights: tuple[Tensor, ...]
    windows: int = 0

    def detach(self) -> "State":
        """The same values, cut from the autograd graph."""
        return replace(self, fast_weights=tuple(s.detach() for s in self.fast_weights))


class Model(nn.Module, ABC):
    """A language model that reads windows, sleeps before each is evicted, and predicts in a single pass."""

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
        """Predict: one ordinary forward pass over tokens [B, P], whatever N was; logits [B, P, V] and the new state."""

    def matrices(self) -> list[Tensor]:
        """Weights of the linear maps between features, which Muon trains; AdamW trains every other parameter.

        The default takes every `nn.Linear` but the output layer, called `head`. Embeddings and the head are tables
        looked up by token and convolution taps are no matrices at all: orthogonalised updates make no sense for them.
        """
        return [m.weight for name, m in self.named_modules() if isinstance(m, nn.Linear) and name != "head"]

    def state_bytes(self, state: State) -> int:
        """Bytes that `state` occupies for one sequence."""
        return sum(s.element_size() * s[0].numel() for s in state.fast_weights)


@dataclass(frozen=True, kw_only=True)
class ModelConfig(ABC):
    """A model's settings: a frozen dataclass that can build the model. Subclasses set `name` and `version`.

    Raise the version when the same settings and seed no longer give the same numbers.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    @abstractmethod
    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """The model with freshly drawn parameters (from torch's global generator, which the caller seeds)."""


def check_passes(passes: int) -> None:
    """Refuse a number of sleep passes below one."""
    if passes < 1:
        raise ValueError(f"sleep passes N = {passes}: at least 1 is needed (N = 1 is the plain hybrid)")
