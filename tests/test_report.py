"""The report as it is written: what is on the page, that it is whole, and that rows cannot change what it is."""

import base64
import hashlib
import json
import re
import sys
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from benchmark import report, rows
from benchmark.cells import suites
from benchmark.judge import paper, summaries
from benchmark.report import inventory, pictures, suite
from benchmark.report.template import ASSETS
from tests.harness import bench
from tests.pages import HOSTILE, Element, Page, climbing, hostile, some_passes, written
from tests.planted import planted


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(place: Path) -> Element:
    return Page(place.read_text(encoding="utf-8")).tree


# The page is whole


def test_ids_are_unique_and_every_reference_has_its_target(page: Element) -> None:
    ids = [e.attributes["id"] for e in page.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[A-Za-z][\w-]*", id_) for id_ in ids)
    links = [e.attributes["href"] for e in page.all("a")]
    labels = [e.attributes["aria-labelledby"] for e in page.all() if "aria-labelledby" in e.attributes]
    assert {link.removeprefix("#") for link in links} | set(labels) <= set(ids)
    assert all(link.startswith("#") for link in links)


def test_nothing_is_loaded_from_elsewhere(page: Element) -> None:
    for element in page.all():
        for name in ("src", "srcset", "data", "poster", "action", "href"):
            assert element.attributes.get(name, "#").startswith(("#", "data:")), element.name
        assert not any(name.startswith("on") for name in element.attributes), element.attributes
    assert {e.name for e in page.all()}.isdisjoint({"link", "iframe", "object", "embed", "base", "form"})
    styles = "".join("".join(e.own) for e in page.all("style"))
    assert "url(" not in styles and "@import" not in styles


def test_the_policy_allows_the_scripts_of_the_page_and_no_other(page: Element) -> None:
    (policy,) = (e.attributes["content"] for e in page.all("meta") if "http-equiv" in e.attributes)
    scripts = ["".join(e.own) for e in page.all("script") if "type" not in e.attributes]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts]
    assert re.search(r"script-src ([^;]*)", policy)[1].split() == hashes  # type: ignore[index]
    assert policy.startswith("default-src 'none';")


def test_headings_landmarks_and_language(page: Element) -> None:
    levels = [int(e.name[1]) for e in page.all() if re.fullmatch(r"h[1-6]", e.name)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert [e.attributes["lang"] for e in page.all("html")] == ["en"]
    assert len(page.all("main")) == len(page.all("nav")) == len(page.all("header")) == 1
    assert any("width=device-width" in e.attributes.get("content", "") for e in page.all("meta"))


def test_figures_say_what_is_seen_and_tables_are_named(page: Element) -> None:
    images = page.all("img")
    assert len(images) > 5
    assert all(len(e.attributes["alt"]) > 30 for e in images)
    assert all(e.attributes["src"].startswith("data:image/svg+xml,%3Csvg ") for e in images)
    assert all(int(e.attributes["width"]) > 100 < int(e.attributes["height"]) for e in images)
    for table in page.all("table"):
        assert len(table.all("caption")) == 1 and table.all("caption")[0].text
        assert all(e.attributes.get("scope") in ("col", "row") for e in table.all("th"))
        width = len(table.all("thead")[0].all("th"))
        assert all(len(row.children) == width for row in table.all("tbody")[0].all("tr"))


def test_colours_have_contrast() -> None:
    css = (ASSETS / "report.css").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{([^}]*)\}", css)
    ]
    assert len(schemes) == 3  # light, dark, paper
    pairs = [("ink", c) for c in ("page", "card", "stripe")] + [("quiet", c) for c in ("page", "card", "stripe")]
    pairs += [("link", c) for c in ("page", "card", "stripe")] + [(c, f"{c}-card") for c in ("good", "bad", "open")]
    for scheme in schemes:
        for text, ground in pairs:
            one, other = sorted((_luminance(scheme[text]), _luminance(scheme[ground])))
            assert (other + 0.05) / (one + 0.05) >= 4.5, (text, ground, scheme)


