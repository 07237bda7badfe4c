"""Tables in parquet that know whether they are still what was written.

The digest of all other bytes lies between the data and the footer, where no reader looks: parquet finds its pages by
their places and its footer from the end. So a table is one file, written in one step, and any program reads it. A file
without a digest, of older code or of another program, is taken as it is.
"""

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.rows.files import DamagedFileError, read_plain, write_atomically

if TYPE_CHECKING:
    import polars as pl

_MARK = b"\0sleepbench sha256\0"
_SIZE = hashlib.sha256().digest_size


def write_frame(path: Path, frame: "pl.DataFrame") -> None:
    """Write any table as parquet with its digest, atomically."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    data = buffer.getvalue()
    footer = 8 + int.from_bytes(data[-8:-4], "little")  # its length and the magic bytes stand behind it
    write_atomically(path, data[:-footer] + _MARK + hashlib.sha256(data).digest() + data[-footer:])


def read_frame(path: Path) -> "pl.DataFrame":
    """A table from its file.

    Raises:
        DamagedFileError: not what was written, or not parquet.
    """
    import polars as pl

    data = read_plain(path)
    before, mark, after = data.rpartition(_MARK)
    if mark and hashlib.sha256(before + after[_SIZE:]).digest() != after[:_SIZE]:
        raise DamagedFileError(f"{path} is not what was written (its digest does not match)")
    try:
        return pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DamagedFileError(f"{path} is not a readable parquet file: {error}") from error
