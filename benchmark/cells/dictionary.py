"""What every column of rows means: those of the schema, and the settings, read from the docstrings of their classes."""

import inspect
import re
from dataclasses import fields
from typing import Any

import baselines
import tasks
from benchmark import rows
from benchmark.cells.cell import Training
from benchmark.rows.text import Table

SECTION = re.compile(r"^(Attributes|Args):$", re.MULTILINE)
ENTRY = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def documentation(kind: type[Any]) -> dict[str, str]:
    """The settings of a dataclass and what its docstring, or that of a class it is made from, says of each.

    Read are sections `Attributes:` or `Args:` in Google's style; the nearest class that has an entry counts. A setting
    that no docstring mentions has an empty text.
    """
    texts: dict[str, str] = {}
    for base in kind.__mro__:
        for name, text in _entries(base.__doc__).items():
            texts.setdefault(name, text)
    return {field.name: texts.get(field.name, "") for field in fields(kind)}


def _entries(docstring: str | None) -> dict[str, str]:
    """The entries of a docstring's section."""
    text = inspect.cleandoc(docstring or "")
    match = SECTION.search(text)
    if match is None:
        return {}
    section = re.split(r"^\S", text[match.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    return {name: " ".join(about.split()) for name, about in ENTRY.findall(section)}


def settings() -> list[tuple[str, str, str]]:
    """(column, whose, meaning) of every setting of training, tasks and models; one line where several say the same."""
    parts: list[tuple[str, type[Any]]] = [("training", Training)]
    parts += [(name, tasks.load(name)) for name in tasks.available()]
    parts += [(name, baselines.load(name)) for name in baselines.available()]
    whose: dict[tuple[str, str], list[str]] = {}
    for owner, kind in parts:
        for name, about in documentation(kind).items():
            whose.setdefault((name, about), []).append(owner)
    order = list(dict.fromkeys(name for name, _ in whose))
    lines = sorted(whose.items(), key=lambda line: order.index(line[0][0]))
    return [(name, ", ".join(owners), about) for (name, about), owners in lines]


def markdown() -> str:
    """All columns: those of every rows file, then the settings, as two Markdown tables."""
    lines = [(f"`{name}`", owners, about or "not documented") for name, owners, about in settings()]
    return f"{rows.dictionary()}\n\n{Table(('setting', 'of', 'meaning'), lines).markdown()}"
