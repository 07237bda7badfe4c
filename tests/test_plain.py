"""The hybrid, in all its settings, equals the slow and plain implementation of the paper's algorithm."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import Build, live, tokens
from plain import Plain

from baselines.hybrid import Hybrid
from baselines.sleeper import Sleeper

TINY = Hybrid(layout="attn gdn attn gdn", d_model=8, heads=2, mlp_ratio=2)
WINDOW = 4


@pytest.mark.parametrize(
    ("passes", "settings"),
    [
        (1, {}),
        (3, {}),
        (2, {"window_embedding": False}),
        (2, {"layout": "gdn gdn attn", "heads": 4}),
        (3, {"layout": "gdn", "heads": 1, "window_embedding": False, "reembed": True}),
        (2, {"layout": "attn attn"}),
        (1, {"eviction": "sliding"}),
        (2, {"eviction": "sliding"}),
        (2, {"eviction": "sliding", "layout": "attn attn"}),
        (2, {"eviction": "none"}),
        (2, {"loop": "middle"}),
        (2, {"loop": "middle", "layout": "gdn gdn attn gdn attn", "eviction": "sliding"}),
        (2, {"reembed": True}),
        (2, {"reembed": True, "loop": "middle", "eviction": "none"}),
        (2, {"reset_state": True}),
        (2, {"reset_state": True, "loop": "middle", "layout": "gdn gdn attn gdn", "eviction": "sliding"}),
        (2, {"reread": True}),
        (2, {"reread": True, "eviction": "sliding"}),
        (2, {"wake_passes": 2}),
        (2, {"wake_passes": 3, "reset_state": True, "eviction": "sliding"}),
        (2, {"wake_passes": 2, "loop": "middle", "layout": "gdn gdn attn gdn", "eviction": "none"}),
        (2, {"state_size": 5, "mlp_ratio": 0.6}),
    ],
    ids=str,
)
def test_the_hybrid_equals_a_plain_implementation(build: Build, passes: int, settings: dict[str, Any]) -> None:
    """Values and the gradient of every parameter, over three windows slept on and a shorter one predicted."""
    model = build(replace(TINY, **settings), dtype=torch.float64, noise=0.1, window=WINDOW)
    assert isinstance(model, Sleeper)
    inputs = tokens(1, 3 * WINDOW + 2)

    logits = live(model, inputs, passes, WINDOW)[0][0]
    expected = Plain(model, WINDOW).predict([*inputs[0].split(WINDOW)], passes)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)

    parameters = dict(model.named_parameters())
    weights = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = (
        torch.autograd.grad((weights * out).sum(), tuple(parameters.values())) for out in (logits, expected)
    )
    for name, one, two in zip(parameters, ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize(
    "settings",
    [
        {"eviction": "sliding"},
        {"eviction": "none"},
        {"loop": "middle"},
        {"reembed": True},
        {"reset_state": True},
        {"reread": True},
        {"wake_passes": 2},
    ],
    ids=str,
)
def test_the_plain_implementation_tells_settings_apart(build: Build, settings: dict[str, Any]) -> None:
    """So that agreement above means something: the same weights under another setting give other logits."""
    inputs = [*tokens(1, 3 * WINDOW + 2)[0].split(WINDOW)]
    with torch.no_grad():
        one, two = (
            Plain(build(config, dtype=torch.float64, window=WINDOW), WINDOW).predict(inputs, 2)
            for config in (TINY, replace(TINY, **settings))
        )
    assert (one - two).abs().max() > 1e-3
