"""The figure of sleep without idle time: answers that one worker gives, and how long each takes, against the load."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from benchmark.figures import style
from benchmark.measure import load
from benchmark.measure.cost_tables import Row

QUESTIONS = (1, 10, 100)
"""Questions per window of the stream, of which a line each is drawn."""


def load_(rows: Sequence[Row], about: str) -> Figure:
    """Left the most answers per second against N, right the mean time to an answer against the tokens of the stream.

    Args:
        rows: Measured rows of one model, as of `benchmark.measure.latency.measure`; call inside `style.context`.
        about: The line under the title.
    """
    windows = sorted({row["window"] for row in rows})
    window = windows[len(windows) // 2]
    of_window = sorted((row for row in rows if row["window"] == window), key=lambda row: row["sleep_passes"])
    passes = [row["sleep_passes"] for row in of_window]
    amounts, looks = style.by_order(QUESTIONS), style.by_passes(passes)
    figure, (most, wait) = style.sheet(
        title="What sleep costs where nothing is idle",
        about=about,
        note=f"One worker reads windows of {window} tokens, sleeps over each, and answers questions of one token, "
        "in the order in which they come. Left: the most that it keeps up with. Right: mean time from a question to "
        "its answer, waiting included (Poisson arrivals, one question per window); a line ends where the worker falls "
        "behind. From measured times.",
        panels=2,
        size=(2.7, 2.1),
        legend=[
            *(look.handle(f"{count} question{'s' * (count > 1)} per window") for count, look in amounts.items()),
            *(look.handle(f"N = {n}", line=True) for n, look in looks.items()),
        ],
        share=False,
    )
    for count, look in amounts.items():
        answers = [load.answers_per_s(row, count) for row in of_window]
        most.plot(passes, answers, color=look.color, marker=look.marker, linestyle=look.dashes)
    most.set(xlabel="sleep passes N", ylabel="answers per second", ylim=(0, None))
    most.set_xticks(passes)
    most.set_title("at full load", loc="left", weight="bold")
    fastest = 1 / load.utilisation(of_window[0], 1.0, 1.0)
    for row, look in zip(of_window, looks.values(), strict=True):
        end = 1 / load.utilisation(row, 1.0, 1.0)
        rates = np.linspace(0, 0.98 * end, 100)
        wait.plot(
            rates, [1000 * load.answer_s(row, rate, 1.0) for rate in rates], color=look.color, linestyle=look.dashes
        )
    slowest = 1000 * sum(load.times(of_window[-1]))
    wait.set(xlabel="tokens of the stream per second", ylabel="time to an answer (ms)")
    wait.set(xlim=(0, fastest), ylim=(0, 4 * slowest))
    wait.set_title("by load", loc="left", weight="bold")
    return figure
