"""How figures look: colours, sizes, the sheet that panels stand on, curves, and files that come out the same."""

import io
import itertools
import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import polars as pl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from benchmark.rows import write_atomically
from benchmark.rows.text import printable

KINDS = ("png", "svg")
"""The files of a figure."""

INK, GREY = "#222222", "#6b6b6b"

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlepad": 4,
    "axes.titlesize": 8,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 8,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "hatch.color": "#b5b5b5",
    "hatch.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "savefig.dpi": 200,
    "svg.hashsalt": "sleepbench",  # ids inside an SVG are random without it
    "text.color": INK,
    "text.hinting": "none",  # hinted bold letters grow serifs at this size
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 7.5,
}
"""Every setting that is not matplotlib's own default; a user's matplotlibrc changes nothing."""

CHANCE_LINE: dict[str, Any] = {"color": GREY, "linestyle": "dashed", "linewidth": 1, "zorder": 1.5}
MAJORITY_LINE = CHANCE_LINE | {"linestyle": (0, (1, 1.5))}
CEILING_LINE: dict[str, Any] = {"color": "#bdbdbd", "linestyle": "solid", "linewidth": 0.7, "zorder": 1.2}
QUESTION_LINE = CHANCE_LINE | {"linestyle": (0, (5, 1.2, 1, 1.2)), "color": "#AA3377"}
SHORTCUT_LINE: dict[str, Any] = {"color": "#7A4FA3", "linestyle": (0, (2, 1)), "linewidth": 0.8, "zorder": 1.6}
_POWER = re.compile(r"\$10\^\{\d+\}\$")
"""The one formula in labels."""

UNITS = {1e3: "thousand", 1e6: "million", 1e9: "billion", 1e12: "trillion"}

TITLE, SMALL = 9.5, 6.8  # points
TITLE_LINE, SMALL_LINE, LEGEND_LINE = 0.18, 0.125, 0.22  # inches


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How one series is told from the others: by colour, by marker and, on paper without colour, by dashes."""

    color: str
    marker: str
    dashes: Any = "solid"
    width: float = 1.5

    def handle(self, label: str, *, line: bool = True) -> Line2D:
        """The series' entry in a legend."""
        dashes: Any = self.dashes if line else "none"
        return Line2D([], [], color=self.color, marker=self.marker, linestyle=dashes, label=label)


def floor_handle(look: Mapping[str, Any], label: str) -> Line2D:
    """A floor's entry in a legend."""
    return Line2D([], [], label=label, **{name: look[name] for name in ("color", "linestyle", "linewidth")})


LONG, SHORT, DOT = (0, (6, 1.4)), (0, (3, 1.2)), (0, (4, 1.2, 1, 1.2))

PASSES: dict[int, Look] = {
    1: Look(color="#333333", marker="o"),
    2: Look(color="#0072B2", marker="s", dashes=LONG),
    3: Look(color="#009E73", marker="D", dashes=SHORT),
    4: Look(color="#E69F00", marker="^", dashes=DOT),
    6: Look(color="#D55E00", marker="v", dashes=LONG),
    8: Look(color="#CC79A7", marker="P", dashes=SHORT),
}
"""N has the same look in every figure; colours of Okabe and Ito, darker for fewer passes."""

OTHER_PASSES = Look(color="#56B4E9", marker="X", dashes=DOT)


def by_passes(passes: Sequence[int]) -> dict[int, Look]:
    """The look of each N."""
    return {n: PASSES.get(n, OTHER_PASSES) for n in passes}


def by_order(values: Sequence[int]) -> dict[int, Look]:
    """Looks for values that only have an order: dark to light, and a marker each."""
    colors = matplotlib.colormaps["viridis"]
    last = max(len(values) - 1, 1)
    return {
        value: Look(color=matplotlib.colors.to_hex(colors(0.82 * i / last)), marker="osD^vPX"[i % 7])
        for i, value in enumerate(values)
    }


