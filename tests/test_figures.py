"""Figures from made-up rows: what is drawn is what the rows say, and what is missing is said."""

import html
import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
import pytest
from harness import ROOT, bench
from matplotlib.figure import Figure

from benchmark import rows
from benchmark.figures import FIGURES, LONGEST_NAME, Entry, draw, drawings, file_name, maps, marks, panels, stale, style
from benchmark.judge.learning_curve import tokens_to
from benchmark.rows.studies import Study, studies, suite_studies

CHANCE = {0: 0.5, 2: 0.53125, 4: 0.535156, 6: 0.539, 8: 0.54056, 10: 0.5443}
EVALUATIONS = 20


Cell = list[rows.Row]


def cell_rows(depth: int, n: int, seed: int, *, answers: int = 1, until: int = EVALUATIONS, **settings: Any) -> Cell:
    """Rows of a cell that learns later when deeper and sooner when N is larger."""
    budget = settings.get("tokens", 6_000_000)
    facts: rows.Row = {
        "schema_version": rows.SCHEMA_VERSION, "suite": "passes", "scale": "cpu", "status": "ok",
        "cell_id": f"{depth}-{n}-{seed}-{sorted(settings.items())}", "task": "rule110", "task_version": 9,
        "model": "hybrid", "model_version": 1, "seed": seed, "axis": "rollout_steps", "rollout_steps": depth,
        "sleep_passes": n, "strings": answers, "cells": 16, "tokens": budget, "test_passes": [],
        "window_embedding": True, "device": "cpu", "split": "test", "tested_passes": n, "difficulty": depth,
    } | settings  # fmt: skip
    found = []
    for i in range(1, until + 1):
        tokens = budget * i // EVALUATIONS + i  # budgets are rounded up to whole steps
        need = 0.2e6 + 0.4e6 * depth ** (1.4 - 0.13 * n) * (1 + 0.06 * ((7 * seed + 3 * n + depth) % 5 - 2))
        solved = 1 / (1 + math.exp(-5 * (tokens / need - 1.2))) if depth else 1 - math.exp(-tokens / 2e5)
        per_answer = [CHANCE[depth] + (1 - CHANCE[depth]) * solved * (1 - 0.1 * a) for a in range(answers)]
        for answer in (None, *range(answers)):
            chance = CHANCE[depth] ** (answers if answer is None else 1)
            exact = math.prod(per_answer) if answer is None else per_answer[answer]
            score = {"answer": answer, "exact_match": exact, "chance": chance, "lift": (exact - chance) / (1 - chance)}
            score |= {"loss": 0.7 * (1 - exact), "majority": chance, "question_only": chance}
            found.append(facts | score | {"step": i, "tokens_seen": tokens, "train_flops": 4.2e5 * n * tokens})
    return found


def diverged(cell: Cell, after: int) -> Cell:
    """The same cell ended by a training loss that is not a number: what was scored, then one row without scores."""
    kept = [row for row in cell if row["step"] <= after]
    bare = {key: kept[-1][key] for key in kept[-1] if key not in SCORED}
    return [*kept, bare | {"status": "diverged", "reason": "training loss is nan", "step": after + 1}]


SCORED = (
    "split", "tested_passes", "difficulty", "answer", "exact_match", "chance", "lift", "tokens_seen", "train_flops",
    "loss", "majority", "question_only",
)  # fmt: skip


def grid(answers: int = 1, depths: tuple[int, ...] = (0, 4, 6, 8, 10), **settings: Any) -> list[Cell]:
    """Cells of a sweep: N in {1, 2, 4} x depths x 3 seeds, (10, 4, seed 2) diverged, (6, 4) never run."""
    cells = []
    for depth in depths:
        for n in (1, 2, 4):
            for seed in range(3):
                cell = cell_rows(depth, n, seed, answers=answers, **settings)
                if (depth, n) != (6, 4):
                    cells.append(diverged(cell, 4) if (depth, n, seed) == (10, 4, 2) else cell)
    return cells


def table(cells: list[Cell]) -> pl.DataFrame:
    return rows.table([row for cell in cells for row in cell])


OF_STUDIES = [name for name, entry in FIGURES.items() if entry.by is None]


def only(frame: pl.DataFrame) -> Study:
    (study,) = studies(frame)
    return study


def texts(name: str, study: Study) -> list[str]:
    """Every piece of text of a figure."""
    with style.context():
        figure = FIGURES[name].draw(study)
        assert figure is not None
        figure.draw_without_rendering()
        return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


