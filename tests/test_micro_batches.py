"""A batch in parts: the same gradients in less memory, tried once where a cell does not fit."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from harness import comparable, small
from torch import Tensor

from baselines.base import Model, State
from baselines.hybrid import Hybrid
from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.run import checkpoint, sweep, worker
from benchmark.run.executors import Event
from benchmark.run.executors.serial import Serial
from benchmark.run.folder import SweepFolder
from benchmark.run.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("parts", [2, 3, 8, 100])
@pytest.mark.parametrize("settings", [{}, {"strings": 2, "sleep_passes": 2}])
def test_gradients_and_losses_are_those_of_the_whole_batch(
    parts: int, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for count in (1, parts):
        trainer = Trainer(small(**settings), tmp_path, micro_batches=count)
        with torch.no_grad():  # outputs that begin at zero would leave most gradients there
            for parameter in trainer.model.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
        monkeypatch.setattr(trainer.optimizer, "step", lambda _: None)
        loss = trainer.train_step(next(trainer.batches(0)))
        grads = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        found.append((loss, torch.cat([grad.flatten() for grad in grads])))
    (loss, whole), (summed, in_parts) = found
    assert whole.abs().max() > 0.01
    assert (whole - in_parts).abs().max() <= 1e-6 * whole.abs().max().clamp(min=1)
    assert abs(loss - summed) <= 1e-6 * loss


@dataclass(frozen=True, kw_only=True)
class Hungry(Hybrid):
    """A hybrid that has memory for a few sequences at once."""

    name: ClassVar[str] = "hungry"
    at_once: int = 1

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """The hybrid, which raises as torch does."""
        model = super().build(vocab_size=vocab_size, window=window, seq_len=seq_len)
        wake = model.wake

        def limited(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            if len(tokens) > self.at_once and torch.is_grad_enabled():
                raise torch.OutOfMemoryError("no room")
            return wake(tokens, state)

        model.wake = limited  # type: ignore[method-assign]
        return model


def cell(**settings: Any) -> Cell:
    return replace(small(), model=Hungry(layout="attn gdn", d_model=8, heads=2, mlp_ratio=1, **settings))


def run(planned: Cell, out: Path) -> tuple[SweepFolder, list[Event]]:
    events: list[Event] = []
    folder = SweepFolder(out)
    with folder.session([planned]):
        sweep.run([planned], folder, Serial(), on_event=events.append)
    return folder, events


def test_a_cell_without_room_is_trained_once_more_in_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, events = run(cell(), tmp_path / "parts")
    assert folder.of(cell()).state == ("ok", None)
    written = rows.read_table(tmp_path / "parts")
    assert set(written["micro_batches"]) == {worker.MICRO_BATCHES} and set(written["status"]) == {"ok"}
    (note,) = [event for event in events if event.kind == "note"]
    assert note.contents["text"] == "out of memory at step 0: trained again with each batch in 8 parts"
    whole, _ = run(cell(at_once=8), tmp_path / "whole")
    for one, other in zip(folder.of(cell()).rows, whole.of(cell(at_once=8)).rows, strict=True):
        assert other["micro_batches"] == 1
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)


def test_one_that_never_fits_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = run(cell(at_once=0), tmp_path)
    reason = "OutOfMemoryError: no room (with each batch in 8 parts too)"
    assert folder.of(cell(at_once=0)).state == ("out_of_memory", reason)


def test_it_goes_on_in_parts(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    Trainer(small(), whole, micro_batches=4).run()
    first = Trainer(small(), broken, micro_batches=4)
    assert first.run(stop=lambda: first.step >= 9) == "stopped"
    assert checkpoint.load(broken / "checkpoint.safetensors", torch.device("cpu"))["micro_batches"] == 4
    assert Trainer(small(), broken).run() == "ok"
    assert comparable(rows.read(broken / "rows.jsonl")) == comparable(rows.read(whole / "rows.jsonl"))
