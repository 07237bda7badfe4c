"""What people read: amounts, durations, and one table that every place prints in its own form."""

import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table as RichTable

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
"""What means something to LaTeX, and how it is written to mean itself."""


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def amount(number: float) -> str:
    """A count with a metric prefix: 4.2M, 1.5P."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if abs(number) < 1000:
            return f"{number:.3g}{prefix}"
        number /= 1000
    return f"{number:.3g}E"


_HTML = re.compile(r"<(?=[A-Za-z/!?])")
"""What begins a tag."""

MESSAGE_LIMIT = 2000
"""Characters of an error that are kept."""


def error_line(error: BaseException) -> str:
    """An error in a line of plain text: its type and what it says, without what would steer a terminal, cut if long."""
    try:
        text = str(error)
    except Exception as other:  # somebody's own class
        text = f"(its text cannot be had: {type(other).__name__})"
    return clean(f"{type(error).__name__}: {text}")


def clean(text: str) -> str:
    """A text of others without escape sequences and other signs that no one can read, cut if it is long."""
    text = text[: 2 * MESSAGE_LIMIT]  # before anything is looked for in megabytes
    text = printable(text)
    return text if len(text) <= MESSAGE_LIMIT else f"{text[:MESSAGE_LIMIT]} [...]"


def printable(text: str) -> str:
    """A text of others without escape sequences; for what else no one can read but ends of lines there are spaces."""
    if text.isprintable():
        return text
    text = _ESCAPES.sub("", text).encode("utf-8", "replace").decode()
    return "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text)


def tail(text: str, most: int) -> str:
    """The end of a text, which says so if something is missing."""
    return text if len(text) <= most else f"[...] {text[-most:]}"


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL)
"""Control sequences of terminals: CSI, OSC, and two-letter ones."""


class Entry(NamedTuple):
    """A place of a table that is sorted by something else than what it shows."""

    text: str
    value: float | str | None
    """None comes last, whichever the direction."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """Heads and lines, for a terminal, Markdown, LaTeX, CSV and, in the template of the report, HTML."""

    heads: Sequence[str]
    lines: Sequence[Sequence[Any]]
    """A value per head, shown as `str` does; an `Entry` where that is not what it is sorted by."""
    title: str = ""
    sides: Sequence[str] = ()
    """Where each column stands, as Markdown writes it: "---" left, "--:" right; none: numbers stand right."""

    def right(self) -> list[bool]:
        """Whether each column stands at the right."""
        if self.sides:
            return [side.strip().endswith(":") for side in self.sides]
        columns = [[line[i] for line in self.lines] for i in range(len(self.heads))]
        values = [[value.value if isinstance(value, Entry) else value for value in column] for column in columns]
        return [all(map(_reads_as_number, column)) and any(v is not None for v in column) for column in values]

    def texts(self) -> list[list[str]]:
        """The lines as they are shown, without what would steer a terminal."""
        return [[printable(str(value)) for value in line] for line in self.lines]

    def terminal(self, **style: Any) -> "RichTable":
        """For the console of rich; `style` is what its `Table` takes."""
        from rich.table import Table as RichTable

        table = RichTable(title=self.title, title_justify="left", **style)
        for i, (head, right) in enumerate(zip(self.heads, self.right(), strict=True)):
            table.add_column(head.replace("_", " "), justify="right" if right else "left", no_wrap=i == 0)
        for line in self.texts():
            table.add_row(*line)
        return table

    def markdown(self) -> str:
        """In Markdown, without the title and without an end of line."""

        def cell(text: str) -> str:
            return _HTML.sub("&lt;", " ".join(text.split("\n")).replace("|", r"\|"))

        rule = self.sides or ["---:" if right else "---" for right in self.right()]
        lines = [" | ".join(map(cell, line)) for line in self.texts()]
        return "\n".join([f"| {' | '.join(self.heads)} |", f"|{'|'.join(rule)}|", *(f"| {line} |" for line in lines)])

    def latex(self, bold: Collection[tuple[int, int]] = ()) -> str:
        r"""Floating under its title, for `\usepackage{booktabs}`; `bold` has (line, column) of what is set bold."""

        def escaped(text: str) -> str:
            return "".join(LATEX.get(sign, sign) for sign in printable(text).replace("\n", " "))

        rows = [
            [rf"\textbf{{{escaped(text)}}}" if (i, j) in bold else escaped(text) for j, text in enumerate(line)]
            for i, line in enumerate(self.texts())
        ]
        head, *body = (f"    {' & '.join(row)} \\\\\n" for row in [list(map(escaped, self.heads)), *rows])
        sides = "".join("r" if right else "l" for right in self.right())
        return (
            "% needs \\usepackage{booktabs}\n\\begin{table}\n  \\centering\n"
            f"  \\caption{{{escaped(self.title)}}}\n  \\begin{{tabular}}{{{sides}}}\n    \\toprule\n{head}"
            f"    \\midrule\n{''.join(body)}    \\bottomrule\n  \\end{{tabular}}\n\\end{{table}}\n"
        )

    def csv(self) -> str:
        """Comma-separated values under their heads; what is not known is left empty.

        A text that a spreadsheet would compute, as it begins like a formula, has an apostrophe before it.
        """

        def cell(value: Any) -> Any:
            return f"'{value}" if str(value)[:1] in tuple("=+-@\t\r") and not _reads_as_number(value) else value

        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.heads, *(map(cell, line) for line in self.lines)])
        return text.getvalue()


def table_of(heads: Sequence[str], lines: Sequence[Sequence[Any]], title: str = "") -> "RichTable":
    """A table for the console."""
    return Table(heads, lines, title).terminal()


def _reads_as_number(value: Any) -> bool:
    """Whether a value is a number, a range of them, or nothing."""
    return value is None or value == "-" or not set(str(value)) - set("0123456789.+-eMto ")
