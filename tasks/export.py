"""Examples as files: any split of any task as parquet or JSON lines, one row per example.

Both load with `datasets.load_dataset("parquet", data_files=...)` or `"json"`. Every task has the same columns of the
same types, so that files of several tasks can be put together; what differs from task to task, settings and facts, is
one column of JSON.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from tasks.base import Task, nearest

SCHEMA: dict[str, Any] = {
    "task": pl.String,
    "version": pl.Int64,
    "split": pl.String,
    "seed": pl.Int64,
    "index": pl.Int64,  # of the example in the split: with the columns before and the settings, it can be made again
    "prompt": pl.String,  # the problem as text; null where the task has no text
    "tokens": pl.List(pl.Int64),  # the input [T]
    "targets": pl.List(pl.Int64),  # [T], shifted; -100: no loss
    "answer": pl.List(pl.String),  # per answer, its tokens in words, joined by a space
    "difficulty": pl.List(pl.Int64),  # per answer
    "structure": pl.String,  # hashes of what is held out, in hexadecimal: equal in no two splits
    "metadata": pl.String,  # JSON: {"settings": {...}, "facts": {...}}
}

SUFFIXES = (".parquet", ".jsonl")

_CHUNK_TOKENS = 1 << 18  # some 50 MB of Python objects at once, whatever the task


def chunks(task: Task, examples: int) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """The indices 0..examples - 1 in pieces that fit in memory."""
    size = max(1, _CHUNK_TOKENS // task.seq_len)
    for start in range(0, examples, size):
        yield np.arange(start, min(start + size, examples))


def check_path(path: Path, *, force: bool) -> None:
    """Refuse a path that `write` could not, or should not, write to.

    Raises:
        ValueError: unknown suffix, or there is a file already and `force` is not set.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: {nearest(path.suffix, SUFFIXES, kind='suffix')}")
    if path.exists() and not force:
        raise ValueError(f"{path} is there already; --force replaces it")


def write(
    task: Task,
    path: Path,
    *,
    split: str,
    examples: int,
    seed: int = 0,
    advance: Callable[[int], object] = lambda rows: None,
) -> None:
    """Write the first `examples` examples of a split, in the format that the suffix of `path` names.

    The file appears under its name when it is whole; whatever stops the writing leaves what was there before.
    `advance` hears the number of rows after each piece, from another thread.
    """

    def frames(*_: object) -> Iterator[pl.DataFrame]:
        for indices in chunks(task, examples):
            records = task.records(split, indices, seed)
            yield pl.DataFrame({name: [row[name] for row in records] for name in SCHEMA}, schema=SCHEMA)
            advance(len(indices))

    path = path.resolve() if path.is_symlink() else path  # a link stays, and what it leads to is written
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a pipe, a device or a folder; only a plain file is replaced")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    rows = register_io_source(frames, schema=SCHEMA)
    try:
        try:
            with partial.open("wb") as file:
                if path.suffix == ".parquet":  # a row group is in memory as a whole, both to write and to read
                    rows.sink_parquet(file, row_group_size=max(1, 8 * _CHUNK_TOKENS // task.seq_len))
                else:
                    rows.sink_ndjson(file)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    finally:  # out of a sink Ctrl-C is raised twice, and the second time may end the clean-up above
        partial.unlink(missing_ok=True)
