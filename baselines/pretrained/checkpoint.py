"""Checkpoint folders of transformers: what is in them as a digest, and the network that they describe."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import float32

REQUIREMENT = "transformers>=5.24,<6"

VOLATILE_KEYS = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures")
"""Entries of config.json that say nothing about what the network computes."""


def transformers() -> Any:
    """The library.

    Raises:
        ValueError: it is not here, or too old for the caches that are used.
    """
    try:
        import transformers
        from transformers.cache_utils import DummyLayer  # noqa: F401, not there before 5.24
    except ImportError as error:
        raise ValueError(f"pretrained decoders need transformers: pip install '{REQUIREMENT}' ({error})") from error
    return transformers


def digest(folder: Path) -> str:
    """SHA-256 of the network that a checkpoint folder describes, and of its weights if it has any."""
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    return _digest(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=16)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """The same, of files that have not changed since."""
    (config, *_), *weights = files
    settings = {k: v for k, v in json.loads(config.read_text("utf-8")).items() if k not in VOLATILE_KEYS}
    text = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path, *_ in weights:
        with path.open("rb") as file:
            text.update(hashlib.file_digest(file, "sha256").digest())
    return text.hexdigest()


def load(folder: Path) -> Any:
    """The causal language model of a folder in single precision; without weights it is drawn from torch's generator.

    No code of the folder is run, and nothing is fetched.

    Raises:
        ValueError: transformers is missing, or refuses the folder.
    """
    library = transformers()
    library.utils.logging.disable_progress_bar()
    arguments = {"dtype": float32, "attn_implementation": "sdpa"}  # the mask of booleans is sdpa's
    try:
        if not any(folder.glob("*.safetensors")):
            config = library.AutoConfig.from_pretrained(folder, local_files_only=True)
            return library.AutoModelForCausalLM.from_config(config, **arguments)
        return library.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, **arguments
        ).train()
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"transformers cannot load {folder}: {error}") from error
