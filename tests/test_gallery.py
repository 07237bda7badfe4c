"""The committed gallery is what the tasks draw now, and its contents list leads somewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from harness import bench

import tasks
from benchmark.cells.suites import SUITES, suite
from tasks import gallery
from tasks.rule110 import Rule110

COMMITTED = Path(tasks.__file__).with_name("GALLERY.md")


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
    """Of the tasks that it has, which those of the suites are: a new task need not be there."""
    committed = COMMITTED.read_text("utf-8")
    names = re.findall(r"^## (.+)$", committed, re.MULTILINE)
    assert committed == gallery.page(names), "`bench gallery --force` brings it up to date"
    assert {base.task.name for name in SUITES for base in suite(name, "paper").bases} <= set(names)


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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gallery, "page", lambda: "# Gallery, α\n")
    missing = bench("gallery", "--check")
    assert (missing.code, missing.err) == (1, "tasks/GALLERY.md is not what `bench gallery` writes\n")
    path = tmp_path / "tasks" / "GALLERY.md"
    assert not path.exists()
    done = bench("gallery")
    assert (done.code, done.out, done.err) == (0, "tasks/GALLERY.md\n", "")
    assert path.read_bytes() == "# Gallery, α\n".encode()
    assert bench("gallery", "--check").code == 0
    path.write_text("# Gallery, changed\n")
    assert bench("gallery", "--check").code == 1
    refused = bench("gallery")
    assert (refused.code, refused.err) == (2, "bench: tasks/GALLERY.md is there already; --force replaces it\n")
    assert path.read_text() == "# Gallery, changed\n"
    assert bench("gallery", "--out", path, "--force").code == 0
    assert path.read_text("utf-8") == "# Gallery, α\n"
