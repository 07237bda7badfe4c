"""Early exit by a fixed rule: in tests a sleep stops where a pass changes little; training is that of the hybrid.

A pass counts as little if it changes what is watched by less than `exit_below`, relative to its size: the features of
the window, each token's brought to unit mean square, or the fast weights. Nothing is learned, so the weights of a
trained hybrid can be tested so as they are (`bench evaluate early-exit --weights`).

That a change is small is no proof that something has been worked out. Features of a residual stream grow by about as
much in every pass, so that the relative change of raw ones is about 1 / n whatever happens, and any threshold fires at
some n; direction settles too, only faster. So a rule is to be held against the same windows with their tokens shuffled:
where those stop as early, it counts passes and nothing else.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from baselines.base import State, check_passes
from baselines.halting import Holdings, Stepper, change, freeze, normalise, tell
from baselines.hybrid import Hybrid
from baselines.report import Report

SIGNALS = ("features", "fast-weights")


@dataclass(frozen=True, kw_only=True)
class EarlyExit(Hybrid):
    """Settings of a hybrid that stops sleeping, in tests, where a pass changes little.

    Attributes:
        exit_by: What is watched: "features" or "fast-weights".
        exit_below: The relative change of a pass below which it is the last; 0: never.
    """

    name: ClassVar[str] = "early-exit"

    exit_by: str = "features"
    exit_below: float = 0.03

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built, or that are another loop than this one."""
        super().__post_init__()
        if self.exit_by not in SIGNALS:
            raise ValueError(f"exit_by = {self.exit_by!r}: needs to be one of {', '.join(SIGNALS)}")
        if not 0 <= self.exit_below < float("inf"):
            raise ValueError(f"exit_below = {self.exit_below}: needs to be at least 0")
        self.refuse_other_loops("a sleep that may end after any pass")

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> "EarlyExitSleeper":
        """The model for sequences of `seq_len` tokens read in windows of `window`."""
        return EarlyExitSleeper(self, vocab_size=vocab_size, window=window, windows=-(-seq_len // window))


class EarlyExitSleeper(Stepper):
    """The network of the hybrid, which watches itself."""

    config: EarlyExit

    def sleep(self, tokens: Tensor, state: State, passes: int, *, report: Report | None = None) -> State:
        """Run up to `passes` passes over the window [B, L], in tests each sequence until a pass changes little."""
        check_passes(passes)
        running = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
        used = torch.zeros(len(tokens), device=tokens.device)
        seen = self.signals(self.embed(tokens, state.windows), self.unpack(state, len(tokens)))
        exits: Holdings = []
        for number, (h, holdings) in enumerate(self.each_pass(tokens, state, passes), start=1):
            exits = freeze(running, holdings, exits) if exits else holdings
            used = used + running
            if self.training or number == passes:
                continue
            before, seen = seen, self.signals(h, holdings)
            running = running & (change(seen, before) >= self.config.exit_below)
            if report is not None and not running.any():
                break
        tell(report, used)
        return self.pack(exits, state.windows + 1)

    def signals(self, h: Tensor, holdings: Holdings) -> list[Tensor]:
        """What is watched, of features [B, L, D] and of what blocks hold."""
        return [normalise(h)] if self.config.exit_by == "features" else self.fast_weights(holdings)
