"""The reference evidence: which studies stand in `results/reference`, and making what is missing of them.

A study is done when finished rows of every cell that it asks for are there. Cells are known by their ids, so rows of
settings, tasks or models that have changed since are not taken for those of today: such cells are trained again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import environment, rows
from benchmark.cells.cell import Cell
from benchmark.cells.facts import best_shortcut, cell_facts
from benchmark.cells.request import Request
from benchmark.cells.tuning import Tuning
from benchmark.rows import Row, Status, outcomes

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, kw_only=True)
class Study:
    """A folder of evidence and what it is asked to hold.

    Attributes:
        requests: What is run, all of one suite and scale.
        backend: What its cells are trained with.
    """

    requests: tuple[Request, ...]
    backend: str = "torch"

    def cells(self) -> dict[str, Cell]:
        """Every cell by its id."""
        return {cell.id: cell for request in self.requests for cell in request.cells()}

    @property
    def context(self) -> Row:
        """What its rows name beside their cell."""
        return {"suite": self.requests[0].suite, "scale": self.requests[0].scale}

    @property
    def command(self) -> str:
        """The commands that train it."""
        backend = "" if self.backend == "torch" else f" --backend {self.backend}"
        return " && ".join(f"{request.command}{backend}" for request in self.requests)


def _one_suite(suite: str, **options: Any) -> Study:
    return Study(requests=(Request(suite=suite, **options),))


_PASSES = Request(suite="passes", rollout_steps=(4, 5, 6, 7, 8), sleep_passes=(1, 2, 3, 4), settings=("tokens=20M",))

_HOPS = Request(suite="hops", sleep_passes=(1, 2, 4), settings=("tokens=20M",))

_HOPS_TUNED = replace(_HOPS, rates=environment.REFERENCE / "hops-tuning-cpu")

_HOPS_LONG = (
    replace(_HOPS_TUNED, sleep_passes=(1,), settings=("tokens=61.7M",)),
    replace(_HOPS_TUNED, sleep_passes=(2,), settings=("tokens=36.5M",)),
)
"""N = 1 and 2 to the FLOPs of N = 4."""
_HOPS_BEST = ((1, "61.7M", 0.005, 0.003), (2, "36.5M", 0.01, 0.003), (4, "20M", 0.01, 0.001))
"""N, tokens to the FLOPs of N = 4, and the rates of Muon and AdamW with the best mean in `hops-long-rates-cpu`."""

_TUNED_PASSES = replace(_PASSES, seeds=(0, 1, 2, 3, 4), rates=environment.REFERENCE / "passes-tuning-cpu")

_LONG_1 = replace(_TUNED_PASSES, rollout_steps=(8,), sleep_passes=(1,), settings=("tokens=110M",))
_LONG_2 = replace(_TUNED_PASSES, rollout_steps=(8,), sleep_passes=(2,), settings=("tokens=44.5M",))
"""N = 1 and 2 to the FLOPs of N = 4 at the deepest t."""

BEFORE = ("longer", "deeper", "wider", "bigger-state", "reread", "reembed", "reset-state", "wake-loop")
"""The rivals that there were when they were trained."""

_SMOLLM2 = (
    "checkpoint_sha256=c4a0d0251823fbfb1af1ded02e9fd805786129d3e2b5f304d36d5e7fdb820841",
    "tokenizer_sha256=bf346d64f6f0fbcefb4c1b6928a98241467dff36c6fbae5fe1785c4ff90667f4",
)
"""What `python -m baselines.pretrained.smollm2 FOLDER` writes, whose place no cell knows: to train, `folder=FOLDER`."""

STUDIES: dict[str, Study] = {
    "rollouts-cpu": _one_suite("rollouts"),
    "passes-cpu": _one_suite("passes"),
    "addressing-cpu": _one_suite("addressing"),
    "hops-cpu": _one_suite("hops"),
    "operations-cpu": _one_suite("operations"),
    "controls-cpu": _one_suite("controls", variants=("sleep", "plain", *BEFORE)),
    "hop-controls-cpu": _one_suite("hop-controls"),
    "rules-cpu": _one_suite("rules"),
    "sliding-cpu": _one_suite("sliding"),
    "test-passes-cpu": _one_suite("test-passes"),
    "retention-cpu": _one_suite("retention"),
    "no-gain-cpu": _one_suite("no-gain"),
    "predictability-cpu": Study(requests=(Request(suite="predictability", seeds=(0,)),), backend="native"),
    "sliding-long-cpu": Study(requests=(Request(suite="sliding", settings=("tokens=20M",)),), backend="native"),
    "hop-windows-cpu": Study(requests=(Request(suite="hop-windows", seeds=(0,)),), backend="native"),
    "any-n-cpu": Study(requests=(Request(suite="any-n"),), backend="native"),
    "roads-cpu": _one_suite("roads", task="rule110", seeds=(0, 1)),
    # What the suites leave open: other rates, longer training, everything evicted, no fast weights.
    "hops-long-cpu": _one_suite("hops", sleep_passes=(1,), seeds=(0, 1, 2), settings=("tokens=40000000",)),
    "passes-long-cpu": _one_suite("passes", rollout_steps=(7,), seeds=(0,), settings=("tokens=12000000",)),
    "passes-rate-cpu": _one_suite(
        "passes", rollout_steps=(6,), sleep_passes=(1, 2), seeds=(0, 1, 2), settings=("muon_lr=0.005",)
    ),
    "muon-rate-cpu": Study(
        requests=tuple(
            Request(
                suite="rollouts",
                rollout_steps=(5,),
                seeds=(0, 1),
                settings=("test_split=validation", f"muon_lr={rate}"),
            )
            for rate in (0.005, 0.01, 0.02)
        )
    ),
    "operations-evicted-cpu": _one_suite(
        "operations", sleep_passes=(1, 4), seeds=(0,), settings=("window_tokens=62", "tokens=6000000")
    ),
    "transformer-cpu": _one_suite(
        "passes",
        model="transformer",
        rollout_steps=(0,),
        sleep_passes=(1, 2),
        seeds=(0, 1, 2),
        settings=("layout=attn attn", "tokens=500000"),
    ),
    # Of a decoder that is not in the repository.
    "pretrained-cpu": _one_suite(
        "pretrained",
        seeds=(0,),
        settings=("tokens=10240", "test_examples=192", "evaluations=2", "muon_lr=0.03", *_SMOLLM2),
    ),
    # The second edition: every arm at rates that were chosen alike (results/README.md).
    "passes-tuning-cpu": Study(requests=(replace(_PASSES, rollout_steps=(7,), tune=True),), backend="native"),
    "hops-tuning-cpu": Study(requests=(replace(_HOPS, tune=True),), backend="native"),
    "passes-tuned-cpu": Study(requests=(_TUNED_PASSES,), backend="native"),
    "passes-tuned-long-cpu": Study(
        requests=(
            _LONG_1,
            _LONG_2,
            *(replace(long, rollout_steps=(7,), seeds=(0, 1, 2)) for long in (_LONG_1, _LONG_2)),
        ),
        backend="native",
    ),
    "hops-tuned-cpu": Study(requests=(_HOPS_TUNED,), backend="native"),
    "hops-tuned-long-cpu": Study(requests=_HOPS_LONG, backend="native"),
    # Attacks on them: every pair of rates with the whole budget, on validation examples; what they say is best, tested.
    "passes-rates-cpu": Study(
        requests=(
            replace(
                _PASSES,
                rollout_steps=(8,),
                sleep_passes=(1, 2),
                seeds=(1000,),
                axes=("muon_lr=0.0025,0.005,0.01,0.02", "adam_lr=0.001,0.003"),
                settings=("tokens=20M", "test_split=validation"),
            ),
        ),
        backend="native",
    ),
    "passes-long-rates-cpu": Study(
        requests=(
            replace(_LONG_1, rates=None, settings=("tokens=110M", "muon_lr=0.0025", "adam_lr=0.003")),
            replace(_LONG_2, rates=None, settings=("tokens=44.5M", "muon_lr=0.005", "adam_lr=0.003")),
        ),
        backend="native",
    ),
    "hops-long-rates-cpu": Study(
        requests=tuple(
            replace(
                long,
                rates=None,
                seeds=(1000,),
                settings=(*long.settings, "test_split=validation", f"muon_lr={muon}", f"adam_lr={adam}"),
            )
            for long in (*_HOPS_LONG, replace(_HOPS_TUNED, sleep_passes=(4,)))
            for muon, adam in Tuning().grid
        ),
        backend="native",
    ),
    "hops-best-cpu": Study(
        requests=tuple(
            replace(_HOPS, sleep_passes=(n,), settings=(f"tokens={tokens}", f"muon_lr={muon}", f"adam_lr={adam}"))
            for n, tokens, muon, adam in (
                (1, "61.7M", 0.005, 0.003),
                (2, "36.5M", 0.01, 0.003),
                (4, "20M", 0.01, 0.001),
            )
        ),
        backend="native",
    ),
    # What `make gate` checks small new cells against; more seeds see smaller regressions.
    "gate-tiny": _one_suite("gate", scale="tiny", seeds=tuple(range(16))),
}
"""Every study of the evidence by its folder."""


PROBES: dict[str, tuple[Study, int]] = {
    "passes-cpu": (_one_suite("passes", rollout_steps=(6,), seeds=(0, 3, 4)), 8192),
    "hops-cpu": (_one_suite("hops", sleep_passes=(1, 4), seeds=(3, 4)), 2048),
}
"""Cells whose fast weights are probed, by folder of `results/probe`, and the examples that probes are fitted on.

