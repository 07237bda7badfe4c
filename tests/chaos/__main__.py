"""`python -m chaos`: every campaign, and a line of counts that pages can quote."""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from random import Random

from chaos import damage, kills, operations, places
from chaos.study import BRIEF, LONGER, FaultError, Study, cells, preload


def main() -> None:
    """Run them in a folder of their own, which stays if something must not be."""
    options = argparse.ArgumentParser(prog="chaos", description="Disturb sweeps, then look whether all is whole.")
    options.add_argument("--seed", type=int, default=0, help="of whatever is random")
    options.add_argument("--kills", type=int, default=200, help="signals to processes of this machine")
    options.add_argument("--ray", type=int, default=20, help="signals to a sweep on Ray, where it is installed")
    options.add_argument("--operations", type=int, default=100, help="faults at file operations")
    options.add_argument("--damage", type=int, default=100, help="damaged files")
    options.add_argument("--places", type=int, default=10, help="full disks, read-only folders and so on, each")
    options.add_argument("--short", action="store_true", help="a few of each, of the smallest cells: seconds")
    given = options.parse_args()
    if given.short:
        given.kills, given.ray, given.operations, given.damage, given.places = 3, 0, 6, 4, 1
    preload()
    root, begun, counts, clean = Path(tempfile.mkdtemp(prefix="chaos-")), time.monotonic(), Counter[str](), 0
    campaigns = [
        (operations.campaign, given.operations, (2, BRIEF)),
        (damage.campaign, given.damage, (2, BRIEF)),
        (places.campaign, given.places, (2, BRIEF)),
        (kills.campaign, given.kills, (2, BRIEF) if given.short else (4, LONGER)),
    ]
    if find_spec("ray"):
        campaigns.append((kills.on_ray, given.ray, (3, LONGER)))
    elif given.ray:
        print("Ray is not installed: without it")
    for number, (campaign, count, (seeds, settings)) in enumerate(campaigns):
        if not count:
            continue
        (place := root / str(number)).mkdir()
        study = Study(place, Random(f"{given.seed} {number}"), cells(seeds, **settings))
        try:
            campaign(study, count)
        except FaultError as fault:
            print(f"{fault}\nseed {given.seed}; what there is lies in {root}", file=sys.stderr)
            sys.exit(1)
        counts += study.counts
        clean += study.clean
        print(f"{time.monotonic() - begun:5.0f} s  {_listed(study.counts)}", flush=True)
    shutil.rmtree(root)
    total = sum(counts.values())
    print(f"chaos: {total} disturbances, {clean} clean runs afterwards: no row lost or doubled, all tables equal")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


if __name__ == "__main__":
    main()
