"""Whose time it is: a clock of the thread that always runs for one part of a training step.

A part is entered in the forward pass when a module is called. In the backward pass it is entered when gradients reach
what the module gave, and left when they reach what it was given: both are marked by functions that do nothing else. So
every moment belongs to one part, and the parts add up to the step.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from baselines.base import Model
from baselines.sleeper import Sleeper
from benchmark.measure.profile_tables import (
    ATTENTION,
    ATTENTION_BLOCK,
    FAST_WEIGHT_BLOCK,
    FAST_WEIGHTS,
    HEAD,
    MLP,
    NORM,
    OTHER,
    PARTS,
)


class Stopwatch:
    """Seconds of the thread by part.

    Attributes:
        on: Whether parts are marked; else everything runs as without a stopwatch.
        seconds: What each part took since `start`.
    """

    def __init__(self) -> None:
        self.on = False
        self.seconds: dict[str, float] = {}
        self.part, self.since = OTHER, 0.0

    def start(self) -> None:
        """Begin a step."""
        self.on, self.seconds, self.part, self.since = True, dict.fromkeys(PARTS, 0.0), OTHER, time.thread_time()

    def stop(self) -> dict[str, float]:
        """End it; seconds of each part."""
        self.to(OTHER)
        self.on = False
        return self.seconds

    def to(self, part: str) -> None:
        """From now on the time is that of `part`."""
        now = time.thread_time()
        self.seconds[self.part] += now - self.since
        self.part, self.since = part, now

    def time_call(self, call: Callable[..., Any], part: str, *, after: str | None = None) -> Callable[..., Any]:
        """The same call as a part of the step, backward pass included.

        Args:
            call: A module's `forward` or `write`, a model's `sleep` or `wake`, or a step of an optimizer.
            part: Whose time it is.
            after: Whose time follows; None: of the part before.
        """

        def timed_call(*arguments: Any, **keywords: Any) -> Any:
            if not self.on:
                return call(*arguments, **keywords)
            before = self.part
            arguments = self._mark(arguments, OTHER)
            self.to(part)
            result = call(*arguments, **keywords)
            self.to(after or before)
            return self._mark(result, part)

        return timed_call

    def _mark(self, values: Any, part: str) -> Any:
        """Values whose gradients, once all of them have come, begin a part; what has no gradient is left as it is."""
        every = values if isinstance(values, tuple) else (values,)
        places = [i for i, value in enumerate(every) if isinstance(value, Tensor) and value.requires_grad]
        if not places or not torch.is_grad_enabled():
            return values
        views = _Mark.apply(self, part, *(every[i] for i in places))  # type: ignore[no-untyped-call]
        by_place = dict(zip(places, views, strict=True))
        result = tuple(by_place.get(i, value) for i, value in enumerate(every))
        return result if isinstance(values, tuple) else result[0]


class _Mark(torch.autograd.Function):
    """Nothing, but that a part begins when the gradients come."""

    @staticmethod
    def forward(ctx: Any, watch: Stopwatch, part: str, *values: Tensor) -> tuple[Tensor, ...]:
        """The values."""
        ctx.watch, ctx.part = watch, part
        ctx.set_materialize_grads(False)
        return tuple(value.view_as(value) for value in values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        """The gradients."""
        if ctx.watch.on:
            ctx.watch.to(ctx.part)
        return None, None, *gradients


def attach(watch: Stopwatch, model: Model) -> None:
    """Let a stopwatch tell the parts of a model apart.

    The model computes what it did, though gradients may be added up in another order.
    """
    calls: list[tuple[Any, str, str, str | None]] = [(model, "sleep", OTHER, None), (model, "wake", OTHER, HEAD)]
    if isinstance(model, Sleeper):
        for block in model.stack:
            if block.native:
                whole = FAST_WEIGHT_BLOCK if block.has_memory else ATTENTION_BLOCK
                calls += [(block, "forward", whole, None), (block, "write", whole, None)]
                continue
            mixer = FAST_WEIGHTS if block.has_memory else ATTENTION
            calls += [(block.mixer, "forward", mixer, None), (block.mixer, "write", mixer, None)]
            calls += [(norm, "forward", NORM, None) for norm in (block.mixer_norm, block.mlp_norm)]
            calls += [(block.mlp, "forward", MLP, None)]
        calls += [(layer, "forward", HEAD, None) for layer in (model.norm, model.head)]
    for place, name, part, after in calls:
        setattr(place, name, watch.time_call(getattr(place, name), part, after=after))
