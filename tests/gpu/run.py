"""Everything that is to be known of a GPU, in pieces of at most nine minutes: `make gpu`.

    python tests/gpu/run.py [--out results/runs/gpu] [--minutes 9] [--only NAME,NAME] [--dry]

The pieces run in the order of `pieces`. One that takes longer than its minutes is asked to stop, saves, and goes on
when this is run again; what is done is not done again. A piece that fails is named at the end and stops no other.
Rows, figures and environment lie in the output folder, with what each piece printed in NAME.log.

`--tiny` runs small versions on the CPU: a rehearsal of this script, which says nothing of a GPU. Of the pieces
themselves nothing has been run on a GPU so far.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

STOP_WAIT_S = 45
"""How long a piece may take to save."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A command, and the name under which it is known to be done."""

    name: str
    command: tuple[str, ...]
    goes_on: bool = True
    """Whether it goes on where it stopped; else it begins anew."""


def pieces(out: Path, *, tiny: bool) -> list[Piece]:
    """All pieces, first to last."""
    bench, pytest = (sys.executable, "-m", "benchmark.cli"), (sys.executable, "-m", "pytest", "-q")
    device = ("--device", "cpu" if tiny else "cuda")
    scale = ("--scale", "tiny" if tiny else "paper")
    small = ("--set", "tokens=5000") if tiny else ()

    def run(name: str, suite: str, *options: str) -> Piece:
        folder = ("--out", str(out / name))
        return Piece(name=name, command=(*bench, "run", suite, *scale, *device, *options, *small, *folder))

    depths = ("--rollout-steps", "1,2") if tiny else ("--rollout-steps", "4,8,10,12,14,16")
    return [
        Piece(name="correctness", command=(*pytest, "tests/test_gpu.py"), goes_on=False),
        Piece(name="profile", command=(*bench, "show", "passes", *scale, *device, "--seeds", "0"), goes_on=False),
        run("rollouts", "rollouts", *(("--seeds", "0", "--rollout-steps", "1") if tiny else ("--seeds", "0-2"))),
        run("deeper", "rollouts", "--axis", "sleep_passes=2,3,4", *depths, "--seeds", "0"),
        run("passes", "passes", "--seeds", "0"),
        run("hops", "hops", "--seeds", "0"),
        Piece(
            name="cost",
            command=(
                *(*bench, "cost", "hybrid", *device, "--out", str(out / "cost")),
                *(("--windows", "4", "--sleep-passes", "1", "--repeats", "1", "--step-repeats", "1") if tiny else ()),
            ),
            goes_on=False,
        ),
    ]


def carry_out(piece: Piece, out: Path, seconds: float) -> str:
    """Run a piece for so long at most; "done", "stopped" or "failed with exit code N"."""
    with (out / f"{piece.name}.log").open("a") as log:
        process = subprocess.Popen(piece.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            return "stopped"
    return "done" if code == 0 else f"failed with exit code {code}"


def main(arguments: list[str] | None = None) -> int:
    """Run what is not done yet; 0 once everything is done, 1 if something failed, 3 if something is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "results/runs/gpu", help="output folder")
    parser.add_argument("--minutes", type=float, default=9.0, help="the longest that a piece may take")
    parser.add_argument("--total", type=float, default=float("inf"), help="minutes for all; none begins after that")
    parser.add_argument("--only", help="names of pieces, with commas")
    parser.add_argument("--tiny", action="store_true", help="small versions, on the CPU")
    parser.add_argument("--dry", action="store_true", help="only say what would be run")
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    planned = pieces(out, tiny=options.tiny)
    names = [piece.name for piece in planned]
    if options.only is not None and (unknown := set(options.only.split(",")) - set(names)):
        parser.error(f"unknown piece {', '.join(sorted(unknown))}; pieces: {', '.join(names)}")
    if options.only is not None:
        planned = [piece for piece in planned if piece.name in options.only.split(",")]
    state = out / "pieces.json"
    status: dict[str, str] = json.loads(state.read_text()) if state.exists() else {}
    begun = time.monotonic()
    for piece in planned:
        if status.get(piece.name) == "done":
            print(f"{piece.name}: done before")
            continue
        print(f"{piece.name}: {' '.join(piece.command[1:])}", flush=True)
        if options.dry:
            continue
        if time.monotonic() - begun > 60 * options.total:
            status.setdefault(piece.name, "not begun")
            continue
        out.mkdir(parents=True, exist_ok=True)
        status[piece.name] = carry_out(piece, out, 60 * options.minutes)
        if status[piece.name] == "stopped" and not piece.goes_on:
            status[piece.name] = f"failed: not done in {options.minutes:g} minutes"
        state.write_text(json.dumps(status, indent=1) + "\n")
        print(f"{piece.name}: {status[piece.name]}", flush=True)
    if options.dry:
        return 0
    left = [piece.name for piece in planned if status.get(piece.name) != "done"]
    failed = [name for name in left if status[name].startswith("failed")]
    if left:
        print(f"not done: {', '.join(left)}; the same command goes on", file=sys.stderr)
    return 1 if failed else 3 if left else 0


if __name__ == "__main__":
    sys.exit(main())
