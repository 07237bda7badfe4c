"""Codecs of Depo: how nodes are named and written in tokens.

A name is a word of letters whose last letter has an id of its own, so the code is prefix-free and a reader always knows
where a name ends. A word's length is uniform, then its letters are; names of one cycle are distinct, by drawing again.
"""

import textwrap
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tasks.base import Tokens, nearest
from tasks.ragged import ABSENT

PAD = 0

CODECS = ("1-2", "2-2", "arrows", "bare")
"""Words of 1 or 2 letters; of 2; of 1, with an arrow and a comma in every pair; of 1, with nothing between."""

_MOST_WORDS = 1 << 20


@dataclass(frozen=True)
class Codec:
    """Token ids: 0 padding, letters, last letters, hops 1..K, then the signs.

    Attributes:
        name: One of `CODECS`, or "A-B" for words of A to B letters.
        letters: V, letters of the alphabet.
        most_hops: K.
    """

    name: str
    letters: int
    most_hops: int

    def __post_init__(self) -> None:
        """Refuse an unknown name, or more words than a table can hold apart."""
        if self.name not in CODECS:
            shortest, dash, longest = self.name.partition("-")
            if not (dash and shortest.isdecimal() and longest.isdecimal() and 1 <= int(shortest) <= int(longest)):
                raise ValueError(nearest(self.name, [*CODECS, "A-B (words of A to B letters)"], kind="codec"))
        if self.words > _MOST_WORDS:
            raise ValueError(
                f"codec {self.name!r} over {self.letters} letters has {self.words} words; at most {_MOST_WORDS} are "
                "possible"
            )

    @property
    def lengths(self) -> range:
        """Letters of a word."""
        if self.name in ("arrows", "bare"):
            return range(1, 2)
        shortest, _, longest = self.name.partition("-")
        return range(int(shortest), int(longest) + 1)

    @property
    def words(self) -> int:
        """How many names there are."""
        return sum(self.letters**length for length in self.lengths)

    @property
    def first_last(self) -> int:
        """Id of the first last letter; where words have one letter there are no others."""
        return 1 + (self.letters if self.lengths[-1] > 1 else 0)

    @property
    def first_hop(self) -> int:
        """Id of 1 hop."""
        return self.first_last + self.letters

    @property
    def signs(self) -> tuple[str, ...]:
        """What stands between names, drawn for a human."""
        return {"arrows": ("=>", "->", ","), "bare": ()}.get(self.name, ("=>",))

    @property
    def vocab_size(self) -> int:
        """Padding, letters, hops, signs."""
        return self.first_hop + self.most_hops + len(self.signs)

    @property
    def edge_tokens(self) -> int:
        """Most tokens of an edge: `name [->] name [,]`."""
        return 2 * self.lengths[-1] + (2 if self.name == "arrows" else 0)

    @property
    def question_tokens(self) -> int:
        """Most tokens of a question: `k name [->] [=>] name [,]`."""
        return 1 + self.edge_tokens + ("=>" in self.signs)

    @cached_property
    def starts(self) -> Tokens:
        """The number of the first word of each length, shortest first; then the number of words."""
        return np.cumsum([0, *(self.letters**length for length in self.lengths)])

    @cached_property
    def tokens(self) -> NDArray[np.int16]:
        """The tokens of every word [words + 1, longest], ABSENT behind its end; the last row, no word, has none."""
        table = np.full((self.words + 1, self.lengths[-1]), ABSENT, dtype=np.int16)
        for first, length in zip(self.starts, self.lengths, strict=False):
            rank = np.arange(self.letters**length)
            part = table[first : first + len(rank)]
            part[:, length - 1] = rank % self.letters + self.first_last
            for place in reversed(range(length - 1)):
                rank //= self.letters
                part[:, place] = rank % self.letters + 1
        return table

    def edges(self, source: Tokens, target: Tokens) -> NDArray[np.int16]:
        """Tokens [B, N, slots] of the edges between two words each [B, N], ABSENT in slots that are not needed.

        Where a word is ABSENT, so is its whole edge.
        """
        slots = [self._name(source), self._sign("->", source), self._name(target), self._sign(",", source)]
        return np.concatenate(slots, axis=-1)

    def questions(self, k: Tokens, start: Tokens, end: Tokens) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """Tokens [B, Q, slots] of questions with answers, as for `edges`, and which slots [slots] are the answer's."""
        hops = np.where(start == ABSENT, ABSENT, k - 1 + self.first_hop)[..., None].astype(np.int16)
        before = [hops, self._name(start), self._sign("->", start), self._sign("=>", start)]
        slots = np.concatenate([*before, self._name(end), self._sign(",", start)], axis=-1)
        first = sum(part.shape[-1] for part in before)
        is_answer = np.zeros(slots.shape[-1], dtype=bool)
        is_answer[first : first + self.lengths[-1]] = True
        return slots, is_answer

    def _name(self, words: Tokens) -> NDArray[np.int16]:
        """Tokens [..., longest] of words; those of ABSENT are in the table's last row."""
        return self.tokens.take(words, axis=0, mode="wrap")

    def _sign(self, text: str, words: Tokens) -> NDArray[np.int16]:
        """A sign [..., 1 or 0] for each word, ABSENT where that is; nothing if the codec does not have it."""
        if text not in self.signs:
            return np.empty((*words.shape, 0), dtype=np.int16)
        token = self.first_hop + self.most_hops + self.signs.index(text)
        return np.where(words < 0, ABSENT, token)[..., None].astype(np.int16)

    def draw(self, words: NDArray[np.uint32]) -> Tokens:
        """A name for each random word of 32 bits, same shape: a length, then letters, uniform to `words` / 2^32."""
        low, bits = np.uint64(0xFFFFFFFF), np.uint64(32)
        sizes, starts = np.diff(self.starts).astype(np.uint64), self.starts[:-1].astype(np.uint64)
        scaled = words * np.uint64(len(sizes))  # the length in the high half, what is left in the low one
        if len(sizes) == 1:
            single: Tokens = (scaled * sizes[0] >> bits).astype(np.int64)
            return single
        length = (scaled >> bits).astype(np.intp)
        letters: Tokens = (((scaled & low) * sizes.take(length) >> bits) + starts.take(length)).astype(np.int64)
        return letters

    def token_text(self, token: int) -> str:
        """A token for a human: a letter, with a dash if it is not the last of its word; k=3; a sign; padding."""
        if token == PAD:
            return "_"
        if token < self.first_last:
            return f"{self._letter(token - 1)}-"
        if token < self.first_hop:
            return self._letter(token - self.first_last)
        if token < self.first_hop + self.most_hops:
            return f"k={token - self.first_hop + 1}"
        return self.signs[token - self.first_hop - self.most_hops]

    def names_in(self, tokens: Tokens) -> list[str]:
        """The names among tokens [T], for a human."""
        names, word = [], ""
        for token in tokens[(tokens != PAD) & (tokens < self.first_hop)]:
            word += self._letter((int(token) - 1) % self.letters)
            if token >= self.first_last:
                names.append(word)
                word = ""
        return names

    def hops_in(self, tokens: Tokens) -> list[int]:
        """The k among tokens [T]."""
        hops = tokens - self.first_hop + 1
        return [int(k) for k in hops[(hops > 0) & (hops <= self.most_hops)]]

    def walks(self, edges: Tokens, asked: Tokens) -> list[str]:
        """The cycle whose edges are in the tokens read [R], and the walk of each question [P], in lines for a human."""
        names = self.names_in(edges)
        after = dict(zip(names[::2], names[1::2], strict=True))
        cycle = [names[0]]
        while len(cycle) < len(after):
            cycle.append(after[cycle[-1]])
        rows = textwrap.wrap(" -> ".join([*cycle, cycle[0]]), 100, break_on_hyphens=False)
        lines = [*(f"cycle  {line}" for line in rows), ""]
        questions, ks = self.names_in(asked), self.hops_in(asked)
        for k, start, end in zip(ks, questions[::2], questions[1::2], strict=True):
            place = cycle.index(start)
            walk = [cycle[(place + hop) % len(cycle)] for hop in range(k + 1)]
            lines.append(f"k = {k:<2}  {' -> '.join(walk)}   answer {end}")
        return lines

    def _letter(self, number: int) -> str:
        alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        return alphabet[number] if self.letters <= len(alphabet) else f"{number}"
