"""The rows of `bench hardness` as files and tables."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from tasks.hardness import MEASURES, Row


def tidy(rows: Iterable[Row]) -> str:
    """The rows as CSV, one measure a line."""
    lines = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def read(text: str) -> list[Row]:
    """The rows that `tidy` wrote."""
    numbers = {"version": int, "difficulty": int, "examples": int, "value": float}
    return [
        {name: numbers.get(name, str)(value) for name, value in row.items()}
        for row in csv.DictReader(text.splitlines())
    ]


def merge(earlier: Iterable[Row], rows: Sequence[Row]) -> list[Row]:
    """The rows of both, a table of `rows` in the place of the earlier one of the same task and settings."""
    tables_of: dict[tuple[str, str], list[Row]] = {}
    for row in earlier:
        tables_of.setdefault((row["task"], row["settings"]), []).append(row)
    renewed: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        renewed.setdefault((row["task"], row["settings"]), []).append(row)
    return [row for lines in (tables_of | renewed).values() for row in lines]


def tables(rows: Sequence[Row]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """A table per task and settings: its title, columns (one per difficulty) and lines (one per measure)."""
    for name, settings in dict.fromkeys((row["task"], row["settings"]) for row in rows):
        mine = [row for row in rows if (row["task"], row["settings"]) == (name, settings)]
        of_settings = f" with {settings}" if settings else ""
        title = f"{name} version {mine[0]['version']}{of_settings}, {mine[0]['examples']} examples of each split"
        levels = list(dict.fromkeys(row["difficulty"] for row in mine))
        values = {(row["measure"], row["difficulty"]): _value_text(row["value"]) for row in mine}
        measures = dict.fromkeys(row["measure"] for row in mine)
        lines = [[measure.replace("_", " "), *(values.get((measure, n), "") for n in levels)] for measure in measures]
        yield title, [mine[0]["axis"].replace("_", " "), *map(str, levels)], lines


def _value_text(value: float) -> str:
    """A rounded value that keeps 0, which means none at all, apart from little."""
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.4f}" if value >= 0.001 else f"{value:.1e}"


def markdown(rows: Sequence[Row]) -> str:
    """The page of all tables."""
    page = ["# Hardness", "", "What needs no computation, per difficulty. Written by `bench hardness`.", ""]
    page += [f"- *{name.replace('_', ' ')}*: {about}." for name, about in MEASURES.items()]
    for title, columns, lines in tables(rows):
        page += ["", f"## {title}", "", _line(columns), _line(["---", *("---:" for _ in columns[1:])])]
        page += map(_line, lines)
    return "\n".join([*page, ""])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