def _luminance(color: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


# What is on it


def test_every_claim_is_there_with_its_verdict(page: Element) -> None:
    judged, rest = (page.by_id(f"{name}-table").all("tbody")[0].all("tr") for name in ("verdicts", "open"))
    assert judged and rest and all("? not enough" in line.children[1].text for line in rest)
    claims = paper.claims()
    order = [claim.id for claim in claims]
    lines = sorted([*judged, *rest], key=lambda line: order.index(line.children[0].attributes["data-value"]))
    assert [line.children[0].attributes["data-value"] for line in lines] == order
    for claim, line in zip(claims, lines, strict=True):
        assert claim.claim in line.text and claim.reduced in line.text
        assert line.all("a")[0].attributes["href"] == f"#claim-{claim.id}"
        if "not enough evidence" in line.children[1].text:
            assert claim.command in line.text
    tiles = [int(tile.all("b")[0].text) for tile in page.all("ul")[0].all("li")]
    found = [line for claim, line in zip(claims, lines, strict=True) if claim.kind == "empirical"]
    assert sum(tiles) == len(found) < len(claims)
    assert tiles[2] == sum("? not enough" in line.children[1].text for line in found)
    built = [line for line in lines if "by construction" in line.children[1].text]
    assert len(built) == len(claims) - len(found)
    assert f"Not counted there: {len(built)} claims that are true by construction" in page.text


def test_a_gain_is_told_at_both_budgets_and_each_difficulty(page: Element) -> None:
    """N = 2 minus N = 1 at the FLOPs of N = 1, at each t beyond the nearest; no rows of N = 1 go further."""
    (claim,) = (e for e in page.all("article") if e.all("h3")[0].attributes["id"] == "claim-passes-help")
    assert "at the FLOPs of N = 2 (2.0e+06): rows of N = 1 end at 1.0e+06" in claim.text
    assert "t = 5, smaller budget, N = 2 minus N = 1: " in claim.text


def test_the_scores_are_those_of_the_summary(page: Element, place: Path) -> None:
    table = page.by_id("rows-passes-cpu-scores")
    expected = summaries.summary(rows.read_table(place.parent / "passes-cpu"))
    expected = expected.select(c for c in expected.columns if expected[c].null_count() < expected.height)
    assert [e.text for e in table.all("thead")[0].all("th")] == [c.replace("_", " ") for c in expected.columns]
    lines = table.all("tbody")[0].all("tr")
    assert len(lines) == expected.height
    for line, row in zip(lines, expected.iter_rows(), strict=True):
        for name, entry, value in zip(expected.columns, line.children, row, strict=True):
            assert entry.attributes.get("data-value") == (None if value is None else str(value))
            if isinstance(value, float) and value <= 1 and name not in summaries.COSTS:
                assert entry.text == f"{value:.3f}"


def test_missing_and_failed_cells_are_named(page: Element, place: Path) -> None:
    frame = rows.read_table(place.parent / "passes-cpu")
    (lacking,) = inventory.plans(frame)
    planned = {cell.id for cell in suites.suite("passes", "cpu").cells()}
    named = [e.text for e in page.by_id("rows-passes-cpu-missing-passes-cpu").all("tbody")[0].all("th")]
    assert named == list(lacking.cells.values())
    assert set(named) == planned - set(frame["cell_id"]) and len(named) == len(planned) - 12
    (failed,) = inventory.failed_cells(frame)["cell_id"]
    line = page.by_id("rows-passes-cpu-failures").all("tbody")[0].all("tr")
    assert len(line) == 1
    assert failed in line[0].text and "diverged" in line[0].text and "training loss is nan" in line[0].text


def test_cost_and_origin(page: Element, place: Path) -> None:
    frame = rows.read_table(place.parent / "passes-cpu")
    found = inventory.cost(frame)
    assert found.cells == frame["cell_id"].n_unique()
    assert found.tokens == frame.group_by("cell_id").agg(pl.col("tokens_seen").max())["tokens_seen"].sum()
    section = next(e for e in page.all("section") if e.attributes["aria-labelledby"] == "rows-passes-cpu")
    assert "bench run passes" in section.text
    assert "abc123" in section.text
    assert "Figure 2b" in section.text  # the suite in its own words


def test_columns_are_explained(page: Element) -> None:
    lines = page.by_id("columns-table").all("tbody")[0].all("tr")
    assert [line.children[0].text for line in lines] == list(rows.COLUMNS)


# What rows say stays text


def test_names_that_are_html_stay_text(page: Element, place: Path) -> None:
    assert HOSTILE in page.text
    assert HOSTILE.encode() not in place.read_bytes()
    assert {e.attributes.get("type") for e in page.all("script")} <= {None, "application/json"}
    assert len(page.all("style")) == 1
    assert all("owned" not in "".join(e.own) for e in page.all("script") if "type" not in e.attributes)
    for element in page.all("script"):
        if "type" in element.attributes:
            assert json.loads("".join(element.own))["datasets"]["curves"]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    source = hostile(tmp_path / "odd")
    one, other = (report.write([source], tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert one == other


def test_without_the_extra_everything_else_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    text = report.write([hostile(tmp_path / "odd")], tmp_path / "page.html").read_text(encoding="utf-8")
    found = Page(text).tree
    assert "pip install -e '.[report]'" in found.text
    assert len(found.all("script")) == 1 and not [e for e in found.all() if e.attributes.get("class") == "chart"]
    assert found.all("img") and found.by_id("open-table") and found.by_id("rows-odd-scores")


def test_with_the_extra_its_library_is_there_once(page: Element) -> None:
    pytest.importorskip("altair")
    pytest.importorskip("vl_convert")
    assert sum("vegaEmbed" in "".join(e.own) and len("".join(e.own)) > 100_000 for e in page.all("script")) == 1
    assert len([e for e in page.all() if e.attributes.get("class") == "chart"]) == 2


# Pictures


def test_a_smaller_picture_draws_the_same() -> None:
    svg = (
        '<?xml version="1.0"?>\n<!-- made -->\n<svg width="10pt" height="20pt">\n <metadata>x</metadata>\n'
        ' <g id="unused">\n  <path id="used-long-name" d="M 1.23456 2 \nL 3 4 z" '
        'style="fill: none; stroke: #ff0000"/>\n'
        ' </g>\n <g/>\n <g transform="translate(1.23456 5) scale(0.015625)">\n'
        '  <use xlink:href="#used-long-name" transform="translate(63.619999 0)"/>\n'
        '  <use xlink:href="#used-long-name" x="1" y="2" clip-path="url(#used-long-name)"/></g>\n</svg>'
    )
    assert pictures.minify(svg) == (
        '<svg width="10pt" height="20pt"><path id="i0" d="M1.23 2L3 4z" style="fill:none;stroke:#ff0000"/>'
        '<g transform="translate(1.23 5) scale(0.015625)"><use href="#i0" x="63.61"/>'
        '<use href="#i0" x="1" y="2" clip-path="url(#i0)"/></g></svg>'
    )
    assert pictures.size(svg.encode()) == (13, 27)
    assert '"' not in pictures.address(svg.encode()) and "#" not in pictures.address(svg.encode())


# What is refused


def test_no_rows_and_no_place_to_write(tmp_path: Path) -> None:
    source = hostile(tmp_path / "odd")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="no rows at"):
        report.write([empty], tmp_path / "page.html")
    with pytest.raises(ValueError, match=r"is a folder; --out takes"):
        report.write([source], empty)
    rows.read_table(source).clear().write_parquet(empty / "rows.parquet")
    with pytest.raises(ValueError, match="nothing to report"):
        report.write([empty], tmp_path / "page.html")
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = bench("report", source, "--out", tmp_path / "file" / "page.html")
    assert done.code == 2 and done.err.startswith("bench: ") and "Traceback" not in done.err
    assert not (tmp_path / "page.html").exists()


def test_the_command_writes_beside_its_one_source(tmp_path: Path) -> None:
    source = hostile(tmp_path / "odd")
    done = bench("report", source)
    assert (done.code, done.out.strip()) == (0, str(source / "report.html")), done.err
    assert (source / "report.html").stat().st_size > 10_000


def test_a_source_without_environment_and_two_of_one_name(tmp_path: Path) -> None:
    one, other = some_passes(tmp_path / "a" / "same"), some_passes(tmp_path / "b" / "same")
    (one / "environment.json").unlink()
    (other / "environment.json").write_text("[not json", encoding="utf-8")
    found = report.gather([one, other, one])
    assert [source.id for source in found] == ["rows-same", "rows-same-2"]
    assert all(source.environment == {} for source in found)


def test_a_variation_follows_its_suite_and_comes_last_without_it(tmp_path: Path) -> None:
    """Rows whose cells their suite does not plan are a variation, as a sweep of rates is."""
    main = some_passes(tmp_path / "main")
    for name, of in (("a-rate", "passes"), ("b-rate", "rollouts")):
        (tmp_path / name).mkdir()
        rows.write_table(tmp_path / name / "rows.parquet", planted(climbing, ns=(1,), depths=(0,), seeds=1, suite=of))
    sources = [tmp_path / "b-rate", tmp_path / "a-rate", main]
    assert [source.name for source in report.gather(sources)] == ["main", "a-rate", "b-rate"]
    (tmp_path / "b-rate").rename(tmp_path / "rollouts-cpu")  # as if of an older version
    assert [source.name for source in report.gather([tmp_path])] == ["rollouts-cpu", "main", "a-rate"]


@pytest.mark.parametrize(("settings", "heads"), [(("v1", "v1"), ["N"]), (("v1", "v2"), ["setting", "N"])])
def test_a_setting_that_all_lines_share_stands_over_the_table(
    settings: tuple[str, str], heads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "summary", lambda frame: pl.DataFrame({"setting": settings, "N": [1, 2]}))
    table = suite._scores(suite.Source(name="x", id="x", frame=pl.DataFrame(), environment={}))
    assert table is not None and table.heads == heads
    assert table.title.endswith(": v1") == ("setting" not in heads)
