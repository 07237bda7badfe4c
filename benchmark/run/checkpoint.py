"""Checkpoints: one file, written whole or not at all, that knows whether it is still what was written.

It is a safetensors file, which other programs read: the tensors, and among its metadata the plain values, as JSON.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from benchmark.rows import DamagedFileError, read_plain, write_atomically
from benchmark.rows.text import error_line
from benchmark.run import tensors

FORMAT = "sleepbench checkpoint 3"
_TYPES = {"model": dict, "optimizer": list, "step": int, "wall_s": float, "loss_sum": torch.Tensor}
"""What training goes on from."""
_UNKNOWN = "0" * 64
"""What stands for the digest while it is made, as it stands in what it is made of."""


class UnfitCheckpointError(DamagedFileError):
    """A checkpoint that is whole and does not go with its cell."""


class Loadable(Protocol):
    """Whatever goes on from its own `state_dict()`."""

    def load_state_dict(self, states: list[dict[str, object]], /) -> None:
        """Take over what a checkpoint holds of it."""


def save(path: Path, contents: dict[str, Any], **facts: Any) -> None:
    """Write tensors and plain values atomically, with some facts and a digest of all.

    `facts` is what is known of the checkpoint without loading it: its cell, and the seals of the files beside it.
    """
    values, arrays = tensors.json_of(contents)
    texts = {"format": FORMAT, "sha256": _UNKNOWN, "facts": json.dumps(facts), "values": json.dumps(values)}
    head, body = tensors.encode(arrays, texts)
    digest = hashlib.sha256(head + body).hexdigest()
    write_atomically(path, head.replace(_UNKNOWN.encode(), digest.encode(), 1) + body)


def check_savable(state: dict[str, Any], whose: str) -> None:
    """Refuse a state that a checkpoint cannot keep: tensors and plain values alone are.

    Raises:
        ValueError: naming the first such entry.
    """
    try:
        tensors.encode(tensors.json_of(state)[1], {})
    except TypeError as error:
        raise ValueError(
            f"{whose} has in its state what a checkpoint cannot keep: {error}; allowed are tensors, numbers, texts, "
            "and lists, tuples and dicts of them"
        ) from error


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save` wrote.

    Raises:
        DamagedFileError: the bytes are not those that were written, or no code of this suite wrote them.
    """
    arrays, texts = _contents(path)
    try:
        contents = tensors.value_of(
            json.loads(texts["values"]), {name: tensor.to(device) for name, tensor in arrays.items()}
        )
    except (KeyError, ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is no checkpoint of this suite: {error}") from error
    if not isinstance(contents, dict) or "cell_id" not in contents:
        raise DamagedFileError(f"{path} is no checkpoint of this suite")
    return contents


def restore(
    path: Path, cell_id: str, model: nn.Module, optimizer: Loadable | None = None, *, device: torch.device
) -> dict[str, Any]:
    """Load a cell's checkpoint into its network and, to go on training, its optimizer; all that the file holds.

    Raises:
        UnfitCheckpointError: it is another cell's, or its values do not go with the network. The network may hold some.
        DamagedFileError: as `load`.
    """
    contents = load(path, device)
    if contents["cell_id"] != cell_id:
        raise UnfitCheckpointError(f"{path} belongs to cell {contents['cell_id']}, not {cell_id}")
    try:
        model.load_state_dict(contents["model"])
        if optimizer is not None:
            for name, kind in _TYPES.items():
                if not isinstance(contents[name], kind):
                    raise TypeError(f"{name} is of type {type(contents[name]).__name__}, not {kind.__name__}")
            optimizer.load_state_dict(contents["optimizer"])
    except torch.OutOfMemoryError:  # a RuntimeError too, and no word about the file
        raise
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else error_line(error)
        raise UnfitCheckpointError(f"{path} does not hold the network of cell {cell_id}: {why}") from error
    return contents


def verify(path: Path) -> dict[str, Any]:
    """The facts that were written with a checkpoint.

    Raises:
        DamagedFileError: the file does not hold the bytes that were written.
    """
    try:
        facts = json.loads(_contents(path)[1]["facts"])
        if not isinstance(facts, dict):
            raise ValueError("its facts are no mapping")
    except (KeyError, ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is no checkpoint of this suite: {error}") from error
    return facts


def _contents(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    data = read_plain(path)
    try:
        arrays, texts = tensors.decode(data)
        if texts.get("format") != FORMAT:
            raise ValueError(f"its format is {texts.get('format', 'not named')}")
        digest = texts.get("sha256", "")
        blank = data.replace(digest.encode(), _UNKNOWN.encode(), 1)
        if len(digest) != len(_UNKNOWN) or hashlib.sha256(blank).hexdigest() != digest:
            raise ValueError("its digest does not match")
    except ValueError as error:
        raise DamagedFileError(f"{path}: not a checkpoint, or not whole ({error})") from error
    return arrays, texts
