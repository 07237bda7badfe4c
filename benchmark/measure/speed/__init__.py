"""How fast the present code is against that of another commit: in one run, on one machine, in pairs.

Machines drift, with temperature and with whatever else they do, by more than most changes are worth. And a process has
luck that lasts as long as it does, such as where its memory lies: two processes of equal code differ by some per cent,
however long they are timed. So every round starts a fresh process for each tree, and in it they take turns: each
workload is timed in the order then, now, now, then, or the other way round, which cancels whatever changes steadily. A
round gives one ratio of times; the result is their geometric mean, with Student's t interval of the logarithms.

A verdict asks for more than an interval that excludes 1. The ratio must lie beyond a tolerance, by a two-sided test
that counts how many workloads are compared (Holm): two equal trees are then told apart in no more than 5 % of runs.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from scipy import special

from benchmark.judge.statistics import Interval, holm
from benchmark.measure.speed import speed_worker

DEFINITIONS = Path(__file__).with_name("workloads.py")

TURN_S = 0.05
"""Seconds that one turn of a workload should take at least, in as many calls as that needs."""

MOST_CALLS = 1000

ORDERS = (("then", "now", "now", "then"), ("now", "then", "then", "now"))
"""Who is timed when, in even and in odd rounds."""

FASTER, SLOWER, SAME, ABSENT, BROKEN = "faster", "slower", "no difference shown", "not in REF", "fails now"

Timer: TypeAlias = Callable[[str, int], dict[str, float]]
"""Times a workload by name: seconds of one call by each clock, the mean of so many calls."""


class WorkloadError(Exception):
    """A tree cannot run a workload; the message says why."""


class WorkerDiedError(Exception):
    """The process of a tree ended by itself; the message says which, how, and its last words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one workload."""

    name: str
    verdict: str
    """`FASTER`, `SLOWER`, `SAME`, `ABSENT` (only the other commit cannot run it) or `BROKEN`."""
    reason: str | None = None
    """Why there is no ratio."""
    ratio: Interval | None = None
    """The other commit's time over the present one: 1.25 is 1.25 times as fast now."""
    p: float | None = None
    """Two-sided p value of a ratio within the tolerance, adjusted for the number of workloads."""
    then_s: tuple[float, ...] = ()
    """Seconds of a call in the other commit, one per round."""
    now_s: tuple[float, ...] = ()
    """The same of the present tree."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "workload": self.name,
            "verdict": self.verdict,
            "reason": self.reason,
            "ratio": self.ratio.as_dict() if self.ratio else None,
            "p_adjusted": self.p,
            "then_s": list(self.then_s),
            "now_s": list(self.now_s),
        }


def names(definitions: Path) -> list[str]:
    """The workloads of a file, in its order."""
    return list(speed_worker.load(definitions).WORKLOADS)


def compare(
    start: Callable[[], AbstractContextManager[Mapping[str, Timer]]],
    workloads: Sequence[str],
    *,
    rounds: int,
    tolerance: float,
    clock: str = "core",
    advance: Callable[[int], None] = lambda _: None,
) -> list[Outcome]:
    """Time workloads with both trees in turn and judge them.

    Args:
        start: Called for every round: timers that work afresh with the code of the other commit, `then`, and of the
            present tree, `now`, for as long as its context lasts.
        workloads: Their names.
        rounds: At least 2.
        tolerance: A ratio of times within 1 + `tolerance`, either way, is no difference.
        clock: The clock to judge by.
        advance: Called with 1 for every workload of every round.

    Returns:
        An outcome per workload, in their order.
    """
    calls: dict[str, int] = {}
    refusals: dict[str, Outcome] = {}
    timings: dict[str, dict[str, list[float]]] = {name: {"then": [], "now": []} for name in workloads}
    for number in range(rounds):
        with start() as timers:
            for name in workloads:
                if name not in refusals:
                    side = "now"  # first: what fails in both trees is broken, not absent
                    try:
                        longest = 0.0
                        for side in ("now", "then"):
                            longest = max(longest, timers[side](name, 1)[clock])
                        count = calls.setdefault(name, math.ceil(TURN_S / max(longest, TURN_S / MOST_CALLS)))
                        for side in ORDERS[number % 2]:
                            timings[name][side].append(timers[side](name, count)[clock])
                    except WorkloadError as error:
                        verdict = ABSENT if side == "then" else BROKEN
                        refusals[name] = Outcome(name=name, verdict=verdict, reason=str(error))
                advance(1)
    runnable = [name for name in workloads if name not in refusals]
    outcomes = dict(zip(runnable, judge([timings[name] for name in runnable], runnable, tolerance), strict=True))
    return [refusals.get(name) or outcomes[name] for name in workloads]


def judge(
    timings: Sequence[Mapping[str, Sequence[float]]], workloads: Sequence[str], tolerance: float
) -> list[Outcome]:
    """The outcomes of workloads from the seconds that `then` and `now` took, two of each a round."""
    seconds = [{side: _per_round(times[side]) for side in ("then", "now")} for times in timings]
    logs = [np.log(times["then"]) - np.log(times["now"]) for times in seconds]
    p_values = holm([beyond(log, tolerance) for log in logs])
    outcomes = []
    for name, times, log, p in zip(workloads, seconds, logs, p_values, strict=True):
        verdict = SAME if p >= 0.05 else FASTER if log.mean() > 0 else SLOWER
        then_s, now_s = (tuple(times[side].tolist()) for side in ("then", "now"))
        outcomes.append(Outcome(name=name, verdict=verdict, ratio=ratio(log), p=p, then_s=then_s, now_s=now_s))
    return outcomes


def ratio(logs: Any, level: float = 0.95) -> Interval:
    """Geometric mean of ratios, given as logarithms, one per round, with Student's t interval of their mean."""
    mean, error = _mean(logs)
    reach = error * float(special.stdtrit(len(logs) - 1, (1 + level) / 2))
    return Interval(estimate=math.exp(mean), low=math.exp(mean - reach), high=math.exp(mean + reach), level=level)


