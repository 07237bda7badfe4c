"""The models of the paper, and the plain rivals, are the hybrid with a few other settings."""

from dataclasses import asdict
from typing import Any

import pytest
import torch
from conftest import WINDOW, Build, remembers, small_config, tokens

import baselines
from baselines.attention import WindowAttention
from baselines.hybrid import Hybrid
from baselines.memory import FastWeightMixer
from baselines.sleeper import Sleeper

DIFFERENCES: dict[str, dict[str, Any]] = {
    "hybrid": {},
    "sliding": {"eviction": "sliding"},
    "looped": {"loop": "middle"},
    "jet": {"layout": " ".join(["attn jet"] * 5), "d_model": 512, "heads": 8},
    "transformer": {"layout": "attn attn attn attn"},
    "full-cache": {"layout": "attn attn attn attn", "eviction": "none"},
    "ssm": {"layout": "gdn gdn gdn gdn"},
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_preset_is_the_hybrid_but_for_this(name: str) -> None:
    config = baselines.load(name)()
    assert asdict(config) == asdict(Hybrid()) | DIFFERENCES[name]


@pytest.mark.parametrize("name", ["sliding", "transformer", "ssm"])
def test_a_preset_is_built_like_the_hybrid(name: str) -> None:
    """From the same draws: only the name differs."""
    config, built = small_config(name), []
    for kind in (config, Hybrid(**asdict(config))):
        torch.manual_seed(0)
        built.append(kind.build(vocab_size=7, window=WINDOW, seq_len=24).state_dict())
    assert list(built[0]) == list(built[1])
    assert all(torch.equal(built[0][key], built[1][key]) for key in built[0])


@pytest.mark.parametrize(
    ("name", "attention", "memory"),
    [
        ("hybrid", 2, 2),
        ("sliding", 2, 2),
        ("looped", 2, 2),
        ("jet", 5, 5),
        ("transformer", 4, 0),
        ("full-cache", 4, 0),
        ("ssm", 0, 4),
    ],
)
def test_blocks_at_full_size(name: str, attention: int, memory: int) -> None:
    with torch.device("meta"):
        model = baselines.load(name)().build(vocab_size=3, window=24, seq_len=100)
    assert isinstance(model, Sleeper)
    kinds = [type(block.mixer) for block in model.blocks]
    assert sum(issubclass(kind, WindowAttention) for kind in kinds) == attention
    assert sum(issubclass(kind, FastWeightMixer) for kind in kinds) == memory
    assert model.wake_passes == 1
    names = {id(p): key for key, p in model.named_parameters()}
    assert {names[id(p)].split(".mixer.")[0] for p in model.memory()} == {
        f"blocks.{i}" for i, kind in enumerate(kinds) if issubclass(kind, FastWeightMixer)
    }


def test_the_transformer_alone_forgets(build: Build) -> None:
    assert [name for name in baselines.MODELS if not remembers(build(small_config(name)))] == ["transformer"]


@pytest.mark.parametrize(("name", "kept"), [("hybrid", 0), ("sliding", WINDOW - 1), ("full-cache", 3 * WINDOW)])
def test_keys_and_values_kept_of_three_windows(build: Build, name: str, kept: int) -> None:
    model = build(small_config(name))
    state = model.start(3)
    for window in tokens()[:, : 3 * WINDOW].split(WINDOW, dim=1):
        state = model.sleep(window, state, 2)
    blocks = {"hybrid": 0, "sliding": 2, "full-cache": 4}[name]
    assert [t.shape for t in state.cache] == [(3, 2, 2, kept, 8)] * blocks
