"""Rivals for the same compute: each is what its name says, and costs what the sleep model costs."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest

from baselines.base import Model, ModelConfig
from baselines.hybrid import Hybrid
from baselines.sleeper import Sleeper
from benchmark.cells.cell import Cell, Training
from benchmark.cells.cost import cost
from benchmark.cells.matching import MATCHES
from benchmark.cells.rivals import RIVALS, exclusions, rival_cells
from benchmark.cells.scales import automaton, cycle
from benchmark.run.trainer import Trainer
from tasks.rule110 import Rule110

AUTOMATON = automaton("cpu").with_settings({"rollout_steps": 6, "tokens": 5_000_000})
BASES = {
    "rule110-2": AUTOMATON.with_settings({"sleep_passes": 2}),
    "rule110-4": AUTOMATON.with_settings({"sleep_passes": 4}),
    "depo-4": cycle("cpu").with_settings({"tokens": 10_000_000, "sleep_passes": 4}),
}
TINY = automaton("tiny").with_settings({"rollout_steps": 2, "tokens": 100_000, "sleep_passes": 2})

# Which settings a rival may change, beside its budget; N among them where it is another.
OWN = {
    "sleep": set(),
    "plain": {"sleep_passes"},
    "longer": {"sleep_passes"},
    "deeper": {"sleep_passes", "layout"},
    "wider": {"sleep_passes", "d_model", "mlp_ratio"},
    "bigger-state": {"sleep_passes", "state_size"},
    "reread": {"reread"},
    "reembed": {"reembed"},
    "reset-state": {"reset_state"},
    "wake-loop": {"sleep_passes", "wake_passes"},
    "in-rule": {"sleep_passes", "layout"},
    "bigger-window": {"sleep_passes", "evict_every"},
}

everywhere = pytest.mark.parametrize("base", BASES)
every_match = pytest.mark.parametrize("by", MATCHES)


@cache
def rivals(base: str, by: str = "train_flops") -> dict[str, Cell]:
    return rival_cells(BASES[base], by)


def block_parameters(cell: Cell) -> int:
    model = cell.model.build(vocab_size=cell.task.vocab_size, window=cell.task.window, seq_len=cell.task.seq_len)
    assert isinstance(model, Sleeper)
    return sum(p.numel() for p in model.blocks.parameters())


def paid(cell: Cell, by: str) -> float:
    """What is to be equal, from the budget and torch's counts."""
    steps = -(-cell.training.tokens // (cell.training.batch * cell.task.seq_len))
    whole = {"tokens": cell.task.seq_len, "train_flops": cost(cell).train_flops}
    return steps * cell.training.batch * whole[by] if by in whole else cost(cell).sleep_flops


@everywhere
@every_match
def test_rivals_cost_what_sleep_costs(base: str, by: str) -> None:
    target = paid(BASES[base], by)
    for name, cell in rivals(base, by).items():
        if name != "plain":
            assert paid(cell, by) == pytest.approx(target, rel=0.05), name
        if by != "train_flops":
            assert cell.training.tokens == BASES[base].training.tokens
    if by != "tokens":  # the paper's own baseline is no match, which is why there are rivals
        assert paid(rivals(base, by)["plain"], by) < 0.6 * target


@everywhere
@every_match
def test_a_rival_differs_in_what_its_name_says(base: str, by: str) -> None:
    before = BASES[base].axes
    for name, cell in rivals(base, by).items():
        changed = {setting for setting, value in cell.axes.items() if value != before[setting]} - {"tokens"}
        required = OWN[name] - {"mlp_ratio"}
        assert required <= changed <= OWN[name], name
        assert cell.task == BASES[base].task
        assert cell.training.sleep_passes == (1 if "sleep_passes" in OWN[name] else before["sleep_passes"])


@everywhere
@every_match
def test_every_rival_is_there_or_has_a_reason_not_to_be(base: str, by: str) -> None:
    cells, reasons = rivals(base, by), exclusions(BASES[base], by)
    assert [*cells] == ["sleep", "plain", *(name for name in RIVALS if name not in reasons)]
    unfit = {"longer", "wake-loop", "reread", "reembed", "in-rule"}
    expected = {"train_flops": set(), "sleep_flops": unfit, "tokens": {"longer"}}
    assert set(reasons) == expected[by] | {"bigger-window"}, "all of these read one window"
    assert all(cell.variant == name for name, cell in cells.items())
    assert len({cell.id for cell in cells.values()}) == len(cells)
    assert cells["sleep"].id == BASES[base].id
    loops = [name for name, cell in cells.items() if isinstance(cell.model, Hybrid) and cell.model.wake_passes > 1]
    assert loops == (["wake-loop"] if "wake-loop" in cells else [])  # it alone breaks the latency constraint


@everywhere
def test_parameters_are_those_of_the_structure(base: str) -> None:
    cells, passes = rivals(base), BASES[base].training.sleep_passes
    parameters = {name: cost(cell).parameters for name, cell in cells.items()}
    assert cells["in-rule"].axes["layout"] == BASES[base].axes["layout"].replace("gdn", f"product{passes}")
    for name in ("plain", "longer", "reread", "reembed", "reset-state", "wake-loop"):
        assert parameters[name] == parameters["sleep"]
    assert parameters["deeper"] == parameters["sleep"] + (passes - 1) * block_parameters(BASES[base])
    assert min(parameters["wider"], parameters["bigger-state"]) > parameters["sleep"]
    plain = cost(cells["plain"]).sleep_flops
    assert cost(cells["deeper"]).sleep_flops == cost(cells["sleep"]).sleep_flops > passes * plain
    assert cost(cells["reembed"]).sleep_flops == passes * plain  # no pass computes an output
    assert cost(cells["wake-loop"]).sleep_flops == plain
    assert cells["wake-loop"].axes["wake_passes"] == passes
    assert cells["deeper"].axes["layout"].split() == BASES[base].axes["layout"].split() * passes


@everywhere
def test_the_state_is_the_size_whose_cost_is_nearest(base: str) -> None:
    cell, target = rivals(base, "sleep_flops")["bigger-state"], cost(BASES[base]).sleep_flops
    size = cell.axes["state_size"]
    missed = [abs(cost(cell.with_settings({"state_size": s})).sleep_flops - target) for s in (size - 1, size, size + 1)]
    assert missed[1] == min(missed)
    assert cost(cell).state_bytes == 2 * size * size * 4  # two heads, single precision


@everywhere
def test_the_width_alone_is_within_one_step_of_the_target(base: str) -> None:
    """The MLP makes up for less than a whole step of widths: 4 units here, for two heads of even size."""
    cell, sleep = rivals(base, "sleep_flops")["wider"], BASES[base]
    below, above = (
        cost(cell.with_settings({"d_model": cell.axes["d_model"] + step, "mlp_ratio": sleep.axes["mlp_ratio"]}))
        for step in (-4, 4)
    )
    assert below.sleep_flops < cost(sleep).sleep_flops < above.sleep_flops


def test_what_rereading_and_reembedding_leave_out_is_said() -> None:
    """One pass over copies computes one block's output less than passes do; passes from the embeddings compute none."""
    plain = cost(BASES["rule110-4"])
    for name in ("reread", "reembed"):
        rival = cost(BASES["rule110-4"].with_settings({name: True}))
        off = f"{rival.sleep_flops / plain.sleep_flops - 1:+.1%}"
        assert off in exclusions(BASES["rule110-4"], "sleep_flops")[name]


@pytest.mark.parametrize("by", MATCHES)
def test_a_bigger_window_reads_the_same_text(by: str) -> None:
    """Up to all of it at once, which costs no more than attention over it: the rest of the budget buys tokens."""
    cell = TINY.with_settings({"strings": 4})
    if by == "sleep_flops":
        assert "at the nearest of 2 to 4 windows read as one" in exclusions(cell, by)["bigger-window"]
        return
    (rival,) = rival_cells(cell, by, only=["bigger-window"]).values()
    assert rival.axes["evict_every"] == 4
    assert rival.task == cell.task
    assert paid(rival, by) == pytest.approx(paid(cell, by), rel=0.05)
    plain = cell.with_settings({"sleep_passes": 1})
    assert cost(plain).sleep_flops < cost(rival).sleep_flops < cost(cell).sleep_flops
    assert cost(rival).state_bytes == cost(plain).state_bytes  # nothing of it is there when the answer is


def test_a_small_sleep_is_matched_by_fewer_windows_than_there_are() -> None:
    """Where attention over all costs more than the sleep does: here the MLP of a block is small beside it."""
    cell = automaton("tiny").with_settings({"strings": 8, "d_model": 4, "mlp_ratio": 0.5, "sleep_passes": 2})
    cells = {every: cell.with_settings({"sleep_passes": 1, "evict_every": every}) for every in range(2, 9)}
    flops = {every: abs(cost(rival).train_flops - cost(cell).train_flops) for every, rival in cells.items()}
    chosen = RIVALS["bigger-window"](cell, "train_flops").axes["evict_every"]
    assert flops[chosen] == min(flops.values())


@pytest.mark.parametrize(
    ("settings", "name", "reason"),
    [
        ({"sleep_passes": 3}, "in-rule", "no update rule makes 3 steps per token"),
        ({"layout": "attn linear"}, "in-rule", "layout 'attn linear' has no gdn"),
        ({"strings": 4, "eviction": "sliding"}, "bigger-window", "under sliding eviction has no window to make longer"),
        ({"strings": 4, "layout": "gdn gdn"}, "bigger-window", "'gdn gdn' under hard eviction"),
    ],
)
def test_what_a_newer_rival_needs_is_said(settings: dict[str, Any], name: str, reason: str) -> None:
    assert reason in exclusions(TINY.with_settings(settings))[name]


def test_only_the_looped_blocks_are_repeated() -> None:
    cell = TINY.with_settings({"layout": "attn gdn attn gdn", "loop": "middle", "sleep_passes": 3})
    deeper = RIVALS["deeper"](cell, "train_flops")
    assert deeper.axes["layout"] == "attn gdn attn gdn attn gdn attn gdn"
    assert cost(deeper).sleep_flops == cost(cell).sleep_flops
    assert (
        exclusions(cell).keys() == {"reread", "in-rule", "bigger-window"} and "'middle'" in exclusions(cell)["reread"]
    )


def test_every_rival_takes_a_training_step(tmp_path: Path) -> None:
    for name, cell in rival_cells(TINY).items():
        trainer = Trainer(cell.with_settings({"batch": 2, "tokens": 2 * TINY.task.seq_len}), tmp_path / name)
        before = [p.detach().clone() for p in trainer.model.parameters()]
        loss = float(trainer.train_step(next(iter(trainer.batches(0)))))
        assert 0 < loss < 10, name
        assert any((a != b).any() for a, b in zip(before, trainer.model.parameters(), strict=True)), name


def test_the_match_is_the_same_every_time_and_for_every_seed() -> None:
    again = rival_cells(replace(TINY, seed=3))
    assert {name: replace(cell, seed=0) for name, cell in again.items()} == rival_cells(TINY)


def test_rivals_are_tested_as_trained() -> None:
    cell = TINY.with_settings({"test_passes": (1, 2, 4)})
    cells = rival_cells(cell, "tokens")
    assert cells["sleep"].training.test_passes == (1, 2, 4)
    assert {c.training.test_passes for name, c in cells.items() if name != "sleep"} == {()}


@dataclass(frozen=True, kw_only=True)
class Other(ModelConfig):
    name: ClassVar[str] = "other"
    version: ClassVar[int] = 1

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        raise NotImplementedError


class OneWindow(Rule110):
    """Takes a window that holds the whole sequence, as a task of someone else's may."""

    def __post_init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("settings", "by", "reason"),
    [
        ({"sleep_passes": 1}, "train_flops", "sleep_passes = 1 is the plain hybrid"),
        ({}, "train-flops", "'train-flops'.*train_flops"),
        ({"reembed": True}, "tokens", "reembed makes the model itself a rival"),
        ({"reread": True}, "tokens", "reread makes the model itself a rival"),
        ({"wake_passes": 2}, "tokens", "wake_passes = 2 makes the model itself a rival"),
        ({"layout": "attn attn"}, "train_flops", "layout 'attn attn' under hard eviction keeps nothing of a window"),
        (
            {"layout": "attn attn", "eviction": "sliding"},
            "train_flops",
            "bigger-state: layout 'attn attn' has no fast-weight block",
        ),
        ({"tokens": 1}, "train_flops", r"longer .* by train_flops: .*%, beyond 5%; its budget is 2 whole steps"),
    ],
)
def test_what_cannot_be_matched_is_refused(settings: dict[str, Any], by: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rival_cells(TINY.with_settings(settings), by)


def test_models_of_another_kind_and_tasks_of_one_window_are_refused() -> None:
    with pytest.raises(ValueError, match="settings of the hybrid; model 'other'"):
        rival_cells(replace(TINY, model=Other()))
    with pytest.raises(ValueError, match="settings of the hybrid; model 'other'"):
        exclusions(replace(TINY, model=Other()))
    whole = Cell(
        task=OneWindow(cells=4, strings=1, rollout_steps=1, window_tokens=5),
        model=Hybrid(layout="attn gdn", d_model=8, heads=2),
        training=Training(tokens=1000, sleep_passes=2),
    )
    with pytest.raises(ValueError, match="no window of task 'rule110' is consolidated"):
        rival_cells(whole)


def test_only_what_is_asked_for_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Cell:
        raise AssertionError("nobody asked for it")

    for name in set(RIVALS) - {"deeper"}:
        monkeypatch.setitem(RIVALS, name, never)
    found = rival_cells(TINY, only=("deeper", "sleep"))
    assert list(found) == ["deeper", "sleep"]
    assert all(cell.variant == name for name, cell in found.items())


def test_a_variant_that_is_unknown_or_left_out_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown variant 'deper'; valid: sleep, plain, .*did you mean 'deeper'"):
        rival_cells(TINY, only=["deper"])
    with pytest.raises(ValueError, match="longer is left out: on the same tokens it is the plain model"):
        rival_cells(TINY, "tokens", only=["longer"])
