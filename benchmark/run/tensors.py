"""Tensors as a file in the safetensors format: eight bytes of length, a header in JSON, then the numbers alone.

Nothing in it can run: whoever reads it gets numbers or a message. Other programs read the tensors, too. Plain values
stand beside them as JSON among the format's metadata, where tensors are named. The format is at
https://github.com/huggingface/safetensors.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""The format's names of element types."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_KEYS = (str, int, float, bool, type(None))
_METADATA = "__metadata__"
_HEADER_LIMIT = 100_000_000
"""No longer header is read, as the format's own readers do."""


def encode(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Tensors by name and some texts, as the header of a file, its length included, and the bytes that follow it.

    Raises:
        TypeError: a tensor whose numbers do not lie in memory, or of a type that the format lacks.
    """
    entries: dict[str, Any] = {_METADATA: dict(metadata)}
    pieces, end = list[bytes](), 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES or tensor.layout != torch.strided or tensor.is_meta:
            kind = f"{tensor.dtype}".removeprefix("torch.") if tensor.layout == torch.strided else str(tensor.layout)
            raise TypeError(f"{name!r} is a tensor of {kind}{' without numbers' * tensor.is_meta}")
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        pieces.append(flat.view(torch.uint8).numpy().tobytes() if len(flat) else b"")
        begin, end = end, end + len(pieces[-1])
        entries[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)  # so that the numbers begin where a map of the file into memory can use them
    return len(header).to_bytes(8, "little") + header, b"".join(pieces)


def decode(data: bytes) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and texts of a file: what `encode` was given, or another program wrote.

    Raises:
        ValueError: it is no such file; every byte belongs to one tensor.
    """
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= min(_HEADER_LIMIT, len(data) - 8):
        raise ValueError("its header is longer than the file")
    try:
        entries = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its header is not JSON ({error})") from error
    if not isinstance(entries, dict):
        raise ValueError("its header is no mapping")
    metadata = entries.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata are no texts by name")
    tensors, end = dict[str, torch.Tensor](), 0
    body = memoryview(data)[8 + length :]
    for name, dtype, shape, stop in sorted(_entries(entries), key=lambda entry: entry[3]):
        size = math.prod(shape) * dtype.itemsize
        if stop - end != size or stop > len(body):
            raise ValueError(f"{name!r} does not lie where it should")
        numbers = torch.frombuffer(bytearray(body[end:stop]), dtype=torch.uint8) if size else torch.empty(0)
        tensors[name] = (numbers.view(dtype) if size else numbers.to(dtype)).reshape(shape)
        end = stop
    if end != len(body):
        raise ValueError(f"{len(body) - end} bytes belong to no tensor")
    return {name: tensors[name] for name in entries}, metadata


def _entries(entries: dict[str, Any]) -> Iterator[tuple[str, torch.dtype, list[int], int]]:
    for name, entry in entries.items():
        match entry:
            case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(), int(stop)]} if kind in DTYPES:
                if all(type(size) is int and 0 <= size < 2**63 for size in shape):
                    yield name, DTYPES[kind], shape, stop
                    continue
        raise ValueError(f"{name!r} is described as no tensor")


def json_of(value: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """A value as JSON that keeps its types, and the tensors in it under the names that stand in their places.

    Raises:
        TypeError: it holds something else than tensors, numbers, texts, and lists, tuples and dicts of them.
    """
    tensors = dict[str, torch.Tensor]()

    def put(value: Any, *path: str) -> Any:
        where = ".".join(path) or "it"
        if isinstance(value, torch.Tensor):
            name = where if where not in tensors else f"{where}#{len(tensors)}"
            tensors[name] = value
            return {"tensor": name}
        if isinstance(value, dict):
            if odd := [key for key in value if type(key) not in _KEYS]:
                raise TypeError(f"{where} has a key of type {type(odd[0]).__name__}")
            return {"dict": [[put(key), put(item, *path, str(key))] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            items = [put(item, *path, str(i)) for i, item in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if type(value) in _KEYS:
            return value
        raise TypeError(f"{where} is of type {type(value).__name__}")

    return put(value), tensors


def value_of(text: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The value that `json_of` was given.

    Raises:
        ValueError: it is none such, or names a tensor that is not there.
    """
    match text:
        case {"tensor": str(name)} if name in tensors:
            return tensors[name]
        case {"dict": list(pairs)} if all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            entries = [(value_of(key, tensors), value_of(item, tensors)) for key, item in pairs]
            if all(type(key) in _KEYS for key, _ in entries):
                return dict(entries)
        case {"tuple": list(items)}:
            return tuple(value_of(item, tensors) for item in items)
        case {"float": "inf" | "-inf" | "nan" as name}:
            return float(name)
        case list(items):
            return [value_of(item, tensors) for item in items]
        case None | bool() | int() | float() | str():
            return text
    raise ValueError(f"{str(text)[:80]} is no value of a checkpoint")
