"""Figures over whole suites, from made-up rows: what is drawn is what the rows say, and what is missing is said."""

import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmark import rows
from benchmark.figures import FIGURES, draw, style
from benchmark.figures.comparisons import RULES
from benchmark.rows.studies import studies, suite_studies

Cell = list[rows.Row]

RIVALS = (
    "sleep", "plain", "longer", "deeper", "wider", "bigger-state", "reread", "reembed", "reset-state", "wake-loop",
)  # fmt: skip
LOOPED = ("sleep", "reread", "reembed", "reset-state")
MIXERS = ("linear", "gated", "delta", "gdn", "jet", "classic", "titans")
SCORES = (
    "tested_passes",
    "difficulty",
    "answer",
    "exact_match",
    "chance",
    "lift",
    "loss",
    "tokens_seen",
    "train_flops",
)


def score_of(*facts: object) -> float:
    """A final score in 0.55 to 0.95 that belongs to these facts alone."""
    return 0.55 + 0.4 * zlib.crc32(repr(facts).encode()) / 2**32


def cell(
    suite: str, n: int, seed: int, *, depth: int = 6, levels: tuple[int, ...] = (), tested: tuple[int, ...] = (),
    answers: int = 1, axis: str = "rollout_steps", tests: int = 5, chance: float = 0.5, **settings: Any,
) -> Cell:  # fmt: skip
    """Rows of a cell of N = `n`: tested at each of `levels`, `tested` N and answers; scores rise linearly to the last.

    The last score is `score_of` (variant, layout, eviction, share, n, seed, level, tested N, answer).
    """
    budget = settings.get("tokens", 1_000_000)
    facts: rows.Row = {
        "schema_version": rows.SCHEMA_VERSION, "suite": suite, "scale": "cpu", "status": "ok", "task": "rule110",
        "task_version": 9, "model": "hybrid", "model_version": 1, "seed": seed, "axis": axis, axis: depth,
        "sleep_passes": n, "tokens": budget, "test_passes": list(tested), "test_at": list(levels), "device": "cpu",
        "split": "test", "layout": "attn gdn", "eviction": "hard", "hard_share": 0.0, "wake_passes": 1,
        "parameters": 20_000, "state_bytes": 2048,
    } | settings  # fmt: skip
    facts["cell_id"] = repr(sorted((k, v) for k, v in facts.items() if k != "status"))
    cost = facts.pop("cost", n)
    found = []
    for i in range(1, tests + 1):
        for level in levels or (depth,):
            for test in tested or (n,):
                for answer in (None, *range(answers)):
                    named = (facts.get("variant"), *(facts[c] for c in ("layout", "eviction", "hard_share")))
                    named += tuple(facts[c] for c in ("muon_lr", "adam_lr") if c in facts)
                    last = score_of(*named, n, seed, level, test, answer)
                    exact = chance + (last - chance) * i / 5
                    score = {"tested_passes": test, "difficulty": level, "answer": answer, "exact_match": exact}
                    score |= {"chance": chance, "lift": (exact - chance) / (1 - chance), "loss": 1 - exact}
                    at = {"step": i, "tokens_seen": budget * i // 5, "train_flops": 1e6 * cost * budget * i / 5}
                    found.append(facts | score | at)
    return found


def diverged(cell: Cell) -> Cell:
    """The same cell ended by a training loss that is not a number after its first test."""
    kept = [row for row in cell if row["step"] == 1]
    bare = {key: None if key in SCORES else value for key, value in kept[-1].items()}
    return [*kept, bare | {"status": "diverged", "reason": "training loss is nan", "step": 2}]


def controls(*, seeds: int = 3, **more: Any) -> list[Cell]:
    """Sleep, N = 2, and its rivals: all but the plain model at its FLOPs, each with sizes of its own."""
    cells = []
    for i, variant in enumerate(RIVALS):
        own: dict[str, Any] = {"d_model": 32 + i, "tokens": 2_000_000 if variant == "longer" else 1_000_000}
        own |= {"cost": 1 if variant in ("plain", "longer") else 2, "parameters": 20_000 + 1000 * i}
        own |= {"wake_passes": 2 if variant == "wake-loop" else 1, "state_bytes": 2048 * (1 + (i == 5))}
        for seed in range(seeds):
            cells.append(cell("controls", 2 if variant in LOOPED else 1, seed, variant=variant, **own | more))
    return cells


ROADS = {"sleep": "hybrid", "plain": "hybrid", "full-cache": "full-cache", "fid": "fid", "gist": "gist"}


def roads() -> list[Cell]:
    """Sleep and other models at its FLOPs; fid encodes anew whatever it read, full-cache keeps the most."""
    cells = []
    for i, (variant, model) in enumerate(ROADS.items()):
        costs = {"wake_flops": 1e5 * (1 + 9 * (variant == "fid")), "wake_ratio": 9.8 if variant == "fid" else None}
        costs |= {"state_bytes": 65_536 if variant == "full-cache" else 2048 - 100 * i, "tokens": 10**6 * (1 + i)}
        cells += [cell("roads", 1 + (not i), seed, variant=variant, model=model, **costs) for seed in range(3)]
    return cells


def rules() -> list[Cell]:
    every = [(mixer, n, seed) for mixer in MIXERS for n in (1, 2) for seed in range(3)]
    return [cell("rules", n, seed, layout=f"attn {mixer}") for mixer, n, seed in every]


def sliding(passes: tuple[int, ...] = (1, 2)) -> list[Cell]:
    kinds = (("hard", 0.0), ("sliding", 0.0), ("sliding", 0.33))
    return [
        cell("sliding", n, seed, eviction=eviction, hard_share=share, answers=2, chance=0.3)
        for eviction, share in kinds for n in passes for seed in range(3)
    ]  # fmt: skip


MUON, ADAM = (0.0025, 0.005, 0.01, 0.02), (1e-3, 3e-3)


def trials() -> list[Cell]:
    """Two N at four rates of Muon and two of AdamW."""
    every = [(muon, adam, n, seed) for muon in MUON for adam in ADAM for n in (1, 2) for seed in range(2)]
    return [cell("passes", n, seed, muon_lr=muon, adam_lr=adam) for muon, adam, n, seed in every]


def equal_flops() -> list[Cell]:
    """Each N at tokens and rates of its own: N passes cost N times as much, and get an N-th of the tokens."""
    return [
        cell("hops", n, seed, tokens=4_000_000 // n, muon_lr=0.01 / n, adam_lr=0.001)
        for n in (1, 2, 4) for seed in range(3)
    ]  # fmt: skip


def passes_tested() -> list[Cell]:
    return [cell("test-passes", n, seed, tested=(1, 2, 3, 4, 6, 8)) for n in (1, 2, 4) for seed in range(3)]


DISTANCES = (0, 1, 2, 4, 8, 16, 32, 64)


def retention(mixers: tuple[str, ...] = ("gdn", "delta", "linear")) -> list[Cell]:
    return [
        cell("retention", n, seed, axis="windows_after", depth=4, levels=DISTANCES, layout=f"attn {mixer}", chance=0.1,
             task="retention")
        for mixer in mixers for n in (1, 2) for seed in range(3)
    ]  # fmt: skip


FORETOLD = (0.0, 0.5, 1.0)


def foretold() -> list[Cell]:
    """What is gained by N grows with the probability p that a question is foretold."""
    return [
        [row | {"exact_match": row["exact_match"] * (0.6 + 0.1 * n * p)} for row in one]
        for p in FORETOLD for n in (1, 2, 4) for seed in range(3)
        for one in [cell("predictability", n, seed, task="depo_foretold", axis="hops", depth=4, levels=(1, 4),
                         chance=0.1667, predictability=p)]
    ]  # fmt: skip


SYSTEMS = (("sleep", 1, 1.0), ("sleep", 2, 2.0), ("sleep", 4, 4.0), ("wake-loop", 1, 1.0), ("cot", 1, 1.0))
"""Variants, their N, and FLOPs of their sleep; those that think at wake spend ten times as much there."""


def amortised() -> list[Cell]:
    """Four questions per context; later answers are of fewer examples."""
    made = [
        cell("amortisation", n, seed, variant=variant, answers=4, levels=(1, 4), axis="hops", task="depo", chance=0.1,
             sleep_flops=1e6 * asleep, wake_flops=4e5 * (1 if variant == "sleep" else 10),
             wake_passes=1 if variant == "sleep" else 4)
        for variant, n, asleep in SYSTEMS for seed in range(3)
    ]  # fmt: skip
    return [[row | {"n_examples": 100 - 10 * (row["answer"] or 0)} for row in one] for one in made]


def no_gain() -> list[Cell]:
    tasks = (("rule110", "rollout_steps", 0, 0.5, 1), ("recall", "pairs", 8, 0.0, 3), ("depo", "hops", 1, 0.1667, 3))
    return [
        cell("no-gain", n, seed, task=task, axis=axis, depth=depth, chance=chance, tokens=1_000_000 * tokens)
        for task, axis, depth, chance, tokens in tasks for n in (1, 2, 4) for seed in range(3)
    ]  # fmt: skip


SUITES: dict[str, tuple[Callable[[], list[Cell]], set[str]]] = {
    "controls": (controls, {"rivals_by_flops", "rivals_by_tokens", "rivals_final"}),
    "roads": (roads, {"rivals_by_flops", "rivals_by_tokens", "rivals_final", "roads"}),
    "rules": (rules, {"rules"}),
    "sliding": (sliding, {"evictions"}),
    "test-passes": (passes_tested, {"trained_by_tested"}),
    "retention": (retention, {"retention"}),
    "predictability": (foretold, {"accuracy_by_predictability"}),
    "amortisation": (amortised, {"amortisation", "rivals_by_flops", "rivals_by_tokens", "rivals_final"}),
    "no-gain": (no_gain, {"no_gain"}),
    "tuning": (trials, {"accuracy_by_rate"}),
    "equal-flops": (equal_flops, {"accuracy_to_equal_flops"}),
}


def table(cells: list[Cell]) -> pl.DataFrame:
    return rows.table([row for cell in cells for row in cell])


COMPARISONS = {name: entry for name, entry in FIGURES.items() if entry.by}


@pytest.fixture
def unwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are empty: their names are what counts, and rendering is slow."""
    monkeypatch.setattr(style, "encode", lambda figure, kind, **told: b"")
    monkeypatch.setattr(style, "settle", lambda figure: None)


def drawn(name: str, cells: list[Cell]) -> Figure:
    """A comparison of rows that hold one suite, settled."""
    entry = FIGURES[name]
    (whole,) = suite_studies(table(cells), entry.by or ())
    with style.context():
        figure = entry.draw(whole)
        assert figure is not None
        style.settle(figure)
        figure.draw_without_rendering()
    return figure


def texts(figure: Figure) -> str:
    """Every piece of text of a figure, a line each; notes that are wrapped in one line."""
    found = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
    return "\n".join(text.replace("\n", " ") for text in found if text)


def means(cells: list[Cell], *by: str) -> dict[Any, float]:
    """Mean final scores in percent, all answers together, by the values of columns."""
    found: dict[Any, list[float]] = {}
    for cell in cells:
        for row in cell:
            if row["status"] == "ok" and row["answer"] is None and row["step"] == 5:
                found.setdefault(tuple(row[c] for c in by), []).append(100 * row["exact_match"])
    return {key[0] if len(by) == 1 else key: sum(values) / len(values) for key, values in found.items()}


def marks(ax: Any, color: str, *, across: bool = False) -> list[tuple[float, float]]:
    """The (place, value) of the mean marks of a colour: those with an outline of their own."""
    lines = [li for li in ax.lines if li.get_color() == color and li.get_markeredgecolor() == "white"]
    spots = [(float(li.get_xdata()[0]), float(li.get_ydata()[0])) for li in lines]
    return [spot[::-1] if across else spot for spot in spots]


# --- which figures ---


@pytest.mark.usefixtures("unwritten")
@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_has_its_comparison_and_no_other(suite: str, tmp_path: Path) -> None:
    make, names = SUITES[suite]
    frame = table([cell for cell in make() if cell[0]["seed"] == 0])
    stems = {path.stem for path in draw(frame, tmp_path)}
    assert stems & COMPARISONS.keys() == names
    trained = {"accuracy_by_passes", "accuracy_by_flops", "loss_by_passes", "gain_by_depth", "tokens_to_threshold"}
    assert stems - names == (trained if suite == "test-passes" else set())  # of the study without a name


@pytest.mark.usefixtures("unwritten")
def test_without_a_comparison_every_study_has_its_figures(tmp_path: Path) -> None:
    cells = [cell("embedding", n, 0, window_embedding=on) for n in (1, 2) for on in (True, False)]
    stems = {path.stem for path in draw(table(cells), tmp_path)}
    assert {"accuracy_by_passes-window-embedding-True", "accuracy_by_passes-window-embedding-False"} <= stems


@pytest.mark.parametrize(
    ("make", "name"), [(controls, "rivals_final"), (rules, "rules"), (sliding, "evictions"), (no_gain, "no_gain")]
)
def test_a_comparison_that_would_hide_a_setting_is_not_drawn(make: Callable[[], list[Cell]], name: str) -> None:
    other = [[row | {"muon_lr": 0.02, "cell_id": row["cell_id"] + "b"} for row in cell] for cell in make()]
    cells = [[row | {"muon_lr": 0.01} for row in cell] for cell in make()]
    assert suite_studies(table(cells), FIGURES[name].by or ())
    assert suite_studies(table([*cells, *other]), FIGURES[name].by or ()) == []


def test_rates_of_its_own_leave_each_n_in_its_study_whatever_other_budgets_there_are() -> None:
    one_rate = [cell("passes", n, 0, muon_lr=0.01, tokens=10) for n in (1, 2)]
    tuned = [cell("passes", n, 0, muon_lr=0.01 * n, tokens=20) for n in (1, 2)]
    longer = [cell("passes", 1, 0, muon_lr=rate, tokens=40) for rate in (0.01, 0.02)]
    found = {
        study.name: study.final["n"].unique().sort().to_list() for study in studies(table([*one_rate, *tuned, *longer]))
    }
    assert found == {
        "tokens 10": [1, 2],
        "tokens 20": [1, 2],
        "muon lr 0.01, tokens 40": [1],
        "muon lr 0.02, tokens 40": [1],
    }


def test_only_rival_figures_show_variants() -> None:
    two = [c for c in controls() if c[0]["variant"] in ("sleep", "deeper")]
    deeper = [[row | {"layout": "attn gdn attn gdn"} if row["variant"] == "deeper" else row for row in c] for c in two]
    assert suite_studies(table(deeper), ("layout",)) == []
    assert len(suite_studies(table(deeper), ("variant",))) == 1


def test_suites_and_tasks_are_apart(tmp_path: Path) -> None:
    both = [*rules(), *([row | {"task": "depo", "cell_id": row["cell_id"] + "d"} for row in c] for c in rules())]
    assert [whole.name for whole in suite_studies(table(both), ("layout",))] == ["task depo", "task rule110"]
    assert suite_studies(table([]), ("layout",)) == []


# --- rivals ---


@pytest.mark.parametrize(("name", "x"), [("rivals_by_flops", "train_flops"), ("rivals_by_tokens", "tokens_seen")])
def test_a_curve_per_variant_with_its_name_at_its_end(name: str, x: str) -> None:
    cells = controls()
    figure = drawn(name, cells)
    (ax,) = figure.axes
    ends = {text.get_text(): text for text in ax.texts}
    assert set(ends) == {*RIVALS, "wake-loop †"} - {"wake-loop"}
    curves = {li.get_color(): li for li in ax.lines if len(li.get_xdata()) == 5 and li.get_marker() != "None"}
    wanted = means(cells, "variant")
    for variant in RIVALS:
        text = ends["wake-loop †" if variant == "wake-loop" else variant]
        curve = curves[text.get_color()]
        assert curve.get_ydata()[-1] == pytest.approx(wanted[variant])
        last = max(row[x] for cell in cells for row in cell if row["variant"] == variant)
        assert curve.get_xdata()[-1] == pytest.approx(last / (1e12 if x == "train_flops" else 1e6))
    assert len({text.get_color() for text in ends.values()}) == len(RIVALS)
    assert ends["sleep"].get_color() == style.PASSES[2].color and ends["plain"].get_color() == style.PASSES[1].color
    assert ends["sleep"].get_fontweight() == "bold" and ends["plain"].get_fontweight() == "normal"
    assert curves[ends["sleep"].get_color()].get_linewidth() > 2 * curves[ends["wider"].get_color()].get_linewidth()
    assert "breaks the latency constraint" in texts(figure)


def test_rivals_are_sorted_by_mean_and_show_what_they_cost() -> None:
    cells = controls()
    figure = drawn("rivals_final", cells)
    (ax,) = figure.axes
    names = [label.get_text().removesuffix(" †") for label in ax.get_yticklabels()]
    wanted = means(cells, "variant")
    assert names == sorted(RIVALS, key=lambda name: wanted[name])
    for place, name in enumerate(names):
        marked = [
            v for color in {li.get_color() for li in ax.lines} for p, v in marks(ax, color, across=True) if p == place
        ]
        assert marked == pytest.approx([wanted[name]])
    told = texts(figure)
    assert "0.50×" in told and "1.00×" in told and "4,096" in told and "20k" in told and "29k" in told
    (bold,) = (label.get_text() for label in ax.get_yticklabels() if label.get_fontweight() == "bold")
    assert bold == "sleep"
    assert not {"cache", "time"} & set(told.splitlines())  # these rows count neither
    counted = texts(drawn("rivals_final", controls(cache_bytes=1792, wall_s=63.0)))
    assert {"cache", "1,792", "time", "63 s"} <= set(counted.splitlines())


def test_roads_stand_where_they_are_right_and_what_they_take_and_keep() -> None:
    cells = roads()
    (ax,) = drawn("roads", cells).axes
    wanted, at = means(cells, "variant"), {}
    for points in ax.collections:
        ((x, y),) = points.get_offsets().tolist()
        name = next(name for name in ROADS if wanted[name] == pytest.approx(y))
        at[name] = x, points.get_sizes()[0], len(points.get_facecolors())
    assert at.keys() == ROADS.keys()
    assert {name: x for name, (x, *_) in at.items()} == {name: 1e6 if name == "fid" else 1e5 for name in ROADS}
    assert max(at, key=lambda name: at[name][1]) == "full-cache", "what keeps the most is the largest"
    assert [name for name, (*_, filled) in at.items() if not filled] == ["fid"], "what is late is hollow"
    names = [text.get_text() for text in sorted(ax.texts, key=lambda text: text.xyann[1])]
    assert names == [f"{name}{' †' * (name == 'fid')}" for name in sorted(ROADS, key=lambda name: wanted[name])]


def test_rivals_of_one_model_are_no_roads() -> None:
    assert FIGURES["roads"].draw(suite_studies(table(controls(wake_flops=1e5)), ("variant",))[0]) is None


def test_rivals_that_failed_are_unfinished_or_have_fewer_seeds_are_said() -> None:
    cells = [diverged(c) if c[0]["variant"] == "longer" else c for c in controls()]
    cells = [c[:-2] if c[0]["variant"] == "wider" else c for c in cells]
    cells = [c for c in cells if c[0]["variant"] != "deeper" or c[0]["seed"] == 0]
    said = texts(drawn("rivals_final", cells))
    assert "Left out: 3 of 3 seeds diverged at longer, N = 1, t = 6." in said
    assert "1–3 seeds." in said and "3 cells unfinished" in said
    assert {"diverged", "unfinished", "longer", "wider"} <= set(said.splitlines())


def test_a_panel_per_difficulty_with_the_rivals_in_one_order() -> None:
    every = controls(task="depo", axis="hops", levels=(1, 2, 3, 4))
    cells = [[{key: value for key, value in row.items() if key != "hops"} for row in c] for c in every]
    figure = drawn("rivals_final", cells)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["k = 1", "k = 2", "k = 3", "k = 4"]
    wanted = means(cells, "variant")
    names = [label.get_text().removesuffix(" †") for label in figure.axes[0].get_yticklabels()]
    assert names == sorted(RIVALS, key=lambda name: wanted[name])
    at_three = means(cells, "variant", "difficulty")
    (mark,) = marks(figure.axes[2], style.PASSES[2].color, across=True)
    assert mark == pytest.approx((names.index("sleep"), at_three["sleep", 3]))


def test_a_variant_of_several_n_is_a_line_for_each() -> None:
    cells = [*controls(seeds=1), cell("controls", 4, 0, variant="sleep", d_model=32, cost=4)]
    ends = {text.get_text(): text.get_color() for text in drawn("rivals_by_flops", cells).axes[0].texts}
    assert ends["sleep, N = 2"] == style.PASSES[2].color and ends["sleep, N = 4"] == style.PASSES[4].color


# --- the other suites ---


def test_rules_stand_with_each_n_in_its_colour() -> None:
    cells = [c for c in rules() if (c[0]["layout"], c[0]["sleep_passes"]) != ("attn jet", 1)]
    cells = [diverged(c) if (c[0]["layout"], c[0]["sleep_passes"]) == ("attn titans", 2) else c for c in cells]
    figure = drawn("rules", cells)
    (ax,) = figure.axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert {"Gated DeltaNet", "DeltaNet", "Jet", "linear attention"} < set(names)
    by_rule, wanted = means(cells, "layout"), means(cells, "layout", "sleep_passes")
    assert names == [RULES[layout.split()[1]] for layout in sorted(by_rule, key=lambda layout: by_rule[layout])]
    for n in (1, 2):
        values = {round(place): value for place, value in marks(ax, style.PASSES[n].color, across=True)}
        assert values[names.index("Gated DeltaNet")] == pytest.approx(wanted["attn gdn", n])
        assert len(values) == len(MIXERS) - 1
    said = texts(figure)
    assert {"not run", "diverged", "N = 1", "N = 2"} <= set(said.splitlines())
    assert "3 of 3 seeds diverged at attn titans, N = 2, t = 6" in said


def test_layouts_with_the_same_rules_keep_their_own_names() -> None:
    """As short as they repeat: of 48 blocks a name beside the marks would leave no room for these."""
    layouts = ("attn gdn", "attn gdn " * 24, "attn gdn gdn gdn", "attn gdn gdn " * 9 + "gdn")
    cells = [cell("rules", 1, 0, layout=layout.strip()) for layout in layouts]
    names = {label.get_text() for label in drawn("rules", cells).axes[0].get_yticklabels()}
    assert names == {"attn gdn", "(attn gdn) × 24", "attn gdn × 3", "attn gdn × 2 attn gdn … (layout 3)"}


def test_evictions_have_a_panel_per_answer() -> None:
    cells = [c for c in sliding() if not (c[0]["hard_share"] and c[0]["sleep_passes"] == 2 and c[0]["seed"] > 0)]
    figure = drawn("evictions", cells)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["all answers", "answer 1", "answer 2"]
    for ax, answer in zip(figure.axes, (None, 0, 1), strict=True):
        assert [label.get_text() for label in ax.get_xticklabels()] == ["hard", "sliding", "sliding,\ntwo stages"]
        for n in (1, 2):
            drawn_ = {round(place): value for place, value in marks(ax, style.PASSES[n].color)}
            for place, (eviction, share) in enumerate((("hard", 0.0), ("sliding", 0.0), ("sliding", 0.33))):
                own = [
                    100 * row["exact_match"] for c in cells for row in c
                    if (row["eviction"], row["hard_share"], row["sleep_passes"]) == (eviction, share, n)
                    and row["answer"] == answer and row["step"] == 5
                ]  # fmt: skip
                assert drawn_[place] == pytest.approx(np.mean(own))
    said = texts(figure)
    assert "Two stages: for 33 % of the steps" in said and "1–3 seeds." in said


def test_evictions_of_one_answer_have_a_panel_per_difficulty() -> None:
    kinds = (("hard", 0.0), ("sliding", 0.0))
    cells = [cell("sliding", n, 0, depth=t, eviction=e, hard_share=s) for e, s in kinds for n in (1, 4) for t in (2, 5)]
    figure = drawn("evictions", cells)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["t = 2", "t = 5"]
    assert "Two stages" not in texts(figure)


def test_the_map_of_trained_by_tested_n_outlines_what_was_tested_as_trained() -> None:
    cells = [c for c in passes_tested() if c[0]["sleep_passes"] != 4 or c[0]["seed"] == 0]
    cells = [diverged(c) if c[0]["sleep_passes"] == 1 else c for c in cells]
    figure = drawn("trained_by_tested", cells)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "3", "4", "6", "8"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["N = 1", "N = 2", "N = 4"]
    at = {
        (round(text.get_position()[0]), round(text.get_position()[1])): text.get_text()
        for text in ax.texts
        if "." in text.get_text()
    }
    wanted = means(cells, "sleep_passes", "tested_passes")
    for i, test in enumerate((1, 2, 3, 4, 6, 8)):
        for j, n in ((1, 2), (2, 4)):
            assert at[i, j] == f"{wanted[n, test]:.1f}"
    said = texts(figure).splitlines()
    assert said.count("diverged") == 6 and said.count("1 of 3 seeds") == 6
    outlined = [p for p in ax.patches if isinstance(p, Rectangle) and not p.get_fill()]
    assert sorted((round(p.get_x() + 0.47), round(p.get_y() + 0.47)) for p in outlined) == [(0, 0), (1, 1), (3, 2)]


def test_a_failed_cell_is_in_no_study_of_its_tests() -> None:
    cells = [diverged(c) if (c[0]["sleep_passes"], c[0]["seed"]) == (2, 1) else c for c in passes_tested()]
    found = studies(table(cells))
    assert {study.name for study in found} == {"", *(f"test passes {n}" for n in (1, 2, 3, 4, 6, 8))}
    for study in found:
        assert set(study.scores.filter(pl.col("n") == 2)["seed"]) <= {0, 2}
        if study.name not in ("test passes 2",):
            assert "Left out: 1 of 3 seeds diverged at N = 2, t = 6." in study.note


def test_retention_falls_along_the_distances_that_were_tested() -> None:
    cells = retention()
    figure = drawn("retention", cells)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["linear attention", "DeltaNet", "Gated DeltaNet"]
    wanted = means(cells, "layout", "sleep_passes", "difficulty")
    for ax, layout in zip(figure.axes, ("attn linear", "attn delta", "attn gdn"), strict=True):
        for n in (1, 2):
            (curve,) = (li for li in ax.lines if li.get_color() == style.PASSES[n].color)
            assert list(curve.get_xdata()) == list(DISTANCES)
            assert list(curve.get_ydata()) == pytest.approx([wanted[layout, n, at] for at in DISTANCES])
        assert [list(li.get_xdata()) for li in ax.lines].count([4, 4]) == 1  # the distance of training
        assert [label.get_text() for label in ax.get_xticklabels()] == [str(at) for at in DISTANCES]


def test_distances_of_training_are_panels_of_their_own() -> None:
    near = retention(("gdn",))
    far = [[row | {"windows_after": 8, "cell_id": row["cell_id"] + "far"} for row in c] for c in near]
    figure = drawn("retention", near + far)
    at = [[li.get_xdata()[0] for li in ax.lines if len(set(li.get_xdata())) == 1] for ax in figure.axes]
    assert at == [[4], [8]]
    assert len(studies(table(near + far))) == 2  # and not one of means over both


def test_a_curve_per_n_along_the_probability_that_a_question_is_foretold() -> None:
    cells = foretold()
    figure = drawn("accuracy_by_predictability", cells)
    wanted = means(cells, "difficulty", "sleep_passes", "predictability")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["k = 1", "k = 4"]
    for ax, depth in zip(figure.axes, (1, 4), strict=True):
        for n in (1, 2, 4):
            (curve,) = (li for li in ax.lines if li.get_color() == style.PASSES[n].color)
            assert list(curve.get_xdata()) == pytest.approx(FORETOLD, abs=0.03)
            assert list(curve.get_ydata()) == pytest.approx([wanted[depth, n, p] for p in FORETOLD])
        assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "0.5", "1"]
    (whole,) = suite_studies(table(cells), ("predictability",))
    ends = [f"{wanted[4, 2, p]:.1f} %" for p in (0.0, 1.0)]
    assert f"N = 2: {' to '.join(ends)}" in FIGURES["accuracy_by_predictability"].words(whole)


def test_questions_share_a_sleep_and_each_pays_for_its_prediction() -> None:
    cells = amortised()
    figure = drawn("amortisation", cells)
    cost, *exact = figure.axes
    curves = [li for li in cost.lines if len(li.get_xdata()) == 4]
    wanted = {tuple(1e6 * a / q + (1e5 if v == "sleep" else 1e6) for q in (1, 2, 3, 4)) for v, _, a in SYSTEMS}
    assert {tuple(li.get_ydata()) for li in curves} == wanted and len(curves) == len(SYSTEMS)
    assert all(list(li.get_xdata()) == [1, 2, 3, 4] for li in curves)
    for ax, depth in zip(exact, (1, 4), strict=True):
        shares = set()
        for variant, n, _ in SYSTEMS:
            mine = [row for one in cells for row in one if (row["variant"], row["sleep_passes"]) == (variant, n)]
            mine = [row for row in mine if (row["step"], row["difficulty"]) == (5, depth) and row["answer"] is not None]
            along = []
            for asked in (1, 2, 3, 4):
                first = [(row["exact_match"], row["n_examples"]) for row in mine if row["answer"] < asked]
                along.append(round(100 * sum(e * w for e, w in first) / sum(w for _, w in first), 6))
            shares.add(tuple(along))
        found = {tuple(np.round(li.get_ydata(), 6)) for li in ax.lines if len(li.get_xdata()) == 4}
        assert found == shares and len(shares) == len(SYSTEMS)


def test_tasks_that_need_no_sleep_have_a_panel_each() -> None:
    cells = no_gain()
    figure = drawn("no_gain", cells)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["depo, k = 1", "recall, pairs = 8", "rule110, t = 0"]
    wanted = means(cells, "task", "sleep_passes")
    for ax, task in zip(figure.axes, ("depo", "recall", "rule110"), strict=True):
        ends = {text.get_color(): text.get_text() for text in ax.texts}
        assert ends == {style.PASSES[n].color: f"{wanted[task, n]:.1f}" for n in (1, 2, 4)}
    assert "depo + recall + rule110, hybrid, suite no-gain, scale cpu" in texts(figure)


def test_trials_show_the_better_rate_of_adamw() -> None:
    cells = trials()
    (ax,) = drawn("accuracy_by_rate", cells).axes
    wanted = means(cells, "sleep_passes", "muon_lr", "adam_lr")
    for n in (1, 2):
        (curve,) = (li for li in ax.lines if li.get_color() == style.PASSES[n].color and li.get_marker() != ".")
        assert list(curve.get_xdata()) == list(MUON)
        assert list(curve.get_ydata()) == pytest.approx([max(wanted[n, muon, adam] for adam in ADAM) for muon in MUON])
        (dots,) = (li for li in ax.lines if li.get_color() == style.PASSES[n].color and li.get_marker() == ".")
        assert len(dots.get_xdata()) == len(MUON) * len(ADAM) * 2
    assert "Rates of AdamW: 0.001, 0.003." in texts(drawn("accuracy_by_rate", cells))


def test_curves_to_equal_flops_end_at_the_same_place() -> None:
    cells = equal_flops()
    (ax,) = drawn("accuracy_to_equal_flops", cells).axes
    wanted = means(cells, "sleep_passes")
    for n in (1, 2, 4):
        ends = [(li.get_xdata()[-1], li.get_ydata()[-1]) for li in ax.lines if li.get_color() == style.PASSES[n].color]
        assert any(end == pytest.approx((4, wanted[n])) for end in ends), "4e12 FLOPs"


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("equal tokens", [cell("hops", n, 0, muon_lr=0.01, adam_lr=0.001) for n in (1, 2)]),
        (
            "unequal FLOPs",
            [cell("hops", n, 0, tokens=t, muon_lr=0.01, adam_lr=0.001) for n, t in ((1, 4000), (2, 3000))],
        ),
        ("two budgets of an N", [*equal_flops(), cell("hops", 1, 0, tokens=2_000_000, muon_lr=0.01, adam_lr=0.001)]),
        ("two rates of an N", [*equal_flops(), cell("hops", 1, 0, tokens=4_000_000, muon_lr=0.02, adam_lr=0.001)]),
    ],
)
def test_curves_to_other_flops_are_none(name: str, cells: list[Cell]) -> None:
    entry = FIGURES["accuracy_to_equal_flops"]
    wholes = suite_studies(table(cells), entry.by or ())
    assert wholes and not any(map(entry.draw, wholes)), name


# --- all of them ---


@pytest.mark.parametrize("name", COMPARISONS)
def test_words_for_those_who_cannot_see_it_have_numbers_of_the_rows(name: str) -> None:
    make = next(make for make, names in SUITES.values() if name in names)
    (whole,) = suite_studies(table(make()), FIGURES[name].by or ())
    said = FIGURES[name].words(whole)
    finals = [100 * float(score) for score in whole.final.filter(pl.col("answer").is_null())["exact_match"]]
    told = [float(number) for number in re.findall(r"(\d+(?:\.\d)?) %", said)]
    assert told and min(finals) - 1 <= min(told) and max(told) <= max(finals) + 1
    assert said.endswith(".") and len(said) < 900


def test_the_words_about_rivals_are_their_means() -> None:
    cells = controls()
    (whole,) = suite_studies(table(cells), ("variant",))
    said = FIGURES["rivals_final"].words(whole)
    assert all(f"{name} (N = " in said and f"{mean:.1f} %" in said for name, mean in means(cells, "variant").items())


def test_the_ceiling_is_drawn_where_the_axis_reaches_it() -> None:
    for name, make, lines in (("rules", rules, "get_xdata"), ("evictions", sliding, "get_ydata")):
        for ax in drawn(name, make()).axes:
            ceilings = [li for li in ax.lines if li.get_color() == style.CEILING_LINE["color"]]
            assert [set(getattr(li, lines)()) for li in ceilings] == [{100}]


@pytest.mark.parametrize("name", COMPARISONS)
def test_no_text_leaves_the_sheet(name: str) -> None:
    make = next(make for make, names in SUITES.values() if name in names)
    figure = drawn(name, make())
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    found += [text for ax in figure.axes for text in (*ax.texts, ax.xaxis.label, ax.yaxis.label, *ax.get_yticklabels())]
    for text in found:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0, text.get_text()
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text.get_text()
    for ax in figure.axes:  # a panel's name and its chance side by side
        left, right = (getattr(ax, side).get_window_extent() for side in ("_left_title", "_right_title"))
        assert left.x1 < right.x0 or not ax.get_title(loc="right")


@pytest.mark.parametrize("name", COMPARISONS)
def test_one_seed_has_no_ranges(name: str) -> None:
    make = next(make for make, names in SUITES.values() if name in names)
    said = texts(drawn(name, [cell for cell in make() if cell[0]["seed"] == 0]))
    assert "1 seed." in said and "lowest to highest" not in said
