"""Retrieval: attention that looks evicted keys and values up in a bounded store, in the place of consolidating them.

The rival that forgets nothing it can still hold: where sleep beats it, fast weights are more than a cache of what was
read. After Memorizing Transformers (Wu, Rabe, Hutchins, Szegedy 2022, arXiv 2203.08913), with one softmax over the
window and the keys found instead of a gate between two, and with gradients into the store.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from baselines.attention import WindowAttention, rotate_at, visible
from baselines.hybrid import Hybrid
from baselines.sleeper import Sleeper


@dataclass(frozen=True, kw_only=True)
class Retrieval(Hybrid):
    """Settings of a network whose attention reads the best of the evicted keys and values.

    Attributes:
        eviction: "none" alone: a window's keys and values go to the store, which bounds itself.
        top_k: Stored keys that a query reads, per head.
        store_tokens: Tokens whose keys and values the store holds; the oldest go first.
    """

    name: ClassVar[str] = "retrieval"

    layout: str = "attn attn attn attn"
    eviction: str = "none"
    top_k: int = 8
    store_tokens: int = 512

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built, or that leave nothing to retrieve."""
        super().__post_init__()
        if "attn" not in self.layout.split():
            raise ValueError(f"retrieval reads the keys and values of attention: layout {self.layout!r} has no attn")
        if self.eviction != "none":
            raise ValueError(
                f"eviction = {self.eviction!r}: retrieval needs 'none', as its store of {self.store_tokens} tokens "
                "decides what is kept"
            )
        if self.top_k < 1:
            raise ValueError(f"top_k = {self.top_k}: a query must read at least 1 stored key")
        if self.store_tokens < self.top_k:
            raise ValueError(
                f"store_tokens = {self.store_tokens} is less than top_k = {self.top_k}: a query cannot read more keys "
                "than the store holds"
            )

    def attention(self, window: int) -> WindowAttention:
        """The attention mixer of every "attn" block."""
        return RetrievalAttention(self.d_model, self.heads, top_k=self.top_k, store_tokens=self.store_tokens)

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Sleeper:
        """The model for sequences of `seq_len` tokens read in windows of `window`.

        Raises:
            ValueError: sequences of one window, of which nothing is ever evicted.
        """
        if seq_len <= window:
            raise ValueError(
                f"retrieval without evicted tokens: a sequence of {seq_len} tokens fits in one window of {window}, so "
                "the store stays empty; use a smaller window, or model 'transformer'"
            )
        return super().build(vocab_size=vocab_size, window=window, seq_len=seq_len)


class RetrievalAttention(WindowAttention):
    """Causal attention inside the window, and to the stored keys that match a query best.

    Inside the window positions are rotary, as in `WindowAttention`. Stored keys are scored without any: what is looked
    up is found by its content, however long ago it was read. One softmax weighs both.
    """

    def __init__(self, d_model: int, heads: int, *, top_k: int, store_tokens: int) -> None:
        """Attention that reads `top_k` of the last `store_tokens` evicted tokens; all of them while they are fewer."""
        super().__init__(d_model, heads, keep=store_tokens)
        self.top_k, self.store_tokens = top_k, store_tokens

    def attend(self, q: Tensor, k: Tensor, v: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mixed values [B, H, T, D / H] of normalised queries and keys; the store [B, 2, H, C, D / H] after them."""
        assert kept is not None
        stored_k, stored_v = kept.unbind(dim=1)
        unseen = ~visible(q.shape[-2], 0, None, q.device)
        # In full precision: bf16 scores tie, and among equals the choice of the best would be arbitrary.
        with torch.autocast(q.device.type, enabled=False):
            own = (rotate_at(q, 0) @ rotate_at(k, 0).mT).masked_fill(unseen, -math.inf)
            scores = torch.cat((top_scores(q @ stored_k.mT, self.top_k), own), dim=-1) / math.sqrt(q.shape[-1])
        mixed = scores.softmax(dim=-1).to(v.dtype) @ torch.cat((stored_v.to(v.dtype), v), dim=-2)
        return mixed, self.cache(kept, k, v)


def top_scores(scores: Tensor, count: int) -> Tensor:
    """Scores [..., C] with all but the `count` highest of each row at minus infinity; with C <= count, as they are.

    Exactly `count` stay even where scores are equal, as those of one token read twice may be. The rest are masked and
    not left out, for then the way back into the store is a product: the same sum in the same order on every device.
    """
    if scores.shape[-1] <= count:
        return scores
    chosen = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, scores.topk(count).indices, True)
    return scores.masked_fill(~chosen, -math.inf)
