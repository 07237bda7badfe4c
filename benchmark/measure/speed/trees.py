"""The code of another commit, in a folder of its own for as long as it is needed. Nothing of the repository changes."""

import difflib
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.environment import without_git
from benchmark.measure.speed.speed_worker import PACKAGES


def resolve(ref: str, root: Path) -> str:
    """The full hash of the commit that `ref` names in the repository of the folder `root`.

    Raises:
        ValueError: no repository, or no such commit; the message has git's own, and the nearest branch or tag.
    """
    why = "a commit to compare with takes a checkout of this project's git repository"
    if _git(root, "rev-parse", "--show-prefix", why=why).strip():  # within a repository that may be another project's
        _git(root, "ls-files", "--error-unmatch", "--", *PACKAGES, why=why)
    try:
        return _git(root, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}", why="").strip()
    except ValueError as error:
        names = _git(root, "for-each-ref", "--format=%(refname:short)", why="its branches cannot be listed").split()
        close = difflib.get_close_matches(ref, [*names, "HEAD"], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown commit {ref!r}: {error}{hint}") from None


@contextmanager
def checkout(commit: str, root: Path) -> Iterator[Path]:
    """Yield a temporary folder that holds this project's packages as they were in a commit; gone afterwards.

    Raises:
        ValueError: the commit has none of the packages.
    """
    why = f"commit {commit} cannot be read"
    packages = _git(root, "ls-tree", "-d", "--name-only", commit, *PACKAGES, why=why).split()
    if not packages:
        raise ValueError(f"commit {commit} has none of the folders {', '.join(PACKAGES)}: nothing to compare with")
    with tempfile.TemporaryDirectory(prefix="bench-speed-") as folder:
        archive = ["git", "archive", "--format=tar", commit, *packages]
        process = subprocess.run(archive, cwd=root, env=without_git(), capture_output=True)
        if process.returncode:
            raise ValueError(f"{why}: {process.stderr.decode(errors='replace').strip()}")
        with tarfile.open(fileobj=io.BytesIO(process.stdout)) as files:
            if hasattr(tarfile, "data_filter"):  # from Python 3.11.4 on
                files.extraction_filter = tarfile.data_filter
            files.extractall(folder)
        yield Path(folder)


def _git(root: Path, *arguments: str, why: str) -> str:
    """What git says; ValueError with `why` and git's own message if it fails."""
    process = subprocess.run(["git", *arguments], cwd=root, env=without_git(), capture_output=True, text=True)
    if process.returncode:
        raise ValueError(": ".join(filter(None, (why, process.stderr.strip()))))
    return process.stdout
