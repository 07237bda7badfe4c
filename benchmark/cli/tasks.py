"""The commands about tasks alone: `data`, `gallery`, `hardness`."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.console import FAILED, Settings, bar, terminal

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task; `bench list` names them.")]


def data(
    task: TaskName,
    split: Annotated[str, typer.Option(metavar="NAME", help="train, validation or test.")] = "train",
    examples: Annotated[int, typer.Option(metavar="COUNT", help="How many, from index 0 on.")] = 1000,
    seed: Annotated[int, typer.Option(metavar="COUNT", help="Data seed.")] = 0,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="FILE.parquet or FILE.jsonl, a row per example.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
    show: Annotated[int | None, typer.Option(metavar="K", help="Print the first K examples, drawn.")] = None,
) -> None:
    """Write examples of a task as parquet or JSON lines, or show some."""
    import tasks
    from tasks.base import SPLITS, check_whole, nearest

    kind = tasks.load(task)
    if out is None and show is None:
        raise ValueError("give --out FILE.parquet or FILE.jsonl to write examples, --show K to print some")
    if split not in SPLITS:
        raise ValueError(nearest(split, SPLITS, kind="split"))
    check_whole("--examples", examples, 1)
    check_whole("seed", seed, 0)
    instance = kind()
    if settings:
        from benchmark.cells.cell import parse_setting

        instance = kind(**dict(parse_setting(text, instance) for text in settings))
    if out is not None:
        from tasks import export as files

        files.check_path(out, force=force)
    if show is not None:
        for index in range(check_whole("--show", show, 1)):
            typer.echo(instance.example(index, split, seed) + "\n")
    if out is not None:
        with bar(f"{task}, {split}", examples) as advance:
            files.write(instance, out, split=split, examples=examples, seed=seed, advance=advance)
        typer.echo(f"{examples} examples: {out}")


def gallery_(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page.")] = Path("tasks/GALLERY.md"),
    force: Annotated[bool, typer.Option("--force", help="Replace the page if there is one.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if the page is not up to date.")
    ] = False,
) -> None:
    """Write a page of one worked example per task and difficulty."""
    from benchmark.rows import write_atomically
    from tasks import gallery

    if out.exists() and not (force or check):
        raise ValueError(f"{out} is there already; --force replaces it")
    page = gallery.page().encode()
    if not check:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, page)
        typer.echo(out)
    elif not out.exists() or out.read_bytes() != page:
        typer.echo(f"{out} is not what `bench gallery` writes", err=True)
        raise typer.Exit(FAILED)


def hardness_(
    names: Annotated[list[str] | None, typer.Argument(metavar="[TASK]...", help="Tasks; default: all.")] = None,
    examples: Annotated[int, typer.Option(metavar="COUNT", help="Examples of each split and difficulty.")] = 10_000,
    training: Annotated[
        int | None,
        typer.Option(
            metavar="COUNT",
            help="Training examples that a table is made of; default: the budget of the task's cpu suite.",
        ),
    ] = None,
    settings: Settings = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Output folder.")] = Path("results/hardness"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace the tables that are there of these tasks; others stay.")
    ] = False,
) -> None:
    """Count what needs no computation, per difficulty: floors, overlap of the splits, a table's score, structure."""
    import tasks
    from benchmark.cells.suites import training_examples
    from benchmark.rows import write_atomically
    from benchmark.rows.text import table_of
    from tasks import hardness, hardness_tables
    from tasks.base import check_whole

    check_whole("--examples", examples, 1)
    if training is not None:
        check_whole("--training", training, 1)
    kinds = [tasks.load(name) for name in dict.fromkeys(names or tasks.TASKS)]
    if settings:
        from benchmark.cells.cell import parse_setting

        instances = [kind(**dict(parse_setting(text, kind()) for text in settings)) for kind in kinds]
    else:
        instances = [kind() for kind in kinds]
    counts = [training or training_examples(task) for task in instances]
    table = out / "hardness.csv"
    if not force and (there := [path for path in (table, table.with_suffix(".md")) if path.exists()]):
        raise ValueError(f"{there[0]} is there already; --force replaces its rows of these tasks")
    earlier = hardness_tables.read(table.read_text()) if table.exists() else []
    total = 0
    for task, count in zip(instances, counts, strict=True):
        levels = len(task.landmarks)
        total += 3 * examples * levels + count * (1 if len(task.levels) > 1 else levels)
    rows: list[hardness.Row] = []
    with bar("examples", total) as advance:
        for task, count in zip(instances, counts, strict=True):
            rows += hardness.measure_all(task, examples, count, advance)
    every = hardness_tables.merge(earlier, rows)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(table, hardness_tables.tidy(every).encode())
    write_atomically(table.with_suffix(".md"), hardness_tables.markdown(every).encode())
    console = terminal()
    for title, columns, lines in hardness_tables.tables(rows):
        console.print(table_of(columns, lines, title=title))
    for suffix in ("csv", "md"):
        console.print(f"{out / 'hardness'}.{suffix}", soft_wrap=True)
