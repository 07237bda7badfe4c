"""Suites: named grids of cells, one function each; a scale sets the sizes.

`tiny` takes seconds (CI), `cpu` an hour or two on two cores at most, `gpu` is meant for an hour on one H100 at most, by
an estimate from counts that has not been tried on one, `paper` has exactly the paper's sizes.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from benchmark.cells.anticipation import amortisation, predictability
from benchmark.cells.cell import Cell
from benchmark.cells.grids import Grid, Plan
from benchmark.cells.pretrained import pretrained
from benchmark.cells.rivals import rival_cells
from benchmark.cells.roads import roads as every_road
from benchmark.cells.scales import automaton, cycle, persistence, problems, seeds, storage
from tasks.base import Task, nearest
from tasks.interference import Interference
from tasks.recall import Recall

SCALES = ("tiny", "cpu", "gpu", "paper")


def quick(scale: str) -> Grid:
    """What sleep does, in minutes: t = 0, and a depth at which N = 2 left N = 1 behind at scale cpu."""
    base = automaton(scale)
    depth = {"tiny": 2, "cpu": 6, "gpu": 8, "paper": 16}[scale]
    tokens = {"tiny": 100_000, "cpu": 4_000_000, "gpu": 10_000_000, "paper": 40_000_000}[scale]
    return Grid(
        base=base.with_settings({"tokens": tokens}),
        axes={"seed": (0,), "rollout_steps": (0, depth), "sleep_passes": (1, 2)},
    )


def rollouts(scale: str) -> Grid:
    """Figure 2a: at which depths the plain hybrid (N = 1) learns rollouts, and when."""
    paper = (4, 8, 10, 12, 14, 16)
    depths = {"tiny": (0, 1, 2), "cpu": (0, 2, 4, 5, 6, 8), "gpu": paper, "paper": paper}[scale]
    tokens = {"tiny": 100_000, "cpu": 5_000_000, "gpu": 40_000_000, "paper": 40_000_000}[scale]
    return Grid(
        base=automaton(scale).with_settings({"tokens": tokens}),
        axes={"seed": seeds(scale), "rollout_steps": depths, "sleep_passes": (1,)},
    )


def passes(scale: str) -> Grid:
    """Figure 2b: rollout depth against sleep passes N."""
    depths = {"tiny": (0, 2), "cpu": (0, 4, 5, 6, 7, 8), "gpu": (0, 4, 8, 12, 16), "paper": (32,)}[scale]
    counts = {"tiny": (1, 2), "cpu": (1, 2, 4), "gpu": (1, 2, 4), "paper": (1, 2, 3, 4)}[scale]
    tokens = {"tiny": 100_000, "cpu": 5_000_000, "gpu": 100_000_000, "paper": 5_000_000_000}[scale]
    return Grid(
        base=automaton(scale).with_settings({"tokens": tokens}),
        axes={"seed": seeds(scale, 5), "rollout_steps": depths, "sleep_passes": counts},
    )


def any_cell(scale: str) -> Grid:
    """Rollout depth against sleep passes N where any cell may be asked: S must serve all, and only depth varies with t.

    As `passes`, where the one cell that is ever asked is known in training, so that at t = 0 one bit is enough.
    """
    base = passes(scale)
    return replace(base, base=base.base.with_settings({"asked": "any"}), axes=base.axes | {"seed": seeds(scale)})


def addressing(scale: str) -> Grid:
    """The artefact that looks like depth: two windows that look alike, with and without a window index."""
    cells = {"tiny": 8, "cpu": 12, "gpu": 24, "paper": 24}[scale]
    depth = {"tiny": 1, "cpu": 3, "gpu": 6, "paper": 8}[scale]
    tokens = {"tiny": 100_000, "cpu": 4_000_000, "gpu": 20_000_000, "paper": 40_000_000}[scale]
    return Grid(
        base=automaton(scale).with_settings({"cells": cells, "strings": 2, "tokens": tokens}),
        axes={
            "seed": seeds(scale),
            "window_embedding": (False, True),
            "rollout_steps": (0, depth),
            "sleep_passes": (1, 2),
        },
    )


def hops(scale: str) -> Grid:
    """Figure 3: the node k hops along a shuffled cycle that was read and evicted, against sleep passes N."""
    tokens = {"tiny": 100_000, "cpu": 10_000_000, "gpu": 240_000_000, "paper": 100_000 * 128 * 360}[scale]
    return Grid(
        base=cycle(scale).with_settings({"tokens": tokens}),
        axes={"seed": seeds(scale, 5), "sleep_passes": (1, 2) if scale == "tiny" else (1, 2, 4)},
    )


def hop_windows(scale: str) -> Grid:
    """Hops on a cycle that lies in one window, or in several: whether passes put together what evictions took apart.

    In one window every edge can be seen with every other; in several only S has them all, as in the paper.
    """
    base = hops(scale)
    windows = {"tiny": (10, 6), "cpu": (14, 8), "gpu": (50, 26), "paper": (300, 75)}[scale]
    settings = {"tokens": base.base.training.tokens // (2 if scale == "gpu" else 1)}
    settings |= {"tiny": {"questions": 2}, "cpu": {"questions": 2}, "gpu": {"questions": 4}}.get(scale, {})
    axes = {"seed": seeds(scale), "window_tokens": windows, "sleep_passes": base.axes["sleep_passes"]}
    return Grid(base=base.base.with_settings(settings), axes=axes)


def operations(scale: str) -> Grid:
    """Figure 4: word problems of several operations, read and mostly evicted, against sleep passes N."""
    tokens = {"tiny": 100_000, "cpu": 10_000_000, "gpu": 230_000_000, "paper": 8_000_000_000}[scale]
    counts = {"tiny": (1, 2), "cpu": (1, 2, 4), "gpu": (1, 2, 4), "paper": (1, 2, 4, 6)}[scale]
    return Grid(
        base=problems(scale).with_settings({"tokens": tokens}),
        axes={"seed": seeds(scale), "sleep_passes": counts},
    )


def no_gain(scale: str) -> Plan:
    """Tasks on which sleep should not help: t = 0, recall of stored pairs, one hop."""
    tokens = {"tiny": 50_000, "cpu": 1_000_000, "gpu": 20_000_000, "paper": 40_000_000}[scale]
    axes = {"seed": seeds(scale), "sleep_passes": (1, 2) if scale == "tiny" else (1, 2, 4)}
    one_hop = cycle(scale).with_settings({"max_hops": 1, "test_hops": (1,)})
    return Plan(
        (
            Grid(base=automaton(scale).with_settings({"rollout_steps": 0, "tokens": tokens}), axes=axes),
            Grid(base=storage(scale).with_settings({"tokens": 3 * tokens}), axes=axes),
            Grid(base=one_hop.with_settings({"tokens": 3 * tokens}), axes=axes),
        )
    )


def test_passes(scale: str) -> Grid:
    """Trained N x tested N: whether a model can sleep longer, or shorter, than it learned to."""
    depth = {"tiny": 2, "cpu": 6, "gpu": 8, "paper": 16}[scale]
    tokens = {"tiny": 100_000, "cpu": 5_000_000, "gpu": 20_000_000, "paper": 40_000_000}[scale]
    test_levels = (1, 2) if scale == "tiny" else (1, 2, 3, 4, 6, 8)
    settings = {"rollout_steps": depth, "tokens": tokens, "test_passes": test_levels, "evaluations": 10}
    return Grid(
        base=automaton(scale).with_settings(settings),
        axes={"seed": seeds(scale), "sleep_passes": (1, 2) if scale == "tiny" else (1, 2, 4)},
    )


def any_n(scale: str) -> Plan:
    """Whether one model trained with a random N serves every N of the test, against models trained with each N."""
    each = (1, 2) if scale == "tiny" else (1, 2, 4, 8)
    most = 3 if scale == "tiny" else 8
    grid = test_passes(scale)
    base = grid.base.with_settings({"test_passes": tuple(range(1, most + 1)), "sleep_passes": each[-1]})
    random_n = base.with_settings({"sleep_passes_drawn": tuple(range(1, most + 1))})
    axes = {"seed": seeds(scale)}
    return Plan((Grid(base=base, axes=axes | {"sleep_passes": each}), Grid(base=random_n, axes=axes)))


def controls(scale: str) -> Grid:
    """Sleep against every rival of the same training compute: deeper, wider, longer trained, looped elsewhere."""
    depth = {"tiny": 2, "cpu": 6, "gpu": 8, "paper": 16}[scale]
    tokens = {"tiny": 100_000, "cpu": 5_000_000, "gpu": 20_000_000, "paper": 40_000_000}[scale]
    sleep = automaton(scale).with_settings({"rollout_steps": depth, "tokens": tokens})
    return Grid(base=sleep, axes={"seed": seeds(scale), "sleep_passes": (2,)}, variants=rival_cells)


def hop_controls(scale: str) -> Grid:
    """Sleep on Depo at the largest N against more depth, more width and loops in the prediction, at equal compute."""
    base, passes = cycle(scale), 2 if scale == "tiny" else 4
    tokens = hops(scale).base.training.tokens // (3 if scale == "gpu" else 1)  # five networks of that compute
    return Grid(
        base=base.with_settings({"tokens": tokens}),
        axes={"seed": seeds(scale), "sleep_passes": (passes,)},
        variants=rival_cells,
        variant_names=("sleep", "plain", "deeper", "wider", "wake-loop"),
    )


def roads(scale: str) -> Plan:
    """Every road to deep answers about evicted context, at the training compute of sleep: rollouts, and hops."""
    return Plan(
        tuple(replace(grid, variants=every_road, variant_names=None) for grid in (controls(scale), hop_controls(scale)))
    )


def rules(scale: str) -> Grid:
    """Update rules of the fast weights x N."""
    depth = {"tiny": 2, "cpu": 6, "gpu": 8, "paper": 16}[scale]
    tokens = {"tiny": 50_000, "cpu": 3_000_000, "gpu": 20_000_000, "paper": 40_000_000}[scale]
    base = automaton(scale).with_settings({"rollout_steps": depth, "tokens": tokens})
    return _by_rule(base, scale, ("gdn", "jet", "delta", "gated", "linear", "classic", "titans"))


def sliding(scale: str) -> Plan:
    """Figure 5: hard against sliding-window eviction, the latter also in two stages, x N.

    Up to `cpu` two strings, of which the first is evicted when the answers are due; then word problems of about six
    windows, as in the paper.
    """
    tokens = {"tiny": 100_000, "cpu": 3_000_000, "gpu": 75_000_000, "paper": 8_000_000_000}[scale]
    small = scale in ("tiny", "cpu")
    if small:
        base = automaton(scale).with_settings({"strings": 2, "rollout_steps": 1 if scale == "tiny" else 5})
    else:
        base = problems(scale).with_settings({"window_tokens": 50 if scale == "gpu" else 512})
    base = base.with_settings({"tokens": tokens})
    with_cache = base.with_settings({"eviction": "sliding"})
    axes = {"seed": seeds(scale), "sleep_passes": (1, 2) if small else (1, 2, 4)}
    return Plan(
        tuple(Grid(base=cell, axes=axes) for cell in (base, with_cache, with_cache.with_settings({"hard_share": 0.33})))
    )


def retention(scale: str) -> Grid:
    """What later windows leave of the one that matters: exact match against how many were read since, up to 64."""
    tokens = {"tiny": 50_000, "cpu": 2_000_000, "gpu": 50_000_000, "paper": 200_000_000}[scale]
    test_levels = (0, 1, 4) if scale == "tiny" else (0, 1, 2, 4, 8, 16, 32, 64)
    base = persistence(scale).with_settings({"tokens": tokens, "test_at": test_levels})
    return _by_rule(base, scale, ("gdn", "delta", "linear"))


def interference(scale: str) -> Grid:
    """Two kinds of facts in alternate windows: under the same keys, and under keys of their own, x N."""
    tokens = {"tiny": 50_000, "cpu": 2_000_000, "gpu": 50_000_000, "paper": 200_000_000}[scale]
    base = replace(persistence(scale), task=Interference(pairs=2 if scale == "tiny" else 4, window_tokens=4))
    return Grid(
        base=base.with_settings({"tokens": tokens}),
        axes={"seed": seeds(scale), "shared_keys": (False, True), "sleep_passes": (1, 2)},
    )


def gate(scale: str) -> Plan:
    """Curves of a few seconds, for `bench check`: rollout at N = 1 and 2, no memory, the first steps of recall.

    The model without fast weights must stay at chance: tokens that survive eviction lift it. The first steps of recall,
    before seeds part, show in the loss how large a step is. At `tiny` strings are longer than in other suites: with 8
    cells few are left to learn from, and seeds differ more.
    """
    tokens = {"tiny": 60_000, "cpu": 600_000, "gpu": 4_000_000, "paper": 8_000_000}[scale]
    sizes = {"cells": 12, "d_model": 32} if scale == "tiny" else {}
    base = automaton(scale).with_settings(sizes | {"strings": 2, "evaluations": 8, "test_examples": 512})
    memoryless = base.with_settings({"layout": " ".join("attn" for _ in base.axes["layout"].split())})
    recall = replace(base, task=Recall(pairs=4, keys=8, values=16, queries=4, window_tokens=8))
    grids = (
        (memoryless.with_settings({"tokens": 2 * tokens}), (1,)),
        (recall.with_settings({"tokens": tokens}), (1,)),
        (base.with_settings({"rollout_steps": 1, "tokens": 5 * tokens}), (1, 2)),
    )
    return Plan(tuple(Grid(base=cell, axes={"seed": seeds(scale), "sleep_passes": n}) for cell, n in grids))


def _by_rule(base: Cell, scale: str, rules: Iterable[str]) -> Grid:
    """The network of `base` with each update rule in the place of Gated DeltaNet, x N."""
    layouts = tuple(base.axes["layout"].replace("gdn", rule) for rule in rules)
    return Grid(base=base, axes={"seed": seeds(scale), "layout": layouts, "sleep_passes": (1, 2)})


SUITES: dict[str, Callable[[str], Grid | Plan]] = {
    "quick": quick,
    "rollouts": rollouts,
    "passes": passes,
    "any-cell": any_cell,
    "addressing": addressing,
    "hops": hops,
    "hop-windows": hop_windows,
    "predictability": predictability,
    "amortisation": amortisation,
    "operations": operations,
    "controls": controls,
    "hop-controls": hop_controls,
    "roads": roads,
    "rules": rules,
    "sliding": sliding,
    "test-passes": test_passes,
    "any-n": any_n,
    "retention": retention,
    "interference": interference,
    "pretrained": pretrained,
    "no-gain": no_gain,
    "gate": gate,
}
"""Every suite by name; its docstring is its description."""


def suite(name: str, scale: str) -> Plan:
    """The cells of a suite at a scale.

    Raises:
        ValueError: unknown suite or scale.
    """
    if name not in SUITES:
        raise ValueError(nearest(name, SUITES, kind="suite"))
    if scale not in SCALES:
        raise ValueError(nearest(scale, SCALES, kind="scale"))
    plan = SUITES[name](scale)
    return Plan((plan,)) if isinstance(plan, Grid) else plan


TOKENS = 10_000_000
"""Training budget of a task that no cpu suite trains on."""


def training_examples(task: Task) -> int:
    """Examples of the largest training budget that a suite of scale `cpu` has for this task, in tokens."""
    bases = [base for name in SUITES for base in suite(name, "cpu").bases]
    budgets = [base.training.tokens for base in bases if base.task.name == task.name]
    return max(1, max(budgets, default=TOKENS) // task.seq_len)
