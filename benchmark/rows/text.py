"""Numbers, durations and tables as people read them on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


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


def table_of(columns: Sequence[str], lines: Sequence[Sequence[Any]], title: str = "") -> "Table":
    """A plain table; numbers are aligned to the right."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        numeric = all(isinstance(line[i], int | float) for line in lines)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", no_wrap=i == 0)
    for line in lines:
        table.add_row(*(str(value) for value in line))
    return table
