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
    starts = names_in(asked, coder)[:, ::2]
    hops = asked - coder.first_hop + 1
    k = pack(hops, (hops > 0) & (hops <= coder.most_hops), starts.shape[1], ABSENT)
    edges, node = k % n, starts
    back = n - edges < edges
    fixed = np.where((k < n) & ~back, k, k << 32 | n).astype(np.uint64)
    for step in range(int(n.max(initial=0)) + 1):
        along = np.where(back, (edges <= step) & (step <= n), step <= edges)
        fixed = np.where(along, rng.mix(fixed) + node.astype(np.uint64), fixed)
        node = at(after, node)
    hashes = np.zeros((len(names), questions), dtype=np.uint64)
    hashes[:, : starts.shape[1]] = np.where(starts == ABSENT, np.uint64(0), rng.mix(fixed))
    return hashes


def tables_of_hops(tokens: Tokens, window: int, coder: Codec) -> dict[int, Tokens]:
    """The node 2, 4, 8, ... up to K hops after the source of each edge, by window: a table each, side by side.

    A table has R tokens and is written as the edges are, in their order, without those whose end is not known yet.

    Args:
        tokens: [B, R] as they were read: padding, then the edges in any order.
        window: L; a window may end within an edge.
        coder: How names are written.
    """
    noted = {}
    for number in range(tokens.shape[1] // window):
        names = names_in(tokens[:, : (number + 1) * window], coder)
        names = names[:, : names.shape[1] // 2 * 2]
        starts, hop, tables = names[:, ::2], successors(names, coder), []
        for _ in range(coder.most_hops.bit_length() - 1):
            hop = at(hop, hop)
            end = at(hop, starts)
            slots = coder.edges(np.where(end == ABSENT, ABSENT, starts), end)
            tables.append(pack(slots, slots != ABSENT, tokens.shape[1], PAD, right=True))
        noted[number] = np.concatenate(tables, axis=1)
    return noted


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
