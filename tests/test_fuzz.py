"""`make fuzz` in a few seconds, and what it has found."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT, bench, small

import baselines.addresses
import tasks.addresses
from benchmark.run.folder import SweepFolder


def test_whatever_is_given_a_command_answers() -> None:
    """In a process of its own, as it forks: threads of what ran before would be missing."""
    command = [sys.executable, "-W", "error", "-m", "fuzz", "--count", "100", "--real", "0", "--fast"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, Path(__file__).parent)))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^fuzz: 100 cases, none with ", done.stdout, re.MULTILINE)


HEAD = """
from dataclasses import dataclass
from typing import Any
from baselines.hybrid import Hybrid
from tasks.rule110 import Rule110
@dataclass(frozen=True, kw_only=True)
"""
OWN = {
    "raise type('Odd', (BaseException,), {})()": (["show", "quick", "--model"], "importing odd raised"),
    "raise ValueError('a' * 10**6)": (["data", "--show", "1"], "importing odd raised"),
    HEAD + "class Thing(Hybrid):\n    part: Any = ...\n    kind: Any = ...\n    def __post_init__(self): "
    "object.__setattr__(self, 'kind', {1, 2})": (
        ["show", "quick", "--model"],
        "are no numbers, texts or lists of them",
    ),
    HEAD + "class Thing(Rule110):\n    def episodes(self, *_, **__): return print": (
        ["data", "--show", "1"],
        "Perhaps odd returned what is not allowed",
    ),
}


@pytest.mark.parametrize("text", OWN, ids=range(len(OWN)))
def test_modules_of_others_are_answered_in_a_message(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, words = OWN[text]
    (tmp_path / "odd.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(tasks.addresses, "FOREIGN", set())
    monkeypatch.setattr(baselines.addresses, "FOREIGN", set())
    try:
        done = (
            bench(arguments[0], "odd:Thing", *arguments[1:])
            if arguments[0] == "data"
            else bench(*arguments, "odd:Thing")
        )
    finally:
        sys.modules.pop("odd", None)
    assert done.code == 2 and words in done.err
    assert done.err.startswith("bench: ") and len(done.err) < 10_000


@pytest.mark.parametrize(
    "change", [{"variant": {}}, {"seed": None}, {"steps": "many"}, {"axis": 3}, {"training": {"tokens": {"a": []}}}]
)
def test_a_plan_of_odd_types_is_named(change: dict[str, object], tmp_path: Path) -> None:
    cells = [small(), small(seed=1)]
    with (place := SweepFolder(tmp_path)).session(cells):
        plan = place.of(cells[0]).plan
    plan.write_text(json.dumps(json.loads(plan.read_text()) | change))
    done = bench("status", tmp_path)
    assert done.code == 0 and f"left out: {plan.parent}: " in done.out
    assert cells[1].id in done.out
