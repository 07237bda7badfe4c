"""The code of a task or model from outside, as a digest: a cell must not go on under other code than it began with.

This suite's own parts have versions that its tests hold. Somebody's own is edited between two runs, which its version,
or a class of the same name, does not tell.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from benchmark.cells.cell import Cell

_OURS = ("tasks", "baselines", "benchmark", "builtins", "__main__")
MOST_FILES = 1000
"""Files of a package that are looked at."""


def digests(cell: Cell) -> dict[str, str]:
    """Digest by what it is of, such as "model own:build"; nothing for parts of this suite or of a notebook."""
    by_module = {}
    for kind, part in (("task", cell.task), ("model", cell.model)):
        name = part.name.partition(":")[0] if ":" in part.name else ""
        modules = sorted({type(part).__module__, name} - {""})
        if outside := [module for module in modules if module.partition(".")[0] not in _OURS]:
            by_module[f"{kind} {part.name}"] = _digest(tuple(outside))
    return by_module


@lru_cache(maxsize=256)
def _digest(modules: tuple[str, ...]) -> str:
    """Digest of the files of modules that are loaded."""
    files: dict[Path, str] = {}
    for name in modules:
        top = name.partition(".")[0]
        place = getattr(sys.modules.get(top), "__file__", None)
        if place and Path(place).suffix == ".py":
            _collect(Path(place), top, files)
    text = hashlib.sha256()
    for path, name in sorted(files.items(), key=lambda item: item[1]):
        text.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return text.hexdigest()


def _collect(path: Path, name: str, files: dict[Path, str]) -> None:
    """Add a module's file; of a package all its files; of a file alone those beside it that it imports, and so on."""
    if path.name == "__init__.py":
        own = sorted(path.parent.rglob("*.py"))[:MOST_FILES]
        files.update({each: f"{name}/{each.relative_to(path.parent)}" for each in own})
        return
    if path in files or len(files) > MOST_FILES:
        return
    files[path] = name
    for other in _imports(path):
        for beside in (path.with_name(f"{other}.py"), path.parent / other / "__init__.py"):
            if other not in _OURS and beside.is_file():
                _collect(beside, other, files)


def _imports(path: Path) -> Iterator[str]:
    """The first words of what a file imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
