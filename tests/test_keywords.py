"""What a model may ask for beside tokens and state: a report to add to, and notes of a teacher."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.base import Notes, State
from baselines.hybrid import Hybrid
from baselines.report import Report
from baselines.sleeper import Sleeper
from benchmark import rows
from benchmark.cells.cell import Cell, Training
from benchmark.cells.cost import cost
from benchmark.forward import Batch, notes_of, predict
from benchmark.run.evaluate import HeldOut, evaluate
from benchmark.run.together import batches
from benchmark.run.trainer import Trainer
from tasks.base import Episode, Tokens
from tasks.recall import Recall
from tasks.rule110 import Rule110

SIZES: dict[str, Any] = {"layout": "attn gdn", "d_model": 8, "heads": 2, "mlp_ratio": 1}
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Noted(Rule110):
    """Gives the first two tokens of each window that is read, and on the prediction those of the episode."""

    name: ClassVar[str] = "noted"

    def notes(self, kind: str, episode: Episode) -> Mapping[int, Tokens]:
        super().notes(kind, episode)
        return {n: episode.inputs[:, n : n + 2] for n in range(self.strings + 1)} if kind == "workings" else {}


class Talker(Sleeper):
    """Says how much of its state is there, and how far its answer is from its notes."""

    reports = True
    uses_notes = frozenset({"workings"})

    def sleep(
        self, tokens: Tensor, state: State, passes: int, *, report: Report | None = None, notes: Notes | None = None
    ) -> State:
        if report is not None:
            report.add("passes_used", torch.full((len(tokens),), float(passes)))
            if notes:
                assert sorted(notes) == ["workings"] and notes["workings"].shape == (len(tokens), 2)
                report.add("penalty", self.embedding(notes["workings"]).square().mean((1, 2)), weight=0.5)
        return super().sleep(tokens, state, passes)

    def wake(
        self, tokens: Tensor, state: State, *, report: Report | None = None, notes: Notes | None = None
    ) -> tuple[Tensor, State]:
        return super().wake(tokens, state)


@dataclass(frozen=True, kw_only=True)
class Talking(Hybrid):
    name: ClassVar[str] = "talking"

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Sleeper:
        return Talker(self, vocab_size=vocab_size, window=window, windows=-(-seq_len // window))


TASK = Noted(cells=8, strings=2, rollout_steps=1)
PLAIN = Cell(task=TASK, model=Hybrid(**SIZES), training=Training(tokens=2000, batch=8, evaluations=2, test_examples=8))
CELL = replace(PLAIN, model=Talking(**SIZES))


def trained(cell: Cell, folder: Path, **settings: Any) -> list[rows.Row]:
    folder.mkdir()
    Trainer(cell, folder, **settings).run()
    return rows.read(folder / "rows.jsonl", cell.id)


def batch_of(cell: Cell) -> Batch:
    return next(batches(cell.task, 8, range(1), seed=0, model=built(cell)))


def built(cell: Cell) -> Sleeper:
    torch.manual_seed(0)
    model = cell.model.build(vocab_size=cell.task.vocab_size, window=cell.task.window, seq_len=cell.task.seq_len)
    assert isinstance(model, Sleeper)
    return model


def test_notes_reach_the_windows_they_are_on_and_are_cut_with_the_batch() -> None:
    batch = batch_of(CELL)
    assert [(at, kind) for at, kind, _ in batch.notes] == [(0, "workings"), (1, "workings"), (2, "workings")]
    assert torch.equal(batch.notes_on(1)["workings"], batch.inputs[:, 1:3])
    one, other = batch.parts(2)
    assert torch.equal(torch.cat([one.notes[2][2], other.notes[2][2]]), batch.inputs[:, 2:4])
    assert not batch_of(PLAIN).notes  # a model that does not ask is given none


def test_what_is_added_to_the_loss_has_its_gradient_and_its_mean() -> None:
    model, report = built(CELL), Report()
    predict(model, batch_of(CELL), 2, report=report)
    assert report.loss is not None
    expected = sum(0.5 * model.embedding(t).square().mean() for at, _, t in batch_of(CELL).notes if at < 2)
    torch.testing.assert_close(report.loss, expected)
    assert torch.autograd.grad(report.loss, model.embedding.weight)[0].any()
    assert report.means()["passes_used"] == (2.0, 16)


def test_a_report_of_another_shape_or_name_is_refused() -> None:
    for name, value, said in (("two words", torch.zeros(2), "such as"), ("x", torch.zeros(2, 2), r"\[B\] or \[\]")):
        with pytest.raises(ValueError, match=said):
            Report().add(name, value)


def test_tests_have_no_notes_and_rows_have_what_was_reported(tmp_path: Path) -> None:
    written = trained(CELL, tmp_path / "a")
    assert {row["report_passes_used"] for row in written} == {1.0}
    assert "report_penalty" not in written[0]  # no notes, so nothing to compare with
    table = rows.table(written)
    assert table["report_passes_used"].dtype.is_float()
    path = tmp_path / "rows.parquet"
    rows.write_table(path, written)
    assert rows.read_table(path).equals(table)
    plain = trained(PLAIN, tmp_path / "b")
    assert not [name for name in plain[0] if name.startswith("report_")]
    # The penalty trains: with it the same network learns otherwise.
    assert [row["loss"] for row in plain] != [row["loss"] for row in written]


def test_parts_of_a_batch_have_the_gradients_of_the_whole(tmp_path: Path) -> None:
    def gradients(parts: int) -> dict[str, Tensor]:
        (tmp_path / str(parts)).mkdir()
        trainer = Trainer(CELL, tmp_path / str(parts), micro_batches=parts)
        trainer.accumulate(batch_of(CELL), hard=False, passes=2)
        return {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}

    one, two = gradients(1), gradients(2)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name])


def test_a_plain_model_trains_the_same_bits_beside_a_task_with_notes(tmp_path: Path) -> None:
    """And one that reports nothing that has a weight is the plain model, bit for bit."""
    silent = replace(CELL, task=Recall(pairs=3, keys=6, values=4, queries=2, window_tokens=6))
    plain = replace(PLAIN, task=silent.task)
    one, two = trained(silent, tmp_path / "a"), trained(plain, tmp_path / "b")
    assert [row["loss"] for row in one] == [row["loss"] for row in two]


def test_scores_of_an_evaluation_are_the_same_with_and_without_asking_for_reports() -> None:
    model, reported = built(CELL), dict[str, float]()
    held_out = HeldOut(TASK, 8)
    one = evaluate(model, held_out, passes=3, device=CPU, precision="fp32", report_means=reported)
    assert one == evaluate(model, held_out, passes=3, device=CPU, precision="fp32")
    assert reported == {"passes_used": 3.0}


def test_a_kind_of_notes_is_one_of_those_there_are() -> None:
    episode = TASK.episodes("train", np.arange(1))
    with pytest.raises(ValueError, match="kind of notes"):
        TASK.notes("working", episode)
    assert notes_of(Recall(), built(CELL), Recall().episodes("train", np.arange(1))) == []


# --- N drawn per step ---

DRAWN = PLAIN.with_settings({"sleep_passes_drawn": (1, 2, 3), "tokens": 8000})


def test_n_is_drawn_by_seed_and_step_alone() -> None:
    drawn = [DRAWN.passes_at(step) for step in range(600)]
    assert {n: 150 < drawn.count(n) < 250 for n in (1, 2, 3)} == {1: True, 2: True, 3: True}
    assert drawn != [DRAWN.with_settings({"seed": 1}).passes_at(step) for step in range(600)]
    assert {PLAIN.passes_at(step) for step in range(5)} == {1}
    twice = DRAWN.with_settings({"sleep_passes_drawn": (1, 2, 2)})
    assert 350 < [twice.passes_at(step) for step in range(600)].count(2) < 450


def test_drawn_cells_cost_the_mean_and_have_an_id_of_their_own() -> None:
    each = [cost(PLAIN.with_settings({"sleep_passes": n})) for n in (1, 2, 3)]
    assert cost(DRAWN).sleep_flops == round(sum(c.sleep_flops for c in each) / 3)
    assert cost(DRAWN).train_flops == round(sum(c.train_flops for c in each) / 3)
    assert each[0].train_flops < cost(DRAWN).train_flops < each[2].train_flops
    assert DRAWN.id != DRAWN.with_settings({"sleep_passes_drawn": ()}).id


def test_one_value_drawn_is_that_value(tmp_path: Path) -> None:
    fixed = PLAIN.with_settings({"sleep_passes": 2})
    drawn = fixed.with_settings({"sleep_passes_drawn": (2,)})
    one, two = trained(fixed, tmp_path / "a"), trained(drawn, tmp_path / "b")
    assert [row["loss"] for row in one] == [row["loss"] for row in two]
    assert two[0]["sleep_passes_drawn"] == [2] and "sleep_passes_drawn" not in one[0]


@pytest.mark.parametrize("backend", ["torch", "native"])
def test_a_stopped_cell_goes_on_with_the_draws_it_would_have_made(tmp_path: Path, backend: str) -> None:
    cell = DRAWN.with_settings({"d_model": 32})
    whole = trained(cell, tmp_path / "whole", backend=backend)
    (tmp_path / "cut").mkdir()
    steps = iter(range(100))
    Trainer(cell, tmp_path / "cut", backend=backend).run(stop=lambda: next(steps) > 20)
    Trainer(cell, tmp_path / "cut", backend=backend).run()
    again = rows.read(tmp_path / "cut" / "rows.jsonl", cell.id)
    assert [{**row, "wall_s": 0} for row in again] == [{**row, "wall_s": 0} for row in whole]
