"""What a table of rows holds and lacks: cells that are missing, unfinished or failed, and what all of it cost."""

from dataclasses import dataclass

import polars as pl

from benchmark.cells import suites
from benchmark.cells.cell import Cell
from benchmark.cells.words import label, varying


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The plan of one suite at one scale, held against rows.

    Attributes:
        suite: Its name, as the rows have it.
        scale: Its scale, as the rows have it.
        planned: How many cells this code plans; None if it does not know the suite or the scale.
        found: How many of those have rows.
        cells: A cell in words -> its id, for each that has none, in the order they would be run.
    """

    suite: str
    scale: str
    planned: int | None
    found: int
    cells: dict[str, str]

    @property
    def variation(self) -> bool:
        """Whether none of the rows is of a planned cell: other settings, or other versions of task or model."""
        return self.planned is not None and not self.found


def missing(frame: pl.DataFrame) -> list[Missing]:
    """What the rows lack of each suite and scale that they name, compared by cell id."""
    found = []
    for (suite, scale), part in frame.group_by("suite", "scale", maintain_order=True):
        plan = _plan(str(suite), str(scale))
        here = set(part["cell_id"])
        others = varying(plan or ())
        found.append(
            Missing(
                suite=str(suite),
                scale=str(scale),
                planned=None if plan is None else len(plan),
                found=sum(cell.id in here for cell in plan or ()),
                cells={label(cell, others): cell.id for cell in plan or () if cell.id not in here},
            )
        )
    return found


def _plan(suite: str, scale: str) -> tuple[Cell, ...] | None:
    known = suite in suites.SUITES and scale in suites.SCALES
    return suites.suite(suite, scale).cells() if known else None


def failed(frame: pl.DataFrame) -> pl.DataFrame:
    """A row per failed cell: the last one that says so, sorted by cell."""
    bad = frame.filter(pl.col("status") != "ok").sort("cell_id", "step", nulls_last=False, maintain_order=True)
    return bad.unique("cell_id", keep="last", maintain_order=True)


def unfinished(frame: pl.DataFrame) -> pl.DataFrame:
    """The last row of each cell that did not fail and has not read its whole budget of tokens, sorted by cell."""
    if "tokens" not in frame.columns:
        return frame.clear()
    rest = frame.filter(~pl.col("cell_id").is_in(failed(frame)["cell_id"].to_list()))
    last = rest.sort("cell_id", "step", maintain_order=True).unique("cell_id", keep="last", maintain_order=True)
    return last.filter(pl.col("tokens_seen") < pl.col("tokens"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What cells took in all, each counted up to its last row.

    Attributes:
        cells: How many there are, failed and unfinished ones included.
        seeds: How many different seeds.
        tokens: Training tokens.
        train_flops: FLOPs of forward and backward.
        wall_s: Seconds of training and testing, one cell after the other.
        parameters: Least and most trained parameters of a cell; None if no row says.
    """

    cells: int
    seeds: int
    tokens: int
    train_flops: float
    wall_s: float
    parameters: tuple[int, int] | None


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
