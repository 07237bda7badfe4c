"""Jet-Nemotron (Gu et al. 2025, arXiv 2508.15884): Jet blocks in most layers of a Qwen2.5, attention in a few.

A layer is "jet", "attn", or "swa", attention whose tokens see a window of their own. Full size, Jet-Nemotron-2B: 28
layers of width 1,536, 12 heads of keys of 96 and values of 256 in Jet blocks, 12 heads of queries and 2 of keys and
values in attention (layers 14 and 19, and with a window of 1,152 tokens 20 and 21), an MLP of 8,960, 151,936 tokens,
and a head that is the token table: 1,964,806,208 parameters. Those weights are under a licence for research.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from baselines.pretrained.jet_block import JetBlock
from baselines.pretrained.layers import DecoderLayer, GroupedAttention
from baselines.pretrained.network import Network
from baselines.pretrained.settings import Settings, positive, whole

KINDS = ("jet", "attn", "swa")


@dataclass(frozen=True, kw_only=True)
class JetNemotronSettings(Settings):
    """Settings of a Jet-Nemotron decoder.

    Attributes:
        layer_types: What each layer is, a word of `KINDS`.
        jet_heads: Heads of a Jet block.
        jet_key_size: K.
        jet_value_size: V.
        jet_taps: Taps of its convolution.
        jet_reduction: Width of the values over that of the network that makes the kernels.
        jet_norm_eps: Epsilon of its norm.
        swa_window: Tokens that a token of an "swa" layer sees, itself among them.
    """

    layer_types: tuple[str, ...]
    jet_heads: int
    jet_key_size: int
    jet_value_size: int
    jet_taps: int
    jet_reduction: int
    jet_norm_eps: float
    swa_window: int

    @classmethod
    def own(cls, config: dict[str, Any]) -> dict[str, Any]:
        """See `Settings.own`; defaults are those of the published code.

        Raises:
            ValueError: there is not one known word for every layer, or a Jet block has no whole number of values.
        """
        kinds, layers = config.get("layer_types"), whole(config, "num_hidden_layers")
        if not isinstance(kinds, list) or len(kinds) != layers or not set(kinds) <= set(KINDS):
            raise ValueError(f"layer_types = {kinds!r}: {layers} words out of {', '.join(KINDS)} are needed")
        mixers = config.get("efficient_attention_config") or {}
        if not isinstance(mixers, dict) or not all(isinstance(part, dict) for part in mixers.values()):
            raise ValueError(f"efficient_attention_config = {mixers!r}: a mapping of settings by kind is needed")
        if missing := [kind for kind in ("jet", "swa") if kind in kinds and kind not in mixers]:
            raise ValueError(f"efficient_attention_config has no {missing[0]!r}, which layer_types asks for")
        jet, swa = mixers.get("jet", {}), mixers.get("swa", {})
        keys, expand = whole(jet, "head_dim", 256), positive(jet, "expand_v", 2)
        # 2.6666666667 of 96 is meant to be 256.
        values = round(keys * expand)
        if not values or not math.isclose(keys * expand, values, rel_tol=1e-5):
            raise ValueError(f"expand_v = {expand} of head_dim = {keys} is no whole number of values")
        return {
            "layer_types": tuple(kinds),
            "jet_heads": whole(jet, "num_heads", 6),
            "jet_key_size": keys,
            "jet_value_size": values,
            "jet_taps": whole(jet, "conv_size", 4),
            "jet_reduction": whole(jet, "dconv_generator_reduction", 8),
            "jet_norm_eps": positive(jet, "norm_eps", 1e-5),
            "swa_window": whole(swa, "window_size", 1),
        }


class JetNemotron(Network):
    """The network."""

    kind: ClassVar[str] = "jet_nemotron"

    def __init__(self, settings: JetNemotronSettings) -> None:
        super().__init__(settings, [DecoderLayer(settings, mixer(settings, kind)) for kind in settings.layer_types])


def mixer(settings: JetNemotronSettings, kind: str) -> nn.Module:
    """The mixer of a layer."""
    if kind == "jet":
        return JetBlock(
            settings.hidden_size,
            settings.jet_heads,
            key_size=settings.jet_key_size,
            value_size=settings.jet_value_size,
            taps=settings.jet_taps,
            reduction=settings.jet_reduction,
            norm_eps=settings.jet_norm_eps,
        )
    return GroupedAttention(settings, bias=True, reach=settings.swa_window - 1 if kind == "swa" else None)
