"""Chain of thought: against plain readings token by token, its limiting case, and thoughts that are given."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import VOCABULARY, WINDOW, Build, live, same, tokens
from plain import Plain, assert_same_function
from torch import Tensor

from baselines.base import Notes, State
from baselines.chain_of_thought import KINDS, ChainOfThought, ChainOfThoughtAsleep, Thinker, Thinking
from baselines.hybrid import MIXERS, Hybrid
from baselines.report import Report
from baselines.sleeper import Sleeper
from benchmark import rows
from benchmark.cells.cell import Cell, Training
from benchmark.cells.cost import Cost, cost
from benchmark.forward import Batch, notes_of, predict, split_windows
from benchmark.run.evaluate import HeldOut, evaluate
from benchmark.run.trainer import Trainer
from tasks.base import Task
from tasks.depo import Depo
from tasks.rule110 import Rule110

CPU = torch.device("cpu")
COUNT = 5
SIZES: dict[str, Any] = {"layout": "attn gdn attn gdn", "d_model": 8, "heads": 2, "mlp_ratio": 2}

both = pytest.mark.parametrize("kind", [ChainOfThought, ChainOfThoughtAsleep])
each_thought = pytest.mark.parametrize("thought", KINDS)


def built(build: Build, config: Thinking) -> Thinker:
    """A model in double precision."""
    model = build(config, dtype=torch.float64, noise=0.2)
    assert isinstance(model, Thinker)
    return model


class PlainThinker(Plain):
    """All tokens of a pass are read anew for each thought that follows them; everything else is that of `Plain`."""

    def answer(self, model: Thinker, windows: list[Tensor], passes: int) -> Tensor:
        """Logits [P, V] in the last window."""
        asleep = isinstance(model.config, ChainOfThoughtAsleep)
        for number, window in enumerate(windows[:-1]):
            h = [self.embed(int(token), number) for token in window]
            for _ in range(passes - 1):
                h = self.once(h)
            self.once(self.with_thoughts(model, h, number) if asleep else h)
        number, entered, outputs = len(windows) - 1, [], []
        for token in windows[-1]:
            entered.append(self.embed(int(token), number))
            entered = entered if asleep else self.with_thoughts(model, entered, number)
            outputs.append(self.tried(entered)[-1])
        return torch.stack([self.logits(h) for h in outputs])

    def with_thoughts(self, model: Thinker, entered: list[Tensor], number: int) -> list[Tensor]:
        """What a pass reads, and M thoughts after it."""
        for thought in range(model.config.thoughts):
            if model.config.thought == "pause":
                entered = [*entered, self.weights["pause"][thought]]
                continue
            h = self.tried(entered)[-1]
            latent = model.config.thought == "latent"
            entered = [*entered, self.rms(h, "norm") if latent else self.embed(int(self.logits(h).argmax()), number)]
        return entered

    def logits(self, h: Tensor) -> Tensor:
        return self.weights["head.weight"] @ self.rms(h, "norm")

    def once(self, h: list[Tensor]) -> list[Tensor]:
        """Features of one pass of all blocks, which writes."""
        for block in range(len(self.layout)):
            h, _ = self.block(block, h, [])
        return h

    def tried(self, h: list[Tensor]) -> list[Tensor]:
        """The same without writing."""
        before = dict(self.fast)
        h = self.once(h)
        self.fast = before
        return h


@pytest.mark.parametrize("passes", [1, 2])
@each_thought
@both
def test_it_equals_its_definition(build: Build, kind: type[Thinking], thought: str, passes: int) -> None:
    """Values and the gradient of every parameter, over two windows slept on and a shorter one predicted."""
    model = built(build, kind(**SIZES, thoughts=3, thought=thought))
    inputs = tokens(1, 2 * WINDOW + 3)
    logits = live(model, inputs, passes)[0][0]
    expected = PlainThinker(model, WINDOW).answer(model, [*inputs[0].split(WINDOW)], passes)
    assert_same_function(model, logits, expected)


@pytest.mark.parametrize("passes", [1, 3])
@each_thought
@both
def test_without_thoughts_it_is_the_hybrid(build: Build, kind: type[Thinking], thought: str, passes: int) -> None:
    thinker, hybrid = build(kind(**SIZES, thoughts=0, thought=thought)), build(Hybrid(**SIZES))
    hybrid.load_state_dict({name: t for name, t in thinker.state_dict().items() if name != "pause"})
    (logits, state), (expected, after) = live(thinker, tokens(), passes), live(hybrid, tokens(), passes)
    assert torch.equal(logits, expected)
    assert same(state, after)
    assert thinker.wake_passes == 1


@pytest.mark.parametrize("word", MIXERS)
@both
def test_thoughts_that_are_given_are_read_as_those_that_are_made(build: Build, kind: type[Thinking], word: str) -> None:
    """One pass over what greedy thinking wrote leaves what it left, under every update rule."""
    model = built(build, replace(kind(**SIZES, thoughts=COUNT), layout=f"attn {word} {word} attn {word}"))
    h, before = model.embed(tokens()[:, :WINDOW], 0), model.unpack(model.start(3), 3)
    h = h[:, None] if kind is ChainOfThoughtAsleep else h[:, :, None]
    features, held = model.generate(h, before, 0)
    made = model.logits(features[:, :, -1 - COUNT : -1]).argmax(-1)
    again, after = model.think(h, before, 0, made, output=True)
    torch.testing.assert_close(again, features, rtol=0, atol=1e-9)
    for one, other in zip(after, held, strict=True):
        assert (one is None) == (other is None)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    other_features = model.think(h, before, 0, (made + 1) % VOCABULARY, output=True)[0]
    assert (other_features - features)[:, :, -1].abs().max() > 1e-3


@both
def test_given_thoughts_stay_in_their_sequence_and_are_learned(build: Build, kind: type[Thinking]) -> None:
    model = built(build, kind(**SIZES, thoughts=COUNT, thought_weight=0.5))
    window, asleep = tokens()[:, :WINDOW], kind is ChainOfThoughtAsleep
    groups = 1 if asleep else WINDOW

    def read(workings: Tensor) -> tuple[Report, Tensor]:
        report, notes = Report(), {"workings": workings}
        if asleep:
            return report, model.sleep(window, model.start(3), 1, report=report, notes=notes).fast_weights[1]
        return report, model.wake(window, model.start(3), report=report, notes=notes)[0]

    given = tokens(3, groups * (COUNT + 1), seed=1)  # of each group one more than is thought
    report, kept = read(given)
    changed = given.clone()
    changed[1] = (changed[1] + 1) % VOCABULARY
    after = read(changed)[1]
    assert [torch.equal(one, other) for one, other in zip(after, kept, strict=True)] == [True, False, True]

    used = given.view(3, groups, -1)[..., :COUNT]
    h = model.embed(window, 0)[:, None] if asleep else model.embed(window, 0)[:, :, None]
    features = model.think(h, model.unpack(model.start(3), 3), 0, used, output=True)[0]
    logits = model.logits(features)[:, :, h.shape[2] - 1 : -1]
    expected = -logits.log_softmax(-1).gather(-1, used[..., None]).mean()
    assert report.loss is not None
    torch.testing.assert_close(report.loss, 0.5 * expected)
    torch.testing.assert_close(report.values["thought_loss"][0].mean(), expected)
    assert torch.autograd.grad(report.loss, model.embedding.weight)[0].any()


@both
def test_only_thoughts_at_wake_break_the_latency(kind: type[Thinking]) -> None:
    task = Rule110(cells=8, strings=2, rollout_steps=3)

    def of(thought: str, thoughts: int = COUNT) -> Cost:
        model = kind(**SIZES, thoughts=thoughts, thought=thought)
        return cost(Cell(task=task, model=model, training=Training(tokens=1)))

    plain, costs = of("text", 0), [of(thought) for thought in KINDS]
    assert not plain.breaks_latency
    if kind is ChainOfThoughtAsleep:
        assert not any(count.breaks_latency for count in costs)
        assert all(count.wake_flops == plain.wake_flops for count in costs)
        assert all(count.sleep_flops > plain.sleep_flops for count in costs)
    else:
        assert [count.breaks_latency for count in costs[:2]] == [f"{1 + COUNT} passes per prediction"] * 2
        assert "times the FLOPs of one plain pass" in costs[2].breaks_latency
        assert all(count.sleep_flops == plain.sleep_flops for count in costs)


@pytest.mark.parametrize(
    ("task", "asleep", "awake"),
    [
        (Rule110(cells=8, strings=2, rollout_steps=3), 3 * 8, 5 + 3 + 1),
        (Rule110(cells=8, strings=4, rollout_steps=2, window_tokens=16), 2 * 16, 3 + 1),
        (Depo(nodes=4, max_hops=4, questions=2, codec="bare", letters=12, window_tokens=8), 2 * 8, 4),
    ],
)
def test_workings_of_tasks_are_thought_in_training_alone(build: Build, task: Task, asleep: int, awake: int) -> None:
    episode = task.episodes("train", range(2))
    for kind, count in ((ChainOfThoughtAsleep, asleep), (ChainOfThought, awake)):
        sizes = {"vocab_size": task.vocab_size, "window": task.window, "seq_len": task.seq_len}
        model = kind(**SIZES, thoughts=count).build(**sizes)
        with torch.no_grad():
            for parameter in model.parameters():  # branches of a new model end in zeros
                parameter += 0.3 * torch.randn_like(parameter)
        report, test = Report(), Report()
        logits = predict(model, Batch.of(episode, CPU, notes_of(task, model, episode)), 1, report=report)
        free = predict(model, Batch.of(episode, CPU), 1, report=test)
        read = sum(not asked for *_, asked in split_windows(episode))
        assert [len(losses) for losses in report.values["thought_loss"]] == [2] * (
            read if kind is ChainOfThoughtAsleep else 1
        )
        assert not test.values
        assert not torch.equal(logits, free)
        pause = kind(**SIZES, thought="pause").build(**sizes)
        assert notes_of(task, pause, episode) == []


def test_asleep_it_may_think_of_the_questions_that_a_task_might_ask() -> None:
    """Taught to write them with their answers, and writing them itself in tests; whatever is asked leaves it alone."""
    task = Depo(nodes=5, max_hops=2, questions=2, codec="bare", letters=12, window_tokens=10)
    model = ChainOfThoughtAsleep(**SIZES, thoughts=12, taught="questions").build(
        vocab_size=task.vocab_size, window=task.window, seq_len=task.seq_len
    )
    episode = task.episodes("train", range(3))
    noted = notes_of(task, model, episode)
    assert [(number, kind) for number, kind, _ in noted] == [(0, "questions")]
    report = Report()
    predict(model, Batch.of(episode, CPU, noted), 1, report=report)
    assert report.values["thought_loss"][0].shape == (3,)
    thoughts = model.workings({"questions": torch.from_numpy(noted[0][2])}, 3, 1)
    assert thoughts is not None
    np.testing.assert_array_equal(thoughts[:, 0], noted[0][2][:, :12])
    inputs = torch.from_numpy(episode.inputs)
    state = model.sleep(inputs[:, :10], model.start(3), 1)
    once = evaluate(model, HeldOut(task, 64), passes=1, device=CPU, precision="fp32")
    assert once == evaluate(model, HeldOut(task, 64), passes=1, device=CPU, precision="fp32")
    assert state.windows == 1


class Reader(Sleeper):
    """Answers with the last token that a teacher gives, or else with the first of the vocabulary."""

    uses_notes = frozenset({"workings"})

    def sleep(self, tokens: Tensor, state: State, passes: int, *, notes: Notes | None = None) -> State:
        return super().sleep(tokens, state, passes)

    def wake(self, tokens: Tensor, state: State, *, notes: Notes | None = None) -> tuple[Tensor, State]:
        logits, after = super().wake(tokens, state)
        last = notes["workings"].view(*tokens.shape, -1)[..., -1:] if notes else torch.zeros_like(tokens)[..., None]
        return (0 * logits).scatter(-1, last, 1.0), after


class Reading(Hybrid):
    """Builds a `Reader`."""

    name = "reading"

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Reader:
        return Reader(self, vocab_size=vocab_size, window=window, windows=-(-seq_len // window))


@pytest.mark.parametrize("config", [Reading(**SIZES), Hybrid(**SIZES)], ids=["reads notes", "reads none"])
def test_beside_its_own_thoughts_stands_what_given_ones_would_be_worth(config: Hybrid, tmp_path: Path) -> None:
    task = Rule110(cells=8, strings=2, rollout_steps=2)
    training = Training(tokens=1, batch=8, evaluations=1, test_examples=128)
    trainer = Trainer(Cell(task=task, model=config, training=training), tmp_path)
    assert trainer.run() == "ok"
    written = [row for row in rows.read(tmp_path / "rows.jsonl") if row["answer"] is None]
    assert all(row["exact_match"] < 0.6 for row in written)
    given = [row.get(rows.NOTED) for row in written]
    assert given == ([1.0] if isinstance(config, Reading) else [None]) * len(written)


def test_of_longer_workings_the_beginning_is_thought_and_of_shorter_ones_the_end_again(build: Build) -> None:
    model = built(build, ChainOfThought(**SIZES, thoughts=3))
    notes = {"workings": torch.arange(8).repeat(2, 1)}
    assert model.workings(notes, 2, 1).tolist() == [[[0, 1, 2]]] * 2
    assert model.workings(notes, 2, 4).tolist() == [[[0, 1, 1], [2, 3, 3], [4, 5, 5], [6, 7, 7]]] * 2
    assert model.workings({}, 2, 4) is None
    assert built(build, ChainOfThought(**SIZES, thoughts=0)).workings(notes, 2, 1) is None
    with pytest.raises(ValueError, match="workings of 8 tokens are not as many for each of 3"):
        model.workings(notes, 2, 3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"thoughts": -1}, "thoughts = -1: at least 1"),
        ({"thought": "silent"}, "thought = 'silent': needs to be one of text, latent, pause"),
        ({"thought_weight": -1.0}, "thought_weight = -1.0"),
        ({"thought_weight": float("nan")}, "thought_weight = nan"),
        ({"eviction": "sliding", "reembed": True}, "eviction and reembed: thoughts follow"),
        ({"taught": "answers"}, "taught = 'answers': needs to be one of workings, questions"),
        ({"taught": "questions"}, "taught = 'questions': questions are anticipated asleep"),
        ({"backprop_passes": 1}, "backprop_passes: thoughts follow"),
        ({"wake_passes": 2}, "wake_passes = 2: a prediction thinks"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ChainOfThought(**SIZES, **settings)
