"""Times workloads with the code of one tree: `python -P speed_worker.py TREE DEFINITIONS`, spoken to over pipes.

TREE is first on the import path (PYTHONPATH), DEFINITIONS is a file like `workloads.py`. Requests come as
lines of JSON on stdin, a line of JSON answers each on stdout, and the process ends when stdin closes. It imports the
standard library alone: everything else is the tree's own.
"""

import gc
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("benchmark", "tasks", "baselines")
"""The packages of this project, which must come from the tree."""


def main() -> None:
    """Answer requests {"name", "calls"} with {"seconds": {clock: of one call}} or {"reason": why there are none}."""
    tree, definitions = (Path(argument).resolve() for argument in sys.argv[1:])
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a workload prints must not mix with the answers
    for package in PACKAGES:
        if not (tree / package / "__init__.py").exists():
            sys.modules[package] = None  # type: ignore[assignment]  # an installed copy must not stand in for it
    module = load(definitions)
    pieces: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        name = request["name"]
        try:
            if name not in pieces:
                pieces[name] = module.WORKLOADS[name]()
            answer: dict[str, Any] = {"seconds": seconds(pieces[name], request["calls"], module.CLOCKS)}
        except Exception as error:
            answer = {"reason": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)


def load(definitions: Path) -> ModuleType:
    """The module of a file of workloads, by its path; it has `WORKLOADS` and `CLOCKS`."""
    spec = importlib.util.spec_from_file_location("workloads_by_path", definitions)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seconds(call: Callable[[], object], calls: int, clocks: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Seconds of one call by each clock, the mean of `calls` calls, after one that brings things into the caches."""
    call()
    gc.disable()  # as timeit does: which side's turn it is to collect is luck
    try:
        starts = {name: clock() for name, clock in clocks.items()}
        for _ in range(calls):
            call()
        return {name: (clock() - starts[name]) / calls for name, clock in clocks.items()}
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
