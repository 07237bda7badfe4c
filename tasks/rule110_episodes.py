"""Examples of Rule 110 as arrays, by their numbers, and the roll-outs of one drawn for a human.

`tasks.rule110` says what an example is, `tasks.rule110_views` from which strings a split draws.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tasks import rng, rule110_views
from tasks.automaton import evolve, unpack
from tasks.base import IGNORE, Episode, Tokens

if TYPE_CHECKING:
    from tasks.rule110 import Rule110

QUERY = 2
"""The token that opens the prediction window; 0 and 1 are cells, those from 3 on name a cell, then a t."""


def episodes(task: "Rule110", split: str, indices: Tokens, key: np.uint64) -> Episode:
    """The examples `indices` [B] of the stream `key`, as `Rule110.generate` gives them."""
    cells, each = task.cells, rule110_views.each
    read = task.strings * task.string_tokens
    columns = 4 + task.t_tokens
    words = rng.words(key, indices, columns * task.strings).reshape(len(indices), task.strings, columns)
    steps: int | Tokens = task.rollout_steps
    if task.t_tokens:
        steps = np.array(task.rollout_steps_drawn)[rng.integers(words[..., 4], len(task.rollout_steps_drawn))]
    rings = each(steps, lambda t, at: rule110_views.draw(words[at][..., :3], split, cells, t))  # [B, strings]
    ends = each(steps, lambda t, at: evolve(rings[at], cells, t))
    labels = (ends >> np.uint64(cells - 1)).astype(np.int64)
    inputs = np.empty((len(indices), task.seq_len), dtype=np.int64)
    asking = inputs[:, read:]
    if task.asked == "any":
        asked = rng.integers(words[..., 3], cells)
        rings_at, places = rule110_views.turn(rings, -asked, cells), slice(None, None, 2)
        asking[:, ::2] = 1 + QUERY + asked
        asking[:, 1::2] = labels[:, :-1]
    else:
        rings_at, places = rings, slice(None)
        asking[:, 0], asking[:, 1:] = QUERY, labels[:, :-1]
    strings = unpack(rings_at, cells).astype(np.int64)
    if task.t_tokens:
        strings = np.concatenate([task.first_t + np.asarray(steps)[..., None], strings], axis=2)
    inputs[:, :read] = strings.reshape(len(indices), read)
    targets = np.full_like(inputs, IGNORE)
    answer, difficulty = np.full_like(inputs, -1), np.full_like(inputs, -1)
    targets[:, read:][:, places] = labels
    answer[:, read:][:, places] = np.arange(task.strings)
    difficulty[:, read:][:, places] = steps
    return Episode(
        inputs=inputs,
        targets=targets,
        window=task.window,
        difficulty=difficulty,
        answer=answer,
        content=each(steps, lambda t, at: rule110_views.codes(rings[at], cells, t, of_split=True)),
    )


def rollout_drawings(task: "Rule110", inputs: Tokens) -> Iterator[str]:
    """A line per step for the strings of one example [1, T] side by side, each up to its t, and the asked cells."""
    states = task.cells_of(inputs)[0] @ (1 << np.arange(task.cells)[::-1])
    steps = np.broadcast_to(task.steps_of(inputs), (1, task.strings))[0].tolist()
    width = len(str(max(steps)))
    for step in range(max(steps) + 1):
        rows = zip(unpack(states, task.cells), steps, strict=True)
        art = "  ".join("".join(".#"[cell] if step <= t else " " for cell in row) for row, t in rows)
        yield f"step {step:<{width}}  {art}".rstrip()
        states = evolve(states, task.cells, 1)
    if task.asked == "any":
        asked = inputs[0, task.strings * task.string_tokens :: 2] - 1 - QUERY
        marks = "  ".join(f"{'^':>{cell + 1}}".ljust(task.cells) for cell in asked)
        yield f"{'asked':<{7 + width}}{marks}".rstrip()
