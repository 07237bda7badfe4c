"""Memory tokens: attention whose windows hand a few vectors on, in the place of fast weights.

Three published forms, with attention blocks alone, under hard eviction of everything but what is named. F is one pass
of all blocks and the last norm; N passes over one window are this project's, and N = 1 is the published form.

- `rmt`, the Recurrent Memory Transformer (Bulatov, Kuratov, Burtsev 2022, arXiv 2207.06881): F over [M; x; M], with M
  the m vectors of the window before; the last m outputs are the next M. A further pass reads x again beside the M of
  the pass before.
- `auto-compressor` (Chevalier, Wettig, Ajith, Chen 2023, arXiv 2305.14788): F over [M; x; s], with s learned and M the
  outputs at s of all windows before: it grows with every window. A further pass takes the outputs for s.
- `gist`, gist tokens (Mu, Li, Goodman 2023, arXiv 2304.08467), one span a window: blocks over [x; s], where later
  windows see the keys and values of s alone, in every block: it grows too. A further pass goes on from the features of
  the pass before, as a sleep of the hybrid does; the keys and values of the last pass stay.

Positions are rotary and count along each list. Keys are kept before their rotation, so a kept one has its place in it.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor

from baselines.attention_stack import AttentionStack, MemoryState, StackNetwork
from baselines.base import State, check_passes


@dataclass(frozen=True, kw_only=True)
class MemoryTokens(AttentionStack):
    """Settings of a network that remembers by tokens.

    Attributes:
        memory_tokens: Vectors m that a window writes; 0: as many numbers, after all windows, as the fast weights of a
            hybrid of these sizes have, of which every other block is Gated DeltaNet.
    """

    network: ClassVar[type["MemoryNetwork"]]

    memory_tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        super().__post_init__()
        if self.memory_tokens < 0:
            raise ValueError(f"memory_tokens = {self.memory_tokens}: at least 1 is needed, or 0 for as many as match")

    def count(self, windows: int) -> int:
        """Vectors that a window writes, where `windows` of them are slept on."""
        return self.memory_tokens or max(1, self.numbers // self.d_model)


class MemoryNetwork(StackNetwork):
    """The blocks, and the learned vectors that stand where a window writes."""


class RecurrentMemory(MemoryNetwork):
    """m vectors that every window reads and writes anew: a fixed size."""

    def start(self, batch: int) -> MemoryState:
        """The learned vectors, before any window."""
        return MemoryState(memory=self.first.repeat(batch, 1, 1))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Read the window [B, L] `passes` times, each beside the memory that the pass before wrote."""
        check_passes(passes)
        x, memory = self.embed(tokens, state.windows), cast(MemoryState, state).vectors
        for _ in range(passes):
            memory = self.norm(self.features(memory, x, memory)[:, x.shape[1] :])
        return replace(cast(MemoryState, state), memory=memory, windows=state.windows + 1)

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict over tokens [B, P] after the memory, which stays as it is: logits [B, P, V] and the state."""
        memory = cast(MemoryState, state).vectors
        h = self.features(memory, self.embed(tokens, state.windows))
        return self.logits(h), replace(state, windows=state.windows + 1)


class Summaries(RecurrentMemory):
    """The vectors of every window, one after the other: a size that grows."""

    def start(self, batch: int) -> MemoryState:
        """No window, no vector."""
        return MemoryState(memory=self.first.new_zeros(batch, 0, self.config.d_model))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Read the window [B, L] `passes` times; the last summary is added to those before."""
        check_passes(passes)
        x, memory = self.embed(tokens, state.windows), cast(MemoryState, state).vectors
        summary = self.first.expand(len(tokens), -1, -1)
        for _ in range(passes):
            summary = self.norm(self.features(memory, x, summary)[:, x.shape[1] :])
        memory = torch.cat((memory, summary), dim=1)
        return replace(cast(MemoryState, state), memory=memory, windows=state.windows + 1)


class GistAttention(MemoryNetwork):
    """The keys and values of every window's gist tokens, in every block: a size that grows."""

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Run the blocks `passes` times over the window [B, L] and its gist tokens, whose keys and values stay."""
        check_passes(passes)
        before = self.unpack(state, len(tokens))
        h = torch.cat((self.embed(tokens, state.windows), self.first.expand(len(tokens), -1, -1)), dim=1)
        _, holdings = self.loop(h, before, passes, output=False)
        gists = [_last(after, len(self.first)) for after in holdings]
        caches = [torch.cat((cast(Tensor, old), new), dim=-2) for old, new in zip(before, gists, strict=True)]
        return self.pack(list(caches), state.windows + 1)

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict over tokens [B, P], none of whose keys and values stay: logits [B, P, V] and the state."""
        return super().wake(tokens, state)[0], replace(state, windows=state.windows + 1)


def _last(cache: Tensor | None, count: int) -> Tensor:
    """Of keys and values [B, 2, H, C, D / H], those of the last `count` tokens."""
    assert cache is not None
    return cache[..., cache.shape[-2] - count :, :]


@dataclass(frozen=True, kw_only=True)
class RMT(MemoryTokens):
    """The Recurrent Memory Transformer: m vectors, read and written by every window."""

    name: ClassVar[str] = "rmt"
    network: ClassVar[type[MemoryNetwork]] = RecurrentMemory


@dataclass(frozen=True, kw_only=True)
class AutoCompressor(MemoryTokens):
    """Summary vectors of each window, which all later windows read as inputs."""

    name: ClassVar[str] = "auto-compressor"
    network: ClassVar[type[MemoryNetwork]] = Summaries

    def count(self, windows: int) -> int:
        """Vectors that a window writes: after all `windows` they match the fast weights."""
        return self.memory_tokens or max(1, super().count(windows) // windows)


@dataclass(frozen=True, kw_only=True)
class Gist(MemoryTokens):
    """Gist tokens of each window, whose keys and values all later windows see."""

    name: ClassVar[str] = "gist"
    network: ClassVar[type[MemoryNetwork]] = GistAttention
    kept: ClassVar[str] = "none"

    def count(self, windows: int) -> int:
        """Tokens that a window writes: after all `windows` their keys and values match the fast weights."""
        return self.memory_tokens or max(1, self.numbers // (2 * self.blocks * self.d_model * windows))
