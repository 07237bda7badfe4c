"""Figures from rows alone: which there are, and drawing all that a table of rows allows.

Settings that vary beside difficulty, N and seed are never averaged over: each combination is a study with figures of
its own. What failed or is unfinished stands under the figure.
"""

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from benchmark import curves, finals, rows, style
from benchmark.studies import Study, studies

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
"""Every figure by the name of its file; each returns None where the rows do not allow it."""


def draw(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """Draw every figure that the rows allow as PNG and SVG; the paths written.

    A file is named after its figure and, if there are several studies in the rows, after the settings of its study.
    """
    written = []
    with style.context():
        for study in studies(frame):
            for name, figure_of in FIGURES.items():
                figure = figure_of(study)
                if figure is None:
                    continue
                style.settle(figure)
                stem = re.sub(r"[^A-Za-z0-9._]+", "-", f"{name}-{study.name}").strip("-")
                for kind in ("png", "svg"):
                    folder.mkdir(parents=True, exist_ok=True)
                    written.append(folder / f"{stem}.{kind}")
                    rows.write_atomically(written[-1], style.encode(figure, kind))
    return written
