"""How many seeds a comparison needs."""

import math
from bisect import bisect_left

from scipy import special

from benchmark.judge.intervals import tail

LIKELY = 0.8
"""Confidence of the limit of a standard deviation that seeds are planned by."""

MOST = 10_000_000
"""Seeds beyond which nobody needs to know how many more."""


def seeds_needed(difference: float, sd: float, *, power: float = 0.8, level: float = 0.95, paired: bool = True) -> int:
    """Seeds for which a two-sided t test finds a difference with a given probability, by the noncentral t.

    Args:
        difference: True difference of the means; its sign does not matter.
        sd: Standard deviation over seeds: of the paired differences or, unpaired, of the scores of either setting.
        power: Probability to find it.
        level: 1 minus the rate of false alarms.
        paired: The same seeds twice, or as many different ones of each setting.

    Returns:
        Seeds of each setting, at least 2, for without a spread nothing can be tested.

    Raises:
        ValueError: a difference of 0, a negative or infinite sd, a power or level not between 0 and 1, or more than
            `MOST` seeds.
    """
    if not (math.isfinite(difference) and difference):
        raise ValueError(f"a difference to be found is finite and not 0, given {difference}")
    if not (math.isfinite(sd) and sd >= 0):
        raise ValueError(f"a standard deviation is finite and not negative, given {sd}")
    if not 0 < power < 1:
        raise ValueError(f"a power is between 0 and 1, given {power}")
    alpha = tail(level)

    def power_with(seeds: int) -> float:
        freedom = seeds - 1 if paired else 2 * seeds - 2
        away = abs(difference) / sd * math.sqrt(seeds if paired else seeds / 2)
        critical = float(special.stdtrit(freedom, 1 - alpha / 2))
        above, below = 1 - special.nctdtr(freedom, away, critical), special.nctdtr(freedom, away, -critical)
        return float(above + below)

    if not sd:
        return 2
    most = 2
    while power_with(most) < power:
        most *= 2
        if most > MOST:
            raise ValueError(f"a difference of {difference} at a standard deviation of {sd} takes over {MOST:,} seeds")
    return 2 + bisect_left(range(2, most), power, key=power_with)


def sd_limit(sd: float, seeds: int, share: float = LIKELY) -> float:
    """What the true standard deviation is below with a given confidence, for that of a few seeds is itself a guess.

    The upper limit by the chi-square distribution of variances of normal scores; Browne (Statistics in Medicine
    14:1933, 1995) recommends planning by that of 0.8 after a small pilot.

    Raises:
        ValueError: fewer than 2 seeds.
    """
    if seeds < 2:
        raise ValueError(f"a standard deviation takes at least 2 seeds, given {seeds}")
    return sd * math.sqrt((seeds - 1) / float(special.chdtri(seeds - 1, share)))
