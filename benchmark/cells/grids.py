"""Grids of cells: a base and the values that its axes run through; a plan is one grid or several run as one sweep."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from baselines.base import ModelConfig
from benchmark.cells.cell import Cell
from tasks.base import Task, nearest


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Cells as a base and the values that its axes run through.

    Attributes:
        base: The cell all others differ from by their axes only.
        axes: Setting -> its values, slowest first. "seed" comes first, so that a sweep has one seed of everything
            before it begins the second.
        variants: What is run in the place of each combination, by name, such as a model and its rivals, given the
            combination and `only` some names (`rivals.rival_cells`); None: itself. They are made from the combination,
            so that a changed task or setting changes all of them as it should.
        variant_names: Only these variants; None: all.
    """

    base: Cell
    axes: dict[str, tuple[Any, ...]]
    variants: Callable[..., Mapping[str, Cell]] | None = None
    variant_names: tuple[str, ...] | None = None

    def cells(self) -> tuple[Cell, ...]:
        """Every combination, or what is run in its place, in the order they are run.

        Raises:
            ValueError: an unknown variant, a combination that has none, or several of a seed, whose variants would
                share names.
        """
        every = tuple(
            self.base.with_settings(dict(zip(self.axes, values, strict=True)))
            for values in itertools.product(*self.axes.values())
        )
        if self.variants is None:
            return every
        for name, values in self.axes.items():
            if name != "seed" and len(values) > 1:
                raise ValueError(f"variants are of one {name}, or two would have one name; given {values}")
        return tuple(variant for cell in every for variant in self.variants(cell, only=self.variant_names).values())

    def narrow(self, **axes: Sequence[Any] | None) -> "Grid":
        """The same grid with other values on some of its axes; None leaves an axis as it is."""
        changes = {name: tuple(dict.fromkeys(values)) for name, values in axes.items() if values is not None}
        return replace(self, axes=self.axes | changes)

    def sweep(self, axes: Mapping[str, tuple[Any, ...]]) -> "Grid":
        """The same grid through other values of some settings; a setting that was no axis comes after the seed."""
        first = {name: self.axes[name] for name in ("seed",) if name in self.axes}
        new = {name: values for name, values in axes.items() if name not in self.axes}
        return replace(self, axes={**first, **new, **self.axes, **axes})

    def tested_at(self, levels: Sequence[int]) -> "Grid":
        """The same grid tested at these difficulties alone."""
        return replace(self, base=self.base.with_settings({"test_at": tuple(dict.fromkeys(levels))}))

    def only(self, variants: Sequence[str]) -> "Grid":
        """The same grid with these variants alone.

        Raises:
            ValueError: the grid has none.
        """
        if self.variants is None:
            raise ValueError(f"this suite has no variants to choose from; given {', '.join(variants)}")
        return replace(self, variant_names=tuple(dict.fromkeys(variants)))

    def with_settings(self, settings: dict[str, Any]) -> "Grid":
        """The same grid on a changed base; an axis that is set has that value alone.

        Raises:
            ValueError: a setting that is unknown or refused.
        """
        constants = {name: (value,) for name, value in settings.items() if name in self.axes}
        return replace(self, base=self.base.with_settings(settings), axes=self.axes | constants)

    def with_task(self, kind: type[Task]) -> "Grid":
        """The same grid of another task, at its defaults; axes that were settings of the task before are gone."""
        of_task = {f.name for f in fields(self.base.task)} | {"test_at"}
        base = replace(self.base, task=kind(), training=replace(self.base.training, test_at=()))
        return replace(
            self, base=base, axes={name: values for name, values in self.axes.items() if name not in of_task}
        )

    def with_model(self, kind: type[ModelConfig], settings: dict[str, Any]) -> "Grid":
        """The same grid of another model, at the sizes of this one, with `settings` on top.

        What both models have keeps its value here, unless its default differs between the two: that difference is what
        makes a model what it is, such as the layout of a transformer.

        Raises:
            ValueError: an axis that the model lacks or is defined by, or a setting that is unknown or refused.
        """
        before, after = _defaults(type(self.base.model)), _defaults(kind)
        base = replace(self.base, model=kind())
        for axis in self.axes:
            if axis != "seed" and axis not in base.axes:
                raise ValueError(
                    f"the suite runs through {axis}, which model {kind.name!r} does not have; "
                    f"its settings: {', '.join(after) or 'none'}"
                )
            if axis in before and axis not in settings and before[axis] != after[axis]:
                raise ValueError(
                    f"the suite runs through {axis}, which is what makes model {kind.name!r} what it is; "
                    f"--set {axis}=VALUE chooses one"
                )
        names = [name for name in before if name in after and before[name] == after[name]]
        common = {name: getattr(self.base.model, name) for name in names}
        return replace(self, base=base.with_settings(common | settings)).with_settings(settings)


