"""The summary of a suite: a line per variant, setting, difficulty and N, at equal tokens and at equal compute."""

import polars as pl

from benchmark.studies import Study, studies

LIFT = 0.8
"""Threshold of the column of tokens needed: four fifths of the way from chance to perfect."""


COSTS = ("parameters", "state_bytes", "train_flops")
"""What variants differ in, beside their scores."""


def summary(frame: pl.DataFrame) -> pl.DataFrame:
    """Final scores over seeds, from a table of rows.

    Cells that failed or are not finished are left out. The columns: `variant`, what the suite calls its cells (null if
    nothing); `setting`, what else varies beside difficulty, N and seed (null if nothing does); the difficulty, under
    its own name, or in words as `difficulty` where tasks have several; `N`; `tested_N`, the N of the test (null if it
    is the trained one in all rows); `seeds`; `chance`; `exact_match`, the mean over seeds at the end of the budget,
    with `lowest` and `highest`; `at_equal_flops`, the mean at the last test within the training FLOPs of the cheapest
    N, or variant; `reached`, how many seeds ever came to a lift of 0.8, and `tokens_needed`, the mean of the training
    tokens that took (null if none did); for variants, `parameters`, `state_bytes` and `train_flops`.

    Variants are sorted by their scores, all else by setting, difficulty, N and tested N.
    """
    found = [study for study in studies(frame) if study.final.height]
    if not found:
        return pl.DataFrame()
    axis = found[0].axis if len({study.axis for study in found}) == 1 else "difficulty"
    table = pl.concat([_study(study, found) for study in found])
    ranked = pl.when(pl.col("variant").is_not_null()).then(-pl.col("exact_match"))
    table = table.sort("setting", "depth", ranked, "N", "tested_N", nulls_last=False, maintain_order=True)
    difficulty = pl.col("depth") if axis != "difficulty" else pl.col("difficulty")
    table = table.with_columns(
        difficulty.alias(axis), pl.when((pl.col("tested_N") != pl.col("N")).any()).then("tested_N")
    )
    return table.select("variant", "setting", axis, pl.exclude("variant", "setting", axis, "depth", "difficulty"))


def _study(study: Study, every: list[Study]) -> pl.DataFrame:
    """The lines of one study; `every`: all that there are, of which variants share the budget at equal FLOPs."""
    last = study.final.filter(pl.col("answer").is_null())
    scores = study.scores.filter(pl.col("answer").is_null() & pl.col("cell_id").is_in(last["cell_id"].to_list()))
    rivals = [s for s in every if s.variant and s.setting == study.setting] if study.variant else [study]
    budgets = pl.concat([rival.final.select("depth", "train_flops") for rival in rivals])
    budgets = budgets.group_by("depth").agg(pl.col("train_flops").min().alias("budget"))
    affordable = scores.join(budgets, on="depth").filter(pl.col("train_flops") <= pl.col("budget"))
    at_equal_flops = affordable.filter(pl.col("step") == pl.col("step").max().over("cell_id"))
    reached = scores.filter(pl.col("lift") >= LIFT).group_by("depth", "n", "seed").agg(pl.col("tokens_seen").min())
    by = ["depth", "n"]
    score = pl.col("exact_match")
    costs = [pl.col(c).mean() if study.variant else pl.lit(None, pl.Float64).alias(c) for c in COSTS]
    return (
        last.group_by(by)
        .agg(
            pl.col("tested_passes").first().alias("tested_N"),
            pl.col("seed").n_unique().alias("seeds"),
            pl.col("chance").first(),
            score.mean(),
            score.min().alias("lowest"),
            score.max().alias("highest"),
            *costs,
        )
        .join(at_equal_flops.group_by(by).agg(score.mean().alias("at_equal_flops")), on=by, how="left")
        .join(
            reached.group_by(by).agg(pl.len().alias("reached"), pl.col("tokens_seen").mean().alias("tokens_needed")),
            on=by,
            how="left",
        )
        .select(
            pl.lit(study.variant, dtype=pl.String).alias("variant"),
            pl.lit(study.setting or None, dtype=pl.String).alias("setting"),
            "depth",
            pl.col("depth").map_elements(study.label, return_dtype=pl.String).alias("difficulty"),
            pl.col("n").alias("N"),
            "tested_N",
            "seeds",
            "chance",
            "exact_match",
            "lowest",
            "highest",
            "at_equal_flops",
            pl.col("reached").fill_null(0),
            "tokens_needed",
            *COSTS,
        )
    )


def markdown(table: pl.DataFrame) -> str:
    """The table in Markdown: scores with three digits, tokens in millions, no column without any value."""
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
    if name in COSTS:
        assert isinstance(value, float)
        return f"{value:.2e}" if name == "train_flops" else f"{value:.0f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
