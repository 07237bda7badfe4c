"""The command `reference`: the committed evidence, whole and up to date."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.console import FAILED, bar, terminal

if TYPE_CHECKING:
    from benchmark.cells.cell import Cell
    from benchmark.run.executors import Executor
    from benchmark.run.reference import Study


def reference_(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="Only these folders; no probes, no report.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The evidence, default results/reference; an empty folder is filled anew.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    jobs: Annotated[int | None, typer.Option(help="Cells at once; default: cores, or GPUs.")] = None,
    dry: Annotated[bool, typer.Option("--dry", help="Only show what is missing, and how long it would take.")] = False,
) -> None:
    """Train what the evidence lacks, then write its figures, tables, probes, verdicts and report again.

    Cells that finished rows cover are not trained again; interrupted, the same command goes on where it stopped.
    """
    from benchmark import environment
    from benchmark.run import executors, reference
    from tasks.base import nearest

    for name in studies or ():
        if name not in reference.STUDIES:
            raise ValueError(nearest(name, reference.STUDIES, kind="study"))
    root, names = out or environment.REFERENCE, studies or list(reference.STUDIES)
    if dry:
        _show(root, names)
        return
    by_backend = {
        backend: executors.executor("local", device=device, jobs=jobs, backend=backend)
        for backend in dict.fromkeys(study.backend for study in reference.STUDIES.values())
    }
    failures = list[str]()
    for name in names:
        missing, there = reference.inventory(root, name)
        failures += _train(name, study := reference.STUDIES[name], missing, by_backend[study.backend])
        reference.publish(root / name, name, there)
        _illustrate(root / name)
        _say(f"{name}: {len(missing)} cells trained; rows, figures and tables in {root / name}")
    if not studies:
        for name, (study, examples) in reference.PROBES.items():
            failures += _probe(root.parent / "probe" / name, name, study, examples, by_backend[study.backend])
        for path in _conclude(root):
            _say(str(path))
    if failures:
        terminal().print("\n".join(failures), style="red", soft_wrap=True)
        raise typer.Exit(FAILED)


def _say(text: str) -> None:
    terminal().print(text, soft_wrap=True, highlight=False)


def _show(root: Path, names: Sequence[str]) -> None:
    """What is there, what is missing and how long it would take, and the command behind each study."""
    from benchmark.rows.text import duration, table_of
    from benchmark.run import reference
    from benchmark.run.estimate import seconds

    lines, total_s, missing_ids = [], 0.0, set()
    with bar("studies", len(names)) as advance:
        for name in names:
            missing, there = reference.inventory(root, name)
            new_s = sum(seconds(cell) for cell in missing if cell.id not in missing_ids)  # studies share cells
            missing_ids |= {cell.id for cell in missing}
            total_s += new_s
            n_finished = len({row["cell_id"] for row in there})
            about = duration(new_s) if missing else "-"
            lines.append([name, n_finished, len(missing), about, reference.STUDIES[name].command])
            advance(1)
    terminal().print(table_of(["study", "finished", "missing", "about", "command"], lines, title=str(root)))
    _say(
        f"{len(missing_ids)} cells to train"
        + (f": about {duration(total_s)} of one core of this machine" if missing_ids else "")
    )


def _train(name: str, study: "Study", cells: "Sequence[Cell]", executor: "Executor") -> list[str]:
    """Train cells of a study in its run folder; a line for each that failed."""
    from benchmark.cli import live
    from benchmark.run import reference

    if not cells:
        return []
    folder, context, command = reference.run_folder(name), study.context, study.command
    states = live.run(name, cells, folder, executor=executor, context=context, command=command)
    return live.failures(cells, states)


def _illustrate(folder: Path) -> None:
    """Draw the figures and write the tables of a study from its rows."""
    from benchmark import figures, rows
    from benchmark.judge import summaries

    frame = rows.read_table(folder)
    figures.redraw(frame, folder / "figures")
    summaries.write(frame, folder)


def _probe(out: Path, name: str, study: "Study", examples: int, executor: "Executor") -> list[str]:
    """Probe the cells of a study, trained where their checkpoints are gone, unless a table of just these is there."""
    from benchmark.cli import probe as cli_probe
    from benchmark.figures import probe_figure
    from benchmark.measure.probe import tables as probe_tables
    from benchmark.run import reference

    cells = list(study.cells().values())
    if all((out / file).exists() for file in probe_tables.FILES):
        table, spectrum = (probe_tables.read(out, file) for file in probe_tables.FILES)
        if set(table["cell_id"]) == {cell.id for cell in cells}:
            probe_figure.draw(table, spectrum, out / "figures")
            return []
    if failures := _train(f"probe-{name}", study, cells, executor):
        return failures
    folder = reference.run_folder(f"probe-{name}")
    command = f"bench probe {folder} --examples {examples} --test-examples {examples // 2}"
    cli_probe.run(cells, folder, out, plan=cells, examples=examples, test_examples=examples // 2, command=command)
    _say(f"probes of {name}: {out}")
    return []


def _conclude(root: Path) -> list[Path]:
    """Write the verdicts on the paper's claims and the report."""
    from benchmark import report, rows
    from benchmark.judge import claims
    from benchmark.rows import outcomes

    verdicts = root.parent / "verdicts.md"
    text = claims.markdown(claims.judge(rows.read_tables([root]), outcomes.read_all([root])))
    rows.write_atomically(
        verdicts, f"# Verdicts on the paper's claims, by the rows of {root.name}/\n\n{text}\n".encode()
    )
    return [verdicts, report.write([root], root.parent / "report.html")]
