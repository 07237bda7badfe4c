"""A plug-in is edited between two runs: no curve has two programs in it, and what failed is tried anew."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness import small

import baselines
from baselines import addresses
from baselines.addresses import FOLDER
from benchmark import rows
from benchmark.cells import source
from benchmark.cells.cell import Cell
from benchmark.run import code, sweep
from benchmark.run.executors import Event
from benchmark.run.executors.serial import Serial
from benchmark.run.folder import SweepFolder
from benchmark.run.trainer import Trainer

OWN = """
from own_part import WIDTH
from baselines.hybrid import Hybrid

def build(**sizes):
    model = Hybrid(layout="attn gdn", d_model=WIDTH, heads=2, mlp_ratio=1).build(**sizes)
    model.head.weight.data += {start}
    return model
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cell]]:
    """Write a model's module and the one that it imports, as a new process would see them; its cell."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv(FOLDER, str(home))
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def put(start: str = "0.0", part: str = "WIDTH = 8") -> Cell:
        forget()
        (home / "own_code.py").write_text(OWN.format(start=start))
        (home / "own_part.py").write_text(part)
        return replace(small(), model=baselines.load("own_code:build")())

    yield put
    forget()


def forget() -> None:
    for name in ("own_code", "own_part"):
        sys.modules.pop(name, None)
    addresses._config.cache_clear()
    source._digest.cache_clear()


def run(cell: Cell, out: Path) -> tuple[str, list[str]]:
    """A sweep of a cell; how the cell stands, and what was noted."""
    notes: list[str] = []

    def on_event(event: Event) -> None:
        notes.extend([event.contents["text"]] if event.kind == "note" else [])

    folder = SweepFolder(out)
    with folder.session([cell]):
        states = sweep.run([cell], folder, Serial(), on_event=on_event)
    return states[cell.id].status, notes


def test_a_digest_is_of_what_is_imported_beside_it(write: Callable[..., Cell]) -> None:
    first, again, other = (source.digests(write(part=part)) for part in ("WIDTH = 8", "WIDTH = 8", "WIDTH = 4 + 4"))
    assert list(first) == ["model own_code:build"]
    assert first == again != other
    assert source.digests(small()) == {}


def test_a_checkpoint_of_other_code_is_set_aside(tmp_path: Path, write: Callable[..., Cell]) -> None:
    out, cell = tmp_path / "out", write()
    place = SweepFolder(out).of(cell).path
    with SweepFolder(out).session([cell]):
        code.begin(cell, place)
        trainer = Trainer(cell, place)
        assert trainer.run(stop=lambda: trainer.step >= 9) == "stopped"
    before = (place / "checkpoint.safetensors").read_bytes()
    assert run(write(start="1e-3"), out)[0] == "ok"
    assert (place / "checkpoint.safetensors.other-code-1").read_bytes() == before
    alone = tmp_path / "alone"
    assert run(write(start="1e-3"), alone) == ("ok", [])
    for one, other in zip(SweepFolder(out).of(cell).rows, SweepFolder(alone).of(cell).rows, strict=True):
        assert one["loss"] == other["loss"], "nothing of the old program is in it"


def test_code_that_is_as_it_was_goes_on(tmp_path: Path, write: Callable[..., Cell]) -> None:
    cell = write()
    with SweepFolder(tmp_path / "out").session([cell]):
        place = SweepFolder(tmp_path / "out").of(cell).path
        code.begin(cell, place)
        trainer = Trainer(cell, place)
        trainer.run(stop=lambda: trainer.step >= 9)
    assert run(write(), tmp_path / "out") == ("ok", [])
    assert not list(place.glob("*other-code*"))


def test_a_model_that_was_mended_is_trained_again(tmp_path: Path, write: Callable[..., Cell]) -> None:
    out = tmp_path / "out"
    assert run(write(start="float('nan')"), out) == ("diverged", [])
    assert run(write(start="float('nan')"), out) == ("diverged", []), "nothing has changed"
    status, (note,) = run(write(), out)
    assert status == "ok"
    assert note.startswith("the code of model own_code:build has changed since: trained from the start; ")
    assert set(rows.read_table(out)["status"]) == {"ok"}


def test_finished_cells_of_other_code_are_named(tmp_path: Path, write: Callable[..., Cell]) -> None:
    assert run(write(), tmp_path / "out") == ("ok", [])
    status, (note,) = run(write(start="1e-3"), tmp_path / "out")
    assert status == "ok"
    assert note.startswith("finished by other code of model own_code:build: raise its version, or `bench retry")