@pytest.fixture(params=[1, 2], ids=["one answer", "two answers"])
def frame(request: pytest.FixtureRequest) -> Iterator[pl.DataFrame]:
    yield table(grid(request.param))


# --- files ---


def test_every_figure_becomes_a_png_and_an_svg_the_same_from_another_process_and_rows_in_any_order(
    tmp_path: Path,
) -> None:
    frame = table(grid(2, depths=(6, 8, 10)))
    with matplotlib.rc_context({"axes.grid": False, "font.size": 20, "svg.hashsalt": None}):  # a user's own settings
        written = draw(frame, tmp_path / "new" / "figures")
    frame.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "shuffled.parquet")
    code = (
        "import sys, pathlib, polars\n"
        "from benchmark.figures import draw\n"
        "for path in draw(polars.read_parquet(sys.argv[1]), pathlib.Path(sys.argv[2])):\n"
        "    print(path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "shuffled.parquet", tmp_path / "again"], cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = [Path(line) for line in done.stdout.splitlines()]
    assert [p.name for p in written] == [p.name for p in again]
    assert {p.name for p in written} == {f"{name}.{kind}" for name in OF_STUDIES for kind in ("png", "svg")}
    assert sorted(written) == sorted((tmp_path / "new" / "figures").iterdir())
    for path, other in zip(written, again, strict=True):
        data = path.read_bytes()
        assert data == other.read_bytes(), path.name
        if path.suffix == ".svg":
            assert ET.fromstring(data).tag.endswith("svg")
            assert b"<dc:date>" not in data
        else:
            assert data.startswith(b"\x89PNG") and len(data) > 20_000
            width, height = (int.from_bytes(data[at : at + 4]) for at in (16, 20))
            assert width >= 800 and height >= 400


def test_figures_without_files_are_those_of_the_files(tmp_path: Path) -> None:
    frame = table([cell_rows(4, n, seed) for n in (1, 2) for seed in (0, 1)])
    written = {path.name: path.read_bytes() for path in draw(frame, tmp_path)}
    before, found = dict(matplotlib.rcParams), []
    for figure in drawings(frame):
        found.append(figure)
        assert dict(matplotlib.rcParams) == before  # also between two of them
    assert {f"{figure.name}.svg": figure.svg for figure in found} == {
        name: data for name, data in written.items() if name.endswith("svg")
    }
    for figure in found:
        assert figure.png is None
        assert figure.entry.name == figure.name  # a study without a name
        assert figure.caption == figure.entry.caption and figure.caption.endswith(".")
        assert figure.title and figure.alt.endswith(".") and re.search(r"\d", figure.alt)
        assert html.escape(figure.title, quote=False).encode() in figure.svg  # for screen readers
        assert ET.fromstring(figure.svg).findtext("{http://www.w3.org/2000/svg}title") == figure.title


def test_every_figure_has_words() -> None:
    study = only(table(grid(2)))
    for name in OF_STUDIES:
        assert 40 < len(FIGURES[name].words(study)) < 900
    said = FIGURES["accuracy_by_level"].words(study)
    for n in (1, 2, 4):
        ends = [study.scores_at(study.final, n, depth)["exact_match"].mean() for depth in (0, 10)]
        assert f"N = {n} {100 * ends[0]:.1f} % at t = 0, {100 * ends[1]:.1f} % at t = 10" in said


def test_a_figure_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def last_loss(study: Study) -> Figure:
        """The loss at the end: a bar per N."""
        figure, ((ax, _),) = panels.over(study, [None], title="Loss at the end", size=(3, 2), x="N", y="loss")
        ax.bar(study.final["n"], study.final["loss"])
        return figure

    monkeypatch.setattr("benchmark.figures.FIGURES", {"last_loss": Entry(last_loss, lambda study: "Bars of loss.")})
    frame = table([cell_rows(4, n, 0, window_embedding=on) for n in (1, 2) for on in (True, False)])
    one, other = drawings(frame)
    assert one.name == "last_loss-window-embedding-False" and one.title == "Loss at the end"
    assert (one.caption, one.alt) == (
        "The loss at the end: a bar per N. Here: window embedding False.",
        "Bars of loss.",
    )
    old = tmp_path / "last_loss-t-4.png"
    old.touch()
    assert stale(tmp_path, draw(frame, tmp_path)) == [old] and other.svg != one.svg


def test_words_before_any_cell_is_finished() -> None:
    study = only(table([cell_rows(depth, n, 0, until=3) for depth in (4, 6) for n in (1, 2)]))
    with style.context():
        drawn_ = [name for name in OF_STUDIES if FIGURES[name].draw(study) is not None]
    assert "accuracy_by_passes" in drawn_
    assert all(FIGURES[name].words(study) for name in drawn_)


# --- the command ---


def test_figures_of_several_sources_each_lie_beside_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, n in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        rows.write_table(tmp_path / name / "rows.parquet", cell_rows(4, n, 0))
    monkeypatch.setattr("benchmark.environment.REFERENCE", tmp_path)
    monkeypatch.setattr("benchmark.figures.FIGURES", {name: FIGURES[name] for name in ("loss_by_passes", "rules")})
    ours, theirs = tmp_path / "b" / "figures" / "rules-t-4.png", tmp_path / "b" / "figures" / "mine.png"
    for place in (ours, theirs):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"")
    for arguments in ((), (tmp_path,), (tmp_path / "a", tmp_path / "b" / "rows.parquet")):
        done = bench("figures", *arguments)
        assert (done.code, done.err) == (0, "")
        for name in ("a", "b"):
            assert (tmp_path / name / "figures" / "loss_by_passes.svg").exists()
        assert theirs.exists() and not ours.exists()
    refused = bench("figures", tmp_path, "--out", tmp_path / "c")
    assert refused.code == 2 and "--out takes the figures of one source; given 2" in refused.err
    assert not (tmp_path / "c").exists()


