"""What is left of a gain of N at equal training FLOPs: control (e).

There are two equal budgets. That of the smaller N, at which the larger N has read fewer tokens; and that of the larger
N, where rows of a smaller N trained on more tokens exist. The second is the one that lets the larger N finish: where
there are such rows, it decides.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from benchmark import rows
from benchmark.statistics import Paired, paired, unpaired
from benchmark.studies import Study
from benchmark.verify.evidence import Gain, Scores, aligned, at_flops, budget, common, examples, scores

FREE = ("tokens", "evaluations")
"""Settings in which a run trained for longer may differ: the rate is constant, so its first part is the shorter run."""

_NAMED = 3  # rivals named in a reading

Left = tuple[Paired | None, str]
"""What is left of a gain, None if no two seeds tell, and the numbers in words."""


def at_smaller_budget(study: Study, gain: Gain) -> Left | None:
    """The larger against the smaller N at what the smaller spent; None where costs are not counted."""
    spent = budget(study.final, gain.low, gain.depths)
    one = at_flops(study.scores, gain.low, gain.depths, spent)
    other = at_flops(study.scores, gain.high, gain.depths, spent)
    if not common(one, other):
        return None
    count = examples(study.final, [gain.low, gain.high], gain.depths)
    return _compared(one, other, count, f"at the FLOPs of N = {gain.low} ({spent:.1e})", gain.low, gain.high)


def at_larger_budget(study: Study, gain: Gain, every: Sequence[Study]) -> Left | None:
    """The larger N at its end against the best smaller N that was trained for as many FLOPs; None if none was.

    Of most seeds, and among those of the highest mean.
    """
    spent = budget(study.final, gain.high, gain.depths)
    other = scores(study.final, gain.high, gain.depths)
    candidates: list[tuple[int, float, int, Scores]] = []
    for longer in every:
        for n in [n for n in longer.passes if n < gain.high and alike(study, longer, gain, FREE)]:
            if found := at_flops(longer.scores, n, gain.depths, spent):
                candidates.append((len(found), float(np.mean(list(found.values()))), n, found))
    if not candidates or not other:
        return None
    _, _, n, best = max(candidates, key=lambda candidate: candidate[:3])
    count = examples(study.final, [gain.high], gain.depths)
    return _compared(best, other, count, f"at those of N = {gain.high} ({spent:.1e})", n, gain.high)


def rivals(study: Study, every: Sequence[Study]) -> str:
    """The best rivals of the same training FLOPs (suite `controls`) on the same task and scale; empty if none ran."""
    first = study.final.row(0, named=True)
    means: dict[str, float] = {}
    where = ""
    for rival in every:
        if rival.variant is None or not rival.final.height:
            continue
        row = rival.final.row(0, named=True)
        if any(row[c] != first[c] for c in ("task", "scale", "model")):
            continue
        depth = max(rival.depths)
        of_depth = scores(rival.final, rival.passes[0], [depth])
        if of_depth:
            means[rival.variant] = float(np.mean(list(of_depth.values())))
            where = rival.label(depth)
    if "sleep" not in means or len(means) < 3:
        return ""
    best = sorted((v for v in means if v not in ("sleep", "plain")), key=lambda v: (-means[v], v))[:_NAMED]
    told = ", ".join(f"{variant} {means[variant]:.3f}" for variant in best)
    return f"rivals of equal FLOPs at {where}: {told}, sleep {means['sleep']:.3f}"


def alike(study: Study, other: Study, gain: Gain, but: Sequence[str]) -> bool:
    """Whether two studies have the same task, model and settings at the difficulties of a gain, `but` for some."""
    at = pl.col("depth").is_in(list(gain.depths))
    ours, theirs = study.final.filter(at), other.scores.filter(at)
    if not ours.height or not theirs.height or ours.columns != theirs.columns:
        return False
    same = ("task", "task_version", "model", "model_version", "split", "device")
    apart = {*rows.COLUMNS, *but, "sleep_passes", "n", "depth", "test_passes", study.axis} - set(same)
    if not theirs["test_passes"].is_null().all():
        return False
    one, two = ours.row(0, named=True), theirs.row(0, named=True)
    return all(one[c] == two[c] for c in ours.columns if c not in apart)


def _compared(one: Scores, other: Scores, count: int, where: str, low: int, high: int) -> Left:
    """The second minus the first set of scores, paired where two seeds or more have both."""
    pairs = common(one, other)
    found = None
    if len(pairs) > 1:
        first, second = aligned(one, other)
        found = paired(first, second, examples=count)
    elif min(len(one), len(other)) > 1:
        found = unpaired([one[s] for s in sorted(one)], [other[s] for s in sorted(other)], examples=count)
    means = [float(np.mean([each[s] for s in pairs or sorted(each)])) for each in (one, other)]
    seeds = len(pairs) or min(len(one), len(other))
    left = f", {found.difference}" if found else f", {means[1] - means[0]:+.3f}"
    return (
        found,
        f"{where}: N = {high} {means[1]:.3f}, N = {low} {means[0]:.3f}{left} ({seeds} seed{'s' * (seeds > 1)})",
    )
