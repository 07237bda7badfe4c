"""One cell: train, test at fixed steps, checkpoint, resume. Imports torch, numpy and the standard library only.

Nothing but parameters, optimizer state, the step number and the state of torch's random generator is needed to go on:
the batch of step s is a pure function of s, and only a model that draws, such as one with dropout, needs the generator.
So a resumed cell gives the rows of an uninterrupted one, bit for bit on a CPU.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch

from baselines.base import Model
from baselines.report import Report
from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost
from benchmark.cells.facts import cell_facts, failure_row
from benchmark.forward import Batch, Windows, autocast, predict, token_losses, trained_losses
from benchmark.rows import Status, outcomes
from benchmark.run import checkpoint
from benchmark.run.backends import use_native
from benchmark.run.device_batches import device_batches
from benchmark.run.device_optimizer import DeviceMuonAdamW
from benchmark.run.energy import Meter
from benchmark.run.evaluate import TEST_BATCH, HeldOut
from benchmark.run.optimizer import MuonAdamW
from benchmark.run.recomputation import fit, free_room
from benchmark.run.scoring import score_rows
from benchmark.run.step_graph import CudaRecorder, StepGraph
from benchmark.run.together import batches
from tasks.base import IGNORE

CHECKPOINT_EVERY_S = 20.0
"""Most training time that a kill can cost, in seconds."""

REPORT_EVERY_S = 0.5

Stage: TypeAlias = tuple[Windows, tuple[tuple[int, str], ...], bool, int]
"""What of a step is decided in Python: windows, windows and kinds of notes, whether eviction is hard, N."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What a running cell tells while it runs."""

    step: int
    tokens_per_s: float
    new_rows: list[rows.Row]


