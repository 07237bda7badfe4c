"""Studies: rows grouped into what may share a figure, so that no mean hides a setting that varies.

A study differs in difficulty, N and seed only, or, for a comparison, in a few columns that its figure tells apart. A
cell that failed is left out of the scores and named in the note.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import polars as pl

import tasks
from benchmark import rows
from benchmark.rows import Status, failures
from benchmark.rows.grouping import RATES, alike, split
from benchmark.rows.outcomes import Key, Outcome

IDENTITY = ("variant", "suite", "scale", "task", "task_version", "model", "model_version", "device")
"""Columns whose values never share a study; each names a study only where those before it do not tell."""

PLACE = ("suite", "scale", "task", "device")
"""Columns whose values share a comparison only if it tells them apart."""

DRAWN_PASSES = "sleep_passes_drawn"
"""The setting by which steps of training draw their N; a column of every study, null where they do not."""

SYMBOLS = {"rollout_steps": "t", "hops": "k"}
NAME_LIMIT = 4  # tasks or models named in a note


@dataclass(frozen=True, kw_only=True)
class Study:
    """Rows that may share a figure: they differ in difficulty, N, seed and the columns of a comparison only."""

    name: str
    """What tells this study from the others of the same rows; empty if it is the only one."""
    variant: str | None
    """What the suite calls its cells; None if nothing, or if this is a comparison."""
    setting: str
    """Its name without the variant and the N of the test, after the version of a task that has a newer one."""
    about: str
    """What was trained, for the line under the title; it names the version of a task that has a newer one."""
    note: str
    """Seeds, failed and unfinished cells, for the line under the figure."""
    axis: str
    """Name of the difficulty; "difficulty" if tasks with several share a comparison."""
    scores: pl.DataFrame
    """Test rows of every cell that did not fail; beside the columns of rows, `n` is the N of training and `depth` the
    difficulty."""
    final: pl.DataFrame
    """Those of the last step of every finished cell."""
    failed: pl.DataFrame
    """One row per failed cell; its `depth` may be null."""
    failures: Sequence[str] = ()
    """Those in words."""
    outcomes: Mapping[Key, Outcome] = field(default_factory=dict, repr=False)
    """Which examples were right in those of its tests whose outcomes were kept and read."""

    def label(self, depth: int) -> str:
        """A difficulty in words, such as "t = 4"."""
        return label(self.axis, depth)

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

    def scores_at(self, scores: pl.DataFrame, n: int, depth: int) -> pl.DataFrame:
        """The rows, out of `scores` or `final`, of one N and difficulty, all answers together."""
        return scores.filter((pl.col("n") == n) & (pl.col("depth") == depth) & pl.col("answer").is_null())

    def shortcut(self, depth: int) -> tuple[str, float] | None:
        """The strongest shortcut known at a difficulty and its exact match of the whole example, in percent."""
        tests = self.scores.filter((pl.col("depth") == depth) & pl.col("answer").is_null()).drop_nulls("shortcut")
        return (str(tests["shortcut_name"][0]), 100 * float(tests["shortcut"][0])) if tests.height else None

    def chance(self, depth: int) -> float:
        """Chance of the whole example at a difficulty, in percent; NaN where no cell was tested."""
        chances = self.scores.filter((pl.col("depth") == depth) & pl.col("answer").is_null())["chance"]
        return 100 * float(chances[0]) if len(chances) else math.nan


def studies(frame: pl.DataFrame, *, scored: bool = True) -> list[Study]:
    """The studies in a table of rows, in a fixed order; those without any score are left out, if `scored`."""
    frame, settings = _prepare(frame), _settings(frame)
    distinct = _distinguishing(frame, IDENTITY)
    every = []
    for group in split(frame, distinct):
        for part, varying, n in alike(group, settings):
            whose = "" if n is None else f" of N = {n}"
            first = (part if n is None else part.filter(pl.col("n") == n)).row(0, named=True)
            setting = _value_words(first, [c for c in (*distinct, *varying) if c != "variant"]) + whose
            name = _value_words(first, [*distinct, *varying, "test_passes"]) + whose
            every.append(_study(part, name=name, setting=setting, variant=first["variant"], settings=settings))
    return sorted((study for study in every if study.scores.height or not scored), key=lambda study: study.name)


def suite_studies(frame: pl.DataFrame, by: Sequence[str]) -> list[Study]:
    """Each suite of a table of rows as one study, whose figure tells apart N, difficulty and the columns `by`.

    A suite in which anything else varies is left out, because a mean would hide it; so is one of several variants if
    "variant" is not in `by`, and so are tests at another N than the trained one if "test_passes" is not.
    """
    if any(c not in frame.columns for c in by if c != DRAWN_PASSES):
        return []
    frame, settings = _prepare(frame), _settings(frame)
    if "test_passes" not in by:
        frame = frame.filter(pl.col("test_passes").is_null())
    distinct = _distinguishing(frame, [c for c in PLACE if c not in by])
    others = [c for c in (*IDENTITY, *settings) if c not in by]
    every = []
    for part in split(frame, distinct) if frame.height else []:
        hidden = part.group_by(*by, "n", "depth").agg(pl.col(others).n_unique()).select(pl.col(others) > 1)
        if any(hidden[c].any() for c in others) or ("variant" in others and part["variant"].n_unique() > 1):
            continue
        name = _value_words(part.row(0, named=True), distinct)
        study = _study(part, name=name, setting=name, variant=None, by=by)
        if study.scores.height:
            every.append(study)
    return sorted(every, key=lambda study: study.name)


def _prepare(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with `n`, `depth` and `test_passes`: the N of the test where it is not the trained one; sorted."""
    axes = [a for a in frame["axis"].unique(maintain_order=True) if a in frame.columns]
    if DRAWN_PASSES not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(DRAWN_PASSES))
    lists = [c for c in _settings(frame) if frame[c].dtype == pl.List]
    trained = pl.col("sleep_passes" if "sleep_passes" in frame.columns else "tested_passes")
    frame = frame.with_columns(
        n=trained,
        processor=pl.when(pl.col("backend") == "native")  # rounds differently, as another processor does
        .then(pl.concat_str(pl.col("processor").fill_null("a processor"), pl.lit(", native")))
        .otherwise("processor"),
        depth=pl.coalesce("difficulty", *(pl.when(pl.col("axis") == a).then(pl.col(a)) for a in axes)),
        test_passes=pl.when(pl.col("tested_passes") != trained).then(pl.col("tested_passes").cast(pl.String)),
        **{c: pl.col(c).cast(pl.List(pl.String)).list.join(" ") for c in lists},
    )
    tests = frame.filter(pl.col("status") == Status.OK).select("cell_id", "test_passes").unique(maintain_order=True)
    failed = frame.filter(pl.col("status") != Status.OK).drop(
        "test_passes"
    )  # in every study that its cell was tested in
    failed = failed.join(tests, on="cell_id", how="left", maintain_order="left").select(frame.columns)
    frame = pl.concat([frame.filter(pl.col("status") == Status.OK), failed])
    return frame.sort("n", "depth", "seed", "cell_id", "step", "answer", nulls_last=True, maintain_order=True)


