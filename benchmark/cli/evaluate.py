"""The command `evaluate`: scores of a network without training it, and its weights in a file."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.console import Json, Settings, Trust, numbers, print_json, terminal

if TYPE_CHECKING:
    from baselines.base import Model
    from benchmark.cells.cell import Cell


def evaluate_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CELL|MODEL",
            help="The folder of a cell that `bench run` trained, OUT/cells/ID, or a model as `--model` takes it.",
        ),
    ],
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="What to test on; default: the cell's own task, or rule110.")
    ] = None,
    settings: Settings = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of a MODEL, NAME.safetensors; default: as it is built."),
    ] = None,
    sleep_passes: Annotated[
        str | None, typer.Option(metavar="1,2", help="Test at these N; default: as the cell was, or 1.")
    ] = None,
    examples: Annotated[
        int | None, typer.Option(metavar="COUNT", help="Held-out examples; default: as the cell was, or 2048.")
    ] = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="test or validation.")] = "test",
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the weights too, as NAME.safetensors.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the exported file if there is one.")] = False,
    trust: Trust = False,
    json_: Json = False,
) -> None:
    """Test a network without training it, on the held-out examples that every cell is tested on."""
    from benchmark.cells.cell import TEST_SPLITS
    from benchmark.rows.text import table_of
    from benchmark.run import weights as files
    from tasks.base import check_whole, nearest

    if split not in TEST_SPLITS:
        raise ValueError(nearest(split, TEST_SPLITS, kind="split"))
    if (Path(source) / "cell.json").exists():
        if weights is not None:
            raise ValueError(f"{source} is the folder of a cell, whose weights are its own; --weights is for a MODEL")
        cell, model = _trained_model(Path(source), trusted=trust)
        cell = _cell_on(cell, task, settings or ())
    else:
        cell, model = _new_model(source, task, settings or (), weights)
    passes = numbers("--sleep-passes", sleep_passes) if sleep_passes else cell.training.test_passes
    count = check_whole("--examples", cell.training.test_examples if examples is None else examples, 1)
    scores = [
        line
        for n in passes or (cell.training.sleep_passes,)
        for line in _scores(model, cell, check_whole("N", n, 1), count, split)
    ]
    if export is not None:
        files.save(model, export, force=force)
    if json_:
        print_json({"source": source, "task": cell.task.name, "split": split, "scores": scores})
        return
    console = terminal()
    names = {"difficulty": cell.task.axis, "tested_passes": "N"}
    lines = [[value if isinstance(value, int | str) else f"{value:.3f}" for value in line.values()] for line in scores]
    console.print(
        table_of([names.get(name, name) for name in scores[0]], lines, title=f"{source} on {cell.task.name}, {split}")
    )
    if export is not None:
        console.print(f"weights: {export}", highlight=False, soft_wrap=True)


def _trained_model(folder: Path, *, trusted: bool) -> "tuple[Cell, Model]":
    """The cell of a folder and its network as it was trained; a module that it names is imported if it is trusted.

    Raises:
        ValueError: no cell of this code, or it has no weights yet.
    """
    from benchmark.measure.probe.states import network
    from benchmark.run.folder import CellFolder

    place = CellFolder(folder, trusted=trusted)
    cell = place.cell
    if not place.checkpoint.exists():
        raise ValueError(
            f"{folder} has no checkpoint.safetensors: `bench run` has not trained this cell, or it was removed"
        )
    return cell, network(cell, folder)


def _new_model(name: str, task: str | None, settings: Sequence[str], weights: Path | None) -> "tuple[Cell, Model]":
    """A cell of a model by its address, and its network with weights from a file or as it is built.

    Raises:
        ValueError: no such model or task, a setting that is refused, or weights of another network.
    """
    import torch

    import baselines
    import tasks
    from baselines.addresses import attempt
    from benchmark.cells.cell import Cell, Training, parse_setting
    from benchmark.run import weights as files

    if Path(name).is_dir():
        raise ValueError(f"{name} is not the folder of a cell; `bench status OUT` names them, each in OUT/cells/ID")
    cell = Cell(task=tasks.load(task or "rule110")(), model=baselines.load(name)(), training=Training(tokens=1))
    cell = cell.with_settings(dict(parse_setting(text, cell) for text in settings))
    sizes: dict[str, Any] = {n: getattr(cell.task, n) for n in ("vocab_size", "window", "seq_len")}
    attempt(cell.model, **sizes)
    torch.manual_seed(cell.seed)
    model = cell.model.build(**sizes)
    if weights is not None:
        files.load(model, weights)
    return cell, model


def _cell_on(cell: "Cell", name: str | None, settings: Sequence[str]) -> "Cell":
    """The cell with what is to be tested: its own task, or another of the same tokens, with other settings.

    Raises:
        ValueError: no such task, a setting of what was trained, or other tokens than the network knows.
    """
    import tasks
    from benchmark.cells.cell import parse_setting
    from tasks.base import nearest

    before, other = cell.task, name is not None and name != cell.task.name
    if name is not None and other:
        cell = replace(cell, task=tasks.load(name)(), training=replace(cell.training, test_at=()))
    changes = dict(parse_setting(text, cell) for text in settings)
    names = [field.name for field in fields(cell.task)] + ["test_at"]
    if strange := [setting for setting in changes if setting not in names]:
        raise ValueError(nearest(strange[0], names, kind="setting of a test"))
    if cell.task.axis in changes:  # asks for one difficulty
        changes = {"test_at": ()} | changes
    cell = cell.with_settings(changes)
    if cell.task.vocab_size != before.vocab_size:
        raise ValueError(
            f"task {cell.task.name!r} has {cell.task.vocab_size} tokens and the network was built for "
            f"{before.vocab_size}"
        )
    return cell


def _scores(model: "Model", cell: "Cell", passes: int, examples: int, split: str) -> list[dict[str, Any]]:
    """A line per difficulty, of whole examples, with what the model reports of the whole test.

    Raises:
        ValueError: the network cannot read sequences of this task.
    """
    import torch

    from benchmark import rows
    from benchmark.run.evaluate import HeldOut, evaluate

    how: dict[str, Any] = {"passes": passes, "device": torch.device("cpu"), "precision": cell.training.precision}
    tests = [cell.task.at(level) for level in cell.training.test_at] or [cell.task]
    try:
        scores = []
        for task in tests:
            report: dict[str, float] = {}
            reports = evaluate(model, HeldOut(task, examples, split), report_means=report, **how)
            scores += [(task, score, report) for score in reports]
    except (IndexError, RuntimeError) as error:
        raise ValueError(f"the network does not run on this task, {cell.task.name!r}: {error}") from error
    return [
        {
            "difficulty": score.difficulty,
            "tested_passes": passes,
            "examples": score.n_examples,
            "exact_match": score.exact_match,
            "chance": task.chance(score.difficulty),
            "token_accuracy": score.token_accuracy,
            "loss": score.loss,
        }
        | {rows.REPORT + name: value for name, value in report.items()}
        for task, score, report in scores
        if score.answer is None
    ]