def test_settings_of_matplotlib_are_left_as_they_were(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    draw(table([cell_rows(0, 1, 0), cell_rows(4, 1, 0)]), tmp_path)
    assert dict(matplotlib.rcParams) == before


# --- what the rows allow ---


@pytest.mark.parametrize(
    ("depths", "passes", "names"),
    [
        ((4,), (1,), {"accuracy_by_passes", "loss_by_passes"}),
        (
            (4,),
            (1, 2),
            {
                "accuracy_by_passes",
                "accuracy_by_flops",
                "loss_by_passes",
                "gain_by_depth",
                "tokens_to_threshold",
            },
        ),
        ((0, 4), (1,), {"accuracy_by_depth", "accuracy_by_level", "frontier", "tokens_to_threshold"}),
        ((0, 4), (1, 2), set(OF_STUDIES) - {"accuracy_by_answer"}),
    ],
)
def test_only_what_the_rows_allow_is_drawn(depths: tuple[int, ...], passes: tuple[int, ...], names: set[str]) -> None:
    study = only(table([cell_rows(depth, n, 0) for depth in depths for n in passes]))
    with style.context():
        assert {name for name in OF_STUDIES if FIGURES[name].draw(study) is not None} == names


def test_final_scores_stand_over_the_floors_of_their_difficulty() -> None:
    cells = [cell_rows(depth, n, seed) for depth in (0, 4, 6) for n in (1, 2) for seed in (0, 1)]
    for cell in cells:
        for row in cell:
            row["question_only"] += 0.1
    study = only(table(cells))
    with style.context():
        figure = FIGURES["accuracy_by_level"].draw(study)
    assert figure is not None
    (ax,) = figure.axes
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]
    for place, depth in ((0, 0), (2, 4), (3, 6)):
        for floor in (CHANCE[depth], CHANCE[depth] + 0.1):
            assert any(y == pytest.approx([100 * floor] * 2) and min(x) < place < max(x) for x, y in drawn)
    for n in (1, 2):
        means = [study.scores_at(study.final, n, depth)["exact_match"].mean() for depth in (0, 4, 6)]
        assert any(y == pytest.approx([100 * mean for mean in means]) for _, y in drawn)
    (legend,) = figure.legends
    told = [text.get_text() for text in legend.get_texts()]
    assert told == ["N = 1", "N = 2", "chance", "question only"]  # the majority is the chance here


