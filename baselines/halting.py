"""Sleep pass by pass: what a hybrid would keep after each pass, for models that decide how many passes a window gets.

Each sequence of a batch has its own number of passes, and one that has halted is frozen, so that a sequence keeps what
it would keep alone. What that saves depends on who runs it: the FLOPs that are needed go with the mean of
`passes_used`, and the time of a batch with its maximum, `passes_longest`. Both are reported. A test ends with the last
sequence that goes on; wherever nothing is reported, as where FLOPs are counted, all N passes are run, and training
does so too: `sleep_flops` and `train_flops` of rows are those of N passes.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from baselines.base import State
from baselines.report import Report
from baselines.sleeper import Sleeper

if TYPE_CHECKING:
    from baselines.hybrid import Hybrid

Holdings = list[Tensor | None]
"""What each block holds: fast weights, or keys and values, the batch first; None where nothing."""


class Stepper(Sleeper):
    """The network of the hybrid, whose passes can be stopped at."""

    reports = True

    def each_pass(self, tokens: Tensor, state: State, passes: int) -> Iterator[tuple[Tensor, Holdings]]:
        """After each pass over a window [B, L]: features [B, L, D], and what each block would hold if it ended here.

        Features of the last pass mean nothing. All N passes are those of the hybrid, bit for bit.
        """
        before = self.unpack(state, len(tokens))
        h, holdings = self.embed(tokens, state.windows), before
        for left in reversed(range(passes)):
            blocks = zip(self.stack, holdings, before, strict=True)
            h, holdings = self.loop(h, [now if b.has_memory else old for b, now, old in blocks], 1, output=left > 0)
            yield h, holdings

    def wake(self, tokens: Tensor, state: State, *, report: Report | None = None) -> tuple[Tensor, State]:
        """See `Sleeper.wake`, of which there is nothing to report."""
        return super().wake(tokens, state)

    def fast_weights(self, holdings: Holdings) -> list[Tensor]:
        """The fast weights among what blocks hold."""
        return [t for block, t in zip(self.stack, holdings, strict=True) if block.has_memory and t is not None]


class HaltingStepper(Stepper):
    """The same with a unit that says after each pass how ready a sequence is to halt; at first alike for all."""

    def __init__(self, config: "Hybrid", *, vocab_size: int, window: int, windows: int) -> None:
        super().__init__(config, vocab_size=vocab_size, window=window, windows=windows)
        self.halt = nn.Parameter(torch.zeros(config.d_model))
        self.halt_bias = nn.Parameter(torch.tensor(-1.0))

    def halting_logit(self, h: Tensor) -> Tensor:
        """The logit [B] of halting after features [B, L, D]."""
        with torch.autocast(h.device.type, enabled=False):
            return normalise(h.to(self.halt.dtype)).mean(1) @ self.halt + self.halt_bias


def along(values: Tensor, other: Tensor) -> Tensor:
    """Values of sequences [B], shaped to go with a tensor [B, ...]."""
    return values.view(-1, *[1] * (other.dim() - 1))


def freeze(running: Tensor, new: Holdings, old: Holdings) -> Holdings:
    """What blocks hold now, of sequences that are `running` [B]; of others what they held before."""
    pairs = zip(new, old, strict=True)
    return [n if n is None or o is None else torch.where(along(running, n), n, o) for n, o in pairs]


def normalise(h: Tensor) -> Tensor:
    """Features [..., D] of unit mean square: raw ones grow with every pass, which hides or fakes a change."""
    return torch.nn.functional.rms_norm(h, h.shape[-1:])


def change(new: list[Tensor], old: list[Tensor]) -> Tensor:
    """How far tensors [B, ...] are from those of before, over the size that they have now [B]; 0 where all are 0."""

    def size(tensors: list[Tensor]) -> Tensor:
        return torch.stack([t.float().flatten(1).square().sum(1) for t in tensors]).sum(0)

    change = size([n - o for n, o in zip(new, old, strict=True)])
    return (change / size(new).clamp(min=torch.finfo(torch.float32).tiny)).sqrt()


def tell(report: Report | None, used: Tensor) -> None:
    """Report how many passes each sequence [B] used, and the most in the batch."""
    if report is not None:
        report.add("passes_used", used)
        report.add("passes_longest", used.max())
