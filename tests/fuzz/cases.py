"""The kinds of cases: each puts something into a folder of its own and says which command meets it."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import typer.main

from benchmark import cli
from benchmark.rows import stamps
from fuzz import values

Case = Callable[[Random], list[str]]
"""Prepares the current folder, in which `out` is a sweep of two small cells; returns arguments of `bench`."""

APP: Any = typer.main.get_command(cli.app)
COMMANDS: dict[str, Any] = APP.commands

SLOW = {"probe", "figures", "report", "profile", "reference", "gallery", "hardness", "audit", "cost", "check-model"}
"""They work for seconds where nothing is wrong: taken less often."""

NOT_HERE = {"speed"}
"""It runs another commit of the project."""

ANSWERED = ("suite", "source", "sources", "folder", "model")
"""Arguments that always are given: without them some commands look at the committed results."""


def arguments(random: Random) -> list[str]:
    """A command with options of its own, in any number and order, and a few of others'."""
    names = [name for name in COMMANDS if name not in NOT_HERE and (name not in SLOW or random.random() < 0.25)]
    name = random.choice(names)
    given = [name]
    parameters = COMMANDS[name].params
    for parameter in parameters:
        flag = parameter.opts[0]
        if not flag.startswith("-"):
            if flag in ANSWERED or random.random() < 0.8:
                given.append(values.option(random, flag))
        elif flag == "--out" or random.random() < min(0.5, 3 / len(parameters)):
            own = getattr(parameter, "is_flag", False)
            given += [flag] if own else [flag, values.option(random, flag.lstrip("-"))]
    if random.random() < 0.15:
        given.insert(random.randint(1, len(given)), values.text(random))
    if random.random() < 0.05:
        given[0] = values.text(random)
    return given


def settings(random: Random) -> list[str]:
    """A suite with settings of any kind."""
    given = [random.choice(("show", "show", "show", "run")), random.choice(values.PLAUSIBLE["suite"])]
    given += ["--scale", "tiny"]
    for _ in range(random.randint(1, 4)):
        given += [random.choice(("--set", "--set", "--axis")), values.setting(random)]
    for flag in ("--seeds", "--sleep-passes", "--rollout-steps"):
        if random.random() < 0.2:
            given += [flag, values.option(random, flag)]
    return [*given, "--out", "new"] if given[0] == "run" else given


def looked_at(random: Random, path: str) -> list[str]:
    """A command that reads a folder, or resumes it."""
    readers = ["status", "status", "table", "table", "verify", "seeds", "check", "clean", "retry", "evaluate", "resume"]
    readers += sorted({"figures", "report", "probe"} - NOT_HERE) if random.random() < 0.1 else []
    match random.choice(readers):
        case "check":
            return ["check", path, "--against", random.choice((path, "other"))]
        case "retry":
            return ["retry", path, "--status", "crashed,interrupted", "--dry-run"]
        case "report":
            return ["report", path, "--out", "page.html"]
        case "evaluate":
            folders = sorted(map(str, Path(path).glob("cells/*"))) or [path]
            return ["evaluate", random.choice(folders), "--examples", "8"]
        case "probe":
            return ["probe", path, "--examples", "64", "--test-examples", "32", "--out", "probed"]
        case "clean":
            return ["clean", path, "--dry-run"]
        case name:
            return [name, path]


def files(random: Random) -> list[str]:
    """Bytes of a file of a sweep that are other than they were."""
    path = random.choice(sorted(path for path in Path("out").rglob("*") if path.is_file() and path.name != "lock"))
    path.write_bytes(values.damaged(random, path.read_bytes()))
    return looked_at(random, "out")


def lines(random: Random) -> list[str]:
    """Values in lines of JSON, of older code without checks or with checks that are right."""
    found = sorted(Path("out").glob("cells/*/*.json*"))
    path = random.choice(found)
    told = [json.loads(line) for line in path.read_text().splitlines()] if path.suffix == ".jsonl" else []
    told = told or [json.loads(path.read_text())]
    for _ in range(random.randint(1, 3)):
        each = random.choice(told)
        name = random.choice(sorted(each)) if random.random() < 0.9 else random.choice(values.TEXTS)
        if random.random() < 0.2:
            each.pop(name, None)
        else:
            each[name] = values.plain(random)
    checked, before, text = random.random() < 0.5, None, b""
    for each in told:
        each.pop(stamps.NAME, None)
        line = stamps.stamp(each or {"a": 1}, before) if checked else json.dumps(each).encode()
        before = stamps.check_of(line)
        text += line + b"\n"
    path.write_bytes(text)
    (Path("out") / "rows.parquet").unlink(missing_ok=random.random() < 2)
    return looked_at(random, "out")


def tables(random: Random) -> list[str]:
    """A rows.parquet of another program: columns that are lacking, of other types, of odd values."""
    import polars as pl

    frame = pl.read_parquet("out/rows.parquet", glob=False)
    for _ in range(random.randint(1, 3)):
        name = random.choice(frame.columns)
        match random.randrange(8):
            case 0:
                frame = frame.drop(name)
            case 1:
                frame = frame.with_columns(pl.lit(None).alias(name))
            case 2:
                odd = random.choice((-1, 2**62, 1.5, float("nan"), float("inf"), "", "a|b", "<b>\n", "\x1b[31m", True))
                frame = frame.with_columns(pl.lit(odd).alias(name))
            case 3:
                kind = random.choice((pl.String, pl.Float32, pl.Int8, pl.Boolean, pl.Binary))
                with contextlib.suppress(pl.exceptions.PolarsError):  # no such conversion
                    frame = frame.with_columns(pl.col(name).cast(kind, strict=False))
            case 4:
                frame = frame.with_columns(pl.concat_list(name).alias(name))
            case 5:
                frame = frame.head(random.randrange(3))
            case 6:
                frame = pl.concat([frame, frame])
            case _:
                frame = frame.with_columns(pl.lit(1).alias(random.choice(("", "x", "n", "exact_match "))))
    Path("table").mkdir()
    frame.write_parquet("table/rows.parquet")
    command = random.choice(
        ["table", "verify", "seeds", "check", "figures" if random.random() < 0.1 and not SLOW <= NOT_HERE else "table"]
    )
    return [command, "table", *(["--against", random.choice(("out", "table"))] if command == "check" else [])]


