"""Sleep under a continuous load: what N passes cost where there is no idle time to sleep in.

One worker reads a stream of windows, sleeps over each, and answers questions, one after the other; whatever comes while
it is busy waits. Times of a sleep and of an answer are measured (`bench cost`). Means of waiting are those of a queue
with Poisson arrivals and fixed times of service (Pollaczek and Khinchine): they hold for any number of workers that
share the stream evenly at random.
"""

import math

from benchmark.measure.cost_tables import Row, shown_clock


def times(row: Row) -> tuple[float, float]:
    """Seconds that a sleep over one window takes, and an answer of one token: medians of a measured row."""
    clock = shown_clock(row)
    return float(row[f"sleep_{clock}_s"]), float(row[f"wake_{clock}_s"])


def answers_per_s(row: Row, questions: float) -> float:
    """Most answers per second that one worker keeps up with, at so many questions per window of the stream."""
    sleep_s, wake_s = times(row)
    return questions / (sleep_s + questions * wake_s)


def utilisation(row: Row, tokens_per_s: float, questions: float) -> float:
    """The share of its time that the worker is busy, at so many tokens of the stream per second; at 1 it falls behind.

    Args:
        row: Measured.
        tokens_per_s: Tokens of the stream.
        questions: Questions per window of it.
    """
    sleep_s, wake_s = times(row)
    return tokens_per_s / float(row["window"]) * (sleep_s + questions * wake_s)


def answer_s(row: Row, tokens_per_s: float, questions: float) -> float:
    """Mean seconds from a question to its answer, waiting included; infinite where the worker falls behind.

    Args:
        row: Measured.
        tokens_per_s: Tokens of the stream.
        questions: Questions per window of it.
    """
    sleep_s, wake_s = times(row)
    if (share := utilisation(row, tokens_per_s, questions)) >= 1:
        return math.inf
    windows_per_s = tokens_per_s / float(row["window"])
    unfinished_s = windows_per_s * (sleep_s**2 + questions * wake_s**2) / 2  # of what is served when a question comes
    return unfinished_s / (1 - share) + wake_s
