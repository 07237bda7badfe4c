"""Files of a folder of results, whichever, become other than what was written."""

import os
import shutil
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from random import Random

from harness import bench

from chaos import forks
from chaos.operations import Moment, disturbed
from chaos.study import OF_A_CELL, PLAIN, Study, expect

Damage = Callable[[Random, bytes], bytes]


def _truncated(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data))]


def _flipped(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _blank(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data))
    length = min(random.choice((1, 16, 512, 4096)), len(data) - at)
    return data[:at] + bytes(length) + data[at + length :]


KINDS: dict[str, Damage] = {
    "truncated": _truncated,
    "bit flipped": _flipped,
    "blank in places": _blank,
    "emptied": lambda random, data: b"",
    "doubled": lambda random, data: data + data,
    "noise": lambda random, data: random.randbytes(len(data)),
    "longer": lambda random, data: data + random.randbytes(random.randint(1, 99)),
}
NO_FILE = ("removed", "a folder", "a pipe")
CHECKED = ("rows.jsonl", "outcomes.jsonl", "checkpoint.safetensors", "finished.json")
"""What training goes on from."""


def campaign(study: Study, count: int) -> None:
    """As many damaged files, of every name; each is named or does no harm, and all becomes whole."""
    templates = [study.trained(), _interrupted(study)]
    names = [*sorted(PLAIN - {"lock"}), *sorted(OF_A_CELL - {"lock"}), *CHECKED, *CHECKED]
    for number in range(count):
        out = study.folder()
        shutil.copytree(templates[number % 2], out)
        there = {name: sorted(path for path in out.rglob(name) if path.stat().st_size) for name in names}
        path = study.random.choice(there[study.random.choice([name for name in names if there[name]])])
        kinds = [*KINDS, *(NO_FILE if path.name != "log.txt" else ())]
        kind = study.random.choice(kinds)
        damaged = _damage(study.random, path, kind)
        what = f"{path.relative_to(out)} {kind}, of a {('finished', 'stopped')[number % 2]} sweep"
        looked = forks.call(_look, out)
        study.ended(looked, {0, 2}, f"{what}: bench status", how="local")
        study.whole(out, what, damaged=True)
        if damaged is not None and path.name in CHECKED and (aside := list(path.parent.glob("*.damaged-1"))):
            expect(damaged in [each.read_bytes() for each in aside if each.is_file()], f"{what}: it is lost", aside)
        study.counts["damaged files"] += 1
        shutil.rmtree(out)


def _damage(random: Random, path: Path, kind: str) -> bytes | None:
    """Damage a file; its new bytes, if it has any."""
    if kind in KINDS:
        data = KINDS[kind](random, path.read_bytes())
        path.write_bytes(data)
        return data
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    return None


def _look(out: Path) -> None:
    done = bench("status", out)
    print(done.out, done.err)
    raise SystemExit(done.code)


def _interrupted(study: Study) -> Path:
    """A folder whose second cell was killed at the first moment at which it had a checkpoint."""
    outs = dict[int, Path]()

    def reached(number: int) -> tuple[int, int]:
        """How many cells had ended, and how many had a checkpoint, when one was killed at a file operation."""
        out = outs[number] = study.folder()
        forks.call(disturbed, study.planned, out, Moment(number, "killed after"))
        ends, saved = (len(list(out.glob(f"cells/*/{name}"))) for name in ("finished.json", "checkpoint.safetensors"))
        return ends, saved

    return outs[bisect_left(range(1, 128), (1, 2), key=reached) + 1]
