"""FLOPs of what is run, counted operation by operation: torch's formulas, without its count for each module.

torch's own `FlopCounterMode` follows every module forward and backward and asks each operation anew whether it is made
of others. It comes to the same numbers and takes two to three times as long for the cells of this suite.
"""

from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@cache
def _is_composite(func: Any) -> bool:
    """Whether an operation has no formula and torch runs it as several others, each of which may have one."""
    whole = func.overloadpacket in flop_registry
    return not whole and func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts products, attention, convolutions and solves while it is entered; multiply and add are counted apart.

    Attributes:
        flops: Of all operations so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: keeping torch's compiler away would load it, which takes a second, and nothing is compiled here."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        kwargs = kwargs or {}
        if _is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        result = func(*args, **kwargs)
        if formula := flop_registry.get(func.overloadpacket):
            self.flops += formula(*args, **kwargs, out_val=result)
        return result
