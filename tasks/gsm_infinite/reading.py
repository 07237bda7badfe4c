"""Reading a problem in words: its sentences as definitions of quantities, and the totals it implies.

A quantity is known by its phrase: `number of K in P` (a count), `average number of O per K in P` (a rate) or `total
number of S in P`. Kinds K and places P may hold " in ", " per ", " and ", ", " or ". ", so a phrase is kept whole for
as long as possible: two mentions are one quantity if they are one string. Only the implied totals need to know which
counts are of a place. A total names its place, and its counts are those that end in it; where names nest ("Dale" and
"Barn in Dale" are places, or "fox in barn" is a kind) the other phrases decide, or nothing does: that is ambiguous.
The forms of sentences are in `grammar`. A name that holds a part of one is refused: two sentences would be read as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

from tasks.base import nearest
from tasks.gsm_infinite.grammar import HOW_MANY, NEXT_OPERAND, NO_NAME, SENTENCE, WHAT, sentences

Total = Literal["count", "product"]
T = TypeVar("T")

# What totals are of: the kinds themselves (sum of counts) or their offspring (sum of counts times rates).
TOTALS: Mapping[str, Total] = {
    "adult animals": "count",
    "newborn animal children": "product",
    "schools": "count",
    "teachers from all schools": "product",
    "movies": "count",
    "movie nominations": "product",
}

_COUNT, _RATE, _TOTAL = "number of ", "average number of ", "total number of "
_MOST_PARTS = 16  # of a name; any text is read in time that grows with its length, not with its square


class UnsolvableProblem(ValueError):  # noqa: N818 the name says what is wrong, as StopIteration does
    """The text does not determine the answer; the message says why."""


class Definition(NamedTuple):
    """What a quantity equals: a constant plus or times the sum or the difference of its operands.

    `what` is "sum of", "difference between" (first minus second), or "products of": operands are factors in pairs.
    """

    operands: tuple[str, ...] = ()
    what: str = "sum of"
    constant: int | None = None
    times: bool = False

    @property
    def in_degree(self) -> int:
        """Operands, and one for the constant."""
        return len(self.operands) + (self.constant is not None)


@dataclass
class Reading:
    """What a text says, quantities by phrase.

    Attributes:
        totals: What totals are of, by phrase.
        asked: The quantity asked for.
        formulas: The definitions that have operands, without repetition.
        numbers: The numbers that quantities are said to equal, without repetition.
        positive: What is said to exist or to be greater than 0.
        counts: "K in P" of the counts mentioned anywhere, in order.
        rates: "O per K in P" of the rates, likewise.
    """

    totals: Mapping[str, Total]
    asked: str = ""
    formulas: dict[str, list[Definition]] = field(default_factory=dict)
    numbers: dict[str, list[int]] = field(default_factory=dict)
    positive: set[str] = field(default_factory=set)
    counts: dict[str, None] = field(default_factory=dict)
    rates: dict[str, None] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def mention(self, phrase: str) -> str:
        """Take note of a quantity, and return it.

        Raises:
            UnsolvableProblem: it names no place, or a name holds a part of another sentence.
        """
        if phrase not in self._seen:
            head, _, rest = phrase.partition("number of ")
            lowered = rest.lower()
            # Quicker to look for than the pattern itself, which few names get to see.
            odd = "equals" in lowered or "number of" in lowered or "greater" in lowered or "what" in lowered
            if (odd or "how" in lowered) and (name := NO_NAME.search(lowered)):
                raise UnsolvableProblem(f"unreadable quantity {phrase!r}: no name may hold {name[0]!r}")
            if " in " not in (rest.partition(" per ")[2] if head == "average " else rest):
                raise UnsolvableProblem(f"unreadable quantity {phrase!r}: it names no place")
            self._seen.add(phrase)
            if head != "total ":
                (self.rates if head else self.counts)[rest] = None
        return phrase

    def state(self, sentence: str) -> None:
        """Take in one sentence, without its full stop."""
        match = SENTENCE.fullmatch(sentence)
        if not match:
            raise UnsolvableProblem(f"unreadable sentence: {sentence!r}")
        left, positive, number, constant, how, what, operands = match.groups()
        left = self.mention(left)
        if positive:
            self.positive.add(left)
        elif number:
            _add(self.numbers, left, int(number))
        else:
            phrases = tuple(map(self.mention, NEXT_OPERAND.split(operands)))
            if (len(phrases) > 1) != bool(what) or (what == "difference between" and len(phrases) > 2):
                raise UnsolvableProblem(f"unreadable sentence, {len(phrases)} operands: {sentence!r}")
            k = int(constant) if constant else None
            _add(self.formulas, left, Definition(phrases, what or "sum of", k, how == "times"))

    def ask(self, question: str) -> None:
        """Take in the question."""
        if match := WHAT.fullmatch(question):
            self.asked = self.mention(match["phrase"])
        elif match := HOW_MANY.fullmatch(question):
            kind_place = match["kind_place"]
            pairs = [f"{kind} in {place}" for kind, place in _cuts(kind_place, " does ")]
            mentioned = [pair for pair in pairs if pair in self.counts] or pairs
            if len(mentioned) != 1:
                raise UnsolvableProblem(f"unreadable or ambiguous question: {question!r}")
            self.asked = self.mention(_COUNT + mentioned[0])
        else:
            raise UnsolvableProblem(f"unreadable question: {question!r}")

    def check_ends(self) -> None:
        """Raise UnsolvableProblem if a stop may be that of a sentence or of a name: "Acme Co" beside "Acme Co."."""
        stopped = {phrase.rpartition(" in ")[2] for phrase in self._seen if phrase.endswith(".")}
        if stopped and (doubtful := stopped & {f"{phrase.rpartition(' in ')[2]}." for phrase in self._seen}):
            raise UnsolvableProblem(f"ambiguous: whether a full stop belongs to the name {min(doubtful)!r}")

    @property
    def given(self) -> list[str]:
        """What has a value given beside another definition."""
        return [quantity for quantity in self.numbers if quantity in self.formulas or quantity.startswith(_TOTAL)]

    def number(self, quantity: str, otherwise: int) -> int:
        """The number that the text gives a quantity; `otherwise` if it gives none.

        Raises:
            UnsolvableProblem: it is said to equal several.
        """
        numbers = self.numbers.get(quantity, [otherwise])
        if len(numbers) > 1:
            raise UnsolvableProblem(f"contradiction: the {quantity} equals {' and '.join(map(str, numbers))}")
        return numbers[0]

    def definition(self, quantity: str) -> Definition | None:
        """What a quantity equals: implied, computed from others, or stated as a number; None if it is only positive.

        Raises:
            UnsolvableProblem: the text does not say, or gives several formulas or several numbers.
        """
        formulas = self.formulas.get(quantity, [])
        if quantity.startswith(_TOTAL):
            formulas = [self._total_definition(quantity), *formulas]
        if len(formulas) > 1:
            raise UnsolvableProblem(f"ambiguous: the {quantity} is defined twice")
        if formulas:
            return formulas[0]
        if quantity in self.numbers:
            return Definition(constant=self.number(quantity, 0))
        if quantity in self.positive:
            return None
        raise UnsolvableProblem(f"the {quantity} is needed but undefined")

    def _total_definition(self, total: str) -> Definition:
        """A total: the sum, over the kinds that the text mentions for its place, of counts or of counts times rates."""
        what, place = self._split(total)
        pairs = [pair for pair in self._endings.get(place, ()) if self._is_of(pair, place)]
        if not pairs:
            raise UnsolvableProblem(f"the {total} is needed but no kinds are mentioned for {place!r}")
        if what == "count":
            return Definition(tuple(_COUNT + pair for pair in pairs))
        factors: list[str] = []
        for pair in pairs:
            rates = self._rates_of.get(pair, [])
            if len(rates) != 1:
                rates_are = "several rates are" if rates else "no rate is"
                raise UnsolvableProblem(f"the {total} is needed but {rates_are} mentioned for {pair!r}: undefined")
            factors += _COUNT + pair, rates[0]
        return Definition(tuple(factors), "products of")

    def _split(self, total: str) -> tuple[Total, str]:
        """Whether a total is of counts or of products, and its place.

        Without any rate nothing but counts can be summed, so totals of unknown nouns are of counts then.
        """
        cuts = _cuts(total.removeprefix(_TOTAL), " in ")
        for noun, place in cuts:
            if noun in self.totals:
                return self.totals[noun], place
        if self.rates:
            raise UnsolvableProblem(nearest(cuts[0][0], self.totals, kind="total"))
        return "count", cuts[0][1]

    @cached_property
    def _rates_of(self) -> dict[str, list[str]]:
        """The rates by "K in P". Where " per " occurs twice, the counts decide, then the nouns of other rates."""
        cuts = {rate: [cut for cut in _cuts(rate, " per ") if " in " in cut[1]] for rate in self.rates}
        nouns = {splits[0][0] for splits in cuts.values() if len(splits) == 1}
        rates: dict[str, list[str]] = {}
        for rate, splits in cuts.items():
            pairs = [pair for _, pair in splits if pair in self.counts]
            pairs = pairs or [pair for noun, pair in splits if noun in nouns] or [pair for _, pair in splits]
            for pair in pairs:
                _add(rates, pair, _RATE + rate)
        return rates

    @cached_property
    def _pairs(self) -> dict[str, None]:
        """Every "K in P" mentioned, by a count or by a rate."""
        return dict.fromkeys([*self.counts, *self._rates_of])

    @cached_property
    def _endings(self) -> dict[str, list[str]]:
        """Every "K in P" by what stands after each of its " in "."""
        endings: dict[str, list[str]] = {}
        for pair in self._pairs:
            for _, place in _cuts(pair, " in "):
                endings.setdefault(place, []).append(pair)
        return endings

    @cached_property
    def _certain_names(self) -> tuple[set[str], set[str]]:
        """The kinds and the places whose names are certain: known from a pair that has one " in " or by a total."""
        plain = [pair.partition(" in ") for pair in self._pairs if pair.count(" in ") == 1]
        totals = [phrase for phrase in self._seen if phrase.startswith(_TOTAL)]
        return {kind for kind, _, _ in plain}, {place for _, _, place in plain} | {self._split(t)[1] for t in totals}

    def _is_of(self, pair: str, place: str) -> bool:
        """Whether a pair that ends in a place is of that place."""
        cuts = _cuts(pair, " in ")
        if len(cuts) == 1:
            return True
        weights = [self._weight(*cut) for cut in cuts]
        if weights.count(max(weights)) > 1:
            raise UnsolvableProblem(f"ambiguous: where the kind ends and the place begins in {pair!r}")
        return cuts[weights.index(max(weights))][1] == place

    def _weight(self, kind: str, place: str) -> float:
        """How well a cut is attested: are its names certain, and if not, with how many certain ones do they stand?"""
        kinds, places = self._certain_names
        if kind in kinds and place in places:
            return float("inf")
        of_kind = kind in kinds or sum(f"{kind} in {other}" in self._pairs for other in places - {place})
        of_place = place in places or sum(f"{other} in {place}" in self._pairs for other in kinds - {kind})
        return of_kind + of_place


def _add(table: dict[str, list[T]], key: str, item: T) -> None:
    """Append an item to a list of a table unless it is there."""
    items = table.setdefault(key, [])
    if item not in items:
        items.append(item)


def _cuts(text: str, separator: str) -> list[tuple[str, str]]:
    """What stands before and after a separator, for each place where it occurs."""
    parts = text.split(separator)
    if len(parts) > _MOST_PARTS:
        raise UnsolvableProblem(f"ambiguous: {separator!r} occurs {len(parts) - 1} times in {text[:80]!r}...")
    return [(separator.join(parts[:i]), separator.join(parts[i:])) for i in range(1, len(parts))]


def read(problem: str, question: str, totals: Mapping[str, Total]) -> Reading:
    """Read a problem in words.

    Raises:
        UnsolvableProblem: a sentence or the question has none of the known forms, or a name is doubtful.
    """
    reading = Reading(totals)
    for sentence in sentences(problem):
        reading.state(sentence)
    reading.ask(" ".join(question.split()))
    reading.check_ends()
    return reading
