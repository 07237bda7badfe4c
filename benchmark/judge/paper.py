"""What the paper says, as data: its printed points and its claims, from `results/paper`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from benchmark import environment

FOLDER = environment.PAPER

POINTS: dict[str, Any] = {
    "figure": pl.String,
    "model": pl.String,
    "task": pl.String,
    "axis": pl.String,
    "difficulty": pl.Int64,
    "sleep_passes": pl.Int64,
    "metric": pl.String,
    "value": pl.Float64,
    "source": pl.String,
}
"""Columns of the points; `sleep_passes` is null where the paper does not say which N a value belongs to."""

Kind = Literal["empirical", "construction"]
"""What makes a claim true, if it is: what training finds, or how the model is built."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A claim of the paper and how rows can judge it."""

    id: str
    figure: str
    """Where the paper says it."""
    claim: str
    """What it says there, restated."""
    reduced: str
    """The form it takes at reduced scale."""
    suite: str
    form: str
    """Name of a function of `benchmark.judge.claims.forms`."""
    options: Mapping[str, Any]
    """Its keyword arguments."""
    because: str
    """Why an effect of the size in `options` would matter."""
    command: str
    where: Mapping[str, Any] = field(default_factory=dict)
    """Values that columns of the rows must have."""
    controls: tuple[str, ...] = ()
    """Letters of the controls of `benchmark.judge.claims.artefacts` that apply."""
    kind: Kind = "empirical"
    """"empirical", or "construction" where what is claimed follows from how the model is built, so that rows can only
    show that the code is right."""
    tuned: str = ""
    """A setting that each N needs a value of its own of, chosen on validation (`claims.tuning`), for one to be better
    than another; empty if that does not matter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What rows would be at the setting of a figure's points."""

    figure: str
    suite: str
    """The suite whose rows, at scale `paper`, are at its setting."""
    differs: str
    """How even those differ from the paper's; empty if they do not."""
    command: str
    where: Mapping[str, Any] = field(default_factory=dict)
    """Values that columns of the rows must have."""


def points() -> pl.DataFrame:
    """The values that the paper prints, in its order; columns as in `POINTS`.

    Raises:
        ValueError: the file is not there, as in an installation without the repository.
    """
    return pl.read_csv(_file("points.csv"), schema=POINTS, glob=False)


def claims() -> list[Claim]:
    """The claims, in the order of the file.

    Raises:
        ValueError: as `points`.
    """
    return [Claim(**(row | {"controls": tuple(row.get("controls", ()))})) for row in _tables()["claims"]]


def settings() -> dict[str, Setting]:
    """What would be at the setting of each figure, by figure.

    Raises:
        ValueError: as `points`.
    """
    return {row["figure"]: Setting(**row) for row in _tables()["settings"]}


def _tables() -> dict[str, Any]:
    return tomllib.loads(_file("claims.toml").read_text(encoding="utf-8"))


def _file(name: str) -> Path:
    if not (path := FOLDER / name).exists():
        raise ValueError(f"{path} is not there; the paper's claims and points come with the repository")
    return path
