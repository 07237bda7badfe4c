"""The shape of the repository: where the packages come from, who imports whom, what a cold start costs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("benchmark", "tasks", "baselines")
MAX_LINES = 300
IN_C = pytest.mark.skipif(shutil.which(os.environ.get("CC", "cc")) is None, reason="no C compiler here")

# An arrow that must not exist: code in the first package may not name the others.
FORBIDDEN = {"tasks": ("benchmark", "baselines"), "baselines": ("benchmark", "tasks")}

# The rooms of benchmark/, and the rooms that each may import from.
ROOMS: dict[str, set[str]] = {
    "environment": set(),
    "forward": set(),
    "rows": {"environment"},
    "cells": {"environment", "rows", "forward"},
    "run": {"environment", "rows", "forward", "cells"},
    "judge": {"environment", "rows", "cells"},
    "measure": {"environment", "rows", "forward", "cells", "run", "judge"},
    "figures": {"environment", "rows", "cells", "run", "judge", "measure"},
    "report": {"environment", "rows", "cells", "run", "judge", "measure", "figures"},
    "cli": {"environment", "rows", "forward", "cells", "run", "judge", "measure", "figures", "report"},
    "api": {"rows", "cells", "run", "judge", "measure", "figures", "cli"},
}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def python(code: str, *arguments: str, cwd: Path, path: tuple[Path, ...] = ()) -> str:
    """Run code in a fresh interpreter, with no import path but its own and the one given."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if path:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Where the packages come from


def installed() -> bool:
    """Whether the packages must be found without help: always in the environment that make builds."""
    try:
        distribution("sleepbench")
    except PackageNotFoundError:
        return Path(sys.prefix).resolve() == (ROOT / ".venv").resolve()
    return True


def foreign(cwd: Path, path: tuple[Path, ...]) -> dict[str, str | None]:
    """The packages that a fresh interpreter does not find in this checkout, and what it finds instead."""
    code = (
        "import json, sys; from importlib.util import find_spec; "
        "specs = {name: find_spec(name) for name in sys.argv[1:]}; "
        "print(json.dumps({name: spec and spec.origin for name, spec in specs.items()}))"
    )
    origins: dict[str, str | None] = json.loads(python(code, *PACKAGES, cwd=cwd, path=path))
    here = {name: ROOT / name / "__init__.py" for name in PACKAGES}
    return {name: at for name, at in origins.items() if at is None or Path(at).resolve() != here[name]}


def test_packages_come_from_this_checkout(tmp_path: Path) -> None:
    # In this process pytest's own path entry would hide a foreign package, hence the subprocess, away from
    # the checkout. Where the project is not installed, its root is put first, as pytest and `python -m` do.
    found = foreign(tmp_path, () if installed() else (ROOT,))
    assert not found, f"not from {ROOT}: {found}. Is another package of that name installed, or an old copy?"


@pytest.mark.parametrize("name", PACKAGES)
def test_a_foreign_package_is_noticed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    assert foreign(tmp_path, (tmp_path, ROOT)) == {name: str(tmp_path / name / "__init__.py")}


@pytest.mark.parametrize("name", PACKAGES)
def test_no_module_in_the_root_hides_a_package(name: str) -> None:
    assert not (ROOT / f"{name}.py").exists()


# Who imports whom


def imported(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute module) for every import, and for every string that is a dotted path.

    Args:
        source: Python code.
        package: the package that holds it, as parts, to resolve relative imports against.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            yield node.lineno, ".".join([*base, *([node.module] if node.module else [])])
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            if ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)
        elif isinstance(node, ast.Constant) and re.fullmatch(r"\w+(\.\w+)+(:\w+)?", str(node.value)):
            yield node.lineno, str(node.value)  # "package.module:Class", as in a registry


def against_the_arrows(source: str, path: Path) -> list[str]:
    """The imports in a file, given by its path from the root, that its package may not have."""
    banned = FORBIDDEN[path.parts[0]]
    names = imported(source, path.parent.parts)
    return sorted({f"{path}:{line} {name}" for line, name in names if re.split(r"[.:]", name)[0] in banned})


