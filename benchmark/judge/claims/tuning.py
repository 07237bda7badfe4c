"""Whether rows show that each N was given its own value of a setting, such as a learning rate, chosen on validation.

Which N is better is in part a question of which N likes the rate that all of them were given. An N has its own value
where validation rows of the same task, scale and model were trained at two values or more, and the rows that are judged
have the one that ended highest on the mean of those.
"""

import polars as pl

from benchmark.rows.studies import Study, values

_SAME = ("task", "task_version", "scale", "model", "model_version")


def best_value(frame: pl.DataFrame, study: Study, n: int, setting: str) -> float | None:
    """The value of a setting that validation rows prefer for an N; None where fewer than two values were tried.

    Args:
        frame: All rows there are.
        study: Says task, scale and model.
        n: The N of training.
        setting: A column of rows.
    """
    first = study.final.row(0, named=True)
    tried = frame.filter(
        *(pl.col(column) == first[column] for column in _SAME),
        pl.col("split") == "validation",
        pl.col("status") == "ok",
        pl.col("sleep_passes") == n,
        pl.col("tested_passes") == n,
        pl.col("answer").is_null(),
    )
    last = tried.filter(pl.col("step") == pl.col("step").max().over("cell_id"))
    ends = last.filter(pl.col("tokens_seen") >= pl.col("tokens")).drop_nulls([setting, "exact_match"])
    common = _at_common_difficulties(ends, setting)
    means = common.group_by(setting).agg(pl.col("exact_match").mean()).sort("exact_match", setting)
    return float(means[setting][-1]) if means.height > 1 else None


def shortfall(frame: pl.DataFrame, study: Study, n: int, setting: str) -> str:
    """What keeps an N from having its own value, in words; empty if it has, or if rows do not have the setting."""
    if setting not in study.final.columns:
        return ""
    used = values(study.final.filter(pl.col("n") == n)[setting])
    if not used:
        return ""
    best = best_value(frame, study, n, setting)
    name = setting.replace("_", " ")
    if best is None:
        return f"N = {n} tried at one {name}"
    return "" if used == [best] else f"N = {n} not at its best {name}, {best:g}"


def _at_common_difficulties(ends: pl.DataFrame, setting: str) -> pl.DataFrame:
    """The rows at difficulties that every value was tried at."""
    tried = ends.group_by("difficulty").agg(pl.col(setting).n_unique())
    every = ends[setting].n_unique()
    return ends.filter(pl.col("difficulty").is_in(tried.filter(pl.col(setting) == every)["difficulty"].to_list()))
