"""What a model costs by N and window: counts by hand and against the cells', the clock's rules, the command."""

import csv
import itertools
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from harness import bench

import baselines
from baselines.base import Model, ModelConfig, State
from baselines.hybrid import MIXERS, Hybrid
from baselines.presets import FullCache, LoopedHybrid, PureSSM, SlidingHybrid, Transformer
from benchmark.cells.cell import Cell, Training, parse_setting
from benchmark.cells.cost import cost
from benchmark.figures import cost_figure, style
from benchmark.measure import cost_counts, cost_tables, latency
from benchmark.measure.cost_tables import CONTEXT
from benchmark.measure.latency import VOCABULARY, counts, measure
from tasks.rule110 import Rule110

SIZES: dict[str, Any] = {"d_model": 8, "heads": 2, "mlp_ratio": 1}
HYBRID = Hybrid(layout="attn gdn", **SIZES)
SLIDING = SlidingHybrid(layout="attn gdn", **SIZES)
FULL = FullCache(layout="attn attn", **SIZES)
TOKEN_BYTES = 2 * 8 * 4  # key and value of width 8 in fp32, per attention block


@dataclass(frozen=True, kw_only=True)
class Foreign(ModelConfig):
    """A model of someone else: attention unknown to this project, a state with a field of its own."""

    name: ClassVar[str] = "foreign"
    version: ClassVar[int] = 1

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        return ForeignModel(vocab_size)


@dataclass(frozen=True, kw_only=True)
class Diary(State):
    """A state with a page of three numbers."""

    page: torch.Tensor


