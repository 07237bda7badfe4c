"""What a model costs for each window L and number of passes N: FLOPs and bytes counted, seconds from the clock.

Every case reads a sequence of four windows, each slept over, and then answers with one token. Clocks drift, with
temperature and with whatever else the machine does, so the cases take turns: each round times every case once, in a new
order, and a time is the median over rounds with its quartiles. Two clocks run: the wall's, and on the CPU that of the
thread, which stands still while another process has the core. On an idle machine they agree; on a busy one the thread's
is the one that tells what the model takes.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from baselines.base import Model, ModelConfig
from baselines.sleeper import Sleeper
from benchmark.cells.cost import count, forward_flops, kv_bytes
from benchmark.forward import Windows
from benchmark.measure.cost_tables import CONTEXT, TIMED_PARTS, Row
from tasks.base import check_whole, nearest, non_defaults

VOCABULARY = 64
WARM_UP = 2
"""Rounds before the first that counts."""

ANSWERS = 5
"""Answer tokens that a round times; they are short, so that a few more cost little and steady the median."""

DEVICES = ("cpu", "cuda")

CLOCKS = ("wall", "core")


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What is counted of one model at one N and L; the same on every machine."""

    parameters: int
    train_flops_per_token: float
    """Forward and backward of the whole sequence, over its 4 L + 1 tokens."""
    sleep_flops_per_token: float
    """Forward of consolidating four windows, all passes, over their 4 L tokens."""
    wake_flops_per_token: int
    """Forward of the answer token."""
    fast_weight_bytes: int
    """Fast weights of one sequence after the four windows."""
    kv_bytes: int
    """Keys and values of one sequence that are kept between windows, after the four."""
    other_state_bytes: int
    """What the state of one sequence holds beside them."""
    window_kv_bytes: int | None
    """Keys and values of a window itself while it is read, 2 x attention blocks x L x D numbers; they come on top of
    those kept, and go at its end. None for a model whose attention is not this project's."""
    wake_passes: int
    """How often a prediction runs the network; above 1 breaks the latency constraint."""
    breaks_latency: str
    """Why predictions take longer than one plain pass over their tokens; empty if they do not."""


def sequence(window: int) -> Windows:
    """Four windows to sleep over and the one token of the answer, as `benchmark.forward.Windows`."""
    slept = tuple((i * window, (i + 1) * window, False) for i in range(CONTEXT))
    return (*slept, (CONTEXT * window, CONTEXT * window + 1, True))


