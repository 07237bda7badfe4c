"""The suite from Python: the cells of a notebook, run as a notebook runs them; what is refused."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from harness import ROOT
from planted import flat, planted, table

import baselines
import benchmark
import tasks
from baselines.hybrid import Hybrid
from benchmark import draw, read, suite, verify
from tasks.rule110 import Rule110

NOTEBOOK = """
import asyncio

async def cells():
    exec(compile(open({path!r}).read(), "cells", "exec"), globals())

asyncio.run(cells())
"""
"""As Jupyter runs cells: in a running event loop, without a terminal, classes in `__main__`."""


def test_a_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK.format(path=str(ROOT / "tests" / "notebook.py"))],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "['__main__:Narrow', 'hybrid']" in done.stdout
    assert "not enough evidence" in done.stdout and "{'identical'}" in done.stdout
    assert done.stderr.count("done  rollout_steps 0, N ") == 4
    assert read([tmp_path / "mine", tmp_path / "own"]).height > read(tmp_path / "mine").height


@dataclass(frozen=True, kw_only=True)
class Narrow(Hybrid):
    """As a notebook defines it."""

    name: ClassVar[str] = "narrow"
    __module__ = "__main__"


def test_a_class_of_this_process_is_trained_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "Narrow", Narrow, raising=False)
    plan = suite("quick", "tiny", model=Narrow)
    assert {cell.model.name for cell in plan.cells} == {"__main__:Narrow"}
    with pytest.raises(ValueError, match="__main__:Narrow is of this process alone: executor 'local' cannot load it"):
        plan.run(tmp_path, executor="local")
    assert list(tmp_path.iterdir()) == []


def test_a_figure_comes_with_its_picture() -> None:
    rows = table(planted(flat(n1=0.6, n2=0.9)))
    assert draw(rows)._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"unknown figure 'accuracy_by_pass'; .* did you mean 'accuracy_by_passes'"):
        draw(rows, "accuracy_by_pass")
    with pytest.raises(ValueError, match="these rows do not allow retention; they allow accuracy_by_depth, "):
        draw(rows, "retention")


def test_an_unknown_claim_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown claim 'two-beat-one'; .* did you mean 'two-beats-one'"):
        verify(table(planted(flat(n1=0.6, n2=0.9))), "two-beat-one")


def test_settings_are_values() -> None:
    plan = suite("quick", "tiny", tokens=3000, test_passes=(1, 2), reembed=True)
    assert {(cell.training.tokens, cell.training.test_passes) for cell in plan.cells} == {(3000, (1, 2))}
    command = "bench run quick --scale tiny --set tokens=3000 --set test_passes=1,2 --set reembed=true"
    assert plan.request.command == command
    with pytest.raises(ValueError, match="unknown suite 'quik'"):
        suite("quik")


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys, benchmark; assert not {'torch', 'polars', 'typer'} & set(sys.modules); benchmark.suites"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "has no attribute 'suites'" in done.stderr
    assert all(callable(getattr(benchmark, name)) for name in benchmark.__all__)


def test_a_class_that_is_defined_anew_is_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a cell of a notebook is run again; a class that is not keeps its place."""
    place = sys.modules["__main__"]

    def define(name: str, base: type, width: str, value: int) -> type:
        kind = type(name, (base,), {"__module__": "__main__", "name": name, "version": 1, width: value})
        monkeypatch.setattr(place, name, kind, raising=False)
        return kind

    for name, base, load in (("Mine", Hybrid, baselines.load), ("Ours", Rule110, tasks.load)):
        path = f"__main__:{name}"
        first = [define(name, base, "mark", 1), load(path), load(path)]
        assert first[1] is first[2] and first[1].mark == 1
        define(name, base, "mark", 2)
        assert load(path).mark == 2
