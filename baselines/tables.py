"""Which weights of a network are maps between features, and which are tables with a row per token.

Layers are known by what they are, so that networks of other projects, wrapped in a `baselines.base.Model`, are split as
this suite's own are.
"""

from typing import Any

from torch import Tensor, nn

HEAD = "head"
"""A model's own output layer, by name."""


def maps(model: nn.Module) -> list[Tensor]:
    """The matrices that map features to features, each once, in the order of the modules; none of them is a table."""
    tables = {id(weight) for module in _tables(model) for weight in _weight(module)}
    own = {id(parameter) for parameter in model.parameters()}  # a weight computed from others is no parameter
    weights = {id(weight): weight for module in model.modules() if _is_map(module) for weight in _weight(module)}
    return [weight for key, weight in weights.items() if key in own and key not in tables]


def _tables(model: nn.Module) -> list[Any]:
    """Layers with a row per token: embeddings and output layers, whose weight may be the same.

    An output layer is called `head`, or its network names it by `get_output_embeddings()` as those of transformers do,
    or it is the last linear layer and has an output for each row of an embedding.
    """
    embeddings = [m for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)]
    named: list[Any] = [m.get_output_embeddings() for m in model.modules() if hasattr(m, "get_output_embeddings")]  # type: ignore[operator]
    named += [m for name, m in model.named_modules() if name == HEAD]
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1:]
    rows = {embedding.num_embeddings for embedding in embeddings}
    return [*embeddings, *named, *(m for m in last if m.out_features in rows)]


def _is_map(module: nn.Module) -> bool:
    """Whether it is linear: `nn.Linear`, or the `Conv1D` of transformers, whose weight is the transpose of one."""
    return isinstance(module, nn.Linear) or (hasattr(module, "nf") and [w.dim() for w in _weight(module)] == [2])


def _weight(module: Any) -> list[Tensor]:
    """The weight of a layer that has one."""
    weight = getattr(module, "weight", None)
    return [weight] if isinstance(weight, Tensor) else []
