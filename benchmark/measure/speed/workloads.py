"""The pieces of work that `bench speed` and `make perf` time: each is a function that prepares it and returns one call.

`bench speed` loads this very file, by its path, in two processes, and lets it import the tasks, models and trainer of
another commit in each. So whatever of this project it needs is imported inside its functions, by names that last, and
every setting that decides how much work there is stands here: a default that has changed since changes no work. A name
that a commit does not have is reported as such. Nothing here runs on more than one thread.
"""

import itertools
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from benchmark.run.trainer import Trainer

Call: TypeAlias = Callable[[], object]

CLOCKS: dict[str, Callable[[], float]] = {"core": time.process_time, "wall": time.perf_counter}
"""What a call is timed by, in seconds: the process's own time on a core, which stands still while another process has
the core, and the wall's."""

GENERATORS: dict[str, tuple[str, dict[str, Any], int]] = {
    "rule110": ("tasks.rule110:Rule110", {"cells": 24, "strings": 4, "rollout_steps": 32}, 512),
    "recall": (
        "tasks.recall:Recall",
        {"pairs": 8, "keys": 16, "values": 16, "queries": 4, "window_tokens": 8},
        512,
    ),
    "retention": (
        "tasks.retention:Retention",
        {"pairs": 4, "keys": 12, "values": 16, "queries": 2, "window_tokens": 8, "windows_after": 8},
        512,
    ),
    "depo": (
        "tasks.depo:Depo",
        {"nodes": 75, "max_hops": 16, "questions": 10, "codec": "1-2", "distribution": "peer", "window_tokens": 75},
        1024,
    ),
    "gsm_infinite": (
        "tasks.gsm_infinite.task:GSMInfinite",
        {"most_operations": 8, "most_words": 3300, "least_words": 2100, "window_tokens": 2000},
        16,
    ),
    "gsm_compact": (
        "tasks.gsm_infinite.compact:GSMCompact",
        {"most_operations": 8, "most_tokens": 300, "least_tokens": 192, "window_tokens": 182},
        512,
    ),
}
"""Class, settings and examples per call of a task; a task without an entry is timed at its defaults."""

RULES: dict[str, tuple[str, int, int]] = {
    "linear": ("baselines.hebbian:hebbian", 0, 0),
    "gated": ("baselines.hebbian:gated_hebbian", 1, 1),
    "delta": ("baselines.fast_weights:delta", 0, 1),
    "gdn": ("baselines.fast_weights:gated_delta", 1, 1),
    "classic": ("baselines.classic:classic", 1, 1),
    "titans": ("baselines.neural_memory:neural_memory", 2, 1),
}
"""Update rules as functions in their chunk form (the token loop is called the same with `_reference` behind), and the
gates they take [B, H, T]: logarithms of decays, then strengths. A word of a layout without an entry is timed as a
layer."""


def resolve(path: str, *older: str) -> Any:
    """The object at "module:name", imported now; where the commit has no such module, at an older path of it."""
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError:
        if not older:
            raise
        return resolve(*older)


def generate(name: str) -> Call:
    """Make a batch of training examples of a task, other ones with every call."""
    import numpy as np

    path, settings, size = GENERATORS.get(name) or (resolve("tasks:TASKS")[name], {}, 64)
    task, starts = resolve(path)(**settings), itertools.count(step=size)

    def call() -> object:
        first = next(starts)
        return task.episodes("train", np.arange(first, first + size))

    return call


def rule(word: str, *, length: int = 75, reference: bool = False) -> Call:
    """Forward and backward of an update rule over T = `length` tokens, at B = 16, H = 4, K = V = 32."""
    import torch
    from torch.nn.functional import normalize

    path, logarithms, strengths = RULES[word]
    update, random = resolve(path + "_reference" * reference), torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(16, *shape, generator=random)

    q, k = (normalize(normal(4, length, 32), dim=-1) for _ in range(2))
    gates = [-normal(4, length).exp() / 10 for _ in range(logarithms)]
    gates += [normal(4, length).sigmoid() for _ in range(strengths)]
    # A rule with momentum, the one with two decays, keeps it beside the weights.
    state = normal(*((2,) if logarithms == 2 else ()), 4, 32, 32)
    arguments = [a.requires_grad_() for a in (q, k, normal(4, length, 32), *gates, state)]
    weights = normal(4, length, 32), torch.ones_like(state)
    return lambda: torch.autograd.grad(update(*arguments), arguments, weights)