def checkpoints(random: Random) -> list[str]:
    """A checkpoint with the right digest and other contents."""
    import torch

    from benchmark.run import checkpoint

    path = random.choice(sorted(Path("out").glob("cells/*/checkpoint.safetensors")))
    state = checkpoint.load(path, torch.device("cpu"))
    seals = checkpoint.verify(path)
    for _ in range(random.randint(1, 2)):
        part = random.choice([state, state["model"] if isinstance(state.get("model"), dict) else state])
        name = random.choice(sorted(part, key=str))
        odd: list[Any] = [
            None,
            -1,
            10**12,
            "a",
            [],
            {},
            float("nan"),
            torch.zeros(3),
            torch.zeros(0),
            torch.ones(2, 2, 2),
        ]
        odd += [torch.full((2, 8), float("nan")), torch.zeros(3, dtype=torch.int64), (1, 2), {"a": {"b": []}}]
        if random.random() < 0.3:
            part.pop(name)
        else:
            part[name] = random.choice(odd)
        if not isinstance(state.get("model"), dict):
            break
    if random.random() < 0.2:
        seals[random.choice(sorted(seals))] = values.plain(random)
    checkpoint.save(path, state, **seals)
    for name in ("finished.json", *(["rows.jsonl"] if random.random() < 0.1 else [])):
        (path.parent / name).unlink(missing_ok=True)
    match random.randrange(4):
        case 0:
            return ["evaluate", str(path.parent), "--examples", "8"]
        case 1:
            return ["status", "out"]
        case _:
            return ["resume", "out"]


RAISES = (
    "ValueError('no')",
    "SystemExit(0)",
    "SystemExit('x')",
    "KeyError",
    "RecursionError",
    "MemoryError",
    "OSError(2, 'x')",
)
RAISES += (
    "Exception('\\x1b[31m' + 'a' * 10**6)",
    "AssertionError",
    "StopIteration",
    "type('Odd', (BaseException,), {})()",
)
ODD = ("None", "1", "'text'", "[]", "object()", "lambda *a, **k: None", "print", "type", "int", "float('nan')", "...")

MODULE = """
from dataclasses import dataclass, field
from typing import Any, ClassVar
import torch
from baselines.hybrid import Hybrid
from tasks.rule110 import Rule110
{before}
@dataclass(frozen=True, kw_only=True)
class Thing({base}):
    {attributes}
    def {method}(self, *given: Any, **named: Any) -> Any:
        {body}
{after}
"""
METHODS = (
    "build",
    "episodes",
    "chance",
    "records",
    "__post_init__",
    "at",
    "floors",
    "__hash__",
    "vocab_size",
    "window",
)
METHODS += ("__repr__", "__eq__", "axis", "version", "name", "seq_len")


def plug_ins(random: Random) -> list[str]:
    """A module of somebody's own: what it offers is no model or task, raises, or returns anything."""
    wrong = random.choice(("raise " + random.choice(RAISES), "return " + random.choice(ODD)))
    attributes = [f"name: ClassVar[Any] = {random.choice(('1', 'None', repr('odd'), repr('')))}"]
    if random.random() < 0.3:
        attributes += [f"{random.choice(('n', 'depth', 'd_model', 'seed', 'version'))}: Any = {random.choice(ODD)}"]
    text = MODULE.format(
        before=random.choice(
            ("", "", "", "raise " + random.choice(RAISES), "import no_such_module", "def", "x = 1 / 0")
        ),
        base=random.choice(("Hybrid", "Hybrid", "Rule110", "Rule110", "object", "dict")),
        attributes="\n    ".join(random.sample(attributes, random.randint(1, len(attributes)))),
        method=random.choice(METHODS),
        body=wrong,
        after=random.choice(
            ("", "", "", "", "", "", "", f"Thing = {random.choice(ODD)}", "del Thing", "Thing = Thing()")
        ),
    )
    Path("odd.py").write_text(text)
    if random.random() < 0.1:
        Path("odd.py").write_bytes(values.damaged(random, text.encode()))
    model = random.random() < 0.5
    place = ["--model" if model else "--task", "odd:Thing"]
    match random.randrange(4):
        case 0 if model and "check-model" not in NOT_HERE:
            return ["check-model", "odd:Thing"]
        case 1 if not model:
            return ["data", "odd:Thing", "--show", "1"]
        case 2:
            return ["run", "quick", "--scale", "tiny", *place, "--out", "new", *random.choice(([], ["--no-audit"]))]
        case _:
            return ["show", "quick", "--scale", "tiny", *place]


KINDS: dict[str, tuple[Case, int]] = {
    "command lines": (arguments, 35),
    "settings": (settings, 20),
    "files": (files, 12),
    "rows and plans": (lines, 12),
    "tables": (tables, 8),
    "checkpoints": (checkpoints, 5),
    "plug-ins": (plug_ins, 8),
}
"""Every kind, and how often it is taken."""
