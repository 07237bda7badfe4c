"""Interference: read facts of two kinds in alternate windows, then tell some of either. Does one disturb the other?

Both kinds say something of the same keys: the first gives them letters, the second numbers, so that what is stored
under a key must be kept apart by kind. An example of 2 pairs of each kind, 2 queries, and windows of 2 pairs:

    k4 a7 k1 a2  consolidated, then evicted: the first kind
    k1 b5 k4 b3  consolidated, then evicted: the second, under the same keys
    B k4 b3 k1   predicted: targets b3 at k4, b5 at k1; which kind is asked is told after all are gone

With `shared_keys` off each kind has keys of its own: as much is stored, and nothing collides. The difference between
the two is interference. Keys of a kind are distinct, values are independent and may repeat.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tasks import rng
from tasks.base import IGNORE, Episode, Tokens
from tasks.memories import Memory, values_of_keys
from tasks.recall import PAD, Recall

KINDS = 2
_FIRST_KEY = 1 + KINDS  # padding, then the kinds, then keys, then the values of each kind


@dataclass(frozen=True, kw_only=True)
class Interference(Recall):
    """Values of some keys in one of two kinds of facts, read in alternate windows and evicted.

    Held out by content: the set of facts of both kinds, whatever their order, belongs to one split.

    Attributes:
        pairs: Key-value pairs of each kind.
        keys: Different keys there are.
        values: Different values that each kind has.
        queries: Keys of one kind whose values are asked.
        window_tokens: L: two tokens a pair, all of one kind.
        shared_keys: Both kinds are about the same keys; else about different ones.
    """

    name: ClassVar[str] = "interference"
    version: ClassVar[int] = 1

    pairs: int = 4
    window_tokens: int = 8
    queries: int = 2
    shared_keys: bool = True

    def __post_init__(self) -> None:
        """Refuse what does not fit, or leaves nothing to hold out."""
        super().__post_init__()
        if 2 * self.queries > self.window:
            raise ValueError(
                f"{self.queries} queries take {2 * self.queries} tokens, the kind included, and must fit in one window "
                f"of {self.window} tokens; allowed here: 1..{self.window // 2} queries"
            )
        if not self.shared_keys and self.keys < KINDS * self.pairs:
            raise ValueError(
                f"keys must be >= {KINDS * self.pairs} where the kinds share none of their {self.pairs}; given "
                f"{self.keys}"
            )

    @property
    def vocab_size(self) -> int:
        """Padding, kinds, keys, the values of each kind."""
        return _FIRST_KEY + self.keys + KINDS * self.values

    @property
    def _read_windows(self) -> int:
        """Windows that hold the pairs of both kinds, each window those of one."""
        return KINDS * -(-2 * self.pairs // self.window)

    @property
    def seq_len(self) -> int:
        """T: the pairs, then the kind and the questions; the last value is asked, so never given."""
        return self._read_windows * self.window + 2 * self.queries

    def floors(self, difficulty: int, answer: int | None = None) -> dict[str, float]:
        """One constant answer is of one kind, and wrong whenever the other is asked; the question tells the kind."""
        chance = self.chance(difficulty, answer)
        return {"majority": chance / KINDS, "question_only": chance}

    def memories(self, episode: Episode) -> tuple[Memory, ...]:
        """The value of each key of each kind that was read."""
        reading = self._read_windows * self.window
        read = episode.inputs[:, :reading].reshape(len(episode.inputs), reading // 2, 2)
        pairs = read[read[..., 0] != PAD].reshape(-1, KINDS * self.pairs, 2)
        value = pairs[..., 1] - _FIRST_KEY - self.keys
        facts = [pairs[..., 0] - _FIRST_KEY + self.keys * (value // self.values), value % self.values]
        return values_of_keys(np.stack(facts, axis=-1), KINDS * self.keys, self.values, self.levels[0])

    def determinants(self, episode: Episode) -> rng.Words:
        """Hashes [B, queries] of the key asked and its value, which tells the kind: a fact is its own answer."""
        start = self._read_windows * self.window + 1
        keys, values = episode.inputs[:, start::2], episode.targets[:, start::2]
        return rng.content_hash((keys << 32 | values)[..., None])

    def word(self, token: int) -> str:
        """A and B for the kinds, k0, k1, ... for keys, a0, ... and b0, ... for their values, underscore for padding."""
        if token < _FIRST_KEY:
            return "_AB"[token]
        if token < _FIRST_KEY + self.keys:
            return f"k{token - _FIRST_KEY}"
        kind, value = divmod(token - _FIRST_KEY - self.keys, self.values)
        return f"{'ab'[kind]}{value}"

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = pairs in windows of alternating kind, the kind asked, queries."""
        words = rng.words(key, indices, 1 + self.pairs)
        kind = rng.integers(words[:, 0], KINDS)
        asked = np.argsort(words[:, 1:], axis=1, kind="stable")[:, : self.queries]
        width = (KINDS * self.keys, KINDS * self.pairs)  # of an attempt: orders of keys, then values

        def draw(rows: Tokens, attempt: Tokens) -> tuple[Tokens, rng.Words]:
            drawn = rng.words(key, rows, sum(width), 1 + self.pairs + attempt * sum(width))
            orders = np.argsort(drawn[:, : width[0]].reshape(len(rows), KINDS, self.keys), axis=-1, kind="stable")
            keys = orders[..., : self.pairs]
            if self.shared_keys:  # the keys of the first kind, in another order
                again = np.argsort(drawn[:, self.keys : self.keys + self.pairs], axis=-1, kind="stable")
                keys[:, 1] = np.take_along_axis(keys[:, 0], again, axis=-1)
            else:
                keys[:, 1] = orders[:, 0, self.pairs : KINDS * self.pairs]
            values = rng.integers(drawn[:, width[0] :], self.values).reshape(keys.shape)
            # As in `tasks.recall`: a fact's code holds no size of this config.
            codes = np.arange(KINDS)[:, None] << 62 | keys << 31 | values
            return np.stack([keys, values], axis=-1), rng.content_hash(codes.reshape(len(rows), width[1]))

        facts, hashes, _ = rng.draw_in_split(draw, split, indices)  # [B, KINDS, pairs, 2]
        tokens = facts + _FIRST_KEY
        tokens[..., 1] += self.keys + np.arange(KINDS)[:, None] * self.values
        return self._laid_out(tokens, kind, asked, hashes)

    def _laid_out(self, tokens: Tokens, kind: Tokens, asked: Tokens, hashes: rng.Words) -> Episode:
        """Examples from tokens [B, KINDS, pairs, 2] of facts, the kind [B] and the places [B, queries] asked."""
        of_kind = np.take_along_axis(tokens, kind[:, None, None, None], axis=1)[:, 0]
        questions = np.take_along_axis(of_kind, asked[..., None], axis=1)
        batch, reading = len(tokens), self._read_windows * self.window
        padded = np.full((batch, KINDS, reading // KINDS), PAD, dtype=np.int64)
        padded[..., reading // KINDS - 2 * self.pairs :] = tokens.reshape(batch, KINDS, 2 * self.pairs)
        windows = padded.reshape(batch, KINDS, self._read_windows // KINDS, self.window)
        inputs = np.empty((batch, self.seq_len), dtype=np.int64)
        inputs[:, :reading] = windows.swapaxes(1, 2).reshape(batch, reading)
        inputs[:, reading] = 1 + kind
        inputs[:, reading + 1 :] = questions.reshape(batch, 2 * self.queries)[:, :-1]
        targets = np.full_like(inputs, IGNORE)
        answer, difficulty = np.full_like(inputs, -1), np.full_like(inputs, -1)
        at = slice(reading + 1, None, 2)
        targets[:, at] = questions[..., 1]
        answer[:, at] = np.arange(self.queries)
        difficulty[:, at] = self.levels[0]
        return Episode(
            inputs=inputs,
            targets=targets,
            window=self.window,
            difficulty=difficulty,
            answer=answer,
            content=hashes[:, None],
            facts={"kind": kind},
        )


if __name__ == "__main__":
    from tasks.command import main

    main(Interference)
