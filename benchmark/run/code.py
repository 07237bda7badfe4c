"""Which code a cell was begun with, in its folder: one program makes one curve."""

import json
from pathlib import Path

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.source import digests

FILE = "code.json"
_PRODUCTS = ("rows.jsonl", "outcomes.jsonl", "checkpoint.safetensors", "finished.json")


def code_change(cell: Cell, folder: Path) -> str | None:
    """What of a cell's code is other than when it was begun, in words; None if nothing, or if that is not known."""
    try:
        before = rows.stamps.load(folder / FILE)
        differing = [name for name, digest in digests(cell).items() if before.get(name, digest) != digest]
    except (OSError, ValueError):
        return None
    return " and ".join(differing) or None


def begin(cell: Cell, folder: Path) -> str | None:
    """Write down the code that a cell is trained by from now on; what other code left is set aside.

    Returns:
        A word on what was set aside, if anything was.
    """
    words = None
    if (what := code_change(cell, folder)) and (paths := set_aside(folder, "other-code")):
        remains = f"what it left is in *{paths[0].suffix}"
        words = f"the code of {what} has changed since: trained from the start; {remains}"
    if modules := digests(cell):
        rows.write_atomically(folder / FILE, (json.dumps(modules, indent=1) + "\n").encode())
    return words


def set_aside(folder: Path, why: str) -> list[Path]:
    """Rename whatever a cell's training has written to free names that say why; the new paths."""
    there = [folder / name for name in _PRODUCTS if (folder / name).exists()]
    number = 1
    while any(path.with_name(f"{path.name}.{why}-{number}").exists() for path in there):
        number += 1
    return [path.rename(path.with_name(f"{path.name}.{why}-{number}")) for path in there]