def sheet(
    *,
    title: str,
    about: str,
    note: str,
    panels: int,
    size: tuple[float, float] = (2.3, 1.65),
    legend: Sequence[Line2D] = (),
    share: bool = True,
    columns: int | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels (`size` inches each) under a title and a legend and above a note."""
    columns = columns or min(panels, 2 if panels == 4 else 3)
    lines = -(-panels // columns)
    width = max(columns * size[0] + 0.5, 4.2)
    titles, abouts, notes = _wrap(title, width, TITLE), _wrap(about, width, SMALL), _wrap(note, width, SMALL)
    longest = max((len(str(handle.get_label())) for handle in legend), default=0)
    entries = max(1, int((width - 0.2) / max(0.95, 0.6 + 0.07 * longest)))  # per line of the legend
    keys = -(-len(legend) // entries) * LEGEND_LINE
    header = 0.1 + TITLE_LINE * len(titles) + SMALL_LINE * len(abouts) + keys + 0.04
    footer = 0.08 + SMALL_LINE * len(notes)
    height = header + lines * size[1] + 0.2 + footer
    figure = Figure(figsize=(width, height), layout="constrained")
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0.02, footer / height, 0.96, 1 - (header + footer) / height))  # type: ignore[call-arg]
    left, top = 0.1 / width, 1 - 0.08 / height
    figure.text(left, top, "\n".join(titles), size=TITLE, weight="bold", va="top")
    top -= TITLE_LINE * len(titles) / height
    figure.text(left, top, "\n".join(abouts), size=SMALL, color=GREY, va="top")
    top -= (SMALL_LINE * len(abouts) + 0.02) / height
    figure.text(left, 0.06 / height, "\n".join(notes), size=SMALL, color=GREY, va="bottom")
    if legend:
        figure.legend(
            handles=list(legend),
            loc="upper left",
            bbox_to_anchor=(left, top),
            ncols=min(entries, len(legend)),
            frameon=False,
            borderaxespad=0,
            borderpad=0.2,
            handlelength=2.8 if any(handle.get_linestyle() != "None" for handle in legend) else 1,
            columnspacing=1.4,
        ).set_in_layout(False)
    grid = figure.subplots(lines, columns, sharex=share, sharey=share, squeeze=False)
    axes: list[Axes] = list(grid.flat)
    for empty in axes[panels:]:
        empty.set_visible(False)
    if share:  # the lowest panel of each column shows the numbers, also above an empty place
        for ax in axes[max(panels - columns, 0) : panels]:
            ax.tick_params(labelbottom=True)
    return figure, axes[:panels]


def name_panel(ax: Axes, text: str, chances: Iterable[float]) -> None:
    """A panel's name at its left and its chance, or the range of it, at its right."""
    ax.set_title(text, loc="left", weight="bold")
    if levels := sorted({float(f"{chance:.1f}") for chance in chances}):
        ends = "–".join(str(end) for end in sorted({levels[0], levels[-1]}))
        inches = ax.get_window_extent().width / ax.figure.dpi
        mark = "– – " if inches > 1.6 else ""  # in a narrow panel it would run into the name
        ax.set_title(f"{mark}chance {ends} %", loc="right", size=6.8, color=GREY)


def limits(scores: pl.DataFrame) -> tuple[float, float]:
    """Limits of exact match in percent that hold every score and chance; from 0 unless all are far above it."""
    lowest = 100 * scores.select(pl.min_horizontal(pl.col("exact_match", "chance").min())).item()
    return (0 if lowest < 25 else 10 * math.floor((lowest - 3) / 10)), 102


def offsets(count: int, width: float) -> list[float]:
    """Places of `count` marks side by side around 0, `width` from the first place to the last's end."""
    return [width * ((i + 0.5) / count - 0.5) for i in range(count)]


def axis_places(values: Sequence[int]) -> dict[int, float]:
    """Places of sorted values along an axis on which a joined line has true slopes, the two nearest 1 apart.

    Values whose gaps differ by more than five times are placed by their logarithms, where they have one.
    """
    gaps = [after - before for before, after in itertools.pairwise(values)]
    logarithmic = values[0] > 0 and max(gaps) > 5 * min(gaps)
    heights = [math.log(value) if logarithmic else float(value) for value in values]
    least = min(after - before for before, after in itertools.pairwise(heights))
    return {value: (height - heights[0]) / least for value, height in zip(values, heights, strict=True)}


def scale_of(amounts: pl.Series) -> float:
    """The power of 1000 in which amounts are drawn."""
    return 1000.0 ** max(0, math.floor(math.log10(max(*amounts, 1)) / 3))


def label_amount(what: str, amounts: pl.Series) -> str:
    """An axis label with the unit of `scale_of`."""
    unit = UNITS.get(scale_of(amounts))
    return f"{what} ({unit}s)" if unit else what


def label_outer(axes: Sequence[Axes], *, x: str, y: str) -> None:
    """Axis labels at the left column and under the lowest panel of each column only."""
    spec = axes[0].get_subplotspec()
    assert spec is not None
    columns = spec.get_gridspec().ncols
    for i, ax in enumerate(axes):
        if i % columns == 0:
            ax.set_ylabel(y)
        if i + columns >= len(axes):
            ax.set_xlabel(x)


def settle(figure: Figure) -> None:
    """Lay the panels out for good, at rounded places: the solver's last digits differ from run to run."""
    _mean_themselves(figure)
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)
    figure.set_layout_engine("none")
    for ax in figure.axes:
        left, bottom, width, height = (round(float(at), 4) for at in ax.get_position().bounds)
        ax.set_position((left, bottom, width, height))


def _mean_themselves(figure: Figure) -> None:
    """Draw texts as they are written: those of other people may hold what means something to matplotlib or to XML."""
    for text in figure.findobj(Text):
        content = text.get_text()
        text.set_text(printable(content))
        if "$" in content and not _POWER.search(content):
            text.set_parse_math(False)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Settle a figure and write it as PNG and SVG; the paths written. Call inside `context`."""
    settle(figure)
    paths = [folder / f"{name}.{kind}" for kind in KINDS]
    for kind, path in zip(KINDS, paths, strict=True):
        write_atomically(path, encode(figure, kind))
    return paths


def encode(figure: Figure, kind: str, *, title: str | None = None, about: str | None = None) -> bytes:
    """A settled figure as the bytes of a file, the same for the same figure. Call inside `context`.

    Args:
        figure: The figure.
        kind: "png" or "svg".
        title: Title that an SVG tells screen readers and catalogues.
        about: The same for what is seen.
    """
    buffer = io.BytesIO()
    facts = {"Date": None} | ({"Title": title} if title else {}) | ({"Description": about} if about else {})
    figure.savefig(buffer, format=kind, metadata=facts if kind == "svg" else None)
    return buffer.getvalue()


def title_of(figure: Figure) -> str:
    """The title of a sheet, in one line."""
    return figure.texts[0].get_text().replace("\n", " ")


def context() -> Any:
    """A context in which STYLE, over matplotlib's own defaults, is all that counts."""
    return style.context(STYLE, after_reset=True)


def _wrap(text: str, inches: float, points: float) -> list[str]:
    """Lines of text that fit at a size in points; a character is about 0.56 as wide, a bold one 0.66."""
    most = int((inches - 0.2) * 72 / (points * (0.66 if points == TITLE else 0.56)))
    return [line for part in text.split("\n") for line in textwrap.wrap(part, most)]
