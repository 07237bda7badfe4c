"""Chain of thought, asleep or at wake: tokens that the hybrid reads beside those it is given.

In the last pass over a window, M thoughts follow its last token, while it is still visible. They write into the fast
weights as any token does, and are evicted with the window, so that a prediction stays one pass (`cot-asleep`). Or M
thoughts follow each token of a prediction, and what comes next is read off the last of them (`cot`): 1 + M runs of the
network, one after the other, which breaks the latency constraint. Without thoughts both are the hybrid, bit for bit.

Thoughts are of one of three kinds:

- "text" (Wei et al. 2022, arXiv 2201.11903): tokens of the vocabulary. Where a task gives workings, training reads
  these, all in one pass, and learns to write them; elsewhere, and in every test, each thought is the likeliest token
  after those before it. Asleep the text may be questions that the task might ask, with their answers, in the place of
  workings: sleep-time compute (Lin et al. 2025, arXiv 2504.13171) whose context is then evicted.
- "latent" (Coconut, Hao et al. 2024, arXiv 2412.06769): each input is the normed output of the token before. Trained
  as it is tested, by the answers alone, without the stages of the paper in which text gives way to latent thoughts.
- "pause" (Goyal et al. 2024, arXiv 2310.02226): M learned inputs, all in one pass. As many more tokens, and no more
  steps in sequence than without them: the control for the other two.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.base import Notes, State, check_passes
from baselines.hybrid import OWN_LOOP, Hybrid
from baselines.report import Report
from baselines.sleeper import Sleeper

KINDS = ("text", "latent", "pause")
TAUGHT = ("workings", "questions")
"""Kinds of notes that text is learned from."""
PLAIN = {"eviction": "hard"} | OWN_LOOP
"""Settings of the hybrid that leave it as it is: a pass over all blocks, after which the window goes."""


@dataclass(frozen=True, kw_only=True)
class Thinking(Hybrid):
    """Settings of a hybrid that thinks before it answers.

    Attributes:
        thoughts: M; of longer workings the first M tokens are thought, of shorter ones the last again and again.
        thought: "text", "latent" or "pause".
        thought_weight: Of the loss of thoughts that are given, in nats a token, beside that of the answers.
        taught: What text is learned from: "workings", or asleep "questions" with their answers.
    """

    network: ClassVar[type["Thinker"]]
    """What it builds."""

    thoughts: int = 8
    thought: str = "text"
    thought_weight: float = 1.0
    taught: str = field(default="workings", metadata={"later": True})

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        super().__post_init__()
        if self.thoughts < 0:
            raise ValueError(f"thoughts = {self.thoughts}: at least 1 is needed, or 0 for none")
        if self.thought not in KINDS:
            raise ValueError(f"thought = {self.thought!r}: needs to be one of {', '.join(KINDS)}")
        if self.taught not in TAUGHT:
            raise ValueError(f"taught = {self.taught!r}: needs to be one of {', '.join(TAUGHT)}")
        if not 0 <= self.thought_weight < float("inf"):
            raise ValueError(f"thought_weight = {self.thought_weight}: needs to be at least 0, and finite")
        if other := [name for name, value in PLAIN.items() if getattr(self, name) != value]:
            raise ValueError(
                f"{' and '.join(other)}: thoughts follow a window that all blocks read and that goes as a whole; "
                "leave them as they are"
            )

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> "Thinker":
        """The model for sequences of `seq_len` tokens read in windows of `window`."""
        return self.network(self, vocab_size=vocab_size, window=window, windows=-(-seq_len // window))


class Thinker(Sleeper):
    """The network of the hybrid, which runs over thoughts too."""

    reports = True
    config: Thinking

    def __init__(self, config: Thinking, *, vocab_size: int, window: int, windows: int) -> None:
        super().__init__(config, vocab_size=vocab_size, window=window, windows=windows)
        if config.thought == "pause":
            self.pause = nn.Parameter(torch.randn(config.thoughts, config.d_model))

    @property
    def uses_notes(self) -> frozenset[str]:  # type: ignore[override]
        """What text is learned from, where thoughts are text."""
        return frozenset({self.config.taught} if self.config.thought == "text" else ())

    def think(
        self, h: Tensor, before: list[Tensor | None], number: int, workings: Tensor | None, *, output: bool
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Run the blocks once over tokens, and over M thoughts after each group of them.

        Args:
            h: Features of the tokens [B, G, T, D], G groups in a row.
            before: What each block holds before.
            number: Of the window.
            workings: Thoughts [B, G, M] that are given; None: the model makes its own.
            output: Whether features are read.

        Returns:
            Features [B, G, T + M, D], and what each block holds after.
        """
        groups, count = h.shape[1], self.config.thoughts
        if workings is not None:
            thoughts = self.embed(workings, number)
        elif self.config.thought == "pause" or not count:
            thoughts = self.pause.expand(*h.shape[:2], -1, -1) if count else h[:, :, :0]
        else:
            return self.generate(h, before, number)
        h, holdings = self.loop(torch.cat((h, thoughts), dim=2).flatten(1, 2), before, 1, output=output)
        return h.reshape(len(h), groups, -1, h.shape[-1]), holdings

    def generate(self, h: Tensor, before: list[Tensor | None], number: int) -> tuple[Tensor, list[Tensor | None]]:
        """`think`, thought by thought: each is made of the output before it."""
        holdings, features = list(before), list[Tensor]()
        past: list[Tensor | None] = [None] * len(holdings)
        for group in h.unbind(1):
            for thought in range(1 + self.config.thoughts):
                x = self.next_thought(features[-1][:, -1:], number) if thought else group
                for i, block in enumerate(self.stack):
                    x, holdings[i], past[i] = block.resume(x, holdings[i], past[i])
                features.append(x)
        return torch.cat(features, dim=1).view(*h.shape[:2], -1, h.shape[-1]), holdings

    def next_thought(self, h: Tensor, number: int) -> Tensor:
        """The thought [B, 1, D] after a token whose features are h."""
        return self.norm(h) if self.config.thought == "latent" else self.embed(self.logits(h).argmax(-1), number)

    def workings(self, notes: Notes | None, batch: int, groups: int) -> Tensor | None:
        """The thoughts [B, G, M] that a teacher gives for each of G groups; None without."""
        if not notes or not self.config.thoughts:
            return None
        text = notes[self.config.taught]
        if text.shape[1] % groups:
            raise ValueError(f"workings of {text.shape[1]} tokens are not as many for each of {groups}")
        chains = text.view(batch, groups, -1)[..., : self.config.thoughts]
        ends = chains[..., -1:].expand(-1, -1, self.config.thoughts - chains.shape[-1])
        return torch.cat((chains, ends), dim=-1)

    def learn(self, report: Report | None, h: Tensor, workings: Tensor | None) -> None:
        """Report how far what follows from features [B, G, T + M, D] is from the thoughts that were given [B, G, M]."""
        if report is None or workings is None:
            return
        logits = self.logits(h[:, :, -1 - workings.shape[-1] : -1])
        losses = functional.cross_entropy(logits.flatten(0, 2), workings.flatten(), reduction="none")
        report.add("thought_loss", losses.view(len(h), -1).mean(1), weight=self.config.thought_weight)


