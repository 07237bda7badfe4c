"""Depo whose questions are foretold: the reader is told before its last sleep what it will be asked, rightly or not.

An example of Depo, and behind its edges as many questions as will be asked, without their answers:

    _ a b c a b c k=2 a k=1 b    consolidated, then evicted
    k=2 a c k=3 c b              predicted: the first question was foretold, the second was not

Each question is foretold with probability p, in its place; in the place of one that is not stands another of the same
cycle, drawn as questions are, so that what is read looks alike at every p and a sleep cannot know which it has. It asks
whether compute before a question helps because the question is predictable (sleep-time compute, arXiv 2504.13171).
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tasks import rng
from tasks.base import Episode, Tokens
from tasks.depo.codec import PAD
from tasks.depo.paths import names_in, questions_in
from tasks.depo.task import Depo
from tasks.ragged import ABSENT, at, pack


@dataclass(frozen=True, kw_only=True)
class ForetoldDepo(Depo):
    """The node k hops along a cycle, where each question is told with probability p before the cycle is evicted.

    Chance, floors, shortcuts and what is held out are those of `Depo`: a question without its answer says of the
    cycle no more than that its start is one of the nodes, and a guess among the nodes knows that.

    Attributes:
        predictability: p, of each question by itself. At 0 one is foretold by accident alone, once in as many times as
            the cycle has questions.
    """

    name: ClassVar[str] = "depo_foretold"
    version: ClassVar[int] = 1

    predictability: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what Depo refuses, and what is no probability."""
        super().__post_init__()
        if not 0 <= self.predictability <= 1:
            raise ValueError(f"predictability must be in 0..1; given {self.predictability!r}")

    @property
    def _told_tokens(self) -> int:
        """Most tokens of the questions without answers."""
        return self.questions * (self.coder.question_tokens - self.coder.lengths[-1])

    @property
    def _read_tokens(self) -> int:
        """Tokens of the windows that hold edges, then questions."""
        return -(-(self.nodes * self.coder.edge_tokens + self._told_tokens) // self.window) * self.window

    def edges_of(self, inputs: Tokens) -> Tokens:
        """Tokens [B, R] of those windows, with padding in the place of whatever is no edge."""
        read = inputs[:, : self._read_tokens].copy()
        read[:, self._read_tokens - self._told_tokens :] = PAD
        return read

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B] of Depo, with the questions that are told between edges and questions.

        The fact `foretold` [B, questions] says which are.
        """
        episode = super().generate(split, indices, key)
        inputs, n, edges = episode.inputs, episode.facts["nodes"], self._read_tokens - self._told_tokens
        inputs[:, :edges] = inputs[:, self._read_tokens - edges : self._read_tokens]
        k, starts = questions_in(inputs[:, self._read_tokens :], self.coder, self.questions)
        stream = rng.stream("foretold", key)  # of its own, so that what is asked is what Depo would ask
        other_k, places = self.questions_drawn(split, stream, indices, n)
        others = at(names_in(inputs[:, :edges], self.coder)[:, ::2], places)
        luck = rng.words(stream, indices, self.questions, 1 + 3 * self.questions)
        right = (luck >> np.uint64(11)) * 2.0**-53 < self.predictability
        told_k, told_starts = np.where(right, k, other_k), np.where(right, starts, others)
        tokens, _ = self.coder.questions(told_k, told_starts, np.full_like(told_starts, ABSENT))
        inputs[:, edges : self._read_tokens] = pack(tokens, tokens != ABSENT, self._told_tokens, PAD)
        foretold = (told_k == k) & (told_starts == starts) & (starts != ABSENT)
        return replace(episode, facts={**episode.facts, "foretold": foretold})


if __name__ == "__main__":
    from tasks.command import main

    main(ForetoldDepo)
