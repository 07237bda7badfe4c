"""torch's AdamW without torch's compiler, whose 820 modules take as long to load as all the rest of torch."""

import inspect
from typing import Any

import torch
from torch.optim import Optimizer

for _method in (Optimizer.add_param_group, Optimizer.state_dict, Optimizer.load_state_dict, Optimizer.zero_grad):
    # At its first call each would load the compiler, only to be marked as not to be compiled: it is marked here.
    setattr(inspect.unwrap(_method), "__dynamo_disable", inspect.unwrap(_method))


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`, bit for bit; each step of that loads the compiler."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step; nothing is evaluated again."""
        inspect.unwrap(torch.optim.AdamW.step)(self)
