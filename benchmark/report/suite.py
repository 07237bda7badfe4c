"""One folder of rows as a section of a report: what it shows, figures, scores, what is missing, cost and origin."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from benchmark import figures
from benchmark.cells import suites
from benchmark.judge import summaries
from benchmark.report import inventory, pictures
from benchmark.report.claims import definitions
from benchmark.report.markup import Cell, Html, element, join, table
from benchmark.rows.outcomes import Key, Outcome
from benchmark.rows.studies import outdated, words
from benchmark.rows.text import amount, duration


@dataclass(frozen=True, kw_only=True)
class Source:
    """A folder of rows.

    Attributes:
        name: The folder's name.
        id: Its id in the page, of its own.
        frame: Its rows.
        environment: What `environment.json` beside the rows says; empty if there is none.
        outcomes: Which examples were right in the tests whose outcomes lie beside the rows.
    """

    name: str
    id: str
    frame: pl.DataFrame
    environment: dict[str, Any]
    outcomes: Mapping[Key, Outcome] = field(default_factory=dict)


def section(source: Source, chart: dict[str, Any] | None) -> Html:
    """The section; `chart` is its interactive learning curves, if it has some."""
    lacking = inventory.missing(source.frame)
    return element(
        "section",
        element("h2", source.name, id=source.id),
        join(*(_about(source, found) for found in lacking)),
        *(element("p", f"Rows of {task}.", class_="quiet") for task in outdated(source.frame)),
        _figures(source),
        _curves(source, chart) if chart else "",
        element("h3", "Scores"),
        scores(source),
        element(
            "div",
            _card("Missing cells", *(_missing(found) for found in lacking)),
            _card("Failures", _failures(source)),
            _card("Cost", _cost(source)),
            _card("Provenance", _provenance(source)),
            class_="cards",
        ),
        _failures_table(source),
        *(_missing_table(source, found) for found in lacking if found.cells and not found.variation),
        aria_labelledby=source.id,
    )


def _card(title: str, *content: str) -> Html:
    return element("div", element("h3", title), *content, class_="card")


def _about(source: Source, found: inventory.Missing) -> Html:
    """What the suite shows, in its own words, and whether these are its own cells."""
    suite = suites.SUITES.get(found.suite)
    said = " ".join((suite.__doc__ or "").split()) if suite else "A suite that this code does not know."
    own = f"Suite {found.suite}, scale {found.scale}."
    if found.variation:
        command = source.environment.get("command")
        own = f"A variation of suite {found.suite}, scale {found.scale}: "
        own = join(own, element("code", str(command))) if command else f"{own}its cells have other settings."
    return element("div", element("p", said, class_="lead"), element("p", own, class_="quiet"))


def _figures(source: Source) -> Html:
    drawn = []
    for found in figures.drawn(source.frame):
        width, height = pictures.size(found.svg) or (None, None)
        image = element(
            "img",
            src=pictures.address(found.svg),
            alt=found.alt,
            width=width,
            height=height,
            decoding="async",
        )
        drawn.append(element("figure", image, element("figcaption", found.name.replace("_", " "))))
    if not drawn:
        return element("p", "The rows allow no figure.", class_="quiet")
    return join(element("h3", "Figures"), element("div", *drawn, class_="figures"))


def _curves(source: Source, chart: dict[str, Any]) -> Html:
    """The place of the curves and their chart as data; the page's script brings the two together."""
    data = json.dumps(chart, separators=(",", ":"), sort_keys=True)
    for character in "<>&\u2028\u2029":  # no end of the script element in a name, no line end of JavaScript
        data = data.replace(character, f"\\u{ord(character):04x}")
    waiting = element("p", "These curves need JavaScript; the figures above show the same rows.", class_="quiet")
    id_, title = f"{source.id}-curves", f"Learning curves of {source.name}"
    return element(
        "div",
        element("h3", "Learning curves to explore"),
        element("div", element("div", waiting, class_="chart", id=id_, data_title=title), class_="curves"),
        element("script", Html(data), type="application/json", id=f"{id_}-data"),
        class_="explore",
    )


def scores(source: Source) -> Html:
    """The summary of the rows, its numbers unrounded beside what is shown."""
    found = summaries.summary(source.frame)
    if not found.width:
        return element("p", "No cell is finished.", class_="quiet")
    found = found.select(c for c in found.columns if found[c].null_count() < found.height)
    lines = [[Cell(shown(name, value), value) for name, value in row.items()] for row in found.iter_rows(named=True)]
    caption = f"Final scores of {source.name} over seeds"
    return table([words(c) for c in found.columns], lines, caption=caption, id_=f"{source.id}-scores")


