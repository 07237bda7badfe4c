"""Colors: read what color things have, then tell that of one. Recall in sentences, as a pretrained decoder knows them.

An example of 2 facts, both in one window of 10 tokens:

    The lemon is red . The chair is blue .    consolidated, then evicted
    The color of the chair is                 predicted: the target blue at the last "is"

Things of an example are distinct, and so are their colors. Who knows which colors were read, but not whose, is right
once in as many times as there are facts: `seen_colors`, what a memory must be above before it can be said to bind.
Source: multi-query associative recall (arXiv 2312.04927) in words; windows and eviction of arXiv 2605.26099.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from tasks import rng
from tasks.base import IGNORE, Episode, Task, Tokens, check_whole
from tasks.memories import Memory, values_of_keys
from tasks.pieces import check_named, digest
from tasks.sentences import COLORS, NOUNS, Layout, fact, layout, question

_FEWEST = 256  # contents that leave each held-out split some


@dataclass(frozen=True, kw_only=True)
class Colors(Task):
    """The color of a thing, which a sentence that was evicted said.

    Held out by content: the set of facts, whatever their order, belongs to one split.

    Attributes:
        facts: Facts that are read.
        facts_per_window: Of them in each window, L / 5 of a token per word.
        nouns: Different things there are.
        colors: Different colors there are.
        tokenizer: Folder whose tokenizer.json cuts the texts, as a pretrained decoder knows them; empty: a token per
            word. No part of an example's address, which knows the content.
        tokenizer_sha256: Digest of that file; another is refused. Empty takes what is there.
    """

    name: ClassVar[str] = "colors"
    version: ClassVar[int] = 1
    axis: ClassVar[str] = "facts"

    facts: int = 4
    facts_per_window: int = 2
    nouns: int = 16
    colors: int = 8
    tokenizer: str = field(default="", metadata={"place": True})
    tokenizer_sha256: str = field(default="", metadata={"later": True})

    def __post_init__(self) -> None:
        """Refuse what does not fit, leaves nothing to hold out, or is cut into pieces that cannot be laid out."""
        check_whole("nouns", self.nouns, 1, len(NOUNS), "as many are listed")
        check_whole("colors", self.colors, 2, len(COLORS), "as many are listed")
        check_whole(
            "facts", self.facts, 1, min(self.nouns, self.colors), "things and colors of an example are distinct"
        )
        check_whole("facts_per_window", self.facts_per_window, 1, self.facts, "facts")
        if self.facts % self.facts_per_window:
            raise ValueError(
                f"facts must fill whole windows, of facts_per_window = {self.facts_per_window}; given {self.facts}"
            )
        contents = math.comb(self.nouns, self.facts) * math.perm(self.colors, self.facts)
        if contents < _FEWEST:
            raise ValueError(
                f"too few contents to hold some out: facts={self.facts}, nouns={self.nouns}, colors={self.colors} "
                f"make {contents}; at least {_FEWEST} are needed"
            )
        if self.tokenizer and not self.tokenizer_sha256:
            object.__setattr__(self, "tokenizer_sha256", digest(self.tokenizer))
        if (asked := len(self._layout.question)) > self.window:
            raise ValueError(
                f"facts_per_window = {self.facts_per_window} makes windows of {self.window} tokens, and the question "
                f"has {asked}: more facts are needed in each"
            )

    @property
    def _layout(self) -> Layout:
        """The sentences as tokens."""
        return layout(self.nouns, self.colors, self.tokenizer, self.tokenizer_sha256)

    @property
    def vocab_size(self) -> int:
        """The words of the sentences; or all pieces of the tokenizer."""
        return self._layout.tokens.vocab_size

    @property
    def window(self) -> int:
        """L: some facts."""
        return self.facts_per_window * len(self._layout.fact)

    @property
    def seq_len(self) -> int:
        """T: the facts, then the question; the color is asked, so never given."""
        return self.facts * len(self._layout.fact) + len(self._layout.question)

    @property
    def answers(self) -> int:
        """One color."""
        return 1

    @property
    def landmarks(self) -> tuple[int, ...]:
        """One window of facts, and its doublings up to as many as colors."""
        doublings = (self.facts_per_window << i for i in range(len(COLORS).bit_length()))
        return tuple(facts for facts in doublings if facts <= min(self.nouns, self.colors))

    def chance(self, difficulty: int, answer: int | None = None) -> float:
        """1 / colors: a guess without having read."""
        self._check(difficulty)
        self.check_answer(answer)
        return 1 / self.colors

    def shortcuts(self, difficulty: int) -> dict[str, float]:
        """One of the colors that were read, blindly: what is kept of an example is their set, and not whose they are.

        Another is that of the first, or of the last, fact: as often right.
        """
        self._check(difficulty)
        return {"seen_colors": 1 / difficulty}

    def _check(self, difficulty: int) -> None:
        check_whole("difficulty", difficulty, 1, min(self.nouns, self.colors), "number of facts")

    def colors_read(self, episode: Episode) -> Tokens:
        """Tokens [B, facts] of the colors that were read."""
        return self._read(episode)[..., self._layout.color_at]

    def _read(self, episode: Episode) -> Tokens:
        """Tokens [B, facts, of a fact] that were read."""
        length = len(self._layout.fact)
        return episode.inputs[:, : self.facts * length].reshape(-1, self.facts, length)

    def memories(self, episode: Episode) -> tuple[Memory, ...]:
        """The color of each thing that was read."""
        texts, read = self._layout, self._read(episode)
        noun, color = (
            np.argmax(read[..., at, None] == ids, axis=-1)
            for at, ids in ((texts.noun_at, texts.nouns), (texts.color_at, texts.colors))
        )
        return values_of_keys(np.stack([noun, color], axis=-1), self.nouns, self.colors, self.facts)

    def determinants(self, episode: Episode) -> rng.Words:
        """Hashes [B, 1] of the thing asked and its color: this asks for storage, so a fact is its own answer."""
        asked = [episode.facts[name].astype(np.int64) for name in ("noun", "color")]
        return rng.content_hash((asked[0] << 32 | asked[1])[:, None])[:, None]

    def word(self, token: int) -> str:
        """The token's word, or piece."""
        return self._layout.tokens.word(token)

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = facts, then the question; the target at its last token.

        Raises:
            ValueError: pieces of a tokenizer are asked for whose folder is not named.
        """
        check_named(self.tokenizer, self.tokenizer_sha256)
        texts, asked = self._layout, rng.integers(rng.words(key, indices, 1), self.facts)
        facts, hashes = self._facts(split, indices, key)
        batch, reading = len(indices), self.facts * len(texts.fact)
        read = np.tile(texts.fact, (batch, self.facts, 1))
        read[..., texts.noun_at] = texts.nouns[facts[..., 0]]
        read[..., texts.color_at] = texts.colors[facts[..., 1]]
        noun, color = np.take_along_axis(facts, asked[..., None], axis=1)[:, 0].T
        inputs = np.empty((batch, self.seq_len), dtype=np.int64)
        inputs[:, :reading] = read.reshape(batch, reading)
        inputs[:, reading:] = texts.question
        inputs[:, reading + texts.asked_at] = texts.nouns[noun]
        targets = np.full_like(inputs, IGNORE)
        answer, difficulty = np.full_like(inputs, -1), np.full_like(inputs, -1)
        targets[:, -1], answer[:, -1], difficulty[:, -1] = texts.colors[color], 0, self.facts
        return Episode(
            inputs=inputs,
            targets=targets,
            window=self.window,
            difficulty=difficulty,
            answer=answer,
            content=hashes[:, None],
            facts={"noun": noun, "color": color, "fact": asked[:, 0]},
        )

    def _facts(self, split: str, indices: Tokens, key: np.uint64) -> tuple[Tokens, rng.Words]:
        """Numbers [B, facts, 2] of things and their colors, in the order read; hashes [B] of the sets."""

        def draw(rows: Tokens, attempt: Tokens) -> tuple[Tokens, rng.Words]:
            width = self.nouns + self.colors
            words = rng.words(key, rows, width, 1 + attempt * width)
            parts = (words[:, : self.nouns], words[:, self.nouns :])
            nouns, colors = (np.argsort(part, axis=1, kind="stable")[:, : self.facts] for part in parts)
            # A fact's code holds no size of this config: equal facts are in one split in every config.
            return np.stack([nouns, colors], axis=-1), rng.content_hash(nouns << 32 | colors)

        facts, hashes, _ = rng.draw_in_split(draw, split, indices)
        return facts, hashes

    def prompt(self, split: str, indices: ArrayLike, seed: int = 0) -> list[str]:
        """Facts and question of each example as text."""
        rows = np.asarray(indices, dtype=np.int64)
        facts, _ = self._facts(split, rows, self.key(split, seed))
        asked = self.episodes(split, rows, seed).facts["noun"]
        return [
            "".join(fact(NOUNS[noun], COLORS[color]) for noun, color in of) + question(NOUNS[noun_asked])
            for of, noun_asked in zip(facts.tolist(), asked.tolist(), strict=True)
        ]

    def records(self, split: str, indices: ArrayLike, seed: int = 0) -> list[dict[str, Any]]:
        """As of any task, with the prompt as text."""
        rows = super().records(split, indices, seed)
        for row, prompt in zip(rows, self.prompt(split, indices, seed), strict=True):
            row["prompt"] = prompt
        return rows


if __name__ == "__main__":
    from tasks.command import main

    main(Colors)
