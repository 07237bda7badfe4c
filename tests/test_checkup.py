"""`bench check-model`: each question meets a model that fails it; faults of a user's code come with their place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import bench
from sleepbench_toy.model import Hidden, Recurrent
from torch import Tensor, nn

from baselines.base import Model, ModelConfig, State
from benchmark.measure.model_check import checkup
from tasks.rule110 import Rule110

TASK = Rule110(cells=4, strings=1, rollout_steps=1)
QUESTIONS = ["contract", "state", "repeats", "learns", "bf16", "checkpoint", "eviction and causality", "optimizers"]


class Sound(Recurrent):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size, 4)


class LogitsAlone(Sound):
    def wake(self, tokens: Tensor, state: State) -> Any:
        return super().wake(tokens, state)[0]


class NoState(Sound):
    def sleep(self, tokens: Tensor, state: State, passes: int) -> Any:
        return None


class BatchLast(Sound):
    def start(self, batch: int) -> Hidden:
        return Hidden(hidden=torch.zeros(4, batch))


class LastTokenOnly(Sound):
    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, Hidden]:
        logits, after = super().wake(tokens, state)
        return logits[:, -1], after


class Breaks(Sound):
    def sleep(self, tokens: Tensor, state: State, passes: int) -> Hidden:
        first, second = tokens[0, :1].tolist()  # the fault
        return super().sleep(tokens, state, first + second)


class Unsteady(Sound):
    calls = 0

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, Hidden]:
        logits, after = super().wake(tokens, state)
        self.calls += 1
        return logits * self.calls, after


class Deaf(Sound):
    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, Hidden]:
        logits, after = super().wake(tokens, state)
        return logits.detach().requires_grad_(), after


class SinglePrecisionAlone(Sound):
    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, Hidden]:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("no bf16 here")
        return super().wake(tokens, state)


class HoldsObjects(Sound):
    def get_extra_state(self) -> Any:
        return {"where": Path()}

    def set_extra_state(self, state: Any) -> None: ...


class ReadsAhead(Sound):
    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, Hidden]:
        return super().wake(tokens.flip(1), state)


class VectorsToMuon(Sound):
    def matrices(self) -> list[Tensor]:
        return [self.gru.bias_hh]


class WithDropout(Sound):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.dropout = nn.Dropout(0.5)

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, Hidden]:
        logits, after = super().wake(tokens, state)
        return self.dropout(logits), after


def factory(kind: Callable[[int], Model]) -> Callable[..., Model]:
    return lambda *, vocab_size, window, seq_len: kind(vocab_size)


class Config(ModelConfig):
    name, version = "mine", 1

    def __init__(self, kind: Callable[[int], Model]) -> None:
        object.__setattr__(self, "kind", kind)

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        made: Model = self.kind(vocab_size)  # type: ignore[attr-defined]
        return made


sound, logits_alone, breaks, ahead = map(factory, (Sound, LogitsAlone, Breaks, ReadsAhead))


def line(text: str) -> int:
    """The number of the first line of this file that holds a text."""
    return next(n for n, row in enumerate(Path(__file__).read_text("utf-8").splitlines(), 1) if text in row)


def test_a_sound_model_passes_every_question() -> None:
    answers = checkup(Config(Sound), TASK)
    assert [(answer.question, answer.passed) for answer in answers] == [(question, True) for question in QUESTIONS]
    readings = {answer.question: answer.reading for answer in answers}
    assert readings["state"] == "16 bytes a sequence after one window: hidden [4] float32"
    assert readings["optimizers"] == (
        "AdamW: embedding.weight, gru.weight_ih, gru.weight_hh, gru.bias_ih, gru.bias_hh, head.weight, head.bias"
    )


@pytest.mark.parametrize(
    ("kind", "question", "reading"),
    [
        (WithDropout, "repeats", "random, as dropout is"),
        (SinglePrecisionAlone, "bf16", "train it with precision=fp32 alone: under autocast its code raised"),
    ],
)
def test_what_a_user_should_know_is_no_fault(kind: Callable[[int], Model], question: str, reading: str) -> None:
    (answer,) = [a for a in checkup(Config(kind), TASK) if a.question == question]
    assert answer.passed and answer.reading.startswith(reading)


@pytest.mark.parametrize(
    ("kind", "question", "reading"),
    [
        (
            LogitsAlone,
            "contract",
            "must return logits and the state after them; returned a tensor [2, 4, 3] of float32",
        ),
        (NoState, "contract", "must return a baselines.base.State; returned None"),
        (BatchLast, "contract", "every tensor of the state has the batch first, here 2; hidden is a tensor [4, 2]"),
        (LastTokenOnly, "contract", "must return logits [B, P, V], here [2, 4, 3]; returned a tensor [2, 3]"),
        (Breaks, "contract", "ValueError: not enough values to unpack (expected 2, got 1)"),
        (Unsteady, "repeats", "the same tokens and the same random generator give different logits"),
        (Deaf, "learns", "the loss has no gradient by any parameter"),
        (
            HoldsObjects,
            "checkpoint",
            "what a checkpoint cannot keep: _extra_state.where is of type PosixPath",
        ),
        (ReadsAhead, "eviction and causality", "changes the answers before it"),
        (VectorsToMuon, "optimizers", "matrices() gives Muon what is no matrix: gru.bias_hh"),
    ],
)
def test_each_question_finds_its_fault(kind: Callable[[int], Model], question: str, reading: str) -> None:
    failed = {answer.question: answer.reading for answer in checkup(Config(kind), TASK) if not answer.passed}
    assert reading in failed[question]
    assert set(failed) <= {question, "eviction and causality"}


def test_the_command() -> None:
    done = bench("check-model", "test_checkup:sound", "--task", "recall", "--set", "pairs=4", "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told["passed"] and [answer["question"] for answer in told["answers"]] == QUESTIONS
    assert bench("check-model", "hybrid", "--set", "layout=attn gdn", "--set", "d_model=8").out.endswith(
        "hybrid may be trained\n"
    )
    failed = bench("check-model", "test_checkup:ahead")
    assert (failed.code, failed.out.splitlines()[-1]) == (1, "test_checkup:ahead fails: eviction and causality")


@pytest.mark.parametrize("command", [["show", "quick", "--scale", "tiny", "--model"], ["check-model"], ["audit"]])
def test_a_fault_comes_with_its_file_and_line(command: list[str]) -> None:
    """Also where the harness would unpack what a model returns, and one in a model's own code."""
    done = bench(*command, "test_checkup:breaks")
    assert done.code in (1, 2)
    assert f'{__file__}", line {line("# the fault")}' in done.out + done.err
    if command != ["audit"]:
        done = bench(*command, "test_checkup:logits_alone")
        assert f"{__file__}:{line('class LogitsAlone') + 1}, wake: must return logits" in done.out + done.err
