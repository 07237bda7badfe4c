"""Studies: rows grouped into what may share a figure, so that no mean hides a setting that varies.

A cell that failed is left out of the scores and named in the note.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from benchmark import rows

IDENTITY = ("suite", "scale", "task", "task_version", "model", "model_version", "device")
"""Columns whose values never share a study."""

SYMBOLS = {"rollout_steps": "t", "hops": "k"}
MOST_NAMED = 4  # failed cells named in a note


@dataclass(frozen=True, kw_only=True)
class Study:
    """Rows that may share a figure: they differ in difficulty, N and seed only.

    Attributes:
        name: What tells this study from the others of the same rows; empty if it is the only one.
        about: What was trained, for the line under the title.
        note: Seeds, failed and unfinished cells, for the line under the figure.
        axis: Name of the difficulty.
        scores: Test rows of every cell that did not fail; beside the columns of rows, `n` is the N of training and
            `depth` the difficulty.
        final: Those of the last step of every finished cell.
        failed: One row per failed cell; its `depth` may be null.
    """

    name: str
    about: str
    note: str
    axis: str
    scores: pl.DataFrame
    final: pl.DataFrame
    failed: pl.DataFrame

    def label(self, depth: int) -> str:
        """A difficulty in words, such as "t = 4"."""
        return _label(self.axis, depth)

    @property
    def passes(self) -> list[int]:
        """Every N there is, failed cells included."""
        return values([*self.scores["n"], *self.failed["n"]])

    @property
    def depths(self) -> list[int]:
        """Every difficulty there is, failed cells included."""
        return values([*self.scores["depth"], *self.failed["depth"]])

    @property
    def depth_axis(self) -> str:
        """The name of the difficulty, with its symbol."""
        return f"{words(self.axis)} {SYMBOLS.get(self.axis, '')}".strip()

    def whole(self, scores: pl.DataFrame, n: int, depth: int) -> pl.DataFrame:
        """The rows, out of `scores` or `final`, of one N and difficulty, all answers together."""
        return scores.filter((pl.col("n") == n) & (pl.col("depth") == depth) & pl.col("answer").is_null())

    def chance(self, depth: int) -> float:
        """Chance of the whole example at a difficulty, in percent; NaN where no cell was tested."""
        found = self.scores.filter((pl.col("depth") == depth) & pl.col("answer").is_null())["chance"]
        return 100 * float(found[0]) if len(found) else math.nan


def studies(frame: pl.DataFrame) -> list[Study]:
    """The studies in a table of rows, in a fixed order; those without any score are left out."""
    axes = [a for a in frame["axis"].unique(maintain_order=True) if a in frame.columns]
    settings = [c for c in frame.columns if c not in rows.COLUMNS and c not in (*axes, "sleep_passes", "test_passes")]
    lists = [c for c in settings if frame[c].dtype == pl.List]
    trained = pl.col("sleep_passes" if "sleep_passes" in frame.columns else "tested_passes")
    frame = frame.with_columns(
        n=trained,
        depth=pl.coalesce("difficulty", *(pl.when(pl.col("axis") == a).then(pl.col(a)) for a in axes)),
        test_passes=pl.when(pl.col("tested_passes") != trained).then(pl.col("tested_passes").cast(pl.String)),
        **{c: pl.col(c).cast(pl.List(pl.String)).list.join(" ") for c in lists},
    )
    frame = frame.sort("n", "depth", "seed", "cell_id", "step", "answer", nulls_last=True, maintain_order=True)
    identity = [c for c in IDENTITY if frame[c].n_unique() > 1]
    found = []
    for group in _split(frame, identity):
        varying = [c for c in settings if _varies(group, c)] + ["test_passes"]
        for part in _split(group, varying):
            study = _study(part, [*identity, *varying], settings)
            if study.scores.height:
                found.append(study)
    return sorted(found, key=lambda study: study.name)


def _split(frame: pl.DataFrame, columns: Sequence[str]) -> list[pl.DataFrame]:
    """The rows of each combination of values in `columns`."""
    return frame.partition_by(columns, maintain_order=True) if columns else [frame]


def _varies(group: pl.DataFrame, setting: str) -> bool:
    """Whether cells of one difficulty differ in a setting, so that a mean over them would hide it."""
    return bool((group.group_by("depth").agg(pl.col(setting).n_unique())[setting] > 1).any())


def _study(part: pl.DataFrame, naming: Sequence[str], settings: Sequence[str]) -> Study:
    """The study of rows that belong together; `naming`: the columns that tell it from others."""
    failed = part.filter(pl.col("status") != "ok").unique("cell_id", keep="first", maintain_order=True)
    scores = part.filter((pl.col("status") == "ok") & ~pl.col("cell_id").is_in(failed["cell_id"].to_list()))
    last = scores.filter(pl.col("step") == pl.col("step").max().over("cell_id"))
    final = last.filter(pl.col("tokens_seen") >= pl.col("tokens")) if "tokens" in part.columns else last
    first = part.row(0, named=True)
    name = ", ".join(f"{words(c)} {first[c]}" for c in naming if first[c] is not None)
    trained = f"{first['task']}, {first['model']}, suite {first['suite']}, scale {first['scale']}"
    axis = first["axis"]
    note = []
    if scores.height:
        seeds = scores.group_by("n", "depth").agg(pl.col("seed").n_unique())["seed"].to_list()
        note.append(f"{'–'.join(str(s) for s in values([min(seeds), max(seeds)]))} seed{'s' * (max(seeds) > 1)}.")
    if failed.height:
        cells = [_failure(axis, row) for row in failed.iter_rows(named=True)]
        more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
        note.append(f"{_cells(len(cells))} failed, left out: {'; '.join(cells[:MOST_NAMED])}{more}.")
    if unfinished := scores["cell_id"].n_unique() - final["cell_id"].n_unique():
        note.append(f"{_cells(unfinished)} unfinished: in curves as far as trained, not in final scores.")
    if differing := [words(c) for c in settings if part[c].n_unique() > 1]:
        note.append(f"Not the same at every difficulty: {', '.join(differing)}.")
    about = f"{trained}\n{name}".strip()
    return Study(name=name, about=about, note=" ".join(note), axis=axis, scores=scores, final=final, failed=failed)


def _failure(axis: str, row: dict[str, Any]) -> str:
    """A failed cell in words."""
    depth = "" if row["depth"] is None else f"{_label(axis, row['depth'])}, "
    return f"N = {row['n']}, {depth}seed {row['seed']} ({row['status']})"


def _label(axis: str, value: int) -> str:
    """A difficulty in words, such as "t = 4"."""
    return f"{SYMBOLS.get(axis, words(axis))} = {value}"


def words(name: str) -> str:
    """The name of a column as it is said."""
    return name.replace("_", " ")


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count > 1)}"


def values(found: Iterable[Any]) -> list[Any]:
    """The different values, sorted, without nulls."""
    return sorted({value for value in found if value is not None})
