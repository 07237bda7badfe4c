"""Checkpoints: one file, written whole or not at all, that knows whether it is still what was written."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from benchmark.rows import DamagedFileError, write_atomically

_MAGIC = b"sleepbench checkpoint 1 sha256 "


def save(path: Path, contents: dict[str, Any]) -> None:
    """Write tensors and plain values atomically, after a line with their digest."""
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    data = buffer.getvalue()
    write_atomically(path, _MAGIC + hashlib.sha256(data).hexdigest().encode() + b"\n" + data)


def check_savable(state: dict[str, Any], whose: str) -> None:
    """Refuse a state that could be written but not read again: tensors and plain values alone are.

    Raises:
        ValueError: naming the entries.
    """
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            continue
        buffer = io.BytesIO()
        try:
            torch.save(value, buffer)
            buffer.seek(0)
            torch.load(buffer, weights_only=True)
        except Exception as error:  # whatever the pickling of somebody's object raises
            raise ValueError(
                f"{whose} has {name!r} in its state, of type {type(value).__name__}, which a checkpoint cannot keep; "
                "allowed are tensors, numbers, texts, and lists, tuples and dicts of them"
            ) from error


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save` wrote.

    Raises:
        DamagedFileError: the bytes are not those that were written.
    """
    contents: dict[str, Any] = torch.load(io.BytesIO(_verified(path)), map_location=device, weights_only=True)
    return contents


def verify(path: Path) -> None:
    """Raise DamagedFileError unless the file holds the bytes that were written."""
    _verified(path)


def _verified(path: Path) -> bytes:
    head, _, data = path.read_bytes().partition(b"\n")
    if head != _MAGIC + hashlib.sha256(data).hexdigest().encode():
        raise DamagedFileError(f"{path}: not a checkpoint, or not whole (its digest does not match)")
    return data
