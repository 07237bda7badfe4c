"""The evidence is made whole by one command: what is there stays, what is missing or out of date is trained."""

import dataclasses
import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from harness import bench, comparable

import tasks
from benchmark import figures, rows
from benchmark.cells.request import Request
from benchmark.environment import REFERENCE
from benchmark.rows import COLUMNS, outcomes
from benchmark.rows.studies import DRAWN_PASSES
from benchmark.run import estimate, reference
from benchmark.run.reference import Study

SETTINGS = ("tokens=2000", "batch=8", "test_examples=16", "evaluations=2")
ONE = Request(suite="quick", scale="tiny", sleep_passes=(1,), rollout_steps=(0,), settings=SETTINGS)
TWO = dataclasses.replace(ONE, sleep_passes=(1, 2))
OTHER = dataclasses.replace(TWO, suite="passes")

pytestmark = pytest.mark.usefixtures("workers_here")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of evidence, in the folder that commands are run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "evidence"


def asked(monkeypatch: pytest.MonkeyPatch, drawn: bool = False, **studies: Request) -> None:
    """Make these the studies of the evidence; without their figures, most of the time that the command takes here."""
    monkeypatch.setattr(reference, "STUDIES", {name: Study(requests=(request,)) for name, request in studies.items()})
    monkeypatch.setattr(reference, "PROBES", {})
    if not drawn:
        monkeypatch.setattr(figures, "draw", lambda frame, folder: [])


def run(root: Path, *arguments: object) -> str:
    """All studies there are by name: without names the command also writes probes, verdicts and the report."""
    done = bench("reference", *(arguments or reference.STUDIES), "--out", root, "--jobs", 2)
    assert done.code == 0, done.err
    return done.out


def test_only_what_is_missing_is_trained(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, first=ONE)
    assert "1 cells trained" in run(root)
    (root / "first" / "figures").mkdir()
    (stale := root / "first" / "figures" / "accuracy_by_passes-of-one.png").touch()
    before = rows.read_table(root / "first")
    environment = json.loads((root / "first" / "environment.json").read_text())
    assert environment["command"] == ONE.command

    asked(monkeypatch, first=TWO)
    assert "1 cells trained" in run(root)
    after = rows.read_table(root / "first")
    assert set(after["sleep_passes"]) == {1, 2} and not stale.exists()
    assert comparable(after.filter(pl.col("sleep_passes") == 1).to_dicts()) == comparable(before.to_dicts())
    assert {key.cell_id for key in outcomes.read(root)} == set(after["cell_id"])
    both = json.loads((root / "first" / "environment.json").read_text())
    assert (both["command"], both["cells"], both["earlier"]) == (TWO.command, 1, [environment])

    assert "0 cells trained" in run(root)
    assert rows.read_table(root / "first").equals(after)
    assert json.loads((root / "first" / "environment.json").read_text()) == both


def test_a_cell_of_several_studies_is_trained_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, first=TWO, second=OTHER)
    out = run(root)
    assert "first: 2 cells trained" in out and "second: 0 cells trained" in out
    second = rows.read_table(root / "second")
    assert outcomes.read_table(root / "second").equals(outcomes.read_table(root / "first"))
    assert set(second["suite"]) == {"passes"}
    assert second.drop("suite").equals(rows.read_table(root / "first").drop("suite"))


def test_rows_of_cells_that_are_not_finished_or_not_asked_for_do_not_count(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(monkeypatch, first=TWO)
    run(root)
    frame = rows.read_table(root / "first")
    last = pl.col("step") == pl.col("step").max()
    rows.write_table(root / "first" / "rows.parquet", frame.filter(~last | (pl.col("sleep_passes") == 2)).to_dicts())
    missing, kept = reference.inventory(root, "first")
    assert [cell.training.sleep_passes for cell in missing] == [1]
    assert {row["sleep_passes"] for row in kept} == {2}
    asked(monkeypatch, first=dataclasses.replace(TWO, settings=(*SETTINGS, "clip=2.0")))
    assert len(reference.inventory(root, "first")[0]) == 2  # other settings are other cells


def test_a_diverged_cell_is_a_result(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, first=dataclasses.replace(ONE, settings=(*SETTINGS, "muon_lr=1e12", "adam_lr=1e12")))
    done = bench("reference", "first", "--out", root)
    assert done.code == 1 and "diverged" in done.out
    assert reference.inventory(root, "first")[0] == []
    assert bench("reference", "first", "--out", root).code == 0


def test_older_rows_get_the_settings_that_they_did_not_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, first=ONE)
    run(root)
    frame = rows.read_table(root / "first")
    older = frame.drop("eviction", "hard_share", "variant").with_columns(schema_version=pl.lit(2, pl.Int64))
    older.write_parquet(root / "first" / "rows.parquet")
    _, kept = reference.inventory(root, "first")
    assert rows.table(kept).equals(frame)


