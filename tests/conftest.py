"""Small models that several test files share."""

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch

import baselines
from baselines.base import Model, ModelConfig

# Sizes under the names that models give them: a new model is tested without an entry here.
SMALL = {"layout": "attn gdn attn gdn", "d_model": 16, "heads": 2, "mlp_ratio": 2}

Build = Callable[..., Model]


@pytest.fixture(params=list(baselines.MODELS))
def config(request: pytest.FixtureRequest) -> ModelConfig:
    """Every model of the registry in turn, with small settings."""
    kind = baselines.load(request.param)
    return kind(**{field.name: SMALL[field.name] for field in fields(kind) if field.name in SMALL})


@pytest.fixture
def build() -> Build:
    """Make a small model for 4 windows of 6 tokens out of 7 kinds, with every weight away from 0.

    As built, branches that end in zeros keep gradients and tokens from each other, and much would hold by accident.
    """

    def build(config: ModelConfig, *, seed: int = 0, dtype: torch.dtype = torch.float32, noise: float = 0.3) -> Model:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = config.build(vocab_size=7, window=6, seq_len=24).to(dtype)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter += noise * torch.randn(parameter.shape, dtype=dtype)
        return model

    return build
