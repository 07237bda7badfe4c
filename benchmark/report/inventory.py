"""What a table of rows holds and lacks: cells that are missing, unfinished or failed, and what all of it cost."""

from dataclasses import dataclass

import polars as pl

from benchmark.cells import suites
from benchmark.cells.cell import Cell
from benchmark.cells.words import distinctions, label
from benchmark.rows import Status
from benchmark.rows.text import Table


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of one suite at one scale, both as the rows name them, held against those rows."""

    suite: str
    scale: str
    planned: int | None
    """How many cells this code plans; None if it does not know the suite or the scale."""
    present: int
    """How many of those have rows."""
    cells: dict[str, str]
    """A cell in words -> its id, for each that has none, in the order they would be run."""

    @property
    def about(self) -> str:
        """What the suite shows, in its own words."""
        suite = suites.SUITES.get(self.suite)
        return " ".join((suite.__doc__ or "").split()) if suite else "A suite that this code does not know."

    @property
    def id(self) -> str:
        """Its name and scale as part of an id."""
        return f"{self.suite}-{self.scale}".replace(" ", "-")

    @property
    def table(self) -> Table:
        """The cells without rows."""
        lines = [(id_, words) for words, id_ in self.cells.items()]
        return Table(("cell", "settings"), lines, f"Missing cells of suite {self.suite}, scale {self.scale}")

    @property
    def variation(self) -> bool:
        """Whether none of the rows is of a planned cell: other settings, or other versions of task or model."""
        return self.planned is not None and not self.present


def plans(frame: pl.DataFrame) -> list[Plan]:
    """What each suite and scale that the rows name plans, and what of it they lack, compared by cell id."""
    entries = []
    for (suite, scale), part in frame.group_by("suite", "scale", maintain_order=True):
        plan = _plan(str(suite), str(scale))
        here = set(part["cell_id"])
        others = distinctions(plan or ())
        entries.append(
            Plan(
                suite=str(suite),
                scale=str(scale),
                planned=None if plan is None else len(plan),
                present=sum(cell.id in here for cell in plan or ()),
                cells={label(cell, others): cell.id for cell in plan or () if cell.id not in here},
            )
        )
    return entries


def _plan(suite: str, scale: str) -> tuple[Cell, ...] | None:
    ours = suite in suites.SUITES and scale in suites.SCALES
    return suites.suite(suite, scale).cells() if ours else None


def failed_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """A row per failed cell: the last one that says so, sorted by cell."""
    bad = frame.filter(pl.col("status") != Status.OK).sort("cell_id", "step", nulls_last=False, maintain_order=True)
    return bad.unique("cell_id", keep="last", maintain_order=True)


def unfinished_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """The last row of each cell that did not fail and has not read its whole budget of tokens, sorted by cell."""
    if "tokens" not in frame.columns:
        return frame.clear()
    rest = frame.filter(~pl.col("cell_id").is_in(failed_cells(frame)["cell_id"].to_list()))
    last = rest.sort("cell_id", "step", maintain_order=True).unique("cell_id", keep="last", maintain_order=True)
    return last.filter(pl.col("tokens_seen") < pl.col("tokens"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What cells took in all, failed and unfinished ones included, each counted up to its last row."""

    cells: int
    seeds: int
    tokens: int
    """Of training."""
    train_flops: float
    """Of forward and backward."""
    wall_s: float
    """Training and testing, one cell after the other."""
    parameters: tuple[int, int] | None
    """Least and most of a cell; None if no row says."""


def cost(frame: pl.DataFrame) -> Cost:
    """What the cells of a table of rows took; a cell in two suites was trained, and counts, twice."""
    cells = frame.group_by("suite", "scale", "cell_id", maintain_order=True).agg(
        pl.col("tokens_seen", "train_flops", "wall_s").max()
    )
    sizes = frame["parameters"].drop_nulls()
    return Cost(
        cells=cells.height,
        seeds=frame["seed"].n_unique(),
        tokens=int(cells["tokens_seen"].sum()),
        train_flops=float(cells["train_flops"].sum()),
        wall_s=float(cells["wall_s"].sum()),
        parameters=(int(sizes.to_numpy().min()), int(sizes.to_numpy().max())) if len(sizes) else None,
    )
