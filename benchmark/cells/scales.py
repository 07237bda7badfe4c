"""The setting of each task at each scale: sizes, network, training. Suites vary what their question asks to vary."""

from dataclasses import replace
from typing import Any

from baselines.hybrid import Hybrid
from baselines.presets import JetHybrid
from benchmark.cells.cell import Cell, Training
from tasks.depo import Depo
from tasks.gsm_infinite.compact import GSMCompact
from tasks.gsm_infinite.task import GSMInfinite
from tasks.recall import Recall
from tasks.retention import Retention
from tasks.rule110 import Rule110


def seeds(scale: str, at_cpu: int = 3) -> tuple[int, ...]:
    """Three seeds wherever a number is meant to be believed; at scale `cpu`, which is cheap, as many as `at_cpu`."""
    return tuple(range({"tiny": 1, "cpu": at_cpu}.get(scale, 3)))


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


def storage(scale: str) -> Cell:
    """The recall setting of a scale, with the network of `automaton`; up to `cpu` all pairs lie in one window."""
    network = automaton(scale)
    small = scale in ("tiny", "cpu")
    pairs = {"tiny": 4, "cpu": 8, "gpu": 32, "paper": 48}[scale]
    return Cell(
        task=Recall(pairs=pairs, keys=2 * pairs, values=16, queries=4, window_tokens=2 * pairs if small else 24),
        model=network.model,
        training=network.training,
    )


def persistence(scale: str) -> Cell:
    """The retention setting of a scale: trained with a few windows after the one that matters, tested with more.

    No window index: windows beyond those of training would have none. The first window is known by its keys.
    """
    base = storage(scale)
    small = Retention(keys=8, values=8, windows_after=2)
    return Cell(
        task=small if scale in ("tiny", "cpu") else Retention(windows_after=16),
        model=base.model,
        training=replace(base.training, evaluations=3, test_examples=512),
    ).with_settings({"window_embedding": False})


def cycle(scale: str) -> Cell:
    """The Depo setting of a scale.

    `tiny` and `cpu` hold the whole cycle in one window, so that no edge can be confused with those of another window,
    and name a node by one token. 7 nodes are a prime number, so no k is half a round. `paper` is the paper's setting
    with the network of its text: 10 layers of width 512, attention and Jet.
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
    return Cell(task=Depo(), model=JetHybrid(), training=training(scale, batch=128, muon_lr=2e-3))


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
        task=GSMInfinite(), model=JetHybrid(), training=training(scale, batch=256, muon_lr=1e-3, test_examples=1600)
    )
