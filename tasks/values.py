"""Values as people type them: `2M`, `1e5`, `0-4`, `true`; each in the type of its setting, and such as rows can hold.

Whatever enters here can be written into a table: one value that no column holds would spoil a folder for every later
run in it.
"""

import re
import types
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tasks.base import nearest

LARGEST = 2**63 - 1
"""The largest whole number that a column holds; the smallest is one below its negative."""

MOST = 10_000
"""Values that one range may stand for."""

_UNITS = {"k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


def number(text: str) -> float:
    """A number: 0.01, 1e-3, 2M.

    Raises:
        ValueError: it is none.
    """
    text, unit = text.strip(), 1
    if text[-1:] in _UNITS:
        text, unit = text[:-1], _UNITS[text[-1]]
    return float(text) * unit


def whole_number(text: str) -> int:
    """A whole number: 12, 1e5, 50k, 2.5M.

    Raises:
        ValueError: it is none, or too large for a column; then the message says so.
    """
    text, unit = text.strip(), 1
    if text[-1:] in _UNITS:
        text, unit = text[:-1], _UNITS[text[-1]]
    try:
        value = Decimal(text) * unit
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not value.is_finite():
        raise ValueError(f"{text!r} is no whole number")
    if abs(value) > LARGEST:
        raise RangeError(f"the largest whole number that rows hold is {LARGEST}")
    if value != int(value):
        raise ValueError(f"{text!r} is no whole number")
    return int(value)


class RangeError(ValueError):
    """A number is well written, and more than can be held or meant; the message says what can."""


def whole_numbers(text: str) -> list[int]:
    """Whole numbers separated by commas, a range of them as FIRST-LAST: 0,2,4-6.

    Raises:
        ValueError: a part is none, or a range is empty or stands for too many.
    """
    values: list[int] = []
    for part in text.split(","):
        if span := re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", part):
            first, last = (whole_number(end) for end in span.groups())
            if not first <= last < first + MOST:
                raise RangeError(f"a range goes up and stands for at most {MOST} numbers, not {part.strip()}")
            values += range(first, last + 1)
        else:
            values.append(whole_number(part))
    return values


def numbers(option: str, text: str) -> list[int]:
    """The same, of an option.

    Raises:
        ValueError: what was given is none; the message names the option.
    """
    items: list[int] = _parse_as(option, text, whole_numbers, "whole numbers separated by commas, such as 1,2,4 or 0-4")
    return items


def kinds_of(part: type[Any]) -> dict[str, Any]:
    """The type of every field of a dataclass, by name."""
    hints = get_type_hints(part)
    return {field.name: hints[field.name] for field in fields(part)}


def kind_words(kind: Any) -> str:
    """What a setting of a type takes, in words."""
    options = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join("none" if option is type(None) else kind_words(option) for option in options)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, options))}"
    if get_origin(kind) is tuple:
        return f"{_PLURAL.get(options[0], 'values')} separated by commas{_SUCH_AS.get(options[0], '')}"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a text")


_PLURAL = {int: "whole numbers", float: "numbers", str: "texts"}
_SUCH_AS = {int: ", such as 1,2,4", float: ", such as 0.5,1"}


def parse(name: str, text: str, kind: Any) -> Any:
    """The value of a setting in the type that it has.

    Raises:
        ValueError: no value of that type; the message says what is wanted.
    """
    options, kinds = get_args(kind), kind_words(kind)
    if get_origin(kind) in (Union, types.UnionType):
        if type(None) in options and text.lower() == "none":
            return None
        for option in (option for option in options if option is not type(None)):
            try:
                return parse(name, text, option)
            except RangeError:
                raise
            except ValueError:
                continue
        raise ValueError(f"{name} takes {kinds}; given {text!r}")
    if get_origin(kind) is Literal:
        by_text = {str(option): option for option in options}
        if text not in by_text:
            raise ValueError(nearest(text, by_text, kind=name))
        return by_text[text]
    if get_origin(kind) is tuple:
        if options[0] is int and options[-1] is ...:
            return _parse_as(name, text, _tuple, kinds)
        parts = [part.strip() for part in text.split(",") if part.strip()]
        each = [options[0]] * len(parts) if options[-1] is ... else options
        if len(parts) != len(each):
            raise ValueError(f"{name} takes {len(each)} values separated by commas; given {text!r}")
        return tuple(parse(name, part, option) for part, option in zip(parts, each, strict=True))
    if kind is bool:
        return _parse_as(name, text, lambda word: {"true": True, "false": False}[word.lower()], kinds)
    if kind is int:
        return _parse_as(name, text, whole_number, kinds)
    return _parse_as(name, text, number, kinds) if kind is float else text


def _tuple(text: str) -> tuple[int, ...]:
    return tuple(whole_numbers(text)) if text else ()


def _parse_as(name: str, text: str, read: Callable[[str], Any], kind: str) -> Any:
    """The value that a text stands for.

    Raises:
        ValueError: none; the message says of what, what is wanted and what was given.
    """
    try:
        return read(text)
    except RangeError as error:
        raise ValueError(f"{name}: {error}; given {text!r}") from None
    except (ValueError, KeyError, OverflowError):
        raise ValueError(f"{name} takes {kind}; given {text!r}") from None
