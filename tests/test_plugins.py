"""Models and tasks that are not in the registries: by path, by entry point, and the toy package that shows both."""

import importlib.util
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest
import torch
from harness import bench, real_bench, small

import baselines
import tasks
from baselines.addresses import FOLDER, _config, their_traceback
from baselines.base import ModelConfig
from baselines.hybrid import Hybrid
from baselines.presets import FullCache, JetHybrid, LoopedHybrid, SlidingHybrid, Transformer
from baselines.sleeper import Sleeper
from benchmark import rows
from benchmark.cells.cell import Cell, Training
from benchmark.cells.grids import Grid, Plan
from benchmark.cells.suites import suite
from benchmark.run.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
TOY = ROOT / "tests" / "toy"
toy = pytest.mark.skipif(
    importlib.util.find_spec("sleepbench_toy") is None,
    reason="sleepbench-toy is not installed: pip install -e tests/toy",
)


def readme() -> str:
    """The first Python block of the README's section."""
    section = (
        (ROOT / "README.md").read_text("utf-8").partition("\n## Your own model or task\n")[2].partition("\n## ")[0]
    )
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's own folder, current while the test runs; what is imported from it is forgotten after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def write(home: Path, source: str, name: str | None = None) -> str:
    """A module of a name that no other test has; its name."""
    name = name or f"own_{home.name.replace('-', '_')}"
    (home / f"{name}.py").write_text(source)
    return name


FACTORY = """
import torch
from baselines.hybrid import Hybrid
version = 7

def build(*, vocab_size, window, seq_len):
    build.given = vocab_size, window, seq_len
    return Hybrid(layout="attn gdn", d_model=8, heads=2, mlp_ratio=1).build(
        vocab_size=vocab_size, window=window, seq_len=seq_len)

class Shelf:
    build = build

def three(a, b, c): pass
def nothing(*, vocab_size, window, seq_len): pass
def layer(**sizes): return torch.nn.Linear(2, 2)
def broken(**sizes): return {}["missing"]
number = 3
"""


# A function


def test_a_factory_is_a_model_without_settings(home: Path) -> None:
    path = write(home, FACTORY) + ":build"
    kind = baselines.load(path)
    assert issubclass(kind, ModelConfig)
    assert (kind.name, kind.version) == (path, 1)
    assert kind is baselines.load(path), "two cells of it are equal"
    assert kind() == kind() and hash(kind()) == hash(kind())
    cell = replace(small(), model=kind())
    assert set(cell.axes) == set(small().axes) - {f for f in Hybrid.__dataclass_fields__}
    model = kind().build(vocab_size=5, window=4, seq_len=9)
    assert isinstance(model, Sleeper)
    assert model.embedding.num_embeddings == 5
    assert sys.modules[path.partition(":")[0]].build.given == (5, 4, 9)


def test_a_factory_says_its_version(home: Path) -> None:
    path = write(home, FACTORY + "build.version = 3\n") + ":build"
    assert baselines.load(path).version == 3
    one = replace(small(), model=baselines.load(path)())
    sys.modules[path.partition(":")[0]].build.version = 4
    _config.cache_clear()
    other = replace(small(), model=baselines.load(path)())
    assert one.id != other.id, "other numbers, other cell"
    with pytest.raises(ValueError, match=r"version 3 was asked for; here is version 4"):
        Cell.from_json(one.as_json())


def test_an_attribute_of_an_attribute(home: Path) -> None:
    path = write(home, FACTORY) + ":Shelf.build"
    assert baselines.load(path).name == path


def test_a_cell_goes_through_json(home: Path) -> None:
    for attribute in ("build", "Shelf.build"):
        cell = replace(small(sleep_passes=2), model=baselines.load(f"{write(home, FACTORY)}:{attribute}")())
        assert Cell.from_json(json.loads(json.dumps(cell.as_json()))) == cell


# A config class


