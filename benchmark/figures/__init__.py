"""Figures from rows alone: which there are, and drawing all that a table of rows allows.

Settings that vary beside difficulty, N and seed are never averaged over: each combination is a study with figures of
its own. Where a comparison shows them all in one figure, only a study without a name, trained and tested at the same N,
keeps figures of its own: a suite of ten rivals makes three figures and not eighty. What failed or is unfinished stands
under the figure.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from benchmark import rows
from benchmark.figures import anticipation, comparisons, curves, finals, gains, maps, rates, rivals, roads, style
from benchmark.rows.grouping import RATES
from benchmark.rows.studies import Study, studies, suite_studies

LONGEST_NAME = 160
"""Characters of a file's name without its ending; systems allow 255 bytes, and archives add folders."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A figure that rows may have."""

    draw: Callable[[Study], Figure | None]
    """None where the rows do not allow it; its name is that of the files, its first sentence the caption."""
    words: Callable[[Study], str]
    """What is seen, in a sentence or two with its main numbers, for whoever cannot see it."""
    by: tuple[str, ...] | None = None
    """The columns that it tells apart beside difficulty and N, for a figure of a whole suite; None: of each study."""

    @property
    def name(self) -> str:
        """The name of its files."""
        return self.draw.__name__

    @property
    def caption(self) -> str:
        """What is drawn, in a sentence."""
        return " ".join((self.draw.__doc__ or self.name).split("\n\n")[0].split())


FIGURES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(rivals.rivals_by_flops, rivals.rivals_words, by=("variant",)),
        Entry(rivals.rivals_by_tokens, rivals.rivals_words, by=("variant",)),
        Entry(rivals.rivals_final, rivals.rivals_words, by=("variant",)),
        Entry(roads.roads, roads.roads_words, by=("variant",)),
        Entry(anticipation.amortisation, anticipation.amortisation_words, by=("variant",)),
        Entry(comparisons.rules, comparisons.rules_words, by=("layout",)),
        Entry(comparisons.evictions, comparisons.evictions_words, by=("eviction", "hard_share")),
        Entry(rates.accuracy_by_rate, rates.accuracy_by_rate_words, by=("variant", "muon_lr", "adam_lr")),
        Entry(curves.accuracy_to_equal_flops, curves.accuracy_to_equal_flops_words, by=("tokens", *RATES)),
        Entry(maps.trained_by_tested, maps.trained_by_tested_words, by=("test_passes", "sleep_passes_drawn")),
        Entry(comparisons.retention, comparisons.retention_words, by=("layout", "windows_after")),
        Entry(
            anticipation.accuracy_by_predictability,
            anticipation.accuracy_by_predictability_words,
            by=("predictability",),
        ),
        Entry(curves.no_gain, curves.no_gain_words, by=("task",)),
        Entry(curves.accuracy_by_depth, curves.accuracy_by_depth_words),
        Entry(curves.accuracy_by_passes, curves.accuracy_by_passes_words),
        Entry(curves.accuracy_by_flops, curves.accuracy_by_flops_words),
        Entry(curves.loss_by_passes, curves.loss_by_passes_words),
        Entry(finals.accuracy_by_level, finals.accuracy_by_level_words),
        Entry(maps.frontier, maps.frontier_words),
        Entry(gains.gain_by_depth, gains.gain_by_depth_words),
        Entry(finals.accuracy_by_answer, finals.accuracy_by_answer_words),
        Entry(finals.tokens_to_threshold, finals.tokens_to_threshold_words),
    )
}
"""Every figure by its name, in the order in which they are drawn: those of whole suites first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A figure as files."""

    name: str
    """Name of the figure and, if there are several studies in the rows, the settings of its study; of its files."""
    entry: Entry
    caption: str
    """What is drawn, and of which study."""
    title: str
    alt: str
    """What is seen."""
    svg: bytes
    """With title and alt in it."""
    png: bytes | None
    """None unless asked for."""


def drawings(frame: pl.DataFrame, *, png: bool = False) -> Iterator[Drawing]:
    """Every figure that the rows allow, the same bytes for the same rows; as PNG, too, if `png`."""
    covered: set[str] = set()
    for entry in [entry for entry in FIGURES.values() if entry.by]:
        for whole in suite_studies(frame, entry.by or ()):
            if figure := _drawing(entry, whole, png=png):
                covered |= {*whole.scores["cell_id"]}
                yield figure
    for study in studies(frame):
        if not study.name or not covered.issuperset(study.scores["cell_id"]):
            for entry in [entry for entry in FIGURES.values() if not entry.by]:
                if figure := _drawing(entry, study, png=png):
                    yield figure


def first_figure(frame: pl.DataFrame, name: str) -> Figure | None:
    """The first figure of a name that the rows allow, ready to be shown: a notebook finds its PNG."""
    entry = FIGURES[name]
    for study in suite_studies(frame, entry.by) if entry.by else studies(frame):
        with style.context():
            if figure := entry.draw(study):
                style.settle(figure)
                figure._repr_png_ = partial(style.encode, figure, "png")  # type: ignore[attr-defined]
                return figure
    return None


def draw(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """Draw every figure that the rows allow as PNG and SVG; the paths written."""
    paths: list[Path] = []
    for figure in drawings(frame, png=True):
        folder.mkdir(parents=True, exist_ok=True)
        for kind in style.KINDS:
            paths.append(folder / f"{figure.name}.{kind}")
            rows.write_atomically(paths[-1], getattr(figure, kind))
    return paths


def redraw(frame: pl.DataFrame, folder: Path) -> tuple[list[Path], list[Path]]:
    """Draw every figure that the rows allow, and remove those that they no longer make; the paths of both."""
    paths = draw(frame, folder)
    removed = stale(folder, paths)
    for path in removed:
        path.unlink()
    return paths, removed


def stale(folder: Path, current: Iterable[Path]) -> list[Path]:
    """Files in a folder that have the name of a figure of this suite and were not written now, sorted."""
    ours = re.compile(rf"({'|'.join(FIGURES)})(-[A-Za-z0-9._-]+)?\.({'|'.join(style.KINDS)})")
    return sorted(path for path in folder.glob("*") if ours.fullmatch(path.name) and path not in {*current})


def file_name(text: str) -> str:
    """A text as the name of a file; of a long one its beginning and a hash of the whole, for names have a limit."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-")
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _drawing(entry: Entry, study: Study, *, png: bool) -> Drawing | None:
    """One figure of one study, if the rows allow it. Nothing of matplotlib's settings outlives the call."""
    with style.context():
        figure = entry.draw(study)
        if figure is None:
            return None
        style.settle(figure)
        title, alt = style.title_of(figure), entry.words(study)
        return Drawing(
            name=file_name(f"{entry.name}-{study.name}"),
            entry=entry,
            caption=entry.caption + (f" Here: {study.name}." if study.name else ""),
            title=title,
            alt=alt,
            svg=style.encode(figure, "svg", title=title, about=alt),
            png=style.encode(figure, "png") if png else None,
        )
