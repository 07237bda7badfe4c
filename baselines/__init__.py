"""Models: what learns, made of frozen configs that build a `baselines.base.Model`, knowing nothing of any task.

`MODELS` is the whole registry: one line per model. Installed plug-ins add to it by an entry point, and any other model
is loaded by its path. Importing this package imports none of them.
"""

import difflib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from baselines.base import ModelConfig

MODELS: dict[str, str] = {
    "hybrid": "baselines.hybrid:Hybrid",
    "sliding": "baselines.presets:SlidingHybrid",
    "looped": "baselines.presets:LoopedHybrid",
    "jet": "baselines.presets:JetHybrid",
    "transformer": "baselines.presets:Transformer",
    "full-cache": "baselines.presets:FullCache",
    "retrieval": "baselines.retrieval:Retrieval",
    "ssm": "baselines.presets:PureSSM",
    "rmt": "baselines.memory_tokens:RMT",
    "auto-compressor": "baselines.memory_tokens:AutoCompressor",
    "gist": "baselines.memory_tokens:Gist",
    "cot": "baselines.chain_of_thought:ChainOfThought",
    "cot-asleep": "baselines.chain_of_thought:ChainOfThoughtAsleep",
    "equilibrium": "baselines.equilibrium:Equilibrium",
    "early-exit": "baselines.early_exit:EarlyExit",
    "act": "baselines.act:ACT",
    "pondernet": "baselines.pondernet:PonderNet",
    "self-modifying": "baselines.self_modifying:SelfModifying",
    "fid": "baselines.fusion:FiD",
    "fid-asleep": "baselines.fusion:FiDAsleep",
    "anticipated": "baselines.fusion:Anticipated",
    "subtask-tree": "baselines.subtask_tree:SubtaskTree",
}

PRETRAINED = "hf"
"""Name of a pretrained decoder, which needs a checkpoint folder and so is no line of `MODELS`."""

ENTRY_POINTS = "sleepbench.models"


def available() -> dict[str, str]:
    """Every model that can be loaded, name -> "module:Class": `MODELS`, then installed plug-ins.

    A plug-in declares its models in the entry-point group `sleepbench.models`.

    Raises:
        ValueError: two entries claim one name; which of them ran would depend on the order of installation.
    """
    from importlib.metadata import entry_points  # slow to import, and needed only here

    entries = dict(MODELS)
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in entries:
            raise ValueError(f"two models are named {entry.name!r}: {entries[entry.name]} and {entry.value}")
        entries[entry.name] = entry.value
    return entries


def load(name: str, *, imports: bool = True) -> "type[ModelConfig]":
    """The config class of a model, imported only now, so one broken model cannot break the others.

    Args:
        name: A name of `available()`, or "package.module:attribute" (`baselines.addresses`): a `ModelConfig` class, or
            a function `factory(*, vocab_size, window, seq_len)` that returns a `baselines.base.Model`; or "hf:FOLDER"
            for the checkpoint folder of a decoder, whose cells call it "hf" (`baselines.pretrained.config`).
        imports: Whether the module of "package.module:attribute" is imported, which runs its code; without, it must
            have been before. For names that come from files.

    Raises:
        ValueError: unknown name (the message lists the valid ones and the nearest), a module that fails to import, or
            something there that is no model.
    """
    from baselines.addresses import load_module, model_at, valid_config
    from baselines.base import ModelConfig

    if name == PRETRAINED or name.startswith(f"{PRETRAINED}:"):
        from baselines.pretrained.config import Pretrained, pretrained_at

        return Pretrained if name == PRETRAINED else pretrained_at(name)
    if ":" in name:
        module = name.partition(":")[0]
        if not imports and module not in sys.modules:
            raise ValueError(f"{name!r} is code of the module {module}, imported only if you trust it: --trust")
        return model_at(name)
    models = available()
    if name not in models:
        close = difflib.get_close_matches(name, models, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"unknown model {name!r}; valid: {', '.join(models)}, package.module:attribute, or hf:FOLDER{hint}"
        )
    module, _, attribute = models[name].partition(":")
    model = getattr(load_module(module, f"model {name!r}"), attribute, None)
    if not (isinstance(model, type) and issubclass(model, ModelConfig)):
        raise ValueError(f"model {name!r}: {models[name]} is not a subclass of baselines.base.ModelConfig")
    # A plug-in may bear nobody's name, or that of another model.
    if models.get(valid_config(model, f"model {name!r}").name) != models[name]:
        raise ValueError(f"model {name!r}: {models[name]} calls itself {model.name!r}; its name must be {name!r}")
    return model
