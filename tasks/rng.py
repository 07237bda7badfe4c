"""Addressed randomness: every random word is a pure function of where it is used.

A stream is named, not advanced: `words(key, i, columns)` gives example i its words without drawing those of
the examples before it. So batch size, order and number of workers cannot change an example, and a run resumes
at any step without history. Seeds go through a cryptographic hash: neighbouring seeds share nothing.

Train, validation and test are told apart by *content*: a content's hash modulo 8 says which split owns it,
whatever the seed, so that nothing held out can be met in training.
"""

import json
import operator
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

# The residues (modulo 8) of a content's hash that each split owns: 3/4 train, 1/8 validation, 1/8 test.
CLASSES: dict[str, range] = {"train": range(2, 8), "validation": range(1, 2), "test": range(0, 1)}

_GROUP = 64  # contents drawn at once at least, by `draw_in_split`

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: multiples of it spread evenly over all words


def stream(*parts: object) -> np.uint64:
    """The key of the stream named by `parts`: JSON values (names, configs, seeds) and numpy integers."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=operator.index)
    return np.uint64(int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little"))


def mix(x: Words) -> Words:
    """Scramble 64-bit words one to one, any shape but 0-d: the finaliser of splitmix64, twice.

    One round passes the usual batteries on a plain counter; the second is cheap insurance for inputs that
    differ in few bits, as neighbouring addresses do.
    """
    for _ in range(2):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return x


def words(
    key: np.uint64, indices: NDArray[np.integer[Any]], columns: int, start: int | NDArray[np.integer[Any]] = 0
) -> Words:
    """Random words [B, columns] of the examples `indices` [B] (>= 0), from column `start` on (of each: [B])."""
    rows = mix(key + _GOLDEN * indices.astype(np.uint64)) + _GOLDEN * np.asarray(start).astype(np.uint64)
    return mix(rows[:, None] + _GOLDEN * np.arange(1, 1 + columns, dtype=np.uint64))


def integers(words: Words, bound: int) -> NDArray[np.int64]:
    """Uniform integers in [0, bound), same shape; no value's probability is off by more than 2^-64."""
    return (words % np.uint64(bound)).astype(np.int64)


def content_hash(codes: NDArray[np.integer[Any]], where: NDArray[np.bool_] | None = None) -> Words:
    """Hash [B] of each row of `codes` [B, n] (integers >= 0), the order within the row left out.

    Codes that `where` [B, n] leaves out count no more than if the row were shorter.
    """
    mixed = mix(codes.astype(np.uint64) + _GOLDEN)
    return mix((mixed if where is None else mixed * where).sum(axis=-1, dtype=np.uint64))


def in_split(hashes: Words, split: str) -> NDArray[np.bool_]:
    """Whether `split` owns the contents with these hashes; same shape."""
    residue, classes = hashes % np.uint64(8), CLASSES[split]
    return (residue >= classes.start) & (residue < classes.stop)


def split_of(hashes: Words) -> NDArray[np.str_]:
    """The name of the split that owns each content, from its hash; same shape."""
    names: NDArray[np.str_] = np.empty(8, dtype="<U10")
    for split, classes in CLASSES.items():
        names[classes.start : classes.stop] = split
    return np.take(names, (hashes % np.uint64(8)).astype(np.intp))


def draw_in_split(
    draw: Callable[[NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[np.int64], Words]],
    split: str,
    indices: NDArray[np.int64],
    attempts: int = 1024,
) -> tuple[NDArray[np.int64], Words, int]:
    """Draw the content of each example again until `split` owns it.

    Args:
        draw: `draw(indices [b], attempts [b]) -> (contents [b, ...], hashes [b])`, each row a pure function of its
            index and of the number of its attempt.
        split: one of `CLASSES`.
        indices: the examples [B].
        attempts: most draws per example; where the split owns an eighth, 1024 fail with probability 1e-59.

    Returns:
        The contents [B, ...], their hashes [B], and how many draws were rejected in all.

    Raises:
        RuntimeError: some example found no content in `attempts` draws: the split owns (almost) none.
    """
    pending = np.arange(len(indices))
    contents, hashes = draw(indices, np.zeros_like(pending))
    rejected, attempt = 0, 1
    pending = pending[~in_split(hashes, split)]
    while len(pending) and attempt < attempts:
        # Where few are left, several attempts at each cost as much as one.
        together = max(1, min(_GROUP // len(pending), 32, attempts - attempt))
        numbers = np.tile(attempt + np.arange(together), len(pending))
        drawn, hashed = draw(np.repeat(indices[pending], together), numbers)
        fits = in_split(hashed, split).reshape(len(pending), together)
        first = np.where(fits.any(axis=1), np.argmax(fits, axis=1), together - 1)
        chosen = np.arange(len(pending)) * together + first
        contents[pending], hashes[pending] = drawn[chosen], hashed[chosen]
        rejected += len(pending) + int(first.sum())
        pending = pending[~fits.any(axis=1)]
        attempt += together
    if len(pending):
        raise RuntimeError(
            f"{len(pending)} of {len(indices)} examples found no {split} content in {attempts} draws: "
            "the task has too few different contents"
        )
    return contents, hashes, rejected
