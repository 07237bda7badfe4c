"""What a score has to be above to be computation: chance, guesses that read nothing, and the best known shortcut."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import polars as pl

from benchmark.judge.evidence import task_of
from benchmark.rows.studies import Study, values
from tasks.base import strongest

FLOORS = ("chance", "majority", "question_only")
"""Columns of rows that are floors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """The best score without computation at a difficulty.

    Attributes:
        name: What gets it: "chance", a column of `FLOORS`, or a shortcut of the task.
        share: Exact match on the whole example.
    """

    name: str
    share: float

    @property
    def passes(self) -> bool:
        """Whether it gets everything right, so that nothing above it could be seen: the task there is storage."""
        return self.share >= 1

    def lift(self, score: float) -> float:
        """How far a score is from the floor to 1."""
        return (score - self.share) / (1 - self.share)


def floors(study: Study, depths: Sequence[int] | None = None, *, below: float = math.inf) -> dict[int, Floor]:
    """The highest floor `below` a share, at each of some difficulties, else at every one with finished cells.

    Shortcuts are those that the rows say (`shortcut`, `shortcut_name`) and those that the task of this code names at
    the rows' settings, tables that are always right among them. Where it is of a newer version than the rows its
    shortcuts stand in for theirs: they can make a claim harder, never easier, for claims are judged over chance too.
    """
    every = {depth: _all_floors(study, depth) for depth in depths or values(study.final["depth"])}
    lower = {depth: {name: share for name, share in shares.items() if share < below} for depth, shares in every.items()}
    best = {depth: strongest(shares) for depth, shares in lower.items()}
    return {depth: Floor(name=highest[0], share=highest[1]) for depth, highest in best.items() if highest}


def _all_floors(study: Study, depth: int) -> dict[str, float]:
    """Every floor by name."""
    rows = study.final.filter((pl.col("depth") == depth) & pl.col("answer").is_null())
    first = rows.row(0, named=True)
    means = rows.select(pl.col(FLOORS).mean()).row(0, named=True)
    shares = {name: float(share) for name, share in means.items() if share is not None}
    if first.get("shortcut") is not None:
        shares[str(first.get("shortcut_name"))] = float(first["shortcut"])
    with suppress(ValueError, TypeError):  # of a task that is not here, the rows' own floors are what is known
        shares = dict(task_of(first, of_any_version=True).shortcuts(depth)) | shares
    return shares
