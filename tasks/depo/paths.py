"""Walks along the cycles of Depo: the answer of a question, edges out of tokens, and the path that fixes an answer."""

from collections.abc import Iterable, Sequence

import numpy as np

from tasks import rng
from tasks.base import Tokens, check_whole
from tasks.depo.codec import PAD, Codec
from tasks.memories import Memory
from tasks.ragged import ABSENT, at, pack


def answer(edges: Iterable[tuple[int, int]], start: int, k: int) -> int:
    """The node `k` >= 0 hops after `start`, walking the edges (source, target) in whatever order they are given.

    Raises:
        ValueError: a node on the way has no edge or several, or k is negative.
    """
    check_whole("k", k, 0)
    after: dict[int, list[int]] = {}
    for source, target in edges:
        after.setdefault(int(source), []).append(int(target))
    node = int(start)
    for _ in range(k):
        if len(after.get(node, [])) != 1:
            raise ValueError(f"node {node} must have one edge; it has {len(after.get(node, []))}")
        (node,) = after[node]
    return node


def names_in(tokens: Tokens, coder: Codec) -> Tokens:
    """The numbers [B, names] of the names among tokens [B, R], in order, then ABSENT; an even count of columns."""
    letter = (tokens != PAD) & (tokens < coder.first_hop)
    last = letter & (tokens >= coder.first_last)
    number, length = np.zeros(len(tokens), np.int64), np.zeros(len(tokens), np.int64)
    named = np.full(tokens.shape, ABSENT, dtype=np.int64)
    for t in range(tokens.shape[1]):
        number = np.where(letter[:, t], number * coder.letters + (tokens[:, t] - 1) % coder.letters, number)
        length += letter[:, t]
        ends = last[:, t]
        named[ends, t] = number[ends] + coder.starts[length[ends] - coder.lengths[0]]
        number[ends] = length[ends] = 0
    return pack(named, named != ABSENT, int(last.sum(axis=1).max(initial=0)), ABSENT)


def successors(names: Tokens, coder: Codec) -> Tokens:
    """The name after each name [B, words], ABSENT where it is on no edge; from the names of the edges [B, 2 N]."""
    after = np.full((len(names), coder.words + 1), ABSENT, dtype=np.int64)
    np.put_along_axis(after, names[:, ::2], names[:, 1::2], axis=1)
    return np.ascontiguousarray(after[:, :-1])  # the last column is of edges that short cycles do not have


def questions_in(tokens: Tokens, coder: Codec, most: int) -> tuple[Tokens, Tokens]:
    """The k and the starts [B, most] of questions with their answers [B, P], in order, then ABSENT."""
    names, hops = names_in(tokens, coder)[:, ::2], tokens - coder.first_hop + 1
    k = pack(hops, (hops > 0) & (hops <= coder.most_hops), most, ABSENT)
    return k, pack(names, names != ABSENT, most, ABSENT)


def path_hashes(read: Tokens, asked: Tokens, coder: Codec, questions: int) -> rng.Words:
    """Hashes [B, questions] of k and the names along the path that fixes each answer; 0 where there is no question.

    Args:
        read: Tokens [B, R] of the edges.
        asked: Tokens [B, P] of the questions.
        coder: How names are written.
        questions: Most questions of an example.
    """
    names = names_in(read, coder)
    after = successors(names, coder)
    n = np.count_nonzero(names[:, ::2] != ABSENT, axis=1)[:, None]
    k, starts = questions_in(asked, coder, questions)
    edges, node = k % n, starts
    back = n - edges < edges
    fixed = np.where((k < n) & ~back, k, k << 32 | n).astype(np.uint64)
    for step in range(int(n.max(initial=0)) + 1):
        along = np.where(back, (edges <= step) & (step <= n), step <= edges)
        fixed = np.where(along, rng.mix(fixed) + node.astype(np.uint64), fixed)
        node = at(after, node)
    return np.where(starts == ABSENT, np.uint64(0), rng.mix(fixed))


def nodes_after_hops(tokens: Tokens, coder: Codec, chances: Sequence[float]) -> tuple[Memory, ...]:
    """The node k' hops after each name, k' = 1, 2, ..., where the name is one of the cycle.

    Args:
        tokens: [B, R] as they were read: padding, then the edges in any order.
        coder: How names are written.
        chances: Per number of hops, from 1: of a guess that knows the names on the cycle.
    """
    after = successors(names_in(tokens, coder), coder)
    memories, nodes = [], after
    for step, chance in enumerate(chances, start=1):
        memories.append(
            Memory(
                kind="node",
                step=step,
                values=nodes,
                classes=coder.words,
                chance=chance,
                stored=step == 1,
                asked=step,
            )
        )
        nodes = at(after, nodes)
    return tuple(memories)
