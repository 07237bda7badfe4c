"""A checkup of a model before anything is trained: what it gives back, what it holds, and who trains its parameters.

Each question is asked by running the model, on random tokens of a task's shape. A question that the model's own code
ends with an error is answered by that error, with file and line; the questions after it are asked all the same.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines import contract
from baselines.addresses import own_errors
from baselines.base import Model, ModelConfig
from baselines.report import Report
from benchmark.forward import Batch, autocast, predict, trained_losses
from benchmark.measure.audit import audit
from benchmark.run import checkpoint, tensors
from benchmark.run.optimizer import split
from tasks.base import Task

BATCH = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a checkup says to one question."""

    question: str
    passed: bool  # False: the model must not be trained as it is
    reading: str  # what was seen, for a reader

    def as_json(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


def checkup(config: ModelConfig, task: Task, *, passes: int = 2) -> list[Answer]:
    """Ask every question of the model that `config` builds for `task`, with N = `passes`.

    Raises:
        ValueError: the model cannot be built; where its own code raised, the message ends with its own traceback.
    """
    with own_errors(f"model {config.name!r}: building it raised"):
        model = _build(config, task)
    patient = _Patient(config, task, model, passes)
    answers: list[Answer] = []
    for question, ask in patient.questions.items():
        try:
            with torch.random.fork_rng(devices=[]), own_errors("its code raised"):
                torch.manual_seed(0)
                answers.append(Answer(question=question, passed=True, reading=ask()))
        except (ValueError, AssertionError) as error:
            answers.append(Answer(question=question, passed=False, reading=str(error)))
            if question == "contract":  # what all other questions stand on
                break
    return answers


@dataclass
class _Patient:
    """A model and what it is asked with; each method answers one question or raises a ValueError that does."""

    config: ModelConfig
    task: Task
    model: Model
    passes: int

    @property
    def questions(self) -> dict[str, Callable[[], str]]:
        """Every question in the order asked."""
        return {
            "contract": self.contract,
            "state": self.state,
            "repeats": self.repeats,
            "learns": self.learns,
            "bf16": self.bf16,
            "checkpoint": self.checkpoint,
            "eviction and causality": self.roads,
            "optimizers": self.optimizers,
        }

    def contract(self) -> str:
        with torch.no_grad():
            window = min(self.task.window, self.task.seq_len)
            contract.check(self.model, vocab_size=self.task.vocab_size, window=window)
        return f"start, sleep and wake give back what they should; logits [B, P, {self.task.vocab_size}]"

    def state(self) -> str:
        with torch.no_grad():
            tokens = torch.zeros(1, min(self.task.window, self.task.seq_len), dtype=torch.int64)
            after = self.model.sleep(tokens, self.model.start(1), self.passes)
        tensors = [f"{path} {list(t.shape[1:])} {_kind(t)}" for path, t in after.tensors().items()]
        return f"{self.model.state_bytes(after)} bytes a sequence after one window: {', '.join(tensors) or 'nothing'}"

    def repeats(self) -> str:
        with torch.no_grad():
            one, again = (self.logits() for _ in range(2))
        if not torch.isfinite(one).all():
            raise ValueError("logits are not finite on random tokens")
        if torch.equal(one, again):
            return "the same tokens give the same logits, bit for bit"
        torch.manual_seed(0)
        with torch.no_grad():
            one = self.logits()
            torch.manual_seed(0)
            again = self.logits()
        if torch.equal(one, again):
            return "random, as dropout is: the same only from the same state of torch's generator"
        raise ValueError("the same tokens and the same random generator give different logits")

    def learns(self) -> str:
        self.model.zero_grad(set_to_none=True)
        batch, report = self.batch(), Report()
        loss = trained_losses(predict(self.model, batch, self.passes, report=report), batch.targets, report).mean()
        (loss if report.loss is None else loss + report.loss).backward()  # type: ignore[no-untyped-call]
        learners = [name for name, p in self.model.named_parameters() if p.grad is not None]
        others = [name for name, p in self.model.named_parameters() if p.grad is None and p.requires_grad]
        if not learners:
            raise ValueError("the loss has no gradient by any parameter")
        return f"{len(learners)} parameters have a gradient" + (f"; none has {_first_names(others)}" if others else "")

    def bf16(self) -> str:
        try:
            with torch.no_grad(), autocast(torch.device("cpu"), "bf16"), own_errors("its code raised"):
                logits = self.logits()
        except ValueError as error:
            return f"train it with precision=fp32 alone: under autocast {error}"
        return f"runs under autocast, as precision=bf16 trains; logits {_kind(logits)}"

    def checkpoint(self) -> str:
        checkpoint.check_savable(state := self.model.state_dict(), "it")
        text, weights = tensors.json_of(state)
        data = b"".join(tensors.encode(weights, {}))
        other = _build(self.config, self.task, seed=1)
        other.load_state_dict(tensors.value_of(text, tensors.decode(data)[0]))
        return f"{len(data)} bytes, loaded into another model"

    def roads(self) -> str:
        report = audit(self.config, passes=tuple(sorted({1, self.passes})), seeds=1)
        if not report.passed:
            raise ValueError("; ".join(f"{leak.path}: {leak.reason}" for leak in report.leaks))
        return "evicted tokens reach answers through the state alone, later tokens not at all" + "".join(
            f"; {note}" for note in report.notes
        )

    def optimizers(self) -> str:
        names = {id(p): name for name, p in self.model.named_parameters()}
        muon, adam = split(self.model)
        if odd := [names.get(id(p), "a weight that is no parameter") for p in muon if p.dim() != 2]:
            raise ValueError(f"matrices() gives Muon what is no matrix: {_first_names(odd)}")
        parts = {
            "Muon": [names[id(p)] for p in muon if p.requires_grad],
            "AdamW": [names[id(p)] for p in adam if p.requires_grad],
            "frozen": [names[id(p)] for p in self.model.parameters() if not p.requires_grad],
        }
        return "\n".join(f"{kind}: {_name_groups(parameters)}" for kind, parameters in parts.items() if parameters)

    def batch(self) -> Batch:
        """A batch of the task."""
        return Batch.of(self.task.episodes("train", np.arange(BATCH)), torch.device("cpu"))

    def logits(self) -> Tensor:
        """Logits of a batch of the task after its sleeps."""
        return predict(self.model, self.batch(), self.passes)


def _build(config: ModelConfig, task: Task, seed: int = 0) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return config.build(vocab_size=task.vocab_size, window=task.window, seq_len=task.seq_len)


def _kind(t: Tensor) -> str:
    return str(t.dtype).removeprefix("torch.")


def _name_groups(names: list[str]) -> str:
    """Names, those that differ in the numbers of their blocks alone as one with a count."""
    counts = Counter(re.sub(r"\b\d+\b", "*", name) for name in names)
    return ", ".join(f"{name} ({count})" if "*" in name else name for name, count in counts.items())


def _first_names(names: list[str], most: int = 4) -> str:
    """Names, the first few of many."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
