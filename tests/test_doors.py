"""Doors: an update rule or a task is one file and one line, and the suite's own tests and commands then take it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT, bench

import tasks
from baselines.hybrid import MIXERS
from benchmark import rows
from benchmark.measure import cost_counts
from benchmark.measure.speed import workloads
from tasks import gallery

RULE = '''"""Fading memory: the state decays at every token, which then adds its value under its key."""

from typing import ClassVar

import torch
from torch import Tensor

from baselines.fast_weights import Rule, at_least_single, decays, in_chunks, in_turn, read, write
from baselines.memory import ForgettingMixer


@at_least_single
def fading(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """`fading_reference` in chunks."""

    def chunk(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        decay, carried = decays(log_decay)
        return read(q, k, v, decay, carried, state), write(k, v, decay, carried, state)

    return in_chunks(chunk, q, k, v, log_decay, state=state)


@at_least_single
def fading_reference(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """`S_t = exp(log_decay_t) S_{t-1} + k_t v_t^T` and `o_t = S_t^T q_t`."""
    outputs = []
    for q_t, k_t, v_t, a_t in in_turn(q, k, v, log_decay.exp()):
        state = a_t * state + k_t @ v_t
        outputs.append(q_t.mT @ state)
    return torch.cat(outputs, dim=2), state


class Fading(ForgettingMixer):
    """Fast weights under the fading rule."""

    rule: ClassVar[Rule] = Rule(fast=fading, reference=fading_reference, gates=("log_decay",))
    gate_count: ClassVar[int] = 1

    def in_range(self, k: Tensor, gates: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The decay."""
        return (self.log_decay(gates[0]),)
'''

TASK = (ROOT / "tests" / "toy" / "sleepbench_toy" / "task.py").read_text("utf-8").replace("toy-task", "echo")

LINES = {
    "fading": 'from baselines.hybrid import MIXERS\n\nMIXERS["fading"] = "lab_fading.rule:Fading"\n',
    "echo": 'from tasks import TASKS\n\nTASKS["echo"] = "lab_echo.task:ToyTask"\n',
}
FILES = {"fading": ("rule", RULE), "echo": ("task", TASK)}

CONTRACTS = {
    "fading": ("fast_weights", "rules", "forward", "eviction", "models", "speed"),
    "echo": ("addressing", "data", "hardness", "shortcuts", "speed"),
}
"""Test files that take every update rule, or every task, from its table."""


def package(name: str, folder: Path) -> None:
    """A package with the one file; and, as a plug-in for pytest, the one line."""
    made = folder / f"lab_{name}"
    made.mkdir()
    for file, text in (("__init__", ""), FILES[name], ("line", LINES[name])):
        (made / f"{file}.py").write_text(text)


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The package of one of them."""
    name: str = request.param
    package(name, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return name


def test_the_contracts_take_them_from_their_tables(tmp_path: Path) -> None:
    """Every test with a new name runs and passes, and those of the committed evidence ask for none of them."""
    for lab in CONTRACTS:
        package(lab, tmp_path)
    files = [f"tests/test_{name}.py" for names in CONTRACTS.values() for name in names]
    evidence = ["tests/test_hardness.py", "tests/test_suites.py"]
    plugged = [option for lab in CONTRACTS for option in ("-p", f"lab_{lab}.line")]
    command = [*plugged, "-p", "no:cacheprovider", "--benchmark-disable", "-v"]
    chosen = ["-k", f"{' or '.join(CONTRACTS)} or suites_have_a_committed_table or suite_of_rules"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *command, *chosen, *dict.fromkeys(files + evidence)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"^(\S+?\.py)::(.*) PASSED", done.stdout, re.MULTILINE)
    for lab, names in CONTRACTS.items():
        assert {file for file, test in passed if lab in test} == {f"tests/test_{name}.py" for name in names}


@pytest.fixture
def registered(lab: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same in this process."""
    monkeypatch.setitem(
        *{"fading": (MIXERS, lab, "lab_fading.rule:Fading"), "echo": (tasks.TASKS, lab, "lab_echo.task:ToyTask")}[lab]
    )
    return lab


@pytest.mark.usefixtures("workers_here", "undrawn")
@pytest.mark.parametrize(
    ("lab", "arguments", "column", "value"),
    [
        ("fading", ("quick", "--set", "layout=attn fading", "--rollout-steps", 0), "layout", "attn fading"),
        ("echo", ("quick", "--task", "echo", "--set", "bits=8", "--set", "bits_per_window=8"), "task", "echo"),
    ],
    indirect=["lab"],
)
def test_it_trains_and_is_reported(
    registered: str, arguments: tuple[object, ...], column: str, value: str, tmp_path: Path
) -> None:
    out, page = tmp_path / "run", tmp_path / "page.html"
    sizes = ("--set", "tokens=2000", "--set", "batch=8", "--set", "test_examples=16", "--set", "evaluations=2")
    run = bench("run", *arguments, "--scale", "tiny", *sizes, "--jobs", 1, "--out", out)
    assert run.code == 0, run.err
    assert set(rows.read_table(out)[column]) == {value}
    report = bench("report", out, "--out", page)
    assert report.code == 0, report.err
    assert value in page.read_text("utf-8")


@pytest.mark.parametrize("lab", ["fading"], indirect=True)
def test_a_rule_has_a_cost(registered: str) -> None:
    table = cost_counts.markdown({registered: cost_counts.rules()[registered]})
    assert re.search(r"^\| `fading` \| [\d.]+M \|", table, re.MULTILINE)


@pytest.mark.parametrize("lab", ["echo"], indirect=True)
def test_a_task_has_examples_hardness_and_a_speed(registered: str, tmp_path: Path) -> None:
    assert "\n### echo, bits 64\n" in gallery.page([registered])
    assert bench("hardness", registered, "--examples", 20, "--training", 20, "--out", tmp_path / "hardness").code == 0
    assert "## echo version 1" in (tmp_path / "hardness" / "hardness.md").read_text()
    assert workloads.generate(registered)() is not None
