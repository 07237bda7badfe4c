"""What is no sign of k hops in Depo: what a split leaves to a table, and what guesses get.

A cycle is held out whole, by a hash. Where there are few cycles the splits are not alike: an edge in many cycles of
training is in few of test, so that a table fitted to training does worse on test than on cycles at large. And the part
of a cycle that fixes an answer, k edges from the start or n - k into it, is not held out: such a path lies in other
cycles too, most of them cycles of training.
"""

import math
from functools import cache
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from tasks import rng
from tasks.base import Tokens
from tasks.depo.codec import Codec

MOST_CYCLES = 1 << 18
"""As many cycles are looked at one by one."""

TRAINING_QUESTIONS = 10**8
"""Questions of each k that a table over paths is made from: more than any training here asks."""

_SAMPLE = 1 << 14  # paths whose lengths of names are drawn

Shares = NDArray[np.float64]


def cycles(words: int, nodes: int) -> int:
    """How many cycles of `nodes` nodes `words` names make."""
    return math.comb(words, nodes) * math.factorial(nodes - 1)


def paths(words: int, edges: int) -> int:
    """How many paths of so many edges there are: the entries of a table over them."""
    return math.perm(words, edges + 1)


@cache
def every_cycle(coder: Codec, nodes: int) -> tuple[Tokens, NDArray[np.str_], Shares]:
    """Every cycle [C, nodes], its split [C], and how often it is drawn [C], where splits do not count.

    A name's length is uniform, and names are drawn one after the other until they differ.
    """
    sets = np.array(list(combinations(range(coder.words), nodes)))
    orders = np.array([(0, *order) for order in permutations(range(1, nodes))])
    rings = sets[:, orders].reshape(-1, nodes)
    after = np.roll(rings, -1, axis=1)
    split = rng.split_of(rng.content_hash((rings + 1) << 32 | (after + 1)))
    sizes = np.diff(coder.starts)
    single = np.repeat(1 / len(sizes) / sizes, sizes)[rings]  # of each name, by itself
    weights = np.zeros(len(rings))
    for turn in range(nodes):
        along = np.roll(single, turn, axis=1)
        before = np.cumsum(along, axis=1) - along
        weights += np.prod(along / (1 - before), axis=1)
    return rings, split, weights


@cache
def table_floors(coder: Codec, nodes: int, hops: int) -> tuple[float, float]:
    """What always the same name, and a table of (start, k), get right on test; of at most `MOST_CYCLES` cycles.

    Both are fitted to all cycles of training of `nodes` nodes; where several answers are as frequent there, one of them
    is taken at random.
    """
    rings, split, drawn = every_cycle(coder, nodes)
    ends = np.roll(rings, -(hops % nodes), axis=1)

    def weights(of: str) -> Shares:
        """How often [start, end] is asked in a split."""
        mine = split == of
        pair = rings[mine] * coder.words + ends[mine]
        each = np.repeat(drawn[mine], nodes)
        flat = np.bincount(pair.reshape(-1), each, minlength=coder.words**2).reshape(coder.words, coder.words)
        shares: Shares = flat / flat.sum()
        return shares

    train, test = weights("train"), weights("test")
    by_start = np.where(train.sum(axis=1, keepdims=True) > 0, train, train.sum(axis=0))  # a start never asked
    return _table_score(train.sum(axis=0)[None], test.sum(axis=0)[None]), _table_score(by_start, test)


def _table_score(table: Shares, tests: Shares) -> float:
    """What the most frequent columns of `known` [R, C], row by row, get of `asked` [R, C]; of equals the mean."""
    best = np.isclose(table, table.max(axis=1, keepdims=True), rtol=1e-9, atol=0)
    return float((tests * best / best.sum(axis=1, keepdims=True)).sum())


