"""Activation checkpointing: what the backward pass needs is computed again instead of being kept (Chen et al. 2016).

Each block is run again, of every pass over every window, so that of a step only the inputs of blocks are kept, and for
a moment all of one block. Values and gradients are the same bits. Of a model that is no stack of this project's blocks
each window is run again, with all its passes.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from baselines.base import Model
from baselines.sleeper import Sleeper
from benchmark.forward import Batch, notes_of
from benchmark.run.step_count import StepCounter

if TYPE_CHECKING:
    from benchmark.run.trainer import Trainer

ROOM = 0.8
"""Share of the device's free memory that a step may take by the estimate: the allocator has gaps."""


def recompute(model: Model, on: bool = True) -> None:
    """Let a model compute its activations again in the backward pass, or keep them again."""
    # Blocks draw nothing at random; and asking for the state of the generator would end the capture of a graph.
    targets: list[tuple[nn.Module, str, bool]]
    if isinstance(model, Sleeper):
        targets = [(block, name, False) for block in model.stack for name in ("forward", "write")]
    else:
        targets = [(model, name, True) for name in ("sleep", "wake")]
    for module, name, draws in targets:
        module.__dict__.pop(name, None)
        if on:
            module.__dict__[name] = partial(_again, getattr(module, name), draws)


def _again(call: Callable[..., Any], draws: bool, *args: Any, **keywords: Any) -> Any:
    # What a model reports, and losses of its own, must not be added a second time: such a call keeps what it computed.
    if not torch.is_grad_enabled() or keywords.get("report") is not None:
        return call(*args, **keywords)
    return checkpoint(call, *args, use_reentrant=False, preserve_rng_state=draws, **keywords)


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes that a step takes at its peak, beside parameters and what the optimizer keeps.

    Attributes:
        fixed: Whatever the batch: gradients, and parameters in other precisions.
        activations: For each sequence at once, where activations are kept.
        again: The same where they are computed again.
    """

    fixed: int
    activations: int
    again: int

    def peak(self, sequences: int, *, again: bool) -> int:
        """Of so many sequences at once."""
        return self.fixed + sequences * (self.again if again else self.activations)

    def plan(self, batch: int, room: int, checkpointing: str = "auto") -> tuple[bool, int]:
        """How a batch fits into so many bytes: whether activations are computed again, and in how many parts.

        Nothing is computed again unless it has to be; the batch is halved, and halved again, where that does not do.
        """
        again = checkpointing == "always"
        if checkpointing == "auto" and self.peak(batch, again=False) > room:
            again = True
        parts = 1
        while parts < batch and self.peak(-(-batch // parts), again=again) > room:
            parts *= 2
        return again, min(parts, batch)


def step_memory(model: Model, batch: Batch, most: int, gradients: Callable[[Batch], object]) -> Memory:
    """The memory of a step, from steps of a few sequences that are counted and leave no gradients.

    Args:
        model: The model, as it is trained.
        batch: A batch, of which the first sequence is taken; fake tensors do as well.
        most: Sequences of a whole batch.
        gradients: Forward and backward of a batch.
    """

    def peak(count: int) -> int:
        with StepCounter() as counter:
            gradients(batch.with_tensors(*(tokens[:1].expand(count, -1) for tokens in batch.tensors())))
        model.zero_grad(set_to_none=True)
        return int(counter.peak_bytes)

    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    slopes, rests = [], []
    for again in (False, True):
        recompute(model, again)
        count, few, many = 1, peak(1), peak(2)
        # With too few sequences gradients are the peak, not activations.
        while many < 4 * weights and 4 * count <= most:
            count *= 2
            few, many = many, peak(2 * count)
        slopes.append(max(0, many - few) // count)
        rests.append(many - 2 * count * slopes[-1])
    recompute(model, False)
    return Memory(fixed=max(0, *rests), activations=slopes[0], again=slopes[1])


def fit(trainer: "Trainer", checkpointing: str, room: int | None) -> int:
    """Make a step fit its device: compute activations again, if need be; how many parts a batch is to be taken in.

    Args:
        trainer: What trains, not yet begun.
        checkpointing: "always", "never", or "auto": by a count of what a step takes, where the room is known.
        room: Bytes that a step may take; None where nobody asks, as on a CPU.
    """
    again, parts = checkpointing == "always", 1
    if checkpointing == "auto" and room is not None:
        cell, one = trainer.cell, torch.ones((), device=trainer.device)
        episode = cell.task.episodes("train", np.arange(1), seed=cell.seed)
        batch = Batch.of(episode, trainer.device, notes_of(cell.task, trainer.model, episode))
        with torch.random.fork_rng():  # a model may draw
            memory = step_memory(trainer.model, batch, cell.training.batch, lambda part: trainer.gradients(part, one))
        again, parts = memory.plan(cell.training.batch, room)
    if again:
        recompute(trainer.model)
        print(f"activations are computed again in the backward pass, batches in {parts} parts", file=sys.stderr)
    return parts


def free_room(device: torch.device) -> int | None:
    """Bytes of a GPU that a step may take; None of a CPU."""
    return int(ROOM * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None
