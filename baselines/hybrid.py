"""The attention-SSM hybrid, and sleep: looping the stack over a window before its cache is evicted.

With N = 1 pass this is the plain hybrid; the paper's models differ from it by N alone.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from baselines.attention import WindowAttention
from baselines.base import Model, ModelConfig, State, check_passes
from baselines.gated_deltanet import GatedDeltaNet
from baselines.layers import SquaredReluMLP, linear

MIXERS: dict[str, type[nn.Module]] = {"attn": WindowAttention, "gdn": GatedDeltaNet}
"""Words of a layout string."""


@dataclass(frozen=True, kw_only=True)
class Hybrid(ModelConfig):
    """Settings of the hybrid; the defaults are the paper's automaton model.

    Attributes:
        layout: One word per block, first block first: "attn" or "gdn".
        d_model: Width D.
        heads: Heads of every mixer; must divide `d_model`.
        mlp_ratio: Hidden width of the MLP over D.
        window_embedding: Add a learned embedding of the window's index to its tokens. Windows that look alike write
            under colliding keys, and telling them apart is a job that a second pass can do: without the index, that
            addressing would pass for depth.
        reembed: Start every pass from the token embeddings instead of the features of the pass before.
    """

    name: ClassVar[str] = "hybrid"
    version: ClassVar[int] = 1

    layout: str = "attn gdn attn gdn"
    d_model: int = 256
    heads: int = 4
    mlp_ratio: int = 4
    window_embedding: bool = True
    reembed: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        words = self.layout.split()
        if not words or (unknown := [w for w in words if w not in MIXERS]):
            raise ValueError(
                f"layout {self.layout!r}: needs one word per block out of {', '.join(MIXERS)}"
                + (f"; not {', '.join(unknown)}" if words else "")
            )
        if self.heads < 1 or self.d_model < 1 or self.d_model % self.heads:
            raise ValueError(f"heads = {self.heads} does not divide d_model = {self.d_model}")
        if "attn" in words and (self.d_model // self.heads) % 2:
            raise ValueError(f"d_model / heads = {self.d_model // self.heads} is odd: rotary positions need it even")
        if self.mlp_ratio < 1:
            raise ValueError(f"mlp_ratio = {self.mlp_ratio}: at least 1 is needed")

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> "Sleeper":
        """The model for sequences of `seq_len` tokens read in windows of `window`."""
        return Sleeper(self, vocab_size=vocab_size, windows=-(-seq_len // window))


class Block(nn.Module):
    """Mixer and MLP, each normalised before and added to the residual stream."""

    def __init__(self, mixer: nn.Module, config: Hybrid) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(config.d_model)
        self.mixer = mixer
        self.mlp_norm = nn.RMSNorm(config.d_model)
        self.mlp = SquaredReluMLP(config.d_model, config.mlp_ratio)
        self.has_state = isinstance(mixer, GatedDeltaNet)

    def forward(self, h: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Map features [B, T, D] and this block's fast weights (None for attention) to the same."""
        if self.has_state:
            mixed, state = self.mixer(self.mixer_norm(h), state)
        else:
            mixed = self.mixer(self.mixer_norm(h))
        h = h + mixed
        return h + self.mlp(self.mlp_norm(h)), state


class Sleeper(Model):
    """A stack of blocks under hard eviction that may be looped over each window before it goes."""

    def __init__(self, config: Hybrid, *, vocab_size: int, windows: int) -> None:
        super().__init__()
        self.reembed = config.reembed
        self.embedding = nn.Embedding(vocab_size, config.d_model)
        self.window_embedding = nn.Embedding(windows, config.d_model) if config.window_embedding else None
        self.blocks = nn.ModuleList(
            Block(MIXERS[word](config.d_model, config.heads), config) for word in config.layout.split()
        )
        self.norm = nn.RMSNorm(config.d_model)
        self.head = linear(config.d_model, vocab_size)

    def start(self, batch: int) -> State:
        """Empty fast weights, no window read."""
        mixers = (block.mixer for block in self.blocks)
        return State(fast_weights=tuple(m.initial_state(batch) for m in mixers if isinstance(m, GatedDeltaNet)))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Run the blocks `passes` times over the window [B, L]; keep the fast weights, discard the features."""
        check_passes(passes)
        embedded = h = self.embed(tokens, state.windows)
        fast_weights = state.fast_weights
        for _ in range(passes):
            h, fast_weights = self.run_blocks(embedded if self.reembed else h, fast_weights)
        return State(fast_weights=fast_weights, windows=state.windows + 1)

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """One pass over tokens [B, P]: logits [B, P, V] and the state after them."""
        h, fast_weights = self.run_blocks(self.embed(tokens, state.windows), state.fast_weights)
        # In full precision: bf16 logits tie, and the first of two equals would always win.
        with torch.autocast(h.device.type, enabled=False):
            logits = self.head(self.norm(h.to(self.head.weight.dtype)))
        return logits, State(fast_weights=fast_weights, windows=state.windows + 1)

    def embed(self, tokens: Tensor, window: int) -> Tensor:
        """Token embeddings [B, T, D], plus the embedding of the window's index where the model has one."""
        h: Tensor = self.embedding(tokens)
        if self.window_embedding is None:
            return h
        if window >= self.window_embedding.num_embeddings:
            raise ValueError(
                f"window {window + 1} was read by a model built for {self.window_embedding.num_embeddings}; "
                "build it with a larger seq_len, or without window_embedding"
            )
        return h + self.window_embedding.weight[window]

    def run_blocks(self, h: Tensor, fast_weights: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One pass of the whole stack: features [B, T, D] and fast weights in, the same out."""
        before, after = iter(fast_weights), []
        for block in self.blocks:
            h, state = block(h, next(before) if block.has_state else None)
            if state is not None:
                after.append(state)
        return h, tuple(after)
