"""The rows of a test: what every row of the cell says, scores, costs and floors, and what the model reports."""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from benchmark import rows
from benchmark.cells.cost import sizes_of_notes
from benchmark.cells.facts import best_shortcut
from benchmark.rows import outcomes
from benchmark.run.evaluate import HeldOut, evaluate

if TYPE_CHECKING:
    from benchmark.run.trainer import Trainer


def score_rows(trainer: "Trainer", tests: Sequence[HeldOut], train_loss: float) -> Iterator[rows.Row]:
    """Rows of the held-out scores at the present step; outcomes that are to be kept go to `trainer.new_outcomes`."""
    cell, cost = trainer.cell, trainer.cost
    training, trainer.new_outcomes = cell.training, []
    for passes, held_out in itertools.product(training.test_passes or (training.sleep_passes,), tests):
        task, report_means = held_out.task, dict[str, float]()
        how: dict[str, Any] = {"passes": passes, "device": trainer.device, "precision": training.precision}
        scores = evaluate(trainer.model, held_out, report_means=report_means, **how)
        with_notes: dict[tuple[int, int | None], float] = {}
        if sizes_of_notes(task, cell.model):
            again = evaluate(trainer.model, held_out, with_notes=True, **how)
            with_notes = {(score.difficulty, score.answer): score.exact_match for score in again}
        if trainer.step in outcomes.outcome_steps(cell.evaluation_steps):
            trainer.new_outcomes += outcomes.lines(cell.id, trainer.step, passes, scores)
        for score in scores:
            chance = task.chance(score.difficulty, score.answer)
            name, shortcut = best_shortcut(task, score.difficulty, score.answer)
            yield (
                trainer.facts
                | score.columns
                | {
                    "step": trainer.step,
                    "tokens_seen": trainer.step * trainer.tokens_per_step,
                    "train_flops": float(trainer.step * training.batch * cost.train_flops),
                    "sleep_flops": float(cost.sleep_flops),
                    "wake_flops": float(cost.wake_flops),
                    "state_bytes": cost.state_bytes,
                    "cache_bytes": cost.cache_bytes,
                    "parameters": cost.parameters,
                    "split": training.test_split,
                    "tested_passes": passes,
                    "train_loss": train_loss,
                    "chance": chance,
                    **task.floors(score.difficulty, score.answer),
                    "shortcut": shortcut,
                    "shortcut_name": name,
                    "lift": (score.exact_match - chance) / (1 - chance),
                    **{rows.REPORT + name: value for name, value in report_means.items()},
                    **({rows.NOTED: with_notes[score.difficulty, score.answer]} if with_notes else {}),
                }
            )