class ForeignModel(Model):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.table = torch.nn.Linear(3, vocab_size)
        self.wakes = 0

    def start(self, batch: int) -> State:
        return Diary(page=torch.zeros(batch, 3))

    def sleep(self, tokens: torch.Tensor, state: State, passes: int) -> State:
        return state

    def wake(self, tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        assert isinstance(state, Diary)
        return self.table(state.page)[:, None].expand(-1, tokens.shape[1], -1), state

    @property
    def wake_passes(self) -> int:
        return 2


# What is counted


@pytest.mark.parametrize("config", [HYBRID, SLIDING, FULL], ids=lambda config: config.name)
@pytest.mark.parametrize("passes", [1, 3])
def test_counts_agree_with_a_cell_of_the_same_windows(config: ModelConfig, passes: int) -> None:
    task = Rule110(cells=5, strings=CONTEXT, rollout_steps=1)
    of_cell = cost(Cell(task=task, model=config, training=Training(tokens=1, sleep_passes=passes)))
    found = counts(config, window=task.cells, passes=passes)
    assert found.sleep_flops_per_token * CONTEXT * task.cells == pytest.approx(of_cell.sleep_flops, rel=1e-12)
    assert found.parameters == of_cell.parameters + 2 * 8 * (VOCABULARY - task.vocab_size)  # embedding and head
    assert found.fast_weight_bytes + found.kv_bytes <= of_cell.state_bytes  # a full cache holds the answers too


def test_sleep_flops_are_linear_in_passes_and_waking_knows_nothing_of_them() -> None:
    one, *more = (counts(HYBRID, window=6, passes=n) for n in (1, 2, 3, 6))
    added = more[0].sleep_flops_per_token - one.sleep_flops_per_token
    assert added > one.sleep_flops_per_token > 0  # the last pass computes no output
    for n, found in zip((2, 3, 6), more, strict=True):
        assert found.sleep_flops_per_token == one.sleep_flops_per_token + (n - 1) * added
        assert found.wake_flops_per_token == one.wake_flops_per_token > 0
        assert found.train_flops_per_token > one.train_flops_per_token
        assert (found.parameters, found.fast_weight_bytes) == (one.parameters, one.fast_weight_bytes)


def test_a_middle_loop_adds_half_a_pass() -> None:
    config = LoopedHybrid(layout="gdn gdn gdn gdn", **SIZES)

    def added(loop: str) -> float:
        one, three = (counts(replace(config, loop=loop), window=6, passes=n) for n in (1, 3))
        return three.sleep_flops_per_token - one.sleep_flops_per_token

    assert added("all") == 2 * added("middle") > 0


@pytest.mark.parametrize(
    ("config", "heads_states", "kept"),
    [
        (HYBRID, 1, 0),
        (SLIDING, 1, 6 - 1),
        (FULL, 0, 2 * CONTEXT * 6),
        (Transformer(layout="attn attn", **SIZES), 0, 0),
        (PureSSM(layout="gdn gdn", **SIZES), 2, 0),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_bytes_by_hand(config: Hybrid, heads_states: int, kept: int) -> None:
    """Fast weights are 2 heads of 4 x 4 a block; `kept` tokens' keys and values stay, over all blocks."""
    found = counts(config, window=6, passes=2)
    assert found.fast_weight_bytes == heads_states * 2 * 4 * 4 * 4
    assert found.kv_bytes == kept * TOKEN_BYTES
    assert found.window_kv_bytes == config.layout.split().count("attn") * 6 * TOKEN_BYTES
    assert found.other_state_bytes == 0


def test_bytes_are_those_of_the_model(registered: ModelConfig) -> None:
    found = counts(registered, window=4, passes=1)
    model = registered.build(vocab_size=VOCABULARY, window=4, seq_len=17)
    state = model.start(2)
    for _ in range(4):
        state = model.sleep(torch.ones(2, 4, dtype=torch.int64), state, 3)
    assert found.fast_weight_bytes + found.kv_bytes + found.other_state_bytes == model.state_bytes(state)


def test_copies_read_as_tokens_are_in_the_window() -> None:
    found = counts(replace(HYBRID, reread=True), window=6, passes=3)
    assert found.window_kv_bytes == 3 * 6 * TOKEN_BYTES


def test_a_foreign_model_is_counted_as_far_as_it_can_be() -> None:
    found = counts(Foreign(), window=5, passes=2)
    assert (found.fast_weight_bytes, found.kv_bytes, found.other_state_bytes) == (0, 0, 3 * 4)
    assert found.window_kv_bytes is None
    assert found.wake_flops_per_token == 2 * 3 * VOCABULARY
    assert found.wake_passes == 2
    assert found.breaks_latency == "2 passes per prediction"


def test_randomness_is_left_alone() -> None:
    before = torch.get_rng_state()
    measure(HYBRID, windows=[4], passes=[1], repeats=1)
    assert torch.equal(torch.get_rng_state(), before)


# What is timed


def test_every_case_is_timed_in_every_round_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[tuple[int, bool, int]] = []
    time = latency.Case.time

    def noted(case: latency.Case, *, keep: bool) -> None:
        turns.append((id(case), keep, torch.get_num_threads()))
        time(case, keep=keep)

    monkeypatch.setattr(latency.Case, "time", noted)
    before, steps = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        rows = measure(HYBRID, windows=[4, 6, 4], passes=[2, 1], repeats=3, batch=2, advance=steps.append)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert [(row["window"], row["sleep_passes"]) for row in rows] == [(4, 2), (4, 1), (6, 2), (6, 1)]
    rounds = [turns[i : i + 4] for i in range(0, len(turns), 4)]
    assert [{keep for _, keep, _ in turn} for turn in rounds] == [{False}] * latency.WARM_UP + [{True}] * 3
    assert all(len({case for case, *_ in turn}) == 4 for turn in rounds)
    assert len({tuple(case for case, *_ in turn) for turn in rounds}) > 1  # the order changes
    assert {threads for *_, threads in turns} == {1}
    assert sum(steps) == latency.steps([4, 6, 4], [2, 1], 3)


def test_quartiles() -> None:
    assert latency.quartiles("x", [5, 1, 2, 4, 3]) == {"x_s": 3, "x_q25_s": 2, "x_q75_s": 4}
    assert latency.quartiles("x", []) == {"x_s": None, "x_q25_s": None, "x_q75_s": None}


def test_times_are_ordered_and_both_clocks_ran() -> None:
    (row,) = measure(HYBRID, windows=[4], passes=[2], repeats=3)
    for what, clock in itertools.product(cost_tables.TIMED_PARTS, latency.CLOCKS):
        name = f"{what}_{clock}"
        assert 0 < row[f"{name}_q25_s"] <= row[f"{name}_s"] <= row[f"{name}_q75_s"]
    assert cost_tables.shown_clock(row) == "core"
    assert cost_tables.shown_clock(row | {"wake_core_s": None}) == "wall"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"passes": [0]}, "--sleep-passes must be a whole number >= 1; given 0"),
        ({"windows": [4, -1]}, "--windows must be a whole number >= 1; given -1"),
        ({"batch": 0}, "--batch must be a whole number >= 1; given 0"),
        ({"repeats": 0}, "--repeats must be a whole number >= 1; given 0"),
        ({"device": "cud"}, "did you mean 'cuda'"),
    ],
)
def test_impossible_measurements_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        measure(HYBRID, **({"windows": [4], "passes": [1]} | wrong))


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch finds no GPU here"):
        measure(HYBRID, windows=[4], passes=[1], device="cuda")


