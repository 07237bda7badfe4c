"""Two sets of learning curves side by side: the conditions of two tables of rows, matched by their settings.

A condition is every setting of task, model and training, with the difficulty and the N of the test; seeds repeat it. It
is not the id of a cell, which a new version of a task or model changes too.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmark import rows
from benchmark.rows import Status
from benchmark.rows.studies import label, words

Floats = NDArray[np.float64]

UNLIKE = (
    *rows.WALL_COLUMNS,
    *("schema_version", "suite", "scale", "variant", "device", "processor", "torch", "commit", "source"),
    *("shortcut", "shortcut_name", "cache_bytes"),
)
"""Columns in which two runs of the same cell may differ and still be the same, bit for bit."""

IDENTITY = ("task", "model")

COUNTS = ("parameters", "state_bytes", "sleep_flops", "wake_flops")
"""Columns that are counted, not measured: without a change of the code they are the same for every seed."""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The learning curves of one condition, a seed each, all answers together."""

    seeds: tuple[int, ...]
    """Of the cells that were trained to the end."""
    tokens: Floats
    """Training tokens at each point [points]."""
    accuracy: Floats
    """Exact match, a share [seeds, points]."""
    loss: Floats
    """Nats per target token [seeds, points]."""
    lift: Floats
    """(accuracy - chance) / (1 - chance) [seeds, points]."""
    examples: int
    """Held-out examples of a point."""
    counts: dict[str, float]
    """The `COUNTS` of its last row, where there are any."""
    failed: tuple[str, ...]
    """In words, the cells that failed."""
    unfinished: tuple[str, ...]
    """In words, those whose training has not come to its end."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A condition and its curves on both sides."""

    name: str
    group: str
    curves: Curves | None
    """Of the rows to be checked; None if they lack the condition."""
    reference: Curves | None
    """Of the reference; None if it lacks the condition."""
    identical: bool
    """Whether every cell of the rows is in the reference with rows equal bit for bit."""
    unlike: str = ""
    """Why the two cannot be compared, their examples being others; empty if they can."""


@dataclass(frozen=True)
class _Side:
    """One table of rows by condition."""

    settings: dict[str, dict[str, Any]]
    """Condition -> what it is, by column."""
    scores: dict[str, dict[int, list[rows.Row]]]
    """Condition -> seed -> its rows of all answers together, in the order of training."""
    failed: dict[str, list[str]]
    """Settings of a cell -> why its cells have no scores."""
    rows_of_cell: dict[str, list[rows.Row]]
    """Cell id -> all its rows without `UNLIKE`, for the comparison bit for bit."""
    versions: dict[str, int]
    """Condition -> version of its task."""


def align(frame: pl.DataFrame, reference: pl.DataFrame) -> list[Pair]:
    """The conditions of both tables, matched, in the order of the reference; those that only the rows have come last.

    Raises:
        ValueError: no condition is in both, or cells differ only in a setting that the other table does not know.
    """
    shared = [c for c in reference.columns if c in frame.columns]
    new, old = _side(frame.select(shared)), _side(reference.select(shared))
    conditions = list(dict.fromkeys([*old.settings, *new.settings]))
    if not set(new.settings) & set(old.settings):
        raise ValueError(_mismatch(new, old))
    settings = {c: (old.settings.get(c) or new.settings[c]) for c in conditions}
    names = _names(settings)
    return [
        Pair(
            name=names[condition],
            group=".".join(str(settings[condition][c]) for c in IDENTITY),
            curves=_curves(new, condition, settings[condition]),
            reference=_curves(old, condition, settings[condition]),
            identical=_identical(new, old, condition),
            unlike=_unlike(new, old, condition, settings[condition]["task"]),
        )
        for condition in conditions
    ]


def remarks(frame: pl.DataFrame, reference: pl.DataFrame) -> list[str]:
    """What a reader should know before comparing the numbers of two tables: versions, unknown settings, seeds."""
    lines = []
    for kind in IDENTITY:
        versions = [
            dict(zip(*(f[c].to_list() for c in (kind, f"{kind}_version")), strict=True)) for f in (frame, reference)
        ]
        for name in sorted(versions[0].keys() & versions[1].keys()):
            new, old = versions[0][name], versions[1][name]
            if new != old:
                lines.append(f"{kind} {name} is of version {new} here and of version {old} in the reference")
    for here, there, where in ((frame, reference, "the reference"), (reference, frame, "these rows")):
        if unknown := [c for c in here.columns if c not in there.columns]:
            lines.append(f"{where} do{'es' if there is reference else ''} not know: {', '.join(unknown)}; not compared")
    for column in ("device", "processor", "torch"):
        new, old = (sorted({str(v) for v in f[column].unique() if v is not None}) for f in (frame, reference))
        if new and old and new != old:
            lines.append(f"{column}: {', '.join(new)} here, {', '.join(old)} in the reference")
    return lines


