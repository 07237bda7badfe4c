"""Tensors in files: whatever a state holds comes back with its types, and other programs can read it."""

import json
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from benchmark.run import tensors

ODD = {
    "state": {0: {"step": torch.tensor(3.0), "empty": torch.zeros(0, 4)}, 1: {}},
    "groups": [{"betas": (0.9, 0.95), "lr": 1e-3, "names": ["a", "b"], "fused": None, "on": True}],
    "numbers": (float("inf"), float("-inf"), 2**70, -0.0),
    "a.b": torch.arange(6).reshape(2, 3).T,
    "a": {"b": torch.ones((), dtype=torch.bfloat16)},
    "tensor": "tensor",
    "dict": {"tensor": "a.b"},
    None: {True: 1, 2.5: []},
}


def there_and_back(value: Any) -> Any:
    text, named = tensors.json_of(value)
    head, body = tensors.encode(named, {"values": json.dumps(text)})
    read, texts = tensors.decode(head + body)
    return tensors.value_of(json.loads(texts["values"]), read)


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert torch.equal(one, other) or one.isnan().all()
    elif isinstance(one, dict):
        assert list(one) == list(other) and list(map(type, one)) == list(map(type, other))
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert repr(one) == repr(other)


def test_a_state_comes_back_with_its_types() -> None:
    assert_same(there_and_back(ODD), ODD)


@pytest.mark.parametrize("name", tensors.DTYPES)
def test_every_type_of_element_comes_back(name: str) -> None:
    dtype = tensors.DTYPES[name]
    tensor = torch.tensor([0, 1, 1, 0]).to(dtype).reshape(2, 2)
    (back,) = tensors.decode(b"".join(tensors.encode({"x": tensor}, {})))[0].values()
    assert back.dtype == dtype and torch.equal(back.to(torch.complex64), tensor.to(torch.complex64))


@pytest.mark.skipif(find_spec("safetensors") is None, reason="safetensors is not installed")
def test_others_read_it_and_are_read() -> None:
    import safetensors.torch as others

    named = {"x": torch.randn(3, 2), "y": torch.arange(5, dtype=torch.int16), "z": torch.tensor(1.0)}
    assert_same(dict(sorted(others.load(b"".join(tensors.encode(named, {"format": "pt"}))).items())), named)
    back, texts = tensors.decode(others.save(named, {"format": "pt"}))
    assert texts == {"format": "pt"}
    assert_same(dict(sorted(back.items())), named)


@pytest.mark.parametrize(
    "tensor",
    [torch.eye(2).to_sparse(), torch.zeros(2, dtype=torch.complex128), torch.zeros(2, device="meta")],
    ids=["sparse", "complex128", "meta"],
)
def test_what_the_format_lacks_is_named(tensor: torch.Tensor) -> None:
    with pytest.raises(TypeError, match="'x' is a tensor of"):
        tensors.encode({"x": tensor}, {})


def header(**entries: Any) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(8)


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes


FORGED = {
    "too short": b"abc",
    "a header of 2^60 bytes": (2**60).to_bytes(8, "little") + b"{}",
    "no JSON": (2).to_bytes(8, "little") + b"{]",
    "a deep header": (200_000).to_bytes(8, "little") + b"[" * 200_000,
    "a list": (2).to_bytes(8, "little") + b"[]",
    "metadata of numbers": header(__metadata__={"a": 1}, x=entry()),
    "a type of others": header(x=entry(dtype="F4")),
    "a shape below zero": header(x=entry(shape=[-2])),
    "a shape of bools": header(x=entry(shape=[True, 2])),
    "a shape beyond any file": header(x=entry(shape=[2**40, 2**40])),
    "another size": header(x=entry(shape=[3])),
    "beyond the end": header(x=entry(shape=[4], data_offsets=[0, 16])),
    "before the beginning": header(x=entry(data_offsets=[-8, 0])),
    "bytes of nobody": header(x=entry(shape=[1], data_offsets=[0, 4])),
    "two in one place": header(x=entry(), y=entry()),
    "a hole": header(x=entry(shape=[1], data_offsets=[4, 8])),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_file_is_refused(kind: str) -> None:
    with pytest.raises(ValueError):
        tensors.decode(FORGED[kind])


@pytest.mark.parametrize(
    "text", [{"tensor": "x"}, {"dict": [[{"dict": []}, 1]]}, {"dict": [1]}, {"float": "1"}, {"a": 1}, {"tuple": 1}]
)
def test_a_forged_value_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="is no value of a checkpoint"):
        tensors.value_of(text, {})
