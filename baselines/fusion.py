"""Fusion-in-decoder, and what becomes of it asleep: windows are encoded one by one, answers attend to all of them.

Encoder and decoder are attention blocks; every block of the decoder is followed by attention over the encoded windows.
Positions count within a window and none is counted across windows, so that their order is told by the embedding of a
window's index alone, which stands for the title of a passage.

- `fid`, fusion-in-decoder (Izacard, Grave 2020, arXiv 2007.01282): the state is the text of the last windows. A
  prediction encodes each of them together with the question, and attends to all encodings. Nothing is run asleep, so
  that N has no meaning; the encoder's work falls to the prediction, which breaks the latency constraint by its FLOPs,
  though it runs the network once. The question is the first token of the prediction alone: those after it may stand
  behind an answer that would hear of them. Differs from the published form: one retriever less, as all kept windows are
  read, and the encoder is causal, as every block of this project is.
- `fid-asleep`: windows are encoded asleep, without a question that is not known yet, in N passes; the state is the
  encodings, D numbers a token, and a prediction only attends to them.
- `anticipated`: Q learned queries, which stand for questions that are yet to come, attend to the window asleep, N
  times, each time from the answers before; the state is those answers, Q D numbers a window. In the manner of
  sleep-time compute (Lin et al. 2025, arXiv 2504.13171), which anticipates questions as text and, unlike this, still
  shows the context to who answers: here it is evicted.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.attention_stack import AttentionStack, MemoryState, StackNetwork
from baselines.base import State, check_passes
from baselines.layers import linear, split_heads


@dataclass(frozen=True, kw_only=True)
class Passages(State):
    """A state that holds text."""

    passages: Tensor | None = None
    """Token ids [B, W, L], the oldest window first."""
    first: int = 0
    """The number of the oldest."""


class CrossAttention(nn.Module):
    """Attention of features over encodings that have no positions, added to the features; over none it adds nothing."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_norm, self.memory_norm = nn.RMSNorm(d_model), nn.RMSNorm(d_model)
        self.query, self.keys_values = linear(d_model, d_model), linear(d_model, 2 * d_model)
        self.out = linear(d_model, d_model, zero=True)

    def forward(self, h: Tensor, memory: Tensor) -> Tensor:
        """Features [B, T, D] after they have attended to encodings [B, M, D]."""
        if not memory.shape[1]:
            return h
        (q,) = split_heads(self.query(self.query_norm(h)), self.heads, parts=1)
        k, v = split_heads(self.keys_values(self.memory_norm(memory)), self.heads, parts=2)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return cast(Tensor, h + self.out(mixed.transpose(1, 2).flatten(-2)))


class FusionNetwork(StackNetwork):
    """An encoder of the first half of the blocks, and a decoder of the others that attends to what was encoded."""

    def begin(self, settings: AttentionStack, count: int) -> None:
        """Draw the attention over encodings, one for every block of the decoder."""
        self.encoders = len(self.stack) // 2
        self.cross = nn.ModuleList(
            CrossAttention(settings.d_model, settings.heads) for _ in self.stack[self.encoders :]
        )

    def encode(self, h: Tensor) -> Tensor:
        """One pass of the encoder over features [B, T, D]."""
        for block in self.stack[: self.encoders]:
            h, _ = block(h, None)
        return h

    def decode(self, tokens: Tensor, state: State, memory: Tensor) -> Tensor:
        """Logits [B, P, V] over tokens [B, P] that attend to encodings [B, M, D]."""
        h = self.embed(tokens, state.windows)
        for block, cross in zip(self.stack[self.encoders :], self.cross, strict=True):
            h, _ = block(h, None)
            h = cross(h, memory)
        return self.logits(h)


class FusionInDecoder(FusionNetwork):
    """Keeps text, and encodes it with the question."""

    def begin(self, settings: AttentionStack, count: int) -> None:
        """`count` is the number of windows that are kept."""
        super().begin(settings, count)
        self.kept = count

    def start(self, batch: int) -> Passages:
        """No text."""
        nothing = torch.zeros(batch, 0, 0, dtype=torch.int64, device=self.head.weight.device)
        return Passages(passages=nothing)

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Keep the window [B, L] as it is, and the last of those before it; N has no meaning."""
        check_passes(passes)
        before = cast(Passages, state)
        assert before.passages is not None
        if not before.passages.numel():
            return replace(before, passages=tokens[:, None].clone(), first=state.windows, windows=state.windows + 1)
        passages = torch.cat((before.passages, tokens[:, None]), dim=1)
        dropped = max(0, passages.shape[1] - self.kept)
        return replace(
            before, passages=passages[:, dropped:].contiguous(), first=before.first + dropped, windows=state.windows + 1
        )

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict over tokens [B, P]: logits [B, P, V], and the state with what it held."""
        past = cast(Passages, state)
        assert past.passages is not None
        count = past.passages.shape[1]
        x = self.embed(tokens, state.windows)
        if not count:
            return self.decode(tokens, state, x[:, :0]), self.read(state)
        windows = torch.stack([self.embed(past.passages[:, i], past.first + i) for i in range(count)], dim=1)
        question = x[:, None, :1].expand(-1, count, -1, -1)
        both = torch.cat((question, windows), dim=2)  # [B, W, 1 + L, D]
        memory = self.encode(both.flatten(0, 1)).view(len(tokens), count * both.shape[2], x.shape[-1])
        return self.decode(tokens, state, memory), self.read(state)


