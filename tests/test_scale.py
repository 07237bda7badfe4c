"""A cell costs a sweep the same however many there are: operations are counted, never seconds."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import scale
from harness import bench


def operations(work: Callable[[], Any]) -> int:
    """Calls of Python and of C that some work makes on this thread, where a serial sweep does all but train."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


COUNTS = (20, 40, 80)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    warm = tmp_path_factory.mktemp("warm")
    scale.sweep(4, warm)  # imports, and what is counted once a process
    bench("status", warm, "--json")
    return {count: tmp_path_factory.mktemp(f"of {count}") for count in COUNTS}


def per_cell(work: Callable[[int], Any]) -> tuple[float, float]:
    """Operations of each further cell, among few and among more."""
    few, some, many = (operations(lambda: work(count)) for count in COUNTS)  # noqa: B023
    return (some - few) / (COUNTS[1] - COUNTS[0]), (many - some) / (COUNTS[2] - COUNTS[1])


def test_a_cell_costs_the_same_however_many_there_are(folders: dict[int, Path]) -> None:
    for what, work in (
        ("trained", lambda count: scale.sweep(count, folders[count])),
        ("found finished", lambda count: scale.sweep(count, folders[count])),
        ("shown", lambda count: bench("status", folders[count], "--json")),
    ):
        early, late = per_cell(work)
        assert 20 < late < 1.05 * early, f"{what}: {early:.0f} calls for each of the first cells, {late:.0f} later"
    assert all((folder / "rows.parquet").stat().st_size > 1000 for folder in folders.values())