def test_without_any_score_nothing_is_drawn(tmp_path: Path) -> None:
    crashed = diverged(cell_rows(4, 1, 0), 4)[-1:]
    assert draw(table([crashed]), tmp_path) == []
    assert draw(table([cell_rows(4, 1, 0)]).clear(), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


# --- what is drawn ---


def test_the_map_holds_the_numbers_of_the_rows(frame: pl.DataFrame) -> None:
    drawn = texts("frontier", only(frame))
    ok = frame.filter((pl.col("status") == "ok") & pl.col("answer").is_null())
    ok = ok.filter(pl.col("step") == EVALUATIONS)
    for (_, _), cells in ok.group_by("rollout_steps", "sleep_passes"):
        found = sorted(100 * score for score in cells["exact_match"])
        assert f"{sum(found) / len(found):.1f}" in drawn
        few = "" if len(found) == 3 else f", {len(found)} of 3"
        assert f"{found[0]:.0f}–{found[-1]:.0f}{few}" in drawn
    for chance in ok["chance"].unique():
        assert f"{100 * chance:.1f}" in drawn
    assert drawn.count("not run") == 1


@pytest.mark.parametrize(
    ("found", "spread"), [((99.8, 99.9, 100.0), "99.8–100.0"), ((92.0, 96.0), "92–96"), ((100.0, 100.0), "100–100")]
)
def test_a_mean_is_within_its_range_as_they_are_written(found: tuple[float, ...], spread: str) -> None:
    ax = Figure().subplots()
    marks.tile(ax, (0, 0), found, chance=50, seeds=len(found), missing="")
    assert spread in [text.get_text() for text in ax.texts]


def test_curves_are_the_means_over_seeds(frame: pl.DataFrame) -> None:
    study = only(frame)
    for name, x in (("accuracy_by_passes", "tokens_seen"), ("accuracy_by_flops", "train_flops")):
        with style.context():
            figure = FIGURES[name].draw(study)
        assert figure is not None
        panel = figure.axes[1]
        assert panel.get_title(loc="left") == "t = 4"
        ok = frame.filter((pl.col("rollout_steps") == 4) & (pl.col("sleep_passes") == 2) & pl.col("answer").is_null())
        wanted = ok.group_by("step").agg(pl.col("exact_match").mean(), pl.col(x).first()).sort("step")
        (line,) = (li for li in panel.lines if li.get_color() == style.PASSES[2].color and li.get_marker() == "s")
        assert np.asarray(line.get_ydata()) == pytest.approx(list(100 * wanted["exact_match"]))
        ratio = list(wanted[x].to_numpy() / np.asarray(line.get_xdata()))
        assert ratio == pytest.approx([10 ** round(math.log10(ratio[0]))] * EVALUATIONS)


def test_tokens_to_a_threshold_are_where_the_line_through_tests_comes_to_it() -> None:
    frame = table([cell_rows(4, n, 0) for n in (1, 2)] + [cell_rows(10, n, 0, tokens=1_000_000) for n in (1, 2)])
    with style.context():
        figure = FIGURES["tokens_to_threshold"].draw(only(frame))
    assert figure is not None
    for ax, threshold in zip(figure.axes, (0.5, 0.8), strict=True):
        marks = [li for li in ax.lines if li.get_marker() != "None"]
        filled = [np.asarray(li.get_ydata()).item() for li in marks if li.get_markerfacecolor() != "white"]
        hollow = [li for li in marks if li.get_markerfacecolor() == "white"]
        wanted = tokens_to(only(frame).scores.filter(pl.col("depth") == 4), threshold).sort("n")
        assert filled == pytest.approx(list(wanted["tokens"] / 1e6))
        assert len(hollow) == 4 - len(filled) >= 2


@pytest.mark.parametrize("name", OF_STUDIES)
def test_failures_and_seeds_are_said_under_every_figure(name: str) -> None:
    said = " ".join(texts(name, only(table(grid(2))))).replace("\n", " ")
    assert "Left out: 1 of 3 seeds diverged at N = 4, t = 10." in said
    assert "2–3 seeds." in said
    assert "rule110, hybrid, suite passes, scale cpu" in said


def test_many_failures_are_counted_and_a_failed_place_says_so() -> None:
    cells = [cell_rows(4, n, seed) for n in (1, 2) for seed in range(3)]
    cells += [diverged(cell_rows(8, n, seed), 4) for n in (1, 2) for seed in range(3)]
    study = only(table(cells))
    assert "Left out: 3 of 3 seeds diverged at N = 1, t = 8; 3 of 3 seeds diverged at N = 2, t = 8." in study.note
    assert texts("frontier", study).count("diverged") == 2


def test_an_unfinished_cell_is_in_curves_but_not_in_final_scores() -> None:
    study = only(table([cell_rows(0, 1, 0), cell_rows(4, 1, 0), cell_rows(4, 2, 0, until=7)]))
    assert "1 cell unfinished" in study.note
    assert study.scores.filter(pl.col("n") == 2)["step"].max() == 7
    assert 2 not in set(study.final["n"])
    assert "unfinished" in texts("frontier", study)


def test_chance_is_labelled_and_differs_by_difficulty() -> None:
    drawn = texts("accuracy_by_passes", only(table(grid())))
    assert {"– – chance 50.0 %", "– – chance 53.5 %", "– – chance 54.4 %", "N = 1", "N = 4"} <= set(drawn)
    assert "– – chance 50.0–54.4 %" in texts("accuracy_by_depth", only(table(grid())))


def test_every_curve_lies_within_its_panel_also_when_budgets_differ() -> None:
    short = [cell_rows(0, n, 0, tokens=1_000_000) for n in (1, 2)]
    study = only(table([*short, *(cell_rows(10, n, 0, tokens=6_000_000) for n in (1, 2))]))
    for name in ("accuracy_by_depth", "accuracy_by_passes", "accuracy_by_flops"):
        with style.context():
            figure = FIGURES[name].draw(study)
        assert figure is not None
        for ax in figure.axes:
            for line in ax.lines:
                xs, ys = np.asarray(line.get_xydata()).T
                if len(xs) > 2:  # neither chance nor the mark of a label
                    assert ax.get_xlim()[0] == 0 and xs.max() <= ax.get_xlim()[1]
                    assert ax.get_ylim()[0] <= ys.min() and ys.max() <= ax.get_ylim()[1]


@pytest.mark.parametrize("name", OF_STUDIES)
def test_no_text_leaves_the_sheet(name: str) -> None:
    study = only(table([cell_rows(d, n, 0, answers=4) for n in (1, 2, 3, 4, 6, 8) for d in (0, 10)]))
    with style.context():
        figure = FIGURES[name].draw(study)
        assert figure is not None
        style.settle(figure)
        figure.draw_without_rendering()  # it is then that a legend places its texts
        drawn = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
        drawn += [text for ax in figure.axes for text in (*ax.texts, ax.xaxis.label, ax.yaxis.label)]
        for text in drawn:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0, text.get_text()
            assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text.get_text()


# --- settings that vary ---


def test_a_setting_that_varies_is_never_averaged_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.figures.FIGURES", {"frontier": FIGURES["frontier"]})
    cells = [(depth, n, on) for depth in (0, 4) for n in (1, 2) for on in (True, False)]
    frame = table([cell_rows(depth, n, 0, window_embedding=on) for depth, n, on in cells])
    found = studies(frame)
    assert [study.name for study in found] == ["window embedding False", "window embedding True"]
    assert all(study.scores["window_embedding"].n_unique() == 1 for study in found)
    stems = {p.stem for p in draw(frame, tmp_path)}
    assert stems == {"frontier-window-embedding-False", "frontier-window-embedding-True"}
    assert "window embedding False" in " ".join(texts("frontier", found[0]))


def test_tasks_suites_and_devices_never_share_a_figure() -> None:
    one = table([cell_rows(4, 1, 0)])
    for column, value in (("task", "other"), ("suite", "quick"), ("device", "cuda"), ("model_version", 2)):
        other = one.with_columns(pl.lit(value).cast(one[column].dtype).alias(column))
        assert len(studies(pl.concat([one, other]))) == 2


def test_passes_of_the_test_that_differ_from_training_are_apart() -> None:
    trained = cell_rows(4, 2, 0, test_passes=[1, 2])
    tested = [row | {"tested_passes": 1} for row in trained]
    assert [study.name for study in studies(table([trained + tested]))] == ["", "test passes 1"]


def test_a_training_that_draws_its_passes_has_a_row_of_its_own() -> None:
    """Beside one of the same nominal N; every N that it has met counts as trained."""

    def tested(**settings: Any) -> list[rows.Row]:
        trained = cell_rows(4, 2, 0, test_passes=[1, 2], **settings)
        return trained + [row | {"tested_passes": 1} for row in trained]

    fixed, drawn = tested(), tested(sleep_passes_drawn=[1, 2, 3])
    drawn = [row | {"cell_id": "drawn"} for row in drawn]
    (study,) = suite_studies(rows.table(fixed + drawn), ("test_passes", "sleep_passes_drawn"))
    figure = maps.trained_by_tested(study)
    assert figure is not None
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["N = 2", "N of 1–3"]
    assert len([p for p in figure.axes[0].patches if p.get_fill() is False]) == 3
    assert "trained with N of 1–3: " in maps.trained_by_tested_words(study)


def test_a_budget_that_follows_difficulty_is_said_not_split() -> None:
    study = only(table([cell_rows(0, 1, 0, tokens=1_000_000), cell_rows(4, 1, 0, tokens=6_000_000)]))
    assert "Not the same at every difficulty: tokens." in study.note


def test_other_difficulties_get_their_own_words() -> None:
    hops = [row | {"axis": "hops", "hops": 4} for row in cell_rows(4, 1, 0) + cell_rows(4, 2, 0)]
    assert "k = 4" in texts("accuracy_by_passes", only(rows.table(hops)))
    pairs = [row | {"axis": "key_pairs"} for row in cell_rows(4, 1, 0) + cell_rows(4, 2, 0)]
    assert "key pairs = 4" in texts("accuracy_by_passes", only(rows.table(pairs)))


# --- floors ---


def with_shortcuts(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that know a shortcut of 0.7 from t = 6 on, called cells_9, and a table of everything at t = 0."""
    depth = pl.col("difficulty")
    known = pl.when(depth >= 6).then(0.7).when(depth == 0).then(1.0)
    named = pl.when(depth >= 6).then(pl.lit("cells_9")).when(depth == 0).then(pl.lit("table"))
    whole = pl.col("answer").is_null() & (pl.col("status") == "ok")
    return frame.with_columns(shortcut=pl.when(whole).then(known), shortcut_name=pl.when(whole).then(named))


@pytest.mark.parametrize("name", ["accuracy_by_depth", "accuracy_by_passes", "accuracy_by_level", "frontier"])
def test_the_strongest_shortcut_is_drawn_and_named(name: str) -> None:
    plain, known = only(table(grid(2, depths=(0, 4, 6)))), only(with_shortcuts(table(grid(2, depths=(0, 4, 6)))))
    assert (known.shortcut(0), known.shortcut(4), known.shortcut(6)) == (("table", 100), None, ("cells_9", 70))
    told = " ".join(texts(name, known)).replace("\n", " ")
    assert "best known of what reads but does not compute, table at t = 0; cells_9 at t = 6" in told
    with style.context():
        drawn = {study.name or i: FIGURES[name].draw(study) for i, study in enumerate((plain, known))}
        heights = [
            [round(float(line.get_ydata()[0]), 6) for line in figure.findobj(matplotlib.lines.Line2D)
             if line.get_linestyle() != "-" and len(line.get_ydata()) == 2 and line.get_linewidth() == 0.8]
            for figure in drawn.values()
        ]  # fmt: skip
    assert "does not compute" not in " ".join(texts(name, plain))
    if name == "frontier":  # in numbers, under those of chance
        assert {"100.0", "70.0", "shortcut"} <= set(texts(name, known)) and "shortcut" not in texts(name, plain)
    else:
        assert not heights[0] and {100, 70} <= set(heights[1])


def test_a_long_name_becomes_one_that_a_file_can_have() -> None:
    long, other = "rules-" + "attn gdn " * 48, "rules-" + "attn gdn " * 47 + "attn jet"
    names = {file_name(text) for text in (long, other)}
    assert len(names) == 2 and max(map(len, names)) <= LONGEST_NAME
    assert file_name("frontier-model jet") == "frontier-model-jet"


@pytest.mark.parametrize(
    ("depths", "places"),
    [
        ((1, 2, 3), (0, 1, 2)),
        ((0, 2, 4, 5, 8), (0, 2, 4, 5, 8)),
        ((1, 2, 4, 8, 16), (0, 1, 2, 3, 4)),  # gaps that double are of one length on an axis of logarithms
        ((0, 1, 32), (0, 1, 32)),  # 0 has no logarithm
        ((7, 9), (0, 1)),
    ],
)
def test_depths_stand_where_their_values_are(depths: tuple[int, ...], places: tuple[float, ...]) -> None:
    assert list(style.axis_places(depths).values()) == pytest.approx(places)


def test_texts_of_others_are_drawn_as_they_are() -> None:
    """A name may hold what matplotlib would take for a formula, and what no file of XML may hold."""
    with style.context():
        odd = ["a $\\frac{$ b", "cost $5, $6", "x\x01y", "<b>--></b>&", "\x1b[31mred"]
        figure, (ax,) = style.sheet(title=odd[0], about=odd[1], note=odd[2], panels=1)
        ax.set_title(odd[3])
        ax.set_xlabel("FLOPs ($10^{12}$)")
        ax.set_ylabel(odd[4])
        style.settle(figure)
        ET.fromstring(style.encode(figure, "svg", title=odd[0]))
        assert [text.get_parse_math() for text in (*figure.texts, ax.xaxis.label)] == [False, False, True, True]
        assert (figure.texts[2].get_text(), ax.get_ylabel()) == ("x y", "red")
