"""The figure of `bench profile`: where a training step goes, a bar per cell and backend."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.figures import style
from benchmark.measure.profile_tables import Row, parts

COLORS = {
    "attention": "#0072B2",
    "attention block": "#0072B2",
    "fast weights": "#D55E00",
    "fast-weight block": "#D55E00",
    "MLP": "#009E73",
    "norm": "#E69F00",
    "head and loss": "#CC79A7",
    "optimizer": "#56B4E9",
    "data": "#333333",
    "other": "#bdbdbd",
}
"""A block in C has the colour of its mixer, and hatching for the norms and the MLP that are in it."""

LABEL_SHARE = 0.07
"""Smallest share of the longest bar that has its number written in."""


def draw(rows: Sequence[Row], title: str, folder: Path) -> list[Path]:
    """Draw the figure as PNG and SVG; the paths written."""
    with style.context():
        return style.save(step_parts(rows, title), folder, "step_parts")


def step_parts(rows: Sequence[Row], title: str) -> Figure:
    """Milliseconds of each part of a training step, side by side; a mark where its matrix products alone would end.

    Args:
        rows: Rows as of `benchmark.measure.profiling.profile`, with the cell's name; call inside `style.context`.
        title: What was profiled.
    """
    names = parts(rows)
    mark = Line2D([], [], color=style.INK, marker="v", markersize=4, linestyle="none", label="products alone")
    part_of_color: dict[str, str] = {}  # a colour once, by its first part
    for part in names:
        part_of_color.setdefault(COLORS[part], part)
    keys = [
        Line2D([], [], color=color, marker="s", markersize=6, linestyle="none", label=part)
        for color, part in part_of_color.items()
    ]
    blocks = any(part.endswith("block") for part in names)
    figure, (ax,) = style.sheet(
        title="Where a training step goes",
        about=title,
        note=f"Thread time of one core, median of {rows[0]['steps']} steps. Products alone: matrix products of "
        "forward and backward, each shape by itself in torch."
        + (" Hatched: a block in C is one call, its norms and MLP included." if blocks else ""),
        panels=1,
        size=(5.6, 0.5 + 0.27 * len(rows)),
        legend=[*keys, mark],
    )
    longest = 1e3 * max(row["total_s"] for row in rows)
    for place, row in enumerate(rows):
        left = 0.0
        for part in names:
            wide = 1e3 * row["seconds"].get(part, 0.0)
            hatch = "////" if part.endswith("block") else None
            ax.barh(
                place, wide, left=left, height=0.66, color=COLORS[part], hatch=hatch, edgecolor="white", linewidth=0.4
            )
            if wide > LABEL_SHARE * longest:
                ink: dict[str, Any] = {"color": "white", "size": 6.8, "ha": "center", "va": "center"}
                box = {"facecolor": COLORS[part], "edgecolor": "none", "pad": 0.8}
                ax.text(left + wide / 2, place, f"{wide / 1e1 / row['total_s']:.0f} %", bbox=box, **ink)
            left += wide
        ax.text(left + 0.012 * longest, place, f"{left:.3g} ms", size=6.8, va="center", color=style.INK)
        ax.plot(1e3 * row["products_s"], place - 0.43, color=style.INK, marker="v", markersize=4)
    ax.set_yticks(range(len(rows)), [", ".join(filter(None, (row["cell"], row["backend"]))) for row in rows])
    ax.set(xlim=(0, 1.13 * longest), ylim=(len(rows) - 0.5, -0.65), xlabel="milliseconds of a step")
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    return figure
