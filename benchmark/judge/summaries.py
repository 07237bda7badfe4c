"""The summary of a suite: a line per variant, setting, difficulty and N, at equal tokens and at both equal budgets."""

import math
from dataclasses import replace
from pathlib import Path

import polars as pl

from benchmark import rows
from benchmark.judge import learning_curve, statistics
from benchmark.rows import failures
from benchmark.rows.studies import Study, processors, studies, task_words, words
from benchmark.rows.text import Table

MOST_FAILURES = 20
"""Places with failed cells that a table names."""

LIFT = 0.8
"""Threshold of the column of tokens needed: four fifths of the way from chance to perfect."""

COSTS = ("parameters", "state_bytes", "cache_bytes", "train_flops", "wall_s")
"""What a line costs, means over its cells; columns of rows."""


def summary(frame: pl.DataFrame) -> pl.DataFrame:
    """Final scores over seeds, from a table of rows.

    Cells that failed or are not finished are left out. The columns: `variant`, what the suite calls its cells (null if
    nothing); `setting`, what else varies beside difficulty, N and seed (null if nothing does); the difficulty, under
    its own name, or in words as `difficulty` where tasks have several; `N`; `tested_N`, the N of the test (null if it
    is the trained one in all rows); `seeds`; `chance`; `exact_match`, the mean over seeds at the end of the budget,
    with `lowest` and `highest`; `ci_low` and `ci_high`, the 95 % interval of that mean for other seeds and other
    held-out examples (`intervals.over_seeds`; of one seed for other examples alone); `at_smaller_budget` and
    `at_larger_budget`, the means at the training FLOPs of the N, or variant, that spent least and of the one that spent
    most (`judge.learning_curve`; null where the rows end before); `reached`, how many seeds ever came to a lift of
    0.8, and `tokens_needed`, the mean of the training tokens that took (null if none did); what it costs: `parameters`,
    `state_bytes` and the `cache_bytes` that state replaces, `train_flops`, and `wall_s`, seconds of training and its
    tests on the machine of the rows.

    Variants are sorted by their scores, all else by setting, difficulty, N and tested N.
    """
    every = [study for study in studies(frame) if study.final.height]
    if not every:
        return pl.DataFrame()
    axis = every[0].axis if len({study.axis for study in every}) == 1 else "difficulty"
    table = pl.concat([_study(study, every) for study in every])
    ranked = pl.when(pl.col("variant").is_not_null()).then(-pl.col("exact_match"))
    table = table.sort("setting", "depth", ranked, "N", "tested_N", nulls_last=False, maintain_order=True)
    difficulty = pl.col("depth") if axis != "difficulty" else pl.col("difficulty")
    table = table.with_columns(
        difficulty.alias(axis), pl.when((pl.col("tested_N") != pl.col("N")).any()).then("tested_N")
    )
    return table.select("variant", "setting", axis, pl.exclude("variant", "setting", axis, "depth", "difficulty"))


def _study(study: Study, every: list[Study]) -> pl.DataFrame:
    """The lines of one study; `every`: all that there are.

    Studies of one setting share the budgets at equal FLOPs: variants, and tests at other N than the trained one.
    """
    last = study.final.filter(pl.col("answer").is_null())
    scores = study.scores.filter(pl.col("cell_id").is_in(last["cell_id"].to_list()))
    rivals = [each for each in every if (each.setting, not each.variant) == (study.setting, not study.variant)]
    finals = pl.concat([rival.final.select("depth", "train_flops") for rival in rivals])
    smaller = learning_curve.at_flops(scores, learning_curve.least_flops(finals))
    larger = learning_curve.at_flops(scores, learning_curve.most_flops(finals))
    budgets = learning_curve.tokens_to(scores, LIFT).drop_nulls("tokens")
    by = ["depth", "n"]
    score = pl.col("exact_match")
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
            pl.col(COSTS).mean(),
        )
        .pipe(_with_intervals)
        .join(smaller.group_by(by).agg(score.mean().alias("at_smaller_budget")), on=by, how="left")
        .join(larger.group_by(by).agg(score.mean().alias("at_larger_budget")), on=by, how="left")
        .join(budgets.group_by(by).agg(reached=pl.len(), tokens_needed=pl.col("tokens").mean()), on=by, how="left")
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
            "at_smaller_budget",
            "at_larger_budget",
            pl.col("reached").fill_null(0),
            "tokens_needed",
            *COSTS,
        )
    )


