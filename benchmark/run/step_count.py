"""What a step asks of a device, counted as torch hands it out: kernels, bytes moved, arithmetic, memory at its peak.

It counts real tensors as well as fake ones, which have shapes alone: so steps of any size are counted without their
memory and without a GPU.
"""

import weakref
from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class StepCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts every operation that is run while it is entered.

    An operation that computes something is taken for one kernel, which reads its inputs and writes its outputs once. So
    it is on a GPU, but for caches between kernels, and for operations that are several kernels.

    Attributes:
        kernels: Operations that compute; views and empty tensors are none.
        bytes_moved: Bytes of their inputs and outputs.
        flops: FLOPs of products, attention and solves, multiply and add counted apart.
        by_operation: Kernels by the name of the operation.
        peak_bytes: The most bytes at once of all tensors that were made since it was entered.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels = self.bytes_moved = self.flops = self.peak_bytes = 0
        self.by_operation: dict[str, int] = {}
        self._alive: dict[int, int] = {}
        self._alive_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        result = func(*args, **(kwargs or {}))
        inputs, outputs = list(_tensors((args, kwargs))), list(_tensors(result))
        before = {_key(tensor) for tensor in inputs}
        fresh = [tensor for tensor in outputs if _key(tensor) not in before]
        name = func.overloadpacket.__name__
        if (fresh or func._schema.is_mutable) and "empty" not in name:
            self.kernels += 1
            self.by_operation[name] = self.by_operation.get(name, 0) + 1
            self.bytes_moved += sum(tensor.numel() * tensor.element_size() for tensor in (*inputs, *outputs))
            if formula := flop_registry.get(func.overloadpacket):
                self.flops += formula(*args, **(kwargs or {}), out_val=result)
        for tensor in fresh:
            self._add_storage(tensor)
        return result

    def _add_storage(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if (key := storage._cdata) not in self._alive:
            self._alive[key] = storage.nbytes()
            self._alive_bytes += storage.nbytes()
            weakref.finalize(storage, self._remove_storage, key)
            self.peak_bytes = max(self.peak_bytes, self._alive_bytes)

    def _remove_storage(self, key: int) -> None:
        self._alive_bytes -= self._alive.pop(key)


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
