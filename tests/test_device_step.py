"""The step of a GPU, tested where there is none: torch's to rounding, silent to the host, replayed."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Build, small_config
from harness import small
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from baselines.hybrid import Hybrid
from benchmark.cells.cell import Cell, Training
from benchmark.run.device_optimizer import DeviceMuonAdamW, orthogonal
from benchmark.run.optimizer import MuonAdamW
from benchmark.run.step_graph import WARM_UP, StepGraph
from benchmark.run.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

TRAINING = Training(tokens=1, muon_lr=0.02, adam_lr=3e-3, weight_decay=0.1, clip=1.0, warmup_steps=3)


def give_gradients(parameters: list[Tensor], step: int) -> None:
    draw = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=draw)


def test_matrices_together_are_orthogonal_as_each_alone() -> None:
    from torch.optim._muon import _zeropower_via_newtonschulz

    for rows, columns in ((8, 24), (24, 8), (16, 16)):
        matrices = torch.randn(5, rows, columns, generator=torch.Generator().manual_seed(rows))
        coefficients = (3.4445, -4.7750, 2.0315)
        each = [_zeropower_via_newtonschulz(matrix, coefficients, 5, 1e-7) for matrix in matrices]
        together = orthogonal(matrices, coefficients, 1e-7)
        torch.testing.assert_close(together, torch.stack(each), rtol=0.02, atol=0.02)
        assert torch.linalg.matrix_norm(together.float(), 2).max() < 1.3


@pytest.mark.parametrize("name", ["hybrid", "transformer"])
def test_steps_are_those_of_torch_to_rounding(name: str, build: Build) -> None:
    """Warm-up, decay, clipping, parameters that get no gradients at first; each goes on from the other's state."""
    model = build(small_config(name))
    twin = copy.deepcopy(model)
    plain, device = MuonAdamW(model, TRAINING), DeviceMuonAdamW(twin, TRAINING)
    for step in range(8):
        for part in (model, twin):
            parameters = list(part.parameters())
            give_gradients(parameters, step)
            if step < 2:
                parameters[0].grad = parameters[-2].grad = None
        if step == 5:  # either goes on from what the other saved
            plain_state, device_state = copy.deepcopy(plain.state_dict()), copy.deepcopy(device.state_dict())
            plain.load_state_dict(device_state)
            device.load_state_dict(plain_state)
        before = [p.detach().clone() for p in twin.parameters()]
        plain.step(step)
        device.step(step)
        for one, other, old in zip(model.parameters(), twin.parameters(), before, strict=True):
            assert other.grad is None
            moved = (one.detach() - old).norm()
            assert (one.detach() - other.detach()).norm() <= 0.02 * moved + 1e-6
            with torch.no_grad():
                other.copy_(one)  # so that each step is compared by itself
    for one, other in zip(plain.optimizers, device.optimizers, strict=True):
        pairs = zip(one.param_groups[0]["params"], other.param_groups[0]["params"], strict=True)
        for a, b in ((one.state[p], other.state[q]) for p, q in pairs):
            assert set(a) == set(b)
            for key in a:
                torch.testing.assert_close(b[key], a[key], rtol=1e-4, atol=1e-6)


class NoSync(TorchDispatchMode):
    """Refuses what would make the host wait for a device, or shapes depend on values."""

    REFUSED = (
        *("_local_scalar_dense", "item", "nonzero", "masked_select", "_unique2", "unique_consecutive", "unique_dim"),
        *("equal", "is_nonzero", "bincount", "argwhere"),
        "lift_fresh",  # a tensor of numbers of Python's comes from the host
    )

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.seen.add(name)
        masks = [i for i in (args[1] if name.startswith("index") and len(args) > 1 else ()) if isinstance(i, Tensor)]
        if name in self.REFUSED or any(mask.dtype == torch.bool for mask in masks):
            raise AssertionError(f"{name} would wait for the device")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.item(),
        lambda x: float(x.sum()),
        lambda x: bool((x > 0).any()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.unique(),
        lambda x: torch.tensor([1.0]) + x,
    ],
)
def test_a_sync_is_noticed(read: Callable[[Tensor], object]) -> None:
    with pytest.raises(AssertionError, match="would wait"), NoSync():
        read(torch.ones(1))


def on_device(cell: Cell, folder: Path, **settings: Any) -> Trainer:
    """A trainer with the step of a GPU, on the CPU."""
    trainer = Trainer(cell, folder, **settings)
    trainer.optimizer = DeviceMuonAdamW(trainer.model, cell.training)
    return trainer


