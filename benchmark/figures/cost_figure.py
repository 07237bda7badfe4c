"""The figures of `bench cost`: what waking, sleeping and training take, against the number of sleep passes N."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator

from benchmark.figures import style
from benchmark.figures.load_figure import load_
from benchmark.measure import cost_tables
from benchmark.measure.cost_tables import CONTEXT, Row, shown_clock, timing
from benchmark.rows.text import amount

REFERENCE = style.CHANCE_LINE | {"linestyle": (0, (1, 1.5))}
PARALLEL = style.CHANCE_LINE | {"color": style.INK}


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw the figures that one model's rows allow as PNG and SVG; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"cost_by_passes": cost_by_passes, "load": load}
    figures |= {"throughput": throughput} if "step_tokens" in rows[0] else {}
    with style.context():
        return [path for name, figure_of in figures.items() for path in style.save(figure_of(rows), folder, name)]


def cost_by_passes(rows: Sequence[Row]) -> Figure:
    """Left the wake latency, from 0, right the sleep time on two logarithmic axes: there N passes are a straight line.

    Args:
        rows: Measured rows of one model, as of `benchmark.measure.latency.measure`; call inside `style.context`.
    """
    first, passes = rows[0], sorted({row["sleep_passes"] for row in rows})
    clock = shown_clock(first)
    looks = style.by_order(sorted({row["window"] for row in rows}))
    reference = style.floor_handle(REFERENCE, "linear in N")
    figure, (wake, sleep) = style.sheet(
        title="What sleep costs: waking and sleeping, by sleep passes N",
        about=", ".join(part for part in (_model_name(first), f"{amount(first['parameters'])} parameters") if part),
        note=f"{_sentence(timing(rows))}. Answer after {CONTEXT} windows. "
        f"Top right: times what N = {passes[0]} takes, over all L. Sleep: both axes logarithmic."
        f"{_warning(first)}",
        panels=2,
        size=(2.7, 2.1),
        legend=[*(look.handle(f"L = {window}") for window, look in looks.items()), reference],
        share=False,
    )
    shift = style.offsets(len(looks), 0.3)
    for (window, look), offset in zip(looks.items(), shift, strict=True):
        of_window = sorted((row for row in rows if row["window"] == window), key=lambda row: row["sleep_passes"])
        counts = [row["sleep_passes"] for row in of_window]
        _curve(wake, of_window, f"wake_{clock}", look, [n + offset for n in counts])
        _curve(sleep, of_window, f"sleep_{clock}", look, counts)
        one_pass = 1000 * of_window[0][f"sleep_{clock}_s"] / counts[0]
        sleep.plot(passes, [n * one_pass for n in passes], **REFERENCE)
    for ax, name, what in ((wake, "wake, per token", "wake"), (sleep, "sleep, per window", "sleep")):
        ax.set_title(name, loc="left", weight="bold")
        if len(passes) > 1:
            ax.set_title(_growth(rows, f"{what}_{clock}_s"), loc="right", size=6.8, color=style.GREY)
    wake.set(
        xlim=(passes[0] - 0.5, passes[-1] + 0.5), ylim=(0, 1.35 * max(1000 * r[f"wake_{clock}_q75_s"] for r in rows))
    )
    wake.set_xticks(passes)
    times = [1000 * row[f"sleep_{clock}_{end}_s"] for row in rows for end in ("q25", "q75")]
    sleep.set(xscale="log", yscale="log", xlim=(passes[0] / 1.15, passes[-1] * 1.15))
    sleep.set_ylim(min(times) / 1.6, max(times) * 1.6)  # wide enough for a tick, whatever the numbers
    _plain_numbers(sleep, passes)
    wake.set(xlabel="sleep passes N", ylabel="latency (ms)")
    sleep.set(xlabel="sleep passes N", ylabel="time (ms)")
    return figure


def load(rows: Sequence[Row]) -> Figure:
    """What sleep costs where there is no idle time: see `load_figure`."""
    return load_(rows, f"{_model_name(rows[0])}. {_sentence(timing(rows))}.")


def throughput(rows: Sequence[Row]) -> Figure:
    """The paper's Figure 6: training tokens per second against N, a line per L, beside one fully parallel pass.

    Args:
        rows: Rows as of `benchmark.measure.throughput.measure`; call inside `benchmark.figures.style.context`.
    """
    first, passes = rows[0], sorted({row["sleep_passes"] for row in rows})
    looks = style.by_order(sorted({row["window"] for row in rows}))
    whole = cost_tables.throughput(first, "parallel")
    by_passes = sorted(rows, key=lambda row: row["sleep_passes"])
    of = {window: [row for row in by_passes if row["window"] == window] for window in looks}
    figure, (ax,) = style.sheet(
        title="What sleep costs in training: speed, by passes N",
        about=", ".join(part for part in (_model_name(first), f"{amount(first['parameters'])} parameters") if part),
        note=f"{_sentence(cost_tables.training(first))}, batch {first['batch']}, {_where(first)}. Bars: quartiles. "
        f"Parallel: all tokens in one window, in one pass; beside L: the share of it that N = {passes[0]} has. The "
        "last window is read once whatever N, so the fall is less than 1/N where it is much of them. Both axes "
        "logarithmic.",
        panels=1,
        size=(3.9, 2.5),
        legend=[
            *(
                look.handle(f"L = {window} ({100 * cost_tables.throughput(of[window][0]) / whole:.0f} %)")
                for window, look in looks.items()
            ),
            style.floor_handle(REFERENCE, "1/N"),
            style.floor_handle(PARALLEL, "parallel"),
        ],
    )
    ax.axhline(whole, **PARALLEL)
    clock, tokens = shown_clock(first), first["step_tokens"] * first["batch"]
    for window, look in looks.items():
        times = of[window]
        counts, speeds = [row["sleep_passes"] for row in times], [cost_tables.throughput(row) for row in times]
        low, high = ([tokens / row[f"step_{clock}_{end}_s"] for row in times] for end in ("q75", "q25"))
        ax.vlines(counts, low, high, color=look.color, linewidth=1.2)
        ax.plot(counts, speeds, color=look.color, linestyle=look.dashes, marker=look.marker, zorder=3)
        ax.plot(passes, [speeds[0] * counts[0] / n for n in passes], **REFERENCE)
    every = [whole, *(cost_tables.throughput(row) for row in rows)]
    ax.set(xscale="log", yscale="log", xlim=(passes[0] / 1.15, passes[-1] * 1.15))
    ax.set_ylim(min(every) / 1.6, max(every) * 1.3)
    _plain_numbers(ax, passes)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    ax.set(xlabel="sleep passes N", ylabel="training tokens per second")
    return figure


def _where(row: Row) -> str:
    return "one CPU thread, time on its core" if shown_clock(row) == "core" else f"{row['device']}, wall clock"


def _curve(ax: Axes, rows: Sequence[Row], what: str, look: style.Look, x: Sequence[float]) -> None:
    """Medians in milliseconds with a bar between the quartiles."""
    median, low, high = ([1000 * row[f"{what}{end}_s"] for row in rows] for end in ("", "_q25", "_q75"))
    ax.vlines(x, low, high, color=look.color, linewidth=1.2)
    ax.plot(x, median, color=look.color, linestyle=look.dashes, marker=look.marker, zorder=3)


def _growth(rows: Sequence[Row], column: str) -> str:
    """How many times as long the largest N takes as the smallest: the range over windows."""
    low, high = (pick(row["sleep_passes"] for row in rows) for pick in (min, max))
    times = {(row["window"], row["sleep_passes"]): row[column] for row in rows}
    ratios = sorted(times[window, high] / times[window, low] for window, n in times if n == low)
    ends = "–".join(dict.fromkeys(f"{ratio:.1f}" for ratio in (ratios[0], ratios[-1])))
    return f"N = {high}: {ends} ×"


def _plain_numbers(ax: Axes, passes: Sequence[int]) -> None:
    """Ticks of two logarithmic axes: every N, and milliseconds written out."""
    ax.xaxis.set_major_locator(FixedLocator(passes))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_locator(FixedLocator([]))
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    ax.yaxis.set_minor_locator(FixedLocator([]))


def _model_name(row: Row) -> str:
    return f"{row['model']} {row['settings']}".strip()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _warning(row: Row) -> str:
    why = row["breaks_latency"]
    return f" Breaks the latency constraint: {why}." if why else ""