def shown(name: str, value: float | str | None) -> str:
    """A number of the summary as it is read: counts with a metric prefix, scores with three digits."""
    if value is None:
        return "–"
    if isinstance(value, str | bool):
        return str(value)
    if name == "wall_s":
        return duration(value)
    if name == "tokens_needed" or name in summaries.COSTS:
        return amount(value)
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _missing(found: inventory.Missing) -> Html:
    if found.planned is None:
        return element(
            "p", f"This code knows no suite {found.suite} at scale {found.scale}: what is missing is unknown."
        )
    if found.variation:
        return element("p", f"None of the {found.planned} cells of suite {found.suite}: this is a variation of it.")
    if not found.cells:
        return element("p", f"None: all {found.planned} cells of suite {found.suite} are here.")
    said = f"{len(found.cells)} of the {found.planned} cells of suite {found.suite} have no rows; listed below. "
    return element("p", said, "They are trained by ", element("code", _command(found)), ".")


def _command(found: inventory.Missing) -> str:
    return f"bench run {found.suite} --scale {found.scale}"


def _missing_table(source: Source, found: inventory.Missing) -> Html:
    return table(
        ("cell", "settings"),
        [[id_, label] for label, id_ in found.cells.items()],
        caption=f"Missing cells of suite {found.suite}, scale {found.scale}",
        id_=f"{source.id}-missing-{found.suite}-{found.scale}".replace(" ", "-"),
    )


def _failures(source: Source) -> Html:
    failed, unfinished = inventory.failed(source.frame), inventory.unfinished(source.frame)
    cells = source.frame["cell_id"].n_unique()
    if not failed.height and not unfinished.height:
        return element("p", f"None: all {cells} cells were trained to the end.")
    said = f"{failed.height} of {cells} cells failed, {unfinished.height} did not reach the end of their budget."
    return element("p", f"{said} They are listed below.")


def _failures_table(source: Source) -> Html:
    """Every cell without a final score, and why; nothing if there is none."""
    failed, unfinished = inventory.failed(source.frame), inventory.unfinished(source.frame)
    lines = [_trouble(row, row["status"], row["reason"]) for row in failed.iter_rows(named=True)]
    lines += [
        _trouble(row, "unfinished", f"{amount(row['tokens_seen'])} of {amount(row['tokens'])} tokens")
        for row in unfinished.iter_rows(named=True)
    ]
    caption = f"Cells of {source.name} without a final score"
    heads = ("cell", "setting", "N", "seed", "status", "reason")
    return table(heads, lines, caption=caption, id_=f"{source.id}-failures") if lines else Html("")


def _trouble(row: dict[str, Any], status: str, reason: str | None) -> Sequence[str | Cell]:
    axis = row["axis"]
    depth = row.get(axis) if axis else None
    setting = ", ".join(filter(None, (row["variant"], None if depth is None else f"{words(axis)} {depth}")))
    n = row.get("sleep_passes")
    return [
        str(row["cell_id"]),
        setting or f"{row['task']}, {row['model']}",
        Cell("–" if n is None else str(n), n),
        Cell(str(row["seed"]), row["seed"]),
        status,
        reason or "not said",
    ]


def _cost(source: Source) -> Html:
    found = inventory.cost(source.frame)
    low, high = found.parameters or (None, None)
    sizes = "–" if low is None else f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return definitions(
        [
            ("Cells", f"{found.cells}, {found.seeds} seed{'s' * (found.seeds != 1)}"),
            ("Training tokens", amount(found.tokens)),
            ("Training FLOPs", amount(found.train_flops)),
            ("Time", f"{duration(found.wall_s)}, one cell after the other"),
            ("Parameters", sizes),
        ]
    )


def _provenance(source: Source) -> Html:
    """Commit, versions and machine: of the rows where they say, else of the file beside them."""
    said = source.environment
    facts: list[tuple[str, str]] = []
    if command := said.get("command"):
        facts.append(("Command", element("code", str(command))))
    facts.append(("Commit", ", ".join(source.frame["commit"].drop_nulls().unique().sort()) or "not said"))
    packages = said.get("packages")
    versions = {"python": said.get("python"), **(packages if isinstance(packages, dict) else {})}
    torch = source.frame["torch"].drop_nulls().unique().sort().to_list()
    versions["torch"] = ", ".join(torch) or versions.get("torch")
    facts.append(("Versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)))
    machine = [said.get(name) for name in ("system", "machine", "processor")]
    cores = f"{said['cores']} cores" if said.get("cores") else None
    devices = ", ".join(source.frame["device"].drop_nulls().unique().sort())
    facts.append(("Machine", ", ".join(str(fact) for fact in (*machine, cores) if fact) or "not said"))
    facts.append(("Device", devices or "not said"))
    return definitions(facts)
