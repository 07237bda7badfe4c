"""The `bench` command: a sweep from end to end, what it prints, and what bad input gets."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from harness import Done, bench, real_bench, start
from rich.console import Console

from benchmark import environment, rows
from benchmark.cells.cell import Cell
from benchmark.cells.suites import SUITES, suite
from benchmark.run.board import Board
from benchmark.run.executors import Event
from benchmark.run.folder import SweepFolder
from benchmark.run.trainer import Trainer
from tasks.rule110 import Rule110

SETTINGS = {"d_model": 8, "batch": 8, "tokens": 2000, "test_examples": 32}  # 28 steps
SET = [a for name, value in SETTINGS.items() for a in ("--set", f"{name}={value}")]
TINY = ["--scale", "tiny", *SET]


def cells(**axes: list[int]) -> tuple[Cell, ...]:
    return suite("quick", "tiny").with_settings(SETTINGS).narrow(**axes).cells()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """The default suite, run by the command itself: the folder it wrote, and what it said."""
    home = tmp_path_factory.mktemp("home")
    done = real_bench("run", *TINY, "--jobs", "2", cwd=home)
    return home / "results" / "runs" / "quick-tiny", done


# From end to end


def test_a_run_ends_with_the_table_and_where_things_are(quick: tuple[Path, Done]) -> None:
    folder, done = quick
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert sum(line.split()[:1] == ["done"] for line in lines) == 4
    head = next(line for line in lines if "chance" in line and "N = 1" in line)
    assert "rollout steps" in head
    assert "N = 2" in head
    for depth in (0, 2):
        (line,) = [line for line in lines if line.startswith("│") and line.split()[1] == str(depth)]
        numbers = [float(part) for part in line.replace("│", " ").split()[1:]]
        assert numbers[0] == pytest.approx(Rule110(cells=8, strings=1).chance(depth), abs=5e-4)
        final = rows.read_table(folder).filter((pl.col("rollout_steps") == depth) & (pl.col("step") == 28))
        scores = final.filter(pl.col("answer").is_null()).sort("sleep_passes")["exact_match"]
        assert numbers[1:] == [pytest.approx(score, abs=5e-4) for score in scores]
    assert any(line.startswith("rows:") and "quick-tiny/rows.parquet" in line for line in lines)
    assert any(line.startswith("figures:") and "quick-tiny/figures" in line for line in lines)


def test_a_run_writes_rows_figures_and_where_they_come_from(quick: tuple[Path, Done]) -> None:
    folder, _ = quick
    frame = rows.read_table(folder)
    planned = cells()
    assert set(frame["cell_id"]) == {cell.id for cell in planned}
    assert frame.height == 4 * len(planned[0].evaluation_steps) * 2  # each point: all answers, and the one there is
    assert {tuple(sorted(set(frame[c]))) for c in ("suite", "scale", "status", "device", "split")} == {
        ("quick",),
        ("tiny",),
        ("ok",),
        ("cpu",),
        ("test",),
    }
    for row in frame.iter_rows(named=True):
        assert row["lift"] == pytest.approx((row["exact_match"] - row["chance"]) / (1 - row["chance"]))
        assert row["tokens_seen"] == row["step"] * 8 * 9
        assert row["difficulty"] == row["rollout_steps"]
        assert row["tested_passes"] == row["sleep_passes"]
        assert row["n_examples"] == 32
        assert row["wall_s"] > 0
        assert row["torch"] == torch.__version__
    flops = {n: frame.filter(pl.col("sleep_passes") == n)["train_flops"].max() for n in (1, 2)}
    assert 1.5 < flops[2] / flops[1] < 2.5  # type: ignore[operator]
    described = json.loads((folder / "environment.json").read_text())
    assert described["command"].startswith("bench run --scale tiny --set d_model=8")
    assert described["packages"]["torch"] == torch.__version__
    drawn = {path.suffix for path in (folder / "figures").iterdir() if path.stat().st_size > 1000}
    assert drawn == {".png", ".svg"}


@pytest.mark.usefixtures("undrawn")
def test_what_is_finished_is_not_run_again(quick: tuple[Path, Done]) -> None:
    folder, _ = quick

    def state() -> dict[Path, tuple[int, bytes]]:
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("cells/*/*.*l")}

    before, table = state(), rows.read_table(folder)
    done = bench("run", *TINY, "--jobs", "1", "--out", folder)
    assert (done.code, done.err) == (0, "")
    assert "N = 2" in done.out
    assert len(before) == 2 * 4  # rows and outcomes of each cell
    assert state() == before
    assert rows.read_table(folder).equals(table)


def test_status(quick: tuple[Path, Done]) -> None:
    folder, _ = quick
    done = bench("status", folder, "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)["cells"]
    assert {cell["cell_id"] for cell in found} == {cell.id for cell in cells()}
    for cell in found:
        assert (cell["state"], cell["step"], cell["steps"], cell["reason"]) == ("ok", 28, 28, None)
        (score,) = cell["scores"]
        assert 0 <= score["exact_match"] <= 1
        assert score.keys() == {"difficulty", "exact_match", "chance"}
    shown = bench("status", folder)
    assert shown.code == 0
    assert all(cell["cell_id"] in shown.out and "28/28" in shown.out for cell in found)


def test_show() -> None:
    done = bench("show", "quick", *TINY, "--sleep-passes", "1,3", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    planned = cells(sleep_passes=[1, 3])
    assert [cell["cell_id"] for cell in found["cells"]] == [cell.id for cell in planned]
    for cell, said in zip(planned, found["cells"], strict=True):
        assert said["steps"] == cell.steps
        assert said["tokens"] == cell.steps * 8 * 9
        assert said["sleep_passes"] == cell.training.sleep_passes
        assert 0 < said["estimated_s"] < 60
        assert said["train_flops"] > 0
    assert found["estimated_s"] == pytest.approx(sum(cell["estimated_s"] for cell in found["cells"]))
    shown = bench("show", "quick", *TINY)
    assert shown.code == 0
    assert "4 cells, 8.06k tokens" in shown.out
    assert planned[0].id in shown.out


def test_show_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = bench("show", "quick", *TINY, "--sleep-passes", "1", "--device", "cuda", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["basis"].endswith("estimated from counts, not measured")
    for cell in found["cells"]:
        assert 0 < cell["recomputed_peak_bytes"] <= cell["peak_bytes"] and cell["step_kernels"] > 100
        assert cell["recompute"] is False and cell["micro_batches"] == 1


def test_list() -> None:
    done = bench("list", "--json")
    found = json.loads(done.out)
    assert list(found["suites"]) == list(SUITES)
    assert {"rule110", "recall"} <= set(found["tasks"])
    assert "hybrid" in found["models"]
    shown = bench("list")
    assert shown.code == done.code == 0
    assert all(name in shown.out for name in (*SUITES, "tiny", "rule110", "hybrid"))


def test_figures(quick: tuple[Path, Done], tmp_path: Path) -> None:
    done = bench("figures", quick[0] / "rows.parquet", "--out", tmp_path)
    assert (done.code, done.err) == (0, "")
    written = [Path(line) for line in done.out.split()]
    assert sorted(written) == sorted(tmp_path.iterdir())
    assert {path.name for path in written} == {path.name for path in (quick[0] / "figures").iterdir()}


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "from benchmark.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(environment.ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("run", "list", "show", "status", "figures", "data", "hardness"))
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"torch", "polars", "matplotlib", "numpy"}


def test_while_it_runs_the_board_shows_pace_score_and_chance() -> None:
    planned = cells(rollout_steps=[2])
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=110)
    with Board("quick, scale tiny", planned, console=console) as board:
        board.on_event(Event(cell=planned[0], kind="start", contents={}))
        row = {"status": "ok", "answer": None, "difficulty": 2, "step": 14, "exact_match": 0.8125, "chance": 0.625}
        said = {"step": 14, "tokens_per_s": 12_300.0, "new_rows": [row]}
        board.on_event(Event(cell=planned[0], kind="progress", contents=said))
        with console.capture() as captured:
            console.print(board.render())
    shown = captured.get()
    assert "0 of 2 cells, about" in shown
    for part in ("chance", "N = 1", "N = 2", "50%", "12.3k tokens/s", "0.812"):
        assert part in shown
    board.on_event(Event(cell=planned[0], kind="end", contents={"status": "diverged", "reason": "why"}))
    with console.capture() as captured:
        console.print(board.render())
    assert "1 of 2 cells" in captured.get()
    assert "1 diverged" in captured.get()


@pytest.mark.parametrize(
    ("suite_name", "axis", "levels"), [("hops", "hops", (1, 2)), ("operations", "operations", (1, 2, 3, 4))]
)
@pytest.mark.usefixtures("workers_here")
def test_a_cell_of_several_difficulties_is_shown_at_each(
    tmp_path: Path, suite_name: str, axis: str, levels: tuple[int, ...]
) -> None:
    settings = ["--set", "tokens=2000", "--set", "test_examples=64", "--jobs", "1"]
    done = bench("run", suite_name, "--scale", "tiny", "--out", tmp_path, *settings)
    assert (done.code, done.err) == (0, "")
    assert all(f"at {level}" in done.out for level in levels)
    assert re.search(rf"{axis} .* chance .* N = 1 .* N = 2", done.out)
    assert "accuracy_by_level" in done.out and "loss_by_passes" in done.out
    found = json.loads(bench("status", tmp_path, "--json").out)["cells"]
    assert [[score["difficulty"] for score in cell["scores"]] for cell in found] == [list(levels)] * 2
    assert re.search(", ".join([r"0\.\d{3}"] * len(levels)), bench("status", tmp_path).out)
    printed = bench("table", tmp_path).out
    assert printed.startswith(f"| {axis} | N |")
    assert len(printed.splitlines()) == 2 + 2 * len(levels)


# Cells that fail


@pytest.mark.usefixtures("workers_here", "undrawn")
def test_a_diverging_cell_is_a_row_and_not_run_again(tmp_path: Path) -> None:
    command = ["run", *TINY, "--set", "muon_lr=1e9", "--set", "adam_lr=1e9", "--rollout-steps", "0"]
    command += ["--sleep-passes", "2", "--out", str(tmp_path)]
    first = bench(*command)
    assert (first.code, first.err) == (1, "")
    (failed,) = rows.read_table(tmp_path).filter(pl.col("status") != "ok").to_dicts()
    assert failed["status"] == "diverged"
    assert failed["reason"].startswith("the training loss became nan by step ")
    assert f"diverged: rollout_steps 0, N 2, seed 0: {failed['reason']}" in first.out
    assert "1 diverged" in first.out, "in the table, too"
    (path,) = tmp_path.glob("cells/*/rows.jsonl")
    before = path.stat().st_mtime_ns
    second = bench(*command)
    assert second.code == 1
    assert "diverged: rollout_steps 0, N 2" in second.out
    assert path.stat().st_mtime_ns == before
    (cell,) = json.loads(bench("status", tmp_path, "--json").out)["cells"]
    assert (cell["state"], cell["reason"]) == ("diverged", failed["reason"])


# Damaged files


@pytest.mark.usefixtures("workers_here")
def test_damage_is_set_aside_named_and_trained_again(
    quick: tuple[Path, Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And, since the other run had two jobs, rows do not depend on their number."""
    planned = cells(rollout_steps=[0])
    context = {"suite": "quick", "scale": "tiny", "commit": environment.commit()}
    folder = SweepFolder(tmp_path)
    with folder.session(planned, context):
        for cell in planned:
            trainer = Trainer(cell, folder.of(cell).path, context=context)
            trainer.run(stop=lambda trainer=trainer: trainer.step >= 16)  # type: ignore[misc]
        folder.gather()
    checkpoint_path, rows_path = folder.of(planned[0]).checkpoint, folder.of(planned[1]).rows_file
    table_path = tmp_path / "rows.parquet"
    damage = {
        checkpoint_path: checkpoint_path.read_bytes()[:-100],
        rows_path: rows_path.read_bytes().replace(b'"status"', b'"stat', 1),
        table_path: b"PAR1 no more",
    }
    for path, data in damage.items():
        path.write_bytes(data)

    looked = bench("status", tmp_path)
    assert looked.code == 0 and "2 cells: 2 interrupted" in looked.out, "it reads the last lines alone"
    told = bench("figures", tmp_path)
    assert (told.code, told.out) == (2, "") and str(table_path) in told.err
    assert all(path.read_bytes() == data for path, data in damage.items()), "looking moves nothing"

    command = ["run", *TINY, "--rollout-steps", "0", "--jobs", "1", "--out", tmp_path]
    told = bench(*command)
    assert (told.code, told.out) == (2, "")
    for path, data in damage.items():
        aside = path.with_name(path.name + ".damaged-1")
        assert str(path) in told.err
        assert f"set aside as {aside}" in told.err
        assert aside.read_bytes() == data, "nothing is lost"
        assert not path.exists()
    assert "line 1: not JSON" in told.err
    assert "The same command again trains the affected cells from their start." in told.err

    monkeypatch.setattr("benchmark.figures.redraw", lambda frame, folder: ([], []))  # which are looked at elsewhere
    done = bench(*command)
    assert (done.code, done.err) == (0, "")
    whole = rows.read_table(quick[0]).filter(pl.col("rollout_steps") == 0)
    drop = [*rows.WALL_COLUMNS, *rows.IDENTITY]
    assert rows.read_table(tmp_path).drop(drop).equals(whole.drop(drop))


# Bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quikc"], ["unknown suite 'quikc'; valid: quick, rollouts, passes", "did you mean 'quick'?"]),
        (["--scale", "tiyn"], ["unknown scale 'tiyn'; valid: tiny, cpu, gpu, paper", "did you mean 'tiny'?"]),
        (["--device", "cdua"], ["unknown device 'cdua'; valid: cpu, cuda", "did you mean 'cuda'?"]),
        (["--set", "bacth=4"], ["unknown setting 'bacth'; valid: ", "did you mean 'batch'?"]),
        (["--set", "batch"], ["a setting is written name=value; given 'batch'"]),
        (["--set", "batch=few"], ["batch takes a whole number; given 'few'"]),
        (["--set", "batch=0"], ["batch must be a whole number >= 1; given 0"]),
        (["--set", "boundary=zero"], ["boundary must be 'periodic'; given 'zero'"]),
        (["--set", "cells=2"], ["cells must be a whole number in 3..24", "given 2"]),
        (["--set", "cells=30"], ["cells must be a whole number in 3..24", "given 30"]),
        (["--set", "window_tokens=12"], ["a window of 12 tokens cuts a string of 8 cells; allowed: multiples of 8"]),
        (["--set", "window_tokens=6"], ["a string of 8 cells does not fit in a window of 6 tokens"]),
        (["--set", "heads=3"], ["heads = 3 does not divide d_model = 16"]),
        (["--set", "layout=attn mamba"], ["layout 'attn mamba'", "attn, gdn", "not mamba"]),
        (["--set", "precision=fp8"], ["unknown precision 'fp8'; valid: fp32, bf16"]),
        (["--set", "rollout_steps=-3"], ["rollout_steps must be a whole number >= 0; given -3"]),
        (["--rollout-steps", "-1"], ["rollout_steps must be a whole number >= 0; given -1"]),
        (["--rollout-steps", "deep"], ["--rollout-steps takes whole numbers separated by commas", "given 'deep'"]),
        (["--sleep-passes", "1,0"], ["sleep_passes must be a whole number >= 1; given 0"]),
        (
            ["controls", "--variants", "deper"],
            ["unknown variant 'deper'; valid: sleep, plain", "did you mean 'deeper'?"],
        ),
        (["controls", "--sleep-passes", "2,4"], ["variants are of one sleep_passes", "given (2, 4)"]),
        (["controls", "--sleep-passes", "1"], ["sleep_passes = 1 is the plain hybrid", "at least 2 are needed"]),
        (["--variants", "sleep"], ["this suite has no variants to choose from; given sleep"]),
        (["--seeds", "-1"], ["seed must be a whole number >= 0; given -1"]),
        (["--jobs", "0"], ["jobs must be at least 1; given 0"]),
        (["--jobs", "two"], ["Invalid value for '--jobs'"]),
        (["--sede", "1"], ["No such option", "--seeds"]),
        pytest.param(
            ["--device", "cuda"],
            ["device 'cuda' was asked for, but torch sees no CUDA device here; allowed now: cpu"],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here"),
        ),
    ],
    ids=" ".join,
)
def test_bad_input_gets_one_message(arguments: list[str], said: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = bench("run", "--scale", "tiny", "--out", out, *arguments)
    assert (done.code, done.out) == (2, "")
    for part in said:
        assert part in done.err
    assert len(done.err.strip().splitlines()) == 1 or "Usage:" in done.err
    assert not out.exists(), "nothing is begun"


def test_bad_input_through_the_command_itself(tmp_path: Path) -> None:
    done = real_bench("run", "pases", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("bench: unknown suite 'pases'; valid: quick")
    assert done.err.endswith("did you mean 'passes'?\n")
    assert not list(tmp_path.iterdir())


def test_a_reader_that_goes_leaves_the_exit_code(tmp_path: Path) -> None:
    """As `head` does: no message, and the code that the command would have ended with."""
    for command, code in ((["list"], 0), (["show", "quick", "--scale", "tiny", "--json"], 0), (["show", "nope"], 2)):
        process = start(*command, cwd=tmp_path)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=100)
        assert process.returncode == code
        assert err.startswith("bench: unknown suite") if code else not err


def test_a_file_in_the_way_of_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for out in (tmp_path / "taken", tmp_path / "taken" / "below"):
        done = bench("run", *TINY, "--out", out)
        assert (done.code, done.out) == (2, "")
        assert f"bench: cannot write to {out}: " in done.err
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_file_in_the_way_of_the_figures(quick: tuple[Path, Done], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    done = bench("figures", quick[0], "--out", tmp_path / "taken")
    assert (done.code, done.out) == (2, "")
    assert str(tmp_path / "taken") in done.err
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("name", ["empty", "absent"])
def test_a_folder_without_a_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    folder = tmp_path / name
    told = bench("status", folder)
    assert (told.code, told.err) == (2, f"bench: {folder} holds no cells; `bench run` makes them\n")
    told = bench("figures", folder)
    assert told.code == 2
    assert "no rows at" in told.err
    assert str(folder) in told.err
