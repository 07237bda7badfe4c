"""HTML from data: elements as values, in which every string that is not HTML already is escaped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

VOID = frozenset({"img", "meta"})
"""Elements without an end tag, of those used here."""


class Html(str):
    """A string that is HTML already. Only this module, and what wraps files of this package, makes one."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: what it shows and what it is sorted by.

    Attributes:
        text: What is shown.
        value: A number or word to sort by; None sorts last, whichever the direction.
    """

    text: str
    value: float | str | None = None


def element(name: str, /, *children: str, **attributes: str | int | bool | None) -> Html:
    """An element. In names of attributes `_` stands for `-`; a last `_`, as in `class_`, is dropped.

    An attribute that is None or False is left out, one that is True has no value.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        text = escape(str(value), quote=False).replace('"', "&quot;")
        parts.append(f" {key}" if value is True else f' {key}="{text}"')
    parts.append(">")
    if name not in VOID:
        parts += [join(*children), f"</{name}>"]
    return Html("".join(parts))


def join(*children: str, separator: str = "") -> Html:
    """Children one after the other; those that are no HTML escaped."""
    return Html(separator.join(c if isinstance(c, Html) else escape(c) for c in children))


def raw(name: str, text: str, **attributes: str | None) -> Html:
    """A `style` or `script` element around text of this package, or of a library, that must not be escaped.

    Raises:
        ValueError: the text would end the element itself.
    """
    if re.search(rf"</{name}", text, re.IGNORECASE):
        raise ValueError(f"the text of a {name} element must not hold </{name}")
    start = element(name, **attributes).removesuffix(f"</{name}>")
    return Html(f"{start}{text}</{name}>")


def slug(text: str) -> str:
    """Text as part of an id: ASCII letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def table(
    columns: Sequence[str],
    lines: Sequence[Sequence[str | Cell]],
    *,
    caption: str,
    id_: str,
    sortable: bool = True,
    class_: str | None = None,
) -> Html:
    """A table in a container of its own that scrolls where the page is narrow.

    The first column heads its rows. A column is a column of numbers, aligned at the right, if all its cells that have a
    value have a number. With `sortable` the page's script makes buttons of the column heads.
    """
    numbers = [_numbers([line[i] for line in lines]) for i in range(len(columns))]
    heads = [
        element("th", column, scope="col", class_="number" if number else None)
        for column, number in zip(columns, numbers, strict=True)
    ]
    body = [element("tr", *(_entry(cell, i, numbers[i]) for i, cell in enumerate(line))) for line in lines]
    content = element(
        "table",
        element("caption", caption, id=f"{id_}-caption"),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
        id=id_,
        class_=" ".join(filter(None, ("sortable" if sortable else None, class_))) or None,
    )
    return element("div", content, class_="scroll", role="region", tabindex=0, aria_labelledby=f"{id_}-caption")


def _numbers(cells: Sequence[str | Cell]) -> bool:
    """Whether a column holds numbers and nothing else."""
    values = [cell.value if isinstance(cell, Cell) else cell for cell in cells]
    return any(v is not None for v in values) and not any(isinstance(v, str) for v in values)


def _entry(cell: str | Cell, place: int, number: bool) -> Html:
    text, value = (cell.text, cell.value) if isinstance(cell, Cell) else (cell, None)
    attributes: dict[str, str | None] = {
        "class_": "number" if number else None,
        "data_value": None if value is None else str(value),
    }
    return element("th", text, scope="row", **attributes) if place == 0 else element("td", text, **attributes)
