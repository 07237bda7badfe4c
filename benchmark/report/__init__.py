"""A report: everything that rows say as one page that needs no network, the verdicts on the paper's claims on top."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from benchmark import rows
from benchmark.cells import suites
from benchmark.judge import claims
from benchmark.report import interactive, inventory
from benchmark.report.suite import Source, section
from benchmark.report.template import render, slug
from benchmark.rows import outcomes
from benchmark.rows.text import amount, duration


def write(sources: Sequence[Path], out: Path, advance: Callable[[int], None] = lambda _: None) -> Path:
    """Write the report of some folders or files of rows; the path written.

    A folder without rows of its own stands for the folders in it. The same rows and code give the same bytes.

    Raises:
        ValueError: no rows, or `out` cannot be a file.
        DamagedFileError: a file of rows that is not one.
        OSError: `out` cannot be written.
    """
    if out.is_dir():
        raise ValueError(f"{out} is a folder; --out takes the name of the page, such as {out / 'report.html'}")
    text = page(gather(sources), advance)
    out.parent.mkdir(parents=True, exist_ok=True)
    rows.write_atomically(out, text.encode())
    return out


def gather(sources: Sequence[Path]) -> list[Source]:
    """Each folder of rows by itself: those of a suite together, suites in the order in which they are listed.

    A variation of a suite, such as a sweep of rates, follows the suite itself, or all suites if that is not there.

    Raises:
        ValueError: no sources, or one without rows.
        DamagedFileError: as `rows.read_table`.
    """
    paths = list(dict.fromkeys(path for source in sources for path in rows.tables_in(source)))
    if not paths:
        raise ValueError("no rows were named; give a folder that `bench run` wrote, or a rows.parquet")
    tables = [(_folder(path), rows.read_table(path)) for path in paths]
    for (_, frame), path in zip(tables, paths, strict=True):
        if not frame.height:
            raise ValueError(f"no rows in {path}: there is nothing to report")
    order, main = list(suites.SUITES), {str(f["suite"][0]) for folder, f in tables if not _is_variation(folder, f)}

    def place(one: tuple[Path, pl.DataFrame]) -> tuple[bool, int, bool, str]:
        suite = str(one[1]["suite"][0])
        return suite not in main, _place(suite, order), _is_variation(*one), one[0].name

    tables.sort(key=place)
    ids: set[str] = set()
    return [
        Source(
            name=folder.name,
            id=_free_id(f"rows-{slug(folder.name)}", ids),
            frame=frame,
            environment=_environment(folder),
            outcomes=outcomes.read(folder),
        )
        for folder, frame in tables
    ]


def _folder(path: Path) -> Path:
    return (path if path.is_dir() else path.parent).resolve()


def _place(suite: str, order: Sequence[str]) -> int:
    return order.index(suite) if suite in order else len(order)


def _is_variation(folder: Path, frame: pl.DataFrame) -> bool:
    """Whether no suite plans any of its cells; a folder that has a suite's own name is of an older version of it."""
    plans = inventory.plans(frame)
    return all(plan.variation for plan in plans) and folder.name not in {f"{plan.suite}-{plan.scale}" for plan in plans}


def _free_id(name: str, ids: set[str]) -> str:
    """An id that no other source has."""
    number, id_ = 1, name
    while id_ in ids:
        number += 1
        id_ = f"{name}-{number}"
    ids.add(id_)
    return id_


def _environment(folder: Path) -> dict[str, Any]:
    """What the file beside the rows says; nothing if it is missing or is not what `bench run` writes."""
    try:
        return rows.stamps.load(folder / "environment.json")
    except (OSError, ValueError):
        return {}


def page(sources: Sequence[Source], advance: Callable[[int], None] = lambda _: None) -> str:
    """The page of some sources; `advance` hears of each one that is drawn."""
    frame = rows.concatenate([source.frame for source in sources])
    by_key = {key: outcome for source in sources for key, outcome in source.outcomes.items()}
    judgements = claims.judge(frame, by_key)
    curves = interactive.is_available()
    sections = []
    for source in sources:
        sections.append(section(source, interactive.chart(source.frame) if curves else None))
        advance(1)
    return render(
        sections,
        [judgement.as_dict() for judgement in judgements],
        interactive.library() if curves else None,
        counts=claims.counts(judgements),
        extent=_extent(sources, frame),
    )


def _extent(sources: Sequence[Source], frame: pl.DataFrame) -> str:
    """How much was read, and what it took."""
    costs = [inventory.cost(source.frame) for source in sources]
    failed = sum(inventory.failed_cells(source.frame).height for source in sources)
    return (
        f"The page reads {frame.height:,} rows of {sum(c.cells for c in costs):,} training runs in {len(sources)} "
        f"folder{'s' * (len(sources) != 1)}; {failed or 'none'} of the runs failed. They took "
        f"{amount(sum(c.train_flops for c in costs))} training FLOPs and {duration(sum(c.wall_s for c in costs))}, "
        "one after the other."
    )