@pytest.mark.parametrize(
    "settings",
    [
        {"strings": 2, "sleep_passes": 2},
        {"precision": "bf16", "layout": "attn jet"},
        {"strings": 2, "eviction": "sliding", "hard_share": 0.5},
        {"layout": "attn delta", "asked": "any"},
    ],
    ids=str,
)
@pytest.mark.parametrize("how", [{}, {"micro_batches": 2, "checkpointing": "always"}], ids=["whole", "parts"])
def test_a_step_says_nothing_to_the_host(settings: dict[str, Any], how: dict[str, Any], tmp_path: Path) -> None:
    cell = small(**settings)
    trainer = on_device(cell, tmp_path, **how)
    for batch, _ in zip(trainer.batches(0), range(2), strict=False):
        with NoSync() as watch:
            loss = trainer.train_step(batch)
        trainer.step += 1
        assert loss.isfinite() and {"mm", "baddbmm", "_foreach_addcdiv_"} <= watch.seen


def test_batches_made_as_tensors_say_nothing_to_the_host() -> None:
    task = small(asked="any").task
    task.tensors("train", torch.arange(1))  # tables are made once
    with NoSync():
        assert task.tensors("train", torch.arange(8)) is not None


def test_it_learns_what_the_step_of_a_cpu_learns(tmp_path: Path) -> None:
    cell = small(tokens=2000)
    losses = []
    for trainer in (Trainer(cell, tmp_path / "a"), on_device(cell, tmp_path / "b")):
        losses.append(torch.stack([trained(trainer, batch) for batch in trainer.batches(0)]))
    plain, device = losses
    assert plain[-10:].mean() < plain[:10].mean()
    torch.testing.assert_close(plain[:5], device[:5], rtol=1e-3, atol=1e-4)
    assert device[-10:].mean() == pytest.approx(float(plain[-10:].mean()), rel=0.05)


def trained(trainer: Trainer, batch: Any) -> Tensor:
    loss = trainer.train_step(batch)
    trainer.step += 1
    return loss


class FakeRecorder:
    """Captures as CUDA does, without CUDA: what is recorded has not run, and runs again on the same tensors."""

    def __init__(self, trainer: Trainer, broken: bool = False) -> None:
        self.trainer, self.broken = trainer, broken
        self.warmed = self.recorded = self.replayed = 0

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        self.warmed += 1
        return work()

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        self.recorded += 1
        if self.broken:
            for parameter in self.trainer.model.parameters():  # left half done
                parameter.grad = torch.full_like(parameter, torch.nan)
            raise RuntimeError("operation not permitted when stream is capturing\nmore lines")
        result, step = torch.zeros(()), self.trainer.step

        def replay() -> None:
            self.replayed += 1
            now, self.trainer.step = self.trainer.step, step  # what Python decides is decided once
            result.copy_(work())
            self.trainer.step = now

        return replay, result


@pytest.mark.parametrize("hard_share", [0.0, 0.5])
def test_a_replayed_step_is_the_step(tmp_path: Path, hard_share: float) -> None:
    """Batches, rates of the warm-up and both stages reach the graph by tensors."""
    settings = {"hard_share": hard_share, "strings": 2, "eviction": "sliding"} if hard_share else {}
    cell = small(**settings)
    plain, graphed = on_device(cell, tmp_path / "a"), on_device(cell, tmp_path / "b")
    recorder = FakeRecorder(graphed)
    graphed.graph = StepGraph(graphed.device_step, recorder, graphed.model.zero_grad)
    losses = [[trained(trainer, batch) for batch in trainer.batches(0)] for trainer in (plain, graphed)]
    stages = 2 if hard_share else 1
    assert recorder.recorded == stages and recorder.warmed == stages * WARM_UP
    assert recorder.replayed == cell.steps - stages * WARM_UP > 5
    assert losses[0] == losses[1] and len(set(map(float, losses[0]))) > 5
    for one, other in zip(plain.model.parameters(), graphed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_step_that_cannot_be_captured_goes_on_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, graphed = on_device(small(), tmp_path / "a"), on_device(small(), tmp_path / "b")
    recorder = FakeRecorder(graphed, broken=True)
    graphed.graph = StepGraph(graphed.device_step, recorder, graphed.model.zero_grad)
    losses = [[trained(trainer, batch) for batch in trainer.batches(0)] for trainer in (plain, graphed)]
    assert losses[0] == losses[1]
    assert recorder.recorded == 1 and recorder.replayed == 0
    said = capsys.readouterr().err
    assert said == (
        "the step is not captured in a graph, and runs as it is: operation not permitted when stream is capturing\n"
    )


def test_the_hybrid_of_the_paper_has_few_shapes(build: Build) -> None:
    """One batched product each: the point of taking matrices together."""
    model = build(Hybrid(layout="attn gdn attn gdn", d_model=16, heads=2))
    assert len({tuple(matrix.shape) for matrix in model.matrices()}) <= 6 < len(model.matrices())
