"""The optimizer's step in the forms that were weighed, thread time: `python tests/perf/optimizers.py`, a line each.

Parameters are those of a suite's network at scale cpu, gradients random. Muon's forms are compared bit by bit.
"""

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmark.cells.suites import suite
from benchmark.run.muon import Muon
from benchmark.run.optimizer import split

ROUNDS = 30


def main(name: str) -> None:
    """Print the median of each form, all in turn."""
    cell = suite(name, "cpu").bases[0]
    task = cell.task
    model = cell.model.build(vocab_size=task.vocab_size, window=task.window, seq_len=task.seq_len)
    models = [model, copy.deepcopy(model)]
    matrices, rest = zip(*map(split, models), strict=True)
    muons = [kind(of, lr=0.01) for kind, of in zip((torch.optim.Muon, Muon), matrices, strict=True)]
    forms: list[dict[str, Any]] = [{"fused": True}, {"foreach": True}, {"foreach": False}]
    adams = {str(form): torch.optim.AdamW(copy.deepcopy(rest[0]), **form) for form in forms}
    calls: dict[str, Callable[[], object]] = {"Muon, torch": muons[0].step, "Muon, by shape": muons[1].step}
    calls |= {f"AdamW, {form}": adam.step for form, adam in adams.items()}
    every = list(model.parameters())
    calls |= {
        f"clip, foreach={f}": (lambda f=f: nn.utils.clip_grad_norm_(every, 1.0, foreach=f)) for f in (False, True)
    }
    spent: dict[str, list[float]] = {form: [] for form in calls}
    equal = True
    for step in range(ROUNDS):
        for parameters in (*(m.parameters() for m in models), *(a.param_groups[0]["params"] for a in adams.values())):
            random = torch.Generator().manual_seed(step)
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=random)
        for form, call in calls.items():
            begun = time.thread_time()
            call()
            spent[form].append(time.thread_time() - begun)
        equal &= all(map(torch.equal, *matrices))
    told = ", ".join(f"{form} {1e3 * statistics.median(times[2:]):.2f}" for form, times in spent.items())
    print(f"{name}, ms: {told}; Muon's bits {'equal' if equal else 'differ'}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in ("passes", "hops", "operations"):
        main(name)
