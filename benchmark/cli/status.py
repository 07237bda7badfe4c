"""The command `status`: how the cells of a folder stand, which failed and why, and how long the rest will take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.console import Json, print_json, terminal, warn_of_mixture

if TYPE_CHECKING:
    from benchmark.rows.text import Table
    from benchmark.run.standing import Standing, SweepStanding

MOST_CELLS, MOST_FAILURES = 100, 20
"""Cells of a folder that are shown one by one; failures that are."""


def status_(
    folder: Annotated[Path, typer.Argument(help="A folder that `bench run` wrote.")], json_: Json = False
) -> None:
    """Show how the cells of a folder stand: scores, progress, failures, and when it will be done.

    It reads data alone and imports nothing that the folder names.
    """
    from benchmark.cells.words import distinctions, label
    from benchmark.run.standing import SweepStanding

    sweep = SweepStanding(folder)
    warn_of_mixture(row for standing in sweep.cells for row in standing.tests)
    others = distinctions([standing.cell for standing in sweep.cells])
    names = {standing.cell_id: label(standing.cell, others) for standing in sweep.cells}
    if json_:
        _print_json(folder, sweep, names)
        return
    console = terminal()
    console.print(_grid(folder, sweep, others).terminal())
    if len(sweep.cells) <= MOST_CELLS:
        console.print(_listing(sweep, names).terminal())
    console.print(_summary(sweep), soft_wrap=True, highlight=False)
    failures = [standing for standing in sweep.cells if standing.status.failed]
    for standing in failures[:MOST_FAILURES]:
        text = f"{standing.status}: {names[standing.cell_id]}: {standing.reason} ({standing.log})"
        console.print(text, style="red", soft_wrap=True)
    if failures[MOST_FAILURES:]:
        console.print(f"and {len(failures) - MOST_FAILURES} more; --json has them all", style="red")
    for line in sweep.unreadable:
        console.print(f"left out: {line}", style="red", soft_wrap=True)


def _grid(folder: Path, sweep: "SweepStanding", others: tuple[str, ...]) -> "Table":
    """Mean exact match over seeds by difficulty and N, how many cells are done, and how others failed."""
    from collections import Counter

    from benchmark.cells.words import fact
    from benchmark.rows import Status
    from benchmark.rows.text import Table

    places: dict[tuple[Any, ...], dict[Any, list[tuple[Standing, float | None]]]] = {}
    chances: dict[tuple[Any, ...], float] = {}
    for standing in sweep.cells:
        facts, n = [fact(standing.cell, name) for name in others], standing.cell.axes.get("sleep_passes")
        scores = {score["difficulty"]: score for score in standing.scores}
        own = standing.cell.axes.get(standing.cell.axis)
        for level in scores or standing.cell.axes.get("test_at") or (own,):
            key = (*facts, level)
            score = scores.get(level)
            places.setdefault(key, {}).setdefault(n, []).append((standing, score["exact_match"] if score else None))
            if score and score["chance"] is not None:
                chances[key] = score["chance"]
    counts = sorted({n for at in places.values() for n in at}, key=str)
    counts = sorted(counts) if all(isinstance(n, int) for n in counts) else counts

    def entry(at: "list[tuple[Standing, float | None]]") -> str:
        scores = [score for _, score in at if score is not None]
        n_ok = sum(standing.status == Status.OK for standing, _ in at)
        failures = Counter(standing.status for standing, _ in at if standing.status.failed)
        text = f"{sum(scores) / len(scores):.3f}" if scores else "-"
        text += f" ({n_ok}/{len(at)})" if n_ok < len(at) else ""
        return text + "".join(f" {count} {status}" for status, count in failures.items())

    axes = {standing.cell.axis for standing in sweep.cells}
    heads = [*others, *(axes if len(axes) == 1 else ["difficulty"]), "chance", *(f"N = {n}" for n in counts)]
    keys = sorted(places, key=lambda key: (*map(str, key[:-1]), key[-1] if isinstance(key[-1], int) else -1))
    lines = [
        [
            *key[:-1],
            "-" if key[-1] is None else key[-1],
            f"{chances[key]:.3f}" if key in chances else "-",
            *(entry(places[key][n]) if n in places[key] else "" for n in counts),
        ]
        for key in keys
    ]
    return Table(heads, lines, title=str(folder))


def _listing(sweep: "SweepStanding", names: dict[str, str]) -> "Table":
    """A line per cell."""
    from benchmark.rows.text import Table

    lines = [
        [
            s.cell_id,
            names[s.cell_id],
            str(s.status),
            f"{s.step}/{s.steps or '?'}",
            ", ".join(f"{score['exact_match']:.3f}" for score in s.scores) or "-",
            ", ".join(dict.fromkeys(f"{score['chance']:.3f}" for score in s.scores)) or "-",
        ]
        for s in sweep.cells
    ]
    levels = list(dict.fromkeys(score["difficulty"] for s in sweep.cells for score in s.scores))
    axis = sweep.cells[0].cell.axis.replace("_", " ")
    several = any(len(s.scores) > 1 for s in sweep.cells)
    match = f"exact match at {', '.join(map(str, levels))} {axis}" if several else "exact match"
    return Table(["cell", "settings", "state", "step", match, "chance"], lines)


def _summary(sweep: "SweepStanding") -> str:
    """How far the folder is, in a line."""
    from benchmark.rows import Status
    from benchmark.rows.text import duration

    counts = ", ".join(f"{count} {status}" for status, count in sweep.counts.items())
    text = f"{len(sweep.cells)} cells: {counts}; {sweep.progress:.0%} of all steps"
    if sweep.per_hour:
        text += f"; {sweep.per_hour} finished within the last hour"
    if sweep.eta_s:
        return f"{text}; about {duration(sweep.eta_s)} left with {sweep.counts[Status.RUNNING]} at once"
    return f"{text}; about {duration(sweep.left_s)} of one core left" if sweep.left_s else text


def _print_json(folder: Path, sweep: "SweepStanding", names: dict[str, str]) -> None:
    cells = [
        {
            "cell_id": s.cell_id,
            "cell": names[s.cell_id],
            "state": s.status,
            "step": s.step,
            "steps": s.steps,
            "scores": s.scores,
            "reason": s.reason,
            "log": str(s.log),
        }
        for s in sweep.cells
    ]
    whole = {
        "counts": dict(sweep.counts),
        "progress": sweep.progress,
        "finished_last_hour": sweep.per_hour,
        "left_s": sweep.left_s,
        "eta_s": sweep.eta_s,
    }
    print_json({"folder": str(folder), **whole, "cells": cells, "unreadable": sweep.unreadable})
