"""What commands print: texts of other people as they are, on any terminal, page or closed stream."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT, bench, small
from rich.console import Console

from benchmark.cells.facts import cell_facts, failure_row
from benchmark.cli.console import terminal
from benchmark.rows import Status
from benchmark.run.folder import SweepFolder

THEIRS = "ValueError: [/INST] expected in [layer0], :warning: [red]"


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """A folder with a cell whose model failed with a text that looks like markup."""
    cell = small()
    with SweepFolder(tmp_path).session([cell]):
        facts = cell_facts(cell, device="cpu", context={"suite": "quick", "scale": "tiny"})
        SweepFolder(tmp_path).of(cell).add(failure_row(facts, Status.CRASHED, THEIRS))
    return tmp_path


def test_texts_of_others_are_no_markup(failed: Path) -> None:
    done = bench("status", failed)
    assert done.code == 0, done.err
    printed = " ".join(done.out.replace("│", " ").split())
    for word in THEIRS.split():
        assert word in printed


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "benchmark.cli", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
    )


def test_a_page_is_no_terminal_whatever_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the live table of a sweep would be written there hundreds of times."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert Console().is_terminal, "what is guarded against"
    page = terminal()
    assert not page.is_terminal and page.color_system == "standard"


def test_a_terminal_without_signs_gets_others(failed: Path) -> None:
    plain = command("verify", str(ROOT / "results" / "reference" / "gate-tiny"), PYTHONIOENCODING="ascii")
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.isascii()


def test_a_backend_of_a_notebook_is_of_no_use_here() -> None:
    code = "from benchmark.cli.console import prepare_process; prepare_process(); import benchmark.figures"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "module://no_such_backend"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_a_closed_stream_is_no_failure(failed: Path) -> None:
    line = f"{sys.executable} -m benchmark.cli status '{failed}' >&- 2>&-"
    done = subprocess.run(["sh", "-c", line], env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0


def test_without_docstrings_it_says_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-OO", "-m", "benchmark.cli", "--help"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "python -OO drops the texts of --help" in done.stderr