def _defaults(kind: type[ModelConfig]) -> dict[str, Any]:
    """The default of every setting of a model."""
    return {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(kind)}


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
        ids = dict.fromkeys(cell.id for grid in self.grids for cell in grid.cells())
        return tuple(sorted((unique[id_] for id_ in ids), key=lambda cell: cell.seed))

    def narrow(self, **axes: Sequence[Any] | None) -> "Plan":
        """Other values on some axes, in every grid that has the axis.

        Raises:
            ValueError: no grid has such an axis.
        """
        for name, values in axes.items():
            if values is not None and name not in self.axes:
                raise ValueError(nearest(name, self.axes, kind="axis of this suite"))
        return Plan(tuple(g.narrow(**{n: v for n, v in axes.items() if n in g.axes}) for g in self.grids))

    def sweep(self, axes: Mapping[str, tuple[Any, ...]]) -> "Plan":
        """Every grid through the values of those settings that it has.

        Raises:
            ValueError: a setting that no grid has.
        """
        return Plan(tuple(grid.sweep(own) for grid, own in zip(self.grids, _each(dict(axes), self.bases), strict=True)))

    def tested_at(self, axis: str, levels: Sequence[int] | None) -> "Plan":
        """The grids of tasks of an axis, such as "hops", tested at these difficulties alone; None leaves all.

        Raises:
            ValueError: no task has that axis.
        """
        axes = list(dict.fromkeys(base.task.axis for base in self.bases))
        if levels is not None and axis not in axes:
            raise ValueError(f"no task of this suite counts {axis}; the difficulty here is {' or '.join(axes)}")
        return Plan(
            tuple(g.tested_at(levels) if levels is not None and g.base.task.axis == axis else g for g in self.grids)
        )

    def only(self, variants: Sequence[str] | None) -> "Plan":
        """Every grid with these variants alone; None leaves all.

        Raises:
            ValueError: a grid has none to choose from.
        """
        return self if variants is None else Plan(tuple(grid.only(variants) for grid in self.grids))

    def with_settings(self, settings: dict[str, Any]) -> "Plan":
        """Changed bases, in every grid whose task, model or training has the setting.

        Raises:
            ValueError: a setting that no grid has, or a value that is refused.
        """
        return Plan(
            tuple(grid.with_settings(own) for grid, own in zip(self.grids, _each(settings, self.bases), strict=True))
        )

    def with_task(self, kind: type[Task]) -> "Plan":
        """Every grid with another task, as `Grid.with_task`; of several tasks one that is among them is chosen."""
        own = tuple(grid for grid in self.grids if type(grid.base.task) is kind)
        if own and len(own) < len(self.grids):
            return Plan(own)
        return Plan(tuple(grid.with_task(kind) for grid in self.grids))

    def with_model(self, kind: type[ModelConfig], settings: dict[str, Any] | None = None) -> "Plan":
        """Every grid with another model, and with `settings` as in `with_settings`.

        Raises:
            ValueError: as `Grid.with_model`, or a setting that no grid has then.
        """
        bases = [replace(base, model=kind()) for base in self.bases]
        return Plan(
            tuple(
                grid.with_model(kind, own) for grid, own in zip(self.grids, _each(settings or {}, bases), strict=True)
            )
        )


def _each(settings: dict[str, Any], bases: Sequence[Cell]) -> list[dict[str, Any]]:
    """Which of the settings each base has.

    Raises:
        ValueError: a setting that none has.
    """
    axes = {name for base in bases for name in (*base.axes, "seed")}
    for name in settings:
        if name not in axes:
            raise ValueError(nearest(name, sorted(axes), kind="setting"))
    return [{n: v for n, v in settings.items() if n in base.axes or n == "seed"} for base in bases]