def test_a_config_class_by_path_is_named_by_it() -> None:
    path = "baselines.presets:SlidingHybrid"
    kind = baselines.load(path)
    assert kind.name == path
    assert issubclass(kind, SlidingHybrid)
    assert kind.version == SlidingHybrid.version
    assert SlidingHybrid.name == "sliding", "the class itself is left alone"
    by_path, registered = (replace(small(), model=made(d_model=8, heads=2)) for made in (kind, SlidingHybrid))
    assert Cell.from_json(json.loads(json.dumps(by_path.as_json()))) == by_path
    assert by_path.axes == registered.axes
    assert by_path.id != registered.id
    with pytest.raises(ValueError, match="heads = 3 does not divide"):
        kind(heads=3)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("name = 'x'\n    version = 1\n    size: int\n" + "    def build(self, **k): ...", "size has none"),
        ("name = 'x'\n    def build(self, **k): ...", "Own needs a class attribute version"),
        ("version = 1", r"Own needs a method build\(self, \*, vocab_size, window, seq_len\)"),
    ],
)
def test_a_config_class_that_lacks_something(home: Path, body: str, said: str) -> None:
    head = "from dataclasses import dataclass\nfrom baselines.base import ModelConfig\n"
    name = write(home, f"{head}@dataclass(frozen=True, kw_only=True)\nclass Own(ModelConfig):\n    {body}\n")
    with pytest.raises(ValueError, match=said):
        baselines.load(f"{name}:Own")


# What is refused


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "hybird",
            r"unknown model 'hybird'; valid: hybrid, .* or hf:FOLDER; did you mean 'hybrid'\?",
        ),
        ("OWN.build", r"unknown model '\w+.build'; valid: .*, package.module:attribute, or hf:FOLDER$"),
        ("no_such_module:build", "cannot import no_such_module: No module named 'no_such_module'$"),
        ("OWN.py:build", "a module is written without .py$"),
        ("own/model.py:build", "a path is package.module:attribute, with dots and no folders"),
        (".OWN:build", "a path is package.module:attribute"),
        (":build", "a path is package.module:attribute"),
        ("OWN:", "a path is package.module:attribute"),
        ("OWN:biuld", r"module \w+ has no 'biuld'$"),
        ("OWN:Shelf.biuld", r"has no 'Shelf.biuld'$"),
        ("OWN:number", "is a value of type int, neither a ModelConfig class nor a factory; a factory takes vocab_size"),
        ("OWN:three", "missing a required argument: 'a'; a factory takes vocab_size|unexpected keyword argument"),
    ],
)
def test_what_is_no_model(home: Path, path: str, said: str) -> None:
    own = write(home, FACTORY)
    with pytest.raises(ValueError, match=said):
        baselines.load(path.replace("OWN", own))


@pytest.mark.parametrize(("attribute", "returned"), [("nothing", "None"), ("layer", "a value of type Linear")])
def test_a_factory_that_returns_no_model(home: Path, attribute: str, returned: str) -> None:
    path = f"{write(home, FACTORY)}:{attribute}"
    with pytest.raises(ValueError, match=rf"{path!r} returned {returned}; a factory .* returns a baselines.base.Model"):
        baselines.load(path)().build(vocab_size=3, window=4, seq_len=5)
    done = bench("run", "quick", "--scale", "tiny", "--model", path)
    assert (done.code, done.out) == (2, "")
    assert f"returned {returned}" in done.err
    assert not (home / "results").exists(), "nothing is begun"


def test_a_module_that_misses_another(home: Path) -> None:
    own = write(home, "import numpie")
    done = bench("show", "quick", "--model", f"{own}:build")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"bench: model '{own}:build': cannot import {own}: No module named 'numpie'\n"