def beyond(logs: Any, tolerance: float) -> float:
    """Two-sided p value of a ratio within 1 + `tolerance`; below 0.05 where its 95 % interval lies outside."""
    mean, error = _mean(logs)
    excess = abs(mean) - math.log1p(tolerance)
    if not error:  # a clock too coarse to see a spread
        return 0.0 if excess > 0 else 1.0
    return min(1.0, 2 * float(special.stdtr(len(logs) - 1, -excess / error)))


def _mean(logs: Any) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(np.mean(logs)), float(np.std(logs, ddof=1)) / math.sqrt(len(logs))


def _per_round(times: Sequence[float]) -> Any:
    """Geometric mean of the two turns of every round."""
    return np.exp(np.log(np.asarray(times)).reshape(-1, 2).mean(axis=1))


@contextmanager
def worker(tree: Path, label: str, definitions: Path) -> Iterator[Timer]:
    """Yield a timer that works in a process of its own, on one thread, with the code of a tree.

    Args:
        tree: The folder that holds the packages.
        label: What to call it in messages.
        definitions: The file of workloads.

    Raises:
        WorkerDiedError: out of the timer, when the process has ended.
        WorkloadError: out of the timer, when the tree cannot run what was asked.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            # -P: its own folder must not become an import path, whose modules would hide the standard library's.
            [sys.executable, "-P", str(Path(speed_worker.__file__)), str(tree), str(definitions)],
            cwd=tree,
            env=os.environ | threads | {"PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the command alone, which ends its workers
        )
        assert process.stdin is not None and process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def timer(name: str, calls: int) -> dict[str, float]:
            try:
                requests.write(json.dumps({"name": name, "calls": calls}) + "\n")
                requests.flush()
                line = answers.readline()
            except BrokenPipeError:
                line = ""
            if not line.endswith("\n"):
                code = process.wait()
                log.seek(0)
                message = "; ".join(log.read().split("\n")[-4:]).strip("; ")
                how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
                raise WorkerDiedError(f"the process of {label} ended {how} at {name}{message and ': ' + message}")
            answer = json.loads(line)
            if "reason" in answer:
                raise WorkloadError(answer["reason"])
            return dict(answer["seconds"])

        try:
            yield timer
        finally:
            process.kill()  # it holds nothing
            process.wait()
            answers.close()
            with suppress(BrokenPipeError):
                requests.close()


@contextmanager
def workers(then: Path, ref: str, now: Path, definitions: Path) -> Iterator[dict[str, Timer]]:
    """Yield the timers of two fresh processes: of the other commit's tree, called `ref`, and of the present one."""
    with worker(then, ref, definitions) as one, worker(now, "the present tree", definitions) as other:
        yield {"then": one, "now": other}
