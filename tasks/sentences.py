"""Sentences that tell and ask the color of a thing, and their tokens: a token per word, or a decoder's own pieces."""

import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from tasks.base import Tokens
from tasks.pieces import PieceTokenizer, pieces

# Words that common tokenizers cut into one piece each.
_NOUNS = """
lemon chair river house table horse apple boat shirt door phone cup hat ball car box bird dog cat tree flower book wall
bag ring road stone window key pen desk bed
"""
_COLORS = "red blue green yellow black white orange purple brown pink gold silver"
NOUNS, COLORS = tuple(_NOUNS.split()), tuple(_COLORS.split())

_WORDS = ("The", "color", "of", "the", "is", ".")


def fact(noun: str, color: str) -> str:
    """A sentence that is read."""
    return f" The {noun} is {color}."


def question(noun: str) -> str:
    """What is asked: its next word is the color."""
    return f" The color of the {noun} is"


class WordTokens:
    """A token for each word of the sentences, and one for the full stop."""

    def __init__(self, nouns: int, colors: int) -> None:
        self._words = (*_WORDS, *NOUNS[:nouns], *COLORS[:colors])
        self._ids = {word: i for i, word in enumerate(self._words)}
        self.vocab_size = len(self._words)

    def encode(self, text: str) -> list[int]:
        """The ids of a sentence."""
        return [self._ids[word] for word in re.findall(r"\w+|\.", text)]

    def word(self, token: int) -> str:
        """The word of an id."""
        return self._words[token]


@dataclass(frozen=True)
class Layout:
    """The sentences as tokens, and where in them a noun or a color stands."""

    tokens: WordTokens | PieceTokenizer
    nouns: Tokens
    colors: Tokens
    fact: Tokens
    question: Tokens
    noun_at: int
    color_at: int
    asked_at: int


@cache
def layout(nouns: int, colors: int, tokenizer: str, sha256: str) -> Layout:
    """The sentences in the tokens of a folder's tokenizer, or in words.

    Raises:
        ValueError: the tokenizer does not cut a noun or a color into one piece.
    """
    tokens = pieces(tokenizer, sha256) if tokenizer else WordTokens(nouns, colors)
    ids: dict[str, int] = {}
    for word in (*NOUNS[:nouns], *COLORS[:colors]):
        first, *more = tokens.encode(f" {word}")
        if more:
            raise ValueError(
                f"the tokenizer of {tokenizer} cuts {word!r} into {1 + len(more)} pieces, and each must be one: fewer "
                f"nouns or colors may do"
            )
        ids[word] = first
    noun, color = NOUNS[0], COLORS[0]
    statement, asked = (np.array(tokens.encode(text)) for text in (fact(noun, color), question(noun)))
    places = [
        int(np.flatnonzero(text == ids[word])[0])
        for text, word in ((statement, noun), (statement, color), (asked, noun))
    ]
    return Layout(
        tokens,
        nouns=np.array([ids[word] for word in NOUNS[:nouns]]),
        colors=np.array([ids[word] for word in COLORS[:colors]]),
        fact=statement,
        question=asked,
        noun_at=places[0],
        color_at=places[1],
        asked_at=places[2],
    )
