"""The attention-SSM hybrids as one frozen config; the paper's models, and most of their rivals, are settings of it."""

import importlib
import math
from dataclasses import dataclass, field
from typing import ClassVar

from baselines.attention import WindowAttention
from baselines.base import ModelConfig
from baselines.memory import FastWeightMixer
from baselines.sleeper import Sleeper

MIXERS: dict[str, str] = {
    "gdn": "baselines.gated_deltanet:GatedDeltaNet",
    "jet": "baselines.jet:Jet",
    "delta": "baselines.gated_deltanet:DeltaNet",
    "gated": "baselines.hebbian:GatedHebbian",
    "linear": "baselines.hebbian:LinearAttention",
    "classic": "baselines.classic:ClassicFastWeights",
    "titans": "baselines.neural_memory:NeuralMemory",
    "product2": "baselines.delta_product:DeltaProduct",
    "product4": "baselines.delta_product:DeltaProduct4",
}
"""Fast-weight mixers by their word in a layout; "attn" is the word of attention."""


def fast_weight_mixer(word: str) -> type[FastWeightMixer]:
    """The mixer of a word of `MIXERS`, imported only now, so that a broken one cannot break the others."""
    module, _, attribute = MIXERS[word].partition(":")
    kind: type[FastWeightMixer] = getattr(importlib.import_module(module), attribute)
    return kind


MOST_STATE = 65_536
"""The widest state of a head: a matrix of so many rows and columns takes 17 GB a sequence."""

EVICTIONS = ("hard", "sliding", "none")
LOOPS = ("all", "middle")


OWN_LOOP = {
    "loop": "all",
    "reembed": False,
    "reset_state": False,
    "reread": False,
    "backprop_passes": 0,
    "evict_every": 1,
}
"""Settings that change what a sleep loops over or how, at the values that leave it as the paper has it."""