@pytest.mark.parametrize("package", FORBIDDEN)
def test_arrows(package: str) -> None:
    files = sources(package)
    assert files, f"{package}/ holds no Python file"
    wrong = [line for file in files for line in against_the_arrows(file.read_text("utf-8"), file.relative_to(ROOT))]
    assert not wrong, f"{package} may import neither of {FORBIDDEN[package]}: {wrong}"


@pytest.mark.parametrize(
    "source",
    [
        "import benchmark",
        "import torch, benchmark.cli as cli",
        "from benchmark import rows",
        "def f():\n    from baselines.layers import Norm",
        "import_module('benchmark')",
        "MODELS = {'x': 'baselines.hybrid:Hybrid'}",
    ],
)
def test_an_import_against_the_arrows_is_noticed(source: str) -> None:
    assert len(against_the_arrows(source, Path("tasks/example.py"))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import tasks.base",
        "from . import base",
        "from .. import base",
        "from .benchmark import x",
        "KIND = 'benchmark'",
    ],
)
def test_an_import_along_the_arrows_passes(source: str) -> None:
    assert against_the_arrows(source, Path("tasks/gsm/example.py")) == []


def room(module: str) -> str | None:
    """The room of benchmark/ that a dotted path leads into."""
    parts = re.split(r"[.:]", module)
    return parts[1] if parts[0] == "benchmark" and len(parts) > 1 else None


def between_rooms(source: str, own: str) -> list[str]:
    """The rooms that a file of a room imports from against the arrows; `from benchmark import rows` counts too."""
    names = [name for _, name in imported(source, ("benchmark", own))]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "benchmark":
            names += [f"benchmark.{alias.name}" for alias in node.names]
    return sorted({entered for name in names if (entered := room(name)) in ROOMS} - ROOMS[own] - {own})


def test_rooms_are_entered_along_the_arrows() -> None:
    files = {path.stem for path in (ROOT / "benchmark").glob("*.py")} - {"__init__", "__main__"}
    folders = {path.parent.name for path in (ROOT / "benchmark").glob("*/__init__.py")}
    assert files | folders <= set(ROOMS), "a room without arrows"
    wrong = {}
    for file in sources("benchmark"):
        own = file.relative_to(ROOT / "benchmark").parts[0].removesuffix(".py")
        if own in ROOMS and (entered := between_rooms(file.read_text("utf-8"), own)):
            wrong[str(file.relative_to(ROOT))] = entered
    assert not wrong


@pytest.mark.parametrize(
    "source",
    [
        "from benchmark import cli",
        "from benchmark.cli.console import terminal",
        "import benchmark.run.trainer",
        "X = 'benchmark.run.local:Local'",
    ],
)
def test_a_climb_is_noticed(source: str) -> None:
    assert len(between_rooms(source, "cells")) == 1


def test_rooms_are_no_circle() -> None:
    order = list(ROOMS)
    assert all(order.index(below) < order.index(own) for own, all_below in ROOMS.items() for below in all_below)


def test_nothing_that_is_read_can_run() -> None:
    """What is read is data: nothing unpickles, evaluates text as code or starts a shell. SECURITY.md promises it."""
    wrong = []
    for file in (file for package in PACKAGES for file in sources(package)):
        source = file.read_text("utf-8")
        wrong += [f"{file.relative_to(ROOT)}: {what}" for what in dangers(source)]
    assert not wrong


PICKLERS = ("pickle", "_pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve")
RUNNERS = ("eval", "exec", "compile", "torch.load", "torch.save", "os.system", "os.popen", "subprocess.getoutput")


def dangers(source: str) -> list[str]:
    """The places of a source that could run what a file says, aside from importing a module by its name."""
    found = [f"imports {name}" for _, name in imported(source, ()) if name.split(".")[0] in PICKLERS]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in RUNNERS or name.split(".")[-1] in ("read_pickle", "to_pickle"):
                found.append(f"line {node.lineno} calls {name}")
            for option in node.keywords:
                if (option.arg, ast.unparse(option.value)) in (("shell", "True"), ("allow_pickle", "True")):
                    found.append(f"line {node.lineno} says {option.arg}=True")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "import torch\ntorch.load('x', weights_only=True)",
        "eval('1')",
        "subprocess.run('ls', shell=True)",
        "np.load('x', allow_pickle=True)",
        "os.system('ls')",
    ],
)
def test_a_danger_is_noticed(source: str) -> None:
    assert len(dangers(source)) == 1


