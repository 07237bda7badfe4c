"""What keeps a folder in order: cells that start anew, and what is of no more use."""

from pathlib import Path

from benchmark.rows import Row
from benchmark.run.code import set_aside
from benchmark.run.folder import CellFolder

LITTER = ("*.damaged-[0-9]*", "*.other-code-[0-9]*", "*.before-retry-[0-9]*", "*.partial")
"""Names of what was set aside, and of writes that never came to their end."""


def start_anew(folder: CellFolder) -> None:
    """Set aside whatever a cell has, so that it is trained from its start."""
    set_aside(folder.path, "before-retry")
    folder.forget()


def context(folder: CellFolder) -> Row:
    """The suite and scale that a cell was planned for first."""
    sweeps = folder.sweeps
    return {name: sweeps[0].get(name) if sweeps else None for name in ("suite", "scale")}


def litter(folder: Path, *, checkpoints: bool = False) -> list[Path]:
    """Files of a sweep that nothing needs any more; of finished cells the checkpoints too, if asked for."""
    places = [folder, *sorted(folder.glob("cells/*/"))]
    files = [path for place in places for name in LITTER for path in sorted(place.glob(name)) if path.is_file()]
    if checkpoints:
        files += [path.with_name("checkpoint.safetensors") for path in sorted(folder.glob("cells/*/finished.json"))]
    return [path for path in dict.fromkeys(files) if path.exists()]
