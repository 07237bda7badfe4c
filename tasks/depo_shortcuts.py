"""How far Depo is solved by guesses that know a part of the cycle, or nothing but the question: no sign of k hops."""

import numpy as np
from numpy.typing import NDArray

from tasks.depo_codec import Codec


def partial_knowledge(nodes: int, hops: int) -> dict[str, float]:
    """Chance to be right, exact, of guesses among the nodes that are left when some are known.

    All of them know n and the names, and so k mod n; the start itself is never the answer. `neighbours` knows the nodes
    one hop before and after the start, where the answer is neither; `shorter_hops` all that lie fewer hops away than
    the answer, for which one hop less than k is enough. Empty for whole rounds.
    """
    beyond = hops % nodes
    if not beyond:
        return {}
    guesses = {"shorter_hops": 1 / (nodes - beyond)}
    if 1 < beyond < nodes - 1:
        guesses["neighbours"] = 1 / (nodes - 3)
    return guesses


def word_floors(coded: Codec, nodes: int) -> tuple[float, float]:
    """What always the same word gets right, and one that is not the start; both of the shortest length.

    Exact where words have one length or two; with more lengths, as if the longer ones never ran out.
    """
    short, n, m = coded.letters ** coded.lengths[0], nodes, np.arange(nodes + 1)
    met = np.maximum(m - 1, 0) / max(1, short - 1)  # of the other short words, the share on a cycle with m of them
    shares = _short_words(coded, nodes)
    question_only = shares @ (m / n * met + (1 - m / n) * m / short) / (n - 1)
    return float(shares @ m / short / n), float(question_only)


def _short_words(coded: Codec, nodes: int) -> NDArray[np.float64]:
    """P(m words of the shortest length among the names of a cycle), m = 0..nodes, node by node."""
    sizes = np.diff(coded.starts)
    m, chances = np.arange(nodes + 1), np.zeros(nodes + 1)
    chances[0] = 1.0
    for named in range(nodes):
        fresh = np.maximum(0, 1 - m / sizes[0])
        others = np.maximum(0, len(sizes) - 1 - np.maximum(named - m, 0) / sizes[1:].sum()) if len(sizes) > 1 else 0
        more = chances * fresh / np.maximum(fresh + others, 1e-300)
        chances = chances - more + np.concatenate([[0.0], more[:-1]])
    return chances
