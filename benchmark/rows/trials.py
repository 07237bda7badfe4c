"""What trials on validation examples come to, from their rows."""

from typing import TYPE_CHECKING

from benchmark.rows.schema import Status

if TYPE_CHECKING:
    import polars as pl

LAST_TESTS = 3
"""So many of the last tests of a trial count, as a constant rate leaves single ones noisy."""


def trial_scores(frame: "pl.DataFrame") -> dict[str, float]:
    """Of each cell that came to its end: the mean exact match of its last tests, chance if it diverged."""
    import polars as pl

    tests = frame.filter(pl.col("answer").is_null())
    scores = dict[str, float]()
    for (id_,), part in tests.partition_by("cell_id", as_dict=True).items():
        if Status.DIVERGED in set(part["status"]):
            scores[str(id_)] = float(part["chance"].drop_nulls().mean() or 0.0)  # type: ignore[arg-type]
            continue
        tests_of_cell = part.filter(pl.col("status") == Status.OK)
        if tests_of_cell.height and tests_of_cell["tokens_seen"].max() >= tests_of_cell["tokens"].max():  # type: ignore[operator]
            last = tests_of_cell["step"].unique().sort().tail(LAST_TESTS)
            scores[str(id_)] = float(tests_of_cell.filter(pl.col("step").is_in(last.implode()))["exact_match"].mean())  # type: ignore[arg-type]
    return scores
