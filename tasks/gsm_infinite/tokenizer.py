"""Tokens of a problem in words: what a token budget is counted in.

A budget takes any object with `encode(text)`, whose length counts; the built-in tokenizer gives a token to each word,
number and punctuation mark.
"""

import re
from collections.abc import Iterable, Sized
from difflib import get_close_matches
from itertools import chain
from typing import Protocol

from tasks.gsm_infinite.themes import THEMES, names_in_order

_LEAST, _MOST = -64, 1000  # the numbers of any problem; only symbolic ones have negative numbers

_MARKS = "\n.,?:()+-*="

# Of the sentences, questions and solutions: medium and hard, then symbolic. Tests render them all.
_WORDS = """
The Let Answer What How Each From Show the be number of average total per in equals exists and its is greater than plus
times sum difference between many does have over so x
assign sentence context an equation variables all them hold at once these equations alone determine which if any those
whose value can derived are equal to steps end with one that names
"""


class Tokenizer(Protocol):
    """Anything that turns text into a sequence of tokens; what it adds at the ends counts.

    One that has a true attribute `by_word` says that the tokens of a text are those of its words, split at spaces.
    Budgets are then met without encoding whole texts.
    """

    def encode(self, text: str, /) -> Sized:
        """The tokens of a text."""
        ...


class WordTokenizer:
    """A token for each word, number and punctuation mark of the problems, questions and solutions of all themes.

    A variable of the symbolic subset is a V and six digits. Spaces separate and are not tokens. The largest number is
    1000; about one solution in 6000 of the reverse mode computes with a larger one and is refused.
    """

    by_word = True
    vocabulary: tuple[str, ...]  # the token of each id

    def __init__(self) -> None:
        themes = THEMES.values()
        names = [name for theme in themes for name in (*names_in_order(theme).kinds, *names_in_order(theme).places)]
        phrases = [phrase for theme in themes for phrase in (theme.offspring, theme.total, theme.product)]
        words = " ".join([_WORDS, *phrases, *names]).split()
        numbers = map(str, range(_LEAST, _MOST + 1))
        self.vocabulary = tuple(dict.fromkeys([*_MARKS, *numbers, "V", *_variable("V0123456789"), *words]))
        self._chunks = _Chunks({token: i for i, token in enumerate(self.vocabulary)})

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """The ids of a text.

        Raises:
            ValueError: a word, number or sign outside the vocabulary.
        """
        return list(chain.from_iterable(map(self._chunks.__getitem__, text.split(" "))))

    def word(self, token: int) -> str:
        """A token as a reader sees it."""
        return repr(self.vocabulary[token]).strip("'\"")

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids: the one that was encoded, if it was a problem, a question or a solution."""
        text = " ".join([self.vocabulary[i] for i in ids]).replace(" _", "")
        return re.sub(r" (?=[.,?:)\n])|(?<=[(\n]) ", "", text)


_TOKEN = re.compile(r"V\d{6}|-?\d+|[^\W\d_]+|\S|\n")


def _variable(name: str) -> list[str]:
    """The tokens of a variable: digits of names are not numbers."""
    return ["V", *(f"_{digit}" for digit in name[1:])]


class _Chunks(dict[str, tuple[int, ...]]):
    """The ids of what stands between two spaces, kept where it is short: of these a text repeats few."""

    def __init__(self, ids: dict[str, int]) -> None:
        self.ids = ids

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        parts = [_variable(part) if len(part) == 7 and part[0] == "V" else [part] for part in _TOKEN.findall(chunk)]
        try:
            ids = tuple([self.ids[token] for part in parts for token in part])
        except KeyError as error:
            (token,) = error.args
            if not token.lstrip("-").isdigit():
                close = get_close_matches(token, self.ids, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"{token!r} is in no problem of these themes{hint}") from None
            raise ValueError(f"numbers must be in {_LEAST}..{_MOST}; given {token}") from None
        if len(ids) <= 2:
            self[chunk] = ids
        return ids
