"""A training step captured once in a CUDA graph and replayed: one launch in the place of thousands.

A graph reads its inputs from buffers that never move, so a batch is copied into them; whatever the step decides in
Python is decided once. Stages of training, which differ in that, have a graph each. The first steps of a stage are run
as they are, on the stream of the capture, so that libraries have their workspaces and caches are filled; they are
steps of the training like all others.
"""

import sys
from collections.abc import Callable, Hashable
from typing import Protocol

import torch
from torch import Tensor

WARM_UP = 3
"""Steps of a stage before its capture."""

Step = Callable[..., Tensor]


class Recorder(Protocol):
    """What captures work that is run on a device."""

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        """Run work as it will be captured, and return what it returns."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """What runs the work again, without having run it, and the tensor that each run writes its result to."""


class CudaRecorder:
    """Records work of torch's current CUDA device."""

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        """See `Recorder`."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = work()
        torch.cuda.current_stream().wait_stream(self.stream)
        return result

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """See `Recorder`."""
        graph = torch.cuda.CUDAGraph()
        # Another thread makes batches meanwhile, and allocates for them: that is no business of this capture.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            result = work()
        return graph.replay, result


class StepGraph:
    """A step that is captured as soon as it is warm; one that cannot be captured goes on as it is, and says so.

    Args:
        step: From a stage and the tensors of a batch to its loss, with all that it changes meanwhile.
        recorder: What captures it.
        undo: Is called after a failed capture, before the step is run as it is: drops what it left half done.
    """

    def __init__(self, step: Step, recorder: Recorder, undo: Callable[[], None]) -> None:
        self.step, self.recorder, self.undo = step, recorder, undo
        self.seen: dict[Hashable, int] = {}
        self.graphs: dict[Hashable, tuple[tuple[Tensor, ...], Callable[[], None], Tensor]] = {}
        self.failed = False

    def __call__(self, stage: Hashable, *batch: Tensor) -> Tensor:
        """The loss of a step of a stage.

        Args:
            stage: Names everything that the step decides in Python; equal stages take tensors of equal shapes.
            batch: The tensors of the batch.
        """
        if self.failed:
            return self.step(stage, *batch)
        self.seen[stage] = self.seen.get(stage, 0) + 1
        if self.seen[stage] <= WARM_UP:
            return self.recorder.warm(lambda: self.step(stage, *batch))
        if stage not in self.graphs:
            buffers = tuple(torch.empty_like(tensor) for tensor in batch)
            try:
                replay, loss = self.recorder.record(lambda: self.step(stage, *buffers))
            except RuntimeError as error:  # CUDA's own are among them
                self.failed = True
                self.undo()
                reason = str(error).strip().partition("\n")[0]
                print(f"the step is not captured in a graph, and runs as it is: {reason}", file=sys.stderr)
                return self.step(stage, *batch)
            self.graphs[stage] = buffers, replay, loss
        buffers, replay, loss = self.graphs[stage]
        for buffer, tensor in zip(buffers, batch, strict=True):
            buffer.copy_(tensor, non_blocking=True)
        replay()
        return loss.clone()
