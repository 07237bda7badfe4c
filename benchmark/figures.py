"""Figures from rows alone: which there are, and drawing all that a table of rows allows.

Settings that vary beside difficulty, N and seed are never averaged over: each combination is a study with figures of
its own. Where a comparison shows them all in one figure, only a study without a name, trained and tested at the same N,
keeps figures of its own: a suite of ten rivals makes three figures and not eighty. What failed or is unfinished stands
under the figure.
"""

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from benchmark import comparisons, curves, finals, rival_figures, rows, style
from benchmark.studies import Study, compared, studies

FIGURES: dict[str, Callable[[Study], Figure | None]] = {
    "accuracy_by_depth": curves.accuracy_by_depth,
    "accuracy_by_passes": curves.accuracy_by_passes,
    "accuracy_by_flops": curves.accuracy_by_flops,
    "loss_by_passes": curves.loss_by_passes,
    "accuracy_by_level": finals.accuracy_by_level,
    "frontier": finals.frontier,
    "accuracy_by_answer": finals.accuracy_by_answer,
    "tokens_to_threshold": finals.tokens_to_threshold,
}
"""Every figure of a study by the name of its file; each returns None where the rows do not allow it."""

COMPARISONS: dict[str, tuple[tuple[str, ...], Callable[[Study], Figure | None]]] = {
    "rivals_by_flops": (("variant",), rival_figures.rivals_by_flops),
    "rivals_by_tokens": (("variant",), rival_figures.rivals_by_tokens),
    "rivals_final": (("variant",), rival_figures.rivals_final),
    "rules": (("layout",), comparisons.rules),
    "evictions": (("eviction", "hard_share"), comparisons.evictions),
    "trained_by_tested": (("test_passes",), comparisons.trained_by_tested),
    "retention": (("layout", "windows_after"), comparisons.retention),
    "no_gain": (("task",), comparisons.no_gain),
}
"""Every figure of a whole suite: the columns that it tells apart beside difficulty and N, and the figure."""


def draw(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """Draw every figure that the rows allow as PNG and SVG; the paths written.

    A file is named after its figure and, if there are several studies in the rows, after the settings of its study.
    """
    written: list[Path] = []
    covered: set[str] = set()
    with style.context():
        for name, (by, comparison) in COMPARISONS.items():
            for whole in compared(frame, by):
                if drawn := _write(comparison(whole), f"{name}-{whole.name}", folder):
                    covered |= {*whole.scores["cell_id"]}
                    written += drawn
        for study in studies(frame):
            if not study.name or not covered.issuperset(study.scores["cell_id"]):
                for name, figure_of in FIGURES.items():
                    written += _write(figure_of(study), f"{name}-{study.name}", folder)
    return written


def _write(figure: Figure | None, name: str, folder: Path) -> list[Path]:
    """Write a figure, if there is one, in both formats."""
    if figure is None:
        return []
    style.settle(figure)
    folder.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-")
    paths = [folder / f"{stem}.{kind}" for kind in ("png", "svg")]
    for path in paths:
        rows.write_atomically(path, style.encode(figure, path.suffix[1:]))
    return paths
