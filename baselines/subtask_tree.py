"""Subtask tree: windows are the leaves of a tree, and of every subtask that is complete the conclusion alone is kept.

In the manner of thread inference (TIM, arXiv 2507.16784), in latent form. There a model writes out a tree of tasks,
and when a list of subtasks is complete the keys and values of all in it but the conclusions leave the cache, whose
positions are then used again. Here the tree is given by the windows rather than written, and a conclusion is c learned
tokens rather than text: leaves conclude what they read, and when b conclusions of one level are there, c further tokens
attend to them, and their keys and values take the place of those. What goes is told by structure, not by a score.

After W windows at most c (b - 1) log_b W + c tokens are kept. Without a branch, b = 0, nothing is concluded of
conclusions, and these are gist tokens.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from baselines.attention_stack import AttentionStack
from baselines.base import State
from baselines.memory_tokens import Gist, GistAttention, MemoryNetwork, MemoryTokens


@dataclass(frozen=True, kw_only=True)
class TreeState(State):
    """A state that knows how far a tree has grown."""

    leaves: int = 0
    """Windows that were slept on."""


class TreeAttention(GistAttention):
    """The keys and values of conclusions, in every block: as many as subtasks are open."""

    def begin(self, settings: AttentionStack, count: int) -> None:
        """Draw the tokens of a leaf's conclusion, and those of a conclusion of conclusions, `count` each."""
        super().begin(settings, count)
        self.branch = cast(SubtaskTree, settings).branch
        if self.branch:
            self.parent = nn.Parameter(torch.randn(count, settings.d_model))

    def start(self, batch: int) -> TreeState:
        """No window, no conclusion."""
        return TreeState(cache=super().start(batch).cache)

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Conclude the window [B, L] in `passes` passes, and every subtask that is complete with it."""
        tree = cast(TreeState, state)
        leaf = super().sleep(tokens, State(cache=state.cache, windows=state.windows), passes)
        leaves, cache, level = tree.leaves + 1, leaf.cache, 1
        while self.branch and leaves % self.branch**level == 0:
            cache = self.with_conclusion(cache, len(tokens), passes)
            level += 1
        return replace(tree, cache=cache, leaves=leaves, windows=leaf.windows)

    def with_conclusion(self, cache: tuple[Tensor, ...], batch: int, passes: int) -> tuple[Tensor, ...]:
        """Kept keys and values [B, 2, H, C, D / H] with one conclusion in the place of the last b."""
        count = len(self.parent)
        h = self.parent.repeat(batch, 1, 1)
        _, holdings = self.loop(h, list(cache), passes, output=False)
        open_ = cache[0].shape[-2] - self.branch * count
        pairs = zip(cache, holdings, strict=True)
        return tuple(torch.cat((old[..., :open_, :], cast(Tensor, new)[..., -count:, :]), dim=-2) for old, new in pairs)


@dataclass(frozen=True, kw_only=True)
class SubtaskTree(MemoryTokens):
    """Conclusions of windows, and of conclusions.

    Attributes:
        branch: b: conclusions of one level that are concluded together; 0: none are.
    """

    name: ClassVar[str] = "subtask-tree"
    network: ClassVar[type[MemoryNetwork]] = TreeAttention
    kept: ClassVar[str] = "none"

    branch: int = 2

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        super().__post_init__()
        if self.branch < 0 or self.branch == 1:
            raise ValueError(f"branch = {self.branch}: at least 2 conclusions are concluded together, or 0 for none")

    def count(self, windows: int) -> int:
        """Tokens of a conclusion: as many as a gist has, whose windows all stay."""
        return Gist.count(cast(Gist, self), windows)
