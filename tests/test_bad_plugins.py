"""Plug-ins and numbers that nobody should train: refused at once and by name, or a row; never a traceback."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, make_dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from harness import bench, small
from torch import Tensor

import baselines
import tasks
from baselines.addresses import FOLDER
from baselines.base import Model, State
from baselines.hybrid import Hybrid
from benchmark import rows
from benchmark.cells.cell import RESERVED_NAMES, Cell
from benchmark.judge import curves
from benchmark.rows.text import MESSAGE_LIMIT, clean, error_line
from benchmark.run import sweep
from benchmark.run.executors import Event
from benchmark.run.executors.serial import Serial
from benchmark.run.folder import SweepFolder


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Write a module of the user's; its name."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setattr(sys, "path", sys.path[:])
    name = f"bad_{tmp_path.name}"

    def put(source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        return name

    yield put
    sys.modules.pop(name, None)


@pytest.mark.parametrize("kind", ["task", "model"])
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("import nowhere", "No module named 'nowhere'"),
    ],
)
def test_a_module_that_raises_or_ends_is_refused(
    write: Callable[[str], str], tmp_path: Path, kind: str, source: str, words: str
) -> None:
    name = write(source)
    done = bench("run", "quick", "--scale", "tiny", f"--{kind}", f"{name}:Own", "--out", tmp_path / "out")
    assert (done.code, done.out) == (2, "")
    assert words in done.err and f"{kind} '{name}:Own'" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("package", "group", "value", "name"),
    [
        (tasks, tasks.ENTRY_POINTS, "tasks.recall:Recall", "recall"),
        (baselines, baselines.ENTRY_POINTS, "baselines.presets:Transformer", "transformer"),
    ],
)
def test_a_plug_in_under_the_name_of_another_is_refused(
    monkeypatch: pytest.MonkeyPatch, package: Any, group: str, value: str, name: str
) -> None:
    """Its rows would pass for those of the other."""
    module, _, attribute = value.partition(":")
    kind = getattr(sys.modules.get(module) or __import__(module, fromlist=[attribute]), attribute)
    monkeypatch.setattr(sys.modules[__name__], "Doubled", type("Doubled", (kind,), {}), raising=False)
    entry = EntryPoint(name="mine", value=f"{__name__}:Doubled", group=group)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [entry])
    with pytest.raises(ValueError, match=rf"'mine': {__name__}:Doubled calls itself '{name}'; its name must be 'mine'"):
        package.load("mine")


@pytest.mark.parametrize("name", RESERVED_NAMES)
def test_a_setting_named_as_a_column_of_tables_is_refused(name: str) -> None:
    own = make_dataclass("Own", [(name, int, 1)], bases=(Hybrid,), frozen=True, kw_only=True)
    with pytest.raises(ValueError, match=rf"none of them a column of rows or tables; rename {name}$"):
        replace(small(), model=own())


# What a model gives back, and what it says


@dataclass(frozen=True, kw_only=True)
class Shapes(Hybrid):
    """A hybrid whose logits are of other shapes than they should be."""

    name: ClassVar[str] = "shapes"
    how: str = "one"

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """The hybrid; what it returns would still be scored."""
        model = super().build(vocab_size=vocab_size + (self.how == "more"), window=window, seq_len=seq_len)
        wake = model.wake

        def changed(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            logits, state = wake(tokens, state)
            return {"one": logits[:, :1], "turned": logits.transpose(0, 1), "more": logits}[self.how], state

        model.wake = changed  # type: ignore[method-assign]
        return model


def run(cell: Cell, out: Path, on_event: Callable[[Event], None] = lambda _: None) -> tuple[str, str | None]:
    folder = SweepFolder(out)
    with folder.session([cell]):
        return sweep.run([cell], folder, Serial(), on_event=on_event)[cell.id]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("one", r"must return logits \[B, P, V\] of tokens \[1, 2\]; returned \[1, 1, 3\]"),
        ("turned", r"of tokens \[1, 2\]; returned \[2, 1, 3\]"),
        ("more", r"must give \d logits, not \d"),
    ],
)
def test_logits_of_another_shape_are_no_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str, words: str
) -> None:
    cell = replace(small(strings=2), model=Shapes(layout="gdn", d_model=8, heads=2, mlp_ratio=1, how=how))
    status, reason = run(cell, tmp_path)
    assert status == "crashed"
    assert reason is not None and re.search(words, reason), reason


class EndlessError(Exception):
    """Cannot be said."""

    def __str__(self) -> str:
        raise RuntimeError("never")


def test_what_others_say_is_cut_and_harmless() -> None:
    begun = time.thread_time()
    long = error_line(ValueError("x" * 20_000_000))
    assert time.thread_time() - begun < 0.5
    assert len(long) < MESSAGE_LIMIT + 10 and long.startswith("ValueError: xxx") and long.endswith(" [...]")
    assert clean("\x1b[31mred\x1b[0m \x1b]0;title\x07and\x9b2J\x00 so\ton\nline\r \ud800") == "red and  so on\nline  ?"
    assert error_line(EndlessError()) == "EndlessError: (its text cannot be had: RuntimeError)"


def test_a_row_holds_what_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.run.trainer import Trainer

    def fail(*_: Any) -> None:
        raise RuntimeError("\x1b[2Jgone " + "y" * 5_000_000)

    monkeypatch.setattr(Trainer, "train_step", fail)
    status, reason = run(small(), tmp_path)
    assert status == "crashed" and reason is not None
    assert reason.startswith("RuntimeError: gone yyy") and len(reason) < MESSAGE_LIMIT + 10
    assert (tmp_path / "rows.parquet").stat().st_size < 100_000


# Folders and references


def test_a_folder_that_is_renamed_meanwhile_is_not_made_anew(tmp_path: Path) -> None:
    out, moved = tmp_path / "out", tmp_path / "moved"

    def on_event(event: Event) -> None:
        if event.kind == "counted":
            out.rename(moved)

    with pytest.raises(OSError):
        run(small(), out, on_event)
    assert not out.exists(), "no stray cell under the old name"
    assert (moved / "cells").exists()


def test_a_reference_of_crashed_cells_checks_nothing() -> None:
    def cell(seed: int, status: str) -> list[rows.Row]:
        facts = {
            "schema_version": 5, "suite": "s", "scale": "t", "status": "ok", "cell_id": f"c{seed}{status}",
            "task": "rule110", "task_version": 2, "model": "hybrid", "model_version": 1, "seed": seed,
            "axis": "rollout_steps", "rollout_steps": 1, "difficulty": 1, "sleep_passes": 1, "tested_passes": 1,
            "tokens": 200, "chance": 0.1, "n_examples": 64, "loss": 0.5, "exact_match": 0.5, "lift": 0.4,
        }  # fmt: skip
        tests = [facts | {"step": i, "tokens_seen": 100 * i} for i in (1, 2)]
        if status == "ok":
            return tests
        scores = ("loss", "exact_match", "lift", "chance", "tokens_seen", "difficulty")
        return [tests[0], facts | dict.fromkeys(scores) | {"step": 2, "status": status, "reason": "why"}]

    whole = rows.table([row for seed in (0, 1, 2) for row in cell(seed, "ok")])
    crashed = rows.table([row for seed in (3, 4, 5) for row in cell(seed, "crashed")])
    for here, there, side in ((whole, crashed, "the reference"), (crashed, crashed, "these rows")):
        (found,) = curves.compare(here, there)
        if here is not there:
            assert found.verdict == "incomparable" and f"no finished cell in {side}" in found.reading


# Numbers


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "quick", "--sleep-passes", "1000000"),
        ("run", "quick", "--rollout-steps", "2147483648"),
        ("run", "quick", "--set", "tokens=1e17"),
        ("run", "quick", "--set", "evaluations=1e12"),
        ("run", "quick", "--set", "test_passes=1,9999999"),
        ("run", "quick", "--set", "state_size=1e9"),
        *(
            ("run", "quick", "--task", task, "--set", f"{name}={value}")
            for task, name in (
                *(
                    ("recall", "keys"),
                    ("recall", "values"),
                    ("recall", "window_tokens"),
                    ("retention", "windows_after"),
                ),
                *(("rule110", "window_tokens"), ("depo", "max_hops"), ("depo", "window_tokens")),
            )
            for value in (2 * 10**6, 2**63 - 1)
        ),
        ("show", "quick", "--sleep-passes", "1000000"),
        ("cost", "hybrid", "--windows", str(2**63)),
        ("cost", "hybrid", "--sleep-passes", "1000000"),
        ("audit", "hybrid", "--window", str(2**63)),
        ("audit", "hybrid", "--sleep-passes", "1000000"),
    ],
)
def test_absurd_numbers_are_refused_at_once(arguments: tuple[str, ...], tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "out")) if arguments[0] == "run" else ()
    begun = time.thread_time()
    done = bench(*arguments, *out)
    assert (done.code, done.out) == (2, ""), done.err
    assert done.err.startswith("bench: ") and "Traceback" not in done.err
    assert time.thread_time() - begun < 3
    assert not (tmp_path / "out").exists()


def test_a_model_beyond_memory_is_a_message_where_it_is_counted() -> None:
    done = bench("show", "quick", "--scale", "tiny", "--set", "d_model=2000000")
    assert done.code == 2
    assert done.err.startswith("bench: not enough memory: ") and torch.get_num_threads()
