"""A task by its path, as a model by its: found, refused, trained in real workers, read again from its rows."""

from pathlib import Path

import pytest
from harness import bench

import tasks
from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.request import Request

SOURCE = """
from sleepbench_toy.task import ToyTask
from tasks.base import Task
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Parity(ToyTask):
    bits: int = 8
    bits_per_window: int = 4

@dataclass(frozen=True, kw_only=True)
class Bare(ToyTask):
    extra: int

@dataclass(frozen=True, kw_only=True)
class Half(Task):
    axis = "bits"

class Shelf:
    Parity = Parity

number = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, of a name that no other test has."""
    name = f"task_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_class_by_its_path_is_named_by_it(own: str) -> None:
    for path in (f"{own}:Parity", f"{own}:Shelf.Parity"):
        kind = tasks.load(path)
        assert (kind.name, kind.axis, kind().bits) == (path, "bits", 8)  # type: ignore[attr-defined]
    (cell, *_) = Request(suite="quick", scale="tiny", task=f"{own}:Parity", axes=("bits=8,12",)).plan().cells()
    assert Cell.from_json(cell.as_json()) == cell


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("OWN:Nothing", "has no 'Nothing'"),
        ("OWN:number", "number is not a subclass of tasks.base.Task"),
        ("OWN:Bare", "every setting needs a default; extra has none"),
        ("OWN:Half", "Half needs a class attribute version"),
        ("no_such_module:Task", "cannot import no_such_module: No module named 'no_such_module'$"),
        ("OWN.py:Parity", "a module is written without .py"),
        ("a/b.py:Parity", "a path is package.module:Class, with dots and no folders"),
        ("rule111", "unknown task 'rule111'; valid: rule110, .*, package.module:Class; did you mean 'rule110'"),
    ],
)
def test_what_is_no_task(own: str, path: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tasks.load(path.replace("OWN", own))


def test_a_module_that_raises_is_told_with_its_line(own: str, tmp_path: Path) -> None:
    (tmp_path / f"{own}_broken.py").write_text("import math\nmath.sqrt(-1)\n")
    done = bench("show", "quick", "--task", f"{own}_broken:Task")
    assert (done.code, done.out) == (2, "")
    assert f'{own}_broken.py", line 2' in done.err
    assert "ValueError: math domain error" in done.err and "importlib" not in done.err


@pytest.mark.usefixtures("undrawn")
def test_it_trains_in_a_real_worker_and_its_rows_are_read(own: str, tmp_path: Path) -> None:
    path = f"{own}:Parity"
    settings = ["--set", "tokens=1k", "--set", "batch=32", "--set", "test_examples=64", "--sleep-passes", 1]
    done = bench("run", "quick", "--scale", "tiny", "--task", path, *settings, "--axis", "d_model=8", "--jobs", 1)
    assert (done.code, done.err) == (0, "")
    folder = tmp_path / "results" / "runs" / f"quick-tiny-{own}-Parity"
    assert set(rows.read_table(folder)["task"]) == {path}
    assert bench("table", folder).out.startswith("| bits | N |")
