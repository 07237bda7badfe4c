"""Attention blocks alone, with a table and a head: what networks stand on that remember by another road than S."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from baselines.base import ModelConfig, State
from baselines.hybrid import Hybrid
from baselines.sleeper import Sleeper


@dataclass(frozen=True, kw_only=True)
class MemoryState(State):
    """A state that holds vectors."""

    memory: Tensor | None = None
    """[B, M, D]"""

    @property
    def vectors(self) -> Tensor:
        """The memory, where a model has one."""
        assert self.memory is not None
        return self.memory


@dataclass(frozen=True, kw_only=True)
class AttentionStack(ModelConfig):
    """Settings of a network of attention blocks; they are the hybrid's.

    Attributes:
        blocks: Attention blocks.
        d_model: Width D.
        heads: Heads of every mixer; must divide `d_model`.
        mlp_ratio: Hidden width of the MLP over D, rounded to whole units.
        window_embedding: Add a learned embedding of the window's index to its tokens.
    """

    version: ClassVar[int] = 1
    network: ClassVar[type["StackNetwork"]]
    """What it builds."""
    kept: ClassVar[str] = "hard"
    """The eviction of its attention."""

    blocks: int = 4
    d_model: int = 256
    heads: int = 4
    mlp_ratio: float = 4
    window_embedding: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        if self.blocks < 1:
            raise ValueError(f"blocks = {self.blocks}: at least 1 is needed")
        object.__setattr__(self, "mlp_ratio", self.body.mlp_ratio)  # 2.0 and 2 are one setting and must give one id

    @property
    def body(self) -> Hybrid:
        """The hybrid whose blocks, tables and head it has."""
        return Hybrid(
            layout=" ".join(["attn"] * self.blocks),
            d_model=self.d_model,
            heads=self.heads,
            mlp_ratio=self.mlp_ratio,
            window_embedding=self.window_embedding,
            eviction=self.kept,
        )

    @property
    def numbers(self) -> int:
        """The numbers of a hybrid's fast weights: D / heads squared for each head of every other block."""
        return max(1, self.blocks // 2) * self.d_model * (self.d_model // self.heads)

    def count(self, windows: int) -> int:
        """Vectors that the network learns beside its blocks, where `windows` windows are slept on."""
        raise NotImplementedError

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> "StackNetwork":
        """The model for sequences of `seq_len` tokens read in windows of `window`."""
        windows = -(-seq_len // window)
        network = self.network(self.body, vocab_size=vocab_size, window=window, windows=windows)
        network.begin(self, self.count(max(1, windows - 1)))
        return network


class StackNetwork(Sleeper):
    """The blocks, and what `begin` adds to them."""

    def begin(self, settings: AttentionStack, count: int) -> None:
        """Draw `count` vectors, on the scale of the embeddings of tokens, as `first` [count, D]."""
        self.first = torch.nn.Parameter(torch.randn(count, settings.d_model))

    def features(self, *parts: Tensor) -> Tensor:
        """One pass of the blocks over parts [B, T, D] in a row: features of all but the first part."""
        h = torch.cat(parts, dim=1)
        for block in self.stack:
            h, _ = block(h, None)
        return h[:, parts[0].shape[1] :]

    def read(self, state: State) -> State:
        """The state after one more window."""
        return replace(state, windows=state.windows + 1)
