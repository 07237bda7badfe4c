"""What is refused, and in which words: names that nobody knows, numbers out of range."""

import difflib
from collections.abc import Iterable

import numpy as np


def nearest(name: object, valid: Iterable[str], kind: str = "name") -> str:
    """The message for an unknown name: what was given, what is valid, and the nearest if one is near."""
    options = list(valid)
    close = difflib.get_close_matches(str(name), options, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {kind} {name!r}; valid: {', '.join(options)}{hint}"


def check_whole(
    name: str, value: object, low: int, high: int | None = None, why: str = "", *, most: int | None = None
) -> int:
    """`value` as an int, if it is a whole number in [low, high], at most `most`; that is said only where it is passed.

    Raises:
        ValueError: it is not; the message says what is allowed, `why`, and what was given.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        whole = int(value)
        if most is not None and whole > most:
            raise ValueError(f"{name} must be at most {most}{why and f' ({why})'}; given {whole}")
        if whole >= low and (high is None or whole <= high):
            return whole
    allowed = f">= {low}" if high is None else f"in {low}..{high}"
    raise ValueError(f"{name} must be a whole number {allowed}{why and f' ({why})'}; given {value!r}")
