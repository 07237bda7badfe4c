"""Whether rows show that each N was given its own value of a setting, such as a learning rate, chosen on validation.

Which N is better is in part a question of which N likes the rate that all of them were given. An N has its own value
where validation rows of the same task, scale and model were trained at two values or more, and the rows that are judged
have the one that ended highest on the mean of those. Of learning rates that were tried together the best pair counts.
"""

from dataclasses import dataclass

import polars as pl

from benchmark import rows
from benchmark.rows.grouping import RATES
from benchmark.rows.studies import Study, values
from benchmark.rows.trials import trial_scores

_SAME = ("task", "task_version", "scale", "model", "model_version")
_FREE_SETTINGS = ("tokens", "evaluations", "sleep_passes", "test_split", "test_examples", "test_passes")
"""Settings in which a run on validation examples may differ from what is judged; its budget may be a share."""


def best_value(frame: pl.DataFrame, study: Study, n: int, setting: str) -> float | None:
    """The value of a setting that validation rows prefer for an N; None where fewer than two values were tried.

    Args:
        frame: All rows there are.
        study: Says task, scale, model and their settings.
        n: The N of training.
        setting: A column of rows.
    """
    first = study.final.filter(pl.col("n") == n).row(0, named=True)
    settings = [
        c for c in frame.columns if rows.is_setting(c) and c not in (*_FREE_SETTINGS, *RATES, setting, study.axis)
    ]
    settings = [c for c in settings if frame[c].dtype != pl.List and c in study.final.columns]
    trials = frame.filter(
        *(pl.col(column) == first[column] for column in _SAME),
        *(pl.col(column).eq_missing(pl.lit(first[column])) for column in settings),
        pl.col("split").fill_null("validation") == "validation",
        pl.col("sleep_passes") == n,
        pl.col("tested_passes").fill_null(n) == n,
    ).drop_nulls(setting)
    common = _at_common_difficulties(trials, setting)
    scores = trial_scores(common)
    rates = [name for name in RATES if name in frame.columns]
    arms = common.filter(pl.col("cell_id").is_in(list(scores))).unique("cell_id").select("cell_id", *{setting, *rates})
    if arms[setting].n_unique() < 2:
        return None
    arms = arms.with_columns(score=pl.col("cell_id").replace_strict(scores, return_dtype=pl.Float64))
    means = arms.group_by({setting, *rates}).agg(pl.col("score").mean())
    return float(means.sort("score", setting, descending=[False, True])[setting][-1])


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What keeps an N from having its own value of a setting."""

    words: str
    n: int
    trials: tuple[tuple[str, ...], ...]
    """The settings, each `name=value`, of every run that would mend it."""


def shortfall(frame: pl.DataFrame, study: Study, n: int, setting: str) -> Shortfall | None:
    """What keeps an N from having its own value; None if it has, or if rows do not have the setting.

    An N that was tried at one value is to be tried at that and at half of it, on validation examples.
    """
    own_values = values(study.final.filter(pl.col("n") == n)[setting]) if setting in study.final.columns else []
    if not own_values:
        return None
    best, name = best_value(frame, study, n, setting), setting.replace("_", " ")
    if best is None:
        trials = tuple(
            ("test_split=validation", f"{setting}={value:g}") for value in (own_values[0], own_values[0] / 2)
        )
        return Shortfall(f"N = {n} tried at one {name}", n, trials)
    if own_values == [best]:
        return None
    return Shortfall(f"N = {n} not at its best {name}, {best:g}", n, ((f"{setting}={best:g}",),))


def _at_common_difficulties(trials: pl.DataFrame, setting: str) -> pl.DataFrame:
    """The rows at difficulties that every value was tried at, those of failures among them."""
    counts = trials.drop_nulls("difficulty").group_by("difficulty").agg(pl.col(setting).n_unique())
    every = trials[setting].n_unique()
    common = counts.filter(pl.col(setting) == every)["difficulty"].to_list()
    return trials.filter(pl.col("difficulty").is_null() | pl.col("difficulty").is_in(common))
