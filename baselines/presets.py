"""The other models of the paper, and two roads around sleep: each is the hybrid with other defaults."""

from dataclasses import dataclass
from typing import ClassVar

from baselines.hybrid import Hybrid


@dataclass(frozen=True, kw_only=True)
class SlidingHybrid(Hybrid):
    """The last L - 1 tokens' keys and values stay: the SWA-SSM hybrid (Samba-like) with N = 1, sleep with N > 1."""

    name: ClassVar[str] = "sliding"

    eviction: str = "sliding"


@dataclass(frozen=True, kw_only=True)
class LoopedHybrid(Hybrid):
    """Passes run over the middle half of the blocks, as in the paper's runs from Jet-Nemotron (14 of 28)."""

    name: ClassVar[str] = "looped"

    loop: str = "middle"


@dataclass(frozen=True, kw_only=True)
class JetHybrid(Hybrid):
    """The network of the paper's Depo runs, as its text says: 10 blocks of width 512, attention and Jet in turn."""

    name: ClassVar[str] = "jet"

    layout: str = "attn jet attn jet attn jet attn jet attn jet"
    d_model: int = 512
    heads: int = 8


@dataclass(frozen=True, kw_only=True)
class Transformer(Hybrid):
    """Attention alone under hard eviction: nothing survives a window, so no answer about one can beat a guess."""

    name: ClassVar[str] = "transformer"

    layout: str = "attn attn attn attn"


@dataclass(frozen=True, kw_only=True)
class FullCache(Hybrid):
    """Attention alone that evicts nothing: what unbounded memory buys, the upper road."""

    name: ClassVar[str] = "full-cache"

    layout: str = "attn attn attn attn"
    eviction: str = "none"


@dataclass(frozen=True, kw_only=True)
class PureSSM(Hybrid):
    """Fast weights alone, without attention: a recurrent network that may sleep."""

    name: ClassVar[str] = "ssm"

    layout: str = "gdn gdn gdn gdn"
