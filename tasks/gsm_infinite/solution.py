"""The worked solution of a problem in words: one step per line, in dependency order, then the answer.

    The number of adult toad in Reed Pond equals 3.
    The number of adult stork in Reed Pond equals 2 times the number of adult toad in Reed Pond: 2 * 3 = 6.
    The total number of adult animals in Reed Pond is the sum over adult toad and adult stork: 3 + 6 = 9.
    Answer: 9.

In reverse mode the unknown is x, steps that depend on it are linear in x, and the given value is solved for x.
"""

from collections.abc import Mapping

from tasks.gsm_infinite.graphs import COUNT, NONE, PRODUCT, RATE, TOTAL, VALUE_SENTENCE
from tasks.gsm_infinite.language import Wording

Linear = tuple[int, int]  # a, b: the number a x + b


def solution(problem: Wording, sentences: Mapping[int, str]) -> str:
    """The steps that lead to the end quantity, and `Answer: <int>.` on the last line.

    Args:
        problem: The problem.
        sentences: Those of its stated core quantities and of GIVEN, as in `language.sentence`.
    """
    reverse = problem.given != NONE
    end = problem.given if reverse else problem.asked
    worked: dict[int, Linear] = {}
    lines: list[str] = []

    def work(q: int) -> Linear:
        if q not in worked:
            worked[q], line = step(q)
            lines.append(line)
        return worked[q]

    def step(q: int) -> tuple[Linear, str]:
        if problem.role[q] in (TOTAL, PRODUCT):
            return total(q)
        if reverse and q == problem.asked:
            return (1, 0), f"Let x be the {problem.phrases[q]}."
        constant, operands = problem.constant[q], [work(operand) for operand in problem.operands[q][: problem.used[q]]]
        text = sentences[q]
        if not operands:
            return (0, constant), text
        a, b = map(sum, zip(*operands, strict=True))
        if problem.difference[q]:
            (a, b), (less_a, less_b) = operands
            a, b = a - less_a, b - less_b
        terms = (" - " if problem.difference[q] else " + ").join(map(_part, operands))
        if constant:
            terms = f"({terms})" if len(operands) > 1 else terms
            terms = f"{constant} {'*' if problem.times[q] else '+'} {terms}"
            a, b = (constant * a, constant * b) if problem.times[q] else (a, constant + b)
        return (a, b), f"{text[:-1]}: {_equals(terms, (a, b))}."

    def total(q: int) -> tuple[Linear, str]:
        here = [other for other, place in enumerate(problem.place) if place == problem.place[q]]
        of = {(problem.role[other], problem.kind[other]): other for other in here}
        counts = {kind: work(other) for (role, kind), other in of.items() if role == COUNT}
        terms, texts = list(counts.values()), list(map(_part, counts.values()))
        if problem.role[q] == PRODUCT:
            rates = [work(of[RATE, kind]) for kind in counts]
            texts = [f"{count} * {_part(rate)}" for count, rate in zip(texts, rates, strict=True)]
            # Linear in x: of a count and its rate, one at most depends on it.
            terms = [(a * d + b * c, b * d) for (a, b), (c, d) in zip(terms, rates, strict=True)]
        result = sum(a for a, _ in terms), sum(b for _, b in terms)
        *most, last = [problem.names.kinds[kind] for kind in counts]
        kinds = f"{', '.join(most)} and {last}" if most else last
        return result, f"The {problem.phrases[q]} is the sum over {kinds}: {_equals(' + '.join(texts), result)}."

    a, b = work(end)
    if reverse:
        left = problem.value[end]
        equations = [f"{_show((a, b))} = {left}", f"{_show((abs(a), 0))} = {abs(left - b)}", f"x = {(left - b) // a}"]
        lines.append(", so ".join([sentences[VALUE_SENTENCE][:-1], *dict.fromkeys(equations)]) + ".")
    lines.append(f"Answer: {problem.value[problem.asked]}.")
    return "\n".join(lines)


def _show(number: Linear) -> str:
    """A number a x + b as it is written: never with a negative first term, since it is not negative for an x > 0."""
    a, b = number
    if a == 0:
        return str(b)
    x = "x" if abs(a) == 1 else f"{abs(a)} * x"
    if a < 0:
        return f"{b} - {x}"
    return f"{x} {'+' if b > 0 else '-'} {abs(b)}" if b else x


def _part(number: Linear) -> str:
    """A number inside an expression."""
    text = _show(number)
    return f"({text})" if " " in text else text


def _equals(text: str, number: Linear) -> str:
    """An expression and its value, once if they read the same."""
    value = _show(number)
    return text if text == value else f"{text} = {value}"
