"""Cells that failed, in words: how many seeds of what, and how."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from benchmark.rows.schema import Status

PHRASES = {Status.OUT_OF_MEMORY: "ran out of memory"}
NAME_LIMIT = 4
"""Sentences of a note; the others are counted."""


def sentences(scores: pl.DataFrame, failed: pl.DataFrame, by: Sequence[str] = ()) -> list[str]:
    """For every place where cells failed one such as "2 of 5 seeds diverged at N = 2, t = 6".

    Args:
        scores: Rows of the cells that did not fail, with `n` and `depth`.
        failed: A row per failed cell.
        by: Columns that tell cells apart beside those.
    """
    tell = [c for c in (*by, "n", "depth") if c != "test_passes"]
    every = pl.concat([part.select(*tell, "seed") for part in (scores, failed)]).unique()
    counts = Counter((*row[:-1], row[-1]) for row in failed.select(*tell, "axis", "status").rows())
    lines = []
    for (*place, axis, status), count in counts.items():
        at = dict(zip(tell, place, strict=True))
        # Where nobody knows the difficulty, all of that N are meant.
        same = [pl.col(c).eq_missing(pl.lit(value)) for c, value in at.items() if value is not None]
        seeds = every.filter(*same)["seed"].n_unique()
        how = PHRASES.get(Status(status), str(status).replace("_", " "))
        lines.append(f"{count} of {seeds} seed{'s' * (seeds > 1)} {how} at {_place(at, axis, by)}")
    return lines


def note(reasons: Sequence[str], most: int = NAME_LIMIT) -> str:
    """Some sentences as one, the first ones in full."""
    more = f"; so it is with {len(reasons) - most} more" if len(reasons) > most else ""
    return f"Left out: {'; '.join(reasons[:most])}{more}."


def _place(at: dict[str, Any], axis: str, by: Sequence[str]) -> str:
    from benchmark.rows.studies import label, words

    parts = [
        str(at[c]) if isinstance(at[c], str) else f"{words(c)} {at[c]}"
        for c in by
        if c != "test_passes" and at[c] is not None
    ]
    depth = [] if at["depth"] is None or axis in by else [label(axis, at["depth"])]
    return ", ".join([*parts, f"N = {at['n']}", *depth])
