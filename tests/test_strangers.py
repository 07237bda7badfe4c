"""Folders of strangers: looking at one runs none of its code, and what is no plain file is not taken for one."""

import inspect
import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from harness import bench, small
from planted import flat, planted

from baselines.hybrid import Hybrid
from benchmark import cli, rows
from benchmark.run import reference
from benchmark.run.trainer import Trainer

SOURCE = """
from pathlib import Path
Path({marker!r}).touch()
from baselines.hybrid import Hybrid as Model
from tasks.rule110 import Rule110 as Task
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished cell of a model in a module that lies in the current folder, where addresses are looked for."""
    marker = tmp_path / "ran"
    (tmp_path / "stranger.py").write_text(SOURCE.format(marker=str(marker)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    cell = small(tokens=80, evaluations=1, test_examples=8)
    path = tmp_path / "out" / "cells" / cell.id
    path.mkdir(parents=True)
    Trainer(cell, path).run()
    plan = cell.as_json()
    plan["model"]["name"], plan["task"]["name"] = "stranger:Model", "stranger:Task"
    (path / "cell.json").write_text(json.dumps(plan))
    how = {"task": "stranger:Task", "model": "stranger:Model"}
    written = planted(flat(n1=0.6, n2=0.9), depths=(1,), seeds=2, **how)
    rows.write_table(tmp_path / "out" / "rows.parquet", written)
    return path


LOOKS: dict[str, list[str]] = {
    "status": ["OUT"],
    "figures": ["OUT", "--out", "drawn"],
    "table": ["OUT"],
    "verify": ["OUT"],
    "check": ["OUT", "--against", "OUT"],
    "seeds": ["OUT"],
    "report": ["OUT", "--out", "page.html"],
    "exits": ["OUT"],
    "probe": ["OUT"],
    "evaluate": ["CELL"],
    "retry": ["OUT", "--status", "ok"],
    "clean": ["OUT", "--dry-run"],
}
ASKED = {
    "run",
    "reference",
    "profile",
    "show",
    "list",
    "data",
    "gallery",
    "hardness",
    "cost",
    "audit",
    "check-model",
    "speed",
}
"""Commands that read no folder of results, or train in one what they are asked for."""


def test_every_command_is_thought_of() -> None:
    assert set(LOOKS) | ASKED == set(cli.COMMANDS)
    for name in ASKED - {"run"}:
        assert not any(
            "Folder" in str(p.annotation) and p.name != "out"
            for p in inspect.signature(cli.COMMANDS[name]).parameters.values()
        )


@pytest.mark.parametrize("command", LOOKS)
def test_looking_imports_nothing(folder: Path, tmp_path: Path, command: str) -> None:
    out = folder.parents[1]
    arguments = [{"OUT": str(out), "CELL": str(folder)}.get(word, word) for word in LOOKS[command]]
    done = bench(command, *arguments)
    assert "Traceback" not in done.err and done.code in (0, 1, 2)
    assert not (tmp_path / "ran").exists() and "stranger" not in sys.modules
    if command in ("retry", "probe", "evaluate"):
        assert done.code == 2
        assert "'stranger:Task' is code of the module stranger, imported only if you trust it: --trust" in done.err


@pytest.mark.usefixtures("workers_here", "undrawn")
def test_a_run_imports_only_what_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    small_run = ["--set", "tokens=80", "--set", "evaluations=1", "--set", "test_examples=8", "--set", "batch=4"]
    done = bench(
        "run", "quick", "--scale", "tiny", "--seeds", 0, "--sleep-passes", 1, *small_run, "--out", folder.parents[1]
    )
    assert done.code == 0, done.err
    missing, kept = reference.inventory(tmp_path, "gate-tiny")
    assert missing and not kept
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("command", ["retry", "evaluate"])
def test_who_trusts_a_folder_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    (tmp_path / "trusted.py").write_text(SOURCE.format(marker=str(tmp_path / "ran")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    model = type("Model", (Hybrid,), {"name": "trusted:Model"})
    base = small(tokens=80, evaluations=1, test_examples=8)
    cell = replace(base, model=model(**{name: base.axes[name] for name in ("layout", "d_model", "heads", "mlp_ratio")}))
    path = tmp_path / "out" / "cells" / cell.id
    path.mkdir(parents=True)
    Trainer(cell, path).run()
    (path / "cell.json").write_text(json.dumps(cell.as_json()))
    done = bench(command, path.parents[1] if command == "retry" else path, "--trust")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "ran").exists()
    sys.modules.pop("trusted")


# What is no plain file


def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, kind in ((pipe, "a pipe"), (tmp_path, "a folder"), (Path(os.devnull), "a device")):
        with pytest.raises(ValueError, match=f"{path} is {kind}; only a plain file is replaced"):
            rows.write_atomically(path, b"x")
    assert stat.S_ISFIFO(pipe.stat().st_mode) and stat.S_ISCHR(Path(os.devnull).stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("there", [True, False], ids=["a file", "nothing"])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path, there: bool) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "file", tmp_path / "link"
    link.symlink_to(target)
    if there:
        target.write_bytes(b"old")
    rows.write_atomically(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"


def test_what_lies_where_a_write_begins_is_not_written_through(tmp_path: Path) -> None:
    path, mine = tmp_path / "rows.parquet", tmp_path / "mine"
    mine.write_bytes(b"mine")
    (tmp_path / "rows.parquet.partial").symlink_to(mine)
    rows.write_atomically(path, b"new")
    assert (path.read_bytes(), mine.read_bytes()) == (b"new", b"mine")
    assert sorted(tmp_path.iterdir()) == [mine, path]


@pytest.mark.parametrize("name", ["rows.parquet", "outcomes.parquet", "cells/c/rows.jsonl", "cells/c/cell.json"])
def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.write_table(tmp_path / "rows.parquet", planted(flat(n1=0.6, n2=0.9)))
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    done = bench("status" if "cells" in name else "verify", tmp_path)
    assert done.code == 2
    assert f"{path} is " in done.err and "no plain file" in done.err


def test_a_command_does_not_replace_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    done = bench("data", "recall", "--examples", 3, "--out", pipe, "--force")
    assert (done.code, done.err) == (
        2,
        f"bench: {pipe} is a pipe, a device or a folder; only a plain file is replaced\n",
    )
    assert stat.S_ISFIFO(pipe.stat().st_mode)
