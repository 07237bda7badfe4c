"""The command `show`, and what the options that it shares with `bench run` ask for."""

from typing import TYPE_CHECKING, Any

from benchmark.cli.console import Json, Settings, bar, numbers, print_json, terminal
from benchmark.cli.options import (
    Axes,
    Hops,
    Model,
    Operations,
    Passes,
    Rollouts,
    Scale,
    Seeds,
    SuiteName,
    TaskName,
    Variants,
)

if TYPE_CHECKING:
    from benchmark.cells.request import Request


def show_(
    suite: SuiteName,
    scale: Scale = "cpu",
    task: TaskName = None,
    model: Model = None,
    seeds: Seeds = None,
    sleep_passes: Passes = None,
    rollout_steps: Rollouts = None,
    hops: Hops = None,
    operations: Operations = None,
    axes: Axes = None,
    variants: Variants = None,
    settings: Settings = None,
    json_: Json = False,
) -> None:
    """Show a suite's cells: settings, tokens, FLOPs and the time each would take on this machine's CPU."""
    from benchmark.cells.cost import cost
    from benchmark.cells.words import fact, varying
    from benchmark.rows.text import amount, duration, table_of
    from benchmark.run.estimate import seconds

    asked = asked_for(
        suite, scale, task, model, seeds, sleep_passes, rollout_steps, hops, operations, axes, variants, settings
    )
    grid = asked.plan()
    cells = grid.cells()
    others = varying(cells)
    found: list[dict[str, Any]] = []
    with bar("cells", len(cells)) as advance:  # each kind of cell is tried for a moment
        for cell in cells:
            found.append(
                {
                    "cell_id": cell.id,
                    **{name: fact(cell, name) for name in others},
                    **{name: (cell.axes | {"seed": cell.seed}).get(name) for name in grid.axes},
                    "steps": cell.steps,
                    "tokens": cell.steps * cell.training.batch * cell.task.seq_len,
                    "train_flops": cost(cell).train_flops * cell.steps * cell.training.batch,
                    "estimated_s": seconds(cell),
                    "parameters": cost(cell).parameters,
                }
            )
            advance(1)
    total_s = sum(cell["estimated_s"] for cell in found)
    if json_:
        print_json({"suite": suite, "scale": scale, "estimated_s": total_s, "cells": found})
        return
    human = {"tokens": amount, "train_flops": amount, "parameters": amount, "estimated_s": duration}
    lines = [[human.get(k, str)(v) for k, v in cell.items()] for cell in found]
    console = terminal()
    console.print(table_of(list(found[0]), lines, title=asked.title))
    console.print(
        f"{len(cells)} cells, {amount(sum(c['tokens'] for c in found))} tokens, "
        f"{amount(sum(c['train_flops'] for c in found))} FLOPs; about {duration(total_s)} of one core of this machine"
    )


def asked_for(
    suite: str,
    scale: str,
    task: str | None,
    model: str | None,
    seeds: str | None,
    sleep_passes: str | None,
    rollout_steps: str | None,
    hops: str | None,
    operations: str | None,
    axes: list[str] | None,
    variants: str | None,
    settings: list[str] | None,
) -> "Request":
    """What the options ask for."""
    from benchmark.cells.request import Request

    lists = {
        "seeds": seeds,
        "sleep_passes": sleep_passes,
        "rollout_steps": rollout_steps,
        "hops": hops,
        "operations": operations,
    }
    chosen = {name: numbers(f"--{name.replace('_', '-')}", text) for name, text in lists.items() if text is not None}
    return Request(
        suite=suite,
        scale=scale,
        task=task,
        model=model,
        **chosen,
        axes=axes or (),
        variants=[name.strip() for name in variants.split(",")] if variants is not None else None,
        settings=settings or (),
    )
