"""Plain files: read if they are plain, written so that they are the old or the new one, set aside when damaged."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DamagedFileError(ValueError):
    """A file that is not what was written. A sweep sets it aside, never deletes it, and trains its cell again."""


class OtherCodeError(ValueError):
    """A file that is whole, and that other code wrote, such as a newer version. It stays where it is."""


def read_plain(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DamagedFileError: it is no plain file: reading a pipe would wait for ever.
        OSError: it is not there, or may not be read.
    """
    check_plain(path)
    return path.read_bytes()


def check_plain(path: Path) -> None:
    """Refuse what is no plain file.

    Raises:
        DamagedFileError: it is none.
        OSError: it is not there.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise DamagedFileError(f"{path} is {_kind(path)}, no plain file")


def write_atomically(path: Path, data: bytes) -> None:
    """Write so that whatever happens the file is the old one or the new one, whole. A link is followed.

    Raises:
        ValueError: a device, a pipe or a folder has the name.
        OSError: the file cannot be written; the error names it.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is {_kind(path)}; only a plain file is replaced")
    partial = path.with_name(path.name + ".partial")
    with path_in_errors(path):
        partial.unlink(missing_ok=True)  # of a process that was killed, or a link that somebody laid there
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)  # the new name is on disk only when its folder is
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def path_in_errors(path: Path) -> Iterator[None]:
    """Let errors of the system say which file they are about: those of writing and syncing do not.

    Raises:
        OSError: whatever was raised meanwhile, with the name.
    """
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def set_aside(path: Path) -> Path:
    """Rename a damaged file to a free `.damaged-N` name beside it; the new path."""
    for number in range(1, 1000):
        target = path.with_name(f"{path.name}.damaged-{number}")
        if not target.exists():
            return path.rename(target)
    raise DamagedFileError(f"{path}: a thousand damaged copies lie beside it already")


def _kind(path: Path) -> str:
    """What something is that is no plain file."""
    mode = path.stat().st_mode
    kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
    return next((name for test, name in kinds.items() if test(mode)), "a device")
