"""Weights of a network as one file: `.pt` by torch, or `.safetensors` where that package is installed."""

import importlib
import io
from pathlib import Path
from typing import Any

import torch

from baselines.base import Model
from benchmark.rows import write_atomically

SUFFIXES = (".pt", ".safetensors")


def save(model: Model, path: Path, *, force: bool = False) -> None:
    """Write the weights of a model.

    Raises:
        ValueError: another suffix, a file that is there already without `force`, or no safetensors here.
    """
    _check(path)
    if path.exists() and not force:
        raise ValueError(f"{path} exists; --force replaces it")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        _safetensors().save_model(model, str(path))
        return
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    write_atomically(path, buffer.getvalue())


def load(model: Model, path: Path) -> None:
    """Read weights into a model.

    Raises:
        ValueError: no such file, not weights, those of another network, or no safetensors here.
    """
    _check(path)
    if not path.exists():
        raise ValueError(f"no weights at {path}; `bench evaluate CELL-FOLDER --export FILE` writes those of a cell")
    try:
        if path.suffix == ".safetensors":
            _safetensors().load_model(model, str(path))
        else:
            model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except ValueError:
        raise
    except Exception as error:  # each package has errors of its own for a file that is none
        first = " ".join(str(error).split()[:40])  # of a large network every name would follow
        raise ValueError(f"{path} does not fit this model: {first} ...") from error


def _check(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise ValueError(f"weights lie in a file {' or '.join(f'NAME{suffix}' for suffix in SUFFIXES)}; given {path}")


def _safetensors() -> Any:
    try:
        return importlib.import_module("safetensors.torch")
    except ImportError:
        raise ValueError(
            "NAME.safetensors needs the package safetensors, which is not installed; NAME.pt does not"
        ) from None