@dataclass(frozen=True, kw_only=True)
class Hybrid(ModelConfig):
    """Settings of the hybrid; the defaults are the paper's automaton model.

    Attributes:
        layout: One word per block, first block first: "attn" or a word of `MIXERS`.
        d_model: Width D.
        heads: Heads of every mixer; must divide `d_model`.
        mlp_ratio: Hidden width of the MLP over D, rounded to whole units.
        state_size: K = V of every head's fast weights; 0 for D / heads.
        window_embedding: Add a learned embedding of the window's index to its tokens. Windows that look alike write
            under colliding keys, and telling them apart is a job that a second pass can do: without the index, that
            addressing would pass for depth.
        eviction: What happens to keys and values at a window's end: "hard" drops them all, "sliding" keeps those of the
            last L - 1 tokens, "none" keeps every one.
        evict_every: Windows between evictions: keys and values stay until so many windows have been read, and then all
            go, so that attention sees a window as much longer while the text and its cut stay as they are. The last go
            before a prediction, however many there are.
        loop: The blocks that further passes run over: "all", or the "middle" half.
        reembed: Start every pass from the features that entered the loop instead of those of the pass before.
        reset_state: Start every pass from the fast weights before the sleep instead of those of the pass before.
        reread: Instead of looping, read N copies of the window as tokens, in one pass.
        wake_passes: Passes of a prediction, each from the fast weights before the window: what a pass has written about
            a token never reaches an earlier one. Above 1 the model breaks the latency constraint.
        backprop_passes: The last passes of a sleep, through which gradients go back; 0 for all. Those before are run
            without: neither features nor fast weights carry a gradient out of them, so that with fewer than N passes
            none reaches the windows before. Memory then does not grow with N.
    """

    name: ClassVar[str] = "hybrid"
    version: ClassVar[int] = 1

    layout: str = "attn gdn attn gdn"
    d_model: int = 256
    heads: int = 4
    mlp_ratio: float = 4
    state_size: int = 0
    window_embedding: bool = True
    eviction: str = "hard"
    loop: str = "all"
    reembed: bool = False
    reset_state: bool = False
    reread: bool = False
    wake_passes: int = 1
    backprop_passes: int = field(default=0, metadata={"later": True})
    evict_every: int = field(default=1, metadata={"later": True})

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        words = self.layout.split()
        known = ("attn", *MIXERS)
        if not words or (unknown := [w for w in words if w not in known]):
            raise ValueError(
                f"layout {self.layout!r}: needs one word per block out of {', '.join(known)}"
                + (f"; not {', '.join(unknown)}" if words else "")
            )
        if self.heads < 1 or self.d_model < 1 or self.d_model % self.heads:
            raise ValueError(f"heads = {self.heads} does not divide d_model = {self.d_model}")
        if "attn" in words and (self.d_model // self.heads) % 2:
            raise ValueError(f"d_model / heads = {self.d_model // self.heads} is odd: rotary positions need it even")
        if not math.isfinite(self.mlp_ratio) or round(self.mlp_ratio * self.d_model) < 1:
            raise ValueError(f"mlp_ratio = {self.mlp_ratio}: at least one hidden unit is needed, and finitely many")
        if float(self.mlp_ratio).is_integer():  # 2.0 and 2 are one setting and must give one id
            object.__setattr__(self, "mlp_ratio", int(self.mlp_ratio))
        if not 0 <= self.state_size <= MOST_STATE:
            raise ValueError(
                f"state_size = {self.state_size}: at least 1 is needed, or 0 for d_model / heads; at most {MOST_STATE}"
            )
        if self.eviction not in EVICTIONS:
            raise ValueError(f"eviction = {self.eviction!r}: needs to be one of {', '.join(EVICTIONS)}")
        if self.loop not in LOOPS:
            raise ValueError(f"loop = {self.loop!r}: needs to be one of {', '.join(LOOPS)}")
        if self.loop == "middle" and len(words) < 4:
            raise ValueError(
                f"loop = 'middle' needs at least 4 blocks, a quarter before and a quarter after; layout "
                f"{self.layout!r} has {len(words)}"
            )
        if self.reembed and self.reset_state:
            raise ValueError("reembed with reset_state: every pass would repeat the first, so one of them must be off")
        if self.reread and (self.reembed or self.reset_state or self.loop != "all"):
            raise ValueError("reread runs a single pass: reembed, reset_state and loop have no meaning beside it")
        if self.wake_passes < 1:
            raise ValueError(f"wake_passes = {self.wake_passes}: at least 1 is needed")
        if self.backprop_passes < 0:
            raise ValueError(f"backprop_passes = {self.backprop_passes}: at least 1 is needed, or 0 for all")
        if self.evict_every < 1:
            raise ValueError(f"evict_every = {self.evict_every}: at least 1 is needed")
        if self.evict_every > 1 and (self.eviction != "hard" or "attn" not in words or self.reread):
            raise ValueError(
                f"evict_every = {self.evict_every} says when attention under eviction 'hard' forgets; given eviction "
                f"{self.eviction!r}, layout {self.layout!r}, reread {self.reread}"
            )
        if self.reembed and self.wake_passes > 1:
            raise ValueError(
                f"reembed with wake_passes = {self.wake_passes}: every pass of a prediction would repeat the first, so "
                "one of them must be off"
            )

    def refuse_other_loops(self, sleep: str) -> None:
        """Refuse settings of the hybrid's own loop, for a model whose `sleep`, in words, is another.

        Raises:
            ValueError: one of them is set.
        """
        if other := [name for name, value in OWN_LOOP.items() if getattr(self, name) != value]:
            raise ValueError(f"{' and '.join(other)}: {sleep} is a loop of its own; leave them as they are")

    @property
    def revision(self) -> int:
        """One more than the version where predictions loop: until they were made causal, those gave other numbers."""
        return self.version + (self.wake_passes > 1)

    @property
    def loop_range(self) -> range:
        """The blocks that every pass runs over."""
        blocks = len(self.layout.split())
        return range(blocks) if self.loop == "all" else range(blocks // 4, blocks // 4 + blocks // 2)

    def mixer(self, word: str, window: int) -> FastWeightMixer | WindowAttention:
        """The mixer of a word of the layout, for windows of `window` tokens."""
        if word == "attn":
            return self.attention(window)
        return fast_weight_mixer(word)(self.d_model, self.heads, state_size=self.state_size or None)

    def attention(self, window: int) -> WindowAttention:
        """The attention mixer of every "attn" block."""
        keep = {"hard": 0, "sliding": window - 1, "none": None}[self.eviction if self.evict_every == 1 else "none"]
        return WindowAttention(self.d_model, self.heads, keep=keep)

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Sleeper:
        """The model for sequences of `seq_len` tokens read in windows of `window`.

        Raises:
            ValueError: a sliding window of one token, which would keep nothing.
        """
        if self.eviction == "sliding" and window < 2:
            raise ValueError(
                f"sliding eviction keeps the last L - 1 tokens: L = {window} keeps none; use eviction 'hard', or L >= 2"
            )
        return Sleeper(self, vocab_size=vocab_size, window=window, windows=-(-seq_len // window))