# What is shown


def made(window: int, passes: int, *, wake_passes: int = 1) -> latency.Row:
    """A row as `measure` writes it, with invented times: 2 ms to wake, N x L ms to sleep."""
    counted = {"parameters": 1000, "train_flops_per_token": 1.0, "sleep_flops_per_token": 1.0,
               "wake_flops_per_token": 1, "fast_weight_bytes": 4096, "kv_bytes": 0, "other_state_bytes": 0,
               "window_kv_bytes": None, "wake_passes": wake_passes,
               "breaks_latency": f"{wake_passes} passes per prediction" if wake_passes > 1 else ""}  # fmt: skip
    row = latency.describe(HYBRID, window, passes) | counted | {"batch": 1, "device": "cpu", "repeats": 3}
    for clock in latency.CLOCKS:
        row |= latency.quartiles(f"wake_{clock}", [0.002] * 3)
        row |= latency.quartiles(f"sleep_{clock}", [0.001 * passes * window] * 3)
    return row


ROWS = [made(window, passes) for window in (4, 8) for passes in (1, 2, 6)]


def test_the_figure_shows_every_number() -> None:
    with style.context():
        figure = cost_figure.cost_by_passes(ROWS)
    wake, sleep = figure.axes
    assert [list(line.get_ydata()) for line in wake.lines] == [[2.0] * 3] * 2
    assert [list(line.get_ydata()) for line in sleep.lines[::2]] == [pytest.approx([w, 2 * w, 6 * w]) for w in (4, 8)]
    assert [list(line.get_ydata()) for line in sleep.lines[1::2]] == [pytest.approx([w, 2 * w, 6 * w]) for w in (4, 8)]
    assert (sleep.get_xscale(), sleep.get_yscale(), wake.get_ylim()[0]) == ("log", "log", 0)
    assert wake.get_title("right") == "N = 6: 1.0 ×"
    assert sleep.get_title("right") == "N = 6: 6.0 ×"
    assert "latency constraint" not in "".join(text.get_text() for text in figure.texts)


def test_the_figure_is_the_same_file_twice(tmp_path: Path) -> None:
    one, two = cost_figure.draw(ROWS, tmp_path / "a"), cost_figure.draw(ROWS, tmp_path / "b")
    assert [path.name for path in one] == ["cost_by_passes.png", "cost_by_passes.svg", "load.png", "load.svg"]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


@pytest.mark.parametrize("rows", [ROWS[:1], [made(5, 3), made(5, 4)]], ids=["one place", "no N = 1"])
def test_a_figure_of_few_places_has_ticks(rows: list[latency.Row]) -> None:
    with style.context():
        sleep = cost_figure.cost_by_passes(rows).axes[1]
        for ticks, (low, high) in ((sleep.get_yticks(), sleep.get_ylim()), (sleep.get_xticks(), sleep.get_xlim())):
            assert any(low <= tick <= high for tick in ticks)


def test_a_broken_latency_constraint_is_said() -> None:
    rows = [made(4, n, wake_passes=3) for n in (1, 2)]
    assert "breaks the latency constraint: 3 passes per prediction" in cost_tables.reading(rows)[-1]
    assert not any("constraint" in line for line in cost_tables.reading(ROWS))
    with style.context():
        texts = [text.get_text() for text in cost_figure.cost_by_passes(rows).texts]
    assert "3 passes per prediction" in re.sub(r"\s+", " ", " ".join(texts))


