"""Energy: counters of processors read from a made-up machine, over starts and restarts; nothing where none are."""

from pathlib import Path

import pytest
import torch

from benchmark import rows
from benchmark.cells.suites import suite
from benchmark.run import energy
from benchmark.run.energy import Meter, of_processors
from benchmark.run.trainer import Trainer

CPU = torch.device("cpu")


def put(root: Path, **joules: float) -> None:
    """Packages whose counters stand at so many joules, of 1000 at most; and a part of one, which it counts already."""
    for name, value in {**joules, "0:0": 7.0}.items():
        zone = root / f"intel-rapl:{name}"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "energy_uj").write_text(f"{int(value * 1e6)}\n")
        (zone / "max_energy_range_uj").write_text("1000000000\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "powercap"
    put(root, **{"0": 10, "1": 990})
    monkeypatch.setattr(energy, "of_processors", lambda: of_processors(root))
    return root


def test_the_packages_are_added_and_start_again_from_0(machine: Path) -> None:
    meter = Meter(CPU)
    put(machine, **{"0": 15, "1": 995})
    assert meter.total() == pytest.approx(10)
    put(machine, **{"0": 15, "1": 2})
    assert meter.total() == pytest.approx(17)
    assert meter.total() == pytest.approx(17)
    put(machine, **{"0": 500, "1": 2})
    meter.start()  # what was before does not count
    assert meter.total() == pytest.approx(17)


def test_what_cannot_be_read_is_no_energy(machine: Path, tmp_path: Path) -> None:
    meter = Meter(CPU)
    (machine / "intel-rapl:1" / "energy_uj").write_text("")
    assert meter.total() is None
    put(machine, **{"1": 2})
    assert meter.total() is None, "a part was missed"
    assert meter.snapshot() == {}
    assert of_processors(tmp_path / "nothing") is None
    assert Meter(torch.device("meta")).total() is None
    if not torch.cuda.is_available():
        assert energy.of_gpu(torch.device("cuda")) is None


def trained(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int, looks: list[float | None]
) -> list[rows.Row]:
    """The rows of a cell whose counter says, look by look, that so many joules more were taken, and then 1 for ever."""
    stands = 0.0

    def counter() -> energy.Reading | None:
        nonlocal stands
        more = looks.pop(0) if looks else 1.0
        stands += more or 0.0
        return None if more is None else {"package": (stands, 1e9)}

    monkeypatch.setattr(energy, "of_processors", lambda: counter)
    (cell,) = suite("quick", "tiny").narrow(rollout_steps=[0], sleep_passes=[1]).cells()
    cell = cell.with_settings({"tokens": 4 * 9 * 8, "batch": 8, "evaluations": 4, "test_examples": 8})
    folder.mkdir(exist_ok=True)
    attempt = Trainer(cell, folder)
    attempt.run(stop=lambda: attempt.step >= stop_after)
    return [row for row in rows.read(folder / "rows.jsonl") if row["answer"] is None]


def test_rows_have_the_energy_of_all_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trained(tmp_path, monkeypatch, 2, [100.0, 100.0])  # when it is made and when it begins: neither counts
    both = trained(tmp_path, monkeypatch, 9, [100.0, 100.0])
    assert len(both) == 4 and both[:2] == first
    # A look for the rows and one for the checkpoint of every test.
    assert [row["energy_j"] for row in both] == [1.0, 3.0, 5.0, 7.0]
    lost = trained(tmp_path / "other", monkeypatch, 9, [1.0, 1.0, 1.0, None])
    assert [row["energy_j"] for row in lost] == [1.0, None, None, None]


def test_an_attempt_that_was_not_measured_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path, monkeypatch, 2, [None] * 20)
    assert [row["energy_j"] for row in trained(tmp_path, monkeypatch, 9, [])] == [None] * 4


def test_the_column_is_in_every_table() -> None:
    assert "energy_j" in rows.COLUMNS and "energy_j" in rows.WALL_COLUMNS
