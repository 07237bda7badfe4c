"""Settings of a pretrained decoder that sleeps, and how a checkpoint folder is named: `hf:FOLDER`."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from baselines.addresses import FOLDER
from baselines.base import ModelConfig
from baselines.hybrid import EVICTIONS, LOOPS, MIXERS, fast_weight_mixer

if TYPE_CHECKING:
    from torch import nn

    from baselines.pretrained.decoder import Decoder

SCHEME = "hf:"
TRAINED_PARTS = ("all", "memory")
JET_BLOCK = "jet-block"
"""Word of the Jet block as published, with values twice as wide as keys, beside those of `MIXERS`."""


@dataclass(frozen=True, kw_only=True)
class Pretrained(ModelConfig):
    """A pretrained decoder from a checkpoint folder, made to sleep: one that is built here, or of transformers.

    Attributes:
        folder: The checkpoint folder: config.json, and weights as safetensors; without weights they are drawn. No part
            of a cell's id, which knows the content.
        checkpoint_sha256: Digest of the content; a folder with another is refused. Empty takes any.
        eviction: What happens to keys and values at a window's end, as of `hybrid`.
        loop: The blocks that further passes run over: "all", or the "middle" half.
        insert: Fast-weight mixer of the layers that are inserted, a word of `MIXERS` or "jet-block"; empty inserts
            none.
        insert_layers: How many are inserted, at equal distances, the last behind the last block.
        insert_heads: Heads of each.
        insert_size: K = V of each head's fast weights; of "jet-block" V is 2 K.
        insert_carried: Whether their fast weights outlive a window; if not, the same network without that memory.
        trained: "all", or "memory": the inserted layers alone, or without any the decoder's own fast-weight mixers.
        wake_passes: Passes of a prediction, each from the fast weights before it. Ouro was pretrained with 4, which
            break the latency constraint.
    """

    name: ClassVar[str] = "hf"
    version: ClassVar[int] = 1

    folder: str = field(default="", metadata={"place": True})
    checkpoint_sha256: str = ""
    eviction: str = "hard"
    loop: str = "all"
    insert: str = ""
    insert_layers: int = 6
    insert_heads: int = 8
    insert_size: int = 64
    insert_carried: bool = True
    trained: str = "all"
    wake_passes: int = field(default=1, metadata={"later": True})

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        choices = {"eviction": EVICTIONS, "loop": LOOPS, "insert": ("", *MIXERS, JET_BLOCK), "trained": TRAINED_PARTS}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                words = ", ".join(word or "nothing" for word in allowed)
                raise ValueError(f"{name} = {getattr(self, name)!r}: needs to be one of {words}")
        for name in ("insert_layers", "insert_heads", "insert_size", "wake_passes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: at least 1 is needed")

    @property
    def tokenizer(self) -> str | None:
        """The folder whose tokenizer.json makes the tokens that the decoder knows; None if it has none."""
        return self.folder if self.folder and (place(self.folder) / "tokenizer.json").is_file() else None

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> "Decoder":
        """The decoder with the weights of its folder, and inserted layers drawn anew.

        Raises:
            ValueError: no folder, or one that holds another checkpoint than was asked for, transformers is missing, the
                decoder is not recognised, or it does not fit the task.
        """
        if not self.folder:
            raise ValueError("model 'hf' needs a checkpoint folder: --model hf:FOLDER, or --set folder=FOLDER")
        if self.eviction == "sliding" and window < 2:
            raise ValueError(
                f"sliding eviction keeps the last L - 1 tokens: L = {window} keeps none; use eviction 'hard', or L >= 2"
            )
        from baselines.pretrained import checkpoint, published

        folder = place(self.folder)
        own = published.is_published(folder)
        if not own:
            checkpoint.transformers()
        content = checkpoint.digest(folder)
        if self.checkpoint_sha256 not in ("", content):
            raise ValueError(f"{folder} holds checkpoint {content[:12]}; asked for is {self.checkpoint_sha256[:12]}")
        lm: Any = published.load(folder) if own else checkpoint.load(folder)
        rows, width = lm.get_input_embeddings().weight.shape
        blocks = lm.config.num_hidden_layers
        if vocab_size > rows:
            raise ValueError(f"the task has {vocab_size} tokens, the decoder of {folder} knows {rows}")
        if self.loop == "middle" and blocks < 4:
            raise ValueError(f"loop = 'middle' needs at least 4 blocks, a quarter before and after; there are {blocks}")
        if self.loop == "middle" and getattr(lm, "norm_between", False):
            raise ValueError(
                f"loop = 'middle': the decoder of {folder} is looped whole, normed between passes; use 'all'"
            )
        if self.insert and self.insert_layers > blocks:
            raise ValueError(f"insert_layers = {self.insert_layers}: the decoder has {blocks} blocks")
        after = [blocks * (i + 1) // self.insert_layers - 1 for i in range(self.insert_layers)] if self.insert else []
        decoder = _kind(own)(
            lm,
            vocab_size=vocab_size,
            window=window,
            eviction=self.eviction,
            loop=self.loop,
            inserted={i: self.mixer(width) for i in after},
            wake_passes=self.wake_passes,
            carried=self.insert_carried,
            trained=self.trained,
        )
        if self.trained == "memory" and not decoder.memory():
            raise ValueError("trained = 'memory': the decoder has no fast weights; insert some, as by insert=jet")
        decoder.check()
        return decoder

    def mixer(self, width: int) -> "nn.Module":
        """A mixer to insert into a decoder of a width."""
        if self.insert == JET_BLOCK:
            from baselines.pretrained.jet_block import JetBlock

            return JetBlock(width, self.insert_heads, key_size=self.insert_size, value_size=2 * self.insert_size)
        return fast_weight_mixer(self.insert)(width, self.insert_heads, state_size=self.insert_size)


def _kind(own: bool) -> "type[Decoder]":
    """What runs a decoder that is built here, or one of transformers."""
    if own:
        from baselines.pretrained.published import PublishedDecoder

        return PublishedDecoder
    from baselines.pretrained.library import LibraryDecoder

    return LibraryDecoder


def place(folder: str) -> Path:
    """Where a checkpoint folder is; a relative one is in the user's folder.

    Raises:
        ValueError: it is not there, or holds no config.json.
    """
    path = Path(os.environ.get(FOLDER) or Path.cwd()) / Path(folder).expanduser()
    if not (path / "config.json").is_file():
        raise ValueError(f"no checkpoint at {path}: a folder with config.json, as save_pretrained() writes, is needed")
    return path


def pretrained_at(address: str) -> type[Pretrained]:
    """The settings of `hf:FOLDER`: those of `Pretrained` with that folder, and the digest of what is in it now.

    Raises:
        ValueError: no checkpoint there, or transformers is missing.
    """
    from baselines.pretrained import checkpoint

    path = place(address.removeprefix(SCHEME)).resolve()
    content = checkpoint.digest(path)

    @dataclass(frozen=True, kw_only=True)
    class Given(Pretrained):
        __doc__ = Pretrained.__doc__
        folder: str = field(default=str(path), metadata={"place": True})
        checkpoint_sha256: str = content

        def __new__(cls, **settings: Any) -> Any:
            """Settings of `Pretrained` itself, so that a cell described in JSON gives equal ones back."""
            return Pretrained(**{"folder": str(path), "checkpoint_sha256": content, **settings})

    return Given