def layer(word: str, *, length: int = 75) -> Call:
    """Forward and backward of a fast-weight layer, projections included, at B = 16, D = 128, H = 4."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mixer = resolve(resolve("baselines.hybrid:MIXERS")[word])(128, 4)
        x, weights = torch.randn(16, length, 128), torch.randn(16, length, 128)
    parameters, state = list(mixer.parameters()), mixer.initial_state(16)
    return lambda: torch.autograd.grad(mixer(x, state)[0], parameters, weights, allow_unused=True)


def trainer(
    passes: int,
    *,
    steps: int = 1000,
    folder: Path | None = None,
    rule: str = "gdn",
    eviction: str = "hard",
    **training: Any,
) -> "Trainer":
    """The trainer of a cell of the suite `passes` at scale cpu: t = 6, N = `passes`; or with another rule, eviction."""
    from baselines.hybrid import Hybrid
    from tasks.rule110 import Rule110

    settings = resolve("benchmark.cells.cell:Training", "benchmark.config:Training")
    cell = resolve("benchmark.cells.cell:Cell", "benchmark.config:Cell")
    train = resolve("benchmark.run.trainer:Trainer", "benchmark.trainer:Trainer")
    task = Rule110(cells=16, strings=1, rollout_steps=6)
    model = Hybrid(layout=f"attn {rule}", d_model=32, heads=2, mlp_ratio=1, eviction=eviction)
    budget = settings(tokens=steps * 256 * task.seq_len, batch=256, sleep_passes=passes, muon_lr=0.01, **training)
    runner: Trainer = train(cell(task=task, model=model, training=budget), folder or Path())
    return runner


def train_step(passes: int, *, native: bool = False, rule: str = "gdn", eviction: str = "hard") -> Call:
    """A training step at N = `passes`, always on the same batch; its blocks and optimizer in C, if `native`."""
    runner = trainer(passes, rule=rule, eviction=eviction)
    if native:
        resolve("baselines.native.block:attach")(runner.model)
        runner.optimizer = resolve("benchmark.run.optimizer:MuonAdamW")(runner.model, runner.cell.training, native=True)
    batch = next(iter(runner.batches(0)))
    return lambda: runner.train_step(batch)


def sleep(passes: int) -> Call:
    """Sleeping over the one window of 256 sequences at N = `passes`, without gradients."""
    import torch

    runner, inputs = _read()
    window = inputs[:, : runner.cell.task.window]

    @torch.no_grad()
    def call() -> object:
        return runner.model.sleep(window, runner.model.start(len(window)), passes)

    return call


def wake(passes: int) -> Call:
    """Predicting the answers of 256 sequences after sleeping N = `passes` times, without gradients."""
    import torch

    runner, inputs = _read()
    window, question = inputs[:, : runner.cell.task.window], inputs[:, runner.cell.task.window :]
    with torch.no_grad():
        state = runner.model.sleep(window, runner.model.start(len(window)), passes)

    @torch.no_grad()
    def call() -> object:
        return runner.model.wake(question, state)

    return call


def _read() -> tuple["Trainer", Any]:
    """A trainer, whose model has its first weights, and the tokens [B, T] of its first batch."""
    runner = trainer(1)
    return runner, next(iter(runner.batches(0))).inputs


def _registry(registry: str) -> dict[str, str]:
    """A registry as it stands; nothing where the commit does not have it."""
    try:
        return dict(resolve(registry))
    except (ImportError, AttributeError):
        return {}


_NATIVE_RULES = ("delta", "gated", "linear")  # beside gdn

WORKLOADS: dict[str, Callable[[], Call]] = {
    **{f"generate-{name}": partial(generate, name) for name in dict.fromkeys([*GENERATORS, *_registry("tasks:TASKS")])},
    **{f"rule-{word}": partial(rule, word) for word in RULES},
    **{f"layer-{word}": partial(layer, word) for word in _registry("baselines.hybrid:MIXERS") if word not in RULES},
    "train-step-1": partial(train_step, 1),
    "train-step-2": partial(train_step, 2),
    "train-step-1-native": partial(train_step, 1, native=True),
    "train-step-2-native": partial(train_step, 2, native=True),
    **{f"train-step-1-native-{word}": partial(train_step, 1, native=True, rule=word) for word in _NATIVE_RULES},
    "train-step-1-native-sliding": partial(train_step, 1, native=True, eviction="sliding"),
    "sleep-2": partial(sleep, 2),
    "wake": partial(wake, 2),
}
"""What `bench speed` compares, by name; the number is N."""
