"""What a teacher writes beside Depo: tables of hops, walks to the answers, and questions that might be asked."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.base import Tokens
from tasks.depo.codec import PAD, Codec
from tasks.depo.paths import names_in, questions_in, successors
from tasks.ragged import ABSENT, at, pack


def workings(edges: Tokens, asked: Tokens, answered: NDArray[np.bool_], window: int, coder: Codec) -> dict[int, Tokens]:
    """Tables of hops for windows of edges [B, R], and walks for that of the questions [B, P]; nothing at K = 1.

    `answered` [B, P] says where a target is.
    """
    if coder.most_hops < 2:
        return {}
    ends = answered & ~np.pad(answered, ((0, 0), (1, 0)))[:, :-1]
    walks = walks_of_questions(edges, asked, ends, coder)
    return {**tables_of_hops(edges, window, coder), edges.shape[1] // window: walks}


def tables_of_hops(tokens: Tokens, window: int, coder: Codec) -> dict[int, Tokens]:
    """The node 2, 4, 8, ... up to K hops after the source of each edge, by window: a table each, side by side.

    A table has R tokens and is written as the edges are, in their order, without those whose end is not known yet.

    Args:
        tokens: [B, R] as they were read: padding, then the edges in any order.
        window: L; a window may end within an edge.
        coder: How names are written.
    """
    notes = {}
    for number in range(tokens.shape[1] // window):
        names = names_in(tokens[:, : (number + 1) * window], coder)
        names = names[:, : names.shape[1] // 2 * 2]
        starts, hop, tables = names[:, ::2], successors(names, coder), []
        for _ in range(coder.most_hops.bit_length() - 1):
            hop = at(hop, hop)
            end = at(hop, starts)
            slots = coder.edges(np.where(end == ABSENT, ABSENT, starts), end)
            tables.append(pack(slots, slots != ABSENT, tokens.shape[1], PAD, right=True))
        notes[number] = np.concatenate(tables, axis=1)
    return notes


def walks_of_questions(read: Tokens, asked: Tokens, ends: NDArray[np.bool_], coder: Codec) -> Tokens:
    """The nodes on the way to each answer, 1, 2, ... k hops on, after the token that ends its question: [B, P M].

    As long as K hops of the longest names take, M tokens; the answer stands again for hops beyond k, and padding behind
    it and after every other token.

    Args:
        read: Tokens [B, R] of the edges.
        asked: Tokens [B, P] of the questions and their answers.
        ends: Whether a question ends at a token [B, P].
        coder: How names are written.
    """
    most, after = int(ends.sum(axis=1).max()), successors(names_in(read, coder), coder)
    k, node = questions_in(asked, coder, most)
    nodes = []
    for hop in range(1, coder.most_hops + 1):
        node = np.where(hop <= k, at(after, node), node)
        nodes.append(node)
    tokens = coder.tokens.take(np.stack(nodes, axis=2), axis=0, mode="wrap").reshape(len(asked) * most, -1)
    notes = np.full((*asked.shape, tokens.shape[1]), PAD, dtype=np.int64)
    notes[ends] = pack(tokens, tokens != ABSENT, tokens.shape[1], PAD)[(k != ABSENT).reshape(-1)]
    return notes.reshape(len(asked), -1)


def questions_about(tokens: Tokens, window: int, coder: Codec, hops: Sequence[int], nodes: int) -> dict[int, Tokens]:
    """Every question that the edges so far answer, with its answer, by window: from each source one for each k.

    In the order of the edges, then of k; padding behind the last.

    Args:
        tokens: As for `tables_of_hops`, `window` and `coder` too.
        window: L.
        coder: How names are written.
        hops: The k that are asked.
        nodes: Most nodes of a cycle.
    """
    ks, notes = sorted(set(hops)), {}
    for number in range(tokens.shape[1] // window):
        names = names_in(tokens[:, : (number + 1) * window], coder)
        names = names[:, : names.shape[1] // 2 * 2]
        after, ends, node = successors(names, coder), [], names[:, ::2]
        for hop in range(1, ks[-1] + 1):
            node = at(after, node)
            ends += [node] if hop in ks else []
        end = np.stack(ends, axis=2).reshape(len(names), -1)
        start = np.where(end == ABSENT, ABSENT, np.repeat(names[:, ::2], len(ks), axis=1))
        slots, _ = coder.questions(np.tile(ks, names.shape[1] // 2), start, end)
        notes[number] = pack(slots, slots != ABSENT, nodes * len(ks) * coder.question_tokens, PAD)
    return notes