class FusionAsleep(FusionNetwork):
    """Keeps encodings that were made without a question."""

    def start(self, batch: int) -> MemoryState:
        """No window, no vector."""
        return MemoryState(memory=self.head.weight.new_zeros(batch, 0, self.head.in_features))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Encode the window [B, L] in `passes` passes, each on the features of the pass before, and keep them all."""
        check_passes(passes)
        h = self.embed(tokens, state.windows)
        for _ in range(passes):
            h = self.encode(h)
        return self.state_with(h, state)

    def state_with(self, h: Tensor, state: State) -> State:
        """The state with more vectors [B, M, D]."""
        before = cast(MemoryState, state)
        memory = torch.cat((before.vectors, h.to(before.vectors.dtype)), dim=1)
        return replace(before, memory=memory, windows=state.windows + 1)

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict over tokens [B, P] that attend to what is kept: logits [B, P, V] and the state."""
        return self.decode(tokens, state, cast(MemoryState, state).vectors), self.read(state)


class LearnedQueries(FusionAsleep):
    """Keeps the answers that a bank of queries found."""

    def begin(self, settings: AttentionStack, count: int) -> None:
        """Draw `count` queries, and their attention over a window."""
        super().begin(settings, count)
        self.first = nn.Parameter(torch.randn(count, settings.d_model))
        self.asking = CrossAttention(settings.d_model, settings.heads)
        # A branch that begins at zero would keep every window alike until its map has learned, so this one does not.
        nn.init.normal_(self.asking.out.weight, std=1 / math.sqrt(settings.d_model))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Encode the window [B, L] once, let the queries attend to it `passes` times, and keep their answers."""
        check_passes(passes)
        h = self.encode(self.embed(tokens, state.windows))
        answers = self.first.repeat(len(tokens), 1, 1)
        for _ in range(passes):
            answers = self.asking(answers, h)
        return self.state_with(answers, state)


@dataclass(frozen=True, kw_only=True)
class Fusion(AttentionStack):
    """Settings of an encoder and a decoder, of half of the blocks each."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        super().__post_init__()
        if self.blocks < 2:
            raise ValueError(f"blocks = {self.blocks}: encoder and decoder need one each")

    def count(self, windows: int) -> int:
        """Nothing but the blocks is learned."""
        return 0


@dataclass(frozen=True, kw_only=True)
class FiD(Fusion):
    """Fusion-in-decoder as published, over the windows that were evicted.

    Attributes:
        passages: Most windows that are kept as text.
    """

    name: ClassVar[str] = "fid"
    network: ClassVar[type[StackNetwork]] = FusionInDecoder

    passages: int = 16

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        super().__post_init__()
        if self.passages < 1:
            raise ValueError(f"passages = {self.passages}: at least 1 is needed")

    def count(self, windows: int) -> int:
        """Windows that are kept."""
        return self.passages


@dataclass(frozen=True, kw_only=True)
class FiDAsleep(Fusion):
    """Fusion-in-decoder whose windows are encoded while it sleeps."""

    name: ClassVar[str] = "fid-asleep"
    network: ClassVar[type[StackNetwork]] = FusionAsleep


@dataclass(frozen=True, kw_only=True)
class Anticipated(Fusion):
    """Questions anticipated by learned queries.

    Attributes:
        queries_asleep: Q: vectors that attend to every window; 0: as many as give the state, after all windows, the
            numbers of a hybrid's fast weights.
    """

    name: ClassVar[str] = "anticipated"
    network: ClassVar[type[StackNetwork]] = LearnedQueries

    queries_asleep: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        super().__post_init__()
        if self.queries_asleep < 0:
            raise ValueError(f"queries_asleep = {self.queries_asleep}: at least 1 is needed, or 0 for as many as match")

    def count(self, windows: int) -> int:
        """Queries."""
        return self.queries_asleep or max(1, self.numbers // (self.d_model * windows))