class Trainer:
    """Trains one cell in its folder, from wherever the last attempt stopped.

    Attributes:
        folder: Holds `rows.jsonl`, `outcomes.jsonl` and `checkpoint.safetensors` of this cell alone.
        facts: Columns that are the same in every row of this cell.
        micro_batches: Parts that each batch is trained in, for less memory: the same gradients but for rounding.
    """

    def __init__(
        self,
        cell: Cell,
        folder: Path,
        *,
        device: str = "cpu",
        backend: str = "torch",
        context: rows.Row | None = None,
        micro_batches: int = 1,
        checkpointing: str = "auto",
    ) -> None:
        self.cell, self.folder, self.device = cell, folder, torch.device(device)
        self.micro_batches = micro_batches
        self.rows_path, self.checkpoint_path = folder / "rows.jsonl", folder / "checkpoint.safetensors"
        self.outcomes_path = folder / outcomes.LINES
        self.new_outcomes: list[rows.Row] = []  # of the test just made
        self.seals: dict[str, rows.Seal] = {}  # what the two files should be: nothing of them is lost unnoticed
        torch.manual_seed(cell.seed)
        # Drawn on the CPU whatever the device: the same seed is the same network everywhere.
        self.model: Model = cell.model.build(
            vocab_size=cell.task.vocab_size, window=cell.task.window, seq_len=cell.task.seq_len
        ).to(self.device)
        self.backend = "native" if backend != "torch" and use_native(self.model, must=backend == "native") else "torch"
        checkpoint.check_savable(self.model.state_dict(), f"model {cell.model.name!r}")
        self.graph: StepGraph | None = None
        if self.device.type == "cuda":
            self.optimizer: MuonAdamW = DeviceMuonAdamW(self.model, cell.training)
            self.graph = StepGraph(self.device_step, CudaRecorder(), self.model.zero_grad)
        else:
            self.optimizer = MuonAdamW(self.model, cell.training, native=self.backend == "native")
        self.trained = [p for p in self.model.parameters() if p.requires_grad]  # a model may come with frozen ones
        self.memory = {id(p) for p in self.model.memory() if p.requires_grad}
        if cell.hard_steps and not self.memory:
            raise ValueError(f"hard_share = {cell.training.hard_share}: model {cell.model.name!r} has no fast weights")
        self.cost = cost(cell)
        tests = [cell.task.at(difficulty) for difficulty in cell.training.test_at] or [cell.task]
        self.tests = [HeldOut(task, cell.training.test_examples, cell.training.test_split) for task in tests]
        self.step = 0
        self.wall_s, self.clock = 0.0, time.perf_counter()
        self.meter = Meter(self.device)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)  # since the last row
        self.facts = cell_facts(cell, device=self.device.type, context=context or {}) | {
            "backend": self.backend,
            "micro_batches": micro_batches,
            **self.cost.latency_facts,
        }
        self.micro_batches = max(micro_batches, fit(self, checkpointing, free_room(self.device)))

    def run(
        self, *, report: Callable[[Progress], None] = lambda _: None, stop: Callable[[], bool] = lambda: False
    ) -> Status:
        """Train to the end of the budget, or until `stop()`; returns OK, DIVERGED or STOPPED."""
        self.resume()
        self.facts["micro_batches"] = self.micro_batches
        for held_out in self.tests:
            held_out.at_once = max(1, TEST_BATCH // self.micro_batches)
        evaluation_steps = set(self.cell.evaluation_steps)
        saved_at = reported_at = self.clock = time.perf_counter()
        reported_step = self.step
        self.meter.start()
        for batch in self.batches(self.step):
            self.loss_sum += self.train_step(batch)
            self.step += 1
            new_rows: list[rows.Row] = []
            if self.step in evaluation_steps:
                new_rows = self.evaluation_rows()
                if self.new_outcomes and new_rows[-1]["status"] == Status.OK:
                    self.append(self.outcomes_path, self.new_outcomes)
                self.append(self.rows_path, new_rows)
                if (status := Status(new_rows[-1]["status"])) != Status.OK:
                    return status
            now = time.perf_counter()
            if new_rows or now - saved_at > CHECKPOINT_EVERY_S or stop():
                self.save()
                saved_at = now
            if new_rows or now - reported_at > REPORT_EVERY_S:
                tokens_per_s = (self.step - reported_step) * self.tokens_per_step / (now - reported_at)
                report(Progress(step=self.step, tokens_per_s=tokens_per_s, new_rows=new_rows))
                reported_at, reported_step = now, self.step
            if stop() and self.step < self.cell.steps:
                return Status.STOPPED
        return Status.OK

    def evaluation_rows(self) -> list[rows.Row]:
        """The rows of the present step; one row that says so if a loss is no longer a number."""
        points = (0, *self.cell.evaluation_steps)
        train_loss = self.loss_sum.item() / (self.step - points[points.index(self.step) - 1])
        self.loss_sum.zero_()
        scores = list(self.test(train_loss)) if math.isfinite(train_loss) else []
        for name, loss in [("training", train_loss), *(("test", row["loss"]) for row in scores)]:
            if not math.isfinite(loss):
                reason = f"the {name} loss became {loss} by step {self.step}"
                return [failure_row(self.facts, Status.DIVERGED, reason, step=self.step, wall_s=self.elapsed_s())]
        costs = {"wall_s": self.elapsed_s(), "energy_j": self.meter.total()}
        return [row | costs for row in scores]

    def elapsed_s(self) -> float:
        """Seconds of this and all earlier attempts so far."""
        now = time.perf_counter()
        self.wall_s, self.clock = self.wall_s + now - self.clock, now
        return self.wall_s

    @property
    def tokens_per_step(self) -> int:
        """Training tokens of one step."""
        return self.cell.training.batch * self.cell.task.seq_len

    def train_step(self, batch: Batch) -> torch.Tensor:
        """One optimizer step; the mean loss per target token, left on the device."""
        hard = self.step < self.cell.hard_steps
        if self.cell.hard_steps:  # parameters without a gradient are left alone by both optimizers
            for parameter in self.trained:
                parameter.requires_grad_(not hard or id(parameter) in self.memory)
        if isinstance(self.optimizer, DeviceMuonAdamW):
            self.optimizer.set(self.step)
            step = self.graph or self.device_step
            notes = tuple((number, kind) for number, kind, _ in batch.notes)
            return step((batch.windows, notes, hard, self.cell.passes_at(self.step)), *batch.tensors())
        loss = self.accumulate(batch, hard=hard, passes=self.cell.passes_at(self.step))
        self.optimizer.step(self.step)
        return loss

    def device_step(self, stage: Stage, *tensors: torch.Tensor) -> torch.Tensor:
        """What of a step runs on the device, without a word to the host; the loss."""
        windows, notes, hard, passes = stage
        inputs, targets, *tokens = tensors
        all_notes = tuple((*at, note) for at, note in zip(notes, tokens, strict=True))
        batch = Batch(inputs=inputs, targets=targets, windows=windows, notes=all_notes)
        loss = self.accumulate(batch, hard=hard, passes=passes)
        assert isinstance(self.optimizer, DeviceMuonAdamW)
        self.optimizer.take()
        return loss

    def accumulate(self, batch: Batch, *, hard: bool, passes: int) -> torch.Tensor:
        """Make the gradients of a batch, in parts if it is taken in parts; the loss."""
        count = (batch.targets != IGNORE).sum()
        losses = [self.gradients(part, count, hard=hard, passes=passes) for part in batch.parts(self.micro_batches)]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def gradients(
        self, part: Batch, count: torch.Tensor, *, hard: bool = False, passes: int | None = None
    ) -> torch.Tensor:
        """Add the gradients of some sequences of a batch of `count` targets; their share of the loss of the targets.

        What the model adds to the loss joins the gradients alone, and so does a loss that is expected over several
        answers, so that losses of different models are of one kind.
        """
        training, report = self.cell.training, Report()
        with autocast(self.device, training.precision):
            logits = predict(self.model, part, passes or training.most_passes, hard=hard, report=report)
        if logits.shape[-1] != self.cell.task.vocab_size:
            raise ValueError(f"the model must give {self.cell.task.vocab_size} logits, not {logits.shape[-1]}")
        loss = token_losses(logits, part.targets).sum() / count
        total = trained_losses(logits, part.targets, report).sum() / count if report.answers else loss
        own = report.loss
        total = total if own is None else total + own * (len(part.inputs) / training.batch)
        total.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def batches(self, first: int) -> Iterator[Batch]:
        """The batches of steps `first` to the end."""
        cell, steps = self.cell, range(first, self.cell.steps)
        if self.device.type == "cpu":
            return batches(cell.task, cell.training.batch, steps, seed=cell.seed, model=self.model)
        return device_batches(cell, self.device, steps, self.model)

    def test(self, train_loss: float) -> Iterator[rows.Row]:
        """Rows of the held-out scores at the present step; outcomes that are to be kept go to `new_outcomes`."""
        return score_rows(self, self.tests, train_loss)

    def append(self, path: Path, new: list[rows.Row]) -> None:
        """Append to a file of this cell.

        Raises:
            DamagedFileError: somebody else wrote to it meanwhile.
        """
        self.seals[path.stem] = rows.append(path, new, after=self.seals.get(path.stem, rows.Seal(0, None)))

    def save(self) -> None:
        """Write the checkpoint of the present step."""
        state = {
            "cell_id": self.cell.id,
            "step": self.step,
            "wall_s": self.elapsed_s(),
            "loss_sum": self.loss_sum,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            **self.meter.snapshot(),
        }
        if self.micro_batches > 1:
            state["micro_batches"] = self.micro_batches
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        checkpoint.save(self.checkpoint_path, state, cell_id=self.cell.id, step=self.step, **self.seals)

    def resume(self) -> None:
        """Load the checkpoint, if there is one, and drop what was written after it: it will be written again, equal.

        Raises:
            DamagedFileError: checkpoint, rows or outcomes are not what was written, or belong to another cell.
        """
        if self.checkpoint_path.exists():
            state = checkpoint.restore(
                self.checkpoint_path, self.cell.id, self.model, self.optimizer, device=self.device
            )
            self.step, self.wall_s, self.loss_sum = state["step"], state["wall_s"], state["loss_sum"]
            self.meter.joules = state.get("energy_j")
            self.micro_batches = max(self.micro_batches, state.get("micro_batches", 1))
            if "random" in state:  # in older checkpoints it is not
                torch.set_rng_state(state["random"].cpu())
            if "random_cuda" in state and self.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)
        lines = rows.read(self.rows_path, self.cell.id)
        history = [row for row in lines if row["status"] == Status.OK and row["step"] <= self.step]
        if self.rows_path.exists():
            self.seals[self.rows_path.stem] = rows.rewrite(self.rows_path, history)
        if self.outcomes_path.exists():
            lines = outcomes.read_lines(self.outcomes_path, self.cell.id)
            history = [line for line in lines if line["step"] <= self.step]
            self.seals[self.outcomes_path.stem] = rows.rewrite(self.outcomes_path, history)
