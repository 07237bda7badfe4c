"""The tokens of a pretrained decoder, from the tokenizer.json of its checkpoint folder (extra `hf`)."""

import hashlib
import os
from functools import cache
from pathlib import Path

from tasks.addresses import FOLDER

FILE = "tokenizer.json"


class PieceTokenizer:
    """Pieces of words as the tokenizer of a folder cuts them; nothing is added at the ends of a text.

    Args:
        folder: Where tokenizer.json lies; relative, to the user's folder.

    Raises:
        ValueError: it is not there, or the library that reads it is not.
    """

    def __init__(self, folder: str) -> None:
        path = place(folder)
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ValueError(f"{path} is read by tokenizers, which comes with transformers: the extra hf") from error
        self._pieces = Tokenizer.from_file(str(path))

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        size: int = self._pieces.get_vocab_size()
        return size

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        ids: list[int] = self._pieces.encode(text, add_special_tokens=False).ids
        return ids

    def word(self, token: int) -> str:
        """A token as a reader sees it."""
        return repr(self._pieces.decode([token], skip_special_tokens=False)).strip("'\"")


def place(folder: str) -> Path:
    """Where the tokenizer of a folder is.

    Raises:
        ValueError: the folder has none.
    """
    path = Path(os.environ.get(FOLDER) or Path.cwd()) / Path(folder).expanduser() / FILE
    if not path.is_file():
        raise ValueError(f"no tokenizer at {path}: save_pretrained() of a tokenizer writes one")
    return path


def check_named(folder: str, sha256: str) -> None:
    """Refuse to take the words of a task for the pieces that it asks for, as rows do that do not know the folder.

    Raises:
        ValueError: a tokenizer of that digest is asked for, and no folder is named.
    """
    if sha256 and not folder:
        raise ValueError(f"tokenizer {sha256[:12]} is asked for, and no folder that has it is named")


def digest(folder: str) -> str:
    """SHA-256 of the tokenizer of a folder."""
    return hashlib.sha256(place(folder).read_bytes()).hexdigest()


@cache
def pieces(folder: str, sha256: str) -> PieceTokenizer:
    """The tokenizer of a folder, read once.

    Raises:
        ValueError: it is another than was asked for.
    """
    if digest(folder) != sha256:
        raise ValueError(f"{place(folder)} is another tokenizer than was asked for, {sha256[:12]}")
    return PieceTokenizer(folder)