Rows do not tell: it takes the checkpoints. A wider network has more numbers in S, and fitting costs their cube.
"""


def inventory(root: Path, name: str) -> tuple[list[Cell], list[Row]]:
    """Of a study: the cells that no rows under `root` finish, and the rows of the others.

    Its own folder counts first. A cell that another study holds is not trained twice: the same id is the same numbers.
    """
    study, cells = STUDIES[name], STUDIES[name].cells()
    own = [root / name] if (root / name / "rows.parquet").exists() else []
    others = [path.parent for path in sorted(root.glob("*/rows.parquet")) if path.parent != root / name]
    there: list[Row] = []
    missing = cells
    for place in (*own, *others):
        if missing:
            there += [row | study.context for row in finished_rows(rows.read_table(place), missing)]
            finished_ids = {row["cell_id"] for row in there}
            missing = {id_: cell for id_, cell in cells.items() if id_ not in finished_ids}
    return list(missing.values()), there


def finished_rows(frame: "pl.DataFrame", cells: dict[str, Cell]) -> list[Row]:
    """The rows of those cells that came to their end, as they would be written now.

    A setting that did not exist when a row was written has the value that left the cell's id as it is: its default.
    """
    import polars as pl

    whole: list[Row] = []
    of_cells = frame.filter(pl.col("cell_id").is_in(list(cells)))
    for part in of_cells.partition_by("cell_id", maintain_order=True):
        cell = cells[str(part["cell_id"][0])]
        if part["step"].max() == cell.steps or Status.DIVERGED in set(part["status"]):
            facts = cell_facts(cell, device=str(part["device"][0]), context={})
            today = {name: facts[name] for name in (*cell.axes, "variant", "schema_version") if name in facts}
            for row in part.iter_rows(named=True):
                floor = _floor(cell, row) if row["status"] == Status.OK else {}
                whole.append({name: row[name] for name in rows.COLUMNS} | today | floor)
    return whole


def _floor(cell: Cell, row: Row) -> Row:
    """The columns of the strongest shortcut as the code knows it now; of older rows it may not have known the best."""
    task = cell.task.at(row["difficulty"]) if cell.training.test_at else cell.task
    name, shortcut = best_shortcut(task, row["difficulty"], row["answer"])
    return {"shortcut": shortcut, "shortcut_name": name}


def run_folder(name: str) -> Path:
    """Where a study is trained; its checkpoints stay there."""
    return Path("results") / "runs" / "reference" / name


def _publish_outcomes(folder: Path, run: Path, old: set[str], new_ids: set[str]) -> None:
    """Write the outcomes that there are of a study's cells: those that lie beside rows, and those of its run."""
    import polars as pl

    places = [folder, *(path.parent for path in sorted(folder.parent.glob(f"*/{outcomes.FILE}")))]
    before = pl.concat([outcomes.read_table(place).filter(pl.col("cell_id").is_in(old)) for place in places])
    new = outcomes.table(
        [line for id_ in sorted(new_ids) for line in outcomes.read_lines(run / "cells" / id_ / outcomes.LINES)]
    )
    table = (
        pl.concat([before, new]).unique(outcomes.Key._fields, keep="first").sort(outcomes.Key._fields, nulls_last=True)
    )
    if table.height:
        rows.write_frame(folder / outcomes.FILE, table)


def publish(folder: Path, name: str, old: Sequence[Row]) -> None:
    """Write a study's table: the rows that were there, and those its run has of the other cells; and their outcomes.

    `environment.json` tells where the new rows come from and, under `earlier`, where the others did.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run, finished_ids = run_folder(name), {row["cell_id"] for row in old}
    new = [
        row
        for id_ in STUDIES[name].cells()
        if id_ not in finished_ids
        for row in rows.read(run / "cells" / id_ / "rows.jsonl")
    ]
    rows.write_table(folder / "rows.parquet", [*old, *new])
    _publish_outcomes(folder, run, {row["cell_id"] for row in old}, {row["cell_id"] for row in new})
    if new:
        place = folder / "environment.json"
        facts: dict[str, Any] = rows.stamps.load(run / "environment.json")
        facts["cells"] = len({row["cell_id"] for row in new})
        if place.exists():
            before = rows.stamps.load(place)
            facts["earlier"] = [before, *before.pop("earlier", [])]
        rows.write_atomically(place, (json.dumps(facts, indent=1) + "\n").encode())
