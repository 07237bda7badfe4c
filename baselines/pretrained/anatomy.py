"""Where a decoder of transformers keeps its parts, and which decoders are recognised."""

import inspect
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["attention", "memory", "none"]

ARGUMENTS = {"hidden_states", "attention_mask", "position_ids", "position_embeddings", "use_cache", "cache"}
"""What a layer is called with; any other argument of it must have a default."""

TOLERANCE = 1e-3
"""Most difference of a logit from the library's own forward pass: float32 rounds differently in another order."""

TESTED_MODELS = "llama, qwen3, olmo_hybrid, qwen3_next, nemotron_h"
"""Types of models that tests hold."""


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """The parts of a decoder, and what each of its layers holds between windows.

    Attributes:
        embedding: Tokens [B, T] to features [B, T, D].
        layers: The blocks.
        kinds: What each block's mixer is: attention, fast weights, or neither.
        norm: The norm before the head.
        head: Features to logits.
        between: What a pass over all layers hands its features through to the next; None: nothing.
        rotary: Makes the rotary positions that layers are called with; None where there are none.
        takes: The arguments that each layer takes.
    """

    embedding: nn.Module
    layers: tuple[nn.Module, ...]
    kinds: tuple[Kind, ...]
    norm: nn.Module
    head: nn.Module
    between: nn.Module | None = None
    rotary: nn.Module | None = None
    takes: tuple[frozenset[str], ...] = ()


def anatomy(lm: Any) -> Anatomy:
    """The parts of a causal language model of transformers.

    Raises:
        ValueError: something about it is not recognised; the message says what.
    """
    base, config = lm.base_model, lm.config
    norm: Any = getattr(base, "norm", None) or getattr(base, "norm_f", None)
    head, embedding = lm.get_output_embeddings(), lm.get_input_embeddings()
    for what, part in (("layers", getattr(base, "layers", None)), ("norm", norm), ("head", head), ("table", embedding)):
        if part is None:
            raise _refusal(config, f"its {what} was not found")
    windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    kinds_named = {*(getattr(config, "layer_types", None) or ())}
    if windowed or any("sliding" in kind or "chunked" in kind for kind in kinds_named):
        raise _refusal(config, "some of its layers see a window of their own")
    rotary = getattr(base, "rotary_emb", None)
    if rotary is not None and len(_required_arguments(rotary)) > 2:
        raise _refusal(config, f"its rotary positions want {', '.join(_required_arguments(rotary))}")
    layers = tuple(base.layers)
    for layer in layers:
        if unknown := [name for name in _required_arguments(layer) if name not in ARGUMENTS]:
            raise _refusal(config, f"its layers want {', '.join(unknown)}")
        if "cache" not in inspect.signature(type(layer).forward).parameters:
            raise _refusal(config, "its layers take no cache")
    return Anatomy(
        embedding=embedding,
        layers=layers,
        kinds=tuple(kind_of(layer) for layer in layers),
        norm=norm,
        head=head,
        rotary=rotary,
        takes=tuple(frozenset(inspect.signature(type(layer).forward).parameters) for layer in layers),
    )


def kind_of(layer: nn.Module) -> Kind:
    """What a layer's mixer is, by what it has: decay rates of fast weights, or queries of attention."""
    if any(hasattr(part, "A_log") for part in layer.children()):
        return "memory"
    return "attention" if any(hasattr(part, "q_proj") for part in layer.children()) else "none"


def check(lm: Any, logits: Tensor, tokens: Tensor) -> None:
    """Refuse a decoder whose own forward pass gives other logits than those made from its parts.

    That finds what no list of names would: a scaled embedding, capped logits, another way through the layers.

    Raises:
        ValueError: the logits differ.
    """
    with torch.no_grad():
        own = lm(input_ids=tokens, use_cache=False).logits
    scale = max(1.0, float(own.abs().max()))
    if own.shape != logits.shape or not float((own - logits).abs().max()) < TOLERANCE * scale:
        raise _refusal(lm.config, "its layers, called one by one, give other logits than its own forward pass")


def _required_arguments(module: nn.Module) -> list[str]:
    """Arguments of a module's forward that have no default."""
    parameters = list(inspect.signature(type(module).forward).parameters.values())[1:]
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in variadic]


def _refusal(config: Any, why: str) -> ValueError:
    return ValueError(f"model type {config.model_type!r} is not recognised: {why}; tested are {TESTED_MODELS}")
