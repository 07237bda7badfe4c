"""Training throughput by window and N: what a step is, how it is timed, and what the figure shows."""

import re
from typing import Any

import pytest
import torch
from test_latency import HYBRID, ROWS

from benchmark.figures import cost_figure, style
from benchmark.forward import predict
from benchmark.measure import cost_tables, latency, throughput


def test_every_window_but_the_last_is_slept_over() -> None:
    assert throughput.windows_of(10, 4) == ((0, 4, False), (4, 8, False), (8, 10, True))
    assert throughput.windows_of(8, 4) == ((0, 4, False), (4, 8, True))
    assert throughput.tokens_for([4, 6]) == 12


def test_steps_take_turns_and_every_row_gets_its_own_and_the_parallel_time(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[tuple[Any, ...], int]] = []

    def noted(model: Any, batch: Any, passes: int) -> torch.Tensor:
        done.append((batch.windows, passes))
        assert torch.get_num_threads() == 1 and batch.inputs.shape == (2, 12)
        return predict(model, batch, passes)

    monkeypatch.setattr(throughput, "predict", noted)
    before = latency.measure(HYBRID, windows=[4, 6], passes=[1, 2], repeats=1, batch=2)
    counted: list[int] = []
    rows = throughput.measure(HYBRID, before, tokens=12, repeats=2, advance=counted.append)
    assert sum(counted) == throughput.steps([4, 6], [1, 2], 2) == len(done) == 15
    whole = ((0, 12, True),)
    wanted = {(throughput.windows_of(12, window), n) for window in (4, 6) for n in (1, 2)} | {(whole, 1)}
    for turn in range(3):
        assert {*done[5 * turn : 5 * turn + 5]} == wanted
    for old, row in zip(before, rows, strict=True):
        assert {name: row[name] for name in old} == old
        assert (row["step_tokens"], row["step_repeats"]) == (12, 2)
        for what in ("step", "parallel"):
            for clock in latency.CLOCKS:
                low, middle, high = (row[f"{what}_{clock}{end}_s"] for end in ("_q25", "", "_q75"))
                assert 0 < low <= middle <= high
        assert row["parallel_wall_s"] == rows[0]["parallel_wall_s"]


def test_a_step_has_gradients_of_everything_that_sleeps() -> None:
    model = throughput._model(HYBRID, 4, 12, torch.device("cpu"))
    batch = throughput._batch(throughput.windows_of(12, 4), 2, torch.device("cpu"))
    assert batch.targets.shape == (2, 4)
    throughput._step(model, batch, 2)
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"tokens": 8},
            "--step-tokens must be a whole number >= 9 (the largest window, 8 tokens, must sleep once); given 8",
        ),
        ({"repeats": -1}, "--step-repeats must be a whole number >= 0; given -1"),
    ],
)
def test_impossible_steps_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        throughput.measure(HYBRID, ROWS, **({"tokens": 16} | wrong))


def test_no_rounds_leave_the_rows_as_they_are() -> None:
    assert throughput.measure(HYBRID, ROWS, tokens=16, repeats=0) == ROWS


def timed(rows: list[latency.Row]) -> list[latency.Row]:
    """Rows with invented steps of 100 tokens: N / 10 s at L = 4, N / 20 s at L = 8; the parallel pass takes 0.04 s."""
    found = []
    for row in rows:
        times = {"step": [row["sleep_passes"] * 0.4 / row["window"]] * 3, "parallel": [0.04] * 3}
        told = {"step_tokens": 100, "step_repeats": 3}
        for what, clock in ((what, clock) for what in times for clock in latency.CLOCKS):
            told |= latency.quartiles(f"{what}_{clock}", times[what])
        found.append(row | told)
    return found


def test_the_figure_shows_throughput_its_guides_and_the_share_of_the_parallel_pass() -> None:
    rows = timed(ROWS)
    with style.context():
        figure = cost_figure.throughput(rows)
    (ax,) = figure.axes
    parallel, *lines = (list(line.get_ydata()) for line in ax.lines)
    assert parallel == [2500, 2500]
    for measured, guide, one in zip(lines[::2], lines[1::2], (1000, 2000), strict=True):
        assert measured == pytest.approx([one, one / 2, one / 6]) == guide
    legend = [text.get_text() for box in figure.legends for text in box.get_texts()]
    assert [label.partition("(")[2] for label in legend[:2]] == ["40 %)", "80 %)"], legend
    assert "Forward and backward of 100 tokens" in " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    table = cost_tables.table(rows)
    assert table.heads[-1] == "train, tokens/s" and [line[-1] for line in table.lines[:3]] == ["1,000", "500", "167"]
    assert "One parallel pass: 2,500 tokens/s" in " ".join(cost_tables.reading(rows))
    assert "tokens/s" not in " ".join(cost_tables.reading(ROWS))
