"""What rows were trained with that their suite does not ask for, as settings of a command line."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import polars as pl

from benchmark.rows.schema import is_setting
from benchmark.rows.studies import Study, values


def settings_of(study: Study) -> dict[tuple[int, ...], tuple[str, ...]]:
    """The settings, each `name=value`, that make the cells of a suite those of a study, by the N that share them.

    One entry where all N have the same. What a variant changes its name says, and a setting that differs between the
    cells of one N no command line could give.
    """
    first = study.final.row(0, named=True)
    grid = {} if study.variant else _grid(first["suite"], first["scale"])
    columns = [c for c in study.final.columns if c in grid and c != study.axis and is_setting(c)]
    groups: dict[tuple[str, ...], list[int]] = {}
    for n in values(study.final["n"]):
        part = study.final.filter(pl.col("n") == n)
        settings = (_setting(column, values(part[column]), grid[column]) for column in columns)
        groups.setdefault(tuple(filter(None, settings)), []).append(n)
    return {tuple(ns): settings for settings, ns in groups.items()}


@cache
def _grid(suite_name: str, scale: str) -> Mapping[str, tuple[Any, ...]]:
    """The values of every setting in the cells of a suite; empty of a suite that is not there.

    Of suites that choose among variants too: of one's rows nothing can be said by settings.
    """
    from benchmark.cells.suites import SCALES, SUITES, suite  # builds models, thus imports torch

    if suite_name not in SUITES or scale not in SCALES:
        return {}
    grids = suite(suite_name, scale).grids
    if any(grid.variants is not None for grid in grids):
        return {}
    axes: dict[str, tuple[Any, ...]] = {}
    for grid in grids:
        for name, value in grid.base.axes.items():
            axes[name] = (*axes.get(name, ()), *grid.axes.get(name, (value,)))
    return {name: every for name, every in axes.items() if name != "sleep_passes"}


def _setting(name: str, of_rows: list[Any], of_suite: tuple[Any, ...]) -> str:
    """A setting that the suite does not ask for; empty where it does, or where rows have none or several values."""
    if len(of_rows) != 1 or of_rows[0] in of_suite or of_rows[0] in [_joined(value) for value in of_suite]:
        return ""
    value = of_rows[0]
    if isinstance(value, bool):
        return f"{name}={str(value).lower()}"
    if isinstance(value, int) and value >= 10**6 and value % 10**4 == 0:
        return f"{name}={value / 10**6:g}M"
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"


def _joined(value: Any) -> Any:
    """A list as a study has it."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
