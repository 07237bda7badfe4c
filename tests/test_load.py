"""Sleep without idle time: closed forms against a simulation of the queue."""

import math
from typing import Any

import numpy as np
import pytest

from benchmark.figures import load_figure, style
from benchmark.measure import load


def row(sleep_s: float, wake_s: float, n: int = 1, window: int = 24) -> dict[str, Any]:
    times = {"sleep_core_s": sleep_s, "wake_core_s": wake_s, "sleep_wall_s": sleep_s, "wake_wall_s": wake_s}
    return times | {"device": "cpu", "window": window, "sleep_passes": n}


def simulated(sleep_s: float, wake_s: float, windows_per_s: float, questions: float, seed: int) -> tuple[float, float]:
    """Mean seconds to an answer and share of time busy, of events one after the other."""
    random, count = np.random.default_rng(seed), 200_000
    asked = random.random(count) < questions / (1 + questions)
    at = np.cumsum(random.exponential(1 / (windows_per_s * (1 + questions)), count))
    free, waits, work = 0.0, list[float](), 0.0
    for moment, question in zip(at, asked, strict=True):
        took = wake_s if question else sleep_s
        free = max(free, moment) + took
        work += took
        if question:
            waits.append(free - moment)
    return float(np.mean(waits)), work / at[-1]


@pytest.mark.parametrize(("sleep_s", "questions", "share"), [(0.010, 1.0, 0.3), (0.040, 0.2, 0.6), (0.002, 5.0, 0.8)])
def test_waiting_is_that_of_a_simulated_queue(sleep_s: float, questions: float, share: float) -> None:
    measured, wake_s = row(sleep_s, 0.003), 0.003
    windows_per_s = share / (sleep_s + questions * wake_s)
    rate = windows_per_s * measured["window"]
    assert load.utilisation(measured, rate, questions) == pytest.approx(share)
    wait, busy = simulated(sleep_s, wake_s, windows_per_s, questions, seed=1)
    assert load.answer_s(measured, rate, questions) == pytest.approx(wait, rel=0.05)
    assert busy == pytest.approx(share, rel=0.02)


def test_an_idle_worker_answers_at_once_and_one_that_falls_behind_never() -> None:
    measured = row(0.010, 0.003)
    assert load.answer_s(measured, 0.0, 1.0) == 0.003
    most = load.answers_per_s(measured, 1.0)
    assert most == pytest.approx(1 / 0.013)
    assert load.answer_s(measured, most * 24, 1.0) == math.inf
    assert load.answer_s(measured, 0.99 * most * 24, 1.0) > 0.1


def test_the_figure_draws_both() -> None:
    rows = [row(0.006 * n * window / 24, 0.0037, n, window) for n in (1, 2, 4) for window in (24, 75, 512)]
    with style.context():
        most, wait = load_figure.load_(rows, "a model").axes
    curves = [list(line.get_ydata()) for line in most.lines]
    for count, curve in zip(load_figure.QUESTIONS, curves, strict=True):
        assert curve == pytest.approx([load.answers_per_s(r, count) for r in rows if r["window"] == 75])
    assert [line.get_ydata()[0] for line in wait.lines] == pytest.approx([3.7] * 3)
    ends = [line.get_xdata()[-1] for line in wait.lines]
    assert ends == sorted(ends, reverse=True), "of more passes the worker falls behind earlier"
