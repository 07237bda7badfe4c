"""The command `seeds`: how many seeds a difference needs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark import environment
from benchmark.cli.console import Json, print_json, terminal

DEFAULT = environment.REFERENCE / "passes-cpu"
SCORES = ("sd", "other_sd", "sd_of_differences")


def seeds_(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Rows to learn the spread from: a folder that `bench run` wrote, or a rows.parquet; "
            "default: the committed rows of the suite passes at scale cpu.",
            show_default=False,
        ),
    ] = None,
    difference: Annotated[
        float, typer.Option(metavar="NUMBER", help="Of the final exact match, from 0 to 1, that is to be found.")
    ] = 0.05,
    power: Annotated[float, typer.Option(metavar="NUMBER", help="Probability to find it.")] = 0.8,
    level: Annotated[float, typer.Option(metavar="NUMBER", help="1 minus the rate of false alarms.")] = 0.95,
    json_: Json = False,
) -> None:
    """Tell how many seeds it takes to find a difference between two N, by how much the seeds of earlier runs vary."""
    from benchmark import rows
    from benchmark.judge import seeds
    from benchmark.judge.power import LIKELY

    if not 0 < difference <= 1:
        raise ValueError(
            f"--difference is of shares of right answers: above 0, at most 1, such as 0.05; given {difference}"
        )
    requirements = seeds.seed_requirements(rows.read_tables([source or DEFAULT]), difference, power, level)
    if not requirements:
        raise ValueError(f"{source or DEFAULT} has no difficulty at which two N have a final score to compare")
    if json_:
        print_json(
            {"difference": difference, "power": power, "level": level, "likely": LIKELY, "comparisons": requirements}
        )
        return
    from benchmark.rows.text import table_of

    console = terminal()
    columns = ["at", "N", "seeds", "difference", "sd of each", "sd paired", "needed", "likely", "unpaired"]
    for study in dict.fromkeys(line["study"] for line in requirements):
        lines = [_cells(line) for line in requirements if line["study"] == study]
        console.print(table_of(columns, lines, title=study))
    console.print(
        f"Needed: seeds to find a difference of {difference:g} in exact match with power {power:g} at level {level:g}, "
        "the same seeds for both N, if sd paired is the true spread. Likely: if the true spread is the upper "
        f"{LIKELY:.0%} limit of what these seeds tell; plan by this. Unpaired: seeds of each N, if they are not the "
        "same. A dash: fewer than two seeds, or all agree, which tells nothing. The spread of the held-out "
        "examples, which no seeds can lower, is in the intervals and not in these counts.",
        soft_wrap=True,
    )


def _cells(line: dict[str, Any]) -> list[Any]:
    """A comparison as it stands in the table."""
    spreads = {name: "-" if line[name] is None else f"{line[name]:.3f}" for name in SCORES}
    gain = "-" if line["difference"] is None else f"{line['difference']:+.3f}"
    if line["low"] is not None:
        gain += f" [{line['low']:+.3f}, {line['high']:+.3f}]"
    counts = ["-" if line[name] is None else str(line[name]) for name in ("needed", "needed_likely", "needed_unpaired")]
    return [
        line["at"], f"{line['n']} and {line['other_n']}", line["seeds"], gain,
        f"{spreads['sd']}, {spreads['other_sd']}", spreads["sd_of_differences"], *counts,
    ]  # fmt: skip
