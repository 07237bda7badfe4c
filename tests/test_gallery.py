"""The committed gallery is what the tasks draw now, and its contents list leads somewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from harness import bench

import tasks
from tasks import gallery
from tasks.rule110 import Rule110


@dataclass(frozen=True, kw_only=True)
class Fenced(Rule110):
    """A task whose examples hold a fence."""

    name: ClassVar[str] = "fenced"
    variations: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"cells": 5})

    cells: int = 4
    strings: int = 1

    @property
    def landmarks(self) -> tuple[int, ...]:
        return (0, 3)

    def example(self, index: int = 0, split: str = "train", seed: int = 0) -> str:
        return f"```\nafter {self.rollout_steps} steps of {self.cells} cells\n```"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> str:
    """The gallery of two small tasks."""
    monkeypatch.setitem(tasks.TASKS, "fenced", f"{__name__}:Fenced")
    return gallery.page(["recall", "fenced"])


def test_the_committed_gallery_is_up_to_date() -> None:
    made = gallery.page()
    assert gallery.PATH.exists(), "`bench gallery` writes it"
    assert gallery.PATH.read_text("utf-8") == made, "`bench gallery` brings it up to date"


def test_every_level_has_an_example_and_a_link_to_it(page: str) -> None:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    assert headings == [
        *("Gallery", "recall", *(f"recall, pairs {pairs}" for pairs in tasks.load("recall")().landmarks)),
        *("fenced", "fenced, rollout_steps 0", "fenced, rollout_steps 3"),
        *("fenced, cells 5, rollout_steps 0", "fenced, cells 5, rollout_steps 3"),
    ]
    anchors = [re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings[1:]]  # as GitHub does
    assert re.findall(r"\]\(#(.+?)\)", page) == anchors
    assert tasks.load("recall")().at(16).example() in page
    assert page.endswith("\n")
    assert not page.endswith("\n\n")


def test_an_example_cannot_end_its_block(page: str) -> None:
    assert "\n````text\n```\nafter 0 steps of 4 cells\n```\n````\n" in page
    assert "\n````text\n```\nafter 3 steps of 5 cells\n```\n````\n" in page


def test_the_command_writes_and_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "GALLERY.md"
    monkeypatch.setattr(gallery, "PATH", path)
    monkeypatch.setattr(gallery, "page", lambda: "# Gallery, α\n")
    missing = bench("gallery", "--check")
    assert (missing.code, missing.err) == (1, f"{path} is not what `bench gallery` writes\n")
    assert not path.exists()
    done = bench("gallery")
    assert (done.code, done.out, done.err) == (0, f"{path}\n", "")
    assert path.read_bytes() == "# Gallery, α\n".encode()
    assert bench("gallery", "--check").code == 0
    path.write_text("# Gallery, changed\n")
    assert bench("gallery", "--check").code == 1
    assert path.read_text() == "# Gallery, changed\n"
