"""Training throughput for each window L and number of passes N, beside one fully parallel pass: the paper's Figure 6.

What is timed is forward and backward of one step on a sequence of T tokens, the optimizer left out: window by window,
every window but the last slept over N times and the last one predicted; and, as the baseline, all T tokens in one
window, predicted at once. As in `latency` the cases take turns, and the median over rounds is what counts.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from baselines.base import Model, ModelConfig
from benchmark.forward import Batch, Windows, predict, token_losses
from benchmark.measure.cost_tables import Row
from benchmark.measure.latency import CLOCKS, VOCABULARY, one_thread, quartiles, seconds
from tasks.base import check_whole

WARM_UP = 1
"""Rounds before the first that counts."""

Times: TypeAlias = dict[str, list[float]]


def tokens_for(windows: Sequence[int]) -> int:
    """T unless told: two of the largest windows, the fewest in which every L sleeps."""
    return 2 * max(windows)


def check(windows: Sequence[int], tokens: int, repeats: int) -> None:
    """Refuse repeats below 0, and so few tokens that the largest window would never sleep."""
    check_whole("--step-repeats", repeats, 0)
    largest = max(windows)
    check_whole("--step-tokens", tokens, largest + 1, why=f"the largest window, {largest} tokens, must sleep once")


def steps(windows: Sequence[int], passes: Sequence[int], repeats: int) -> int:
    """How often `measure` calls `advance`."""
    return (len(set(windows)) * len(set(passes)) + 1) * (WARM_UP + repeats) if repeats else 0


def measure(
    config: ModelConfig,
    rows: Sequence[Row],
    *,
    tokens: int,
    repeats: int = 3,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """Add the times of a training step to rows of `benchmark.measure.latency.measure`; on the CPU one thread works.

    Args:
        config: The model of the rows.
        rows: A row per window and N, of one batch size and one device.
        tokens: T of every step; a last window that is not full is predicted as it is.
        repeats: Rounds that count; 0 leaves the rows as they are.
        advance: Called with 1 after each of the `steps` of this work.

    Returns:
        The rows with `step_tokens`, T; `step_repeats`; and by each clock seconds as medians and quartiles:
        `step_wall_s` of the row's step, `parallel_wall_s` of the one parallel pass, the same in all rows; None for a
        clock that tells nothing.

    Raises:
        ValueError: repeats below 0, or so few tokens that the largest window would never sleep.
    """
    check([row["window"] for row in rows], tokens, repeats)
    if not repeats:
        return list(rows)
    batch, device = rows[0]["batch"], torch.device(rows[0]["device"])
    cases = {(row["window"], row["sleep_passes"]): windows_of(tokens, row["window"]) for row in rows} | {
        (tokens, 1): ((0, tokens, True),)
    }
    models = {window: _model(config, window, tokens, device) for window, _ in cases}
    times: dict[tuple[int, int], Times] = {case: {clock: [] for clock in CLOCKS} for case in cases}
    order, shuffle = list(cases), random.Random(0).shuffle
    with one_thread():
        for turn in range(WARM_UP + repeats):
            shuffle(order)
            for window, n in order:
                inputs = _batch(cases[window, n], batch, device)
                model = models[window]
                durations = seconds(lambda model=model, inputs=inputs, n=n: _step(model, inputs, n), device)  # type: ignore[misc]
                for clock, value in durations.items() if turn >= WARM_UP else ():
                    times[window, n][clock].append(value)
                advance(1)
    lines = []
    for row in rows:
        facts: dict[str, Any] = {"step_tokens": tokens, "step_repeats": repeats}
        for (what, case), clock in itertools.product(
            (("step", (row["window"], row["sleep_passes"])), ("parallel", (tokens, 1))), CLOCKS
        ):
            facts |= quartiles(f"{what}_{clock}", times[case][clock])
        lines.append(row | facts)
    return lines


def windows_of(tokens: int, window: int) -> Windows:
    """A sequence in windows, all slept over but the last, which is predicted."""
    edges = [(start, min(start + window, tokens)) for start in range(0, tokens, window)]
    return tuple((start, stop, stop == tokens) for start, stop in edges)


def _model(config: ModelConfig, window: int, tokens: int, device: torch.device) -> Model:
    """The model with random weights; torch's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return config.build(vocab_size=VOCABULARY, window=window, seq_len=tokens).to(device)


def _batch(windows: Windows, batch: int, device: torch.device) -> Batch:
    """Random tokens and targets of a step."""
    generator = torch.Generator().manual_seed(0)
    start, stop, _ = windows[-1]
    tokens, targets = (
        torch.randint(VOCABULARY, (batch, length), generator=generator).to(device) for length in (stop, stop - start)
    )
    return Batch(inputs=tokens, targets=targets, windows=windows)


def _step(model: Model, batch: Batch, passes: int) -> None:
    """Forward and backward."""
    model.zero_grad(set_to_none=True)
    token_losses(predict(model, batch, passes), batch.targets).mean().backward()  # type: ignore[no-untyped-call]
