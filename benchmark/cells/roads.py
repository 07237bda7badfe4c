"""Roads to deep answers about evicted context: sleep and every other system of the suite, at the same training compute.

A road is a model of `baselines.MODELS` at the width, the heads and as many blocks as the sleep model, or one of its
rivals. Each is trained until it has spent the FLOPs of sleep: what it keeps of a window, what a prediction takes and
how often it is right can then be read side by side.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

import baselines
from baselines.base import ModelConfig
from baselines.chain_of_thought import ChainOfThoughtAsleep
from benchmark.cells.cell import Cell
from benchmark.cells.cost import sizes_of_notes
from benchmark.cells.matching import at_budget_of, check_match
from benchmark.cells.rivals import rival_cells
from benchmark.forward import split_windows
from tasks.base import Task, nearest

RIVALS = ("sleep", "plain", "deeper", "wake-loop")
"""Roads that are settings of the hybrid, as `rivals.rival_cells` makes them."""

PASSES = ("sliding", "equilibrium", "self-modifying")
"""Models whose N passes are what they do with a window; the others read it once, as they were published."""

THINKERS = ("cot-asleep", "cot")
"""Models that think in text: as much of it as the task has workings."""

MODELS = (
    *PASSES,
    *THINKERS,
    *("ssm", "full-cache", "retrieval", "rmt", "gist", "auto-compressor"),
    *("fid", "fid-asleep", "anticipated", "subtask-tree"),
)
"""Roads that are models of their own."""


def roads(sleep: Cell, *, only: Sequence[str] | None = None) -> dict[str, Cell]:
    """The cells of every road from a sleep model, by variant; task, batch and rates stay as they are.

    Args:
        sleep: A cell of a `Hybrid` that sleeps, N = `sleep_passes` > 1.
        only: These roads alone, in this order. None: all.

    Raises:
        ValueError: a road that is unknown, or as `rivals.rival_cells`.
    """
    names = (*RIVALS, *MODELS) if only is None else tuple(only)
    for name in names:
        if name not in (*RIVALS, *MODELS):
            raise ValueError(nearest(name, (*RIVALS, *MODELS), kind="road"))
    rivals = rival_cells(sleep, only=[name for name in names if name in RIVALS])
    return {name: rivals[name] if name in rivals else _of_model(name, sleep) for name in names}


def _of_model(name: str, sleep: Cell) -> Cell:
    """Another model of the sizes of the sleep model, on the tokens that cost as much to train."""
    passes = sleep.training.sleep_passes if name in PASSES else 1
    road = replace(sleep, model=model_of(name, sleep), variant=name)
    road = at_budget_of(road.with_settings({"sleep_passes": passes, "test_passes": ()}), sleep)
    check_match(name, road, sleep)
    return road


def model_of(name: str, sleep: Cell) -> ModelConfig:
    """A model of the suite at the sizes of the sleep model."""
    kind = baselines.load(name)
    own = {field.name for field in fields(kind)}
    sizes: dict[str, Any] = {
        size: sleep.axes[size] for size in ("d_model", "heads", "mlp_ratio", "window_embedding") if size in own
    }
    layout = str(sleep.axes["layout"]).split()
    if "blocks" in own:
        sizes["blocks"] = len(layout)
    else:
        words = sorted(set(kind().layout.split()))  # type: ignore[attr-defined]
        sizes["layout"] = " ".join(words * len(layout) if len(words) == 1 else layout)
    if name in THINKERS:
        sizes["thoughts"] = thoughts_of(kind(), sleep.task)
    return replace(kind(), **sizes)


def thoughts_of(model: ModelConfig, task: Task) -> int:
    """Tokens of the longest notes on a window or, of a model that thinks at wake, on a token of the prediction.

    What the model has by default where the task gives none.
    """
    asleep = isinstance(model, ChainOfThoughtAsleep)
    windows = split_windows(task.episodes("train", np.arange(1)))
    lengths = [0]
    for number, _, length in sizes_of_notes(task, model):
        start, stop, predicts = windows[number]
        if predicts != asleep:
            lengths.append(length // (stop - start if predicts else 1))
    default: int = model.thoughts  # type: ignore[attr-defined]
    return max(lengths) or default
