"""The `audit` command: by which roads evicted tokens reach a model's answers, and whether later tokens do."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.console import FAILED, Json, Settings, print_json, terminal

if TYPE_CHECKING:
    from benchmark.measure.audit.findings import Audit


def audit_(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model; `bench list` names them.")],
    settings: Settings = None,
    window: Annotated[int, typer.Option(metavar="COUNT", help="Tokens of a window, L.")] = 6,
    windows: Annotated[int, typer.Option(metavar="COUNT", help="Evicted windows before the answer.")] = 4,
    sleep_passes: Annotated[int, typer.Option(metavar="COUNT", help="Audit N = 1 and this N.")] = 2,
    json_: Json = False,
) -> None:
    """Prove by which tensors evicted tokens reach a model's answers, and that no later token does; exit 1 on a leak."""
    import baselines
    from baselines.addresses import own_errors
    from benchmark.cells.cell import parse_setting
    from benchmark.measure.audit import audit
    from tasks.base import check_whole

    for name, value in (("window", window), ("windows", windows), ("sleep passes N", sleep_passes)):
        check_whole(name, value, 1, most=1024)
    config = baselines.load(model)()
    if settings:
        config = replace(config, **dict(parse_setting(text, config) for text in settings))
    with own_errors(f"model {model!r} raised"):
        report = audit(config, window=window, windows=windows, passes=tuple(sorted({1, sleep_passes})))
    if json_:
        print_json(report.as_json())
    else:
        _print(report)
    if not report.passed:
        raise typer.Exit(FAILED)


def _print(report: "Audit") -> None:
    """A verdict, the tables behind it, and what else a reader should know."""
    from benchmark.rows.text import table_of

    console = terminal()

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, highlight=False, soft_wrap=True)

    if report.passed:
        say(f"{report.model} passes: evicted tokens reach the answer through its declared state only,", "green")
        say("and no token of a prediction reaches an answer before it", "green")
    for leaks, what in (
        (report.of_evicted, "LEAKS: evicted tokens have roads that its state does not declare"),
        (report.of_later, "READS AHEAD: tokens of a prediction reach answers before them"),
    ):
        if leaks:
            say(f"{report.model} {what}", "red")
        for leak in leaks:
            say(f"  {leak.path}: {leak.reason}", "red")
    if report.not_finite:
        say(f"{report.model} OVERFLOWS: a number is infinite or none, so nothing can be compared there", "red")
        for where in report.not_finite:
            say(f"  {where}", "red")
    if report.roads:
        title = f"the state, and which of {report.windows} evicted windows it carries"
        console.print(table_of(["tensor", "N", "bytes", "hears_of", "reaches_the_answer"], _lines(report), title=title))
    whole = dict.fromkeys(report.reaches.values())
    say("windows that reach the answer: " + "; ".join(f"{window_ranges(w)}{_at(report.reaches, w)}" for w in whole))
    if isinstance(report.gradient, str):
        say(f"windows with a gradient: {report.gradient}")
    else:
        places = [f"{window_ranges(w)}{_at(report.gradient, w)}" for w in dict.fromkeys(report.gradient.values())]
        without_state = "; with the state cut: none" if not report.of_evicted else ""
        say(f"windows with a gradient: {'; '.join(places)}{without_state}")
    growth = f"grows by {report.growth:.10g} bytes a token" if report.growth else "bounded"
    say(f"state: {' → '.join(map(str, report.state_bytes))} bytes a sequence, {growth}")
    times = "once" if report.wake_passes == 1 else f"{report.wake_passes} times, which breaks the latency constraint"
    say(f"prediction runs the network {times}")
    for note in report.notes:
        say(f"note: {note}")


def _lines(report: "Audit") -> list[list[Any]]:
    """A line per tensor, and per N where N makes a difference."""
    passes: dict[tuple[Any, ...], list[int]] = {}
    for road in sorted(report.roads, key=lambda road: road.path):
        passes.setdefault((road.path, road.state_bytes, road.hears, road.reaches), []).append(road.passes)
    return [
        [path, ", ".join(map(str, n)), state_bytes, window_ranges(hears), window_ranges(reaches)]
        for (path, state_bytes, hears, reaches), n in passes.items()
    ]


def _at(by_passes: dict[int, tuple[int, ...]], windows: tuple[int, ...]) -> str:
    """For which N, where not for all."""
    passes = [n for n, reach in by_passes.items() if reach == windows]
    return "" if len(passes) == len(by_passes) else f" (N = {', '.join(map(str, passes))})"


def window_ranges(windows: tuple[int, ...]) -> str:
    """Windows as text: "1-4", "1, 3" or "none"."""
    if len(windows) > 2 and windows[-1] - windows[0] == len(windows) - 1:
        return f"{windows[0]}-{windows[-1]}"
    return ", ".join(map(str, windows)) or "none"