@pytest.mark.parametrize(
    ("source", "line", "error"),
    [
        ("def f():\n    return 1 / 0\nf()", "return 1 / 0", "ZeroDivisionError: division by zero"),
        ("def build(:", "def build(:", "SyntaxError"),
    ],
)
def test_a_module_that_raises_shows_its_own_traceback_alone(home: Path, source: str, line: str, error: str) -> None:
    own = write(home, source)
    done = bench("run", "quick", "--scale", "tiny", "--model", f"{own}:build")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bench: model '{own}:build': importing {own} raised\n")
    assert str(home / f"{own}.py") in done.err
    assert line in done.err and error in done.err
    assert "importlib" not in done.err and str(ROOT / "baselines") not in done.err


def test_a_factory_that_raises_shows_its_own_traceback_alone(home: Path) -> None:
    path = write(home, FACTORY) + ":broken"
    done = bench("run", "quick", "--scale", "tiny", "--model", path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bench: model {path!r}: building it raised\n")
    assert "in broken" in done.err and "KeyError: 'missing'" in done.err
    assert str(ROOT / "baselines") not in done.err
    assert not (home / "results").exists()


def test_a_traceback_without_frames_of_ours_is_whole() -> None:
    try:
        raise KeyError("mine")
    except KeyError as error:
        assert "in test_a_traceback_without_frames_of_ours_is_whole" in their_traceback(error)


# Where it is looked for


def test_a_worker_is_told_the_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(home, FACTORY) + ":build"
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match="cannot import"):
        baselines.load(path)
    monkeypatch.setenv(FOLDER, str(home))
    assert baselines.load(path).name == path


def test_the_readmes_model_trains_in_real_workers(home: Path) -> None:
    """From the user's folder, where nothing may hide what is installed: a folder `tasks` is common."""
    source = readme()
    assert len([line for line in source.splitlines() if line.strip()]) <= 15
    write(home, source, "own")
    for name in ("tasks", "numpy"):
        (home / name).mkdir()
        (home / name / "__init__.py").write_text("raise RuntimeError('not this')")
    settings = ["--set", "tokens=1200", "--set", "batch=8", "--set", "test_examples=16", "--set", "evaluations=1"]
    command = ["quick", "--scale", "tiny", "--model", "own:Recurrent", *settings, "--jobs", "2"]
    done = real_bench("run", *command, "--rollout-steps", "0", cwd=home)
    assert (done.code, done.err) == (0, "")
    assert "quick, scale tiny, model own:Recurrent" in done.out
    folder = home / "results" / "runs" / "quick-tiny-own-Recurrent"
    frame = rows.read_table(folder)
    assert set(frame["model"]) == {"own:Recurrent"}
    assert set(frame["status"]) == {"ok"}
    # Embedding and output layer of 3 tokens, a bias per token, and three gates of two 32 x 32 matrices and two biases.
    assert set(frame["parameters"]) == {2 * 3 * 32 + 3 + 3 * (2 * 32 * 32 + 2 * 32)}
    assert set(frame["state_bytes"]) == {32 * 4}
    flops = {n: frame.filter(pl.col("sleep_passes") == n)["sleep_flops"][0] for n in (1, 2)}
    assert flops[2] > 1.9 * flops[1] > 0
    status = json.loads(bench("status", folder, "--json").out)
    assert [cell["state"] for cell in status["cells"]] == ["ok", "ok"]


