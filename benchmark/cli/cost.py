"""The command `cost`: what a model costs, counted and measured."""

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.console import Json, Settings, bar, numbers, print_json, terminal

ModelName = Annotated[str | None, typer.Argument(metavar="MODEL", help="A model; `bench list` names them.")]


def cost_(
    model: ModelName = None,
    sleep_passes: Annotated[str, typer.Option(metavar="1,2", help="Values of N.")] = "1,2,4,6",
    windows: Annotated[str, typer.Option(metavar="24,75", help="Window sizes L in tokens.")] = "24,75,512",
    settings: Settings = None,
    batch: Annotated[int, typer.Option(metavar="COUNT", help="Sequences at once, when timing.")] = 1,
    repeats: Annotated[int, typer.Option(metavar="COUNT", help="Rounds that each median is of.")] = 30,
    step_tokens: Annotated[
        int | None, typer.Option(metavar="COUNT", help="T of a timed training step; default: twice the largest window.")
    ] = None,
    step_repeats: Annotated[int, typer.Option(metavar="COUNT", help="Rounds of training steps; 0: none.")] = 3,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu (one thread) or cuda.")] = "cpu",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Output folder; default results/runs/cost-MODEL.")
    ] = None,
    table: Annotated[bool, typer.Option("--table", help="Only count: every model and rule, in Markdown.")] = False,
    json_: Json = False,
) -> None:
    """Count a model's FLOPs and bytes, and time how it wakes, sleeps and trains, for each N and window."""
    if table:
        from benchmark.measure.cost_counts import markdown, models, rules

        if model is not None or settings:
            raise ValueError("--table counts every model with its default settings: give neither MODEL nor --set")
        with bar("counting", len(models()) + len(rules())) as advance:
            tables = [markdown(models(), advance, constraints=True), markdown(rules(), advance)]
        typer.echo("\n\n".join(tables))
        return
    if model is None:
        raise ValueError("give a MODEL (`bench list` names them), or --table for the counts of all")

    sizes, passes = numbers("--windows", windows), numbers("--sleep-passes", sleep_passes)

    import torch

    import baselines
    from benchmark import environment
    from benchmark.cells.cell import parse_setting
    from benchmark.figures import cost_figure
    from benchmark.measure import cost_tables, latency, throughput
    from benchmark.rows import write_atomically

    kind = baselines.load(model)
    config = kind(**dict(parse_setting(text, kind()) for text in settings or ()))
    tokens = throughput.tokens_for(sizes) if step_tokens is None else step_tokens
    latency.check(windows=sizes, passes=passes)
    throughput.check(sizes, tokens, step_repeats)
    work = latency.steps(sizes, passes, repeats) + throughput.steps(sizes, passes, step_repeats)
    with bar(f"cost of {config.name}", work) as advance:
        rows = latency.measure(
            config, windows=sizes, passes=passes, batch=batch, repeats=repeats, device=device, advance=advance
        )
        rows = throughput.measure(config, rows, tokens=tokens, repeats=step_repeats, advance=advance)
    facts = {
        **environment.describe(),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "load_average": os.getloadavg()[0],  # what else ran: times of a busy machine say less
        "command": shlex.join(["bench", *sys.argv[1:]]),
    }
    folder = out or Path("results/runs") / f"cost-{re.sub(r'[^A-Za-z0-9._]+', '-', model)}"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "cost.csv", cost_tables.tidy(rows).encode())
    write_atomically(folder / "environment.json", (json.dumps(facts, indent=1) + "\n").encode())
    figures = cost_figure.draw(rows, folder)
    if json_:
        print_json({"environment": facts, "rows": rows})
        return
    console = terminal()
    console.print(cost_tables.table(rows, f"{config.name} {rows[0]['settings']}".strip()).terminal())
    for line in cost_tables.reading(rows):
        console.print(line, soft_wrap=True, highlight=False)
    for path in (folder / "cost.csv", folder / "environment.json", *figures):
        console.print(str(path), soft_wrap=True, highlight=False)
