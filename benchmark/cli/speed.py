"""The `speed` command: is the present code faster or slower than that of another commit?"""

import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.console import FAILED, Json, bar, print_json, terminal

if TYPE_CHECKING:
    from benchmark.measure.speed import Outcome

CLOCKS = ("core", "wall")

HEADER = ("workload", "then, ms", "now, ms", "times as fast", "95 % interval", "verdict")


def speed_(
    against: Annotated[str, typer.Option(metavar="REF", help="A commit, branch or tag to compare with.")],
    rounds: Annotated[int, typer.Option(metavar="COUNT", help="Rounds, each with a fresh process per tree.")] = 10,
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this workload; may be repeated.")] = None,
    tolerance: Annotated[
        float, typer.Option(metavar="NUMBER", help="A ratio of times within 1 + this is no difference.")
    ] = 0.05,
    clock: Annotated[
        str, typer.Option(metavar="NAME", help="Judge by core (a process's own time on a core) or wall.")
    ] = "core",
    json_: Json = False,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table in Markdown, too.")] = None,
) -> None:
    """Compare the speed of the present code with that of a commit, in pairs; exit 1 if anything is slower."""
    from benchmark import environment
    from benchmark.measure import speed
    from benchmark.measure.speed import trees
    from benchmark.rows import write_atomically
    from benchmark.rows.text import table_of
    from tasks.base import check_whole, nearest

    check_whole("--rounds", rounds, 2, why="an interval needs two")
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"--tolerance must be a number >= 0, such as 0.05 for 5 %; given {tolerance}")
    if clock not in CLOCKS:
        raise ValueError(nearest(clock, CLOCKS, kind="clock"))
    if markdown and not markdown.parent.is_dir():
        raise ValueError(f"--markdown {markdown}: there is no folder {markdown.parent}")
    workloads = speed.names(speed.DEFINITIONS)
    for name in only or ():
        if name not in workloads:
            raise ValueError(nearest(name, workloads, kind="workload"))
    selection = [name for name in workloads if name in only] if only else workloads
    root = environment.ROOT
    commit = trees.resolve(against, root)
    load = os.getloadavg()[0]
    title = f"speed against {against}"
    with _tidy_end(), bar(title, len(selection) * rounds) as advance, trees.checkout(commit, root) as tree:
        start = partial(speed.workers, tree, against, root, speed.DEFINITIONS)
        try:
            outcomes = speed.compare(start, selection, rounds=rounds, tolerance=tolerance, clock=clock, advance=advance)
        except speed.WorkerDiedError as error:
            typer.echo(f"bench: {error}", err=True)
            raise typer.Exit(FAILED) from None
    facts = environment.describe()
    about: dict[str, Any] = {
        "then": {"ref": against, "commit": commit[:12]},
        "now": {"commit": facts["commit"]},
        "rounds": rounds,
        "tolerance": tolerance,
        "clock": clock,
        "load_average": {"before": load, "after": os.getloadavg()[0]},
        "environment": facts,
    }
    slower = any(outcome.verdict in (speed.SLOWER, speed.BROKEN) for outcome in outcomes)
    lines = [_line(outcome) for outcome in outcomes]
    if markdown:
        write_atomically(markdown, _markdown(about, lines).encode())
    if json_:
        print_json({**about, "passed": not slower, "workloads": [outcome.as_dict() for outcome in outcomes]})
    else:
        console = terminal()
        console.print(table_of(list(HEADER), lines))
        for line in _about(about):
            console.print(line, highlight=False, soft_wrap=True)
    if slower:
        raise typer.Exit(FAILED)


@contextmanager
def _tidy_end() -> Iterator[None]:
    """Let SIGTERM, as of `timeout` or a cancelled CI job, leave as little behind as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(outcome: "Outcome") -> list[str]:
    """The cells of a line of the table."""
    verdict = f"{outcome.verdict}: {outcome.reason}" if outcome.reason else outcome.verdict
    if outcome.ratio is None:
        return [outcome.name, "-", "-", "-", "-", verdict]
    then, now = (f"{1e3 * math.exp(sum(map(math.log, s)) / len(s)):.3g}" for s in (outcome.then_s, outcome.now_s))
    low, high = outcome.ratio.low, outcome.ratio.high
    return [outcome.name, then, now, f"{outcome.ratio.estimate:.3f}", f"{low:.3f} to {high:.3f}", verdict]


def _about(about: dict[str, Any]) -> list[str]:
    """What was compared, where, and what a verdict says, in sentences."""
    load, facts = about["load_average"], about["environment"]
    return [
        f"Then: {about['then']['commit']} ({about['then']['ref']}). "
        f"Now: {about['now']['commit'] or 'not in a repository'}"
        + (", which has changes that are not committed." if str(about["now"]["commit"]).endswith("-dirty") else "."),
        f"{facts['processor']}, {facts['cores']} cores, load average {load['before']:.1f} before and "
        f"{load['after']:.1f} after; torch {facts['packages']['torch']}.",
        f"Geometric means over {about['rounds']} rounds by the {about['clock']}'s clock, one thread each. Faster and "
        f"slower: by more than {100 * about['tolerance']:g} %, at the 5 % level for all workloads together.",
    ]


def _markdown(about: dict[str, Any], lines: list[list[str]]) -> str:
    """The table and its sentences, as for the summary of a CI run."""
    from benchmark.rows.text import Table

    table = Table(HEADER, lines, sides=["---", "---:", "---:", "---:", "---:", "---"]).markdown()
    return "\n\n".join([f"## Speed against {about['then']['ref']}", table, *_about(about)]) + "\n"
