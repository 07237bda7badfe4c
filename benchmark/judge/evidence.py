"""Scores out of a study, seed by seed: what claims and controls are judged on."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import tasks
from benchmark.judge.statistics import Interval, over_seeds, shared_variance
from benchmark.rows.outcomes import Key, Outcome
from benchmark.rows.studies import Study, task_words, values
from tasks.base import Task


class Scores(dict[int, float]):
    """A score by seed.

    Attributes:
        processors: By seed, what the cells that make up the score were trained on, in the order of the difficulties;
            None where the rows do not say.
    """

    def __init__(
        self, scores: Mapping[int, float] | None = None, processors: Mapping[int, Sequence[str | None]] | None = None
    ) -> None:
        super().__init__(scores or {})
        self.processors = dict(processors or {})


SCALES = ("tiny", "cpu", "gpu", "paper")
PLACES = ("all", "shallowest", "beyond nearest", "deeper half", "deepest")
"""Where along the difficulty a claim is judged: at every difficulty there is, or some of several."""


class LackingError(ValueError):
    """Rows that cannot judge a claim; the message says what they lack."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """That one N is better than another: what controls examine.

    Attributes:
        low: The smaller N.
        high: The larger N.
        depths: The difficulties over which both are averaged.
    """

    low: int
    high: int
    depths: tuple[int, ...]


def scores(
    rows: pl.DataFrame, n: int, depths: Sequence[int], *, answer: int | None = None, column: str = "exact_match"
) -> Scores:
    """The mean over difficulties of a column of final rows, of every seed that has all of them, by seed.

    Args:
        rows: `Study.final`, one row per seed, N, difficulty and answer.
        n: The N of training.
        depths: The difficulties.
        answer: Of one answer; None for the whole example.
        column: What to average.
    """
    which = pl.col("answer").is_null() if answer is None else pl.col("answer") == answer
    table = rows.filter((pl.col("n") == n) & pl.col("depth").is_in(list(depths)) & which)
    table = (
        table.drop_nulls(column)
        .group_by("seed")
        .agg(pl.col("depth").n_unique(), pl.col(column).mean(), pl.col("processor").sort_by("depth"))
    )
    table = table.filter(pl.col("depth") == len(set(depths))).sort("seed")
    seeds = table["seed"].to_list()
    return Scores(
        dict(zip(seeds, table[column].to_list(), strict=True)),
        dict(zip(seeds, table["processor"].to_list(), strict=True)),
    )


def examples(rows: pl.DataFrame, ns: Iterable[int], depths: Sequence[int], answer: int | None = None) -> int:
    """On how many held-out examples those scores stand: of the N and the difficulty with fewest.

    Several difficulties may ask about the same examples, as of Rule 110: one that is hard at all of them counts once.
    Where they ask about different ones an interval is wider than it need be.
    """
    which = pl.col("answer").is_null() if answer is None else pl.col("answer") == answer
    tests = rows.filter(pl.col("n").is_in(list(ns)) & pl.col("depth").is_in(list(depths)) & which)
    fewest = tests["n_examples"].min()
    return int(fewest) if isinstance(fewest, int) else 0


def common_seeds(*score_sets: Mapping[int, float]) -> list[int]:
    """The seeds that all have and that may be compared: what is known to be trained on two processors is no pair."""

    def one_processor(seed: int) -> bool:
        kinds = [each.processors[seed] for each in score_sets if isinstance(each, Scores) and seed in each.processors]
        return all(len({name for name in cells if name is not None}) < 2 for cells in zip(*kinds, strict=False))

    return [seed for seed in sorted(set.intersection(*(set(each) for each in score_sets))) if one_processor(seed)]


def align(*score_sets: Mapping[int, float]) -> tuple[list[float], ...]:
    """The scores of the seeds that may be compared, in the same order.

    Raises:
        LackingError: no seed has them all, on one processor where that is known.
    """
    seeds = common_seeds(*score_sets)
    if not seeds:
        apart = set.intersection(*(set(each) for each in score_sets))
        raise LackingError(f"no seed has finished with every N that is compared{' on one processor' if apart else ''}")
    return tuple([each[seed] for seed in seeds] for each in score_sets)


def outcomes_of(
    rows: pl.DataFrame, outcomes: Mapping[Key, Outcome], n: int, depths: Sequence[int], seeds: Sequence[int]
) -> NDArray[np.float64] | None:
    """What each held-out example says of the scores of seeds [seeds, examples]; None where outcomes were not kept.

    The mean over difficulties, as of `scores`: an example of several counts once.
    """
    at = rows.filter((pl.col("n") == n) & pl.col("depth").is_in(list(depths)) & pl.col("answer").is_null())
    table = []
    for seed in seeds:
        keys = at.filter(pl.col("seed") == seed).select(Key._fields).rows()
        of_seed = [outcomes[Key(*key)].values for key in keys if Key(*key) in outcomes]
        if not of_seed or len(of_seed) < len(keys) or len({len(values) for values in of_seed}) > 1:
            return None
        table.append(np.mean(of_seed, axis=0))
    return np.array(table) if len({len(values) for values in table}) == 1 else None


def example_variance(*tables: NDArray[np.float64] | None) -> float | None:
    """The variance over examples that all seeds share, of a score or of a difference of two (second minus first).

    None where outcomes or a second seed are lacking.
    """
    complete = [values for values in tables if values is not None]
    if len(complete) < len(tables) or len({values.shape for values in complete}) > 1 or len(complete[0]) < 2:
        return None
    return shared_variance(complete[-1] - complete[0] if len(complete) > 1 else complete[0])


def chance(rows: pl.DataFrame, depths: Sequence[int], answer: int | None = None) -> float:
    """Mean chance of the difficulties."""
    which = pl.col("answer").is_null() if answer is None else pl.col("answer") == answer
    means = rows.filter(pl.col("depth").is_in(list(depths)) & which).group_by("depth").agg(pl.col("chance").mean())
    return float(np.mean(means.sort("depth")["chance"].to_list()))


def places(study: Study, at: str) -> tuple[int, ...]:
    """The difficulties of finished cells that `at` means.

    Raises:
        LackingError: `at` takes several difficulties and there is only one.
    """
    depths = values(study.final["depth"])
    if at == "all":
        return tuple(depths)
    if len(depths) < 2:
        raise LackingError(f"rows of one difficulty only; {at} takes several")
    halves = {"shallowest": depths[:1], "beyond nearest": depths[1:], "deepest": depths[-1:]}
    return tuple((halves | {"deeper half": depths[len(depths) // 2 :]})[at])


def passes(study: Study, n: int | str) -> int:
    """An N that the study has finished cells of; "largest" is the largest.

    Raises:
        LackingError: it has none of that N, or for "largest" none above 1.
    """
    every = values(study.final["n"])
    if n == "largest":
        if not every or every[-1] < 2:
            raise LackingError("no finished cell with N above 1")
        return int(every[-1])
    if n not in every:
        raise LackingError(f"no finished cell with N = {n}")
    return int(n)


def depth_words(study: Study, depths: Sequence[int]) -> str:
    """The difficulties in words: "t = 8", or "k = 2, 3, 4"."""
    first, *rest = (study.label(depth) for depth in depths)
    return ", ".join([first, *(text.partition(" = ")[2] for text in rest)])


def seeds_of(study: Study) -> int:
    """Seeds with a finished cell."""
    return int(study.final["seed"].n_unique())


def rank(study: Study) -> tuple[int, int, int, int, int]:
    """Which of several studies judges: that of the largest scale, then of the newest version of its task.

    Then that of most seeds, of most finished cells, and the one that trained on most tokens.
    """
    scale, version = study.final.select("scale", "task_version").row(0)
    cells = int(study.final["cell_id"].n_unique())
    tokens = int(study.final["tokens_seen"].max())  # type: ignore[arg-type] # a column of whole numbers
    return SCALES.index(scale) if scale in SCALES else -1, int(version), seeds_of(study), cells, tokens


def task_of(row: Mapping[str, Any], *, of_any_version: bool = False) -> Task:
    """The task of a row, with the row's settings; of lists as studies write them, in words, too.

    Raises:
        ValueError: no such task, one that refuses the settings or, unless `of_any_version`, one of another version.
    """
    kind = tasks.load(row["task"], imports=False)
    if kind.version != row["task_version"] and not of_any_version:
        version_words = task_words(row["task"], row["task_version"])
        raise ValueError(f"the rows are of {version_words}, the code of version {kind.version}")
    settings = {f.name: row[f.name] for f in fields(kind) if row.get(f.name) is not None}
    for f in fields(kind):
        if isinstance(f.default, tuple) and f.name in settings:
            entries = settings[f.name]
            settings[f.name] = tuple(int(v) for v in (entries.split() if isinstance(entries, str) else entries))
    return kind(**settings)


def mean_over_seeds(
    by_seed: Mapping[int, float], examples: int, level: float = 0.95, *, shared: float | None = None
) -> Interval:
    """The mean with its interval for new seeds and new examples; for one seed, of the examples alone."""
    return over_seeds([by_seed[seed] for seed in sorted(by_seed)], examples, level, shared=shared)


def deviation(sample: Sequence[float] | np.ndarray) -> float:
    """The standard deviation over seeds; NaN for a single one."""
    return float(np.std(sample, ddof=1)) if len(sample) > 1 else math.nan


def about(study: Study) -> str:
    """Which rows these are: suite, scale, task and model; of a task that has a newer version, which."""
    first = study.final.row(0, named=True)
    task = task_words(first["task"], first["task_version"])
    return f"{first['suite']}-{first['scale']}: {task}, {first['model']}"
