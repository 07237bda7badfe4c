"""The command `list`: what can be run, each in a line."""

from collections.abc import Callable

from benchmark.cli.console import Json, print_json, terminal


def list_(json_: Json = False) -> None:
    """Name the suites, tasks and models that can be run."""
    import baselines
    import tasks
    from benchmark.cells.suites import SCALES, SUITES

    about = {name: (grid.__doc__ or "").partition("\n")[0] for name, grid in SUITES.items()}
    names = {"suites": about, "scales": list(SCALES), "tasks": tasks.available(), "models": baselines.available()}
    descriptions = {
        "task": {name: _description(tasks.load, name) for name in names["tasks"]},
        "model": {name: _description(baselines.load, name) for name in names["models"]},
    }
    if json_:
        print_json(names | {"about": {f"{kind}s": lines for kind, lines in descriptions.items()}})
        return
    from benchmark.rows.text import table_of

    console = terminal()
    console.print(table_of(["suite", "what it shows"], list(about.items())))
    for kind, lines in descriptions.items():
        console.print(table_of([kind, "what it is"], list(lines.items())))
    console.print(f"scales: {', '.join(SCALES)}")
    console.print("or your own: --task package.module:Class, --model package.module:factory")


def _description(load: Callable[[str], type], name: str) -> str:
    """The first line of what a task or model says of itself, or why it cannot be loaded."""
    try:
        return (load(name).__doc__ or "").partition("\n")[0]
    except ValueError as error:
        return f"cannot be loaded: {str(error).partition(chr(10))[0]}"
