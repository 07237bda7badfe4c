"""PonderNet (Banino, Balaguer, Blundell 2021, arXiv 2107.05407): a sleep whose number of passes is drawn from a law.

After pass n a sequence halts with the chance lambda_n = sigmoid(w . mean over tokens of the normed features + b), and
at N whatever happens, so that n passes have the chance p_n = lambda_n (1 - lambda_1) ... (1 - lambda_(n-1)). What is
trained on is the loss expected over that law, sum p_n L_n, with L_n of the answers after n passes, and `ponder_weight`
times the divergence KL(p || g) from the geometric law of rate `prior_rate`, cut at N in the same way.

A sequence here sleeps over several windows. The last window before a prediction is expected over: its N states are all
answered from, which makes training cost N predictions. How many passes the windows before it got is drawn, window by
window, so that their units learn by the divergence and as last windows alone; where one window is evicted nothing is
drawn. In tests a window gets the median of its law, the first n at which p_1 + ... + p_n is at least 1/2, where the
paper draws, so that a test gives the same answers twice.
"""

from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import State, check_passes
from baselines.halting import HaltingStepper, Holdings, freeze, tell
from baselines.hybrid import Hybrid
from baselines.report import Report


@dataclass(frozen=True, kw_only=True)
class PonderNet(Hybrid):
    """Settings of a hybrid that learns a law of how many passes each window gets.

    Attributes:
        ponder_weight: Beta, of the divergence in the loss.
        prior_rate: Rate of the geometric law that it is taken from: 1 / rate passes in the mean, were there no N.
    """

    name: ClassVar[str] = "pondernet"

    ponder_weight: float = 0.01
    prior_rate: float = 0.4

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built, or that are another loop than this one."""
        super().__post_init__()
        if not 0 <= self.ponder_weight < float("inf"):
            raise ValueError(f"ponder_weight = {self.ponder_weight}: needs to be at least 0")
        if not 0 < self.prior_rate < 1:
            raise ValueError(f"prior_rate = {self.prior_rate}: needs to be between 0 and 1")
        self.refuse_other_loops("a sleep of a drawn number of passes")

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> "PonderSleeper":
        """The model for sequences of `seq_len` tokens read in windows of `window`."""
        return PonderSleeper(self, vocab_size=vocab_size, window=window, windows=-(-seq_len // window))


@dataclass(frozen=True, kw_only=True)
class PonderState(State):
    """The state after a window that is expected over: each sequence has N in the place of one, side by side.

    Attributes:
        chances: p [B, N]; None where each sequence has one state.
    """

    chances: Tensor | None = None


class PonderSleeper(HaltingStepper):
    """The network of the hybrid, and the unit that halts."""

    config: PonderNet

    def sleep(self, tokens: Tensor, state: State, passes: int, *, report: Report | None = None) -> State:
        """In training keep what each number of passes over the window [B, L] leaves; in tests that of the median.

        In training without a report nobody could expect anything: all N passes are run.
        """
        check_passes(passes)
        state = drawn(state)
        if self.training and report is not None:
            return self.expected(tokens, state, passes, report)
        used, going = torch.zeros(len(tokens), device=tokens.device), torch.ones(len(tokens), device=tokens.device)
        running, ends = going > 0, list[Tensor | None]()
        for number, (h, holdings) in enumerate(self.each_pass(tokens, state, passes), start=1):
            ends, used = freeze(running, holdings, ends) if ends else holdings, used + running
            if number < passes and not self.training:
                going = going * self.halting_logit(h).neg().sigmoid()
                running = running & (going > 1 / 2)
                if report is not None and not running.any():
                    break
        tell(report, used)
        return self.pack(ends, state.windows + 1)

    def expected(self, tokens: Tensor, state: State, passes: int, report: Report) -> PonderState:
        """The states after 1 to N passes over the window [B, L], and how likely each is."""
        logits, ways = list[Tensor](), list[Holdings]()
        for number, (h, holdings) in enumerate(self.each_pass(tokens, state, passes), start=1):
            ways.append(holdings)
            if number < passes:
                logits.append(self.halting_logit(h))
        law = self._log_law(logits, len(tokens))
        prior = log_law(torch.full_like(law[:, 1:], self.config.prior_rate).logit())
        report.add("ponder_divergence", (law.exp() * (law - prior)).sum(1), weight=self.config.ponder_weight)
        both = [
            None if parts[0] is None else torch.stack([p for p in parts if p is not None], dim=1).flatten(0, 1)
            for parts in zip(*ways, strict=True)
        ]
        return _with(self.pack(both, state.windows + 1), law.exp())

    def law(self, tokens: Tensor, state: State, passes: int) -> Tensor:
        """The law p [B, N] of a window [B, L], after a state of one way to have slept."""
        logits = [self.halting_logit(h) for h, _ in self.each_pass(tokens, state, passes)][:-1]
        return self._log_law(logits, len(tokens)).exp()

    def _log_law(self, logits: list[Tensor], batch: int) -> Tensor:
        return log_law(torch.stack(logits, dim=1) if logits else self.halt.new_zeros(batch, 0))

    def wake(self, tokens: Tensor, state: State, *, report: Report | None = None) -> tuple[Tensor, State]:
        """Predict over tokens [B, P]; from states that are expected over, by all of them.

        The logits are then those of the median; the others go to the report.
        """
        chances = getattr(state, "chances", None)
        ways = 1 if chances is None else chances.shape[1]
        logits, after = super().wake(tokens.repeat_interleave(ways, dim=0), state)
        if chances is None:
            if self.training and report is not None:
                report.expect(logits.new_ones(1, len(tokens)), logits[None])
            return logits, after
        by_way = logits.view(-1, ways, *logits.shape[1:]).transpose(0, 1)
        if report is not None:
            report.expect(chances.T, by_way)
        median = (chances.cumsum(1) < 1 / 2).sum(1).clamp(max=ways - 1)
        return by_way[median, torch.arange(len(tokens), device=tokens.device)], _with(after, chances)


def log_law(logits: Tensor) -> Tensor:
    """Logarithms of p [B, N] from logits of lambda_1 to lambda_(N-1) [B, N - 1]; whoever has not halted does at N."""
    going = functional.pad(functional.logsigmoid(-logits).cumsum(1), (1, 0))
    return going + functional.pad(functional.logsigmoid(logits), (0, 1))


def drawn(state: State) -> State:
    """One state for each sequence, drawn where there are several."""
    chances = getattr(state, "chances", None)
    if chances is None:
        return state
    first = torch.arange(len(chances), device=chances.device) * chances.shape[1]
    rows = first + torch.multinomial(chances.detach(), 1)[:, 0]
    return State(
        fast_weights=tuple(t[rows] for t in state.fast_weights),
        cache=tuple(t[rows] for t in state.cache),
        windows=state.windows,
    )


def _with(state: State, chances: Tensor) -> PonderState:
    """A state whose sequences have so many ways to have slept."""
    return PonderState(**{field.name: getattr(state, field.name) for field in fields(State)}, chances=chances)
