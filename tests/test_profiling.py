"""Where a training step goes: whose time is whose, that marks change no step, and the table and figure of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from benchmark.cells.cell import Cell
from benchmark.cells.suites import suite
from benchmark.cli import app
from benchmark.figures import profile_figure, style
from benchmark.measure import profile_tables, profiling
from benchmark.measure.profile_tables import ATTENTION_BLOCK, FAST_WEIGHT_BLOCK, HEAD, MLP, OPTIMIZER, OTHER, PARTS
from benchmark.measure.profiling import products, stopwatch
from benchmark.measure.profiling.stopwatch import Stopwatch
from benchmark.run.trainer import Trainer

WIDE = {"d_model": 32, "heads": 2}  # as wide as blocks in C ask for


def tiny(**settings: object) -> Cell:
    return suite("passes", "tiny").bases[0].with_settings({"tokens": 20_000, "sleep_passes": 2, "batch": 8, **settings})


class Clock:
    """A clock that only the tests move."""

    now = 0.0

    def thread_time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stopwatch, "time", clock)
    return clock


class Slow(torch.autograd.Function):
    """A layer that takes so many seconds forward, ten times as many backward."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, clock: Clock, seconds: float) -> torch.Tensor:
        ctx.clock, ctx.seconds = clock, seconds
        clock.now += seconds
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        ctx.clock.now += 10 * ctx.seconds
        return gradients[0], None, None


def test_time_of_both_directions_goes_to_the_part_that_takes_it(clock: Clock) -> None:
    watch = Stopwatch()

    def layer(seconds: float) -> Any:
        return lambda x: Slow.apply(x, clock, seconds)

    mlp, head, between = watch.time_call(layer(1), MLP), watch.time_call(layer(2), HEAD), layer(4)
    x = torch.ones(3, requires_grad=True)
    watch.start()
    head(between(mlp(x) + x)).sum().backward()
    watch.time_call(lambda: setattr(clock, "now", clock.now + 100), OPTIMIZER)()
    assert watch.stop() == dict.fromkeys(PARTS, 0.0) | {MLP: 11, HEAD: 22, OTHER: 44, OPTIMIZER: 100}


def test_what_has_no_gradient_gets_none_and_a_stopped_watch_marks_nothing() -> None:
    watch = Stopwatch()
    pair = watch.time_call(lambda x, state: (x * 2, state), MLP)
    x, state = torch.ones(2, requires_grad=True), torch.zeros(2)
    watch.start()
    assert [tensor.requires_grad for tensor in pair(x, state)] == [True, False]
    watch.stop()
    assert "Mark" not in type(pair(x, state)[0].grad_fn).__name__


@pytest.mark.parametrize("backend", ["torch", "native"])
def test_a_step_with_marks_is_one_without(tmp_path: Path, backend: str) -> None:
    plain, marked = (Trainer(tiny(**WIDE), tmp_path, backend=backend) for _ in range(2))
    watch = Stopwatch()
    stopwatch.attach(watch, marked.model)
    for batch in list(plain.batches(0))[:3]:
        plain.train_step(batch)
        watch.start()
        marked.train_step(batch)
        parts = watch.stop()
    wanted = {ATTENTION_BLOCK, FAST_WEIGHT_BLOCK} if backend == "native" else {"attention", "fast weights", MLP, "norm"}
    assert {part for part, spent in parts.items() if spent} == wanted | {HEAD, OTHER}
    for one, other in zip(plain.model.parameters(), marked.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=5e-3)  # gradients may be added up in another order


def test_products_are_those_of_forward_and_backward(tmp_path: Path) -> None:
    cell = tiny(layout="attn", sleep_passes=1)
    counted = products.shapes(Trainer(cell, tmp_path))
    width, task = cell.model.d_model, cell.task  # type: ignore[attr-defined]
    rows = 8 * task.answers  # a window that only attention read is dropped: the answers' tokens alone
    assert counted[1, rows, width, 3 * width] == 1  # queries, keys and values, forward
    assert counted[1, 3 * width, rows, width] == 1  # their weights' gradient
    assert counted[1, rows, width, task.vocab_size] == 1
    assert products.seconds(counted) > 0


def found(cell: Cell, backend: str) -> dict[str, Any]:
    return {"cell_id": cell.id, "cell": "N 2"} | profiling.profile(cell, backend=backend, steps=2)


@pytest.fixture(scope="module")
def rows() -> Sequence[dict[str, Any]]:
    return [found(tiny(**WIDE), backend) for backend in ("torch", "native")]


def test_parts_add_up_to_the_step(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        assert sum(row["seconds"].values()) == pytest.approx(row["total_s"], rel=1e-9)
        assert row["total_s"] == pytest.approx(row["step_s"] + row["seconds"]["data"])
        assert row["step_q25_s"] <= row["step_s"] <= row["step_q75_s"] and row["products_s"] > 0
        assert row["tokens_per_s"] == pytest.approx(8 * tiny().task.seq_len / row["total_s"])
    lines = profile_tables.tidy(rows).splitlines()
    shares = [float(line.rsplit(",", 1)[1]) for line in lines[1:] if ",torch," in line and "alone" not in line]
    assert sum(shares) == pytest.approx(2)  # the parts', and the whole step's
    (table,) = profile_tables.tables(rows)
    assert [line[0] for line in table.lines][-3:] == ["whole step", "matrix products alone", "tokens/s"]
    assert list(table.heads) == ["part", "torch, ms", "%", "native, ms", "%"]


def test_bars_are_as_long_as_the_step(rows: Sequence[dict[str, Any]]) -> None:
    with style.context():
        (ax,) = profile_figure.step_parts(rows, "passes, scale tiny").axes
    for place, row in enumerate(rows):
        bars = [bar for bar in ax.patches if bar.get_y() < place < bar.get_y() + bar.get_height()]  # type: ignore[attr-defined]
        assert sum(bar.get_width() for bar in bars) == pytest.approx(1e3 * row["total_s"])  # type: ignore[attr-defined]
    assert {part for row in rows for part in row["seconds"]} <= {*profile_figure.COLORS}


def test_the_command_writes_numbers_and_a_figure(tmp_path: Path) -> None:
    narrow = ["--scale", "tiny", "--sleep-passes", "1", "--rollout-steps", "0", "--steps", "1", "--set", "batch=8"]
    done = CliRunner().invoke(app, ["profile", "passes", *narrow, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "not with native: widths (16, 8, 16) of block, head and MLP" in done.output and "whole step" in done.output
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"profile.csv", "environment.json", "step_parts.png", "step_parts.svg"}
    wrong = CliRunner().invoke(app, ["profile", "passes", "--scale", "tiny", "--backend", "natve"])
    assert isinstance(wrong.exception, ValueError) and "did you mean 'native'" in str(wrong.exception)
