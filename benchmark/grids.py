"""Grids of cells: a base and the values that its axes run through; a plan is one grid or several run as one sweep."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.config import Cell
from tasks.base import nearest


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Cells as a base and the values that its axes run through.

    Attributes:
        base: The cell all others differ from by their axes only.
        axes: Setting -> its values, slowest first. "seed" comes first, so that a sweep has one seed of everything
            before it begins the second.
    """

    base: Cell
    axes: dict[str, tuple[Any, ...]]

    def cells(self) -> tuple[Cell, ...]:
        """Every combination, in the order they are run."""
        return tuple(
            self.base.with_settings(dict(zip(self.axes, values, strict=True)))
            for values in itertools.product(*self.axes.values())
        )

    def narrowed(self, **axes: Sequence[Any] | None) -> "Grid":
        """The same grid with other values on some of its axes; None leaves an axis as it is."""
        chosen = {name: tuple(dict.fromkeys(values)) for name, values in axes.items() if values is not None}
        return Grid(base=self.base, axes=self.axes | chosen)

    def with_settings(self, settings: dict[str, Any]) -> "Grid":
        """The same grid on a changed base; an axis that is set has that value alone.

        Raises:
            ValueError: a setting that is unknown or refused.
        """
        fixed = {name: (value,) for name, value in settings.items() if name in self.axes}
        return Grid(base=self.base.with_settings(settings), axes=self.axes | fixed)


@dataclass(frozen=True)
class Plan:
    """The cells of one sweep: those of every grid, a seed of everything before the next."""

    grids: tuple[Grid, ...]

    @property
    def bases(self) -> tuple[Cell, ...]:
        """What the cells of each grid start from."""
        return tuple(grid.base for grid in self.grids)

    @property
    def axes(self) -> tuple[str, ...]:
        """The settings that any grid runs through."""
        return tuple(dict.fromkeys(name for grid in self.grids for name in grid.axes))

    def cells(self) -> tuple[Cell, ...]:
        """The cells of all grids in the order they are run; one that several grids hold is run once."""
        unique = {cell.id: cell for grid in reversed(self.grids) for cell in grid.cells()}
        ordered = dict.fromkeys(cell.id for grid in self.grids for cell in grid.cells())
        return tuple(sorted((unique[id_] for id_ in ordered), key=lambda cell: cell.seed))

    def narrowed(self, **axes: Sequence[Any] | None) -> "Plan":
        """Other values on some axes, in every grid that has the axis.

        Raises:
            ValueError: no grid has such an axis.
        """
        for name, values in axes.items():
            if values is not None and name not in self.axes:
                raise ValueError(nearest(name, self.axes, kind="axis of this suite"))
        return Plan(tuple(g.narrowed(**{n: v for n, v in axes.items() if n in g.axes}) for g in self.grids))

    def with_settings(self, settings: dict[str, Any]) -> "Plan":
        """Changed bases, in every grid whose task, model or training has the setting.

        Raises:
            ValueError: a setting that no grid has, or a value that is refused.
        """
        known = {name for base in self.bases for name in (*base.axes, "seed")}
        for name in settings:
            if name not in known:
                raise ValueError(nearest(name, sorted(known), kind="setting"))
        return Plan(
            tuple(
                grid.with_settings({n: v for n, v in settings.items() if n in grid.base.axes or n == "seed"})
                for grid in self.grids
            )
        )
