"""Adaptive computation time (Graves 2016, arXiv 1603.08983): each window says itself how many passes it gets.

After pass n a sequence halts by a share h_n = sigmoid(w . mean over tokens of the normed features + b). It stops at the
first T at which h_1 + ... + h_T is at least 1 - 0.01, or at N. Passes weigh p_n = h_n, the last one the remainder
R = 1 - (h_1 + ... + h_(T-1)), and what is kept is the mix of fast weights sum p_n S_n. Reading is linear in S, so a mix
is a mix of what would be read, and S is no larger. Keys and values are those of the last pass.

The loss has `ponder_weight` (T + R) added for every window, T without a gradient, as it has none: it goes through R
alone. b starts at -1, for about four passes; the original's 1 was meant to keep pondering short.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from baselines.base import State, check_passes
from baselines.halting import HaltingStepper, Holdings, along, freeze, tell
from baselines.hybrid import Hybrid
from baselines.report import Report

EPSILON = 0.01
"""What may be missing of 1 for a sequence to stop: it can then do so after a single pass."""


@dataclass(frozen=True, kw_only=True)
class ACT(Hybrid):
    """Settings of a hybrid that learns how many passes each window needs.

    Attributes:
        ponder_weight: Of T + R in the loss: what a pass has to be worth.
    """

    name: ClassVar[str] = "act"

    ponder_weight: float = 0.01

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built, or that are another loop than this one."""
        super().__post_init__()
        if not 0 <= self.ponder_weight < float("inf"):
            raise ValueError(f"ponder_weight = {self.ponder_weight}: needs to be at least 0")
        self.refuse_other_loops("a sleep that mixes its passes")

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> "ACTSleeper":
        """The model for sequences of `seq_len` tokens read in windows of `window`."""
        return ACTSleeper(self, vocab_size=vocab_size, window=window, windows=-(-seq_len // window))


class Ponder:
    """Where each sequence of a batch is on its way to halting.

    Attributes:
        running: Who goes on [B].
        used: T so far [B].
        remainder: R, of who has halted [B].
    """

    def __init__(self, batch: int, device: torch.device) -> None:
        self.running = torch.ones(batch, dtype=torch.bool, device=device)
        self.used = torch.zeros(batch, device=device)
        self.remainder = torch.zeros(batch, device=device)
        self._halted = torch.zeros(batch, device=device)

    def step(self, halt: Tensor | None) -> Tensor:
        """The weight [B] of a pass whose share of halting is `halt` [B]; None: it is the last, whatever happens."""
        rest, running = 1 - self._halted, self.running
        if halt is None:
            ends, weight = running, rest
        else:
            ends = running & (self._halted + halt >= 1 - EPSILON)
            weight = torch.where(ends, rest, halt)
            self._halted = torch.where(running & ~ends, self._halted + halt, self._halted)
        self.used = self.used + running
        self.remainder = torch.where(ends, rest, self.remainder)
        self.running = running & ~ends
        return torch.where(running, weight, torch.zeros_like(rest))


class ACTSleeper(HaltingStepper):
    """The network of the hybrid, and the unit that halts."""

    config: ACT

    def sleep(self, tokens: Tensor, state: State, passes: int, *, report: Report | None = None) -> State:
        """Mix what up to `passes` passes over the window [B, L] leave, each sequence until it halts."""
        check_passes(passes)
        ponder = Ponder(len(tokens), tokens.device)
        mixed: Holdings = []
        for number, (h, holdings) in enumerate(self.each_pass(tokens, state, passes), start=1):
            running = ponder.running
            weight = ponder.step(self.halting_logit(h).sigmoid() if number < passes else None)
            mixed = self.mixture(weight, holdings, freeze(running, holdings, mixed) if mixed else holdings, mixed)
            if report is not None and not self.training and not ponder.running.any():
                break
        tell(report, ponder.used)
        if report is not None:
            report.add("ponder_cost", ponder.used + ponder.remainder, weight=self.config.ponder_weight)
        return self.pack(mixed, state.windows + 1)

    def mixture(self, weight: Tensor, holdings: Holdings, last: Holdings, sums: Holdings) -> Holdings:
        """The mix so far of fast weights, with this pass at its `weight` [B]; of the rest what the `last` pass left."""
        mix: Holdings = []
        for number, (block, new) in enumerate(zip(self.stack, holdings, strict=True)):
            if not block.has_memory or new is None:
                mix.append(last[number])
                continue
            part = along(weight, new).to(new.dtype) * new
            before = sums[number] if sums else None
            mix.append(part if before is None else before + part)
        return mix
