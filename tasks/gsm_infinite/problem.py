"""A problem in words: what every subset, symbolic, medium and hard, gives a reader."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One problem as text.

    Attributes:
        subset: "symbolic", "medium" or "hard".
        mode: "forward" or "reverse"; symbolic problems are forward.
        theme: Where the nouns are from; None for symbolic problems.
        operations: Sum of in-degrees over all that the end quantity depends on.
        problem: The sentences, in the order they are read.
        question: What is asked of them.
        solution: The steps in words; ends in "Answer: <answer>.".
        answer: The value asked for; for symbolic problems the names of all variables that have the value asked about.
        content: Hash of the core problem with names, order and filler removed.
        determinant: Hash of what fixes the answer: of medium and hard problems the needed part, without names; of
            symbolic ones, whose answers are names, the core tree with its names, and the value asked about.
        facts: What is known of the structure, such as chain depth.
    """

    subset: str
    mode: str
    theme: str | None
    operations: int
    problem: str
    question: str
    solution: str
    answer: int | tuple[str, ...]
    content: int
    determinant: int
    facts: Mapping[str, int | float] = field(default_factory=dict)
