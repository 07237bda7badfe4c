"""Stamps: a JSON object that knows whether it is still what was written, by its last member, `"check-sum"`.

The check is a digest of every byte before it and of the check of the line before. So a changed line is noticed, and one
that is lost, doubled, moved or of another file; that the last ones are there says a `Seal` kept elsewhere. Anyone reads
such a file as JSON.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.rows.files import DamagedFileError, read_plain

NAME = "check-sum"
"""No setting has this name: it is no identifier."""

_STAMP = re.compile(rb',\s*"check-sum": "([0-9a-f]{16})"\s*}\s*\Z')


class Seal(NamedTuple):
    """How many lines a file has, and the check of the last: what another file keeps, to know if it is still whole."""

    lines: int
    check: str | None
    """None of no line at all, and of one that older code wrote without."""

    @classmethod
    def of(cls, value: Any) -> "Seal":
        """A seal read from JSON.

        Raises:
            ValueError: it is none.
        """
        match value:
            case [int(lines), None | str() as check]:
                return cls(lines, check)
        raise ValueError(f"{value!r} is no seal")


def stamp(value: Mapping[str, Any], before: str | None = None, *, indent: int | None = None) -> bytes:
    """A mapping, not empty, as JSON with its check; half a character, which no table could hold, becomes `?`.

    Args:
        value: What is written.
        before: The check of the line before.
        indent: As that of `json.dumps`.
    """
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "replace")[:-1].rstrip()
    gap, end = (b"\n" + b" " * indent, b"\n}") if indent else (b" ", b"}")
    return body + b',%b"check-sum": "%b"%b' % (gap, _digest(body, before).encode(), end)


def unstamp(data: bytes, before: str | None = None) -> tuple[dict[str, Any], str | None]:
    """A mapping from its JSON, and its check; None for what older code wrote without.

    Raises:
        ValueError: no JSON, no mapping, or not what was written; the message says which.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if NAME not in value:
        return value, None
    match = _STAMP.search(data)
    if match is None or _digest(data[: match.start()], before).encode() != match[1]:
        raise ValueError("its check is not that of what stands there: changed, lost, doubled or moved")
    del value[NAME]
    return value, match[1].decode()


def load(path: Path) -> dict[str, Any]:
    """The mapping in a file.

    Raises:
        DamagedFileError: it is not what was written.
        OSError: there is no file.
    """
    try:
        return unstamp(read_plain(path))[0]
    except DamagedFileError:
        raise
    except ValueError as error:
        raise DamagedFileError(f"{path}: {error}") from error


def lines(path: Path) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    """The number, contents and check of each line of a file; none if there is no file.

    An unfinished last line is a torn write: left out. Lines of older code have no check; none such follows a newer one.

    Raises:
        DamagedFileError: naming the first line that is not what was written.
    """
    if not path.exists():
        return
    before = None
    for number, line in enumerate(read_plain(path).split(b"\n")[:-1], start=1):
        try:
            value, check = unstamp(line, before)
            if before is not None and check is None:
                raise ValueError("has no check, though the line before has")
        except ValueError as error:
            raise DamagedFileError(f"{path}, line {number}: {error}") from error
        before = check
        yield number, value, check


def check_of(line: bytes) -> str | None:
    """The check that a line says it has; None if it has none."""
    match = _STAMP.search(line)
    return match[1].decode() if match else None


def _digest(body: bytes, before: str | None) -> str:
    return hashlib.sha256((before or "").encode() + body).hexdigest()[:16]