def test_a_folder_whose_module_is_gone_says_which(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = write(home, FACTORY)
    cell = replace(small(), model=baselines.load(f"{own}:build")())
    folder = home / "run" / "cells" / cell.id
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text(json.dumps(cell.as_json()))
    _config.cache_clear()
    monkeypatch.delitem(sys.modules, own)
    monkeypatch.chdir(ROOT)
    sys.path.remove(str(home))
    assert bench("status", home / "run").code == 0, "it reads data alone"
    done = bench("retry", home / "run", "--trust")
    assert (done.code, done.out) == (2, "")
    assert str(folder / "cell.json") in done.err
    assert f"cannot import {own}" in done.err


# A suite with another model


def only(plan: Plan) -> Cell:
    """The base of a plan of one grid."""
    (base,) = plan.bases
    return base


@pytest.mark.parametrize("name", ["passes", "addressing", "rules", "sliding", "no-gain"])
def test_with_the_model_it_has_a_suite_is_what_it_was(name: str) -> None:
    plan = suite(name, "tiny")
    assert plan.with_model(Hybrid).cells() == plan.cells()


def test_another_model_keeps_the_sizes_of_the_suite_and_what_it_is() -> None:
    """The suite at this scale: layout "attn gdn", width 16, 2 heads, MLP ratio 1."""
    plan = suite("passes", "tiny")
    sliding = only(plan.with_model(SlidingHybrid)).model
    assert sliding == SlidingHybrid(layout="attn gdn", d_model=16, heads=2, mlp_ratio=1)
    assert sliding.eviction == "sliding"
    transformer = only(plan.with_model(Transformer)).model
    assert transformer == Transformer(d_model=16, heads=2, mlp_ratio=1)
    assert set(transformer.layout.split()) == {"attn"}
    cache = only(plan.with_model(FullCache)).model
    assert (cache.eviction, cache.d_model) == ("none", 16)
    jet = only(plan.with_model(JetHybrid)).model
    assert (jet.d_model, jet.heads, jet.mlp_ratio) == (512, 8, 1), "its width is part of what it is"
    for kind in (SlidingHybrid, Transformer):
        changed = plan.with_model(kind)
        assert changed.axes == plan.axes
        assert [(c.seed, c.difficulty, c.training, c.task) for c in changed.cells()] == [
            (c.seed, c.difficulty, c.training, c.task) for c in plan.cells()
        ]


def test_settings_come_after_the_model() -> None:
    plan = suite("passes", "tiny")
    model = only(plan.with_model(JetHybrid, {"d_model": 32, "heads": 2, "tokens": 7})).model
    assert (model.d_model, model.heads, model.layout) == (32, 2, JetHybrid.layout)
    with pytest.raises(ValueError, match=r"needs at least 4 blocks.*layout 'attn gdn' has 2"):
        plan.with_model(LoopedHybrid)
    looped = only(plan.with_model(LoopedHybrid, {"layout": "gdn gdn gdn gdn"})).model
    assert (looped.loop, looped.layout, looped.d_model) == ("middle", "gdn gdn gdn gdn", 16)
    with pytest.raises(ValueError, match=r"unknown setting 'd_modle'.*did you mean 'd_model'"):
        plan.with_model(JetHybrid, {"d_modle": 32})


@dataclass(frozen=True, kw_only=True)
class Foreign(ModelConfig):
    """Shares two names with the hybrid; one of them has another default."""

    name: ClassVar[str] = "foreign"
    version: ClassVar[int] = 1

    d_model: int = 24
    heads: int = 4
    levels: int = 5

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Sleeper:
        raise NotImplementedError


def test_a_model_of_another_kind_takes_what_it_shares() -> None:
    assert only(suite("passes", "tiny").with_model(Foreign)).model == Foreign(heads=2)
    with pytest.raises(ValueError, match=r"unknown setting 'layout'"):
        suite("passes", "tiny").with_model(Foreign, {"layout": "attn"})


def test_axes_that_a_model_lacks_or_is_defined_by() -> None:
    said = r"runs through window_embedding, which model 'foreign' does not have; its settings: d_model, heads, levels$"
    with pytest.raises(ValueError, match=said):
        suite("addressing", "tiny").with_model(Foreign)
    grid = Grid(base=small(), axes={"seed": (0,), "layout": ("attn gdn", "gdn gdn")})
    assert len(grid.with_model(SlidingHybrid, {}).cells()) == 2
    with pytest.raises(ValueError, match="runs through layout, which is what makes model 'transformer' what it is"):
        grid.with_model(Transformer, {})
    (cell,) = grid.with_model(Transformer, {"layout": "attn"}).cells()
    assert cell.axes["layout"] == "attn"


def test_every_grid_of_a_plan_gets_the_model() -> None:
    plan = suite("no-gain", "tiny").with_model(Transformer, {"pairs": 5})
    assert {(base.task.name, base.model.name) for base in plan.bases} == {
        (base.task.name, "transformer") for base in suite("no-gain", "tiny").bases
    }
    assert {base.axes.get("pairs") for base in plan.bases} == {5, None}


# The command


def test_show_with_another_model() -> None:
    done = bench("show", "passes", "--scale", "tiny", "--model", "sliding", "--set", "batch=8", "--json")
    assert (done.code, done.err) == (0, "")
    shown = [cell["cell_id"] for cell in json.loads(done.out)["cells"]]
    expected = suite("passes", "tiny").with_model(SlidingHybrid, {"batch": 8}).cells()
    assert shown == [cell.id for cell in expected]
    assert not set(shown) & {c.id for c in suite("passes", "tiny").with_settings({"batch": 8}).cells()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "hybird"], "unknown model 'hybird'; valid: hybrid, "),
        (["--model", "hybird"], "did you mean 'hybrid'?"),
        (["--model", "hybrid", "--set", "dept=2"], "unknown setting 'dept'"),
        (["--model", "looped"], "needs at least 4 blocks"),
        (["--model", "sliding", "--set", "heads=3"], "heads = 3 does not divide d_model = 16"),
    ],
)
@pytest.mark.parametrize("command", ["run", "show"])
def test_bad_input_gets_one_message(home: Path, command: str, arguments: list[str], said: str) -> None:
    done = bench(command, "quick", "--scale", "tiny", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(home.iterdir())


# Entry points


def plug_in(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, str]) -> None:
    """Install models and tasks under these names alone."""

    def entry_points(*, group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in entries]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


