"""What the tests of the report share: rows with all that a page has to cope with, and a page read as a tree."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from benchmark import report, rows
from benchmark.cells import suites
from tests.planted import planted

VOID = {"img", "meta", "br", "hr", "input", "link"}

HOSTILE = """</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"'&"""
"""A name that would be a script, an image and the end of an attribute if it were not escaped."""


def climbing(n: int, depth: int, share: float) -> float:
    """Deeper is harder, a second pass helps, and both take training."""
    return 0.5 + 0.5 * share * min(1.0, (0.4 + 0.3 * n) / (1 + 0.2 * depth))


def some_passes(folder: Path) -> Path:
    """A part of the suite `passes` at scale cpu with its own cell ids; one of its cells failed."""
    plan = suites.suite("passes", "cpu").cells()
    ids = {(c.training.sleep_passes, c.difficulty, c.seed): c.id for c in plan}
    found = planted(climbing, ns=(1, 2), depths=(0, 5, 8), seeds=2, noise=0.01, tests=4, commit="abc123")
    for row in found:
        row["cell_id"] = ids[row["sleep_passes"], row["difficulty"], row["seed"]]
    failed = ids[2, 8, 1]
    kept = [row for row in found if row["cell_id"] != failed]
    bad = next(row for row in found if row["cell_id"] == failed)
    scores = {"exact_match": None, "lift": None, "answer": None}
    kept.append(bad | scores | {"status": "diverged", "reason": "training loss is nan"})
    return _written(folder, kept, {"command": "bench run passes", "cores": 2, "packages": {"numpy": "2"}})


def hostile(folder: Path) -> Path:
    """One depth of a suite whose names and reasons are HTML."""
    facts = {"suite": HOSTILE, "task": HOSTILE, "variant": HOSTILE, "commit": HOSTILE, "device": HOSTILE}
    found = planted(climbing, ns=(1,), depths=(3,), seeds=2, **facts)
    found.append(
        found[-1] | {"status": "crashed", "reason": HOSTILE, "exact_match": None, "cell_id": HOSTILE, "seed": 9}
    )
    return _written(folder, found, {"command": HOSTILE, "processor": HOSTILE, "packages": {HOSTILE: HOSTILE}})


def _written(folder: Path, found: list[rows.Row], environment: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    for row in found:
        row["loss"] = None if row["exact_match"] is None else 0.7 * (1 - row["exact_match"])
    rows.write_table(folder / "rows.parquet", found)
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    return folder


def written(folder: Path) -> Path:
    """The page of both, written in `folder`."""
    sources = [some_passes(folder / "passes-cpu"), hostile(folder / "odd")]
    return report.write(sources, folder / "report.html")


@dataclass
class Element:
    """An element as it was parsed."""

    name: str
    attributes: dict[str, str]
    parent: "Element | None" = None
    children: "list[Element]" = field(default_factory=list)
    own: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text, without that of scripts and styles."""
        return "" if self.name in ("script", "style") else "".join(self.own)

    def all(self, name: str | None = None) -> "list[Element]":
        """Every element in it, of one name if given, in the order of the page."""
        found = [] if name and self.name != name else [self]
        return found + [below for child in self.children for below in child.all(name)]

    def by_id(self, id_: str) -> "Element":
        (found,) = (e for e in self.all() if e.attributes.get("id") == id_)
        return found


class Page(HTMLParser):
    """A page as a tree; an end tag that does not end the element that is open is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("document", {})]
        self.tree = self.open[0]
        self.feed(text)
        self.close()
        assert len(self.open) == 1, f"not closed: {[e.name for e in self.open[1:]]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        made = Element(tag, {name: value or "" for name, value in attrs}, self.open[-1])
        self.open[-1].children.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> within {self.open[-1].name}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        inside = self.open[-1].name
        self.open[-1].own.append(data)
        if inside not in ("script", "style"):
            for outer in self.open[:-1]:
                outer.own.append(data)