def _with_intervals(table: pl.DataFrame) -> pl.DataFrame:
    """The lines with the interval of each mean of `scores` on `examples`; null where nothing tells it."""
    intervals = [
        statistics.over_seeds(scores, examples or 0) for scores, examples in table.select("scores", "examples").rows()
    ]
    ends = {"ci_low": [i.low for i in intervals], "ci_high": [i.high for i in intervals]}
    limits = {name: [end if math.isfinite(end) else None for end in of_name] for name, of_name in ends.items()}
    return table.with_columns(pl.Series(name, of_name, pl.Float64) for name, of_name in limits.items())


def display_table(table: pl.DataFrame, title: str = "") -> Table:
    """The summary for people: scores with three digits, tokens in millions, no column without any value."""
    columns = [c for c in table.columns if table[c].null_count() < table.height and c != "ci_high"]
    heads = ["95 % interval" if c == "ci_low" else words(c) for c in columns]
    lines = []
    for row in table.iter_rows(named=True):
        row["ci_low"] = None if row.get("ci_low") is None else f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"
        lines.append([_entry_text(name, row[name]) for name in columns])
    return Table(heads, lines, title)


def markdown(table: pl.DataFrame) -> str:
    """The summary in Markdown, as `display_table`, every column at the right."""
    people = display_table(table)
    rule = f" {'|'.join('---:' for _ in people.heads)} "  # with the spaces that the committed summaries have
    return replace(people, sides=rule.split("|")).markdown()


def in_latex(table: pl.DataFrame, caption: str) -> str:
    """The table in LaTeX, as `display_table`; exact match is bold where it is clearly the best of its kind.

    Clearly: its interval is above that of every other line of the same setting and difficulty.
    """
    people = display_table(table, caption)
    at = [place for place, head in enumerate(people.heads) if head == "exact match"]
    return people.latex(bold={(line, place) for place in at for line in _best_lines(table)})


def caption(frame: pl.DataFrame) -> str:
    """What a summary of rows is of: suite, scale, seeds, and what its numbers are."""
    tasks = frame.select("task", "task_version").unique().drop_nulls().sort("task", "task_version").rows()
    parts = [f"{c} {', '.join(str(v) for v in frame[c].unique().drop_nulls().sort())}" for c in ("suite", "scale")]
    parts.append(f"task {', '.join(task_words(*each) for each in tasks)}")
    seeds = frame["seed"].n_unique()
    text = (
        f"{', '.join(parts)}; {seeds} seed{'s' * (seeds != 1)}. Exact match: mean over seeds at the end of training, "
        "its 95 % interval for other seeds and other held-out examples, lowest and highest seed. At smaller and larger "
        "budget: at the training FLOPs of the line of its difficulty that spent least, and most. Reached: seeds that "
        f"came to a lift of {LIFT}, and the mean of the tokens that took. State bytes: kept of a sequence between "
        "windows; cache bytes: keys and values of the windows it has evicted, fp32. Wall s: of training and its tests."
    )
    if len(trained_on := processors(frame)) > 1:
        text += f" Trained on {len(trained_on)} processors, {', '.join(trained_on)}: seeds are paired within one only."
    return f"{text[0].upper()}{text[1:]} {omissions(frame)}".rstrip()


def omissions(frame: pl.DataFrame) -> str:
    """The cells of a summary that failed, in a sentence; empty if none did."""
    lines = [
        f"{study.name}: {text}" if study.name else text
        for study in studies(frame, scored=False)
        for text in study.failures
    ]
    return failures.note(lines, MOST_FAILURES) if lines else ""


def write(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """Write rows and summary for other programs and papers; the paths written.

    `rows.csv` are the tidy rows, lists as numbers with spaces between; `summary.csv` all columns of `summary` with all
    digits; `summary.md` and `summary.tex` what people read of it.
    """
    table = summary(frame)
    files = {
        "rows.csv": csv(frame),
        "summary.csv": csv(table),
        "summary.md": "\n\n".join(filter(None, [markdown(table), omissions(frame)])) + "\n",
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


def _best_lines(table: pl.DataFrame) -> list[int]:
    """The lines whose interval is above those of all others of their setting and difficulty."""
    beside = [c for c in ("setting", *table.columns[2:3]) if c in table.columns]
    lines = []
    for _, group in table.with_row_index("line").group_by(beside, maintain_order=True):
        best, *others = group.sort("exact_match", descending=True, maintain_order=True).iter_rows(named=True)
        if others and all(
            o["ci_high"] is not None and best["ci_low"] is not None and o["ci_high"] < best["ci_low"] for o in others
        ):
            lines.append(best["line"])
    return lines


def _entry_text(name: str, value: object) -> str:
    if value is None:
        return "-"
    if name == "tokens_needed":
        assert isinstance(value, float)
        return f"{value / 1e6:.2f}M"
    if name in COSTS:
        assert isinstance(value, float)
        return f"{value:.2e}" if name == "train_flops" else f"{value:.0f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
