"""Filler to a token budget, for any tokenizer: which of the filler sentences drawn for a problem are kept.

They are the first by the numbers of their quantities, so those kept under one budget are kept under every larger one.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from tasks.gsm_infinite.graphs import COUNT, PRODUCT, RATE, TOTAL
from tasks.gsm_infinite.language import Wording, sentence
from tasks.gsm_infinite.themes import Theme, names_in_order
from tasks.gsm_infinite.tokenizer import Tokenizer

_PROBES = 32  # half of them guided by the sizes, half of them halving what is left: enough for 2^16 sentences


class Budget:
    """So many tokens, as one tokenizer counts them."""

    def __init__(self, tokens: int, tokenizer: Tokenizer) -> None:
        self.tokens = tokens
        self._encode = tokenizer.encode
        self._sizes = _Sizes(tokenizer)
        self._by_word = getattr(tokenizer, "by_word", False)

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._encode(text))

    def sentences(self, themes: Iterable[Theme]) -> int:
        """About so many sentences of filler fit, rather more."""
        return self.tokens // max(1, min(map(self._short, themes))) + 16

    def _short(self, theme: Theme) -> int:
        """Tokens of a sentence of filler with short names, a copy or a sum."""
        names, size = names_in_order(theme), self._sizes.of
        kind, place = min(names.kinds, key=size), min(names.places, key=size)
        phrase = min([theme.phrase(role, kind, place) for role in (COUNT, RATE, TOTAL, PRODUCT)], key=size)
        copy = f"The {phrase} equals the {phrase}."
        return (size(copy) + size(f"{copy} the sum of the and {phrase}")) // 2

    def fill(self, problem: Wording, core: dict[int, str], question: str, margin: int = 1) -> "Filling":
        """The sentences of a problem, with as much of its filler as fits.

        Args:
            problem: A problem with filler, whose core fits.
            core: The sentences of the core, by quantity or GIVEN.
            question: Stands after the sentences, and counts.
            margin: Filler of so many times the tokens that there are is looked at, as far as its words tell.
        """
        sentences, sizes = dict(core), []
        core_tokens = self.count(" ".join([*core.values(), question]))
        room = margin * (self.tokens - core_tokens)
        for q in range(problem.core, len(problem.role)):
            if room < 0:
                break
            sentences[q] = sentence(problem, q)
            sizes.append(self._sizes.of(sentences[q]))
            room -= sizes[-1]

        def text(filler: int) -> str:
            return " ".join([sentences[q] for q in problem.order if q < problem.core + filler])

        def count(filler: int) -> int:
            return core_tokens + sum(sizes[:filler]) if self._by_word else self.count(f"{text(filler)} {question}")

        filler, tokens = fit(count, core_tokens, sizes, self.tokens)
        return Filling(text(filler), filler, tokens, filler == len(sizes))


class Filling(NamedTuple):
    """A problem's text, filled up to a budget."""

    text: str
    filler: int  # sentences
    tokens: int  # of the text and its question
    short: bool  # all filler that was looked at is in it


class _Sizes(dict[str, int]):
    """Tokens of each word inside a text, counted when first met."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.encode = tokenizer.encode
        self.ends = len(self.encode(""))

    def __missing__(self, word: str) -> int:
        size = self[word] = len(self.encode(f" {word}")) - self.ends
        return size

    def of(self, text: str) -> int:
        """Tokens that a text adds to one that it continues: exact if no token spans words."""
        return sum(map(self.__getitem__, text.split(" ")))


def fit(count: Callable[[int], int], core: int, sizes: Sequence[int], budget: int) -> tuple[int, int]:
    """Most sentences n of filler with `count(n)` <= budget, and that count.

    Args:
        count: Tokens of the whole with n >= 1 sentences of filler; growing with n.
        core: Tokens without filler, at most the budget.
        sizes: Tokens that each sentence of filler adds, estimated.
        budget: Most tokens.
    """
    sums = [0, *accumulate(sizes)]
    low, high = 0, len(sizes)  # low fits, more than high does not
    fits = excess = core  # the count of low; the last count less its estimate
    for probe in range(_PROBES):
        if low == high:
            break
        guess = bisect_right(sums, budget - excess) - 1 if probe < _PROBES // 2 else (low + high + 1) // 2
        guess = min(max(guess, low + 1), high)
        tokens = count(guess)
        excess = tokens - sums[guess]
        if tokens > budget:
            high = guess - 1
            continue
        low, fits = guess, tokens
        if excess == core and low < high and sums[low + 1] + core > budget:
            break  # the sizes were exact so far, so they are trusted with one sentence more
    return low, fits
