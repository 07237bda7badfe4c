"""Ouro (Zhu et al. 2025, "Scaling Latent Reasoning via Looped Language Models", arXiv 2510.25741), looped as published.

Every pass runs over all layers, and its features are normed by the norm of the head before the next. Nothing is added
between passes, and no pass is told its number. Full size, Ouro-1.4B: 24 layers of width 2,048, 16 heads of 128, an MLP
of 5,632, 49,152 tokens, 1,434,652,673 parameters; pretrained with four passes in every prediction (`wake_passes`).
"""

from typing import Any, ClassVar

from torch import nn

from baselines.pretrained.layers import DecoderLayer, GroupedAttention
from baselines.pretrained.network import Network
from baselines.pretrained.settings import Settings, whole


class OuroSettings(Settings):
    """Settings of an Ouro decoder: those that all have."""

    @classmethod
    def own(cls, config: dict[str, Any]) -> dict[str, Any]:
        """See `Settings.own`; `total_ut_steps`, the passes that it was pretrained with, is not used: N is given.

        Raises:
            ValueError: that is no number of passes, or some layers are no plain attention.
        """
        whole(config, "total_ut_steps", 4)
        kinds = config.get("layer_types")
        if kinds is not None and (not isinstance(kinds, list) or set(kinds) != {"full_attention"}):
            raise ValueError(f"layer_types = {kinds!r}: built is 'full_attention' alone")
        return {}


class Ouro(Network):
    """The network; the unit that ends its own loop is loaded, so that checkpoints are whole, and not asked."""

    kind: ClassVar[str] = "ouro"
    norm_between: ClassVar[bool] = True

    def __init__(self, settings: Settings) -> None:
        count = range(settings.num_hidden_layers)
        super().__init__(
            settings, [DecoderLayer(settings, GroupedAttention(settings, bias=False), sandwich=True) for _ in count]
        )
        self.model.early_exit_gate = nn.Linear(settings.hidden_size, 1).requires_grad_(False)
