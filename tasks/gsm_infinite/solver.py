"""An independent solver of GSM-Infinite: text in, answer and number of operations out.

It shares nothing with the generator. Quantities are evaluated exactly as a + b x, with x the unknown of a problem in
reverse mode (in forward mode b = 0): the value that is given for one of them then tells x.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from tasks.base import nearest
from tasks.gsm_infinite.reading import TOTALS, Definition, Reading, Total, UnsolvableProblem, read

_LARGEST = 10**18  # of values: products of products would grow without limit
_ANY_BORDER = re.compile(r"(?: ?[.;,] ?| )(?=assign \S+ ?=)| ?[.;]$")
_ASSIGN = re.compile(r"assign ([^\W\d]\w*) = (?:(-?[0-9]{1,18})|([^\W\d]\w*)(?: ([+-]) ([0-9]{1,18}))?)")
_EQUAL_TO = re.compile(r"equal to (-?[0-9]{1,18})\b(?!\.[0-9])")

Linear = tuple[int, int]  # (a, b): a + b x


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """The answer, and the number of operations that it takes.

    Attributes:
        answer: The value asked for; in the symbolic subset the names of all variables that have the value asked about.
        operations: Sum of in-degrees over the quantity asked for (reverse mode: the one whose value is given) and all
            it depends on; in the symbolic subset the number of variables that have a value.
    """

    answer: int | tuple[str, ...]
    operations: int


def solve(problem: str, question: str, totals: Mapping[str, Total] = TOTALS) -> Solution:
    """Solve a problem of any subset and mode, whatever its nouns.

    Args:
        problem: The sentences.
        question: What is asked of them.
        totals: "count" or "product" for what follows "total number of": whether it is the sum of the counts of a place
            or that of counts times rates. The default knows the published phrases. Only texts with rates need it.

    Raises:
        UnsolvableProblem: the text does not determine the answer, or cannot be read; the message says why.
    """
    if problem.lstrip().startswith("assign "):
        return _solve_symbolic(problem, question)
    for noun, total in totals.items():
        if total not in get_args(Total):
            raise ValueError(nearest(total, get_args(Total), kind=f"total, of {noun!r},"))
    solver = _Solver(read(problem, question, totals))
    return solver.forward() if solver.definition(solver.asked) else solver.reverse()


class _Solver:
    """The definitions of a text, followed from the quantities asked for or given as far as they lead."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.asked = reading.asked
        self.definitions: dict[str, Definition | None] = {}
        self.values: dict[str, Linear] = {}

    def forward(self) -> Solution:
        """Evaluate the quantity asked for."""
        order = self.closure(self.asked)
        self.evaluate(order)
        self.check(0)
        return Solution(answer=self.values[self.asked][0], operations=self.operations(order))

    def reverse(self) -> Solution:
        """Tell the unknown from the values given for quantities that depend on it."""
        closures: dict[int, list[str]] = {}  # by x, the closure of the first quantity that tells it
        why = "no value is given for anything that depends on it"
        for end in self.reading.given:
            if not self.depends(end):
                continue
            order = self.closure(end)
            self.evaluate(order)
            a, b = self.values[end]
            if b == 0:
                why = f"its coefficient in the {end} is zero"
                continue
            result = self.reading.number(end, 0)
            x, rest = divmod(result - a, b)
            if rest:
                raise UnsolvableProblem(f"the {self.asked} is no whole number: {a} + {b} x = {result}")
            closures.setdefault(x, order)
        if not closures:
            for end in self.reading.given:
                self.closure(end)  # where a way down is broken, that is the reason
            raise UnsolvableProblem(f"the {self.asked} is undetermined: {why}")
        if len(closures) > 1:
            raise UnsolvableProblem(f"contradiction: the {self.asked} is {' and '.join(map(str, closures))}")
        ((x, order),) = closures.items()
        self.check(x)
        return Solution(answer=x, operations=self.operations(order))

    def depends(self, end: str) -> bool:
        """Whether what is asked can be met on the way down from a quantity, as far as definitions lead."""
        names, pending = {end}, [end]
        while pending and self.asked not in names:
            try:
                definition = self.definition(pending.pop())
            except UnsolvableProblem:
                continue  # another value may still tell what is asked
            operands = set(definition.operands if definition else ()) - names
            names |= operands
            pending += operands
        return self.asked in names

    def closure(self, end: str) -> list[str]:
        """A quantity and all it depends on, each after what it depends on."""
        order: list[str] = []
        complete: dict[str, bool] = {}  # False: what it depends on is being followed
        stack = [end]
        while stack:
            quantity = stack[-1]
            if quantity in complete:
                stack.pop()
                if not complete[quantity]:
                    complete[quantity] = True
                    order.append(quantity)
                continue
            complete[quantity] = False
            definition = self.definition(quantity)
            for operand in definition.operands if definition else ():
                if operand not in complete:
                    stack.append(operand)
                elif not complete[operand]:
                    raise UnsolvableProblem(f"cycle: the {operand} depends on itself")
        return order

    def definition(self, quantity: str) -> Definition | None:
        """As the method of `Reading`, once per quantity."""
        if quantity not in self.definitions:
            self.definitions[quantity] = self.reading.definition(quantity)
        return self.definitions[quantity]

    def evaluate(self, order: list[str]) -> None:
        """Compute a + b x of quantities in the order of a closure."""
        for quantity in order:
            if quantity not in self.values:
                definition = self.definitions[quantity]
                if definition:
                    value = _combine(quantity, definition, [self.values[operand] for operand in definition.operands])
                elif quantity == self.asked:
                    value = 0, 1
                else:
                    raise UnsolvableProblem(f"the {self.asked} is asked, but the {quantity} is unknown")
                if max(map(abs, value)) > _LARGEST:
                    raise UnsolvableProblem(f"the {quantity} is larger than {_LARGEST}: out of range")
                self.values[quantity] = value

    def check(self, x: int) -> None:
        """Raise if a quantity has another value than the text gives, or is not positive where it says so."""
        for quantity, (a, b) in self.values.items():
            value = a + b * x
            if (number := self.reading.number(quantity, value)) != value:
                raise UnsolvableProblem(f"contradiction: the {quantity} equals {value}, and is given as {number}")
            if quantity in self.reading.positive and value <= 0:
                raise UnsolvableProblem(f"contradiction: the {quantity} is {value}, not greater than 0")

    def operations(self, order: list[str]) -> int:
        """Sum of in-degrees; an unknown counts as a leaf."""
        return sum(1 if (definition := self.definitions[q]) is None else definition.in_degree for q in order)