def _side(frame: pl.DataFrame) -> _Side:
    shared = [c for c in frame.columns if rows.is_setting(c)]
    side = _Side({}, defaultdict(lambda: defaultdict(list)), defaultdict(list), defaultdict(list), {})
    ids: dict[tuple[str, int], str] = {}
    broken = set(frame.filter(pl.col("status") != Status.OK)["cell_id"])
    for row in frame.sort("step", nulls_last=True, maintain_order=True).iter_rows(named=True):
        cell = {c: _canonical_value(row[c]) for c in (*IDENTITY, *shared) if row[c] is not None}
        key = (json.dumps(cell, sort_keys=True), row["seed"])
        if ids.setdefault(key, row["cell_id"]) != row["cell_id"]:
            raise ValueError(
                f"cells {ids[key]} and {row['cell_id']} of the same table have seed {row['seed']} and every setting in "
                "common that both tables know, or other versions; compare them one by one"
            )
        side.rows_of_cell[row["cell_id"]].append({c: v for c, v in row.items() if c not in UNLIKE and v is not None})
        if row["status"] != Status.OK:
            side.failed[key[0]].append(f"seed {row['seed']} {row['status']}: {row['reason']}")
        elif row["answer"] is None:
            test = cell | {"axis": row["axis"], "difficulty": row["difficulty"], "tested": row["tested_passes"]}
            condition = json.dumps(test, sort_keys=True)
            side.settings[condition] = test | {"cell": key[0]}
            side.versions[condition] = row["task_version"]
            if row["cell_id"] not in broken:
                side.scores[condition][row["seed"]].append(row)
    return side


def _canonical_value(value: Any) -> Any:
    """A setting so that equal ones are written alike: 2.0 as 2."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _curves(side: _Side, condition: str, settings: dict[str, Any]) -> Curves | None:
    by_seed, failed = side.scores.get(condition, {}), side.failed.get(settings["cell"], [])
    if not by_seed and not failed:
        return None
    points = [row["tokens_seen"] for row in max(by_seed.values(), key=len, default=[])]
    finished, unfinished = {}, []
    for seed, tests in sorted(by_seed.items()):
        if [row["tokens_seen"] for row in tests] == points and points[-1] >= settings.get("tokens", 0):
            finished[seed] = tests
        else:
            unfinished.append(f"seed {seed} unfinished, at {tests[-1]['tokens_seen']} tokens")

    shape = (len(finished), len(points))
    last = next(reversed(finished.values()))[-1] if finished else {}

    def score(name: str) -> Floats:
        return np.array([[row[name] for row in tests] for tests in finished.values()], np.float64).reshape(shape)

    return Curves(
        seeds=tuple(finished),
        tokens=np.array(points, np.float64),
        accuracy=score("exact_match"),
        loss=score("loss"),
        lift=score("lift"),
        examples=min((row["n_examples"] or 0 for tests in finished.values() for row in tests), default=0),
        counts={c: float(last[c]) for c in COUNTS if last.get(c) is not None},
        failed=tuple(failed),
        unfinished=tuple(unfinished),
    )


def _identical(new: _Side, old: _Side, condition: str) -> bool:
    cells = {row["cell_id"] for tests in new.scores.get(condition, {}).values() for row in tests}
    return bool(cells) and all(
        cell in old.rows_of_cell and new.rows_of_cell[cell] == old.rows_of_cell[cell] for cell in cells
    )


def _unlike(new: _Side, old: _Side, condition: str, task: str) -> str:
    here, there = new.versions.get(condition), old.versions.get(condition)
    if here is None or there is None or here == there:
        return ""
    return f"task {task} is of version {here} here and of version {there} in the reference: other examples"


def _names(settings_of: dict[str, dict[str, Any]]) -> dict[str, str]:
    """A name for every condition: task, difficulty, N, and as many of the other settings as tell them apart."""
    names = {c: _condition_name(settings) for c, settings in settings_of.items()}
    columns = dict.fromkeys(name for settings in settings_of.values() for name in settings)
    left_out = {"axis", "difficulty", "tested", "cell", "sleep_passes", "test_passes", "test_at", "task"}
    for column in columns:
        if len(set(names.values())) == len(names):
            break
        if column in left_out or any(column == settings["axis"] for settings in settings_of.values()):
            continue
        longer = {c: f"{name}, {words(column)} {settings_of[c].get(column)}" for c, name in names.items()}
        if len(set(longer.values())) > len(set(names.values())):
            names = longer
    return names


def _condition_name(settings: dict[str, Any]) -> str:
    trained, tested = settings.get("sleep_passes"), settings["tested"]
    name = f"{settings['task']}, {label(settings['axis'], settings['difficulty'])}"
    return f"{name}, N = {trained or tested}" + (f" tested at {tested}" if tested != (trained or tested) else "")


def _mismatch(new: _Side, old: _Side) -> str:
    """Why nothing can be compared: the pair of conditions that differs least, and in what."""
    if not new.settings or not old.settings:
        return f"no cell was ever tested in {'the reference' if new.settings else 'these rows'}: nothing to compare"

    def differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
        return [c for c in dict.fromkeys([*a, *b]) if c != "cell" and a.get(c) != b.get(c)]

    here, there = min(
        ((a, b) for a in new.settings.values() for b in old.settings.values()), key=lambda pair: len(differing(*pair))
    )
    parts = [f"{c} {here.get(c)} here, {there.get(c)} there" for c in differing(here, there)]
    return f"no condition is in both the rows and the reference; the nearest two differ in: {'; '.join(parts)}"
