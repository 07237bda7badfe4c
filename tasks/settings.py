"""Settings from a command line: text turned into the type that a field of a frozen dataclass has."""

from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tasks.base import nearest

NONE = "none"
"""What stands for no value, where a setting may have none."""


def kinds(part: type[Any]) -> dict[str, Any]:
    """The type of every field of a dataclass, by name."""
    hints = get_type_hints(part)
    return {field.name: hints[field.name] for field in fields(part)}


def parse(name: str, text: str, kind: Any) -> Any:
    """The value that a text means for a setting of some type.

    Args:
        name: What the setting is called, for the message.
        text: Of a bool "true" or "false"; of a tuple values separated by commas; of a value that may be absent "none".
        kind: bool, int, float, str, a `Literal` of texts or numbers, a tuple of one of them, or one of them or None.

    Raises:
        ValueError: the text is no such value; the message says what is allowed.
    """
    options = [option for option in get_args(kind) if option is not NoneType] if _is_union(kind) else [kind]
    if len(options) < len(get_args(kind)) and _is_union(kind) and text.lower() == NONE:
        return None
    for option in options:
        try:
            return _value(text, option)
        except (KeyError, ValueError):
            continue
    if get_origin(kind) is Literal and all(isinstance(value, str) for value in get_args(kind)):
        raise ValueError(nearest(text, get_args(kind), kind=name))
    raise ValueError(f"{name} takes {described(kind)}; given {text!r}")


def described(kind: Any) -> str:
    """What a setting of a type takes, in words."""
    if _is_union(kind):
        return " or ".join(NONE if option is NoneType else described(option) for option in get_args(kind))
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return f"{_ITEMS.get(item, 'values')} separated by commas{_SUCH_AS.get(item, '')}"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a text")


_ITEMS = {int: "whole numbers", float: "numbers", str: "texts"}
_SUCH_AS = {int: ", such as 1,2,4", float: ", such as 0.5,1"}


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _value(text: str, kind: Any) -> Any:
    """The value; ValueError or KeyError if the text is none."""
    if kind is bool:
        return {"true": True, "false": False}[text.lower()]
    if get_origin(kind) is Literal:
        return {str(value): value for value in get_args(kind)}[text]
    if get_origin(kind) is tuple:
        items = [part.strip() for part in text.split(",") if part.strip()]
        each = get_args(kind)
        if each[-1] is ...:
            return tuple(_value(item, each[0]) for item in items)
        return tuple(_value(item, one) for item, one in zip(items, each, strict=True))
    return kind(text) if kind in (int, float) else text
