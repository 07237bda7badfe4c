"""One folder of rows as a section of a report: what it shows, figures, scores, what is missing, cost and origin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from markupsafe import Markup

from benchmark import figures
from benchmark.judge import summaries
from benchmark.report import inventory, pictures
from benchmark.rows.outcomes import Key, Outcome
from benchmark.rows.studies import outdated_tasks, words
from benchmark.rows.text import Entry, Table, amount, duration

Facts = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A folder of rows."""

    name: str
    id: str
    """In the page, of its own."""
    frame: pl.DataFrame
    environment: dict[str, Any]
    """What `environment.json` beside the rows says; empty if there is none."""
    outcomes: Mapping[Key, Outcome] = field(default_factory=dict)
    """Which examples were right in the tests whose outcomes lie beside the rows."""


def section(source: Source, chart: dict[str, Any] | None) -> dict[str, Any]:
    """What the template says of a source; `chart` is its interactive learning curves, if it has some."""
    frame = source.frame
    failed, unfinished = inventory.failed_cells(frame), inventory.unfinished_cells(frame)
    return {
        "id": source.id,
        "name": source.name,
        "command": source.environment.get("command"),
        "plans": inventory.plans(frame),
        "outdated": outdated_tasks(frame),
        "figures": [
            {
                "address": pictures.address(figure.svg),
                "size": pictures.size(figure.svg),
                "alt": figure.alt,
                "caption": figure.caption,
            }
            for figure in figures.drawings(frame)
        ],
        "chart": chart,
        "scores": _scores(source),
        "trouble": (
            f"{failed.height} of {frame['cell_id'].n_unique()} cells failed, {unfinished.height} did not reach the end "
            "of their budget. They are listed below."
            if failed.height or unfinished.height
            else f"None: all {frame['cell_id'].n_unique()} cells were trained to the end."
        ),
        "failures": _failures(source.name, failed, unfinished),
        "cost": _cost(frame),
        "provenance": _provenance(source),
    }


def _scores(source: Source) -> Table | None:
    """The summary of the rows, its numbers unrounded beside what is shown; None without finished cells."""
    summary = summaries.summary(source.frame)
    if not summary.width:
        return None
    summary = summary.select(c for c in summary.columns if summary[c].null_count() < summary.height)
    title = f"Final scores of {source.name} over seeds"
    if "setting" in summary.columns and summary["setting"].n_unique() == 1:  # in every line it would say nothing
        title, summary = f"{title}: {summary['setting'][0]}", summary.drop("setting")
    lines = [
        [Entry(number_text(name, value), value) for name, value in row.items()] for row in summary.iter_rows(named=True)
    ]
    return Table([words(c) for c in summary.columns], lines, title)


def number_text(name: str, value: float | str | None) -> str:
    """A number of the summary as it is read: counts with a metric prefix, scores with three digits."""
    if value is None:
        return "–"
    if isinstance(value, str | bool):
        return str(value)
    if name == "wall_s":
        return duration(value)
    if name == "tokens_needed" or name in summaries.COSTS:
        return amount(value)
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _failures(name: str, failed: pl.DataFrame, unfinished: pl.DataFrame) -> Table | None:
    """Every cell without a final score, and why; None if there is none."""
    lines = [_line(row, row["status"], row["reason"]) for row in failed.iter_rows(named=True)]
    lines += [
        _line(row, "unfinished", f"{amount(row['tokens_seen'])} of {amount(row['tokens'])} tokens")
        for row in unfinished.iter_rows(named=True)
    ]
    heads = ("cell", "setting", "N", "seed", "status", "reason")
    return Table(heads, lines, f"Cells of {name} without a final score") if lines else None


def _line(row: dict[str, Any], status: str, reason: str | None) -> list[str | Entry]:
    axis, n = row["axis"], row.get("sleep_passes")
    depth = row.get(axis) if axis else None
    setting = ", ".join(filter(None, (row["variant"], None if depth is None else f"{words(axis)} {depth}")))
    return [
        str(row["cell_id"]),
        setting or f"{row['task']}, {row['model']}",
        Entry("–" if n is None else str(n), n),
        Entry(str(row["seed"]), row["seed"]),
        status,
        reason or "not said",
    ]


def _cost(frame: pl.DataFrame) -> Facts:
    cost = inventory.cost(frame)
    low, high = cost.parameters or (None, None)
    return [
        ("Cells", f"{cost.cells}, {cost.seeds} seed{'s' * (cost.seeds != 1)}"),
        ("Training tokens", amount(cost.tokens)),
        ("Training FLOPs", amount(cost.train_flops)),
        ("Time", f"{duration(cost.wall_s)}, one cell after the other"),
        ("Parameters", "–" if low is None else f"{low:,}" if low == high else f"{low:,} to {high:,}"),
    ]


def _provenance(source: Source) -> Facts:
    """Commit, versions and machine: of the rows where they say, else of the file beside them."""
    about = source.environment
    commits, torch, devices = (
        ", ".join(source.frame[column].drop_nulls().unique().sort()) for column in ("commit", "torch", "device")
    )
    packages = about.get("packages")
    versions = {"python": about.get("python"), **(packages if isinstance(packages, dict) else {})}
    versions["torch"] = torch or versions.get("torch")
    machine = [about.get(name) for name in ("system", "machine", "processor")]
    machine += [f"{about['cores']} cores"] if about.get("cores") else []
    command = about.get("command")
    return [
        *([("Command", Markup("<code>{}</code>").format(command))] if command else []),
        ("Commit", commits or "not said"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)),
        ("Machine", ", ".join(str(fact) for fact in machine if fact) or "not said"),
        ("Device", devices or "not said"),
    ]
