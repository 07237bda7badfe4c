"""The report in a real browser: headless Chromium, where there is one. Copies of the page get a script that looks."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from benchmark import report
from tests.pages import some_passes, written

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on the PATH; a distribution's package will do")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--virtual-time-budget=20000",
    "--enable-logging=stderr",
)  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("report"))


def browse(page: Path, *flags: str) -> tuple[str, str]:
    """Open a page until nothing happens on it any more: standard output and error."""
    assert BROWSER is not None
    profile = page.with_name("profile")
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    finally:
        shutil.rmtree(profile, ignore_errors=True)
    return done.stdout, done.stderr


def looked(page: Path, script: str, *flags: str) -> Any:
    """What a script at the end of a copy of the page returns.

    The copy has no policy, which would let no other script run; what the script returns is left in the title.
    """
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    code = (
        f"<script>(async () => {{ document.title = JSON.stringify(await (async () => {{ {script} }})()); }})()</script>"
    )
    copy = page.with_name("copy.html")
    copy.write_text(text.removesuffix("</body></html>\n") + code + "</body></html>", encoding="utf-8")
    out, _ = browse(copy, "--dump-dom", *flags)
    found = re.search(r"<title>(.*?)</title>", out, re.DOTALL)
    assert found is not None
    return json.loads(html.unescape(found[1]))


def test_nothing_is_wrong_and_the_curves_are_drawn(page: Path) -> None:
    pytest.importorskip("altair")
    out, err = browse(page, "--dump-dom", "--window-size=1280,20000")
    assert not re.findall(r".*CONSOLE.*", err)
    charts = re.findall(r'<div class="chart[^>]*>', out)
    assert len(charts) == 2 and all("data-drawn" in chart for chart in charts)
    assert out.count("<svg") >= 2  # figures are images: these are the charts


def test_a_press_on_a_head_sorts_its_table(page: Path) -> None:
    script = """
        const table = document.getElementById("rows-passes-cpu-scores");
        const head = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === "exact match");
        const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[head.cellIndex].dataset.value));
        const found = [[head.getAttribute("aria-sort"), values()]];
        for (let press = 0; press < 3; press++) {
          head.querySelector("button").focus();
          document.activeElement.click();
          found.push([head.getAttribute("aria-sort"), values()]);
        }
        return found;
    """
    before, up, down, after = looked(page, script)
    assert before[0] is None and len(set(before[1])) == 6
    assert up == ["ascending", sorted(before[1])]
    assert down == ["descending", sorted(before[1], reverse=True)]
    assert after == before


def test_a_list_and_a_box_change_the_curves(page: Path) -> None:
    pytest.importorskip("altair")
    script = """
        const place = document.getElementById("rows-passes-cpu-curves");
        while (place.dataset.drawn === undefined) await new Promise((then) => setTimeout(then, 50));
        const settled = () => new Promise((then) => setTimeout(then, 500));
        const lines = () => [...place.querySelectorAll(".mark-line path")].map((path) => path.getAttribute("d"));
        const found = [lines()];
        const [which, along] = place.querySelectorAll("select");
        which.selectedIndex = which.selectedIndex ? 0 : 1;
        which.dispatchEvent(new Event("input", { bubbles: true })); which.dispatchEvent(new Event("change"));
        await settled();
        found.push(lines());
        place.querySelector("input[type=checkbox]").click();
        await settled();
        found.push(lines());
        return found;
    """
    before, chosen, hidden = looked(page, script, "--window-size=1280,20000")
    assert len(before) == 2 and all(before)
    assert len(chosen) == 2 and chosen != before
    assert len(hidden) == 1


LOOK_INSIDE = """
    const inside = frame.contentDocument;
    const images = [...inside.images];
    await Promise.all(images.map((image) => image.decode().catch(() => null)));
    const seen = (element) => element.getClientRects().length > 0;
    return {
      width: frame.contentWindow.innerWidth,
      needed: inside.documentElement.scrollWidth,
      images: images.length,
      empty: images.filter((image) => !image.naturalWidth || !seen(image)).length,
      wide: images.filter((image) => image.getBoundingClientRect().right > frame.contentWindow.innerWidth).length,
      rows: inside.querySelectorAll("tbody tr").length,
      hidden: [...inside.querySelectorAll("main p, tbody td, h2, h3, dd")].filter((element) => !seen(element)).length,
      buttons: inside.querySelectorAll("th button").length,
      charts: inside.querySelectorAll(".chart svg").length,
      spilled: [...inside.querySelectorAll(".chart svg")].filter(
        (chart) => chart.getBoundingClientRect().right > chart.closest(".curves").getBoundingClientRect().right).length,
    };
"""


def framed(page: Path, width: int, *, scripts: bool) -> dict[str, int]:
    """What is seen of the page in a frame of a width, with its scripts or without: a window is never so narrow."""
    text = page.read_text(encoding="utf-8")
    sandbox = "" if scripts else 'sandbox="allow-same-origin"'
    around = page.with_name(f"framed-{width}-{scripts}.html")
    around.write_text(
        f'<!DOCTYPE html><html><head></head><body><iframe {sandbox} srcdoc="{html.escape(text)}" '
        f'style="border: 0; width: {width}px; height: 30000px"></iframe><script>const frame = '
        'document.querySelector("iframe"); const loaded = new Promise((then) => frame.onload = then); '
        "const wait = new Promise((then) => setTimeout(then, 3000)); Promise.all([loaded, wait]).then(async () => "
        f"{{ document.title = JSON.stringify(await (async () => {{ {LOOK_INSIDE} }})()); }});</script></body></html>\n",
        encoding="utf-8",
    )
    out, _ = browse(around, "--dump-dom", "--window-size=1400,30000")
    found = re.search(r"<title>(.*?)</title>", out, re.DOTALL)
    assert found is not None
    seen: dict[str, int] = json.loads(html.unescape(found[1]))
    return seen


@pytest.mark.parametrize("scripts", [True, False])
def test_nothing_is_cut_off_on_a_phone(page: Path, scripts: bool) -> None:
    seen = framed(page, 360, scripts=scripts)
    assert seen["width"] == 360
    assert seen["needed"] <= 360
    assert seen["wide"] == seen["spilled"] == 0
    assert bool(seen["buttons"]) is scripts


def test_without_scripts_everything_that_does_not_move_is_there(page: Path) -> None:
    seen = framed(page, 1280, scripts=False)
    assert seen["buttons"] == seen["charts"] == 0
    assert seen["images"] > 5 and seen["empty"] == 0
    assert seen["rows"] > 50 and seen["hidden"] == 0


def test_without_the_extra_nothing_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    page = report.write([some_passes(tmp_path / "passes-cpu")], tmp_path / "page.html")
    out, err = browse(page, "--dump-dom")
    assert not re.findall(r".*CONSOLE.*", err)
    assert "<button" in out and 'class="chart"' not in out


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_drawn_in_light_and_in_dark(page: Path, dark: bool) -> None:
    picture = page.with_name(f"screen-{dark}.png")
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
    browse(page, f"--screenshot={picture}", "--window-size=1280,1600", *scheme)
    drawn = matplotlib.image.imread(picture)[..., :3]
    assert drawn.shape[:2] == (1600, 1280)
    colors = np.unique((255 * drawn.reshape(-1, 3)).round().astype(int), axis=0)
    assert len(colors) > 50
    assert (float(np.median(drawn)) < 0.2) is dark


def test_it_can_be_printed(page: Path) -> None:
    paper = page.with_name("report.pdf")
    browse(page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert paper.read_bytes().startswith(b"%PDF") and paper.stat().st_size > 50_000
