"""Which code rows come from: a hash of what computes numbers, and a word where one table mixes several."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from harness import ROOT, bench, small
from planted import flat, planted

from benchmark import environment, rows
from benchmark.rows.identity import mixture
from benchmark.run.folder import SweepFolder
from benchmark.run.trainer import Trainer


def test_what_trains_a_cell_is_in_the_hash() -> None:
    code = (
        "import sys, benchmark.run.trainer; "
        "print(*(m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {Path(name) for name in done.stdout.split()}
    ours = {
        path
        for path in loaded
        if path.is_relative_to(ROOT) and path.name != "__init__.py" and ".venv" not in path.parts
    }
    beside = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ours - set(environment.source_files())}
    assert len(ours) > 20
    kept = {name for name in beside if not name.startswith("benchmark.rows.")}
    assert kept <= {"benchmark.environment", "benchmark.run.checkpoint"}, "what is written down, not what is computed"
    for place, names in environment.EXEMPTIONS.items():
        assert all((ROOT / place / name).is_dir() or (ROOT / place / f"{name}.py").exists() for name in names)
    assert ROOT / "baselines" / "native" / "kernel.c" in environment.source_files()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code's shape."""
    for name in environment.SOURCES:
        path = tmp_path / name
        path = path if path.suffix else path / "part.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    return tmp_path


def fresh() -> str:
    return environment.source.__wrapped__()


def test_a_change_of_what_computes_is_a_change_of_the_hash(tree: Path) -> None:
    before = fresh()
    (tree / "benchmark" / "cli.py").write_text("# how it is shown")
    (tree / "benchmark" / "run" / "board.py").write_text("# how it is shown")
    (tree / "tasks" / "README.md").write_text("words")
    assert fresh() == before == fresh()
    seen = {before}
    for name in ("tasks/part.py", "benchmark/run/new.py", "baselines/new.c"):
        (tree / name).write_text("changed")
        seen.add(fresh())
    (tree / "tasks" / "part.py").rename(tree / "tasks" / "renamed.py")
    assert len(seen | {fresh()}) == 5
    assert environment.source() == environment.source(), "read once"


def test_rows_carry_it_from_the_process_that_trains(tmp_path: Path) -> None:
    cell = small(tokens=80, evaluations=1, test_examples=8)
    Trainer(cell, tmp_path).run()
    assert {row["source"] for row in rows.read(tmp_path / "rows.jsonl")} == {environment.source()}
    assert environment.describe()["source"] == environment.source()


def test_rows_of_one_state_are_no_mixture() -> None:
    assert mixture([]) is None
    assert (
        mixture([{"cell_id": "a", "source": "1", "commit": "x"}, {"cell_id": "b", "source": "1", "commit": "y"}])
        is None
    )
    assert mixture([{"cell_id": "a", "commit": "x"}, {"cell_id": "b", "source": None, "commit": "x"}]) is None


def test_a_mixture_names_its_states_and_how_many_cells_each_has() -> None:
    found = [{"cell_id": str(i), "source": "one"} for i in range(3)] + [{"cell_id": "9", "commit": "abc"}]
    said = mixture(found)
    assert said is not None and "2 states of the code: source one (3 cells), commit abc (1 cell);" in said
    many = mixture({"cell_id": str(i), "source": str(i)} for i in range(9))
    assert many is not None and "9 states" in many and " and 5 more;" in many


def test_table_and_status_warn(tmp_path: Path) -> None:
    planted_rows = planted(flat(n1=0.6, n2=0.9), depths=(1,), seeds=2)
    for row in planted_rows:
        row |= {"schema_version": rows.SCHEMA_VERSION, "source": f"state{row['seed']}"}
    rows.write_table(tmp_path / "rows.parquet", planted_rows)
    done = bench("table", tmp_path, "--format", "csv")
    assert done.code == 0 and "2 states of the code: source state0 (2 cells), source state1 (2 cells)" in done.err
    assert pl.read_csv(done.out.encode()).height > 0, "stdout is the table alone"

    cells = [small(seed=seed, tokens=160, evaluations=2, test_examples=8) for seed in (0, 1)]
    place = SweepFolder(tmp_path / "run")
    with place.session(cells):
        for cell, source in zip(cells, ("old", "new"), strict=True):
            trainer = Trainer(cell, place.of(cell).path)
            trainer.facts["source"] = source
            trainer.run(stop=lambda trainer=trainer: trainer.step >= 3)  # type: ignore[misc]
    done = bench("status", tmp_path / "run", "--json")
    assert done.code == 0 and len(json.loads(done.out)["cells"]) == 2
    assert "2 states of the code: source new (1 cell), source old (1 cell)" in done.err
