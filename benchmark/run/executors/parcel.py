"""The code that cells need, copied into one folder that can travel to other machines."""

import shutil
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import baselines
import tasks
from benchmark.cells.cell import Cell
from benchmark.environment import PACKAGES, ROOT

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def pack(cells: Iterable[Cell], folder: Path) -> None:
    """Copy this project's packages and what the cells' tasks and models are made of; `folder` is then all it takes.

    With a module in a folder of the user's goes what lies beside it: modules, and packages that this process has
    imported. Of an installed one its package goes, with the entry points by which it is found.

    Args:
        cells: What is to be trained. Their tasks and models have been loaded, as a cell holds them.
        folder: An empty folder.
    """
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=_LEFT_OUT)
    for module, entry in _outside_modules(cells):
        for source in _sources(module):
            _copy(source, folder)
        if entry is not None and entry.dist is not None:
            metadata = folder / f"{entry.dist.name.replace('-', '_')}-{entry.dist.version}.dist-info"
            metadata.mkdir(exist_ok=True)
            for name in ("METADATA", "entry_points.txt"):
                (metadata / name).write_text(entry.dist.read_text(name) or "", encoding="utf-8")


def _outside_modules(cells: Iterable[Cell]) -> Iterator[tuple[str, EntryPoint | None]]:
    """The top-level modules that tasks and models come from, where they are not this project's own."""
    kinds = [(tasks.ENTRY_POINTS, {cell.task.name for cell in cells})]
    kinds += [(baselines.ENTRY_POINTS, {cell.model.name for cell in cells})]
    for group, names in kinds:
        entries = {entry.name: entry for entry in entry_points(group=group)}
        for name in sorted(names):
            entry = entries.get(name)
            path = entry.value if entry else name
            if ":" in path and (module := path.partition(":")[0].partition(".")[0]) not in (*PACKAGES, "__main__"):
                yield module, entry


def _sources(module: str) -> set[Path]:
    """The package or file of a top-level module; of one that is not installed the modules beside it too."""
    if (own := _source(module)) is None:
        return set()
    installed = {Path(path).resolve() for path in (*site.getsitepackages(), site.getusersitepackages())}
    installed |= {Path(path).resolve() for path in sysconfig.get_paths().values()}
    if own.parent in installed:
        return {own}
    in_use = {source for name in list(sys.modules) if "." not in name and (source := _source(name))}
    return {own, *own.parent.glob("*.py"), *(source for source in in_use if source.parent == own.parent)}


def _source(module: str) -> Path | None:
    """The folder of a top-level package, or the file of a module; None of what is built in or of this project."""
    package = sys.modules.get(module)
    if package is None or module in (*PACKAGES, "__main__"):
        return None
    if file := getattr(package, "__file__", None):
        path = Path(file).resolve()
        return path.parent if path.name == "__init__.py" else path
    folders = list(getattr(package, "__path__", []))  # a package without __init__.py
    return Path(folders[0]).resolve() if folders else None


def _copy(source: Path, folder: Path) -> None:
    target = folder / source.name
    if target.exists():
        return
    if source.is_dir():
        shutil.copytree(source, target, ignore=_LEFT_OUT)
    else:
        shutil.copy(source, target)
