"""Energy: counters of processors read from a made-up machine, over starts and restarts; nothing where none are."""

from pathlib import Path

import pytest
import torch

from benchmark import rows
from benchmark.cells.suites import suite
from benchmark.run import energy, trainer
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
    assert meter.since() == pytest.approx(10)
    put(machine, **{"0": 15, "1": 2})
    assert meter.since() == pytest.approx(7)
    assert meter.since() == 0


def test_what_cannot_be_read_is_no_energy(machine: Path, tmp_path: Path) -> None:
    meter = Meter(CPU)
    (machine / "intel-rapl:1" / "energy_uj").write_text("")
    assert meter.since() is None
    put(machine, **{"1": 2})
    assert meter.since() is None, "a part was missed"
    assert meter.since() == 0
    assert of_processors(tmp_path / "nothing") is None
    assert Meter(torch.device("meta")).since() is None
    if not torch.cuda.is_available():
        assert energy.of_gpu(torch.device("cuda")) is None


def trained(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int, joules: list[float | None]
) -> list[rows.Row]:
    """The rows of a cell of which each look at the meter tells the next of `joules`, and then the last for ever."""

    class Fake:
        def __init__(self, device: torch.device) -> None:
            pass

        def since(self) -> float | None:
            return joules.pop(0) if len(joules) > 1 else joules[0]

    monkeypatch.setattr(trainer, "Meter", Fake)
    (cell,) = suite("quick", "tiny").narrowed(rollout_steps=[0], sleep_passes=[1]).cells()
    cell = cell.with_settings({"tokens": 4 * 9 * 8, "batch": 8, "evaluations": 4, "test_examples": 8})
    folder.mkdir(exist_ok=True)
    attempt = Trainer(cell, folder)
    attempt.run(stop=lambda: attempt.step >= stop_after)
    return [row for row in rows.read(folder / "rows.jsonl") if row["answer"] is None]


def test_rows_have_the_energy_of_all_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trained(tmp_path, monkeypatch, 2, [100.0, 1.0])  # what was before the run does not count
    both = trained(tmp_path, monkeypatch, 9, [100.0, 2.0])
    assert len(both) == 4 and both[:2] == first
    spent = [row["energy_j"] for row in both]
    # A look for the rows and one for the checkpoint of every test.
    assert spent == [1.0, 3.0, 6.0, 10.0]
    assert trained(tmp_path / "other", monkeypatch, 9, [0.0, 1.0, None, 1.0])[-1]["energy_j"] is None


def test_an_attempt_that_was_not_measured_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path, monkeypatch, 2, [None])
    assert [row["energy_j"] for row in trained(tmp_path, monkeypatch, 9, [1.0])] == [None] * 4


def test_the_column_is_in_every_table() -> None:
    assert "energy_j" in rows.COLUMNS and "energy_j" in rows.WALL_COLUMNS
