"""Audit: by what roads do evicted tokens reach an answer, and does a later token of the prediction reach it?

What a model declares is its `State`. Two sequences A and B, which differ in evicted windows alone, are slept over by
the same network; then the answer is a function of what was carried, so putting B's part of the state into A's shows
what that part carries, and A's whole state must give A's answer on a network that has slept over B. Then tokens of the
prediction are changed: in training they hold the answers, so none may be heard before its place.
"""

import math

import torch

from baselines.base import Model, ModelConfig
from benchmark.measure.audit.findings import Audit
from benchmark.measure.audit.holdings import World
from benchmark.measure.audit.tracing import BATCH
from benchmark.measure.audit.trial import VOCABULARY, Trial
from tasks.base import check_whole


def audit(
    config: ModelConfig, *, window: int = 6, windows: int = 4, passes: tuple[int, ...] = (1, 2), seeds: int = 2
) -> Audit:
    """Audit the model of `config`, with random weights in double precision, or in single where it runs in no other.

    Args:
        config: Any model's settings.
        window: L, tokens of every window.
        windows: How many are evicted before the answer.
        passes: Values of N.
        seeds: How many networks and sequences, per N.

    Raises:
        ValueError: numbers below 1, or settings that the model refuses.
    """
    for name, value in (("window", window), ("windows", windows), ("seeds", seeds), ("sleep passes N", min(passes))):
        check_whole(name, value, 1)
    report = Audit(model=config.name, window=window, windows=windows)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for seed in range(seeds):
            model = awake(config, window, windows, seed)
            world = World(model, type(model.start(1)), type(config))
            if not runs(model, window):
                world.rewind()
                model = awake(config, window, windows, seed).float()
                report.note("asked in single precision: the model does not run in double")
                world = World(model, type(model.start(1)), type(config))
            try:
                for n in passes:
                    Trial(model, world, report, n, seed).run()
            finally:
                world.rewind()
    return report


def runs(model: Model, window: int) -> bool:
    """Whether the model gets through a sleep and a prediction: its state may fix a precision that layers refuse."""
    tokens = torch.zeros(BATCH, window, dtype=torch.int64)
    try:
        model.wake(tokens, model.sleep(tokens, model.start(BATCH), 1))
    except RuntimeError:
        return False
    return True


def awake(config: ModelConfig, window: int, windows: int, seed: int) -> Model:
    """The model with noise on every parameter: branches that start at zero would hide roads."""
    torch.manual_seed(seed)
    model = config.build(vocab_size=VOCABULARY, window=window, seq_len=(windows + 1) * window).double().eval()
    for parameter in model.parameters():
        spread = 0.1 if parameter.dim() < 2 else 1 / math.sqrt(parameter[0].numel())
        parameter.add_(torch.randn_like(parameter), alpha=spread)
    return model
