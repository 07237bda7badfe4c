"""Figures from rows alone: which there are, and drawing all that a table of rows allows.

Settings that vary beside difficulty, N and seed are never averaged over: each combination is a study with figures of
its own. Where a comparison shows them all in one figure, only a study without a name, trained and tested at the same N,
keeps figures of its own: a suite of ten rivals makes three figures and not eighty. What failed or is unfinished stands
under the figure.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from benchmark import rows
from benchmark.figures import alts, comparisons, curves, finals, gains, rival_figures, style
from benchmark.rows.studies import Study, compared, studies

FIGURES: dict[str, Callable[[Study], Figure | None]] = {
    "accuracy_by_depth": curves.accuracy_by_depth,
    "accuracy_by_passes": curves.accuracy_by_passes,
    "accuracy_by_flops": curves.accuracy_by_flops,
    "loss_by_passes": curves.loss_by_passes,
    "accuracy_by_level": finals.accuracy_by_level,
    "frontier": finals.frontier,
    "gain_by_depth": gains.gain_by_depth,
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """A figure as files.

    Attributes:
        name: Name of the figure and, if there are several studies in the rows, the settings of its study; the name of
            its files.
        figure: Which of FIGURES or COMPARISONS it is.
        title: Its title.
        alt: What is seen, in a sentence or two with its main numbers.
        svg: The figure as SVG; title and alt are in it.
        png: The figure as PNG; None unless asked for.
    """

    name: str
    figure: str
    title: str
    alt: str
    svg: bytes
    png: bytes | None = None


def drawn(frame: pl.DataFrame, *, png: bool = False) -> Iterator[Drawn]:
    """Every figure that the rows allow, the same bytes for the same rows; as PNG, too, if `png`."""
    covered: set[str] = set()
    for name, (by, comparison) in COMPARISONS.items():
        for whole in compared(frame, by):
            if found := _drawn(name, comparison, whole, png=png):
                covered |= {*whole.scores["cell_id"]}
                yield found
    for study in studies(frame):
        if not study.name or not covered.issuperset(study.scores["cell_id"]):
            for name, figure_of in FIGURES.items():
                if found := _drawn(name, figure_of, study, png=png):
                    yield found


def draw(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """Draw every figure that the rows allow as PNG and SVG; the paths written."""
    written: list[Path] = []
    for figure in drawn(frame, png=True):
        folder.mkdir(parents=True, exist_ok=True)
        for kind in style.KINDS:
            written.append(folder / f"{figure.name}.{kind}")
            rows.write_atomically(written[-1], getattr(figure, kind))
    return written


def stale(folder: Path, written: Iterable[Path]) -> list[Path]:
    """Files in a folder that have the name of a figure of this suite and were not written now, sorted."""
    ours = re.compile(rf"({'|'.join([*FIGURES, *COMPARISONS])})(-[A-Za-z0-9._-]+)?\.({'|'.join(style.KINDS)})")
    return sorted(path for path in folder.glob("*") if ours.fullmatch(path.name) and path not in {*written})


def _drawn(name: str, figure_of: Callable[[Study], Figure | None], study: Study, *, png: bool) -> Drawn | None:
    """One figure of one study, if the rows allow it. Nothing of matplotlib's settings outlives the call."""
    with style.context():
        figure = figure_of(study)
        if figure is None:
            return None
        style.settle(figure)
        title, alt = style.title_of(figure), alts.ALTS[name](study)
        return Drawn(
            name=re.sub(r"[^A-Za-z0-9._]+", "-", f"{name}-{study.name}").strip("-"),
            figure=name,
            title=title,
            alt=alt,
            svg=style.encode(figure, "svg", title=title, about=alt),
            png=style.encode(figure, "png") if png else None,
        )
