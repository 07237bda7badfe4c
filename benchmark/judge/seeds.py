"""How many seeds each comparison of N would need, by the spread of the seeds that there are."""

import math
from itertools import pairwise
from typing import Any

import polars as pl

from benchmark.judge.evidence import Scores, common_seeds, examples, scores
from benchmark.judge.power import LIKELY, sd_limit, seeds_needed
from benchmark.judge.statistics import paired_contrast
from benchmark.rows.studies import studies, values


def seed_requirements(
    frame: pl.DataFrame, difference: float, power: float = 0.8, level: float = 0.95
) -> list[dict[str, Any]]:
    """A line per study, difficulty and two neighbouring N: the spread over seeds and the seeds that it asks for.

    Args:
        frame: Rows of one or more suites; failed and unfinished cells are left out.
        difference: Of the final exact match, that a comparison should be able to find.
        power: Probability to find it.
        level: 1 minus the rate of false alarms.

    Returns:
        Plain data. `seeds`: those that both N have, trained on one processor where that is known; `difference` with
        `low` and `high`: of the mean exact match, the larger N minus the smaller, for new examples too; `sd` and
        `other_sd`: over seeds, of the exact match of the smaller and the larger N; `sd_of_differences`: of the same
        seeds; `needed`: seeds of a paired comparison if that is the true spread; `needed_likely`: if it is the upper
        80 % limit of what so few seeds tell of it; `needed_unpaired`: seeds of each N if they were not the same. Null
        where there are fewer than two seeds, and where all agree (as at the ceiling), which tells nothing of the
        spread elsewhere.
    """
    lines = []
    for study in studies(frame):
        for depth in values(study.final["depth"]):
            by_n = {n: scores(study.final, n, [depth]) for n in study.passes}
            for n, other in pairwise(n for n in by_n if by_n[n]):
                held_out = examples(study.final, [n, other], [depth])
                facts = {"study": study.name, "at": study.label(depth), "n": n, "other_n": other}
                lines.append(facts | _line(by_n[n], by_n[other], held_out, difference, power, level))
    return lines


def _line(one: Scores, other: Scores, examples: int, difference: float, power: float, level: float) -> dict[str, Any]:
    """The facts of one comparison."""
    seeds = common_seeds(one, other)
    low, high = [one[seed] for seed in seeds], [other[seed] for seed in seeds]
    gain = (
        paired_contrast(low, high, level, examples=examples).difference.as_dict()
        if seeds
        else dict.fromkeys(("estimate", "low", "high"))
    )
    spread = _sd([b - a for a, b in zip(low, high, strict=True)])
    sds = [_sd(list(one.values())), _sd(list(other.values()))]
    pooled_sd = math.sqrt(sum(sd**2 for sd in sds if sd is not None) / 2) if None not in sds else None

    def ask(sd: float | None, *, same: bool) -> int | None:
        return seeds_needed(difference, sd, power=power, level=level, paired=same) if sd else None

    return {
        "seeds": len(seeds),
        "difference": gain["estimate"],
        "low": gain["low"],
        "high": gain["high"],
        "sd": sds[0],
        "other_sd": sds[1],
        "sd_of_differences": spread,
        "needed": ask(spread, same=True),
        "needed_likely": ask(sd_limit(spread, len(seeds), LIKELY) if spread else None, same=True),
        "needed_unpaired": ask(pooled_sd, same=False),
    }


def _sd(scores: list[float]) -> float | None:
    """The standard deviation over seeds; None of fewer than two."""
    return float(pl.Series(scores, dtype=pl.Float64).std()) if len(scores) > 1 else None  # type: ignore[arg-type]
