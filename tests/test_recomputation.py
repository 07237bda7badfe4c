"""Activations computed again: the same bits in less memory, planned by what a step takes."""

from pathlib import Path

import pytest
import torch
from conftest import Build, small_config
from harness import small
from torch import Tensor, nn

from baselines.base import Model, State
from baselines.hybrid import Hybrid
from benchmark.forward import Batch, predict, token_losses
from benchmark.run.recomputation import Memory, fit, recompute, step_memory
from benchmark.run.step_count import StepCounter
from benchmark.run.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

WINDOWS = ((0, 6, False), (6, 12, False), (12, 18, True))


def batch(sequences: int) -> Batch:
    draw = torch.Generator().manual_seed(0)
    inputs, targets = (torch.randint(7, (sequences, length), generator=draw) for length in (18, 6))
    return Batch(inputs=inputs, targets=targets, windows=WINDOWS)


def gradients(model: Model, given: Batch, passes: int = 3) -> tuple[Tensor, list[Tensor]]:
    model.zero_grad(set_to_none=True)
    logits = predict(model, given, passes)
    token_losses(logits, given.targets).mean().backward()  # type: ignore[no-untyped-call]
    return logits, [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize(
    "config",
    [
        Hybrid(layout="attn gdn attn gdn", d_model=16, heads=2),
        Hybrid(layout="attn gdn gdn attn", d_model=16, heads=2, eviction="sliding", loop="middle"),
        Hybrid(layout="jet delta", d_model=16, heads=2, wake_passes=2),
        small_config("retrieval"),
    ],
    ids=lambda config: config.layout,
)
def test_values_and_gradients_are_the_same_bits(config: Hybrid, build: Build) -> None:
    model = build(config)
    logits, grads = gradients(model, batch(3))
    calls = count_calls(model.blocks[0].mixer)
    recompute(model)
    again, grads_again = gradients(model, batch(3))
    assert len(calls) > 0
    assert torch.equal(logits, again) and len(grads) == len(grads_again) > 10
    assert all(torch.equal(one, other) for one, other in zip(grads, grads_again, strict=True))
    often = len(calls)
    recompute(model, False)
    gradients(model, batch(3))
    assert len(calls) - often < often, "a block is run twice where it is computed again, once where it is not"


def count_calls(module: nn.Module) -> list[None]:
    calls: list[None] = []
    for name in ("forward", "write"):
        plain = getattr(module, name)

        def counted(*args: Tensor, plain: nn.Module = plain) -> object:
            calls.append(None)
            return plain(*args)

        setattr(module, name, counted)
    return calls


class Dropping(Model):
    """A model of someone else's, which draws at random."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 8), nn.Linear(8, 7)

    def start(self, batch: int) -> State:
        return State(fast_weights=(torch.zeros(batch, 8),))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        (held,) = state.fast_weights
        for _ in range(passes):
            held = torch.tanh(nn.functional.dropout(self.embedding(tokens), 0.5).mean(1) + held)
        return State(fast_weights=(held,), windows=state.windows + 1)

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        return self.head(self.embedding(tokens) + state.fast_weights[0][:, None]), state


def test_windows_of_another_model_are_computed_again_with_the_same_draws() -> None:
    torch.manual_seed(0)
    model = Dropping()
    found = []
    for on in (False, True):
        recompute(model, on)
        torch.manual_seed(1)
        found.append(gradients(model, batch(3)))
    (logits, grads), (again, grads_again) = found
    assert torch.equal(logits, again)
    assert all(torch.equal(one, other) for one, other in zip(grads, grads_again, strict=True))


def test_a_step_keeps_less_and_the_estimate_is_what_it_takes(build: Build) -> None:
    model = build(Hybrid(layout="attn gdn attn gdn", d_model=16, heads=2))
    memory = step_memory(model, batch(1), 32, lambda given: gradients(model, given, 3))
    assert memory.again < memory.activations / 3
    assert not any(p.grad is not None for p in model.parameters())
    for again in (False, True):
        recompute(model, again)
        with StepCounter() as counter:
            gradients(model, batch(32), 3)
        assert counter.peak_bytes == pytest.approx(memory.peak(32, again=again), rel=0.15)


def saved_bytes(model: Model, passes: int) -> int:
    """Bytes of all that is kept for the backward pass, by torch's own hooks."""
    storages = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes(), tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = predict(model, batch(8), passes)
    assert logits.requires_grad
    return sum(size for size, _ in storages.values())


def test_the_counted_peak_holds_what_is_saved_for_backward(build: Build) -> None:
    model = build(Hybrid(layout="attn gdn attn gdn", d_model=16, heads=2))
    for passes in (1, 4):
        with StepCounter() as counter:
            gradients(model, batch(8), passes)
        saved = saved_bytes(model, passes)
        assert saved * 0.9 < counter.peak_bytes < saved * 1.6


@pytest.mark.parametrize(
    ("room", "checkpointing", "plan"),
    [
        (10_000, "auto", (False, 1)),
        (5_000, "auto", (True, 1)),
        (1_000, "auto", (True, 2)),
        (250, "auto", (True, 8)),
        (10, "auto", (True, 64)),
        (10_000, "always", (True, 1)),
        (5_000, "never", (False, 2)),
    ],
)
def test_a_batch_is_planned_by_the_room_there_is(room: int, checkpointing: str, plan: tuple[bool, int]) -> None:
    assert Memory(fixed=100, activations=100, again=15).plan(64, room, checkpointing) == plan


def train(trainer: Trainer) -> list[float]:
    """Losses of three steps."""
    return [trainer.train_step(given).item() for given, _ in zip(trainer.batches(0), range(3), strict=False)]


def test_a_trainer_that_computes_again_has_the_same_losses(tmp_path: Path) -> None:
    one, other = (
        train(Trainer(small(sleep_passes=2), tmp_path, checkpointing=checkpointing))
        for checkpointing in ("never", "always")
    )
    assert one == other


def test_a_trainer_fits_a_step_into_the_room_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = Trainer(small(sleep_passes=2), tmp_path)
    whole = train(trainer)
    for room, parts, again in ((10**9, 1, False), (40_000, 2, True)):
        trainer = Trainer(small(sleep_passes=2), tmp_path)
        trainer.micro_batches = fit(trainer, "auto", room)
        assert trainer.micro_batches == parts
        assert ("computed again" in capsys.readouterr().err) == again
        assert train(trainer) == pytest.approx(whole, rel=1e-3)
