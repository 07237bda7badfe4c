"""Which code rows come from, so that nobody takes the numbers of two programs for those of one."""

from collections.abc import Iterable, Mapping
from typing import Any

NAME_LIMIT = 4


def mixture(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """What to say of rows of several states of the code; None if they are of one.

    A state is the hash of the source or, of older rows, which lack it, the commit.

    Args:
        rows: Rows with `cell_id` and, where they have it, `source` and `commit`.
    """
    states: dict[str, set[str]] = {}
    for row in rows:
        states.setdefault(_state(row), set()).add(row["cell_id"])
    if len(states) < 2:
        return None
    largest = sorted(states, key=lambda state: (-len(states[state]), state))
    names = [f"{state} ({len(states[state])} cell{'s' * (len(states[state]) > 1)})" for state in largest[:NAME_LIMIT]]
    more = f" and {len(states) - NAME_LIMIT} more" if len(states) > NAME_LIMIT else ""
    return (
        f"these rows come from {len(states)} states of the code: {', '.join(names)}{more}; where it changed what is "
        "computed, their numbers do not belong together"
    )


def _state(row: Mapping[str, Any]) -> str:
    """The code of a row in words."""
    if source := row.get("source"):
        return f"source {source}"
    return f"commit {row.get('commit') or 'unknown'}"
