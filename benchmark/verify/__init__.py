"""The paper's claims judged by rows: a verdict per claim with its numbers, what qualifies it, and what would settle it.

A claim is judged on one study (`benchmark.studies`: nothing varies in it but difficulty, N and seed). Where several can
judge it, that of the largest scale does, then of most seeds, then of most finished cells. The p values of all claims
that were judged are corrected together (Holm), so that one false alarm in twenty is that of the whole table.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import polars as pl

from benchmark.outcomes import Key, Outcome
from benchmark.statistics import Verdict, holm, seeds_needed, verdict
from benchmark.studies import Study, processors, studies
from benchmark.verify import artefacts, paper
from benchmark.verify.claims import FORMS
from benchmark.verify.evidence import LackingError, about, rank, seeds_of
from benchmark.verify.finding import Finding
from benchmark.verify.paper import Claim
from benchmark.verify.verdict_tables import markdown as markdown

ALPHA = 0.05
_ENOUGH = 0.6

_KEYS = ("suite", "scale", "cell_id", "status", "step", "tested_passes", "split", "difficulty", "answer")
"""What tells a row from every other; a row that two sources hold counts once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What rows say of a claim.

    Attributes:
        id: The claim.
        figure: Where the paper makes it.
        claim: What the paper says.
        reduced: What was judged.
        verdict: What rows say of that.
        qualification: What a reproduced claim does not survive; empty if nothing.
        reading: The numbers in a line, or what is missing.
        quantity: What the estimate is of: "difference", "exact match", "lift", "slope", "ratio"; empty if not judged.
        estimate: Of that; null if it was not judged.
        low: Lower limit of its 95 % interval; null if nothing is known of it.
        high: Upper limit.
        smallest: From which size on an effect would matter; null where the claim's own bound says it.
        because: Why.
        p: Of no effect; null where nothing is random or the seeds are too few.
        p_adjusted: The same, corrected for all claims judged with it.
        seeds: Seeds it stands on.
        seeds_needed: About how many would settle it; null where it is settled or that cannot be said.
        examples_needed: The `test_examples` it would take, where no number of seeds would do without more.
        suite: The suite whose rows judge it.
        study: Which rows did; empty if none.
        others: How many other groups of rows could have judged it.
        command: What trains such rows; where the claim is open, those that would settle it.
        controls: How a gain fares under the controls that apply.
    """

    id: str
    figure: str
    claim: str
    reduced: str
    verdict: Verdict
    qualification: str = ""
    reading: str
    quantity: str = ""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    smallest: float | None = None
    because: str
    p: float | None = None
    p_adjusted: float | None = None
    seeds: int = 0
    seeds_needed: int | None = None
    examples_needed: int | None = None
    suite: str
    study: str = ""
    others: int = 0
    command: str
    controls: tuple[artefacts.Control, ...] = ()

    @property
    def said(self) -> str:
        """The verdict with what qualifies it, such as "reproduced; not at equal FLOPs"."""
        return "; ".join(text for text in (self.verdict, self.qualification) if text)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return found | {"controls": [control.as_dict() for control in self.controls]}


def judge(frame: pl.DataFrame, outcomes: Mapping[Key, Outcome] | None = None) -> list[Judgement]:
    """Every claim of the paper judged by a table of rows, in the order of the claims.

    A failed cell judges nothing; a claim without rows is "not enough evidence". Differences whose runs have `outcomes`
    count what examples add by these, others as `benchmark.statistics.paired` assumes.
    """
    frame = frame.unique(_KEYS, keep="first", maintain_order=True)
    claims = paper.claims()
    found = [_found(frame, claim, outcomes or {}) for claim in claims]
    tested = [i for i, (finding, _, _, _) in enumerate(found) if finding is not None and finding.p is not None]
    adjusted = dict(zip(tested, holm([_p(found[i][0]) for i in tested]), strict=True))
    by_task: dict[str, list[Study]] = {}  # all studies of a task, made once

    def every(study: Study) -> list[Study]:
        task = str(study.final["task"][0])
        if task not in by_task:
            of_task = studies(frame.filter(pl.col("task") == task))
            by_task[task] = [replace(each, outcomes=outcomes or {}) for each in of_task]
        return by_task[task]

    return [
        _judged(claim, *each, adjusted.get(i), len(tested), every)
        for i, (claim, each) in enumerate(zip(claims, found, strict=True))
    ]


def _p(finding: Finding | None) -> float:
    assert finding is not None and finding.p is not None
    return finding.p


def _found(
    frame: pl.DataFrame, claim: Claim, outcomes: Mapping[Key, Outcome]
) -> tuple[Finding | None, Study | None, int, str]:
    """What the best study says of a claim, that study, how many others could judge it, and else what is lacking."""
    wanted = {"suite": claim.suite} | dict(claim.where)
    if any(column not in frame.columns for column in wanted):
        return None, None, 0, f"no rows of suite {claim.suite}"
    at = frame.filter(*(pl.col(column) == value for column, value in wanted.items()))
    if not at.height:
        which = ", ".join(f"{k} {v}" for k, v in claim.where.items())
        return None, None, 0, f"no rows of suite {claim.suite}{f' with {which}' if which else ''}"
    judged, lacking = [], []
    for study in _studies(at, claim):
        if not study.final.height:
            lacking.append((study, "no cell has finished"))
            continue
        try:
            judged.append((study, FORMS[claim.form](replace(study, outcomes=outcomes), **claim.options)))
        except LackingError as error:
            lacking.append((study, str(error)))
    if judged:
        study, finding = max(judged, key=lambda found: rank(found[0]))
        return finding, study, len(judged) - 1, ""
    finished = [found for found in lacking if found[0].final.height] or lacking
    why = (
        max(finished, key=lambda found: rank(found[0]) if found[0].final.height else (-2, 0, 0))[1] if finished else ""
    )
    return None, None, 0, why or "every cell of it failed"


def _studies(frame: pl.DataFrame, claim: Claim) -> list[Study]:
    """The studies of rows, tested as trained; for a claim that compares two values of a setting, with both in one."""
    trained = (
        frame.filter(pl.col("tested_passes") == pl.col("sleep_passes")) if "sleep_passes" in frame.columns else frame
    )
    tested = pl.concat([trained, frame.filter(pl.col("status") != "ok")]).unique(_KEYS, maintain_order=True)
    if "base" not in claim.options:
        return studies(tested)
    found: dict[str, list[Study]] = {}
    for part in tested.partition_by(claim.options["column"], maintain_order=True):
        for study in studies(part):
            found.setdefault(study.name, []).append(study)
    return [
        replace(
            parts[0],
            scores=pl.concat([part.scores for part in parts]),
            final=pl.concat([part.final for part in parts]),
        )
        for parts in found.values()
    ]


def _judged(
    claim: Claim,
    finding: Finding | None,
    study: Study | None,
    others: int,
    lacking: str,
    adjusted: float | None,
    tests: int,
    every: Callable[[Study], Sequence[Study]],
) -> Judgement:
    """The verdict on one claim; `tests`: how many claims were tested with it."""
    same: dict[str, Any] = {n: getattr(claim, n) for n in ("id", "figure", "claim", "reduced", "because", "suite")}
    same |= {"smallest": claim.options.get("smallest")}
    if finding is None or study is None:
        return Judgement(**same, verdict="not enough evidence", reading=lacking, command=claim.command)
    if finding.p is None:
        decided: Verdict = "reproduced" if finding.effect.low > 0 else "not reproduced"
    else:
        decided = verdict(
            finding.effect, math.nan if adjusted is None else adjusted, smallest=finding.smallest, alpha=ALPHA
        )
    several = len(trained_on) if len(trained_on := processors(study.final)) > 1 else 0
    controls: tuple[artefacts.Control, ...] = ()
    if finding.gain is not None and claim.controls:
        controls = artefacts.examine(claim.controls, study, finding.gain, every(study))
    needed = _needed(finding, tests) if decided == "not enough evidence" else None
    more = _examples_needed(finding, study) if decided == "not enough evidence" else None
    return Judgement(
        **same,
        verdict=decided,
        qualification=artefacts.qualification(controls) if decided == "reproduced" else "",
        reading=f"{finding.reading}; seeds of {several} processors" if several else finding.reading,
        quantity=finding.quantity,
        estimate=_finite(finding.estimate.estimate),
        low=_finite(finding.estimate.low),
        high=_finite(finding.estimate.high),
        p=_finite(finding.p),
        p_adjusted=_finite(adjusted),
        seeds=finding.seeds,
        seeds_needed=needed,
        examples_needed=more,
        study=about(study),
        others=others,
        command=_command(claim, study, needed, more),
        controls=controls,
    )


def _needed(finding: Finding, tests: int) -> int | None:
    """Seeds that would settle an open claim, about: to find the effect seen, or the smallest if that is more.

    With the spread seen, at the level that the smallest of all p values has to reach; at least two more than there are.
    """
    effect = _sought(finding)
    if finding.seeds < 2 or not math.isfinite(finding.spread) or effect <= 0:
        return None
    level = 1 - ALPHA / max(tests, 1)
    return max(seeds_needed(effect, finding.spread, level=level), finding.seeds + 2)


def _sought(finding: Finding) -> float:
    """The size of the effect that more rows are planned for."""
    return max(finding.smallest, abs(finding.effect.estimate))


def _examples_needed(finding: Finding, study: Study) -> int | None:
    """The `test_examples` for which what examples leave open is below the effect sought; None if that is so already.

    Below 0.6 of it, for the seeds leave about 0.7: together they then leave less than the effect.
    """
    first = study.final.row(0, named=True)
    allowed = _ENOUGH * _sought(finding)
    if finding.blur <= allowed or not (tested := first.get("test_examples")):
        return None
    return int(tested * 2 ** math.ceil(2 * math.log2(finding.blur / allowed)))


def _command(claim: Claim, study: Study, seeds: int | None, examples: int | None) -> str:
    """The command of a claim for the scale and model of the rows that judged it, with so many seeds and examples."""
    first = study.final.row(0, named=True)
    words = [claim.command]
    if first["scale"] in ("tiny", "gpu", "paper"):
        words.append(f"--scale {first['scale']}")
    if not _usual(first):
        words.append(f"--model {first['model']}")
    if seeds is None and seeds_of(study) < 2:
        seeds = 3
    words += [f"--seeds {','.join(map(str, range(seeds)))}"] if seeds else []
    return " ".join(words + ([f"--set test_examples={examples}"] if examples else []))


def _usual(row: Mapping[str, Any]) -> bool:
    """Whether the suite trains that model unless told otherwise."""
    if row["model"] == "hybrid" and row["scale"] != "paper":
        return True  # without importing what builds models
    from benchmark.suites import SCALES, SUITES, suite

    if row["suite"] not in SUITES or row["scale"] not in SCALES:
        return True
    return row["model"] in {base.model.name for base in suite(row["suite"], row["scale"]).bases}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
