"""Where numbers come from: this code's own commit, whatever repository lies around it and whatever git is told."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark import environment

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, name: str) -> Path:
    """A repository with one file under version control."""
    path = folder / name
    path.parent.mkdir(parents=True)
    path.write_text("")
    git(folder, "init", "--quiet")
    git(folder, "add", name)
    git(folder, "commit", "--quiet", "--message", name)
    return folder


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository that holds this code, by its looks."""
    root = repository(tmp_path / "checkout", "benchmark/environment.py")
    monkeypatch.setattr(environment, "ROOT", root)
    environment.commit.cache_clear()
    yield root
    environment.commit.cache_clear()


def test_what_git_is_told_by_others_does_not_count(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = git(checkout, "rev-parse", "--short=12", "HEAD")
    other = repository(tmp_path / "other", "benchmark/elsewhere.py")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))  # as inside a hook
    assert environment.commit() == own


def test_a_change_is_told(checkout: Path) -> None:
    (checkout / "benchmark" / "environment.py").write_text("changed")
    assert str(environment.commit()).endswith("-dirty")


def test_the_repository_of_another_project_is_none_of_its_own(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = repository(tmp_path / "project", "src/theirs.py")
    site = project / ".venv" / "site-packages"
    shutil.copytree(checkout / "benchmark", site / "benchmark")
    monkeypatch.setattr(environment, "ROOT", site)
    assert environment.commit() is None
