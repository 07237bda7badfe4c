"""Suites: named grids of cells, one function each; a scale sets the sizes.

`tiny` takes seconds (CI), `cpu` at most an hour on two cores, `gpu` is meant for an hour on one GPU, `paper` has
exactly the paper's sizes.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.hybrid import Hybrid
from benchmark.config import Cell, Training
from tasks.base import nearest
from tasks.depo import Depo
from tasks.gsm_infinite.compact import GSMCompact
from tasks.gsm_infinite.task import GSMInfinite
from tasks.rule110 import Rule110

SCALES = ("tiny", "cpu", "gpu", "paper")

TEN_LAYERS = Hybrid(layout="attn gdn attn gdn attn gdn attn gdn attn gdn", d_model=512, heads=8)
"""The network of the paper's runs from scratch, as its text says, with Gated DeltaNet layers."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Cells as a base and the values that its axes run through.

    Attributes:
        base: The cell all others differ from by their axes only.
        axes: Setting -> its values, slowest first. "seed" comes first, so that a sweep has one seed of everything
            before it begins the second.
    """

    base: Cell
    axes: dict[str, tuple[Any, ...]]

    def cells(self) -> tuple[Cell, ...]:
        """Every combination, in the order they are run."""
        return tuple(
            self.base.with_settings(dict(zip(self.axes, values, strict=True)))
            for values in itertools.product(*self.axes.values())
        )

    def narrowed(self, **axes: Sequence[Any] | None) -> "Grid":
        """The same grid with other values on some axes; None leaves an axis as it is.

        Raises:
            ValueError: the grid has no such axis.
        """
        chosen = {name: tuple(dict.fromkeys(values)) for name, values in axes.items() if values is not None}
        for name in chosen:
            if name not in self.axes:
                raise ValueError(nearest(name, self.axes, kind="axis of this suite"))
        return Grid(base=self.base, axes=self.axes | chosen)

    def with_settings(self, settings: dict[str, Any]) -> "Grid":
        """The same grid on a changed base; an axis that is set has that value alone.

        Raises:
            ValueError: a setting that is unknown or refused.
        """
        fixed = {name: (value,) for name, value in settings.items() if name in self.axes}
        return Grid(base=self.base.with_settings(settings), axes=self.axes | fixed)


def quick(scale: str) -> Grid:
    """What sleep does, in minutes: t = 0, which every N solves, and a depth at which N = 2 leaves N = 1 behind."""
    base = automaton(scale)
    depth = {"tiny": 2, "cpu": 6, "gpu": 8, "paper": 16}[scale]
    tokens = {"tiny": 100_000, "cpu": 4_000_000, "gpu": 10_000_000, "paper": 40_000_000}[scale]
    return Grid(
        base=base.with_settings({"tokens": tokens}),
        axes={"seed": (0,), "rollout_steps": (0, depth), "sleep_passes": (1, 2)},
    )


def rollouts(scale: str) -> Grid:
    """Figure 2a: the plain hybrid (N = 1) learns shallow rollouts early, deep ones late or not at all."""
    paper = (4, 8, 10, 12, 14, 16)
    depths = {"tiny": (0, 1, 2), "cpu": (0, 2, 4, 5, 6, 8), "gpu": paper, "paper": paper}[scale]
    tokens = {"tiny": 100_000, "cpu": 5_000_000, "gpu": 20_000_000, "paper": 40_000_000}[scale]
    return Grid(
        base=automaton(scale).with_settings({"tokens": tokens}),
        axes={"seed": seeds(scale), "rollout_steps": depths, "sleep_passes": (1,)},
    )


def passes(scale: str) -> Grid:
    """Figure 2b: rollout depth against sleep passes N."""
    depths = {"tiny": (0, 2), "cpu": (0, 4, 5, 6, 7, 8), "gpu": (0, 4, 8, 12, 16), "paper": (32,)}[scale]
    counts = {"tiny": (1, 2), "cpu": (1, 2, 4), "gpu": (1, 2, 4), "paper": (1, 2, 3, 4)}[scale]
    tokens = {"tiny": 100_000, "cpu": 5_000_000, "gpu": 20_000_000, "paper": 5_000_000_000}[scale]
    return Grid(
        base=automaton(scale).with_settings({"tokens": tokens}),
        axes={"seed": seeds(scale), "rollout_steps": depths, "sleep_passes": counts},
    )


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
    tokens = {"tiny": 100_000, "cpu": 10_000_000, "gpu": 400_000_000, "paper": 100_000 * 128 * 360}[scale]
    return Grid(
        base=cycle(scale).with_settings({"tokens": tokens}),
        axes={"seed": seeds(scale), "sleep_passes": (1, 2) if scale == "tiny" else (1, 2, 4)},
    )


def operations(scale: str) -> Grid:
    """Figure 4: word problems of several operations, read and mostly evicted, against sleep passes N."""
    tokens = {"tiny": 100_000, "cpu": 10_000_000, "gpu": 1_000_000_000, "paper": 8_000_000_000}[scale]
    counts = {"tiny": (1, 2), "cpu": (1, 2, 4), "gpu": (1, 2, 4), "paper": (1, 2, 4, 6)}[scale]
    return Grid(
        base=problems(scale).with_settings({"tokens": tokens}),
        axes={"seed": seeds(scale), "sleep_passes": counts},
    )


SUITES: dict[str, Callable[[str], Grid]] = {
    "quick": quick,
    "rollouts": rollouts,
    "passes": passes,
    "addressing": addressing,
    "hops": hops,
    "operations": operations,
}
"""Every suite by name; its docstring is its description."""


def suite(name: str, scale: str) -> Grid:
    """The grid of a suite at a scale.

    Raises:
        ValueError: unknown suite or scale.
    """
    if name not in SUITES:
        raise ValueError(nearest(name, SUITES, kind="suite"))
    if scale not in SCALES:
        raise ValueError(nearest(scale, SCALES, kind="scale"))
    return SUITES[name](scale)


def seeds(scale: str) -> tuple[int, ...]:
    """Three seeds wherever a number is meant to be believed."""
    return (0,) if scale == "tiny" else (0, 1, 2)


def training(scale: str, **settings: Any) -> Training:
    """How cells of a scale are trained; a suite sets the budget in tokens."""
    common: dict[str, dict[str, Any]] = {
        "tiny": {"evaluations": 4, "test_examples": 256},
        "cpu": {},
        "gpu": {"adam_lr": 1e-3, "warmup_steps": 100, "precision": "bf16"},
        "paper": {
            "adam_lr": 5e-5,
            "warmup_steps": 100,
            "precision": "bf16",
            "evaluations": 40,
            "test_examples": 8192,
        },
    }
    return Training(**{"tokens": 1} | common[scale] | settings)


def automaton(scale: str) -> Cell:
    """The Rule 110 setting of a scale; suites change depth, passes, budget and seed.

    `tiny` and `cpu` hold one string: with several, telling windows apart is a second job beside the rollout, and a gain
    in it would pass for depth. Their network is small, so that what one pass can compute, not what the state can hold,
    is the limit; Muon's rate was chosen among 0.005, 0.01 and 0.02 with N = 1, as in the paper. `paper` is the paper's
    setting: four strings of 24 cells, 4 blocks of width 256, batch 512, Muon at 2e-3 and AdamW at 5e-5.
    """
    if scale in ("tiny", "cpu"):
        tiny = scale == "tiny"
        return Cell(
            task=Rule110(cells=8 if tiny else 16, strings=1, rollout_steps=0),
            model=Hybrid(layout="attn gdn", d_model=16 if tiny else 32, heads=2, mlp_ratio=1),
            training=training(scale, batch=128 if tiny else 256),
        )
    paper = scale == "paper"
    return Cell(
        task=Rule110(cells=24, strings=4, rollout_steps=0),
        model=Hybrid(layout="attn gdn attn gdn", d_model=256 if paper else 128, heads=4),
        training=training(scale, batch=512, muon_lr=2e-3 if paper else 0.01),
    )


def cycle(scale: str) -> Cell:
    """The Depo setting of a scale.

    `tiny` and `cpu` hold the whole cycle in one window, so that no edge has to be told from those of another window,
    and name a node by one token. 7 nodes are a prime number, so no k is half a round. `paper` is the paper's setting
    with the 10-layer width-512 network of its text; its layers are Gated DeltaNet layers.
    """
    if scale in ("tiny", "cpu"):
        tiny = scale == "tiny"
        most, nodes, questions = (2, 5, 2) if tiny else (4, 7, 4)
        every = tuple(range(1, most + 1))
        return Cell(
            task=Depo(
                nodes=nodes,
                max_hops=most,
                test_hops=every,
                questions=questions,
                codec="bare",
                letters=12,
                distribution="uniform",
                window_tokens=2 * nodes,
            ),
            model=Hybrid(layout="attn gdn", d_model=16 if tiny else 64, heads=2, mlp_ratio=2),
            training=training(scale, batch=128 if tiny else 256),
        )
    if scale == "gpu":
        return Cell(
            task=Depo(nodes=25, max_hops=8, questions=8, window_tokens=50),
            model=Hybrid(layout="attn gdn attn gdn", d_model=256, heads=4),
            training=training(scale, batch=512),
        )
    return Cell(task=Depo(), model=TEN_LAYERS, training=training(scale, batch=128, muon_lr=2e-3))


def problems(scale: str) -> Cell:
    """The GSM-Infinite setting of a scale.

    The paper goes on training pretrained networks of 1.4 and 2 billion parameters. Here one learns from scratch: the
    compact problems up to `gpu`, and at `paper` those in English at the paper's lengths, window, batch, rate and test
    set, with the network of its Depo runs; how many tokens the paper trained on it does not say.
    """
    if scale in ("tiny", "cpu"):
        tiny = scale == "tiny"
        return Cell(
            task=GSMCompact(most_operations=4, most_tokens=64, least_tokens=48, window_tokens=40),
            model=Hybrid(layout="attn gdn", d_model=16 if tiny else 64, heads=2, mlp_ratio=2),
            training=training(scale, batch=64 if tiny else 128),
        )
    if scale == "gpu":
        return Cell(
            task=GSMCompact(),
            model=Hybrid(layout="attn gdn attn gdn", d_model=256, heads=4),
            training=training(scale, batch=256),
        )
    return Cell(
        task=GSMInfinite(), model=TEN_LAYERS, training=training(scale, batch=256, muon_lr=1e-3, test_examples=1600)
    )