def _settings(frame: pl.DataFrame) -> list[str]:
    """The settings of task, model and training, but N."""
    return [c for c in frame.columns if rows.is_setting(c) and c not in ("sleep_passes", "test_passes")]


def _distinguishing(frame: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Of the columns, those that tell rows apart that the ones before them do not."""
    distinct: list[str] = []
    for column in columns:
        if any(part[column].n_unique() > 1 for part in split(frame, distinct)):
            distinct.append(column)
    return distinct


def _study(
    part: pl.DataFrame,
    *,
    name: str,
    setting: str,
    variant: str | None,
    by: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> Study:
    """The study of rows that belong together; `by` names its failed cells, `settings` may differ by difficulty."""
    failed = part.filter(pl.col("status") != Status.OK).unique("cell_id", keep="first", maintain_order=True)
    scores = part.filter((pl.col("status") == Status.OK) & ~pl.col("cell_id").is_in(failed["cell_id"].to_list()))
    last = scores.filter(pl.col("step") == pl.col("step").max().over("cell_id"))
    final = last.filter(pl.col("tokens_seen") >= pl.col("tokens")) if "tokens" in part.columns else last
    axes = values(part["axis"])
    trained = [_tasks(part), _value_list(part, "model"), *(f"{c} {part[c][0]}" for c in ("suite", "scale"))]
    note = []
    if scores.height:
        seeds = scores.group_by(*by, "n", "depth").agg(pl.col("seed").n_unique())["seed"].to_list()
        note.append(f"{'–'.join(str(s) for s in values([min(seeds), max(seeds)]))} seed{'s' * (max(seeds) > 1)}.")
    if in_words := failures.sentences(scores, failed, by):
        note.append(failures.note(in_words))
    if unfinished := scores["cell_id"].n_unique() - final["cell_id"].n_unique():
        note.append(f"{_cells(unfinished)} unfinished: in curves as far as trained, not in final scores.")
    if len(trained_on := processors(scores)) > 1:
        note.append(f"Trained on {len(trained_on)} processors: {', '.join(trained_on)}.")
    differing = [c for c in settings if c not in axes and part[c].n_unique() > 1]
    if {*RATES} & {*differing}:
        note.append("Each N at learning rates of its own.")
    if others := [words(c) for c in differing if c not in RATES]:
        note.append(f"Not the same at every difficulty: {', '.join(others)}.")
    return Study(
        name=name,
        variant=variant,
        setting=", ".join([*outdated_tasks(part), *([setting] if setting else [])]),
        about=f"{', '.join(trained)}\n{name}".strip(),
        note=" ".join(note),
        axis=axes[0] if len(axes) == 1 else "difficulty",
        scores=scores,
        final=final,
        failed=failed,
        failures=in_words,
    )


def _value_words(row: dict[str, Any], columns: Iterable[str]) -> str:
    """What a row has in some columns, in words."""
    return ", ".join(f"{words(c)} {row[c]}" for c in columns if row[c] is not None)


@cache
def task_words(task: str, version: int) -> str:
    """A task in words: its name and, of rows that are of an older version than the code, which one and what it was."""
    try:
        kind = tasks.load(task, imports=False)
    except ValueError:
        return task  # a task of someone else, not installed here, or a module that rows alone name
    if version >= kind.version:
        return task
    was = f"{kind.history[version]}; " if version in kind.history else ""
    return f"{task} v{version} ({was}now v{kind.version})"


def outdated_tasks(part: pl.DataFrame) -> list[str]:
    """The tasks of rows that the code has in a newer version, in words."""
    versions = part.select("task", "task_version").unique().drop_nulls().sort("task", "task_version").rows()
    return [words for task, version in versions if (words := task_words(task, version)) != task]


def _tasks(part: pl.DataFrame) -> str:
    """The tasks, each with its version if there is a newer one, or how many there are."""
    versions = part.select("task", "task_version").unique().sort("task", "task_version").rows()
    if len(versions) < NAME_LIMIT:
        return " + ".join(dict.fromkeys(task_words(*each) for each in versions))
    return "; ".join([_value_list(part, "task"), *outdated_tasks(part)])


def _value_list(part: pl.DataFrame, column: str) -> str:
    """The values of a column, or how many there are."""
    names = values(part[column])
    return " + ".join(names) if len(names) < NAME_LIMIT else f"{len(names)} {column}s"


def processors(frame: pl.DataFrame) -> list[str]:
    """The processors that rows were trained on, as far as they say so; the same seed gives other numbers on another."""
    return values(frame["processor"]) if "processor" in frame.columns else []


def label(axis: str, value: int) -> str:
    """A difficulty in words, such as "t = 4"."""
    return f"{SYMBOLS.get(axis, words(axis))} = {value}"


def words(name: str) -> str:
    """The name of a column in plain words."""
    return name.replace("_", " ")


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count > 1)}"


def values(column: Iterable[Any]) -> list[Any]:
    """The different values, sorted, without nulls."""
    return sorted({value for value in column if value is not None})
