"""Published decoders that are built here, known by the type of model in config.json, and how one is run.

They need no library but torch: `--model hf:FOLDER` takes them from a folder as they are published, and any other
decoder from transformers.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.pretrained.anatomy import Anatomy
from baselines.pretrained.decoder import Decoder, Held
from baselines.pretrained.jet_nemotron import JetNemotron, JetNemotronSettings
from baselines.pretrained.network import Network
from baselines.pretrained.ouro import Ouro, OuroSettings
from baselines.pretrained.settings import parsed
from baselines.pretrained.weights import fill

PUBLISHED: dict[str, Callable[[dict[str, Any]], Network]] = {
    Ouro.kind: lambda config: Ouro(OuroSettings.read(config)),
    JetNemotron.kind: lambda config: JetNemotron(JetNemotronSettings.read(config)),
}
"""Networks from a parsed config.json, by the type of model in it."""


def is_published(folder: Path) -> bool:
    """Whether the decoder of a checkpoint folder is one of `PUBLISHED`."""
    return str(parsed(folder).get("model_type")) in PUBLISHED


def load(folder: Path) -> Network:
    """The network of a folder in single precision; without weights it is drawn from torch's generator.

    Raises:
        ValueError: settings or weights are not what is built; the message names what is given, and what is needed.
    """
    config = parsed(folder)
    weights = any(folder.glob("*.safetensors")) or any(folder.glob("*.index.json"))
    try:
        with torch.device("meta" if weights else torch.get_default_device()):
            network = PUBLISHED[config["model_type"]](config)
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'}: {error}") from error
    if weights:
        network.to_empty(device=torch.get_default_device()).tie()
        fill(network, folder)
    return network


class PublishedDecoder(Decoder):
    """A network of `PUBLISHED` that sleeps."""

    def anatomy(self, lm: Network) -> Anatomy:
        """See `Decoder.anatomy`."""
        return lm.anatomy()

    def context(self, h: Tensor, held: Held, read: int, own: bool) -> dict[str, Any]:
        """How many tokens were read before, and how far back eviction lets a token see."""
        return {"read": read, "reach": None if own else self.reach}

    def layer(self, i: int, h: Tensor, context: dict[str, Any], held: Held) -> Tensor:
        """See `Decoder.layer`."""
        layer = self.parts.layers[i]
        if self.kinds[i] == "memory":
            h, held.fast[i], held.tails_after[i] = layer(h, held.fast[i], held.tails[i])
        else:
            h, seen = layer(h, held.kept[i], context["read"], context["reach"])
            self.keep(i, seen, held)
        return h
