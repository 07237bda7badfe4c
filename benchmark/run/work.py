"""How much of the work of a sweep is done, and when it will be: in FLOPs, which workers count and tell."""

import time
from collections.abc import Sequence

from benchmark.cells.cell import Cell


class Work:
    """The work of the cells of a sweep.

    Nothing is counted here, because counting runs the model: what workers or rows tell of one cell holds for all of the
    same task, model and N. Of others it is guessed, by tokens times passes over each of them.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.share = dict.fromkeys((cell.id for cell in cells), 0.0)
        """How much of each is trained, by id."""
        self.steps = {cell.id: cell.steps for cell in cells}
        self._kinds = {cell.id: (cell.task, cell.model, cell.training.sleep_passes) for cell in cells}
        self._reads = {cell.id: float(cell.training.tokens * (1 + cell.training.sleep_passes)) for cell in cells}
        self._flops_per_read: dict[object, float] = {}
        self._sizes: dict[str, float] | None = None
        self._before, self._start = dict(self.share), time.monotonic()

    def begin(self) -> None:
        """From now on it is worked on."""
        self._before, self._start = dict(self.share), time.monotonic()

    def advance(self, cell: Cell, step: int) -> None:
        """A cell is at a step."""
        self.share[cell.id] = min(1.0, step / self.steps[cell.id])

    def learn(self, cell: Cell, flops: float) -> None:
        """Training a cell from start to end takes so many FLOPs."""
        kind = self._kinds[cell.id]
        if kind in self._flops_per_read:
            return
        self._flops_per_read[kind] = flops / self._reads[cell.id]
        self._sizes = None  # made when asked for: a sweep may have as many kinds as cells

    @property
    def _size(self) -> dict[str, float]:
        """The work of each cell, by id."""
        if self._sizes is None:
            per_read = self._flops_per_read
            usual = sum(per_read.values()) / len(per_read) if per_read else 1.0
            self._sizes = {id_: reads * per_read.get(self._kinds[id_], usual) for id_, reads in self._reads.items()}
        return self._sizes

    def eta_s(self) -> float | None:
        """Seconds to the end at the pace so far; None while that is unknown."""
        progress = sum(size * (self.share[id_] - self._before[id_]) for id_, size in self._size.items())
        rest = sum(size * (1 - self.share[id_]) for id_, size in self._size.items())
        return rest * (time.monotonic() - self._start) / progress if progress > 0 else None
