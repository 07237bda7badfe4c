"""What a step asks of a GPU, counted without one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import small

from baselines.chain_of_thought import ChainOfThoughtAsleep
from benchmark.cells.cell import Cell
from benchmark.measure import hours
from benchmark.measure.step_cost import REPLAYED_S, StepCost, _step_cost, step_cost
from benchmark.run import estimate
from benchmark.run.device_optimizer import DeviceMuonAdamW
from benchmark.run.recomputation import Memory
from benchmark.run.step_count import StepCounter
from benchmark.run.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

CELL = small(sleep_passes=2)


THINKING = replace(CELL, model=ChainOfThoughtAsleep(layout="attn gdn", d_model=16, heads=2, mlp_ratio=2))


@pytest.mark.parametrize("cell", [CELL, THINKING], ids=["plain", "given thoughts"])
def test_shapes_alone_count_as_much_as_numbers(cell: Cell, tmp_path: Path) -> None:
    trainer = Trainer(cell, tmp_path)
    trainer.optimizer = DeviceMuonAdamW(trainer.model, cell.training)
    batch = next(trainer.batches(0))
    trainer.train_step(batch)
    with StepCounter() as counter:
        trainer.train_step(batch)
    found = step_cost(cell)
    assert found.kernels == pytest.approx(counter.kernels, rel=0.05)
    assert found.bytes_moved == pytest.approx(counter.bytes_moved, rel=0.05)
    assert found.flops == pytest.approx(counter.flops, rel=0.01)
    held = list(trainer.model.parameters())
    held += [kept for part in trainer.optimizer.optimizers for s in part.state.values() for kept in s.values()]
    assert found.held_bytes == sum(t.numel() * t.element_size() for t in held)
    assert found.peak_bytes(again=False) == pytest.approx(counter.peak_bytes + found.held_bytes, rel=0.25)


def test_passes_cost_and_keep_more() -> None:
    one, two = (step_cost(CELL.with_settings({"sleep_passes": n})) for n in (1, 2))
    assert 1.2 < two.kernels / one.kernels < 2 and 1.2 < two.bytes_moved / one.bytes_moved < 2
    assert one.memory.activations < two.memory.activations
    assert two.memory.again < two.memory.activations / 2
    before = _step_cost.cache_info().hits
    step_cost(replace(CELL, seed=5))
    assert _step_cost.cache_info().hits == before + 1, "seeds share a count"


def test_counting_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither draws nor tensors without numbers, in whatever is kept from call to call."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    _step_cost.cache_clear()
    step_cost(small(layout="attn"))
    assert torch.equal(before, torch.get_rng_state())
    trainer = Trainer(small(layout="attn"), tmp_path)
    assert trainer.train_step(next(trainer.batches(0))).isfinite()


def cost_of(**changes: Any) -> StepCost:
    base = StepCost(
        kernels=1000,
        bytes_moved=27 * 10**9,
        flops=0,
        memory=Memory(fixed=1000, activations=100, again=10),
        held_bytes=500,
        precision="bf16",
        batch=64,
        again=False,
        parts=1,
    )
    return replace(base, **changes)


def test_seconds_are_bound_by_the_slowest() -> None:
    assert cost_of().seconds == pytest.approx(0.01)  # 27 GB at 2.7 TB/s
    assert cost_of(again=True).seconds == pytest.approx(0.01 * 4 / 3)
    assert cost_of(kernels=10**5).seconds == pytest.approx(10**5 * REPLAYED_S)
    assert cost_of(flops=396 * 10**12).seconds == pytest.approx(1.01)


def test_peaks_of_parts() -> None:
    assert cost_of().peak_bytes(again=False) == 500 + 1000 + 6400
    assert cost_of().peak_bytes(again=True, parts=4) == 500 + 1000 + 160


def test_a_gpu_that_is_not_here_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    clock = hours.clock("cuda")
    assert "estimated" in clock.basis and "not measured" in clock.basis
    assert clock.seconds(CELL) > CELL.steps * step_cost(CELL).seconds
    assert set(hours.of_step(CELL)) >= {"peak_bytes", "recomputed_peak_bytes", "micro_batches"}


def test_one_that_is_here_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Card 9")
    monkeypatch.setattr(
        estimate, "seconds", lambda cell, device="cpu", backend="torch": {"cuda": 7.0, "cpu": 1.0}[device]
    )
    clock = hours.clock("cuda")
    assert "Card 9" in clock.basis and "timed" in clock.basis and clock.seconds(CELL) == 7.0
    assert hours.clock("cpu").seconds(CELL) == 1.0


def test_a_device_that_is_none() -> None:
    with pytest.raises(ValueError, match="did you mean 'cuda'"):
        hours.clock("cuad")


def test_a_cpu_is_timed_with_the_backend_that_is_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "seconds", lambda cell, device="cpu", backend="torch": len(backend))
    assert [hours.clock("cpu", backend).seconds(CELL) for backend in ("torch", "native")] == [5, 6]
    with pytest.raises(ValueError, match="did you mean 'native'"):
        hours.clock("cpu", "naitve")
