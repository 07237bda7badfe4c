"""Self-modifying sleep: before a window goes, N steps of descent teach slow weights to do without it.

In the manner of "Language Models Need Sleep: Learning to Self-Modify and Consolidate Memories" (Behrouz, Hashemi,
Mirrokni, arXiv 2606.03979) and of nested learning (arXiv 2512.24695). That is the other paper of nearly the same
title: it is not the one that this project reproduces, and its mechanism is another. There, what fast parts of a network
hold is distilled upwards into slower parameters by on-policy distillation and imitation, and synthetic data rehearse
it. Its equations were not at hand; what is here is the smallest form of that idea, and no claim about that system:

- Slow weights are one MLP behind the blocks, `m(z) = z + down relu(up z)^2` of z = the blocks' features brought to unit
  mean square. Every sequence has changes of its own to `up` and `down`, which are its whole state.
- R learned probes are what is rehearsed. With the window before them the blocks and the slow weights of before give the
  teacher's answers, t; without it the student's features z. A step descends `1/2 mean |m(z) - t|^2`:
  `W <- a W - e g / sqrt(1 + |g|^2)`, with g the gradient and |g| its length over `up` and `down` together. The keep a
  in (0, 1) and the rate e > 0 are learned, and no step is longer than e, so that weights stay below e / (1 - a).
- Gradients of training go through all steps and into the teacher. Cut off there, as stop-gradient writes are, nothing
  would teach the window what to leave.

There is no reinforcement learning, no dreaming and no enlargement. Only the last MLP learns asleep, so that a step
needs no pass of the blocks, and its gradient is written out, for which autograd is the tests' oracle.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.attention_stack import AttentionStack, StackNetwork
from baselines.base import State, check_passes
from baselines.layers import linear


class SlowLearner(StackNetwork):
    """Attention blocks, and behind them an MLP that learns while it sleeps."""

    def begin(self, settings: AttentionStack, count: int) -> None:
        """Draw the probes and the slow weights that every sequence starts from."""
        super().begin(settings, count)
        units = cast("SelfModifying", settings).units
        self.up, self.down = linear(settings.d_model, units), linear(units, settings.d_model, zero=True)
        self.rate = nn.Parameter(torch.zeros(()))
        self.keep = nn.Parameter(torch.tensor(4.0))

    def memory(self) -> list[nn.Parameter]:
        """The slow weights, the probes, and how they are learned from."""
        return [self.first, *self.up.parameters(), *self.down.parameters(), self.rate, self.keep]

    def start(self, batch: int) -> State:
        """Slow weights as they were trained: no change of any sequence."""
        shapes = (self.up.weight, self.down.weight)
        return State(fast_weights=tuple(w.new_zeros(batch, *w.shape) for w in shapes))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Take `passes` steps of descent, so that probes are answered as with the window [B, L] before them."""
        check_passes(passes)
        probes = self.first.expand(len(tokens), -1, -1)
        after = _unit(self.features(self.embed(tokens, state.windows), probes))
        changes = state.fast_weights
        with torch.autocast(tokens.device.type, enabled=False):
            precise = changes[0].dtype
            teacher = self.answers(after.to(precise), changes)
            student = _unit(self.features(probes[:, :0], probes)).to(precise)
            for _ in range(passes):
                changes = self.step(student, teacher, changes)
        return replace(state, fast_weights=changes, windows=state.windows + 1)

    def step(self, z: Tensor, teacher: Tensor, changes: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The changes of the slow weights [B, U, D] and [B, D, U] after one step on probes [B, R, D]."""
        up, down = self.up.weight + changes[0], self.down.weight + changes[1]
        active = (z @ up.mT).relu()
        error = (z + active.square() @ down.mT - teacher) / z[0].numel()
        gradients = (2 * active * (error @ down)).mT @ z, error.mT @ active.square()
        lengths = [g.square().sum((1, 2), keepdim=True) for g in gradients]
        size = functional.softplus(self.rate) * torch.rsqrt(1 + lengths[0] + lengths[1])
        return tuple(self.keep.sigmoid() * w - size * g for w, g in zip(changes, gradients, strict=True))

    def answers(self, z: Tensor, changes: tuple[Tensor, ...]) -> Tensor:
        """m: features [B, T, D] behind the slow MLP, with each sequence's own changes to it."""
        up, down = self.up.weight + changes[0], self.down.weight + changes[1]
        return z + (z @ up.mT).relu().square() @ down.mT

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict over tokens [B, P] with slow weights as they are: logits [B, P, V] and the state."""
        x = self.embed(tokens, state.windows)
        h = _unit(self.features(x[:, :0], x))
        return self.logits(self.answers(h.to(state.fast_weights[0].dtype), state.fast_weights)), self.read(state)


@dataclass(frozen=True, kw_only=True)
class SelfModifying(AttentionStack):
    """Settings of a network whose sleep is gradient descent on slow weights.

    Attributes:
        probes: R: learned vectors that are answered with and without the window.
        slow_units: Hidden units of the slow MLP; 0: as many as give the state the numbers of a hybrid's fast weights.
    """

    name: ClassVar[str] = "self-modifying"
    network: ClassVar[type[StackNetwork]] = SlowLearner
    probes: int = 8
    slow_units: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        super().__post_init__()
        if self.probes < 1:
            raise ValueError(f"probes = {self.probes}: at least 1 is needed")
        if self.slow_units < 0:
            raise ValueError(f"slow_units = {self.slow_units}: at least 1 is needed, or 0 for as many as match")

    def count(self, windows: int) -> int:
        """The probes."""
        return self.probes

    @property
    def units(self) -> int:
        """Hidden units of the slow MLP."""
        return self.slow_units or max(1, self.numbers // (2 * self.d_model))


def _unit(h: Tensor) -> Tensor:
    """Features of unit mean square."""
    return functional.rms_norm(h, h.shape[-1:])
