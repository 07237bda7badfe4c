"""Tiny decoders of transformers with random weights, by type of model: 4 layers of width 32 and 11 tokens, or 40."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id")),
}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
}
MIXED = ["linear_attention", "full_attention"] * 2
PLAIN = SIZES | {"num_hidden_layers": 4, "intermediate_size": 48}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": PLAIN,
    "qwen3": PLAIN,
    "olmo_hybrid": PLAIN | LINEAR | {"layer_types": MIXED},
    "qwen3_next": PLAIN | LINEAR | {"layer_types": MIXED, "num_experts": 0},
    "nemotron_h": SIZES
    | {
        "layers_block_type": ["mamba", "attention", "mlp", "mamba"],
        "intermediate_size": 48,
        "mamba_num_heads": 4,
        "mamba_head_dim": 8,
        "ssm_state_size": 8,
        "n_groups": 2,
        "chunk_size": 8,
    },
}
"""The settings of a tiny decoder of every type that is tested."""

HYBRIDS = ("olmo_hybrid", "qwen3_next", "nemotron_h")
ATTENTION = ("llama", "qwen3")


def on_transformers(test: Callable[..., None]) -> Callable[..., None]:
    """A test that builds decoders."""
    skip = pytest.mark.skipif(
        find_spec("transformers") is None, reason="transformers is not installed: pip install 'transformers>=5.24,<6'"
    )
    marked: Callable[..., None] = pytest.mark.hf(skip(test))
    return marked


def checkpoint(folder: Path, kind: str, **settings: Any) -> Path:
    """A folder with the config and random weights of a tiny decoder; written once."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if not (folder / "config.json").exists():
        config = AutoConfig.for_model(kind, **CONFIGS[kind] | settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder
