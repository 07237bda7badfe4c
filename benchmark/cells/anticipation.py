"""Suites of questions that are known before they are asked: how likely that has to be, and how many share a sleep."""

from dataclasses import fields, replace

from benchmark.cells.cell import Cell
from benchmark.cells.grids import Grid, Plan
from benchmark.cells.roads import model_of, thoughts_of
from benchmark.cells.scales import cycle, seeds
from tasks.depo.foretold import ForetoldDepo

BUDGETS = {"tiny": 100_000, "cpu": 8_000_000, "gpu": 80_000_000, "paper": 100_000 * 128 * 360}
"""Tokens: those of the suite `hops` at `paper`, and fewer where there are more cells."""


def foretold(scale: str) -> Cell:
    """The Depo setting of a scale whose questions are foretold; where one window holds the cycle it holds them too."""
    base = cycle(scale)
    settings = {f.name: getattr(base.task, f.name) for f in fields(base.task)}
    if scale in ("tiny", "cpu"):
        settings["window_tokens"] += 2 * settings["questions"]
    return replace(base, task=ForetoldDepo(**settings))


def predictability(scale: str) -> Grid:
    """Depo whose questions are told before the last sleep with probability p, x N: whether sleep gains by them."""
    return Grid(
        base=foretold(scale).with_settings({"tokens": BUDGETS[scale]}),
        axes={
            "seed": seeds(scale),
            "predictability": (0.0, 1.0) if scale == "tiny" else (0.0, 0.5, 1.0),
            "sleep_passes": (1, 2) if scale == "tiny" else (1, 2, 4),
        },
    )


def amortisation(scale: str) -> Plan:
    """Depo with up to ten questions per context: what answers cost that share a sleep, against thought at wake.

    All read the same tokens. `questions-asleep` anticipates every question that might be asked, up to scale `cpu`.
    """
    settings = {"tiny": {"questions": 3}, "cpu": {"nodes": 11, "letters": 16, "questions": 10, "window_tokens": 30}}
    # Sequences are twice as long as in `hops`, so batches are half as large; text is thought token by token in tests.
    settings["cpu"] |= {"batch": 128, "evaluations": 8, "test_examples": 1024}
    settings |= {"gpu": {"questions": 10, "window_tokens": 60}}
    base = replace(cycle(scale), variant="sleep").with_settings(settings.get(scale, {}) | {"tokens": BUDGETS[scale]})
    axes = {"seed": seeds(scale)}
    passes = (1, 2) if scale == "tiny" else (1, 2, 4)
    rivals = {
        "wake-loop": base.with_settings({"wake_passes": passes[-1]}),
        "cot": replace(base, model=model_of("cot", base)),
    }
    if scale in ("tiny", "cpu"):
        asleep = replace(base, model=model_of("cot-asleep", base)).with_settings({"taught": "questions"})
        thoughts = thoughts_of(asleep.model, base.task)
        rivals["questions-asleep"] = asleep.with_settings({"thoughts": thoughts})
    return Plan(
        (
            Grid(base=base, axes={**axes, "sleep_passes": passes}),
            *(Grid(base=replace(rival, variant=name), axes=axes) for name, rival in rivals.items()),
        )
    )
