"""The paper's printed points beside rows at the same setting: same task, difficulty, N and scale `paper`, or none.

A row of another scale is never put beside a point. How exact a point is, its source says: to its digits, about, or as a
bound; where the paper does not say which N a value belongs to, all such values of a difficulty are one set, which the
rows meet if each value can be given an N of its own whose interval holds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import permutations
from typing import Any

import polars as pl

from benchmark.judge import paper
from benchmark.judge.evidence import examples, mean_over_seeds, rank, scores
from benchmark.judge.statistics import Interval
from benchmark.rows.studies import Study, studies

ROUNDING, ABOUT = 0.0005, 0.05
"""How far the truth may lie from a value printed to three digits, and from one printed with the word about."""

ALL_PASSES = {"4a": (1, 2, 4, 6), "4b": (1, 2, 4)}
"""The N of figures whose values are not all assigned to one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PointEvidence:
    """A printed point, and what rows say at its setting."""

    figure: str
    task: str
    axis: str
    """Name of the difficulty."""
    difficulty: int
    """Value of it."""
    sleep_passes: int | None
    """N; None where the paper does not say which."""
    value: float
    source: str
    """How exact that is."""
    estimate: float | None = None
    """Mean over seeds of the rows; None without rows, or where the paper does not say N."""
    low: float | None = None
    """Limits of its 95 % interval."""
    high: float | None = None
    seeds: int = 0
    contains: bool | None = None
    """Whether the interval holds the value, as exact as it is; None without rows."""
    reading: str
    """What was compared, or why nothing was."""
    command: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def point_evidence(frame: pl.DataFrame) -> list[PointEvidence]:
    """Every printed point with the rows at its setting, in the paper's order."""
    points, settings = paper.points(), paper.settings()
    groups = {figure: _study(frame, setting) for figure, setting in settings.items()}
    sets: dict[tuple[str, int], list[float]] = {}
    for row in points.filter(pl.col("sleep_passes").is_null()).iter_rows(named=True):
        sets.setdefault((row["figure"], row["difficulty"]), []).append(row["value"])
    assignments = points.drop_nulls("sleep_passes").group_by("figure", "difficulty").agg("sleep_passes")
    assigned = {(f, d): set(n) for f, d, n in assignments.iter_rows()}
    lines = []
    for row in points.iter_rows(named=True):
        place = row["figure"], row["difficulty"]
        free = [n for n in ALL_PASSES.get(row["figure"], ()) if n not in assigned.get(place, ())]
        study = groups[row["figure"]]
        lines.append(_point(row, settings[row["figure"]], study, free, sets.get(place, [])))
    return lines


def tolerance(source: str) -> tuple[float, float]:
    """How far below and above a printed value the truth may lie; infinite above a lower bound."""
    if "above" in source:
        return 0.0, float("inf")
    return (ABOUT, ABOUT) if "about" in source or "approximately" in source else (ROUNDING, ROUNDING)


def _study(frame: pl.DataFrame, setting: paper.Setting) -> Study | None:
    """The rows at the setting of a figure: the study of most seeds, then of most cells."""
    conditions = {"suite": setting.suite, "scale": "paper"} | dict(setting.where)
    if any(column not in frame.columns for column in conditions):
        return None
    at = frame.filter(*(pl.col(column) == value for column, value in conditions.items()))
    candidates = [study for study in (studies(at) if at.height else []) if study.final.height and not study.variant]
    return max(candidates, key=rank, default=None)


def _point(
    row: Mapping[str, Any], setting: paper.Setting, study: Study | None, free: list[int], together: list[float]
) -> PointEvidence:
    """One point; `free`: the N a value without N may belong to, `together`: the values that share them."""
    same = {k: row[k] for k in ("figure", "task", "axis", "difficulty", "sleep_passes", "value", "source")}
    depth, n = row["difficulty"], row["sleep_passes"]
    intervals: dict[int, tuple[Interval, int]] = {}
    if study is not None and study.axis == row["axis"] and study.final["task"][0] == row["task"]:
        for count in [n] if n is not None else free:
            if each := scores(study.final, count, [depth]):
                total = examples(study.final, [count], [depth])
                intervals[count] = mean_over_seeds(each, total), len(each)
    differs = f" ({setting.differs})" if setting.differs else ""
    if not intervals:
        return PointEvidence(**same, reading=f"no rows at this setting{differs}", command=setting.command)
    about = f"scale paper{differs}"
    if n is not None:
        interval, seeds = intervals[n]
        return PointEvidence(
            **same,
            estimate=interval.estimate,
            low=interval.low,
            high=interval.high,
            seeds=seeds,
            contains=_holds(interval, row["value"], row["source"]),
            reading=about,
            command=setting.command,
        )
    readings = ", ".join(f"N = {count} {interval}" for count, (interval, _) in intervals.items())
    complete = len(intervals) >= len(together)
    return PointEvidence(
        **same,
        seeds=min(seeds for _, seeds in intervals.values()),
        contains=_assignable(list(intervals.values()), together, row["source"]) if complete else None,
        reading=f"{about}, as a set of {len(together)}: {readings}",
        command=setting.command,
    )


def _holds(interval: Interval, value: float, source: str) -> bool:
    below, above = tolerance(source)
    return interval.low <= value + above and value - below <= interval.high


def _assignable(intervals: list[tuple[Interval, int]], values: list[float], source: str) -> bool:
    """Whether each value can be given an interval of its own that holds it."""
    return any(
        all(_holds(interval, value, source) for (interval, _), value in zip(order, values, strict=True))
        for order in permutations(intervals, len(values))
    )
