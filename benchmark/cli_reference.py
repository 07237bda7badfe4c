"""The command `reference`: the committed evidence, whole and up to date."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.console import FAILED, terminal


def reference_(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="Only these folders of the evidence.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The evidence; an empty folder is filled from nothing.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    jobs: Annotated[int | None, typer.Option(help="Cells at once; default: cores, or GPUs.")] = None,
    dry: Annotated[bool, typer.Option("--dry", help="Only show what is there and what is missing.")] = False,
) -> None:
    """Train what the evidence lacks, then draw every figure, table and the report again; goes on where it stopped."""
    from benchmark import environment, executors, reference, watched
    from benchmark.progress import table_of
    from tasks.base import nearest

    for name in studies or ():
        if name not in reference.STUDIES:
            raise ValueError(nearest(name, reference.STUDIES, kind="study"))
    root, console = out or environment.REFERENCE, terminal()
    names = studies or list(reference.STUDIES)
    if dry:
        lines = []
        for name in names:
            missing, kept = reference.stand(root, name)
            there = len({row["cell_id"] for row in kept})
            lines.append([name, there, len(missing), reference.STUDIES[name].command])
        console.print(table_of(["study", "cells", "missing", "command"], lines, title=str(root)))
        return
    environments, failed = executors.slots(device, jobs), []
    for name in names:
        missing, kept = reference.stand(root, name)
        if missing:
            study = reference.STUDIES[name]
            states = watched.run(
                name,
                missing,
                reference.run_folder(name),
                environments=environments,
                device=device,
                context=study.context,
                command=study.command,
            )
            failed += watched.failures(missing, states)
        reference.publish(root / name, name, kept)
        console.print(f"{name}: {len(missing)} cells trained; rows in {root / name}", soft_wrap=True)
    for path in reference.illustrate(root, names):
        console.print(str(path), soft_wrap=True, highlight=False)
    if failed:
        console.print("\n".join(failed), style="red", soft_wrap=True)
        raise typer.Exit(FAILED)
