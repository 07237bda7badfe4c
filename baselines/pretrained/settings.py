"""What a config.json as published says of a network: each setting checked, none guessed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

OTHERWISE: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "rope_scaling": (None,),
    "attention_dropout": (0, None),
    "use_sliding_window": (False, None),
    "use_mrope": (False, None),
}
"""Settings that would ask for something that is not built, and the values that do not."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that published decoders of this build have in common, by their published names.

    Attributes:
        vocab_size: Rows of the token table.
        hidden_size: Width D.
        intermediate_size: Hidden width of the MLP.
        num_hidden_layers: Layers.
        num_attention_heads: Heads of queries.
        num_key_value_heads: Heads of keys and values, each for as many of queries.
        head_dim: Size of a head.
        rms_norm_eps: Epsilon of norms.
        rope_theta: Base of rotary positions.
        tie_word_embeddings: Whether the head is the token table.
        initializer_range: Standard deviation of fresh weights.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool
    initializer_range: float

    @classmethod
    def read(cls, config: dict[str, Any]) -> Self:
        """The settings of a parsed config.json.

        Raises:
            ValueError: one is missing, impossible, or asks for what is not built.
        """
        for name, allowed in OTHERWISE.items():
            if name in config and config[name] not in allowed:
                raise ValueError(f"{name} = {config[name]!r}: built is {allowed[0]!r} alone")
        rope = config.get("rope_parameters") or {}  # where later versions of the format keep what concerns rotation
        if not isinstance(rope, dict) or rope.get("rope_type", "default") != "default":
            raise ValueError(f"rope_parameters = {rope!r}: built is rope_type 'default' alone")
        heads = whole(config, "num_attention_heads")
        settings = cls(
            vocab_size=whole(config, "vocab_size"),
            hidden_size=whole(config, "hidden_size"),
            intermediate_size=whole(config, "intermediate_size"),
            num_hidden_layers=whole(config, "num_hidden_layers"),
            num_attention_heads=heads,
            num_key_value_heads=whole(config, "num_key_value_heads", heads),
            head_dim=whole(config, "head_dim", whole(config, "hidden_size") // heads),
            rms_norm_eps=positive(config, "rms_norm_eps", 1e-6),
            rope_theta=positive({**rope, **config}, "rope_theta"),
            tie_word_embeddings=bool(config.get("tie_word_embeddings", False)),
            initializer_range=positive(config, "initializer_range", 0.02),
            **cls.own(config),
        )
        if settings.num_attention_heads % settings.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads = {settings.num_key_value_heads} does not divide num_attention_heads = {heads}"
            )
        if settings.head_dim % 2:
            raise ValueError(f"head_dim = {settings.head_dim} is odd: rotary positions need it even")
        return settings

    @classmethod
    def own(cls, config: dict[str, Any]) -> dict[str, Any]:
        """The settings of this kind of network alone."""
        return {}


def parsed(folder: Path) -> dict[str, Any]:
    """The config.json of a checkpoint folder.

    Raises:
        ValueError: it is no mapping in JSON.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} is no mapping of settings")
    return config


def whole(config: dict[str, Any], name: str, default: int | None = None) -> int:
    """A whole number of at least 1.

    Raises:
        ValueError: it is none, or missing without a default.
    """
    value = _value(config, name, default, "a whole number of at least 1")
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} = {value!r}: a whole number of at least 1 is needed")
    return value


def positive(config: dict[str, Any], name: str, default: float | None = None) -> float:
    """A number above 0; published files write some of them as text.

    Raises:
        ValueError: it is none, or missing without a default.
    """
    value = _value(config, name, default, "a number above 0")
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if isinstance(value, bool) or not 0 < number < float("inf"):
        raise ValueError(f"{name} = {value!r}: a number above 0 is needed")
    return number


def _value(config: dict[str, Any], name: str, default: float | None, needed: str) -> Any:
    value = config.get(name)
    value = default if value is None else value
    if value is None:
        raise ValueError(f"{name} is missing: {needed} is needed")
    return value
