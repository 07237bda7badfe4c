"""Examples made as tensors, on the device that trains: the same ones, bit for bit."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from tasks.base import SPLITS
from tasks.rule110 import Rule110

SETTINGS: tuple[dict[str, Any], ...] = (
    {"cells": 16, "strings": 1, "rollout_steps": 6},
    {"cells": 24, "strings": 4, "rollout_steps": 32},
    {"cells": 24, "strings": 4, "rollout_steps": 8, "asked": "any"},
    {"cells": 7, "strings": 3, "rollout_steps": 3},
    {"cells": 8, "strings": 2, "rollout_steps": 0, "asked": "any"},
    {"cells": 12, "strings": 2, "rollout_steps": 2, "window_tokens": 24},
    {"cells": 5, "strings": 1, "rollout_steps": 1},
)


def same(task: Rule110, split: str, indices: list[int], seed: int) -> bool:
    episode = task.episodes(split, indices, seed)
    inputs, targets = task.tensors(split, torch.tensor(indices), seed)
    assert inputs.dtype == targets.dtype == torch.int64
    return np.array_equal(inputs.numpy(), episode.inputs) and np.array_equal(targets.numpy(), episode.targets)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("chosen", SETTINGS, ids=str)
def test_rule110_as_tensors(chosen: dict[str, Any], split: str) -> None:
    task = Rule110(**chosen)
    for seed in (0, 5):
        assert same(task, split, [*range(300), 10**9, 2**40 + 7], seed)
    assert len(np.unique(task.episodes(split, range(300)).inputs, axis=0)) > 1


@settings(max_examples=25, deadline=None)
@given(
    cells=st.integers(3, 14),
    steps=st.integers(0, 8),
    asked=st.sampled_from(("first", "any")),
    split=st.sampled_from(SPLITS),
    seed=st.integers(0, 10**6),
    start=st.integers(0, 2**50),
)
def test_rule110_as_tensors_at_any_settings(
    cells: int, steps: int, asked: str, split: str, seed: int, start: int
) -> None:
    task = Rule110(cells=cells, strings=2, rollout_steps=steps, asked=asked)
    assert same(task, split, list(range(start, start + 20)), seed)


def test_tasks_that_cannot_say_so() -> None:
    able = {name for name in tasks.TASKS if tasks.load(name)().tensors("test", torch.arange(2)) is not None}
    assert able == {"rule110"}


def test_a_split_and_a_seed_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown split 'tset'"):
        Rule110().tensors("tset", torch.arange(2))
    with pytest.raises(ValueError, match="seed"):
        Rule110().tensors("test", torch.arange(2), seed=-1)
