"""The command `exits`: what a rule that says when to stop sleeping could reach at best."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli.console import Json, print_json, terminal


def exits_(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders that `bench run` wrote, of suites that test at several N.")
    ],
    json_: Json = False,
) -> None:
    """Tell how few passes, and what accuracy, a rule that gives each example its own N could reach at best."""
    from benchmark import rows
    from benchmark.judge import oracle
    from benchmark.rows import outcomes

    bounds = oracle.bounds(rows.read_tables(sources), outcomes.read_all(sources))
    if not bounds:
        raise ValueError(
            f"{', '.join(map(str, sources))}: no finished cell was tested at several N, with outcomes.parquet beside "
            "its rows (`bench run any-n` and `test-passes` make such)"
        )
    if json_:
        print_json({"bounds": bounds})
        return
    from benchmark.rows.text import table_of

    console = terminal()
    columns = ["at", "trained with N", "seeds", "chance", "best N", "oracle", "of guesses", "above them", "stays right"]
    for study in dict.fromkeys(line["study"] for line in bounds):
        console.print(table_of(columns, [_cells(line) for line in bounds if line["study"] == study], title=study))
    console.print(
        "Accuracy in %, and the N that it takes, mean over examples. Best N: one for all. Oracle: the smallest N that "
        "is right, known in advance. Of guesses: what it gets of a model that guesses afresh at every N; above them: "
        "how much of the way from there to 100 % it goes. Where answers are few, the oracle is mostly luck. Stays "
        "right: the mean of the smallest N from which on it is right up to the best N, with the accuracy of the best "
        "N: what exit rules could save. Where none is right the smallest N counts. These are bounds of rules that give "
        "an example one N, not of those that halt window by window.",
        soft_wrap=True,
    )


def _cells(line: dict[str, Any]) -> list[Any]:
    """A bound as it stands in the table."""
    passes = "of " + ", ".join(line["drawn"].split()) if line["drawn"] else str(line["n"])
    shares = [f"{100 * line[name]:.1f}" for name in ("chance", "guessing", "above_guessing")]
    bests = [f"{100 * line[name]:.1f} at {line[f'{name}_passes']:.3g}" for name in ("fixed", "oracle")]
    stays = f"{line['stays_passes']:.3g}"
    return [line["at"], passes, line["seeds"], shares[0], *bests, *shares[1:], stays]