class SleepThinker(Thinker):
    """Thoughts after each window, in the last pass over it."""

    def sleep(
        self, tokens: Tensor, state: State, passes: int, *, report: Report | None = None, notes: Notes | None = None
    ) -> State:
        """Run the blocks `passes` times over the window [B, L], and the last time over thoughts as well."""
        check_passes(passes)
        h, holdings = self.embed(tokens, state.windows), self.unpack(state, len(tokens))
        if passes > 1:
            h, holdings = self.loop(h, holdings, passes - 1)
        workings = self.workings(notes, len(tokens), 1)
        h, holdings = self.think(h[:, None], holdings, state.windows, workings, output=workings is not None)
        self.learn(report, h, workings)
        return self.pack(holdings, state.windows + 1)

    def wake(
        self, tokens: Tensor, state: State, *, report: Report | None = None, notes: Notes | None = None
    ) -> tuple[Tensor, State]:
        """Predict as the hybrid does: notes on a prediction are not read."""
        return super().wake(tokens, state)


class WakeThinker(Thinker):
    """Thoughts after each token of a prediction."""

    @property
    def wake_passes(self) -> int:
        """Runs of the network in sequence for an answer: one a thought, unless all are read at once."""
        return 1 + self.config.thoughts * (self.config.thought != "pause")

    def sleep(
        self, tokens: Tensor, state: State, passes: int, *, report: Report | None = None, notes: Notes | None = None
    ) -> State:
        """Sleep as the hybrid does: notes on a window that is read are not."""
        return super().sleep(tokens, state, passes)

    def wake(
        self, tokens: Tensor, state: State, *, report: Report | None = None, notes: Notes | None = None
    ) -> tuple[Tensor, State]:
        """Predict over tokens [B, P], with M thoughts after each: logits [B, P, V] and the state after all."""
        before, number = self.unpack(state, len(tokens)), state.windows
        workings = self.workings(notes, *tokens.shape)
        h, holdings = self.think(self.embed(tokens, number)[:, :, None], before, number, workings, output=True)
        self.learn(report, h, workings)
        return self.logits(h[:, :, -1]), self.pack(holdings, number + 1)


@dataclass(frozen=True, kw_only=True)
class ChainOfThought(Thinking):
    """Thoughts after each token of a prediction, before what follows it."""

    name: ClassVar[str] = "cot"
    network: ClassVar[type[Thinker]] = WakeThinker

    def __post_init__(self) -> None:
        """Refuse settings that cannot be built."""
        super().__post_init__()
        if self.wake_passes > 1:
            raise ValueError(f"wake_passes = {self.wake_passes}: a prediction thinks in its one pass; leave it at 1")
        if self.taught != TAUGHT[0]:
            raise ValueError(f"taught = {self.taught!r}: questions are anticipated asleep; at wake they are asked")


@dataclass(frozen=True, kw_only=True)
class ChainOfThoughtAsleep(Thinking):
    """Thoughts after a window is read, before it goes."""

    name: ClassVar[str] = "cot-asleep"
    network: ClassVar[type[Thinker]] = SleepThinker
