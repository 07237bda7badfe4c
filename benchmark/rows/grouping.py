"""Rows that may be averaged: the split of a table by what varies, where each N may have learning rates of its own."""

from collections.abc import Iterator, Sequence

import polars as pl

RATES = ("muon_lr", "adam_lr")
"""Learning rates, which each N may have of its own."""


def alike(group: pl.DataFrame, settings: Sequence[str]) -> Iterator[tuple[pl.DataFrame, list[str], int | None]]:
    """The rows that may stand together, what tells them from others, and the N whose rates do, if those of one N do.

    Each N at rates of its own stays with the others. If a single N was trained at several pairs of rates, it stands
    with the others at each of its pairs in turn; if several were, rates are told apart as any other setting.
    """
    varying = [c for c in settings if c not in RATES and varies(group, c)]
    for part in split(group, [*varying, "test_passes"]):
        apart = [c for c in settings if c in RATES and varies(part, c)]
        several = _at_several(part, apart) if apart else []
        if len(several) == 1 < part["n"].n_unique():
            other = pl.col("n") != several[0]
            for pair in part.filter(~other).select(apart).unique(maintain_order=True).rows(named=True):
                own = (pl.col(c).eq_missing(pl.lit(value)) for c, value in pair.items())
                yield part.filter(other | pl.all_horizontal(own)), [*varying, *apart], several[0]
            continue
        for study in split(part, apart):
            yield study, [c for c in settings if c in (*varying, *apart)], None


def _at_several(part: pl.DataFrame, rates: Sequence[str]) -> list[int]:
    """Every N that has several combinations of rates at one difficulty."""
    pairs = part.group_by("depth", "n").agg(pairs=pl.struct(rates).n_unique())
    return pairs.filter(pl.col("pairs") > 1)["n"].unique().to_list()


def split(frame: pl.DataFrame, columns: Sequence[str]) -> list[pl.DataFrame]:
    """The rows of each combination of values in `columns`."""
    return frame.partition_by(columns, maintain_order=True) if columns else [frame]


def varies(group: pl.DataFrame, setting: str) -> bool:
    """Whether cells of one difficulty, of rates also those of one N, differ in a setting: a mean would hide it."""
    by = ("depth", "n") if setting in RATES else ("depth",)
    return bool((group.group_by(by).agg(pl.col(setting).n_unique())[setting] > 1).any())
