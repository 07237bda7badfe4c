"""The command `check-model`: what a model of one's own does, asked before anything is trained."""

from dataclasses import fields, replace
from typing import Annotated

import typer

from benchmark.cli.console import FAILED, Json, Settings, print_json, terminal


def check_model(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model of `bench list`, or package.module:attribute.")
    ],
    task: Annotated[
        str, typer.Option(metavar="TASK", help="The task whose tokens it reads; one of `bench list`, or module:Class.")
    ] = "rule110",
    settings: Settings = None,
    sleep_passes: Annotated[int, typer.Option(metavar="N", help="Passes over a window before eviction.")] = 2,
    json_: Json = False,
) -> None:
    """Check a model before it trains: what it returns and holds, whether it leaks, who trains which parameter."""
    import baselines
    import tasks
    from benchmark.cells.cell import parse_setting
    from benchmark.measure.model_check import checkup
    from tasks.base import check_whole

    check_whole("--sleep-passes", sleep_passes, 1)
    config, task_config = baselines.load(model)(), tasks.load(task)()
    changes = dict(parse_setting(text, config, task_config) for text in settings or ())
    own = {field.name for field in fields(config)} & changes.keys()
    config = replace(config, **{name: changes[name] for name in own})
    task_config = replace(task_config, **{name: changes[name] for name in changes.keys() - own})
    answers = checkup(config, task_config, passes=sleep_passes)
    failures = [answer.question for answer in answers if not answer.passed]
    if json_:
        print_json({"model": model, "passed": not failures, "answers": [answer.as_json() for answer in answers]})
    else:
        console = terminal()
        for answer in answers:
            console.print(answer.question, style="green" if answer.passed else "red", highlight=False)
            for line in answer.reading.splitlines():
                console.print(f"  {line}", highlight=False, soft_wrap=True)
        summary = f"{model} fails: {', '.join(failures)}" if failures else f"{model} may be trained"
        console.print(summary, style="red" if failures else "green", highlight=False, soft_wrap=True)
    if failures:
        raise typer.Exit(FAILED)
