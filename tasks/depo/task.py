"""Depo: read the shuffled edges of a directed cycle, then tell which node lies k hops after a given one.

Source: arXiv 2605.26099, Figure 3; the task is Allen-Zhu's (Physics of Language Models 4.1). An example with 3 nodes
a, b, cd of the cycle a -> cd -> b -> a and 2 questions, one row per window:

    _ _ b a a c- d     consolidated, then evicted (left-padded; the border of a window may cut an edge)
    c- d b ...         consolidated, then evicted
    k=2 a => b k=1 ...  predicted: the target of => is the first token of the answer, and so on to its last

Nodes are named by words (`tasks.depo.codec`). k beyond the number of nodes wraps round. Every question has a start
of its own. Answers count one by one: what a model does is its accuracy at each k.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from tasks import rng
from tasks.base import IGNORE, Episode, Task, Tokens, check_whole, nearest
from tasks.depo import notes, splits
from tasks.depo.codec import PAD, Codec
from tasks.depo.cycles import CycleSampler, blocks, sizes_of_cycles
from tasks.depo.paths import nodes_after_hops, path_hashes
from tasks.memories import MOST_NAMES, Memory
from tasks.ragged import ABSENT, at, distinct_numbers, halves, pack, permutations

DISTRIBUTIONS = ("peer", "uniform", "fixed")
"""Nodes of a training cycle: P(n) proportional to 1 / (n + sqrt(N)) on 3..N; uniform on 3..N; always N."""

_FEWEST = 256  # cycles that leave each split some: an eighth of 256 is none once in 10^15


@dataclass(frozen=True, kw_only=True)
class Depo(Task):
    """The node k hops along a directed cycle that was read and evicted.

    Training asks for any k up to `max_hops` on cycles of up to `nodes` nodes; held-out examples have `nodes` nodes and
    k in `levels`. Whole cycles are held out: a cycle, whatever the order of its edges, belongs to one split. The path
    of edges that fixes an answer is not: see `shortcuts`.

    Attributes:
        nodes: N, most nodes of a cycle.
        max_hops: K.
        questions: Most questions of an example; fewer on cycles with fewer nodes.
        codec: How names are written: "1-2", "2-2", "arrows", "bare", or "A-B" for words of A to B letters.
        letters: V, letters of the alphabet.
        distribution: Nodes of a training cycle: "peer", "uniform" or "fixed".
        train_hops: The k asked in training; empty for 1..K.
        test_hops: The k asked in held-out examples; empty for the powers of two.
        window_tokens: L.
    """

    name: ClassVar[str] = "depo"
    version: ClassVar[int] = 1
    axis: ClassVar[str] = "hops"
    joint: ClassVar[bool] = False

    nodes: int = 75
    max_hops: int = 16
    questions: int = 10
    codec: str = "1-2"
    letters: int = 50
    distribution: str = "peer"
    train_hops: tuple[int, ...] = ()
    test_hops: tuple[int, ...] = ()
    window_tokens: int = 75

    def __post_init__(self) -> None:
        """Refuse what does not fit, cannot be named, or asks nothing."""
        check_whole("nodes", self.nodes, 3)
        check_whole("max_hops", self.max_hops, 1, most=2**12)
        check_whole("questions", self.questions, 1)
        check_whole("letters", self.letters, 1)
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(nearest(self.distribution, DISTRIBUTIONS, kind="distribution"))
        for name in ("train_hops", "test_hops"):
            for k in getattr(self, name):
                check_whole(name, k, 1, self.max_hops, "max_hops")
        for k in self.test_hops:
            if not k % self.nodes:
                raise ValueError(f"test_hops must not go whole rounds of the {self.nodes} nodes; given {k}")
        if not self.levels:
            raise ValueError(f"max_hops {self.max_hops} leaves no power of two to test with on {self.nodes} nodes")
        # Names are drawn until they differ: the last of W names in use would take about W draws.
        words = self.coder.words
        if words < self.nodes * 1.25:
            raise ValueError(
                f"codec {self.codec!r} over {self.letters} letters has {words} names; {self.nodes} nodes need at least "
                f"{math.ceil(self.nodes * 1.25)}"
            )
        for n in {self.nodes, self.nodes if self.distribution == "fixed" else 3}:
            if (many := splits.cycles(words, n)) < _FEWEST:
                raise ValueError(
                    f"too few cycles to hold some out: {n} of {words} names make {many}; at least {_FEWEST} needed"
                )
        check_whole("window_tokens", self.window_tokens, 1, most=2**20)
        if self.questions * self.coder.question_tokens > self.window:
            raise ValueError(
                f"{self.questions} questions take up to {self.questions * self.coder.question_tokens} tokens and must "
                f"fit in one window of {self.window}; allowed here: up to "
                f"{self.window // self.coder.question_tokens} questions"
            )

    @cached_property
    def coder(self) -> Codec:
        """The codec."""
        return Codec(self.codec, self.letters, self.max_hops)

    @cached_property
    def _cycles(self) -> CycleSampler:
        return CycleSampler(self.coder, self.nodes)

    @property
    def vocab_size(self) -> int:
        """Padding, letters, last letters, hops, signs."""
        return self.coder.vocab_size

    @property
    def window(self) -> int:
        """L: `window_tokens`."""
        return self.window_tokens

    @property
    def _read_tokens(self) -> int:
        """Tokens of the windows that hold the edges."""
        return -(-self.nodes * self.coder.edge_tokens // self.window) * self.window

    def edges_of(self, inputs: Tokens) -> Tokens:
        """Tokens [B, R] of those windows, with padding in the place of whatever is no edge."""
        return inputs[:, : self._read_tokens]

    @property
    def seq_len(self) -> int:
        """T: the padded edges, then the questions."""
        return self._read_tokens + self.questions * self.coder.question_tokens

    @property
    def answers(self) -> int:
        """One per question."""
        return self.questions

    @property
    def levels(self) -> tuple[int, ...]:
        """The k asked in held-out examples, without whole rounds: those ask for the start itself."""
        powers = (1 << i for i in range(self.max_hops.bit_length()))
        return self.test_hops or tuple(k for k in powers if k % self.nodes)

    def at(self, level: int) -> Self:
        """The same task asking one k only, in training too."""
        return replace(self, train_hops=(level,), test_hops=(level,))

    def chance(self, difficulty: int, answer: int | None = None) -> float:
        """1 / (N - 1): a random guess that knows the N names, and that the answer is not the start; of every split."""
        check_whole("difficulty", difficulty, 1, self.max_hops)
        self.check_answer(answer)
        return 1 / (self.nodes - 1) if difficulty % self.nodes else 1.0

    def floors(self, difficulty: int, answer: int | None = None) -> dict[str, float]:
        """Always the same word; and a table of (start, k). Both are fitted to training, of N nodes, and asked on test.

        Where there are few cycles, by counting those of both splits: what is frequent in one is rare in the other.
        Where there are many the splits are alike to sampling, and both give a word of the shortest length, the second
        one that is not the start (`splits.word_floors`).
        """
        chance = self.chance(difficulty, answer)
        if chance < 1 and splits.cycles(self.coder.words, self.nodes) <= splits.MOST_CYCLES:
            majority, question_only = splits.table_floors(self.coder, self.nodes, difficulty)
            return {"majority": majority, "question_only": question_only}
        majority, question_only = splits.word_floors(self.coder, self.nodes)
        return {"majority": majority, "question_only": question_only if chance < 1 else 1.0}

    def shortcuts(self, difficulty: int) -> dict[str, float]:
        """Guesses that know a part of the cycle, `neighbours` and `shorter_hops`; and a table over what fixes answers.

        `path_table` has found the edges that fix the answer among all others, k from the start or N - k into it,
        whichever are fewer, and looks up where such a path has led in training; a path never met is guessed. Of W names
        a path of e edges has W (W - 1) ... (W - e) forms (`splits.paths`): with 12 names and 7 nodes 132 at k = 1
        and 11,880 at k = 3 and 4. On test, after as much training as is useful to a table (`splits.ASKED`); the
        guesses are random and get as much on every split.
        """
        guesses = splits.partial_knowledge(self.nodes, check_whole("difficulty", difficulty, 1, self.max_hops))
        if difficulty % self.nodes:
            share = self._seen_paths(difficulty)
            guesses["path_table"] = share + (1 - share) * self.chance(difficulty)
        return guesses

    def _seen_paths(self, k: int) -> float:
        """Share of the paths of k edges of test that training has asked for."""
        if self.train_hops and k not in self.train_hops:
            return 0.0
        sizes = (self.nodes,) if self.distribution == "fixed" else tuple(range(3, self.nodes + 1))
        return splits.seen_paths(self.coder, self.nodes, sizes, k)

    def held_out(self, difficulty: int) -> str:
        """Questions that training does not ask; else nothing: what fixes an answer is in every split.

        Whole cycles are held out, but k hops on are also N - k hops back, so a half of a cycle at most is enough. With
        many names nearly all such paths are new all the same: `shortcuts` says what a table of them gets.
        """
        k = check_whole("difficulty", difficulty, 1, self.max_hops)
        return f"questions for {k} hops" if self.train_hops and k not in self.train_hops else ""

    def determinants(self, episode: Episode) -> rng.Words:
        """Hashes [B, questions] of k and the names along the path of k edges, or where that is shorter of n - k.

        The way back, from the answer to the start, fixes it only with n, the number of nodes, which is then hashed too,
        as it is where k goes beyond a whole round.
        """
        asked = episode.inputs[:, self._read_tokens :]
        return path_hashes(self.edges_of(episode.inputs), asked, self.coder, self.questions)

    def memories(self, episode: Episode) -> tuple[Memory, ...]:
        """The node 1..K hops after each name; nothing where names are too many to fit a probe for each."""
        if self.coder.words > MOST_NAMES:
            return ()
        chances = [self.chance(k) for k in range(1, self.max_hops + 1)]
        return nodes_after_hops(self.edges_of(episode.inputs), self.coder, chances)

    def notes(self, kind: str, episode: Episode) -> Mapping[int, Tokens]:
        """Of each window that is read what follows from the edges so far; of the prediction the walks to its answers.

        Workings are tables of the nodes 2, 4, ... up to K hops on; at K = 1 there are none. Questions are all that
        training might ask, with their answers, whatever the episode asks.
        """
        edges, asked = self.edges_of(episode.inputs), episode.inputs[:, self._read_tokens :]
        if super().notes(kind, episode) or kind == "questions":
            hops = self.train_hops or range(1, self.max_hops + 1)
            return notes.questions_about(edges, self.window, self.coder, hops, self.nodes)
        return notes.workings(edges, asked, episode.answer[:, self._read_tokens :] >= 0, self.window, self.coder)

    def word(self, token: int) -> str:
        """A letter of a name (with a dash behind it if more follow), k=3, a sign, or an underscore for padding."""
        return self.coder.token_text(token)

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = padding, edges, then questions with their answers, padding."""
        # The random words of an example: one for its nodes, then those of questions, order of edges, and cycle.
        law = self.distribution if split == "train" else "fixed"
        n = sizes_of_cycles(rng.words(key, indices, 1)[:, 0], self.nodes, law)
        first = 1 + 3 * self.questions + -(-self.nodes // 2)
        cycles, hashes = self._cycles.draw(split, key, indices, n, first)
        # In one piece: memory of its own for each array costs more than all that is done with it.
        inputs, targets, answer, difficulty = arrays = np.empty((4, len(indices), self.seq_len), dtype=np.int64)
        arrays[:] = np.reshape([PAD, IGNORE, -1, -1], (4, 1, 1))
        for rows in blocks(n):
            edges = self._edges(cycles[rows, : n[rows[-1]]], key, indices[rows], n[rows])
            inputs[rows, self._read_tokens - edges.shape[1] : self._read_tokens] = edges
        asked, number, hops = self._questions(split, cycles, key, indices, n)
        inputs[:, self._read_tokens :] = asked
        # A target stands where the token before it is read.
        targets[:, self._read_tokens : -1] = np.where(number[:, 1:] >= 0, asked[:, 1:], IGNORE)
        answer[:, self._read_tokens : -1] = number[:, 1:]
        difficulty[:, self._read_tokens : -1] = hops[:, 1:]
        return Episode(
            inputs=inputs,
            targets=targets,
            window=self.window,
            difficulty=difficulty,
            answer=answer,
            content=hashes[:, None],
            facts={"nodes": n},
        )

    def _edges(self, cycles: Tokens, key: np.uint64, indices: Tokens, n: Tokens) -> Tokens:
        """Tokens [b, most * edge_tokens] of the edges in random order, padded on the left."""
        most = cycles.shape[1]
        words = rng.words(key, indices, -(-most // 2), 1 + 3 * self.questions)
        order = permutations(halves(words)[:, :most], n, self.nodes)
        after = np.where(order == n[:, None] - 1, 0, order + (order != ABSENT))
        tokens = self.coder.edges(at(cycles, order), at(cycles, after))
        return pack(tokens, tokens != ABSENT, most * self.coder.edge_tokens, PAD, right=True)

    def questions_drawn(self, split: str, key: np.uint64, indices: Tokens, n: Tokens) -> tuple[Tokens, Tokens]:
        """The k of each question, and its start as a number below `n` [B], different ones, then ABSENT; [B, Q] both."""
        picks, ranks, ks = np.split(rng.words(key, indices, 3 * self.questions, 1), 3, axis=1)
        hops = np.array(self.levels if split != "train" else self.train_hops or range(1, self.max_hops + 1))
        return hops[rng.integers(ks, len(hops))], distinct_numbers(picks, ranks, n)

    def _questions(
        self, split: str, cycles: Tokens, key: np.uint64, indices: Tokens, n: Tokens
    ) -> tuple[Tokens, Tokens, Tokens]:
        """Of each token of the questions [b, T - read]: its id, the number of its answer, the k of that; -1: none."""
        k, starts = self.questions_drawn(split, key, indices, n)
        ends = np.where(starts == ABSENT, ABSENT, (starts + k) % n[:, None])
        tokens, is_answer = self.coder.questions(k, at(cycles, starts), at(cycles, ends))
        present, width = tokens != ABSENT, self.seq_len - self._read_tokens
        # A token and what is said of it lie in one number, so that both are packed at once.
        facts = np.where(is_answer, (np.arange(self.questions) + 1)[:, None] << 16 | (k << 32)[..., None], 0)
        both = pack(tokens | facts, present, width, PAD)
        return both & 0xFFFF, (both >> 16 & 0xFFFF) - 1, np.where(both >> 32 > 0, both >> 32, -1)

    def example(self, index: int = 0, split: str = "train", seed: int = 0) -> str:
        """One example drawn for a human: its windows, then its cycle and, per question, the walk to the answer."""
        windows = super().example(index, split, seed)
        inputs = self.episodes(split, [index], seed).inputs
        return "\n".join([windows, "", *self.coder.walks(self.edges_of(inputs)[0], inputs[0, self._read_tokens :])])
