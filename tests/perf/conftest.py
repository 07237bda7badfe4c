"""What all timings share: one thread, and numbers kept beside the seconds.

What a row means beyond its seconds is printed below it and kept in `extra_info` of `--benchmark-json`.
"""

from collections.abc import Callable, Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Cells train on one thread each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def note(benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Keep numbers with a timing, and show them."""

    def note(**numbers: float) -> None:
        benchmark.extra_info.update(numbers)
        shown = ", ".join(f"{name} {value:,.4g}" for name, value in numbers.items())
        with capsys.disabled():
            print(f"\n  {benchmark.name}: {shown}")

    return note
