"""Learning rates, chosen alike for every arm: one grid, the same seeds, the same share of the budget, validation tests.

A rate that suits one arm and not another decides which of them wins. So whatever is compared, each N, rival and update
rule, is first tried at every rate of one grid, on examples that are neither trained nor tested on, and then trained at
the best of its own, with other seeds.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.cells.cell import Cell
from benchmark.cells.words import distinctions, label
from benchmark.rows.text import Table
from benchmark.rows.trials import trial_scores

if TYPE_CHECKING:
    import polars as pl


class Rates(NamedTuple):
    """The two learning rates of a cell."""

    muon_lr: float
    adam_lr: float


class Choice(NamedTuple):
    """What the trials of an arm say."""

    rates: Rates
    scores: Mapping[Rates, float]
    """Mean exact match of each pair of rates on validation examples; what diverged counts as chance."""
    at_edge: tuple[str, ...]
    """Rates whose best value is the least or the largest of several: another grid might do better."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How rates are chosen.

    Attributes:
        muon_lr: Rates of Muon that are tried.
        adam_lr: Rates of AdamW, each with each of Muon.
        seeds: Seeds of the trials, which no published row has.
        share: Part of the token budget that a trial gets.
    """

    muon_lr: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02)
    adam_lr: tuple[float, ...] = (1e-3, 3e-3)
    seeds: tuple[int, ...] = (1000, 1001)
    share: float = 0.25

    @property
    def grid(self) -> list[Rates]:
        """Every pair of rates."""
        return [Rates(*pair) for pair in itertools.product(self.muon_lr, self.adam_lr)]

    def trial(self, cell: Cell, rates: Rates, seed: int, tokens: int | None = None) -> Cell:
        """One trial of a cell's arm; `tokens` in the place of its share of the budget."""
        budget = tokens or round(self.share * cell.training.tokens)
        training = replace(cell.training, **rates._asdict(), tokens=budget, test_split="validation")
        return replace(cell, training=training, seed=seed)

    def trials(self, cells: Iterable[Cell]) -> tuple[Cell, ...]:
        """Every trial of the arms of some cells, a seed of everything before the next."""
        cells = list(cells)
        every = [self.trial(cell, rates, seed) for seed, cell, rates in itertools.product(self.seeds, cells, self.grid)]
        return tuple({cell.id: cell for cell in every}.values())

    def choice(self, cell: Cell, frame: "pl.DataFrame", scores: Mapping[str, float] | None = None) -> Choice | None:
        """What the trials in some rows say of a cell's arm; None if some lack. Whoever has `trial_scores` gives them.

        Trials of the cell's own difficulty count first, and of its whole budget, then of its share. If there are none,
        the arm has the rates that were chosen for it at another difficulty, then budget: the largest that was tried.
        """
        axis = cell.task.axis
        depths = [cell.difficulty, *_values(frame, axis, cell.difficulty)]
        budgets = [cell.training.tokens, None, *sorted(_values(frame, "tokens", None), reverse=True)]
        scores = trial_scores(frame) if scores is None else scores
        for budget, depth in itertools.product(budgets, depths):
            at = cell if depth in (None, cell.difficulty) else cell.with_settings({axis: depth})
            ids = {rates: [self.trial(at, rates, seed, budget).id for seed in self.seeds] for rates in self.grid}
            if all(scores.keys() >= set(trials) for trials in ids.values()):
                return self._choice({rates: fmean(scores[id_] for id_ in trials) for rates, trials in ids.items()})
        return None

    def _choice(self, scores: Mapping[Rates, float]) -> Choice:
        best = max(scores, key=lambda rates: (scores[rates], -rates.muon_lr, -rates.adam_lr))  # the lower of equal ones
        grid_values: Mapping[str, Sequence[float]] = {"muon_lr": self.muon_lr, "adam_lr": self.adam_lr}
        edges = [
            n for n, values in grid_values.items() if len(values) > 2 and getattr(best, n) in (min(values), max(values))
        ]
        return Choice(best, scores, tuple(edges))

    def with_best_rates(self, cells: Iterable[Cell], frame: "pl.DataFrame") -> tuple[Cell, ...]:
        """Cells at the rates that their trials chose.

        Raises:
            ValueError: trials of a cell are missing, or one has a seed of the trials.
        """
        tuned_cells, scores = list[Cell](), trial_scores(frame)
        for cell in cells:
            if cell.seed in self.seeds:
                raise ValueError(f"seed {cell.seed} is of trials of rates; choose other seeds than {self.seeds}")
            if (choice := self.choice(cell, frame, scores)) is None:
                raise ValueError(
                    f"no trials of {cell.variant or cell.model.name} with N = {cell.training.sleep_passes} on "
                    f"{cell.task.name} are finished there; the same command with --tune makes them"
                )
            tuned_cells.append(replace(cell, training=replace(cell.training, **choice.rates._asdict())))
        return tuple(tuned_cells)

    def choices(self, cells: Iterable[Cell], frame: "pl.DataFrame") -> Table:
        """What was chosen for each arm of some cells, and how all pairs of rates did."""
        arms = {replace(cell, seed=0).id: replace(cell, seed=0) for cell in cells}
        others, lines, scores = distinctions(list(arms.values())), list[list[str]](), trial_scores(frame)
        for cell in arms.values():
            name = label(cell, others).replace(", seed 0", "")
            if (choice := self.choice(cell, frame, scores)) is None:
                lines.append([name, "trials are missing", "", "", "", ""])
                continue
            rates = [
                f"{rate:g}{' (edge)' if at in choice.at_edge else ''}" for at, rate in choice.rates._asdict().items()
            ]
            first, second, *_, last = sorted(choice.scores.values(), reverse=True)
            lines.append([name, *rates, *(f"{score:.3f}" for score in (first, second, last))])
        heads = ["arm", "muon_lr", "adam_lr", "exact match", "second best", "worst"]
        return Table(heads, lines, "Rates by validation tests; edge: no more was tried beyond", ["---", *["--:"] * 5])


TUNING = Tuning()
"""How rates are chosen in this suite, for everything alike."""


def _values(frame: "pl.DataFrame", column: str, but: Any) -> list[Any]:
    """The values of a column, sorted, without one."""
    if column not in frame.columns:
        return []
    return [value for value in frame[column].drop_nulls().unique().sort().to_list() if value != but]
