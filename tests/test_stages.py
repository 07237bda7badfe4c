"""The two-stage recipe, and tests at other difficulties than the trained one."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from harness import comparable, small

from baselines.hybrid import Hybrid
from baselines.sleeper import Sleeper
from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.forward import Batch, predict
from benchmark.run.trainer import Trainer

SLIDING = {"strings": 2, "eviction": "sliding"}


def trainer(folder: Path, **settings: object) -> Trainer:
    torch.manual_seed(0)
    return Trainer(small(**settings), folder)


def values(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def test_first_only_the_fast_weight_layers_learn_then_all(tmp_path: Path) -> None:
    stages = trainer(tmp_path, **SLIDING, hard_share=0.5, warmup_steps=0)
    assert stages.cell.hard_steps == round(stages.cell.steps / 2)
    before = values(stages)
    for batch in stages.batches(0):
        stages.train_step(batch)
        stages.step += 1
        if stages.step == stages.cell.hard_steps:
            changed = {name for name, value in values(stages).items() if not torch.equal(value, before[name])}
            mixers = {name for name in before if name.startswith("blocks.1.mixer.")}
            assert changed == mixers
    after = values(stages)
    assert all(not torch.equal(after[name], before[name]) for name in before)


@dataclass(frozen=True, kw_only=True)
class Frozen(Hybrid):
    """A hybrid whose embedding and some fast-weight parameters are not to be trained."""

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Sleeper:
        model = super().build(vocab_size=vocab_size, window=window, seq_len=seq_len)
        for name in ("embedding", "blocks.0.mixer.gates"):
            model.get_submodule(name).requires_grad_(False)
        return model


def test_what_a_model_has_frozen_stays_frozen_in_both_stages(tmp_path: Path) -> None:
    cell = small(hard_share=0.5)
    cell = replace(cell, model=Frozen(layout="gdn gdn", d_model=8, heads=2, mlp_ratio=1))
    stages = Trainer(cell, tmp_path)
    before, frozen = values(stages), {n for n, p in stages.model.named_parameters() if not p.requires_grad}
    for batch in stages.batches(0):
        stages.train_step(batch)
        stages.step += 1
    assert {name for name, value in values(stages).items() if torch.equal(value, before[name])} == frozen
    assert stages.cost.parameters == sum(v.numel() for name, v in before.items() if name not in frozen)


def test_the_first_stage_evicts_everything(tmp_path: Path) -> None:
    """Predictions of a sliding model are those of the same network under hard eviction, and not without the stage."""
    sliding, hard = trainer(tmp_path, **SLIDING), trainer(tmp_path, **SLIDING | {"eviction": "hard"})
    with torch.no_grad():
        for model in (sliding.model, hard.model):
            torch.manual_seed(1)
            for parameter in model.parameters():
                parameter += 0.3 * torch.randn(parameter.shape)
    batch: Batch = next(sliding.batches(0))
    evicted = predict(sliding.model, batch, 2, hard=True)
    torch.testing.assert_close(evicted, predict(hard.model, batch, 2), rtol=1e-5, atol=1e-5)
    assert (predict(sliding.model, batch, 2) - evicted).abs().max() > 1e-3


@pytest.mark.parametrize("stop_at", [3, 9])
def test_a_stopped_recipe_goes_on_in_its_stage(tmp_path: Path, stop_at: int) -> None:
    settings = SLIDING | {"hard_share": 0.5}
    whole = trainer(tmp_path / "whole", **settings)
    whole.folder.mkdir()
    whole.run()
    first = trainer(tmp_path / "parts", **settings)
    first.folder.mkdir()
    assert first.run(stop=lambda: first.step >= stop_at) == "stopped"
    assert trainer(tmp_path / "parts", **settings).run() == "ok"
    parts, one = (comparable(rows.read(tmp_path / name / "rows.jsonl")) for name in ("parts", "whole"))
    assert parts == one


def test_a_model_without_fast_weights_has_no_first_stage(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"hard_share = 0.5: model 'hybrid' has no fast weights"):
        trainer(tmp_path, hard_share=0.5, layout="attn attn")


@pytest.mark.parametrize("share", [-0.1, 1.0, 2])
def test_shares_are_below_one(share: float) -> None:
    with pytest.raises(ValueError, match="hard_share must be in 0 <= share < 1"):
        small(hard_share=share)


def test_other_difficulties_are_tested_as_their_own_task_would_be(tmp_path: Path) -> None:
    several = trainer(tmp_path / "several", test_at=(0, 1, 3), test_passes=(1, 2))
    several.folder.mkdir()
    several.run()
    found = [row for row in rows.read(several.rows_path) if row["answer"] is None]
    assert [(r["tested_passes"], r["difficulty"]) for r in found[:6]] == [(n, t) for n in (1, 2) for t in (0, 1, 3)]
    plain = trainer(tmp_path / "plain", test_passes=(1, 2))
    plain.folder.mkdir()
    plain.run()
    own = [row for row in rows.read(plain.rows_path) if row["answer"] is None]
    scores = ("step", "tested_passes", "loss", "exact_match", "chance", "lift")
    assert [[r[s] for s in scores] for r in found if r["difficulty"] == 1] == [[r[s] for s in scores] for r in own]
    for row in found:
        assert row["chance"] == several.cell.task.at(row["difficulty"]).chance(row["difficulty"])


def test_a_difficulty_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="test_at must be a whole number >= 0; given -1"):
        small(test_at=(-1,))


def test_levels_are_the_tested_difficulties() -> None:
    cell: Cell = small(test_at=(0, 2))
    assert (small().levels, cell.levels) == ((1,), (0, 2))
