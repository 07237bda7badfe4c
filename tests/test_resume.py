"""Stopped or killed at any moment, a cell goes on to the rows and parameters of an uninterrupted run, bit for bit."""

import fcntl
import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from faulty import Dropping, Hoarding
from harness import bench, comparable, same_bits, small, start

from baselines.hybrid import Hybrid
from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost
from benchmark.rows import outcomes
from benchmark.run import checkpoint
from benchmark.run.trainer import Trainer
from tasks.base import strongest

pytestmark = pytest.mark.usefixtures("one_thread")

CELLS = {
    "plain": small(),
    "several windows, passes and tests": small(strings=2, sleep_passes=2, test_passes=(1, 2, 3), weight_decay=0.1),
    "bf16": small(precision="bf16"),
}
Result = tuple[list[rows.Row], dict[str, Any]]


class Killed(BaseException):
    """What no code catches: the end of the process."""


def train(cell: Cell, folder: Path, stop_after: int = 10**9) -> str:
    """An attempt at a cell, from wherever the last one stopped to the end or to a step."""
    folder.mkdir(exist_ok=True)
    trainer = Trainer(cell, folder)
    return trainer.run(stop=lambda: trainer.step >= stop_after)


def result(folder: Path) -> Result:
    """What a cell left behind: its rows but for wall times, and its checkpoint."""
    state = checkpoint.load(folder / "checkpoint.safetensors", torch.device("cpu"))
    del state["wall_s"]
    state.pop("energy_j", None)
    return comparable(rows.read(folder / "rows.jsonl")), state


def assert_equal(found: Result, expected: Result) -> None:
    assert found[0] == expected[0]
    same_bits(found[1], expected[1])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """The result of every cell, trained in one go."""
    results = {}
    for number, (name, cell) in enumerate(CELLS.items()):
        folder = tmp_path_factory.mktemp(f"uninterrupted{number}")
        assert train(cell, folder) == "ok"
        results[name] = result(folder)
    return results


# Within one process


def test_an_uninterrupted_run_tests_where_it_should(uninterrupted: dict[str, Result]) -> None:
    assert [row["step"] for row in uninterrupted["plain"][0] if row["answer"] is None] == [8, 16, 25]
    assert uninterrupted["plain"][1]["step"] == 25
    several = [(row["step"], row["tested_passes"], row["answer"]) for row in uninterrupted[list(CELLS)[1]][0]]
    points = CELLS[list(CELLS)[1]].evaluation_steps
    assert several == [(step, n, answer) for step in points for n in (1, 2, 3) for answer in (None, 0, 1)]


@pytest.mark.parametrize("name", CELLS)
def test_rows_name_the_strongest_shortcut(name: str, uninterrupted: dict[str, Result]) -> None:
    """Of the whole example; of one answer alone only where an example has no other."""
    task = CELLS[name].task
    for row in uninterrupted[name][0]:
        whole = row["answer"] is None or task.answers == 1
        fallible = {name: score for name, score in task.shortcuts(row["difficulty"]).items() if score < 1}
        known = strongest(fallible) if whole else None
        assert (row["shortcut_name"], row["shortcut"]) == (known or (None, None))
    assert any(row["shortcut"] for row in uninterrupted["plain"][0])


def test_the_training_loss_is_the_mean_since_the_row_before(tmp_path: Path, uninterrupted: dict[str, Result]) -> None:
    train(small(evaluations=25), tmp_path)
    losses = [row["train_loss"] for row in result(tmp_path)[0] if row["answer"] is None]
    found = [row["train_loss"] for row in uninterrupted["plain"][0] if row["answer"] is None]
    parts = (losses[:8], losses[8:16], losses[16:])
    assert found == [pytest.approx(sum(part) / len(part)) for part in parts]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("steps", [1, 7, 8, 9])
def test_stopped_after_some_steps(tmp_path: Path, uninterrupted: dict[str, Result], name: str, steps: int) -> None:
    assert train(CELLS[name], tmp_path, stop_after=steps) == "stopped"
    assert checkpoint.load(tmp_path / "checkpoint.safetensors", torch.device("cpu"))["step"] == steps
    assert train(CELLS[name], tmp_path) == "ok"
    assert_equal(result(tmp_path), uninterrupted[name])


