"""The rows of `bench cost` as CSV, as a table for the terminal, and every model's counts as Markdown."""

import csv
import io
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import baselines
from baselines.base import ModelConfig
from baselines.hybrid import MIXERS, Hybrid
from benchmark.cells.cost import forward_flops
from benchmark.measure.latency import CONTEXT, TIMED, Row, built, counts, sequence, shown_clock
from benchmark.rows.text import amount

WINDOW, PASSES = 75, (1, 4)
"""What the Markdown table counts at."""


def tidy(rows: Sequence[Row]) -> str:
    """The rows as CSV, a line per window and N; a number that is not known is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def terminal_table(rows: Sequence[Row]) -> tuple[list[str], list[list[Any]]]:
    """Columns and lines for people: counts with metric prefixes, times as median and quartiles in milliseconds."""
    kept = {"fast_weight_bytes": "fast", "kv_bytes": "KV kept", "other_state_bytes": "other"}
    if not any(row["other_state_bytes"] for row in rows):
        del kept["other_state_bytes"]
    kept["window_kv_bytes"] = "KV read"
    columns = ["L", "N", "train", "sleep", "wake", *kept.values(), "wake, ms", "sleep, ms"]
    columns += ["train, tokens/s"] * ("step_tokens" in rows[0])
    lines = []
    for row in rows:
        flops = [amount(row[f"{part}_flops_per_token"]) for part in ("train", "sleep", "wake")]
        times = [_milliseconds(row, f"{part}_{shown_clock(row)}") for part in TIMED]
        times += [f"{throughput(row):,.0f}"] if "step_tokens" in row else []
        lines.append([row["window"], row["sleep_passes"], *flops, *(_size(row[part]) for part in kept), *times])
    return columns, lines


def models() -> dict[str, ModelConfig]:
    """Every registered model with its default settings."""
    return {name: baselines.load(name)() for name in baselines.MODELS}


def rules() -> dict[str, ModelConfig]:
    """The default hybrid with every update rule, by its word in the layout."""
    return {word: Hybrid(layout=f"attn {word} attn {word}") for word in MIXERS}


def markdown(configs: Mapping[str, ModelConfig]) -> str:
    """What models cost, each under a name, as a Markdown table: counted, not timed."""
    first, last = PASSES
    lines = [
        f"| model | parameters | FLOPs per token: sleep, N = {first} | sleep, N = {last} | wake "
        "| bytes kept: fast weights | keys and values |",
        "|---|" + "---:|" * 6,
    ]
    for name, config in configs.items():
        one, slept = counts(config, window=WINDOW, passes=first), sequence(WINDOW)[:CONTEXT]
        more = forward_flops(built(config, WINDOW), slept, last)[0] / (CONTEXT * WINDOW)
        flops = map(amount, (one.sleep_flops_per_token, more, one.wake_flops_per_token))
        sizes = map(_size, (one.fast_weight_bytes, one.kv_bytes))
        lines.append(f"| {' | '.join([f'`{name}`', amount(one.parameters), *flops, *sizes])} |")
    return "\n".join(lines)


def reading(rows: Sequence[Row]) -> list[str]:
    """Lines under a table: what its numbers are of, and a warning if the model breaks the latency constraint."""
    row = rows[0]
    lines = [
        f"{amount(row['parameters'])} parameters. train, sleep, wake: FLOPs per token. Bytes per sequence, fp32: fast "
        f"weights, keys and values kept after {CONTEXT} windows; KV read: a window's own while it is read.",
        f"Times are of one answer token and of one window: {timing(rows)}.",
    ]
    if "step_tokens" in row:
        lines.append(f"Training: {training(row)}. One parallel pass: {throughput(row, 'parallel'):,.0f} tokens/s.")
    if (more := row["wake_passes"]) > 1:
        lines.append(f"This model breaks the latency constraint: a prediction runs the network {more} times, not once.")
    return lines


def timing(rows: Sequence[Row]) -> str:
    """How the times shown were measured, in words."""
    row = rows[0]
    text = f"median and quartiles of {row['repeats']} rounds, all cases in turn, batch {row['batch']}, "
    if shown_clock(row) == "wall":
        return f"{text}{row['device']}, wall clock"
    ratio = median(row["sleep_wall_s"] / row["sleep_core_s"] for row in rows)
    return f"{text}one CPU thread, time on its core (the wall clock said {ratio:.2f} times as much)"


def throughput(row: Row, what: str = "step") -> float:
    """Training tokens per second by the clock that is shown: of a "step", or of the "parallel" pass."""
    tokens: int = row["step_tokens"] * row["batch"]
    return float(tokens / row[f"{what}_{shown_clock(row)}_s"])


def training(row: Row) -> str:
    """What a training step was, in words."""
    return (
        f"forward and backward of {row['step_tokens']:,} tokens, the last window predicted, no optimizer; median of "
        f"{row['step_repeats']} rounds"
    )


def _milliseconds(row: Row, part: str) -> str:
    middle, low, high = (f"{1000 * row[f'{part}{end}_s']:.3g}" for end in ("", "_q25", "_q75"))
    return f"{middle} ({low}–{high})"


def _size(count: int | None) -> str:
    return "unknown" if count is None else f"{amount(count)}B" if count >= 1000 else f"{count} B"
