"""The summary of a suite: a line per variant, setting, difficulty and N, at equal tokens and at equal compute."""

import math
from pathlib import Path

import polars as pl

from benchmark import latex, rows, statistics
from benchmark.studies import Study, studies, task_words, words

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
    with `lowest` and `highest`; `ci_low` and `ci_high`, the 95 % interval of that mean for other seeds and other
    held-out examples (`benchmark.statistics.over_seeds`; of one seed for other examples alone); `at_equal_flops`, the
    mean at the last test within the training FLOPs of the cheapest N, or variant; `reached`, how many seeds ever came
    to a lift of 0.8, and `tokens_needed`, the mean of the training tokens that took (null if none did); for variants,
    `parameters`, `state_bytes` and `train_flops`.

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
    affordable = at_equal_flops(scores, pl.concat([rival.final.select("depth", "train_flops") for rival in rivals]))
    reached = scores.filter(pl.col("lift") >= LIFT).group_by("depth", "n", "seed").agg(pl.col("tokens_seen").min())
    by = ["depth", "n"]
    score = pl.col("exact_match")
    costs = [pl.col(c).mean() if study.variant else pl.lit(None, pl.Float64).alias(c) for c in COSTS]
    return (
        last.group_by(by, maintain_order=True)
        .agg(
            pl.col("tested_passes").first().alias("tested_N"),
            pl.col("seed").n_unique().alias("seeds"),
            pl.col("chance").first(),
            score.mean(),
            score.min().alias("lowest"),
            score.max().alias("highest"),
            score.alias("scores"),
            pl.col("n_examples").min().alias("examples"),
            *costs,
        )
        .pipe(_with_intervals)
        .join(affordable.group_by(by).agg(score.mean().alias("at_equal_flops")), on=by, how="left")
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
            "ci_low",
            "ci_high",
            "at_equal_flops",
            pl.col("reached").fill_null(0),
            "tokens_needed",
            *COSTS,
        )
    )


def at_equal_flops(scores: pl.DataFrame, final: pl.DataFrame) -> pl.DataFrame:
    """The last test of each cell within what the cheapest finished cell of its difficulty spent on its training.

    Args:
        scores: Rows of whole answers, with `depth`, as of a study.
        final: The `depth` and `train_flops` of the finished cells.

    Returns:
        Those of `scores`; a cell whose first test was past that budget has none.
    """
    budgets = final.group_by("depth", maintain_order=True).agg(pl.col("train_flops").min().alias("budget"))
    affordable = scores.join(budgets, on="depth", maintain_order="left").filter(
        pl.col("train_flops") <= pl.col("budget")
    )
    return affordable.filter(pl.col("step") == pl.col("step").max().over("cell_id")).drop("budget")


def _with_intervals(table: pl.DataFrame) -> pl.DataFrame:
    """The lines with the interval of each mean of `scores` on `examples`; null where nothing tells it."""
    found = [
        statistics.over_seeds(scores, examples or 0) for scores, examples in table.select("scores", "examples").rows()
    ]
    ends = {"ci_low": [i.low for i in found], "ci_high": [i.high for i in found]}
    known = {name: [end if math.isfinite(end) else None for end in of_name] for name, of_name in ends.items()}
    return table.with_columns(pl.Series(name, of_name, pl.Float64) for name, of_name in known.items())


def shown(table: pl.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Heads and lines for people: scores with three digits, tokens in millions, no column without any value."""
    kept = [c for c in table.columns if table[c].null_count() < table.height and c != "ci_high"]
    heads = ["95 % interval" if c == "ci_low" else words(c) for c in kept]
    lines = []
    for row in table.iter_rows(named=True):
        row["ci_low"] = None if row.get("ci_low") is None else f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"
        lines.append([_shown(name, row[name]) for name in kept])
    return heads, lines


def markdown(table: pl.DataFrame) -> str:
    """The table in Markdown, as `shown`."""
    heads, lines = shown(table)
    rule = "|".join("---:" for _ in heads)
    return "\n".join(f"| {line} |" for line in [" | ".join(heads), rule, *map(" | ".join, lines)])


def in_latex(table: pl.DataFrame, caption: str) -> str:
    """The table in LaTeX, as `shown`; exact match is bold where it is clearly the best of its setting and difficulty.

    Clearly: its interval is above that of every other line of the same setting and difficulty.
    """
    heads, lines = shown(table)
    if "exact match" in heads:
        at = heads.index("exact match")
        bold = {(i, at) for i in _clearly_best(table)}
    else:
        bold = set()
    return latex.table(heads, lines, caption=caption, bold=bold)


def caption(frame: pl.DataFrame) -> str:
    """What a summary of rows is of: suite, scale, seeds, and what its numbers are."""
    tasks = frame.select("task", "task_version").unique().drop_nulls().sort("task", "task_version").rows()
    named = [f"{c} {', '.join(str(v) for v in frame[c].unique().drop_nulls().sort())}" for c in ("suite", "scale")]
    named.append(f"task {', '.join(task_words(*each) for each in tasks)}")
    seeds = frame["seed"].n_unique()
    text = (
        f"{', '.join(named)}; {seeds} seed{'s' * (seeds != 1)}. Exact match: mean over seeds at the end of training, "
        "its 95 % interval for other seeds and other held-out examples, lowest and highest seed. At equal flops: at "
        f"the training FLOPs of the cheapest. Reached: seeds that came to a lift of {LIFT}, and the mean of the tokens "
        "that took."
    )
    return text[0].upper() + text[1:]


def write(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """Write rows and summary for other programs and papers; the paths written.

    `rows.csv` are the tidy rows, lists as numbers with spaces between; `summary.csv` all columns of `summary` with all
    digits; `summary.md` and `summary.tex` what people read of it.
    """
    table = summary(frame)
    files = {
        "rows.csv": csv(frame),
        "summary.csv": csv(table),
        "summary.md": markdown(table) + "\n",
        "summary.tex": in_latex(table, caption(frame)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        rows.write_atomically(folder / name, text.encode())
    return [folder / name for name in files]


def csv(table: pl.DataFrame) -> str:
    """A table in CSV; a list is its values with spaces between, null is empty."""
    lists = [c for c in table.columns if table[c].dtype == pl.List]
    return table.with_columns(pl.col(c).cast(pl.List(pl.String)).list.join(" ") for c in lists).write_csv()


def _clearly_best(table: pl.DataFrame) -> list[int]:
    """The lines whose interval is above those of all others of their setting and difficulty."""
    beside = [c for c in ("setting", *table.columns[2:3]) if c in table.columns]
    found = []
    for _, group in table.with_row_index("line").group_by(beside, maintain_order=True):
        best, *others = group.sort("exact_match", descending=True, maintain_order=True).iter_rows(named=True)
        if others and all(
            o["ci_high"] is not None and best["ci_low"] is not None and o["ci_high"] < best["ci_low"] for o in others
        ):
            found.append(best["line"])
    return found


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