@pytest.mark.parametrize(
    ("registry", "first", "kind"),
    [(baselines, "baselines.presets:Transformer", "models"), (tasks, "tasks.recall:Recall", "tasks")],
)
def test_two_that_claim_one_name(monkeypatch: pytest.MonkeyPatch, registry: object, first: str, kind: str) -> None:
    plug_in(monkeypatch, ("mine", first), ("mine", "other.package:Thing"))
    for call in (registry.available, lambda: registry.load("mine")):  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match=f"two {kind} are named 'mine': {first} and other.package:Thing"):
            call()
    done = bench("list")
    assert (done.code, done.out) == (2, "")
    assert "are named 'mine'" in done.err


def test_an_entry_that_calls_itself_something_else(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = write(
        home,
        "from baselines.hybrid import Hybrid\nfrom tasks.recall import Recall\n"
        "class M(Hybrid): name = 'other'\nclass T(Recall): name = 'other'\n",
    )
    monkeypatch.syspath_prepend(home)
    plug_in(monkeypatch, ("mine", f"{own}:M"))
    with pytest.raises(ValueError, match=f"model 'mine': {own}:M calls itself 'other'; its name must be 'mine'"):
        baselines.load("mine")
    plug_in(monkeypatch, ("mine", f"{own}:T"))
    with pytest.raises(ValueError, match=f"task 'mine': {own}:T calls itself 'other'; its name must be 'mine'"):
        tasks.load("mine")


@pytest.mark.parametrize("registry", [baselines, tasks])
def test_a_plug_in_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, registry: object) -> None:
    plug_in(monkeypatch, ("mine", "no_such_module:Thing"))
    with pytest.raises(ValueError, match="'mine': cannot import no_such_module: No module named"):
        registry.load("mine")  # type: ignore[attr-defined]
    assert registry.load(next(iter(registry.available())))  # type: ignore[attr-defined]  # the others are untouched


# The toy package