def test_markdown_holds_the_counts() -> None:
    head, rule, *lines = [
        [part.strip() for part in line.split("|")[1:-1]]
        for line in cost_counts.markdown({"a": HYBRID, "b": SLIDING}).splitlines()
    ]
    assert {len(line) for line in (head, rule, *lines)} == {7}
    assert [line[0] for line in lines] == ["`a`", "`b`"]
    # 2 heads of 4 x 4; the sliding window of 75 tokens keeps 74.
    assert [line[5:] for line in lines] == [["128 B", "0 B"], ["128 B", "4.74kB"]]
    one, four = (float(lines[0][column].rstrip("k")) for column in (2, 3))
    assert 4 * one < four < 6 * one


def test_the_tables_are_of_every_model_and_rule() -> None:
    assert list(cost_counts.models()) == list(baselines.MODELS)
    assert {type(config) for config in cost_counts.models().values()} == {baselines.load(n) for n in baselines.MODELS}
    assert list(cost_counts.rules()) == list(MIXERS)


# The command

TINY = (
    "--windows",
    "4,6",
    "--sleep-passes",
    "1,2",
    "--repeats",
    2,
    "--step-repeats",
    1,
    "--set",
    "d_model=16",
    "--set",
    "layout=attn gdn",
)


def test_the_command_writes_table_rows_and_figure(tmp_path: Path) -> None:
    done = bench("cost", "hybrid", *TINY, "--out", tmp_path / "new")
    assert (done.code, done.err) == (0, "")
    names = ["cost.csv", "environment.json"]
    names += [f"{name}.{kind}" for name in ("cost_by_passes", "load", "throughput") for kind in ("png", "svg")]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    assert all(str(tmp_path / "new" / name) in done.out for name in names)
    with (tmp_path / "new" / "cost.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["window"], row["sleep_passes"]) for row in rows] == [("4", "1"), ("4", "2"), ("6", "1"), ("6", "2")]
    config = Hybrid(d_model=16, layout="attn gdn")
    assert {row["settings"] for row in rows} == {"layout='attn gdn' d_model=16"}
    assert {(row["step_tokens"], row["step_repeats"]) for row in rows} == {("12", "1")}
    assert len({row["parallel_core_s"] for row in rows}) == 1 and len({row["step_core_s"] for row in rows}) == 4
    for name, value in asdict(counts(config, window=6, passes=2)).items():
        assert (rows[-1][name] if isinstance(value, str) else float(rows[-1][name])) == value
    described = json.loads((tmp_path / "new" / "environment.json").read_text())
    assert described["device"] == "cpu"
    assert described["load_average"] >= 0
    assert described["command"].startswith("bench cost hybrid --windows 4,6")


def test_without_training_steps_the_table_has_no_speed_of_training(tmp_path: Path) -> None:
    done = bench("cost", "hybrid", *TINY, "--step-repeats", 0, "--out", tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "sleep, ms" in done.out and "tokens/s" not in done.out
    assert not (tmp_path / "throughput.png").exists()


def test_the_command_prints_json(tmp_path: Path) -> None:
    done = bench("cost", "sliding", *TINY, "--json", "--out", tmp_path)
    printed = json.loads(done.out)
    assert [row["kv_bytes"] for row in printed["rows"]] == [tokens * 2 * 16 * 4 for tokens in (3, 3, 5, 5)]
    assert printed["environment"] == json.loads((tmp_path / "environment.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hybird"], "did you mean 'hybrid'?"),
        (["hybrid", "--sleep-passes", "0"], "--sleep-passes must be a whole number >= 1; given 0"),
        (
            ["hybrid", "--windows", "4,x"],
            "--windows takes whole numbers separated by commas, such as 1,2,4 or 0-4; given '4,x'",
        ),
        (["sliding", "--windows", "1"], "L = 1 keeps none"),
        (["hybrid", "--set", "d_modle=8"], "'d_model'"),
        (["hybrid", "--device", "gpu"], "device 'gpu'"),
        (["hybrid", "--windows", "4,6", "--step-tokens", "6"], "--step-tokens must be a whole number >= 7"),
        ([], "give a MODEL"),
        (["hybrid", "--table"], "give neither MODEL nor --set"),
    ],
)
def test_bad_input_ends_with_one_message(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = bench("cost", *arguments, "--out", tmp_path / "none")
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_a_setting_of_a_model_alone_is_parsed() -> None:
    assert parse_setting("d_model=8", HYBRID) == ("d_model", 8)
    with pytest.raises(ValueError, match="seed"):
        parse_setting("seed=1", HYBRID)
