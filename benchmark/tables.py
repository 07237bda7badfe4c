"""The summary of a suite: one line per setting, difficulty and N, with scores at equal tokens and at equal compute."""

import polars as pl

from benchmark.studies import Study, studies

LIFT = 0.8
"""Threshold of the column of tokens needed: four fifths of the way from chance to perfect."""


def summary(frame: pl.DataFrame) -> pl.DataFrame:
    """Final scores over seeds, from a table of rows.

    Cells that failed or are not finished are left out. The columns: `setting`, what varies beside difficulty, N and
    seed (null if nothing does); the difficulty, under its own name; `N`; `seeds`; `chance`; `exact_match`, the mean
    over seeds at the end of the budget, with `lowest` and `highest`; `at_equal_flops`, the mean at the last test
    within the training FLOPs of the cheapest N; `reached`, how many seeds ever came to a lift of 0.8, and
    `tokens_needed`, the mean of the training tokens that took (null if none did).
    """
    parts = [_study(study) for study in studies(frame) if study.final.height]
    return pl.concat(parts, how="diagonal") if parts else pl.DataFrame()


def _study(study: Study) -> pl.DataFrame:
    last = study.final.filter(pl.col("answer").is_null())
    scores = study.scores.filter(pl.col("answer").is_null() & pl.col("cell_id").is_in(last["cell_id"].to_list()))
    budgets = last.group_by("depth").agg(pl.col("train_flops").min().alias("budget"))
    affordable = scores.join(budgets, on="depth").filter(pl.col("train_flops") <= pl.col("budget"))
    at_equal_flops = affordable.filter(pl.col("step") == pl.col("step").max().over("cell_id"))
    reached = scores.filter(pl.col("lift") >= LIFT).group_by("depth", "n", "seed").agg(pl.col("tokens_seen").min())
    by = ["depth", "n"]
    score = pl.col("exact_match")
    table = (
        last.group_by(by)
        .agg(
            pl.col("seed").n_unique().alias("seeds"),
            pl.col("chance").first(),
            score.mean(),
            score.min().alias("lowest"),
            score.max().alias("highest"),
        )
        .join(at_equal_flops.group_by(by).agg(score.mean().alias("at_equal_flops")), on=by, how="left")
        .join(
            reached.group_by(by).agg(pl.len().alias("reached"), pl.col("tokens_seen").mean().alias("tokens_needed")),
            on=by,
            how="left",
        )
        .with_columns(pl.col("reached").fill_null(0))
        .sort(by)
    )
    setting = pl.lit(study.name or None, dtype=pl.String).alias("setting")
    return table.rename({"depth": study.axis, "n": "N"}).select(setting, pl.all())


def markdown(table: pl.DataFrame) -> str:
    """The table in Markdown; scores with three digits, tokens in millions, columns without any value left out."""
    shown = table.select(c for c in table.columns if table[c].null_count() < table.height)
    lines = [" | ".join(c.replace("_", " ") for c in shown.columns), "|".join("---:" for _ in shown.columns)]
    for row in shown.iter_rows(named=True):
        lines.append(" | ".join(_shown(name, value) for name, value in row.items()))
    return "\n".join(f"| {line} |" for line in lines)


def _shown(name: str, value: object) -> str:
    if value is None:
        return "-"
    if name == "tokens_needed":
        assert isinstance(value, float)
        return f"{value / 1e6:.2f}M"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
