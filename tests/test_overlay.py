"""The paper's points in figures: there where task, axis, difficulty and metric are the same, nowhere else."""

from collections.abc import Callable
from typing import Any

import matplotlib
import polars as pl
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark import rows
from benchmark.figures import comparisons, curves, finals, overlay, style
from benchmark.judge import paper
from benchmark.rows.studies import Study, studies, suite_studies

Draw = Callable[[Study], Figure | None]


def planted(
    task: str, axis: str, depths: tuple[int, ...], passes: tuple[int, ...] = (1, 2), **settings: Any
) -> list[rows.Row]:
    """Rows of cells that were tested at two steps at each difficulty."""
    found = []
    for n in passes:
        for depth in depths:
            for seed in (0, 1):
                facts = {
                    "schema_version": rows.SCHEMA_VERSION, "suite": "made", "scale": "paper", "status": "ok",
                    "cell_id": f"{n}-{depth}-{seed}-{settings}", "task": task, "task_version": 9, "model": "hybrid",
                    "model_version": 1, "seed": seed, "axis": axis, axis: depth, "difficulty": depth,
                    "sleep_passes": n, "tested_passes": n, "test_passes": [], "tokens": 2000, "device": "cpu",
                    "split": "test", "eviction": "hard", "chance": 0.1, "majority": 0.1, "question_only": 0.1,
                }  # fmt: skip
                for step in (1, 2):
                    exact = 0.2 + 0.1 * step + 0.01 * n
                    found.append(
                        facts | settings | {
                            "step": step, "tokens_seen": 1000 * step, "train_flops": 1e6 * n * step, "answer": None,
                            "exact_match": exact, "lift": (exact - 0.1) / 0.9, "loss": 1 - exact,
                        }
                    )  # fmt: skip
    return found


def drawn(draw: Draw, found: list[rows.Row], by: tuple[str, ...] = ()) -> Figure:
    """The figure of the one study in rows, settled."""
    frame = rows.table(found)
    (study,) = suite_studies(frame, by) if by else studies(frame)
    with style.context():
        figure = draw(study)
        assert figure is not None
        style.settle(figure)
        figure.draw_without_rendering()
    return figure


def hollow(figure: Figure) -> list[Line2D]:
    """The paper's marks."""
    return [li for ax in figure.axes for li in ax.lines if li.get_markerfacecolor() == "white"]


def heights(figure: Figure, color: str) -> list[float]:
    return sorted(float(li.get_ydata()[0]) for li in hollow(figure) if li.get_color() == color)  # type: ignore[index,arg-type]


def said(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def of_paper(task: str, **more: Any) -> pl.DataFrame:
    """The paper's points as its file has them."""
    found = paper.points().filter(pl.col("task") == task)
    for column, value in more.items():
        found = found.filter(pl.col(column).is_null() if value is None else pl.col(column) == value)
    return found


def test_rule_110_at_32_steps_has_the_points_of_figure_2b_in_the_colours_of_their_n() -> None:
    figure = drawn(curves.accuracy_by_passes, planted("rule110", "rollout_steps", (8, 32), passes=(1, 2, 3, 4)))
    printed = of_paper("rule110", difficulty=32, metric="exact_match")
    assert printed.height >= 4
    for n in (1, 2, 3, 4):
        of_n = printed.filter(pl.col("sleep_passes") == n)["value"]
        assert heights(figure, style.PASSES[n].color) == pytest.approx(sorted(100 * of_n))
    panels = {ax.get_title(loc="left"): len([li for li in ax.lines if li in hollow(figure)]) for ax in figure.axes}
    assert panels == {"t = 8": 0, "t = 32": printed.height}
    note = said(figure)
    assert "the paper's Figure 2b (gdn-hybrid 4 blocks d=256, hard eviction, L=24)" in note
    assert "read off its text, which rounds" in note
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][-1] == "the paper's"


def test_word_problems_have_both_models_and_grey_where_n_is_not_said() -> None:
    figure = drawn(finals.accuracy_by_level, planted("gsm_infinite", "operations", (2, 4, 6, 8), passes=(1, 4)))
    printed = of_paper("gsm_infinite").filter(pl.col("figure").is_in(["4a", "4b"]))
    assert len(hollow(figure)) == printed.height
    unsaid = printed.filter(pl.col("sleep_passes").is_null())["value"]
    assert len(unsaid) and heights(figure, style.GREY) == pytest.approx(sorted(100 * unsaid))
    for n in (1, 4, 6):
        values = printed.filter(pl.col("sleep_passes") == n)["value"]
        assert heights(figure, style.PASSES[n].color) == pytest.approx(sorted(100 * values))
    note = said(figure)
    assert "grey: it does not say which N" in note
    assert all(f"Figure {name} ({model})" in note for name, model in printed.select("figure", "model").rows())
    at = {round(float(li.get_xdata()[0])): {*()} for li in hollow(figure)}  # type: ignore[index,arg-type]
    assert set(at) == {0, 1, 2, 3}


def test_points_under_another_eviction_are_left_out_and_shown_in_the_figure_of_evictions() -> None:
    hard, sliding = (
        planted("gsm_infinite", "operations", (2, 8), passes=(1, 4), eviction=kind, hard_share=0.0)
        for kind in ("hard", "sliding")
    )
    of_sliding = drawn(finals.accuracy_by_level, sliding)
    assert "Figure 5" in said(of_sliding) and "Figure 4" not in said(of_sliding)
    both = drawn(comparisons.evictions, hard + sliding, ("eviction", "hard_share"))
    printed = of_paper("gsm_infinite").filter(pl.col("difficulty").is_in([2, 8]))
    assert len(hollow(both)) == printed.height
    for place, figures in ((0, ["4a", "4b"]), (1, ["5"])):
        there = [li for li in hollow(both) if round(float(li.get_xdata()[0]) - 0.2) == place]  # type: ignore[index,arg-type]
        assert len(there) == printed.filter(pl.col("figure").is_in(figures)).height


@pytest.mark.parametrize(
    ("task", "axis", "depths"),
    [
        ("rule110", "rollout_steps", (4, 8)),
        ("rule110", "hops", (32, 33)),
        ("gsm_compact", "operations", (2, 4, 6, 8)),
        ("gsm_infinite", "operations", (1, 3)),
    ],
)
def test_without_the_same_task_axis_and_difficulty_nothing_is_drawn(
    task: str, axis: str, depths: tuple[int, ...]
) -> None:
    found = planted(task, axis, depths)
    for draw in (curves.accuracy_by_passes, finals.accuracy_by_level):
        figure = drawn(draw, found)
        assert hollow(figure) == []
        assert "the paper's" not in said(figure)


def test_another_metric_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    other = paper.points().with_columns(metric=pl.lit("loss"))
    monkeypatch.setattr(paper, "points", lambda: other)
    (study,) = studies(rows.table(planted("rule110", "rollout_steps", (8, 32))))
    assert overlay.points(study).is_empty()
    assert overlay.note(overlay.points(study)) == ""


def test_no_text_of_a_full_figure_leaves_the_sheet() -> None:
    every = planted("gsm_infinite", "operations", tuple(range(1, 9)), passes=(1, 2, 4, 6))
    for draw in (curves.accuracy_by_passes, finals.accuracy_by_level):
        figure = drawn(draw, every)
        for text in figure.findobj(matplotlib.text.Text):
            box = text.get_window_extent()
            if text.get_text() and text.get_visible() and all(ax.get_visible() for ax in [text.axes] if ax):
                assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 + 1, text.get_text()
