"""What the rows of a study say of a claim."""

import math
from dataclasses import dataclass

from benchmark.judge.evidence import Gain
from benchmark.judge.statistics import Interval

ANY = 1e-9
"""Smallest effect of a claim whose bound or margin says already what would matter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What the rows of a study say of a claim."""

    reading: str
    """The numbers in a line."""
    quantity: str
    """What is claimed something of: "difference", "exact match", "lift", "slope" or "ratio"."""
    estimate: Interval
    """That, with its interval."""
    effect: Interval
    """How far that is on the claimed side: positive as claimed."""
    smallest: float
    """From which effect on it would matter."""
    p: float | None
    """Of no effect; NaN where the seeds are too few to tell, None where nothing is random."""
    seeds: int
    spread: float = math.nan
    """Standard deviation over seeds of what is tested; NaN where there is none."""
    blur: float = 0.0
    """How far the limits would be from the estimate if seeds did not vary at all: what held-out examples leave open,
    however many seeds there are. 0 where they do not count."""
    gain: Gain | None = None
    """The gain of N that it is about, if it is about one."""
