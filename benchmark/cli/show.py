"""The command `show`: the cells of a suite, and what they cost."""

from typing import Annotated, Any

import typer

from benchmark.cli.console import Json, Settings, bar, print_json, terminal
from benchmark.cli.options import (
    Axes,
    Backend,
    Hops,
    Model,
    Operations,
    Passes,
    Rates,
    Rollouts,
    Scale,
    Seeds,
    SuiteName,
    TaskName,
    TrialShare,
    Tune,
    Variants,
    request_of,
)


def show_(
    suite: SuiteName,
    scale: Scale = "cpu",
    task: TaskName = None,
    model: Model = None,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="Whose time: cpu, or cuda (also memory).")] = "cpu",
    backend: Backend = "torch",
    seeds: Seeds = None,
    sleep_passes: Passes = None,
    rollout_steps: Rollouts = None,
    hops: Hops = None,
    operations: Operations = None,
    axes: Axes = None,
    variants: Variants = None,
    settings: Settings = None,
    tune: Tune = False,
    trial_share: TrialShare = 0.25,
    rates: Rates = None,
    json_: Json = False,
) -> None:
    """Show a suite's cells: settings, tokens, FLOPs and the time each would take on this machine's CPU or on a GPU."""
    from benchmark.cells.cost import cost
    from benchmark.cells.words import distinctions, fact
    from benchmark.measure import hours
    from benchmark.rows.text import amount, duration, table_of

    clock = hours.clock(device, backend)
    request = request_of(
        *(suite, scale, task, model, seeds, sleep_passes, rollout_steps, hops, operations, axes, variants, settings),
        *(tune, trial_share, rates),
    )
    grid, cells = request.plan(), request.cells()
    others = distinctions(cells)
    facts: list[dict[str, Any]] = []
    with bar("cells", len(cells)) as advance:  # each kind of cell is tried for a moment, or counted
        for cell in cells:
            facts.append(
                {
                    "cell_id": cell.id,
                    **{name: fact(cell, name) for name in others},
                    **{name: (cell.axes | {"seed": cell.seed}).get(name) for name in grid.axes},
                    "steps": cell.steps,
                    "tokens": cell.steps * cell.training.batch * cell.task.seq_len,
                    "train_flops": cost(cell).train_flops * cell.steps * cell.training.batch,
                    "estimated_s": clock.seconds(cell),
                    "parameters": cost(cell).parameters,
                    **(hours.of_step(cell) if device == "cuda" else {}),
                }
            )
            advance(1)
    total_s = sum(cell["estimated_s"] for cell in facts)
    if json_:
        print_json({"suite": suite, "scale": scale, "estimated_s": total_s, "basis": clock.basis, "cells": facts})
        return
    counts = (
        "tokens",
        "train_flops",
        "parameters",
        "step_kernels",
        "step_bytes",
        "peak_bytes",
        "recomputed_peak_bytes",
    )
    human = dict.fromkeys(counts, amount) | {"estimated_s": duration}
    lines = [[human.get(k, str)(v) for k, v in cell.items()] for cell in facts]
    console = terminal()
    console.print(table_of(list(facts[0]), lines, title=request.title))
    console.print(
        f"{len(cells)} cells, {amount(sum(c['tokens'] for c in facts))} tokens, "
        f"{amount(sum(c['train_flops'] for c in facts))} FLOPs; about {duration(total_s)} {clock.basis}"
    )
