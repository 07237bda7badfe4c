"""The harness: trains cells, writes rows, reads rows. It imports `tasks` and `baselines`; they never import it.

What a notebook needs is here: `from benchmark import suite, read, draw, verify, check` (see `benchmark.api`).
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.api import check, draw, read, suite, verify

__all__ = ["check", "draw", "read", "suite", "verify"]

try:
    __version__ = version("sleepbench")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "unknown"


def __getattr__(name: str) -> Any:
    """The functions of `benchmark.api`, which load torch and more, only when one is asked for."""
    if name in __all__:
        return getattr(import_module("benchmark.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
