"""The gain of N > 1 over N = 1 on the same seeds, with its interval: at equal tokens and at the FLOPs of N = 1."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from benchmark.figures import panels, style
from benchmark.judge import learning_curve
from benchmark.rows.studies import Study, values

if TYPE_CHECKING:
    from benchmark.judge.statistics import Interval  # scipy, which only the drawing needs

EQUAL_TOKENS, EQUAL_FLOPS = "at equal training tokens", "at the training FLOPs of N = 1"
_EQUAL_FLOPS_NOTE = (
    "At the FLOPs of N = 1 (between two tests: on the line through them) a larger N has read fewer tokens; what N = 1 "
    "would do with the FLOPs of the larger N is not shown. "
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """How much higher N > 1 scores than N = 1 at a difficulty."""

    n: int
    depth: int
    seeds: int
    """That both were trained with."""
    share: "Interval"
    """Mean difference of exact match over those seeds, with its 95 % interval over seeds, paired, and held-out
    examples; infinite for a single seed."""

    @property
    def points(self) -> tuple[float, float, float]:
        """Estimate, low and high in percentage points."""
        return 100 * self.share.estimate, 100 * self.share.low, 100 * self.share.high

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.share.low)

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.share.low > 0 or self.share.high < 0


def gains(study: Study) -> dict[str, list[Gain]]:
    """The gains of every N and difficulty, by what is equal: the training tokens, or the training FLOPs.

    At equal tokens scores are those at the end of training. At equal FLOPs they are those at what N = 1 spends on all
    of its training (`benchmark.judge.learning_curve`), the smaller of the two budgets at which N = 1 and a larger N are
    equal. N, difficulties and seeds that have no score beside one of N = 1 are left out.
    """
    final = study.final.filter(pl.col("answer").is_null())
    scores = study.scores.filter(pl.col("cell_id").is_in(final["cell_id"].to_list()))
    budgets = learning_curve.least_flops(final.filter(pl.col("n") == 1))
    return {EQUAL_TOKENS: _paired_gains(final), EQUAL_FLOPS: _paired_gains(learning_curve.at_flops(scores, budgets))}


def _paired_gains(scores: pl.DataFrame) -> list[Gain]:
    """The gains in scores of one test per cell."""
    from benchmark.judge import statistics

    results = []
    for n in values(scores["n"]):
        for depth in values(scores["depth"]) if n > 1 else ():
            of_n, of_one = (scores.filter((pl.col("n") == m) & (pl.col("depth") == depth)) for m in (n, 1))
            both = of_n.join(of_one, on="seed", suffix="_one", maintain_order="left").sort("seed", maintain_order=True)
            # Another processor rounds differently: the same seed gives another run there.
            both = both.filter((pl.col("processor") == pl.col("processor_one")).fill_null(True))
            if both.height:
                one, more = (both[column].to_list() for column in ("exact_match_one", "exact_match"))
                gain = statistics.paired_contrast(one, more, examples=both["n_examples"].min() or 0).difference  # type: ignore[arg-type]
                results.append(Gain(n=n, depth=depth, seeds=both.height, share=gain))
    return results


def gain_by_depth(study: Study) -> Figure | None:
    """The gain of each N > 1 over N = 1 against difficulty; a panel at equal tokens and one at the FLOPs of N = 1."""
    if study.scores["test_passes"].is_not_null().any():
        return None  # how N was trained is what a gain is of
    by_budget = gains(study)
    if not by_budget[EQUAL_TOKENS]:
        return None
    every = [gain for of_panel in by_budget.values() for gain in of_panel]
    depths, looks = values(gain.depth for gain in every), style.by_passes(values(gain.n for gain in every))
    figure, pairs = panels.over(
        study,
        list(by_budget.items()),
        title="What sleep gains: exact match of N > 1 minus that of N = 1",
        note=f"{_intervals(every)}{_EQUAL_FLOPS_NOTE}",
        x=study.depth_axis,
        y="gain (percentage points)",
        size=(max(2.5, 0.2 * len(depths) * len(looks) + 0.8), 2.3),
        legend=[look.handle(f"N = {n} over N = 1", line=False) for n, look in looks.items()],
    )
    places = {depth: place for place, depth in enumerate(depths)}
    for ax, (name, of_panel) in pairs:
        ax.axhline(0, color=style.INK, linewidth=0.9, zorder=1.5)
        for edge in range(1, len(depths)):
            ax.axvline(edge - 0.5, color="#e6e6e6", linewidth=0.5)
        for (n, look), offset in zip(looks.items(), style.offsets(len(looks), 0.7), strict=True):
            for gain in of_panel:
                if gain.n == n:
                    _draw(ax, places[gain.depth] + offset, gain, look)
        style.name_panel(ax, name, [])
        ax.set_xticks(list(places.values()), [str(depth) for depth in depths])
        ax.grid(visible=False, axis="x")
        ax.set_xlim(-0.5, len(depths) - 0.5)
    figure.axes[0].set_ylim(*_limits(every))  # of both panels
    for height, text in ((1, "▲ N > 1 is better"), (-1, "▼ N = 1 is better")):
        ax.annotate(
            text, (1, 0), xycoords=ax.get_yaxis_transform(), xytext=(4, 9 * height), textcoords="offset points",
            size=6.8, color=style.GREY, va="center_baseline", annotation_clip=False,
        )  # fmt: skip
    return figure


def gain_by_depth_words(study: Study) -> str:
    """The largest gain at equal tokens and what is left of it at equal FLOPs."""
    by_budget = gains(study)
    best = max(by_budget[EQUAL_TOKENS], key=lambda gain: gain.share.estimate)
    at_flops = [g for g in by_budget[EQUAL_FLOPS] if (g.n, g.depth) == (best.n, best.depth)]
    clear = {name: sum(g.clear and g.share.estimate > 0 for g in of) for name, of in by_budget.items()}
    counts = ", ".join(f"{clear[name]} of {len(of)} {name}" for name, of in by_budget.items())
    return (
        f"Exact match of N > 1 minus that of N = 1 on the same seeds, against {study.depth_axis}. At equal training "
        f"tokens it is highest with N = {best.n} at {study.label(best.depth)}: {_points(best)}; at the training FLOPs "
        f"of N = 1 that is {_points(at_flops[0]) if at_flops else 'not known'}. "
        f"Gains whose 95 % interval is above 0: {counts}."
    )


def _points(gain: Gain) -> str:
    mean, low, high = gain.points
    return f"{mean:+.1f} points" + (
        f" ({low:+.1f} to {high:+.1f})" if gain.has_interval else " (one seed, no interval)"
    )


def _draw(ax: Axes, place: float, gain: Gain, look: style.Look) -> None:
    """A gain and its interval, pale where that holds 0 or is not known."""
    red, green, blue = to_rgb(look.color)
    color = look.color if gain.clear else tuple(1 - 0.42 * (1 - part) for part in (red, green, blue))
    mean, low, high = gain.points
    if gain.has_interval:
        ax.vlines(place, low, high, color=color, linewidth=1.5)
    ax.plot(place, mean, color=color, marker=look.marker, zorder=3)


def _limits(every: list[Gain]) -> tuple[float, float]:
    """Limits of y that hold every interval and 0, as far as scores can differ at all."""
    ends = [0.0, *(end for gain in every for end in gain.points if math.isfinite(end))]
    margin = 0.06 * max(max(ends) - min(ends), 10)
    return max(min(ends) - margin, -102), min(max(ends) + margin, 102)


def _intervals(every: list[Gain]) -> str:
    """What the lines are."""
    if not any(gain.has_interval for gain in every):
        return "One seed: no interval, so all marks are pale. "
    return (
        "Mark: mean over seeds; line: 95 % interval of that mean, for other seeds (paired: same data in the same "
        "order) and other held-out examples; pale: it holds 0. "
    )