def _combine(quantity: str, definition: Definition, operands: list[Linear]) -> Linear:
    """The value of a definition, from those of its operands."""
    _, what, constant, times = definition
    a = b = 0
    if what == "products of":
        for (c, d), (e, f) in zip(operands[::2], operands[1::2], strict=True):
            if d and f:
                raise UnsolvableProblem(f"the {quantity} is not linear in the unknown")
            a, b = a + c * e, b + c * f + d * e
    else:
        sign = 1
        for c, d in operands:
            a, b = a + sign * c, b + sign * d
            sign = -1 if what == "difference between" else 1
    if constant is None:
        return a, b
    return (constant * a, constant * b) if times else (constant + a, b)


def _assignments(problem: str) -> Iterator[re.Match[str]]:
    """The sentences of a symbolic problem; other borders than ". " are looked for only where there is no sentence."""
    for part in " ".join(problem.split()).removesuffix(".").split(". "):
        if match := _ASSIGN.fullmatch(part):
            yield match
            continue
        for sentence in filter(None, _ANY_BORDER.split(part.strip())):
            if not (match := _ASSIGN.fullmatch(sentence)):
                raise UnsolvableProblem(f"unreadable sentence: {sentence!r}")
            yield match


def _solve_symbolic(problem: str, question: str) -> Solution:
    """Find the variables that have the value asked about; equations are read in both directions."""
    values: dict[str, int] = {}
    equations: list[tuple[str, str, int]] = []  # (v, w, k): v = w + k
    for match in _assignments(problem):
        name, number, other, sign, offset = match.groups()
        if other:
            equations.append((name, other, int(f"{sign or ''}{offset or 0}")))
        elif values.setdefault(name, int(number)) != int(number):
            raise UnsolvableProblem(f"contradiction: {name} is {values[name]} and {number}")
    names = set(_EQUAL_TO.findall(question))
    if len(names) != 1:
        raise UnsolvableProblem(f"unreadable question, it asks about {len(names)} values: {question!r}")

    neighbours: dict[str, list[tuple[str, int]]] = {}
    for v, w, k in equations:
        neighbours.setdefault(w, []).append((v, k))
        neighbours.setdefault(v, []).append((w, -k))
    pending = list(values)
    while pending:
        v = pending.pop()
        for w, k in neighbours.get(v, ()):
            if w not in values:
                values[w] = values[v] + k
                pending.append(w)
            elif values[w] != values[v] + k:
                raise UnsolvableProblem(f"contradiction: {w} is {values[w]} and {values[v] + k}")
    value = int(names.pop())
    return Solution(answer=tuple(sorted(v for v in values if values[v] == value)), operations=len(values))
