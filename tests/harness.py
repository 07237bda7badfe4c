"""What the tests of the harness share: a cell that trains in a moment, and the `bench` command."""

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from baselines.hybrid import Hybrid
from benchmark import cli, rows
from benchmark.cells.cell import Cell, Training
from tasks.rule110 import Rule110

ROOT = Path(__file__).resolve().parents[1]


def small(**settings: Any) -> Cell:
    """25 steps of 8 sequences of 5 tokens, tested after steps 8, 16 and 25."""
    cell = Cell(
        task=Rule110(cells=4, strings=1, rollout_steps=1),
        model=Hybrid(layout="attn gdn", d_model=8, heads=2, mlp_ratio=1),
        training=Training(tokens=1000, batch=8, evaluations=3, test_examples=16, warmup_steps=12),
    )
    return cell.with_settings(settings)


def comparable(written: list[rows.Row]) -> list[rows.Row]:
    """Rows without what differs between two runs: wall times, and the code if someone works on the checkout."""
    return [{k: v for k, v in row.items() if k not in (*rows.WALL_COLUMNS, *rows.IDENTITY)} for row in written]


def same_bits(a: Any, b: Any) -> None:
    """Assert that checkpoints are equal to the last bit, through dicts and lists of tensors."""
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            same_bits(a[key], b[key])
    elif isinstance(a, list):
        for one, other in zip(a, b, strict=True):
            same_bits(one, other)
    else:
        assert a == b


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def bench(*arguments: object) -> Done:
    """The command in this process: what it does and says, without the seconds that its imports take."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = ["bench", *map(str, arguments)]
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", argv):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Done(code, out.getvalue(), err.getvalue())


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """The command itself, begun in a process and a folder of its own."""
    script = Path(sys.executable).with_name("bench")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "benchmark.cli"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores Ctrl-C
    )


def real_bench(*arguments: object, cwd: Path) -> Done:
    """The command itself, run to its end."""
    process = start(*arguments, cwd=cwd)
    out, err = process.communicate(timeout=300)
    return Done(process.returncode, out, err)