def build_model(config: ModelConfig, window: int) -> Model:
    """The model for such a sequence, with random weights; torch's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return config.build(vocab_size=VOCABULARY, window=window, seq_len=CONTEXT * window + 1).eval()


def counts(config: ModelConfig, *, window: int, passes: int) -> Counts:
    """Count what the model costs at N = `passes` for windows of `window` tokens.

    Raises:
        ValueError: N or L below 1, or a window that the model refuses.
    """
    check(windows=(window,), passes=(passes,))
    model = build_model(config, window)
    costs = count(config, vocab_size=VOCABULARY, window=window, windows=sequence(window), passes=passes)
    state = forward_flops(model, sequence(window)[:CONTEXT], 1)[2]  # its size does not depend on N
    fast_weights, cache = _bytes(state.fast_weights), _bytes(state.cache)
    return Counts(
        parameters=costs.parameters,
        train_flops_per_token=costs.train_flops / (CONTEXT * window + 1),
        sleep_flops_per_token=costs.sleep_flops / (CONTEXT * window),
        wake_flops_per_token=costs.wake_flops,
        fast_weight_bytes=fast_weights,
        kv_bytes=cache,
        other_state_bytes=model.state_bytes(state) - fast_weights - cache,
        window_kv_bytes=kv_bytes(model, _read_at_once(model, window, passes)),
        wake_passes=model.wake_passes,
        breaks_latency=costs.breaks_latency,
    )


def measure(
    config: ModelConfig,
    *,
    windows: Sequence[int],
    passes: Sequence[int],
    batch: int = 1,
    repeats: int = 30,
    device: str = "cpu",
    advance: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """Count and time every pair of window and N; on the CPU one thread works.

    Args:
        config: The model.
        windows: Each L in tokens.
        passes: Each N.
        batch: Sequences at once, when timing; counts are of one sequence.
        repeats: Rounds that count.
        device: "cpu" or "cuda".
        advance: Called with 1 after each of the `steps` of this work.

    Returns:
        A row per pair, N fastest: `describe`, the counts, and the seconds of `wake`, one call that predicts one token
        of every sequence after the four windows, and of `sleep`, one call that sleeps over the fourth window of every
        sequence: `wake_wall_s` and its quartiles `wake_wall_q25_s` and `wake_wall_q75_s`, by the wall's clock, and the
        same for `core`, by the thread's; None on a GPU, where the thread only waits.

    Raises:
        ValueError: a number that is not allowed, an unknown or absent device, a window that the model refuses.
    """
    check(windows=windows, passes=passes, batch=batch, repeats=repeats)
    if device not in DEVICES:
        raise ValueError(nearest(device, DEVICES, kind="device"))
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but torch finds no GPU here; use 'cpu'")
    windows, passes = tuple(dict.fromkeys(windows)), tuple(dict.fromkeys(passes))
    models = {window: build_model(config, window) for window in windows}  # a window is refused before any is measured
    rows: list[Row] = []
    with one_thread():
        for window, n in itertools.product(windows, passes):
            costs = asdict(counts(config, window=window, passes=n))
            rows.append(describe(config, window, n) | costs | {"batch": batch, "device": device})
            advance(1)
        with torch.no_grad():
            cases = [Case(models[row["window"]], row["window"], row["sleep_passes"], batch, device) for row in rows]
            order, shuffle = list(cases), random.Random(0).shuffle
            for turn in range(WARM_UP + repeats):
                shuffle(order)
                for case in order:
                    case.time(keep=turn >= WARM_UP)
                    advance(1)
    for row, case in zip(rows, cases, strict=True):
        row["repeats"] = repeats
        for what, clock in itertools.product(TIMED_PARTS, CLOCKS):
            row |= quartiles(f"{what}_{clock}", case.times[what, clock])
    return rows


def steps(windows: Sequence[int], passes: Sequence[int], repeats: int) -> int:
    """How often `measure` calls `advance`."""
    return len(set(windows)) * len(set(passes)) * (1 + WARM_UP + repeats)


def describe(config: ModelConfig, window: int, passes: int) -> Row:
    """What a row is of: the model, its settings that are not the default, N and L."""
    settings = " ".join(f"{name}={value!r}" for name, value in non_defaults(config).items())
    return {"model": config.name, "settings": settings, "sleep_passes": passes, "window": window}


def quartiles(name: str, times: Sequence[float]) -> dict[str, float | None]:
    """Median and quartiles as `NAME_s`, `NAME_q25_s` and `NAME_q75_s`; None without times."""
    names = (f"{name}_s", f"{name}_q25_s", f"{name}_q75_s")
    points = np.quantile(times, (0.5, 0.25, 0.75)).tolist() if times else [None] * 3
    return dict(zip(names, points, strict=True))


class Case:
    """One N and L, ready to be timed: the states before the fourth window and after it."""

    def __init__(self, model: Model, window: int, passes: int, batch: int, device: str) -> None:
        self.model, self.passes = model.to(device), passes
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(VOCABULARY, (batch, CONTEXT * window + 1), generator=generator).to(device)
        slept, self.answer = tokens[:, :-1].chunk(CONTEXT, dim=1), tokens[:, -1:]
        self.window = slept[-1]
        self.before = self.model.start(batch)
        for part in slept[:-1]:
            self.before = self.model.sleep(part, self.before, passes)
        self.after = self.model.sleep(self.window, self.before, passes)
        self.times: dict[tuple[str, str], list[float]] = {pair: [] for pair in itertools.product(TIMED_PARTS, CLOCKS)}

    def time(self, *, keep: bool) -> None:
        """Time a few answer tokens, then one window; each after a call that brings its weights into the caches."""
        self.model.wake(self.answer, self.after)
        wakes = [seconds(lambda: self.model.wake(self.answer, self.after), self.answer.device) for _ in range(ANSWERS)]
        self.model.sleep(self.window, self.before, 1)
        sleep = seconds(lambda: self.model.sleep(self.window, self.before, self.passes), self.answer.device)
        for what, calls in (("wake", wakes), ("sleep", [sleep])) if keep else ():
            for clock, duration in itertools.chain.from_iterable(call.items() for call in calls):
                self.times[what, clock].append(duration)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work in one thread, and in as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds(call: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Seconds of a call by each clock that means something on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        call()
        torch.cuda.synchronize(device)
        return {"wall": time.perf_counter() - start}
    start, core_start = time.perf_counter(), time.thread_time()
    call()
    return {"core": time.thread_time() - core_start, "wall": time.perf_counter() - start}


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of tensors with the batch first, for one sequence."""
    return sum(t.element_size() * t[0].numel() for t in tensors)


def _read_at_once(model: Model, window: int, passes: int) -> int:
    """Tokens that a window is while it is read: N copies for a model that reads them."""
    return window * (passes if isinstance(model, Sleeper) and model.config.reread else 1)


def check(**values: int | Sequence[int]) -> None:
    """Refuse anything below 1, or beyond what anybody waits for, by the name of its option."""
    for name, value in values.items():
        option = "--sleep-passes" if name == "passes" else f"--{name}"
        for number in (value,) if isinstance(value, int) else value:
            check_whole(option, number, 1, most=1024 if name == "passes" else 2**20)