def test_nothing_is_trained_when_only_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, first=TWO)
    out = run(root, "--dry")
    assert TWO.command[:40] in out and "2 cells to train: about" in out
    assert not root.exists()
    run(root)
    assert run(root, "--dry").rstrip().endswith("0 cells to train")


def test_what_studies_share_is_estimated_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, first=ONE, second=TWO)
    monkeypatch.setattr(estimate, "seconds", lambda cell: 100.0)
    assert "2 cells to train: about 3 min" in run(root, "--dry")


def test_everything_is_written_and_probes_are_not_made_twice(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, drawn=True, first=ONE)
    monkeypatch.setattr(reference, "PROBES", {"inside": (Study(requests=(TWO,)), 256)})
    done = bench("reference", "--out", root, "--jobs", 2)
    assert done.code == 0, done.err
    table = (root.parent / "probe" / "inside" / "probe.csv").read_bytes()
    assert b"first cell" in table and list((root.parent / "probe" / "inside" / "figures").glob("*.svg"))
    assert "`storage-solved`" in (root.parent / "verdicts.md").read_text()
    assert (root.parent / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert {path.name for path in (root / "first").iterdir()} >= {"rows.parquet", "summary.tex", "figures"}
    assert list((root / "first" / "figures").glob("*.svg"))
    shutil.rmtree("results")  # checkpoints gone: what is there is not trained for again
    again = bench("reference", "--out", root)
    assert again.code == 0 and not Path("results").exists()
    assert (root.parent / "probe" / "inside" / "probe.csv").read_bytes() == table


def test_unknown_names_are_refused(root: Path) -> None:
    done = bench("reference", "passes-cup", "--out", root)
    assert done.code == 2 and "did you mean 'passes-cpu'?" in done.err
    done = bench("reference", "--out", root, "--device", "gpu")
    assert done.code == 2 and "cuda" in done.err


MATCHED_BEFORE = ("controls-cpu", "hop-controls-cpu")
"""Studies whose rivals were given their budgets by FLOPs as they were counted before (results/ERRATA.md, 4)."""


@pytest.mark.parametrize("name", reference.STUDIES)
def test_the_committed_evidence_is_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the versions of tasks that its rows are of: an older one is named so wherever rows are shown."""
    frame = rows.read_table(REFERENCE / name)
    for task, version in frame.select("task", "task_version").unique().rows():
        kind = tasks.load(task)
        assert version <= kind.version
        assert version == kind.version or kind.history[version], "what an older version was, in words"
        monkeypatch.setattr(kind, "version", version)
    missing, kept = reference.inventory(REFERENCE, name)
    if name in MATCHED_BEFORE:
        assert {cell.variant for cell in missing} <= set(frame["variant"]) - {"sleep", "plain"}
    else:
        assert not missing
        assert len(kept) == frame.height, "rows of cells that are not asked for"
    settings = [c for c in frame.columns if c not in (*COLUMNS, DRAWN_PASSES)]  # null where no N is drawn
    one_kind = frame["task"].n_unique() == frame["model"].n_unique() == 1  # others have settings that these lack
    assert all(frame[c].null_count() == 0 for c in settings if one_kind)


@pytest.mark.parametrize("request_", [TWO, dataclasses.replace(ONE, model="transformer", seeds=(3, 4))])
def test_a_request_gives_the_command_that_makes_it(request_: Request) -> None:
    words = request_.command.split()
    done = bench("show", *words[2:], "--json")
    assert done.code == 0, done.err
    assert [cell["cell_id"] for cell in json.loads(done.out)["cells"]] == [c.id for c in request_.plan().cells()]
