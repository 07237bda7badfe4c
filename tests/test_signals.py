"""Signals to the command itself: what was trained is saved, the terminal is left as it was, nothing is a traceback."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import ROOT, bench

from benchmark.cli.signals import TERMINATED_WAIT_S, exit_code, stop_signals
from benchmark.run.executors.serial import Serial

RUN = ["run", "quick", "--scale", "tiny", "--set", "tokens=50M", "--set", "evaluations=4000", "--jobs", "1"]


def begin(*arguments: object, stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark.cli", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"},
        stdout=stdout,
        stderr=stdout,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143)])
def test_a_sweep_that_is_to_end_saves_first(tmp_path: Path, number: int, code: int) -> None:
    ours, theirs = pty.openpty()
    out, written = tmp_path / "out", b""
    os.set_blocking(ours, False)

    def read() -> bytes:
        try:
            return os.read(ours, 1 << 20)
        except OSError:
            return b""

    with begin(*RUN, "--out", out, stdout=theirs) as process:
        deadline = time.monotonic() + 120
        while not list(out.glob("cells/*/checkpoint.safetensors")) and time.monotonic() < deadline:
            written += read()
            time.sleep(0.05)
        begun = time.monotonic()
        process.send_signal(number)
        while process.poll() is None and time.monotonic() < begun + 60:
            written += read()
            time.sleep(0.02)
        written += read()
    os.close(ours)
    os.close(theirs)
    assert time.monotonic() - begun < 20
    assert process.returncode == code
    assert "Stopped. Everything so far is in " in " ".join(written.decode(errors="replace").split())
    assert b"Traceback" not in written
    hidden, shown = written.rfind(b"\x1b[?25l"), written.rfind(b"\x1b[?25h")
    assert -1 < hidden < shown, "the cursor is there again"
    cells = json.loads(bench("status", out, "--json").out)["cells"]
    assert "interrupted" in {cell["state"] for cell in cells}
    assert (out / "rows.parquet").exists()


@pytest.mark.parametrize("after_s", [0.05, 0.4, 0.9, 1.6])
def test_one_that_has_only_begun_says_nothing(tmp_path: Path, after_s: float) -> None:
    with begin(*RUN, "--out", tmp_path / "out", stdout=subprocess.PIPE) as process:
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert b"Traceback" not in said


@pytest.mark.parametrize(("numbers", "code"), [([signal.SIGTERM], 143), ([signal.SIGHUP, signal.SIGINT], 129)])
def test_a_signal_is_known_whatever_interrupt_is_made_of_it(numbers: list[int], code: int) -> None:
    """Ray raises a KeyboardInterrupt of its own for whatever a handler raises while it waits."""
    trains = Serial()
    defaults = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    with pytest.raises(KeyboardInterrupt) as interrupt, stop_signals(trains):
        for number in numbers:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(number)
        raise KeyboardInterrupt
    for number, handler in before.items():  # under nohup, or as a shell's background job, some are ignored
        assert signal.signal(number, handler) == defaults[number]
    assert exit_code(interrupt.value) == code
    assert trains.stop_wait_s == TERMINATED_WAIT_S
