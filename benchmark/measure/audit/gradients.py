"""The second witness of an audit: gradients of the answer by the embeddings of evicted tokens.

A token may be embedded while the network sleeps, or be kept as it is and embedded when the network is awake. Of those
embedded in a sleep it is known which window they are of. Awake, a place of the input of an embedding is of a window if
other tokens stand there once that window alone has other tokens.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class EmbeddingCalls:
    """What the embeddings of a network were given and gave, call by call."""

    tokens: list[Tensor] = field(default_factory=list)
    """Token ids [...]."""
    leaves: list[Tensor] = field(default_factory=list)
    """Embeddings [..., D], cut from their table, as leaves to differentiate by."""

    def __len__(self) -> int:
        """How many calls."""
        return len(self.leaves)

    def differences(self, other: "EmbeddingCalls") -> list[Tensor]:
        """Of each call, the places [...] whose tokens differ in another run.

        Raises:
            RuntimeError: the runs call for other shapes, so that places cannot be compared.
        """
        if [t.shape for t in self.tokens] != [t.shape for t in other.tokens]:
            raise RuntimeError("what is embedded awake has a shape that depends on evicted tokens")
        return [one != two for one, two in zip(self.tokens, other.tokens, strict=True)]


@contextmanager
def embedding_calls(model: nn.Module) -> Iterator[EmbeddingCalls]:
    """Collect the calls of every `nn.Embedding`, each cut from its table."""
    calls = EmbeddingCalls()

    def detach(_: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        calls.tokens.append(inputs[0].detach().clone())
        calls.leaves.append(output.detach().requires_grad_())
        return calls.leaves[-1]

    hooks = [m.register_forward_hook(detach) for m in model.modules() if isinstance(m, nn.Embedding)]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def influences(answer: Tensor, leaves: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Of each leaf [..., D] the places [...] by which the answer [B, P, V] has a gradient that is not zero."""
    if not leaves:
        return []
    torch.default_generator.manual_seed(seed)
    total = (answer * torch.randn_like(answer)).sum()
    if not total.requires_grad:
        return [torch.zeros(leaf.shape[:-1], dtype=torch.bool) for leaf in leaves]
    gradients = torch.autograd.grad(total, leaves, allow_unused=True, retain_graph=True)
    pairs = zip(gradients, leaves, strict=True)
    return [(torch.zeros_like(leaf) if g is None else g).ne(0).any(dim=-1) for g, leaf in pairs]


def of_windows(marks: Sequence[Tensor], counts: Sequence[int]) -> list[int]:
    """Windows, from 1, any of whose calls has a mark; window w has the calls from `counts[w - 1]` to `counts[w]`."""
    parts = [marks[start:stop] for start, stop in pairwise(counts)]
    return [w for w, part in enumerate(parts, start=1) if any_in(part)]


def any_in(masks: Iterable[Tensor]) -> bool:
    """Whether any of some masks is true anywhere."""
    return any(bool(mask.any()) for mask in masks)
