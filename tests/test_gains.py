"""Gains of N over 1: paired by seed, with the interval of `judge.statistics`, at equal tokens and equal FLOPs."""

import matplotlib
import numpy as np
import polars as pl
import pytest
from test_tables import cell

from benchmark import rows
from benchmark.figures import style
from benchmark.figures.gains import EQUAL_FLOPS, EQUAL_TOKENS, gain_by_depth, gains
from benchmark.judge import statistics
from benchmark.rows.studies import Study, studies


def study(*cells: list[rows.Row], examples: int = 2048) -> Study:
    """The one study of cells, all tested on as many examples."""
    found = [row | {"n_examples": examples, "loss": 0.1} for of_cell in cells for row in of_cell]
    (only,) = studies(rows.table(found))
    return only


@pytest.fixture
def made() -> Study:
    """Two depths, N in {1, 2, 4}, three seeds; N = 4 has no seed 2."""
    found = []
    for depth in (3, 5):
        for seed in range(3):
            found.append(cell(1, seed, [0.5, 0.5, 0.5, 0.5 + 0.05 * seed], depth=depth))
            found.append(cell(2, seed, [0.5, 0.6 + 0.01 * seed, 0.8, 0.9 - 0.02 * seed], depth=depth))
        found += [cell(4, seed, [0.55, 0.7, 0.8, 0.9], depth=depth) for seed in range(2)]
    return study(*found)


def test_gains_are_paired_differences_at_the_end_of_training(made: Study) -> None:
    found = {(gain.n, gain.depth): gain for gain in gains(made)[EQUAL_TOKENS]}
    assert set(found) == {(n, depth) for n in (2, 4) for depth in (3, 5)}
    wanted = statistics.paired_contrast([0.5, 0.55, 0.6], [0.9, 0.88, 0.86], examples=2048)
    assert str(found[2, 5].share) == str(wanted.difference)
    assert found[2, 5].points[0] == pytest.approx(33.0) and found[2, 5].seeds == 3 and found[2, 5].clear
    assert found[4, 3].seeds == 2 and found[4, 3].points[0] == pytest.approx(37.5)


def test_at_equal_flops_a_dearer_n_is_taken_where_its_compute_is_spent(made: Study) -> None:
    found = {(gain.n, gain.depth): gain for gain in gains(made)[EQUAL_FLOPS]}
    assert found[2, 3].points[0] == pytest.approx(100 * (np.mean([0.6, 0.61, 0.62]) - np.mean([0.5, 0.55, 0.6])))
    assert found[4, 3].points[0] == pytest.approx(100 * (0.55 - 0.525))


def test_one_seed_has_no_interval() -> None:
    one = study(cell(1, 0, [0.5] * 4), cell(2, 0, [0.6] * 4))
    (gain,) = gains(one)[EQUAL_TOKENS]
    assert not gain.has_interval and not gain.clear and gain.points[0] == pytest.approx(10)
    figure = drawn(one)
    assert "One seed: no interval" in said(figure)
    assert all(len(ax.collections) == 0 for ax in figure.axes)


def drawn(of: Study) -> matplotlib.figure.Figure:
    with style.context():
        figure = gain_by_depth(of)
        assert figure is not None
        style.settle(figure)
        figure.draw_without_rendering()
    return figure


def said(figure: matplotlib.figure.Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def test_the_figure_draws_every_gain_with_its_interval_around_a_zero_line(made: Study) -> None:
    figure = drawn(made)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [EQUAL_TOKENS, EQUAL_FLOPS]
    for ax, found in zip(figure.axes, gains(made).values(), strict=True):
        marked = sorted(float(li.get_ydata()[0]) for li in ax.lines if li.get_marker() != "None")  # type: ignore[index,arg-type]
        assert marked == pytest.approx(sorted(gain.points[0] for gain in found))
        assert any(list(li.get_ydata()) == [0, 0] for li in ax.lines)
        spans = [segment[:, 1] for lines in ax.collections for segment in lines.get_segments()]  # type: ignore[attr-defined]
        assert np.array(sorted(map(tuple, spans))) == pytest.approx(np.array(sorted(g.points[1:] for g in found)))
        low, high = ax.get_ylim()
        assert low < min(map(min, spans)) and max(map(max, spans)) < high
    strong = {li.get_color() for li in figure.axes[0].lines if li.get_marker() != "None"}
    assert style.PASSES[2].color in strong  # its interval leaves out 0
    assert "95 % interval" in said(figure) and "pale: it holds 0" in said(figure) and "2–3 seeds" in said(figure)


def test_a_gain_that_is_not_clear_is_pale() -> None:
    noisy = study(*(cell(n, s, [0.5, 0.5, 0.5, 0.5 + 0.2 * (s == n - 1)]) for n in (1, 2) for s in range(3)))
    (gain,) = gains(noisy)[EQUAL_TOKENS]
    assert gain.has_interval and not gain.clear
    (mark,) = (li for li in drawn(noisy).axes[0].lines if li.get_marker() == style.PASSES[2].marker)
    assert mark.get_color() != style.PASSES[2].color


def test_without_n_of_1_or_tested_otherwise_there_is_no_such_figure() -> None:
    for cells in (
        [cell(2, 0, [0.5] * 4), cell(4, 0, [0.5] * 4)],
        [cell(1, 0, [0.5] * 2), cell(2, 0, [0.5] * 4)],  # unfinished
        [cell(n, 0, [0.5] * 4, tested_passes=3) for n in (1, 2)],
    ):
        assert gain_by_depth(study(*cells)) is None


def test_seeds_without_a_partner_are_left_out() -> None:
    apart = study(cell(1, 0, [0.5] * 4), cell(2, 1, [0.9] * 4))
    assert gains(apart)[EQUAL_TOKENS] == []
    assert pl.DataFrame(apart.final).height