@toy
def test_the_toy_is_installed_as_it_says() -> None:
    points = tomllib.loads((TOY / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    assert points == {
        baselines.ENTRY_POINTS: {"toy": baselines.available()["toy"]},
        tasks.ENTRY_POINTS: {"toy-task": tasks.available()["toy-task"]},
    }
    for lines in points.values():
        for name, value in lines.items():
            assert f'{name} = "{value}"' in (ROOT / "README.md").read_text("utf-8")
    found = json.loads(bench("list", "--json").out)
    assert "toy" in found["models"] and "toy-task" in found["tasks"]


@toy
def test_the_toy_model_trains_on_the_toy_task(tmp_path: Path) -> None:
    cell = Cell(
        task=tasks.load("toy-task")(bits=8, bits_per_window=4),
        model=baselines.load("toy")(),
        training=Training(tokens=3_000, batch=32, evaluations=1, test_examples=64, sleep_passes=2),
    )
    assert Cell.from_json(json.loads(json.dumps(cell.as_json()))) == cell
    assert Trainer(cell, tmp_path).run() == "ok"
    (row,) = [row for row in rows.read(tmp_path / "rows.jsonl") if row["answer"] is None]
    assert (row["chance"], row["axis"], row["difficulty"]) == (0.5, "bits", 8)
    assert row["state_bytes"] == 32 * 4


@toy
@pytest.mark.parametrize("bits", [8, 12])
def test_the_toy_task_asks_for_parity(bits: int) -> None:
    episode = tasks.load("toy-task")(bits=bits, bits_per_window=4).episodes("train", range(64))
    for inputs, targets in zip(episode.inputs, episode.targets, strict=True):
        assert targets[-1] == inputs.tolist().count(1) % 2
        assert inputs[-1] == 2
    assert set(episode.targets[:, -1]) == {0, 1}


@toy
def test_the_toy_task_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="bits = 10 do not fill windows of 4"):
        tasks.load("toy-task")(bits=10, bits_per_window=4)


@toy
def test_the_toy_model_takes_the_place_of_a_suites() -> None:
    plan = suite("quick", "tiny").with_model(baselines.load("toy"))
    assert {cell.model.name for cell in plan.cells()} == {"toy"}
    with pytest.raises(ValueError, match="window_embedding, which model 'toy' does not have; its settings: d_model"):
        suite("addressing", "tiny").with_model(baselines.load("toy"))
    torch.manual_seed(0)
    model = only(plan).model.build(vocab_size=3, window=8, seq_len=9)
    assert [*model.start(2).tensors()] == ["hidden"]


def test_make_installs_the_toy_for_tests_alone() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(
        r"^\$\(DEV\):.* tests/toy/pyproject.toml\n\t\$\(call install,\[dev\],-e tests/toy\)", makefile, re.M
    )
    assert makefile.count("-e tests/toy") == 1
    assert os.access(TOY / "pyproject.toml", os.R_OK)


def test_a_suite_with_another_task() -> None:
    """Axes that were settings of the suite's own task go; the model, the training and N stay."""
    before = suite("passes", "tiny")
    plan = before.with_task(tasks.load("recall"))
    assert plan.axes == ("seed", "sleep_passes")
    assert {cell.task for cell in plan.cells()} == {tasks.load("recall")()}
    assert {cell.model for cell in plan.cells()} == {cell.model for cell in before.cells()}
    assert len(suite("no-gain", "tiny").with_task(tasks.load("retention")).cells()) == 6  # 2 N x 3 budgets
    assert all(not c.training.test_at for c in suite("retention", "tiny").with_task(tasks.load("depo")).cells())


@pytest.mark.usefixtures("workers_here", "undrawn")
def test_the_command_trains_another_task(tmp_path: Path) -> None:
    changes = ["--set", "tokens=2000", "--set", "pairs=5", "--sleep-passes", "1"]
    done = bench("run", "passes", "--scale", "tiny", "--task", "recall", *changes, "--out", tmp_path, "--jobs", 1)
    assert done.code == 0, done.err
    assert set(rows.read_table(tmp_path)["task"]) == {"recall"}
    wrong = bench("show", "passes", "--task", "recal")
    assert (wrong.code, "did you mean 'recall'" in wrong.err) == (2, True)
    gone = bench("show", "passes", "--task", "recall", "--rollout-steps", "2")
    assert (gone.code, "unknown axis of this suite 'rollout_steps'" in gone.err) == (2, True)
