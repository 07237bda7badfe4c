"""How figures look: colours, sizes, the sheet that panels stand on, and files that come out the same every time."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

INK, GREY, PALE = "#222222", "#6b6b6b", "#dddddd"

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
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 7.5,
}
"""Every setting that is not matplotlib's own default; a user's matplotlibrc changes nothing."""

TITLE, SMALL = 9.5, 6.8  # points
TITLE_LINE, SMALL_LINE, LEGEND_LINE = 0.18, 0.125, 0.22  # inches


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How one series is told from the others: by colour, by marker and, on paper without colour, by dashes."""

    color: str
    marker: str
    dashes: Any = "solid"

    def handle(self, label: str, *, line: bool = True) -> Line2D:
        """The series' entry in a legend."""
        dashes: Any = self.dashes if line else "none"
        return Line2D([], [], color=self.color, marker=self.marker, linestyle=dashes, label=label)


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
        value: Look(color=matplotlib.colors.to_hex(colors(0.88 * i / last)), marker="osD^vPX"[i % 7])
        for i, value in enumerate(values)
    }


def chance_handle() -> Line2D:
    """The legend entry of a chance line."""
    return Line2D([], [], color=GREY, linestyle="dashed", linewidth=1, label="chance")


def sheet(
    *,
    title: str,
    about: str,
    note: str,
    panels: int,
    size: tuple[float, float] = (2.3, 1.65),
    legend: Sequence[Line2D] = (),
    share: bool = True,
) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels (`size` inches each) under a title and a legend and above a note."""
    columns = min(panels, 2 if panels == 4 else 3)
    lines = -(-panels // columns)
    width = max(columns * size[0] + 0.5, 4.2)
    titles, abouts, notes = (
        _wrap(title, width, TITLE * 0.62),
        _wrap(about, width, SMALL / 2),
        _wrap(note, width, SMALL / 2),
    )
    header = 0.1 + TITLE_LINE * len(titles) + SMALL_LINE * len(abouts) + LEGEND_LINE * bool(legend) + 0.06
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
            ncols=len(legend),
            frameon=False,
            borderaxespad=0,
            borderpad=0.2,
            handlelength=2.8,
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


def label_ends(ax: Axes, ends: Mapping[str, tuple[float, str]], *, gap: float) -> None:
    """Write each label beside the right end of its curve (label -> height, colour), at least `gap` apart."""
    ordered = sorted(ends.items(), key=lambda end: end[1][0])
    heights = [height for _, (height, _) in ordered]
    low, high = ax.get_ylim()
    heights[-1] = min(heights[-1], high - gap / 2)
    for i in range(len(heights) - 2, -1, -1):  # from the top down, then back up from the axis
        heights[i] = min(heights[i], heights[i + 1] - gap)
    heights[0] = max(heights[0], low + gap / 2)
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + gap)
    for (label, (_, color)), height in zip(ordered, heights, strict=True):
        ax.annotate(
            label,
            (1.03, height),
            xycoords=("axes fraction", "data"),
            color=color,
            size=7.5,
            va="center",
            annotation_clip=False,
        )


def encode(figure: Figure, kind: str) -> bytes:
    """The figure as the bytes of a file, the same for the same figure. Call inside `context`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def context() -> Any:
    """A context in which STYLE, over matplotlib's own defaults, is all that counts."""
    return style.context(STYLE, after_reset=True)


def _wrap(text: str, inches: float, points: float) -> list[str]:
    """Lines of text that fit, at a mean width per character in points."""
    return [line for part in text.split("\n") for line in textwrap.wrap(part, int((inches - 0.2) * 72 / points))]
