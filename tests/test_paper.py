"""The paper as data: the points are those of the facts, and every claim can be judged and trained for."""

import inspect
import shlex
from dataclasses import fields

import polars as pl
import pytest
import typer

from benchmark import rows
from benchmark.cells.request import Request
from benchmark.cells.suites import SUITES
from benchmark.cli import app
from benchmark.cli.console import numbers
from benchmark.judge import paper
from benchmark.judge.claims import ALPHA, artefacts, forms
from benchmark.judge.evidence import PLACES

CLAIMS = paper.claims()
SETTINGS = paper.settings()


def asked(command: str) -> Request:
    """What a command asks for; it fails as the command would."""
    bench, name, *arguments = shlex.split(command)
    assert (bench, name) == ("bench", "run")
    given = typer.main.get_command(app).commands[name].make_context(name, arguments).params  # type: ignore[attr-defined]
    seeds = numbers("--seeds", given["seeds"]) if given["seeds"] else None
    return Request(suite=given["suite"], scale=given["scale"], model=given["model"], seeds=seeds)


def rows_of(request: Request) -> list[dict[str, object]]:
    return [cell.axes | {"task": cell.task.name, "scale": request.scale} for cell in request.plan().cells()]


# Points


def test_there_are_the_44_printed_points() -> None:
    found = paper.points()
    assert found.schema == pl.Schema(paper.POINTS)
    counts = found.group_by("figure", maintain_order=True).len().rows()
    assert counts == [("2b", 4), ("4a", 16), ("4b", 12), ("5", 12)]
    assert (
        found.select("figure", "task", "axis", "difficulty", "sleep_passes", "metric", "source").unique().height <= 44
    )


@pytest.mark.parametrize(
    ("figure", "difficulty", "n", "value"),
    [("2b", 32, 2, 0.2), ("4a", 6, 1, 0.742), ("4a", 8, 6, 0.388), ("4b", 6, 4, 0.615), ("5", 8, 4, 0.137)],
)
def test_spot_values(figure: str, difficulty: int, n: int, value: float) -> None:
    found = paper.points().filter(figure=figure, difficulty=difficulty, sleep_passes=n)
    assert found["value"].to_list() == [value]


def test_values_without_an_n_have_none() -> None:
    found = paper.points()
    assert found.filter(pl.col("sleep_passes").is_null())["source"].str.contains("not assigned").all()
    assert found.filter(pl.col("sleep_passes").is_null()).height == 4 + 4 + 2 + 2 + 3 + 3
    assert not found.drop_nulls("sleep_passes")["source"].str.contains("not assigned").any()


@pytest.mark.parametrize("figure", paper.points()["figure"].unique(maintain_order=True))
def test_the_setting_of_every_figure_with_points_is_known(figure: str) -> None:
    setting = SETTINGS[figure]
    request = asked(setting.command)
    assert (request.suite, request.scale) == (setting.suite, "paper")
    points = paper.points().filter(figure=figure)
    cells = request.plan().cells()
    trained = [cell for cell in cells if all(cell.axes[c] == value for c, value in setting.where.items())]
    assert {cell.task.name for cell in trained} == set(points["task"])
    assert {cell.training.sleep_passes for cell in trained} >= set(points["sleep_passes"].drop_nulls())
    levels = {level for cell in trained for level in cell.levels}
    assert levels >= set(points["difficulty"])


# Claims


def test_the_claims_have_names_of_their_own() -> None:
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS) >= 15
    assert {claim.figure for claim in CLAIMS} == {"text", "2a", "2b", "3", "4", "5", "6"}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_claim_can_be_judged(claim: paper.Claim) -> None:
    assert claim.suite in SUITES
    inspect.signature(forms.FORMS[claim.form]).bind(object(), **claim.options)
    assert claim.options.get("at", "all") in PLACES
    assert set(claim.controls) <= set(artefacts.NAMES)
    assert all(text.strip() for text in (claim.claim, claim.reduced, claim.because))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_the_command_of_every_claim_trains_rows_that_can_judge_it(claim: paper.Claim) -> None:
    request = asked(claim.command)
    assert request.suite == claim.suite
    trained = [row for row in rows_of(request) if all(row[c] == value for c, value in claim.where.items())]
    assert trained
    counts = {row["sleep_passes"] for row in trained}
    assert {claim.options.get(name, 1) for name in ("n", "low", "high")} - {"largest"} <= counts
    column = claim.options.get("column")
    assert column is None or column in rows.COLUMNS or column in trained[0]
    assert claim.options.get("beside", "wall_s") in rows.COLUMNS


def test_only_gains_of_n_have_controls() -> None:
    assert {claim.form for claim in CLAIMS if claim.controls} == {"beats", "rises", "gain_grows"}
    assert all(claim.controls == tuple(artefacts.NAMES) for claim in CLAIMS if claim.controls)


def test_no_claim_is_easier_than_its_own_words() -> None:
    """Sizes that matter are sizes: none is nothing, and none is above what the paper itself shows."""
    for claim in CLAIMS:
        assert all(
            claim.options[name] > 0 for name in ("smallest", "margin", "bound", "within") if name in claim.options
        )
    assert ALPHA == 0.05


def test_the_page_explains_every_field() -> None:
    page = (paper.FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{f.name}`" in page for f in fields(paper.Claim))


def test_an_installation_without_the_files_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(paper, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match="come with the repository"):
        paper.points()