def test_files_stay_readable_in_one_sitting() -> None:
    sizes = {file: len(file.read_text("utf-8").splitlines()) for name in PACKAGES for file in sources(name)}
    long = {str(file.relative_to(ROOT)): size for file, size in sizes.items() if size > MAX_LINES}
    assert not long, f"more than {MAX_LINES} lines: {long}"


# What a cold start loads


@pytest.mark.parametrize(
    ("modules", "banned"),
    [
        # `bench --help` answers at once: torch alone costs more than a second.
        ("benchmark.cli", ("torch", "polars", "matplotlib")),
        # Rows are read, judged and drawn without what trains.
        ("benchmark.rows benchmark.rows.studies benchmark.rows.outcomes benchmark.judge.claims", ("torch",)),
        ("benchmark.judge.curves benchmark.judge.summaries benchmark.judge.seeds", ("torch",)),
        ("benchmark.figures.cost_figure benchmark.figures.probe_figure benchmark.measure.cost_tables", ("torch",)),
        ("benchmark.figures benchmark.rows.text", ("torch", "scipy")),  # scipy takes longer than all the rest
        ("benchmark.cli.status benchmark.run.standing benchmark.cells.words", ("torch", "numpy", "polars")),
        # Whatever trains a cell runs on a machine with torch and numpy alone.
        ("benchmark.run.trainer benchmark.run.worker", ("polars", "matplotlib", "rich", "typer", "pydantic")),
    ],
)
def test_import_loads_no_more_than_it_needs(modules: str, banned: tuple[str, ...]) -> None:
    code = (
        "import sys; from importlib import import_module; "
        "[import_module(name) for name in sys.argv[1].split()]; "
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = set(python(code, modules, cwd=ROOT, path=(ROOT,)).split())
    assert not loaded & set(banned), f"importing {modules} loads {sorted(loaded & set(banned))}"


@pytest.mark.parametrize("backend", ["torch", pytest.param("native", marks=IN_C)])
def test_training_does_not_load_torchs_compiler(backend: str, tmp_path: Path) -> None:
    """That would double the time that a worker takes to start; a cell is trained, saved and gone on with."""
    code = (
        "import sys, pathlib; from benchmark.cells.request import Request; from benchmark.run.trainer import Trainer; "
        "settings = ('tokens=2000', 'evaluations=2', 'test_examples=16', 'd_model=32', 'mlp_ratio=2', 'heads=2'); "
        "cell, = Request(suite='quick', scale='tiny', seeds=(0,), sleep_passes=(1,), rollout_steps=(0,), "
        "settings=settings).plan().cells(); backend, place = sys.argv[1], pathlib.Path(sys.argv[2]); "
        "first, second = (Trainer(cell, place, backend=backend) for _ in range(2)); "
        "first.run(stop=lambda: first.step == 1); print(second.run(), second.backend, 'torch._dynamo' in sys.modules)"
    )
    assert python(code, backend, str(tmp_path), cwd=ROOT, path=(ROOT,)).split() == ["ok", backend, "False"]


# What the files around the code say


def test_the_two_commands_are_the_same_everywhere() -> None:
    readme, makefile = (ROOT / "README.md").read_text("utf-8"), (ROOT / "Makefile").read_text("utf-8")
    workflow = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    for target in ("bench", "test"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        assert re.search(rf"target: \[.*\b{target}\b.*\]", workflow)
    script = ROOT / ".ci/run"
    assert script.read_text("utf-8").splitlines()[-1] == "make test"
    assert os.access(script, os.X_OK)


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    asked += [name for extra in project["project"]["optional-dependencies"].values() for name in extra]
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    pinned = [pin.split("==")[0] for pin in pins]
    assert len(set(pinned)) == len(pinned)
    names = {re.match(r"[\w-]+", line)[0].lower() for line in asked}  # type: ignore[index]
    assert names <= set(pinned), f"not in constraints.txt: {sorted(names - set(pinned))}"


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {project['project']['version']}\n" in citation