def test_stopped_after_every_step(tmp_path: Path, uninterrupted: dict[str, Result]) -> None:
    ends = [train(CELLS["plain"], tmp_path, stop_after=step) for step in range(1, 26)]
    assert ends == ["stopped"] * 24 + ["ok"]
    assert_equal(result(tmp_path), uninterrupted["plain"])


def test_a_finished_cell_stays_as_it_is(tmp_path: Path, uninterrupted: dict[str, Result]) -> None:
    assert train(CELLS["plain"], tmp_path) == "ok"
    before = (tmp_path / "rows.jsonl").read_bytes()
    assert train(CELLS["plain"], tmp_path) == "ok"
    assert (tmp_path / "rows.jsonl").read_bytes() == before
    assert_equal(result(tmp_path), uninterrupted["plain"])


def killed(*_: Any, **__: Any) -> None:
    raise Killed


def torn_append(path: Path, new: list[rows.Row], **options: Any) -> None:
    """Half of what should be written, then the end."""
    whole = path.read_bytes() if path.exists() else b""
    APPEND(path, new, **options)
    written = path.read_bytes()
    path.write_bytes(written[: (len(whole) + len(written)) // 2])
    raise Killed


APPEND = rows.append


@pytest.mark.parametrize("name", list(CELLS)[:2])
@pytest.mark.parametrize(
    ("where", "attribute", "act"),
    [
        (rows, "append", killed),  # tested, but no row written
        (rows, "append", torn_append),
        (Trainer, "save", killed),  # rows written, but no checkpoint
        (Path, "replace", killed),  # a checkpoint written, but not in its place
    ],
    ids=["before the rows", "in the rows", "before the checkpoint", "in the checkpoint"],
)
@pytest.mark.parametrize("at", [8, 16])
def test_killed_at_a_test(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: dict[str, Result],
    name: str,
    where: Any,
    attribute: str,
    act: Callable[..., None],
    at: int,
) -> None:
    cell = CELLS[name]
    at = cell.evaluation_steps[[8, 16].index(at)]
    train(cell, tmp_path, stop_after=at - 1)
    trainer = Trainer(cell, tmp_path)
    tested = Trainer.evaluation_rows

    def evaluated(self: Trainer) -> list[rows.Row]:
        monkeypatch.setattr(where, attribute, act)
        return tested(self)

    monkeypatch.setattr(Trainer, "evaluation_rows", evaluated)
    with pytest.raises(Killed):
        trainer.run()
    assert trainer.step == at
    monkeypatch.undo()
    assert train(cell, tmp_path) == "ok"
    assert_equal(result(tmp_path), uninterrupted[name])


def test_wall_time_adds_up_over_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def tick() -> float:
        clock[0] += 1.0
        return clock[0]

    monkeypatch.setattr(time, "perf_counter", tick)
    times = []
    for steps in (5, 12, 25):
        train(CELLS["plain"], tmp_path, stop_after=steps)
        times += [row["wall_s"] for row in rows.read(tmp_path / "rows.jsonl")]
        clock[0] += 1e6  # nobody trains meanwhile
    assert 0 < times[0] < times[-1] < 1e3


def test_a_checkpoint_of_another_cell_is_refused(tmp_path: Path) -> None:
    train(CELLS["plain"], tmp_path, stop_after=3)
    with pytest.raises(rows.DamagedFileError, match=f"belongs to cell {small().id}, not {small(seed=1).id}"):
        train(small(seed=1), tmp_path)


def test_another_seed_is_another_network_and_other_data(tmp_path: Path, uninterrupted: dict[str, Result]) -> None:
    train(small(seed=1), tmp_path)
    found, expected = result(tmp_path), uninterrupted["plain"]
    weights, others = found[1]["model"]["head.weight"], expected[1]["model"]["head.weight"]
    assert not torch.equal(weights, others)
    assert [row["train_loss"] for row in found[0]] != [row["train_loss"] for row in expected[0]]


# The command itself, interrupted and killed

SETTINGS = ["d_model=8", "batch=8", "tokens=21600", "evaluations=25", "test_examples=32"]  # 300 steps: seconds
RUN = ["run", "quick", "--scale", "tiny", "--rollout-steps", "1", *(a for s in SETTINGS for a in ("--set", s))]


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.02)


def lines(folder: Path) -> int:
    """Rows written so far by all cells of a sweep."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("cells/*/rows.jsonl"))


def idle(folder: Path) -> bool:
    """Whether no worker holds a cell of the sweep."""
    for path in folder.glob("cells/*/lock"):
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
    return True


def table(folder: Path) -> pl.DataFrame:
    return rows.read_table(folder).drop(*rows.WALL_COLUMNS, *rows.IDENTITY)


@pytest.mark.usefixtures("workers_here", "undrawn")  # but for those that are begun to be stopped
def test_interrupted_and_killed_and_run_again(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command = [*RUN, "--jobs", "1", "--out", broken]

    # What it should come to, uninterrupted.
    done = bench(*RUN, "--out", whole)
    assert (done.code, done.err) == (0, "")
    everything = lines(whole)
    assert everything == 2 * 25 * 2

    # Ctrl-C in the middle of a cell, after a second run on the same folder was turned away.
    process = start(*command, cwd=tmp_path)
    wait_for(lambda: lines(broken) >= 4, "rows")
    second = bench(*command)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    assert (second.code, second.out) == (2, "")
    assert f"{broken} is in use by process {process.pid}; wait for it or choose --out" in second.err
    assert process.returncode == 130, err
    assert f"Stopped. Everything so far is in {broken}; the same command goes on from there." in " ".join(out.split())
    assert "Traceback" not in err
    assert idle(broken), "workers end before the command does"
    stopped = lines(broken)
    assert 4 <= stopped < everything
    assert rows.read_table(broken).height == stopped

    # kill -9 in the middle of a cell: the worker saves and ends by itself.
    process = start(*command, cwd=tmp_path)
    wait_for(lambda: lines(broken) >= stopped + 4, "more rows")
    process.kill()
    process.communicate()
    wait_for(lambda: idle(broken), "end of the worker")
    assert stopped + 4 <= lines(broken) < everything
    assert "interrupted" in states(broken)
    assert all(
        checkpoint.verify(path)["cell_id"] == path.parent.name for path in broken.glob("cells/*/checkpoint.safetensors")
    )
    assert not (broken / "figures").exists()

    # The same command to the end.
    done = bench(*command)
    assert (done.code, done.err) == (0, "")
    assert states(broken) == ["ok", "ok"]
    assert table(broken).equals(table(whole))
    assert outcomes.read_table(broken).equals(outcomes.read_table(whole))


def states(folder: Path) -> list[str]:
    said = bench("status", folder, "--json")
    assert said.code == 0, said.err
    return [cell["state"] for cell in json.loads(said.out)["cells"]]


# Models of other people


def other(kind: type[Hybrid], **settings: Any) -> Cell:
    return replace(small(**settings), model=kind(layout="attn gdn", d_model=8, heads=2, mlp_ratio=1))


def test_a_model_that_draws_goes_on_with_the_same_draws(tmp_path: Path) -> None:
    cell = other(Dropping)
    assert train(cell, tmp_path / "whole") == "ok"
    for step in (3, 11):
        folder = tmp_path / f"after{step}"
        assert train(cell, folder, stop_after=step) == "stopped"
        torch.manual_seed(step)  # another process draws from elsewhere
        assert train(cell, folder) == "ok"
        assert_equal(result(folder), result(tmp_path / "whole"))


def test_a_model_that_drops_is_tested_whole_and_goes_on_dropping(tmp_path: Path) -> None:
    trainer = Trainer(other(Dropping), tmp_path)
    frozen = trainer.model.head
    frozen.eval()  # a part that its owner does not train
    one, two = (list(trainer.test(0.0)) for _ in range(2))
    assert comparable(one) == comparable(two)
    assert trainer.model.training and not frozen.training
    with torch.random.fork_rng():
        before = torch.get_rng_state()
        cost(replace(trainer.cell, seed=7))
        assert torch.equal(torch.get_rng_state(), before)


def test_a_state_that_cannot_be_read_again_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"model 'hoarding' has in its state .*: notes\._extra_state is of type object",
    ):
        Trainer(other(Hoarding), tmp_path)
