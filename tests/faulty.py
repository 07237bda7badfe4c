"""Models that do what models of other people do, and what a careless harness gets wrong."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from baselines.base import Model
from baselines.hybrid import Hybrid


@dataclass(frozen=True, kw_only=True)
class Dropping(Hybrid):
    """A hybrid that drops half of the features in front of its output layer while it trains."""

    name: ClassVar[str] = "dropping"

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """The hybrid with a dropout before the head."""
        model = super().build(vocab_size=vocab_size, window=window, seq_len=seq_len)
        head = model.head
        assert isinstance(head, nn.Linear)
        head.register_forward_pre_hook(lambda module, given: nn.functional.dropout(given[0], 0.5, module.training))
        return model


@dataclass(frozen=True, kw_only=True)
class Loud(Hybrid):
    """A hybrid that prints, lets another program print, and for odd seeds ends the process that builds it."""

    name: ClassVar[str] = "faulty:Loud"

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """The hybrid, with noise."""
        print('{"event": "end", "status": "ok", "reason": null}', flush=True)
        os.system("echo hi")
        if torch.initial_seed() % 2:
            sys.exit(3)
        return super().build(vocab_size=vocab_size, window=window, seq_len=seq_len)


@dataclass(frozen=True, kw_only=True)
class Hoarding(Hybrid):
    """A hybrid that keeps an object in its state, which no checkpoint can hold."""

    name: ClassVar[str] = "hoarding"

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """The hybrid with a module whose extra state is an object."""
        model = super().build(vocab_size=vocab_size, window=window, seq_len=seq_len)
        model.add_module("notes", Notes())
        return model


class Notes(nn.Module):
    """Has an object as its extra state."""

    def get_extra_state(self) -> Any:
        """An object that is no tensor."""
        return object()

    def set_extra_state(self, state: Any) -> None:
        """Take it back."""


@dataclass(frozen=True, kw_only=True)
class Leaving(Hybrid):
    """Ends the process, as if all were well."""

    name: ClassVar[str] = "faulty:Leaving"

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """Nothing."""
        sys.exit(0)


@dataclass(frozen=True, kw_only=True)
class Dying(Hybrid):
    """Dies as code in C does."""

    name: ClassVar[str] = "faulty:Dying"

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """Nothing."""
        os.kill(os.getpid(), signal.SIGSEGV)
        return super().build(vocab_size=vocab_size, window=window, seq_len=seq_len)


@dataclass(frozen=True, kw_only=True)
class Stuck(Hybrid):
    """Never comes to a model."""

    name: ClassVar[str] = "faulty:Stuck"

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        """Nothing, after a while in which another process of its own sleeps too."""
        if not os.fork():
            time.sleep(99)
        time.sleep(99)
        return super().build(vocab_size=vocab_size, window=window, seq_len=seq_len)
