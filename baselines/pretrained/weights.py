"""Weights of a checkpoint folder as it is published: safetensors files, one or several with an index.

They are read here rather than by a library, so that a published network needs nothing but torch. The format is at
https://github.com/huggingface/safetensors: eight bytes of length, a header in JSON, then the numbers alone.
"""

import json
import math
import mmap
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

INDEX = "model.safetensors.index.json"
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
COMPUTED = "rotary_emb.inv_freq"
"""End of the names of tensors that follow from config.json, which some checkpoints hold all the same."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A tensor in a file.

    Attributes:
        file: Where it is.
        dtype: Its type of numbers.
        shape: Its shape.
        start: Its first byte.
    """

    file: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int

    def read(self) -> Tensor:
        """The numbers, as a map of the file into memory."""
        with self.file.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        count = math.prod(self.shape)
        return torch.frombuffer(memory, dtype=self.dtype, count=count, offset=self.start).reshape(self.shape)


def fill(network: nn.Module, folder: Path) -> None:
    """Copy the tensors of a folder into the parameters of a network that have their names.

    A parameter that two layers share is asked for by the first of its names.

    Raises:
        ValueError: a tensor is missing, of another shape, or unknown, or a file is none.
    """
    parameters = dict(network.named_parameters())
    shared = dict(network.named_parameters(remove_duplicate=False)).keys() - parameters.keys()
    tensors = {
        name: tensor for name, tensor in stored(folder).items() if name not in shared and not name.endswith(COMPUTED)
    }
    unknown = tensors.keys() - parameters.keys()
    for name, parameter in parameters.items():
        shape = list(parameter.shape)
        if name not in tensors:
            raise ValueError(f"{folder} lacks the tensor {name!r} of shape {shape}{_nearest(name, unknown)}")
        if tensors[name].shape != parameter.shape:
            raise ValueError(
                f"{tensors[name].file}: tensor {name!r} has shape {list(tensors[name].shape)}; "
                f"by config.json it is {shape}"
            )
    if unknown:
        name = min(unknown)
        raise ValueError(
            f"{tensors[name].file} holds the tensor {name!r}, which a network of this config.json has not"
            + _nearest(name, parameters)
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name].read())


def stored(folder: Path) -> dict[str, Stored]:
    """Every tensor of a folder by name: of the files that its index names, or without one of every file.

    Raises:
        ValueError: a file that the index names is missing, lacks the tensor, or is none.
    """
    if not (folder / INDEX).is_file():
        return {name: t for file in sorted(folder.glob("*.safetensors")) for name, t in _stored(file).items()}
    places = _parsed((folder / INDEX).read_bytes(), folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(at, str) for at in places.values()):
        raise ValueError(f"{folder / INDEX} has no 'weight_map' of tensors to files")
    files: dict[str, dict[str, Stored]] = {}
    for name, at in places.items():
        if Path(at).name != at or not (folder / at).is_file():
            raise ValueError(f"{folder / INDEX} places {name!r} in {at!r}, which is no file of the folder")
        files.setdefault(at, {}) or files.update({at: _stored(folder / at)})
        if name not in files[at]:
            raise ValueError(f"{folder / at} lacks the tensor {name!r}, which {INDEX} places there")
    return {name: files[at][name] for name, at in places.items()}


def _stored(file: Path) -> dict[str, Stored]:
    """Every tensor of a file by name."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 0 < length <= size - 8:
            raise ValueError(f"{file} is no safetensors file: its header is longer than the file")
        entries = _parsed(stream.read(length), file)
    entries.pop("__metadata__", None)
    tensors = {}
    for name, entry in entries.items():
        match entry:
            case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(start), int(stop)]}:
                if kind not in DTYPES:
                    raise ValueError(f"{file}: tensor {name!r} is of type {kind}; needed is one of {', '.join(DTYPES)}")
                whole = all(type(n) is int and n >= 0 for n in shape)
                bytes_of = math.prod(shape) * DTYPES[kind].itemsize if whole else -1
                if 0 <= start <= stop <= size - 8 - length and stop - start == bytes_of:
                    tensors[name] = Stored(file=file, dtype=DTYPES[kind], shape=tuple(shape), start=8 + length + start)
                    continue
        raise ValueError(f"{file}: tensor {name!r} does not lie where its header says; the file may be cut short")
    return tensors


def _parsed(data: bytes, file: Path) -> dict[str, Any]:
    """A mapping in JSON."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} holds no JSON where it should ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file} holds no mapping in JSON where it should")
    return value


def _nearest(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, [*names], n=1)
    return f"; nearest is {close[0]!r}" if close else ""
