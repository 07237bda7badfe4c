"""Checkpoints: one file, written whole or not at all, that knows whether it is still what was written."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from benchmark.rows import DamagedFileError, read_plain, stamps, write_atomically

_MAGIC = b"sleepbench checkpoint 2 "
_FIRST = b"sleepbench checkpoint 1 sha256 "


def save(path: Path, contents: dict[str, Any], **facts: Any) -> None:
    """Write tensors and plain values atomically, after a stamped line of JSON with their digest and some facts.

    `facts` is what is known of the checkpoint without loading it: its cell, and the seals of the files beside it.
    """
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    data = buffer.getvalue()
    head = stamps.stamped({"sha256": hashlib.sha256(data).hexdigest(), **facts})
    write_atomically(path, _MAGIC + head + b"\n" + data)


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
        DamagedFileError: the bytes are not those that were written, or no code of this suite wrote them.
    """
    _, data = _verified(path)
    try:
        contents = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except Exception as error:  # whatever the unpickler and the reader of archives raise
        raise DamagedFileError(f"{path} is no checkpoint of this suite: {error}") from error
    if not isinstance(contents, dict) or not {"cell_id", "model"} <= contents.keys():
        raise DamagedFileError(f"{path} is no checkpoint of this suite")
    return contents


def verify(path: Path) -> dict[str, Any]:
    """The facts that were written with a checkpoint; none of one that older code wrote.

    Raises:
        DamagedFileError: the file does not hold the bytes that were written.
    """
    return _verified(path)[0]


def _verified(path: Path) -> tuple[dict[str, Any], bytes]:
    head, _, data = read_plain(path).partition(b"\n")
    facts: dict[str, Any] = {}
    try:
        if head.startswith(_MAGIC):
            facts, _ = stamps.unstamped(head.removeprefix(_MAGIC))
            digest = facts.pop("sha256", None)
        else:
            digest = head.removeprefix(_FIRST).decode() if head.startswith(_FIRST) else None
        if digest != hashlib.sha256(data).hexdigest():
            raise ValueError("its digest does not match")
    except ValueError as error:
        raise DamagedFileError(f"{path}: not a checkpoint, or not whole ({error})") from error
    return facts, data
