"""A report: everything that rows say as one page that needs no network, the verdicts on the paper's claims on top."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from benchmark import rows
from benchmark.cells import suites
from benchmark.judge import claims as verdicts
from benchmark.judge.claims import verdict_tables
from benchmark.report import claims, interactive, inventory, skeleton
from benchmark.report.markup import Html, element, slug
from benchmark.report.suite import Source, section
from benchmark.rows import outcomes
from benchmark.rows.text import amount, duration


def write(sources: Sequence[Path], out: Path) -> Path:
    """Write the report of some folders or files of rows; the path written.

    A folder without rows of its own stands for the folders in it. The same rows and code give the same bytes.

    Raises:
        ValueError: no rows, or `out` cannot be a file.
        DamagedFileError: a file of rows that is not one.
        OSError: `out` cannot be written.
    """
    if out.is_dir():
        raise ValueError(f"{out} is a folder; --out takes the name of the page, such as {out / 'report.html'}")
    found = gather(sources)
    out.parent.mkdir(parents=True, exist_ok=True)
    rows.write_atomically(out, page(found).encode())
    return out


def gather(sources: Sequence[Path]) -> list[Source]:
    """Each folder of rows by itself: those of a suite together, suites in the order in which they are listed.

    Raises:
        ValueError: no sources, or one without rows.
        DamagedFileError: as `rows.read_table`.
    """
    paths = list(dict.fromkeys(path for source in sources for path in rows.tables_in(source)))
    if not paths:
        raise ValueError("no rows were named; give a folder that `bench run` wrote, or a rows.parquet")
    read = [(_folder(path), rows.read_table(path)) for path in paths]
    for (_, frame), path in zip(read, paths, strict=True):
        if not frame.height:
            raise ValueError(f"no rows in {path}: there is nothing to report")
    order = list(suites.SUITES)
    read.sort(key=lambda one: (_place(one[1]["suite"][0], order), _is_variation(one[1]), one[0].name))
    taken: set[str] = set()
    return [
        Source(
            name=folder.name,
            id=_free(f"rows-{slug(folder.name)}", taken),
            frame=frame,
            environment=_environment(folder),
            outcomes=outcomes.read(folder),
        )
        for folder, frame in read
    ]


def _folder(path: Path) -> Path:
    return (path if path.is_dir() else path.parent).resolve()


def _place(suite: str, order: Sequence[str]) -> int:
    return order.index(suite) if suite in order else len(order)


def _is_variation(frame: pl.DataFrame) -> bool:
    return all(found.variation for found in inventory.missing(frame))


def _free(wanted: str, taken: set[str]) -> str:
    """An id that no other source has."""
    number, id_ = 1, wanted
    while id_ in taken:
        number += 1
        id_ = f"{wanted}-{number}"
    taken.add(id_)
    return id_


def _environment(folder: Path) -> dict[str, Any]:
    """What the file beside the rows says; nothing if it is missing or is not what `bench run` writes."""
    try:
        said = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def page(found: Sequence[Source]) -> str:
    """The page of some sources."""
    every = pl.concat([source.frame for source in found], how="diagonal_relaxed")
    known = {key: outcome for source in found for key, outcome in source.outcomes.items()}
    judgements = verdicts.judge(every, known)
    rest = verdict_tables.left_out([judgement for judgement in judgements if not judgement.has_rows])
    judgements = [judgement for judgement in judgements if judgement.has_rows]
    judged, counts = [judgement.as_dict() for judgement in judgements], verdicts.counts(judgements)
    curves = interactive.available()
    sections = [section(source, interactive.chart(source.frame) if curves else None) for source in found]
    contents = [
        ("verdicts", "Verdicts"),
        ("reading", "How to read this"),
        *((source.id, source.name) for source in found),
        *([("claims", "Claims one by one")] if judged else []),
        ("columns", "Columns of the rows"),
    ]
    body = [
        element("header", element("h1", skeleton.TITLE), _summary(found, every, counts)),
        element(
            "section",
            element("h2", "Verdicts", id="verdicts"),
            *(
                [
                    claims.tiles(counts["empirical"]),
                    claims.by_construction(counts["construction"]),
                    claims.overview(judged),
                ]
                if judged
                else []
            ),
            element("p", rest) if rest else "",
            aria_labelledby="verdicts",
        ),
        _part("reading", "How to read this", skeleton.how_to_read(curves)),
        *sections,
        *([_part("claims", "Claims one by one", claims.details(judged))] if judged else []),
        _part("columns", "Columns of the rows", skeleton.dictionary()),
    ]
    return skeleton.page(contents, body, interactive.library() if curves else None)


def _part(id_: str, title: str, *content: Html) -> Html:
    return element("section", element("h2", title, id=id_), *content, aria_labelledby=id_)


def _summary(found: Sequence[Source], every: pl.DataFrame, counts: Mapping[str, Mapping[str, int]]) -> Html:
    """One paragraph: what was judged, how it went, from how much."""
    count, built = counts["empirical"], counts["construction"]["claims"]
    qualified = count["reproduced with a reservation"]
    cost = [inventory.cost(source.frame) for source in found]
    failed = sum(inventory.failed(source.frame).height for source in found)
    return element(
        "p",
        "sleepbench tests the paper ",
        element("cite", "Do Language Models Need Sleep?"),
        " (arXiv 2605.26099): whether a model gains by running over its context N times before the context is ",
        "evicted. ",
        f"Of {count['claims']} empirical claims that these rows can judge, in the form they take at this scale, ",
        element("b", f"{count['reproduced']} are reproduced"),
        f" ({qualified} with a reservation)" if qualified else "",
        f", {count['not reproduced']} are not, and for {count['not enough evidence']} there is not enough evidence. "
        f"{built} more are true by construction. ",
        f"The page reads {every.height:,} rows of {sum(c.cells for c in cost):,} training runs in {len(found)} "
        f"folder{'s' * (len(found) != 1)}; {failed or 'none'} of the runs failed. They took "
        f"{amount(sum(c.train_flops for c in cost))} training FLOPs and {duration(sum(c.wall_s for c in cost))}, "
        "one after the other.",
        class_="lead",
    )
