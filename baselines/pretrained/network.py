"""A published decoder as a module of this suite: what its own code calls its parts, and nothing of that code."""

from typing import ClassVar

import torch
from torch import nn

from baselines.pretrained.anatomy import Anatomy, kind_of
from baselines.pretrained.layers import DecoderLayer, Norm
from baselines.pretrained.settings import Settings


class Body(nn.Module):
    """Token table, layers and the norm after them, by their published names."""

    def __init__(self, settings: Settings, layers: list[DecoderLayer]) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(settings.vocab_size, settings.hidden_size)
        self.layers = nn.ModuleList(layers)
        self.norm = Norm(settings.hidden_size, eps=settings.rms_norm_eps)


class Network(nn.Module):
    """A body and a head. Subclasses make the layers, and say how they are looped.

    Attributes:
        kind: Type of model in config.json.
        norm_between: Whether passes over all layers hand on normed features.
    """

    kind: ClassVar[str]
    norm_between: ClassVar[bool] = False

    def __init__(self, settings: Settings, layers: list[DecoderLayer]) -> None:
        super().__init__()
        self.config, self.model = settings, Body(settings, layers)
        self.lm_head = nn.Linear(settings.hidden_size, settings.vocab_size, bias=False)
        own = {id(part) for layer in self.layers if kind_of(layer) == "memory" for part in layer.self_attn.modules()}
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding) and id(module) not in own:  # those have drawn theirs
                nn.init.normal_(module.weight, std=settings.initializer_range)
            if isinstance(module, nn.Linear) and module.bias is not None and id(module) not in own:
                nn.init.zeros_(module.bias)
        self.tie()

    @property
    def layers(self) -> tuple[DecoderLayer, ...]:
        """The layers, first to last."""
        return tuple(self.model.layers)  # type: ignore[arg-type]

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.model.norm.weight.dtype

    def tie(self) -> None:
        """Make the token table the head, where settings say that it is."""
        if self.config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def get_input_embeddings(self) -> nn.Embedding:
        """The token table."""
        return self.model.embed_tokens

    def get_output_embeddings(self) -> nn.Linear:
        """The head."""
        return self.lm_head

    def anatomy(self) -> Anatomy:
        """The parts, as of a decoder of transformers."""
        return Anatomy(
            embedding=self.model.embed_tokens,
            layers=self.layers,
            kinds=tuple(kind_of(layer) for layer in self.layers),
            norm=self.model.norm,
            head=self.lm_head,
            between=self.model.norm if self.norm_between else None,
        )
