"""Published decoders in small: their config.json, the names and shapes of their tensors written out, and folders."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

COMMON = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "ouro": COMMON | {"model_type": "ouro", "head_dim": 4, "total_ut_steps": 4, "tie_word_embeddings": False},
    "jet_nemotron": COMMON
    | {
        "model_type": "jet_nemotron",
        "layer_types": ["jet", "attn", "swa", "jet"],
        "efficient_attention_config": {
            "jet": {
                "num_heads": 2,
                "head_dim": 6,
                "expand_v": 2.6666666667,
                "conv_size": 4,
                "dconv_generator_reduction": 8,
                "norm_eps": "1e-5",
                "mode": "chunk",
            },
            "swa": {"window_size": 4},
        },
        "tie_word_embeddings": True,
        "rope_scaling": None,
    },
}
FULL: dict[str, dict[str, Any]] = {
    "ouro": CONFIGS["ouro"]
    | {
        "vocab_size": 49_152,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 128,
    },
    "jet_nemotron": CONFIGS["jet_nemotron"]
    | {
        "vocab_size": 151_936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "layer_types": [{14: "attn", 19: "attn", 20: "swa", 21: "swa"}.get(i, "jet") for i in range(28)],
        "efficient_attention_config": {
            "jet": {"num_heads": 12, "head_dim": 96, "expand_v": 2.6666666667, "norm_eps": "1e-5"},
            "swa": {"window_size": 1152},
        },
    },
}
"""Ouro-1.4B and Jet-Nemotron-2B."""


def kinds(config: dict[str, Any]) -> list[str]:
    """What each layer is."""
    given: list[str] = config.get("layer_types") or ["attn"] * config["num_hidden_layers"]
    return given


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors of a checkpoint by their published names."""
    D, hidden = config["hidden_size"], config["intermediate_size"]
    size = config.get("head_dim") or D // config["num_attention_heads"]
    queries, keys = size * config["num_attention_heads"], size * config["num_key_value_heads"]
    sandwich = config["model_type"] == "ouro"
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], D)}
    for i, kind in enumerate(kinds(config)):
        layer, own = f"model.layers.{i}.", f"model.layers.{i}.self_attn."
        if kind == "jet":
            jet = config["efficient_attention_config"]["jet"]
            H, K, taps = jet["num_heads"], jet["head_dim"], 4
            V = round(K * jet["expand_v"])
            found |= {own + "q_proj.weight": (H * K, D), own + "k_proj.weight": (H * K, D)}
            found |= {own + "v_proj.weight": (H * V, D), own + "g_proj.weight": (H * V, D)}
            found |= {own + "a_proj.weight": (H, D), own + "b_proj.weight": (H, D)}
            found |= {own + "A_log": (H,), own + "dt_bias": (H,)}
            generator = own + "dynamic_conv1d.kernel_generator."
            found |= {generator + "w1.weight": (H * V // 8, D), generator + "w2.weight": (H * V * taps, H * V // 8)}
            found |= {generator + "w2.bias": (H * V * taps,)}
            found |= {own + "o_norm.weight": (V,), own + "o_proj.weight": (D, H * V)}
        else:
            for name, rows in (("q", queries), ("k", keys), ("v", keys)):
                found[f"{own}{name}_proj.weight"] = (rows, D)
                if not sandwich:
                    found[f"{own}{name}_proj.bias"] = (rows,)
            found[own + "o_proj.weight"] = (D, queries)
        found |= {f"{layer}mlp.{name}_proj.weight": (hidden, D) for name in ("gate", "up")}
        found[layer + "mlp.down_proj.weight"] = (D, hidden)
        norms = ["input_layernorm", "post_attention_layernorm"]
        norms += ["input_layernorm_2", "post_attention_layernorm_2"] if sandwich else []
        found |= {f"{layer}{name}.weight": (D,) for name in norms}
    found["model.norm.weight"] = (D,)
    if sandwich:
        found |= {"model.early_exit_gate.weight": (1, D), "model.early_exit_gate.bias": (1,)}
    if not config["tie_word_embeddings"]:
        found["lm_head.weight"] = (config["vocab_size"], D)
    return found


def drawn(config: dict[str, Any]) -> dict[str, Tensor]:
    """Random tensors of a checkpoint."""
    generator = torch.Generator().manual_seed(7)
    found = {}
    for name, shape in shapes(config).items():
        noise = torch.randn(shape, generator=generator)
        if "norm" in name:
            found[name] = 1 + 0.2 * noise
        elif name.endswith(("A_log", "bias")):
            found[name] = 0.5 * noise
        else:
            found[name] = noise * (1 if "embed" in name else 1.2 / math.sqrt(shape[-1]))
    return found


def folder(
    at: Path, kind: str, *, shards: int = 1, dtype: torch.dtype = torch.float32, **settings: Any
) -> dict[str, Tensor]:
    """Write a checkpoint folder, in one file or several with an index; its tensors."""
    at.mkdir(parents=True, exist_ok=True)
    config = CONFIGS[kind] | settings
    (at / "config.json").write_text(json.dumps(config), "utf-8")
    tensors = {name: tensor.to(dtype) for name, tensor in drawn(config).items()}
    if shards == 1:
        save_file(tensors, at / "model.safetensors", metadata={"format": "pt"})
        return tensors
    places = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(tensors)}
    for file in set(places.values()):
        save_file({name: tensors[name] for name, place in places.items() if place == file}, at / file)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (at / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    return tensors
