"""Models: what learns, made of frozen configs that build a `baselines.base.Model`, knowing nothing of any task.

`MODELS` is the whole registry: one line per model. Importing this package imports none of them.
"""

import difflib
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from baselines.base import ModelConfig

MODELS: dict[str, str] = {
    "hybrid": "baselines.hybrid:Hybrid",
}

ENTRY_POINTS = "sleepbench.models"


def available() -> dict[str, str]:
    """Every model that can be loaded, name -> "module:Class": `MODELS`, then installed plug-ins.

    A plug-in declares its models in the entry-point group `sleepbench.models`.

    Raises:
        ValueError: two entries claim one name; which of them ran would depend on the order of installation.
    """
    from importlib.metadata import entry_points  # slow to import, and needed only here

    found = dict(MODELS)
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in found:
            raise ValueError(f"two models are named {entry.name!r}: {found[entry.name]} and {entry.value}")
        found[entry.name] = entry.value
    return found


def load(name: str) -> "type[ModelConfig]":
    """The config class of the model `name`, imported only now, so one broken model cannot break the others.

    Raises:
        ValueError: unknown name (the message lists the valid ones and the nearest), or not a `ModelConfig`.
        ImportError: the model's own module fails to import.
    """
    from baselines.base import ModelConfig

    models = available()
    if name not in models:
        close = difflib.get_close_matches(name, models, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown model {name!r}; valid: {', '.join(models)}{hint}")
    module, _, attribute = models[name].partition(":")
    model = getattr(importlib.import_module(module), attribute, None)
    if not (isinstance(model, type) and issubclass(model, ModelConfig)):
        raise ValueError(f"model {name!r}: {models[name]} is not a subclass of baselines.base.ModelConfig")
    return model
