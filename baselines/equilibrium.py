"""Equilibrium sleep: passes over a window that tend to a fixed point, at which the blocks write their fast weights.

z* = f(z*, x; S), with f(z, x; S) = norm(F(z + x; S)): F is one pass of all blocks, x the embedded window, which every
pass is given anew, and S the fast weights before the window, from which every pass starts. The new fast weights are
those that F writes when it reads z* + x. A deep equilibrium model (Bai, Kolter, Koltun 2019, arXiv 1909.01377) in each
window; the sleep of the hybrid has neither injection nor norm, and its features grow with every pass instead.

N passes are N - 2 damped steps of the solver, one that is not damped, and the pass that writes. So N = 1 is the plain
hybrid, bit for bit, and N passes cost what they cost there. The gradient is one of three:

- "unrolled": through every step: memory that grows with N, as in the hybrid.
- "phantom": through the last `attached` steps alone (Geng et al. 2021, arXiv 2111.05177): memory that does not grow.
- "implicit": through the fixed point itself, u = v + J^T u with v the gradient at z* and J the Jacobian of f there, by
  `attached` damped steps; exact where forward and backward solver have converged. With none it is u = v, the
  Jacobian-free gradient of Fung et al. 2021 (arXiv 2103.12803).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import State, check_passes
from baselines.hybrid import Hybrid
from baselines.sleeper import Sleeper

GRADIENTS = ("phantom", "implicit", "unrolled")


@dataclass(frozen=True, kw_only=True)
class Equilibrium(Hybrid):
    """Settings of a hybrid that sleeps to a fixed point.

    Attributes:
        gradient: What a sleep back-propagates through: "phantom", "implicit" or "unrolled".
        attached: Steps that "phantom" goes back through, or of the backward solver of "implicit".
        damping: Share of a new iterate that a step of either solver takes.
    """

    name: ClassVar[str] = "equilibrium"

    gradient: str = "phantom"
    attached: int = 5
    damping: float = 0.5

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built, or that are another loop than this one."""
        super().__post_init__()
        if self.gradient not in GRADIENTS:
            raise ValueError(f"gradient = {self.gradient!r}: needs to be one of {', '.join(GRADIENTS)}")
        if self.attached < 0 or (self.gradient == "phantom" and not self.attached):
            raise ValueError(f"attached = {self.attached}: at least {int(self.gradient == 'phantom')} is needed")
        if not 0 < self.damping <= 1:
            raise ValueError(f"damping = {self.damping}: needs to be above 0, up to 1")
        if self.backprop_passes:
            raise ValueError(
                "backprop_passes: of an equilibrium sleep gradient and attached say how far gradients go back"
            )
        self.refuse_other_loops("an equilibrium sleep")

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> "EquilibriumSleeper":
        """The model for sequences of `seq_len` tokens read in windows of `window`."""
        return EquilibriumSleeper(self, vocab_size=vocab_size, window=window, windows=-(-seq_len // window))


class EquilibriumSleeper(Sleeper):
    """The network of the hybrid, which sleeps by solving for a fixed point."""

    config: Equilibrium

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        """Solve for the fixed point of the window [B, L], and keep what the blocks write there."""
        check_passes(passes)
        x, before = self.embed(tokens, state.windows), self.unpack(state, len(tokens))
        z = self.fixed_point(x, before, passes - 1) if passes > 1 else None
        _, holdings = self.loop(x if z is None else z + x, before, 1, output=False)
        return self.pack(holdings, state.windows + 1)

    def step(self, z: Tensor, x: Tensor, before: list[Tensor | None]) -> Tensor:
        """f: features [B, L, D] of one pass over z + x, normed."""
        h, _ = self.loop(z + x, before, 1)
        return functional.rms_norm(h, h.shape[-1:])

    def fixed_point(self, x: Tensor, before: list[Tensor | None], steps: int) -> Tensor:
        """The fixed point [B, L, D] as `steps` steps from 0 reach it, the last of them not damped."""
        kind, damping = self.config.gradient, self.config.damping
        back = {"unrolled": steps, "phantom": min(self.config.attached, steps), "implicit": 1}[kind]
        z = torch.zeros_like(x)
        for step in range(steps - 1):
            with torch.set_grad_enabled(torch.is_grad_enabled() and step >= steps - back):
                z = torch.lerp(z, self.step(z, x, before), damping)
        end = self.step(z, x, before)
        if kind == "implicit" and end.requires_grad:
            self.turn_back(end, z, x, before)
        return end

    def turn_back(self, end: Tensor, z: Tensor, x: Tensor, before: list[Tensor | None]) -> None:
        """Let the gradient at the fixed point be solved for before it goes back through the step that led there."""
        # On a graph of its own: a hook that went back through the graph it belongs to would call itself.
        at = z.detach().requires_grad_()
        again = self.step(at, x.detach(), [None if state is None else state.detach() for state in before])

        def transposed(u: Tensor) -> Tensor:
            return torch.autograd.grad(again, at, u, retain_graph=True)[0]

        solve = partial(adjoint, transposed, steps=self.config.attached, damping=self.config.damping)
        end.register_hook(solve)  # type: ignore[no-untyped-call]


def adjoint(transposed: Callable[[Tensor], Tensor], v: Tensor, steps: int, damping: float) -> Tensor:
    """The solution of u = v + J^T u, by damped steps from u = v; `transposed` multiplies by J^T."""
    u = v
    for _ in range(steps):
        u = torch.lerp(u, v + transposed(u), damping)
    return u
