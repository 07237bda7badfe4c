"""Products of matrices in C, of the shapes that blocks have: how near they come to what a core can do.

Run by `make perf`, never by the suite. Nothing here asserts a time.
"""

import ctypes
import subprocess
import time
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from baselines.native import build

SOURCE = """
#include "products.h"
void repeat(long times, long M, long N, long K, const float *A, const float *B, float *C) {
  for (long i = 0; i < times; i++) multiply(M, N, K, A, K, 1, B, N, C, N, 1);
}
"""
SHAPES = [(56, 192, 64), (60, 128, 64), (192, 64, 56), (64, 32, 32), (14, 32, 32), (14, 16, 32), (32, 32, 14)]
TIMES = 2000


@pytest.fixture(scope="module")
def repeat(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """So many products in one call."""
    folder = tmp_path_factory.mktemp("products")
    (folder / "repeat.c").write_text(SOURCE)
    compiler = ["cc", *build.flags(), "-I", str(build.SOURCES), "-o", str(folder / "repeat.so")]
    subprocess.run([*compiler, str(folder / "repeat.c"), "-lm"], check=True)
    function = ctypes.CDLL(str(folder / "repeat.so")).repeat
    function.argtypes, function.restype = [*[ctypes.c_long] * 4, *[ctypes.c_void_p] * 3], None
    return function


@pytest.mark.benchmark(group="products of matrices [M, K] and [K, N] in C")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products(
    benchmark: BenchmarkFixture, note: Callable[..., None], repeat: Callable[..., None], shape: tuple[int, int, int]
) -> None:
    rows, columns, inner = shape
    one, other, result = torch.ones(rows, inner), torch.ones(inner, columns), torch.zeros(rows, columns)
    seconds = []

    def call() -> None:
        begun = time.thread_time()
        repeat(TIMES, *shape, one.data_ptr(), other.data_ptr(), result.data_ptr())
        seconds.append(time.thread_time() - begun)

    benchmark.pedantic(call, rounds=10)
    note(gflops_per_s=2e-9 * TIMES * rows * columns * inner / min(seconds))
