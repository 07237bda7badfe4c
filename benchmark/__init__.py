"""The harness: trains cells, writes rows, reads rows. It imports `tasks` and `baselines`; they never import it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sleepbench")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "unknown"
