"""Weights of a network as one file, in the safetensors format: nothing in such a file can run."""

from pathlib import Path

from baselines.base import Model
from benchmark.rows import read_plain, write_atomically
from benchmark.run import tensors

SUFFIX = ".safetensors"


def save(model: Model, path: Path, *, force: bool = False) -> None:
    """Write the weights of a model.

    Raises:
        ValueError: another suffix, a file that is there already without `force`, or a state that is not tensors alone.
    """
    _check(path)
    if path.exists() and not force:
        raise ValueError(f"{path} exists; --force replaces it")
    try:
        head, body = tensors.encode(model.state_dict(), {"format": "pt"})
    except (AttributeError, TypeError) as error:
        raise ValueError(f"the state of this model is not tensors alone: {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, head + body)


def load(model: Model, path: Path) -> None:
    """Read weights into a model.

    Raises:
        ValueError: no such file, not weights, or those of another network.
    """
    _check(path)
    if not path.exists():
        raise ValueError(f"no weights at {path}; `bench evaluate CELL-FOLDER --export FILE` writes those of a cell")
    try:
        model.load_state_dict(tensors.decode(read_plain(path))[0])
    except (ValueError, RuntimeError) as error:
        first = " ".join(str(error).split()[:40])  # of a large network every name would follow
        raise ValueError(f"{path} does not fit this model: {first} ...") from error


def _check(path: Path) -> None:
    if path.suffix == ".pt":
        raise ValueError(
            f"{path} may hold code, and is not read; where you trust it, read it with torch yourself and write its "
            f"tensors with safetensors.torch.save_file(tensors, {path.with_suffix(SUFFIX).name!r})"
        )
    if path.suffix != SUFFIX:
        raise ValueError(f"weights lie in a file NAME{SUFFIX}; given {path}")