@cache
def seen_paths(coder: Codec, nodes: int, sizes: tuple[int, ...], hops: int) -> float:
    """Share of the paths that `hops` asks for on test, cycles of `nodes` nodes, that training has asked for as well.

    By counting, where there are few cycles: every path that lies in a cycle of training has been met. Elsewhere a path
    lies in so many cycles, each of training three times in four, and has been met in `TRAINING_QUESTIONS`
    questions as often as names are drawn: exact where names have one length, else to about .01, as if names of a
    cycle were independent.

    Args:
        coder: How names are written.
        nodes: Of a cycle of test.
        sizes: Of cycles of training that ask for as many hops.
        hops: k, no whole rounds.
    """
    edges = hops % nodes
    if nodes - edges < edges:  # the way back is shorter, and fixes the answer with the number of nodes alone
        edges, sizes = nodes - edges, (nodes,)
    # Beyond a whole round the number of nodes is part of what fixes the answer.
    sizes = tuple(n for n in sizes if n > hops or n == nodes)
    words = coder.words
    if cycles(words, nodes) <= MOST_CYCLES:
        return _seen_share(coder, nodes, sizes, edges)
    others = sum(math.perm(words - edges - 1, n - edges - 1) for n in sizes) - 1  # cycles with the path, but its own
    chance = 0.25 ** min(others, 600)
    lengths = rng.integers(rng.words(rng.stream("paths"), np.arange(_SAMPLE), edges + 1), len(coder.lengths))
    chances = -np.log(np.diff(coder.starts) * float(len(coder.lengths)))  # of one name, by its length
    often = TRAINING_QUESTIONS * np.exp(chances[lengths].sum(axis=1))
    if len(coder.lengths) == 1:
        often = np.array([TRAINING_QUESTIONS / paths(words, edges)])
    return float((1 - chance) * -np.expm1(-often).mean())


@cache
def _every_path(coder: Codec, nodes: int, edges: int, split: str) -> tuple[Tokens, Shares]:
    """Codes [C * nodes] of the paths of a split's cycles, and how often each is drawn."""
    rings, owner, weights = every_cycle(coder, nodes)
    mine = owner == split
    codes = np.zeros_like(rings[mine])
    for step in range(edges + 1):
        codes = codes * coder.words + np.roll(rings[mine], -step, axis=1)
    return codes.reshape(-1), np.repeat(weights[mine], nodes)


def _seen_share(coder: Codec, nodes: int, sizes: tuple[int, ...], edges: int) -> float:
    training = np.concatenate([_every_path(coder, n, edges, "train")[0] for n in sizes])
    tests, weight = _every_path(coder, nodes, edges, "test")
    return float(weight[np.isin(tests, training)].sum() / weight.sum())


# --- guesses that know a part of the cycle, or nothing but the question ---


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


def word_floors(coder: Codec, nodes: int) -> tuple[float, float]:
    """What always the same word gets right, and one that is not the start; both of the shortest length.

    Exact where words have one length or two; with more lengths, as if the longer ones never ran out.
    """
    short, n, m = coder.letters ** coder.lengths[0], nodes, np.arange(nodes + 1)
    share = np.maximum(m - 1, 0) / max(1, short - 1)  # of the other short words, the share on a cycle with m of them
    shares = _short_words(coder, nodes)
    question_only = shares @ (m / n * share + (1 - m / n) * m / short) / (n - 1)
    return float(shares @ m / short / n), float(question_only)


def _short_words(coder: Codec, nodes: int) -> NDArray[np.float64]:
    """P(m words of the shortest length among the names of a cycle), m = 0..nodes, node by node."""
    sizes = np.diff(coder.starts)
    m, chances = np.arange(nodes + 1), np.zeros(nodes + 1)
    chances[0] = 1.0
    for named in range(nodes):
        fresh = np.maximum(0, 1 - m / sizes[0])
        others = np.maximum(0, len(sizes) - 1 - np.maximum(named - m, 0) / sizes[1:].sum()) if len(sizes) > 1 else 0
        more = chances * fresh / np.maximum(fresh + others, 1e-300)
        chances = chances - more + np.concatenate([[0.0], more[:-1]])
    return chances
