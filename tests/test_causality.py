"""The audit's second question: models that read ahead in a prediction are named, and do not train."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import bench
from test_audit import Plain, Planted, audited, small
from torch import Tensor, nn

from baselines.base import Model, State
from baselines.sleeper import Sleeper
from benchmark.measure.audit.admission import admit
from tasks.recall import Recall

TASK = Recall(pairs=3, keys=6, values=4, queries=2, window_tokens=6)


class Mean(nn.Module):
    """Adds the mean over all tokens of the window."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x.mean(1, keepdim=True)


class Bidirectional(Plain):
    """Mixes over the whole prediction in a module."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = Mean()

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        return self.head(self.mean(self.features(tokens, state.fast_weights[0]))), state


class Shifted(Plain):
    """Reads the next token outside of any module."""

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        logits, state = super().wake(tokens, state)
        return logits + nn.functional.one_hot(tokens, 11).roll(-1, 1), state


class Loop(nn.Linear):
    """A layer that adds a memory [B, D] to its input and writes all it reads into it."""

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        y = torch.tanh(super().forward(x) + memory[:, None])
        return y, memory + y.sum(1)


class Relooped(Plain):
    """Hands what the first pass of a prediction has written to the second."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Loop(4, 4)

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        return State(fast_weights=(self.body(self.embedding(tokens), state.fast_weights[0])[1],))

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        h, memory = self.body(self.embedding(tokens), state.fast_weights[0])
        h, memory = self.body(h, memory)
        return self.head(h), State(fast_weights=(memory,))


READ_AHEAD = [
    (Bidirectional, "mean", ""),
    (Shifted, "the answer", "by a road outside its modules"),
    (Relooped, "body", "through a state that has heard of the whole prediction"),
]


@pytest.mark.parametrize(("kind", "path", "how"), READ_AHEAD)
def test_a_model_that_reads_ahead_is_named(kind: type[Model], path: str, how: str) -> None:
    found = audited(Planted(kind=kind))
    assert not found.passed
    assert [leak.path for leak in found.of_later] == [path]
    assert "token 2 of a prediction changes the answers before it" in found.of_later[0].reason
    assert how in found.of_later[0].reason
    assert not found.of_evicted


@pytest.mark.parametrize("wake_passes", [2, 4])
def test_the_hybrid_of_old_is_found_out(monkeypatch: pytest.MonkeyPatch, wake_passes: int) -> None:
    """Passes of a prediction that hand on fast weights, as they once did: the fault this question is asked for."""
    config = small("hybrid", layout="attn gdn", wake_passes=wake_passes)
    assert audited(config).passed
    loop: Callable[..., Any] = Sleeper.loop
    monkeypatch.setattr(Sleeper, "loop", lambda *a, reset=False, **k: loop(*a, **k))
    (leak,) = audited(config).leaks
    assert leak.later
    assert leak.path == "blocks.1.mixer"
    assert "through a state that has heard of the whole prediction" in leak.reason


class Remembering(Plain):
    """Keeps evicted tokens in an attribute."""

    last: Tensor | float = 0.0

    def hide(self, tokens: Tensor) -> None:
        self.last = tokens.sum(1).float()[:, None, None]

    def found(self, batch: int) -> Tensor | float:
        return self.last


class Broken(Plain):
    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        raise KeyError("page")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Bidirectional, "in mean, token 2 of a prediction"),
        (Shifted, "outside its modules"),
        (Relooped, "in body"),
        (Remembering, "evicted tokens reach its answers by a road outside its state"),
        (Broken, "running it raised"),
    ],
)
def test_a_model_that_fails_a_question_is_not_admitted(kind: type[Model], message: str) -> None:
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=message):
        admit(Planted(kind=kind), TASK, 2)
    admit(Planted(kind=Plain), TASK, 2)
    assert torch.equal(torch.get_rng_state(), before)


OWN = """
from torch import nn
from baselines.base import Model, State


class Own(Model):
    def __init__(self, *, vocab_size, window, seq_len):
        super().__init__()
        self.embedding, self.head = nn.Embedding(vocab_size, 4), nn.Linear(4, vocab_size)

    def start(self, batch):
        return State(fast_weights=(self.head.weight.new_zeros(batch, 4),))

    def sleep(self, tokens, state, passes):
        return State(fast_weights=(self.embedding(tokens).mean(1),))

    def wake(self, tokens, state):
        h = self.embedding(tokens) + state.fast_weights[0][:, None]
        return self.head(h + h.mean(1, keepdim=True)), state
"""


def test_a_factory_that_reads_ahead_is_refused_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers_here: None, undrawn: None
) -> None:
    """Exit code 2 and nothing written; with --no-audit it trains, and its rows say so."""
    import polars as pl

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "ahead.py").write_text(OWN, encoding="utf-8")
    command = ["run", "quick", "--scale", "tiny", "--model", "ahead:Own", "--seeds", "0", "--sleep-passes", "1"]
    command += ["--rollout-steps", "0", "--out", "out"]
    done = bench(*command)
    assert done.code == 2
    assert "model 'ahead:Own' is refused: in the answer, token 2 of a prediction" in done.err
    assert not (tmp_path / "out").exists()

    assert bench(*command, "--no-audit").code == 0
    assert set(pl.read_parquet("out/rows.parquet")["audit"]) == {"skipped"}
