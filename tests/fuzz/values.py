"""Values that people, programs and accidents put into options, settings and files."""

from random import Random
from typing import Any

from benchmark.cells.suites import SUITES

NUMBERS = ("-1", "0", "1", "2", "3", "8", "1.5", "-0", "0x10", "1_000", "٣", "1e3", "1e23", "1e999", "nan", "-inf")
NUMBERS += ("2147483648", "9223372036854775808", "99999999999999999999", "5k", "1M", "0.0000001", "½", "1e-400")
LISTS = ("1,2", "0-3", "3-1", "1,,2", ",", "-", "1-", "0-1000000000", "1,1", "a,b", "1;2", "2-2", "0-4,9")
TEXTS = ("", " ", "a", "é", "\udc80", "\x1b[31mred", "a" * 5000, "null", "true", "[1]", "{}", "--", "-x", "--help")
TEXTS += ("a|b", "<b>", "%s", "{0}", "$(id)", "a\nb", "a\tb", "a=b=c", "=", "\\", "'", '"', "\u202e", "None", "ok", "*")
PLACES = ("out", "out/rows.parquet", "out/cells", "missing", "plain.txt", "folder", "pipe", "null", "loop", "missing/x")
PLACES += (
    "out/lock",
    "plain.txt/x",
    "a" * 300,
    "folder/rows.parquet",
    "x.parquet",
    "x.jsonl",
    "x.html",
    "x.md",
    "x.svg",
)
NAMES = (
    "rule110",
    "recall",
    "retention",
    "depo",
    "gsm_infinite",
    "hybrid",
    "gdn",
    "odd:Thing",
    "odd",
    "no.such:module",
)
NAMES += (
    "json:dumps",
    "os:system",
    ":",
    "odd:",
    ":Thing",
    "odd:Thing.more",
    "rul110",
    "HYBRID",
    "baselines.hybrid:Hybrid",
)
SETTINGS = (
    "tokens",
    "batch",
    "d_model",
    "heads",
    "layout",
    "evaluations",
    "test_examples",
    "seed",
    "sleep_passes",
    "cells",
)
SETTINGS += (
    "rollout_steps",
    "warmup_steps",
    "precision",
    "muon_lr",
    "clip",
    "test_at",
    "test_passes",
    "hops",
    "strings",
)
SETTINGS += (
    "eviction",
    "state_size",
    "mlp_ratio",
    "test_split",
    "loop",
    "nodes",
    "operations",
    "hard_share",
    "nothing",
    "n",
)
LAYOUTS = (
    "attn gdn",
    "gdn",
    "attn",
    "gdn gdn loop",
    "attn delta",
    "xyz",
    "attn  gdn ",
    "hard",
    "sliding",
    "fp32",
    "bf16",
)

PLAUSIBLE: dict[str, tuple[str, ...]] = {
    "suite": tuple(SUITES),
    "scale": ("tiny", "tiny", "cpu", "gpu", "paper", "huge"),
    "device": ("cpu", "cuda", "gpu", "tpu"),
    "executor": ("local", "serial", "ray", "slurm"),
    "backend": ("torch", "native", "auto", "numpy"),
    "checkpointing": ("auto", "never", "always", "maybe"),
    "status": ("ok", "crashed", "timed_out,diverged", "interrupted", "done", "waiting"),
    "split": ("train", "validation", "test", "tset"),
    "format": ("markdown", "latex", "csv", "html"),
    "task": NAMES,
    "model": NAMES,
    "names": NAMES,
    "cells": ("0", "all", "1"),
    "variants": ("sleep", "plain", "deeper,wider", "sleeep"),
    "claim": ("storage-solved", "nothing", "depth"),
    "address": ("127.0.0.1:1", "auto", "localhost", "[::1]:1", "127.0.0.1:99999"),
    "against": ("out", "missing", "HEAD~999999"),
    "studies": ("passes-cpu", "nothing", "quick-tiny"),
}
"""Of an option of that name."""

PATHS = ("out", "folder", "source", "sources", "export", "weights", "markdown", "junit", "table", "against", "check")


def text(random: Random) -> str:
    """Anything."""
    return random.choice(random.choice((NUMBERS, LISTS, TEXTS, PLACES, NAMES)))


def setting(random: Random) -> str:
    """NAME=VALUE, mostly of a name that there is."""
    name = random.choice(SETTINGS) if random.random() < 0.9 else random.choice(TEXTS)
    usual = ("1", "2", "4", "8", "16", "100", "0.5")
    return (
        f"{name}={random.choice(random.choice((usual, usual, usual, usual, NUMBERS, NUMBERS, LISTS, TEXTS, LAYOUTS)))}"
    )


def option(random: Random, name: str) -> str:
    """A value for an option, half of them such as it may have."""
    if name in ("set", "settings", "axis", "axes"):
        return setting(random)
    if random.random() < 0.6:
        if name in PLAUSIBLE:
            return random.choice(PLAUSIBLE[name])
        if name in PATHS:
            return random.choice(PLACES)
        return random.choice(NUMBERS + LISTS)
    return text(random)


def plain(random: Random, depth: int = 2) -> Any:
    """A value of JSON."""
    kinds = [None, True, -1, 0, 3, 2**63, 10**30, 1.5, float("nan"), float("inf"), "", "a", "\ud800", "x" * 999, [], {}]
    if depth and random.random() < 0.2:
        return [plain(random, depth - 1) for _ in range(random.randrange(3))]
    if depth and random.random() < 0.2:
        return {random.choice(TEXTS): plain(random, depth - 1) for _ in range(random.randrange(3))}
    return random.choice(kinds)


def damaged(random: Random, data: bytes) -> bytes:
    """Bytes that are other than they were."""
    if not data or random.random() < 0.1:
        return random.randbytes(random.randrange(200))
    at, to = sorted(random.randrange(len(data) + 1) for _ in range(2))
    match random.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[to:]
        case 2:
            return data[:to] + data[at:]
        case 3:
            return data[:at] + bytes(to - at) + data[to:]
        case 4:
            return data[:at] + random.randbytes(random.randint(1, 8)) + data[at:]
        case _:
            at = random.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
