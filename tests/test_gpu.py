"""The GPU path: what of it runs anywhere, and, where there is a GPU, that it computes what the CPU computes."""

import threading
from pathlib import Path

import pytest
import torch

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.suites import suite
from benchmark.forward import predict, token_losses
from benchmark.run.device_batches import maker, prefetch, tensor_maker
from benchmark.run.recomputation import recompute
from benchmark.run.step_count import StepCounter
from benchmark.run.trainer import Trainer

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def tiny(**settings: object) -> Cell:
    return suite("passes", "tiny").bases[0].with_settings({"tokens": 20_000, "sleep_passes": 2, **settings})


def test_batches_made_ahead_are_the_same_in_the_same_order(tmp_path: Path) -> None:
    trainer = Trainer(tiny(), tmp_path)
    steps = range(3, 9)
    plain = list(trainer.batches(3))[: len(steps)]
    ahead = list(prefetch(dict(zip(steps, plain, strict=True)).__getitem__, steps))
    assert [id(batch) for batch in ahead] == [id(batch) for batch in plain]


def test_the_next_batch_is_made_by_another_thread_before_it_is_asked_for() -> None:
    made, makers = threading.Event(), []

    def make(step: int) -> int:
        makers.append(threading.current_thread())
        if step == 1:
            made.set()
        return step

    batches = prefetch(make, range(3))  # type: ignore[arg-type, type-var]
    assert next(batches) == 0
    assert made.wait(timeout=10), "batch 1 must be made while batch 0 is in use"
    assert list(batches) == [1, 2]
    assert threading.main_thread() not in makers


def test_an_error_while_making_a_batch_reaches_the_trainer() -> None:
    def make(step: int) -> int:
        raise ValueError(f"no batch {step}")

    with pytest.raises(ValueError, match="no batch 0"):
        next(prefetch(make, range(3)))  # type: ignore[arg-type, type-var]


@pytest.mark.parametrize("asked", ["first", "any"])
def test_batches_made_on_the_device_are_those_made_on_the_host(asked: str) -> None:
    cell = tiny(strings=2, asked=asked, rollout_steps=3)
    there = tensor_maker(cell, torch.device("cpu"))
    assert there is not None
    for step in (0, 7):
        one, other = maker(cell, torch.device("cpu"))(step), there(step)
        assert torch.equal(one.inputs, other.inputs) and torch.equal(one.targets, other.targets)
        assert one.windows == other.windows
    assert tensor_maker(suite("hops", "tiny").bases[0], torch.device("cpu")) is None


def test_every_step_has_the_same_shapes_and_windows(tmp_path: Path) -> None:
    trainer = Trainer(tiny(), tmp_path)
    shapes = {(batch.inputs.shape, batch.targets.shape, batch.windows) for batch in trainer.batches(0)}
    assert len(shapes) == 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_in_either_precision_keeps_parameters_and_fast_weights_in_fp32(tmp_path: Path, precision: str) -> None:
    trainer = Trainer(tiny(precision=precision), tmp_path)
    loss = trainer.train_step(next(trainer.batches(0)))
    assert loss.isfinite()
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        state = trainer.model.sleep(torch.zeros(2, 8, dtype=torch.int64), trainer.model.start(2), 2)
    assert {s.dtype for s in state.fast_weights} == {torch.float32}


@gpu
def test_gradients_on_the_gpu_equal_those_on_the_cpu(tmp_path: Path) -> None:
    gradients = {}
    for device in ("cpu", "cuda"):
        trainer = Trainer(tiny(), tmp_path, device=device)
        batch = next(trainer.batches(0))
        token_losses(predict(trainer.model, batch, 2), batch.targets).sum().backward()  # type: ignore[no-untyped-call]
        gradients[device] = [p.grad.cpu() for p in trainer.model.parameters() if p.grad is not None]
    for on_cpu, on_gpu in zip(gradients["cpu"], gradients["cuda"], strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-4)


@gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_learns_what_the_cpu_learns(tmp_path: Path, precision: str) -> None:
    scores = {}
    for device in ("cpu", "cuda"):
        folder = tmp_path / device
        folder.mkdir()
        trainer = Trainer(tiny(tokens=100_000, precision=precision), folder, device=device)
        assert trainer.run() == "ok"
        scores[device] = [row["exact_match"] for row in rows.read(trainer.rows_path) if row["answer"] is None][-1]
    assert scores["cuda"] == pytest.approx(scores["cpu"], abs=0.02)


@gpu
@pytest.mark.parametrize(
    "settings", [{}, {"precision": "bf16"}, {"eviction": "sliding", "strings": 2, "hard_share": 0.4}]
)
def test_a_graph_gives_the_losses_of_the_steps_that_it_captured(tmp_path: Path, settings: dict[str, object]) -> None:
    losses = []
    for graphed in (False, True):
        trainer = Trainer(tiny(**settings), tmp_path, device="cuda")
        assert trainer.graph is not None
        graph = trainer.graph
        trainer.graph = trainer.graph if graphed else None
        losses.append([])
        for batch in trainer.batches(0):
            losses[-1].append(trainer.train_step(batch))
            trainer.step += 1
        assert not graphed or (graph.graphs and not graph.failed)
    torch.testing.assert_close(torch.stack(losses[1])[:8], torch.stack(losses[0])[:8], rtol=1e-2, atol=1e-3)


@gpu
def test_batches_made_on_the_gpu_are_those_made_on_the_host() -> None:
    cell, cuda = tiny(strings=2, asked="any", rollout_steps=3), torch.device("cuda")
    there = tensor_maker(cell, cuda)
    assert there is not None
    one, other = maker(cell, cuda)(3), there(3)
    assert torch.equal(one.inputs, other.inputs) and torch.equal(one.targets, other.targets)


@gpu
def test_the_peak_that_is_counted_is_the_peak_of_the_gpu(tmp_path: Path) -> None:
    trainer = Trainer(suite("passes", "gpu").bases[0].with_settings({"sleep_passes": 2}), tmp_path, device="cuda")
    batch, one = next(iter(trainer.batches(0))), torch.ones((), device="cuda")
    for again in (False, True):
        recompute(trainer.model, again)
        trainer.gradients(batch, one)
        trainer.model.zero_grad()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        with StepCounter() as counter:
            trainer.gradients(batch, one)
        trainer.model.zero_grad()
        assert counter.peak_bytes == pytest.approx(torch.cuda.max_memory_allocated() - before, rel=0.2)
