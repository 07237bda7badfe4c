"""The rows of `bench cost` as CSV, as a table for the terminal, and in words; it loads nothing that measures."""

from collections.abc import Sequence
from statistics import median
from typing import Any, TypeAlias

from benchmark.rows.text import Table, amount

Row: TypeAlias = dict[str, Any]
"""One case: model, settings and sizes, the fields of `latency.Counts`, and the times of `latency.measure`."""

CONTEXT = 4
"""Windows that are slept over before the answer."""

TIMED_PARTS = ("wake", "sleep")


def shown_clock(row: Row) -> str:
    """The clock to show a row by: the thread's where there is one."""
    return "wall" if row["wake_core_s"] is None else "core"


def tidy(rows: Sequence[Row]) -> str:
    """The rows as CSV, a line per window and N; a number that is not known is left empty."""
    return Table(list(rows[0]), [list(row.values()) for row in rows]).csv()


def table(rows: Sequence[Row], title: str = "") -> Table:
    """For people: counts with metric prefixes, times as median and quartiles in milliseconds."""
    heads = {"fast_weight_bytes": "fast", "kv_bytes": "KV kept", "other_state_bytes": "other"}
    if not any(row["other_state_bytes"] for row in rows):
        del heads["other_state_bytes"]
    heads["window_kv_bytes"] = "KV read"
    columns = ["L", "N", "train", "sleep", "wake", *heads.values(), "wake, ms", "sleep, ms"]
    columns += ["train, tokens/s"] * ("step_tokens" in rows[0])
    lines = []
    for row in rows:
        flops = [amount(row[f"{part}_flops_per_token"]) for part in ("train", "sleep", "wake")]
        times = [_milliseconds(row, f"{part}_{shown_clock(row)}") for part in TIMED_PARTS]
        times += [f"{throughput(row):,.0f}"] if "step_tokens" in row else []
        lines.append([row["window"], row["sleep_passes"], *flops, *(size(row[part]) for part in heads), *times])
    return Table(columns, lines, title)


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
    if why := row["breaks_latency"]:
        lines.append(f"This model breaks the latency constraint: {why}.")
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


def size(count: int | None) -> str:
    """Bytes in words."""
    return "unknown" if count is None else f"{amount(count)}B" if count >= 1000 else f"{count} B"
