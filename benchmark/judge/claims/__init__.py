"""The paper's claims judged by rows: a verdict per claim with its numbers, what qualifies it, and what would settle it.

A claim is judged on one study (`benchmark.rows.studies`: nothing varies in it but difficulty, N and seed, least of
all the version of task or model). Where several can judge it, that of the largest scale does, then of the newest
version of its task, then of most seeds, of most finished cells, of most tokens. The p values of all claims that were
judged are corrected together (Holm), so that one false alarm in twenty is that of the whole table. Claims that are
true by construction have none, and are counted apart.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import polars as pl

from benchmark.judge import paper
from benchmark.judge.claims import artefacts, remedies
from benchmark.judge.claims.finding import Finding
from benchmark.judge.claims.forms import FORMS
from benchmark.judge.claims.remedies import ALPHA as ALPHA
from benchmark.judge.claims.tuning import Shortfall, shortfall
from benchmark.judge.claims.verdict_tables import counts as counts
from benchmark.judge.claims.verdict_tables import markdown as markdown
from benchmark.judge.evidence import LackingError, about, rank
from benchmark.judge.paper import Claim, Kind
from benchmark.judge.statistics import Verdict, holm, verdict
from benchmark.rows import Status
from benchmark.rows.outcomes import Key, Outcome
from benchmark.rows.studies import Study, processors, studies

NO_ROWS = "no rows of suite"
"""How the reading begins of a claim whose suite, at the claim's setting, has no rows at all."""

_KEYS = ("suite", "scale", "cell_id", "status", "step", "tested_passes", "split", "difficulty", "answer")
"""What tells a row from every other; a row that two sources hold counts once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What rows say of a claim."""

    id: str
    figure: str
    """Where the paper makes it."""
    claim: str
    """What the paper says."""
    reduced: str
    """What was judged."""
    verdict: Verdict
    qualification: str = ""
    """What a reproduced claim does not survive, or what keeps a claim open that the numbers alone would decide; empty
    if nothing."""
    reading: str
    """The numbers in a line, or what is missing."""
    quantity: str = ""
    """What the estimate is of: "difference", "exact match", "lift", "slope", "ratio"; empty if not judged."""
    estimate: float | None = None
    """Of that; null if it was not judged."""
    low: float | None = None
    """Limits of its 95 % interval; null if nothing is known of it."""
    high: float | None = None
    smallest: float | None = None
    """From which size on an effect would matter; null where the claim's own bound says it."""
    because: str
    """Why."""
    p: float | None = None
    """Of no effect; null where nothing is random or the seeds are too few."""
    p_adjusted: float | None = None
    """The same, corrected for all claims judged with it."""
    seeds: int = 0
    seeds_needed: int | None = None
    """About how many would settle it; null where it is settled or nothing allows an estimate."""
    examples_needed: int | None = None
    """The `test_examples` it would take, where no number of seeds would do without more."""
    suite: str
    study: str = ""
    """Which rows did; empty if none."""
    others: int = 0
    """How many other groups of rows could have judged it."""
    command: str
    """What trains such rows; where the claim is open, those that would settle it."""
    controls: tuple[artefacts.Control, ...] = ()
    """How a gain fares under the controls that apply."""
    kind: Kind = "empirical"
    """"empirical" or "construction"; see `benchmark.judge.paper.Claim`."""

    @property
    def full_verdict(self) -> str:
        """The verdict with what qualifies it, such as "reproduced; not at equal FLOPs"."""
        return "; ".join(text for text in (self.verdict, self.qualification) if text)

    @property
    def has_rows(self) -> bool:
        """Whether there are rows that are meant to judge it, be they enough or not."""
        return not self.reading.startswith(NO_ROWS)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"controls": [control.as_dict() for control in self.controls]}


def judge(frame: pl.DataFrame, outcomes: Mapping[Key, Outcome] | None = None) -> list[Judgement]:
    """Every claim of the paper judged by a table of rows, in the order of the claims.

    A failed cell judges nothing, nor do tests on validation examples; a claim without rows is "not enough evidence".
    Differences whose runs have `outcomes` count what examples add by these, others as
    `benchmark.judge.statistics.paired_contrast` assumes.
    """
    frame = frame.unique(_KEYS, keep="first", maintain_order=True)
    claims = paper.claims()
    findings = [_best_finding(frame, claim, outcomes or {}) for claim in claims]
    tests = [i for i, (finding, _, _, _) in enumerate(findings) if finding is not None and finding.p is not None]
    p_adjusted = dict(zip(tests, holm([_p(findings[i][0]) for i in tests]), strict=True))
    by_task: dict[str, list[Study]] = {}  # all studies of a task, made once

    def every(study: Study) -> list[Study]:
        task = str(study.final["task"][0])
        if task not in by_task:
            of_task = studies(frame.filter(pl.col("task") == task))
            by_task[task] = [replace(each, outcomes=outcomes or {}) for each in of_task]
        return by_task[task]

    return [
        _judgement(claim, *each, p_adjusted.get(i), len(tests), every, frame)
        for i, (claim, each) in enumerate(zip(claims, findings, strict=True))
    ]


def _p(finding: Finding | None) -> float:
    assert finding is not None and finding.p is not None
    return finding.p


def _best_finding(
    frame: pl.DataFrame, claim: Claim, outcomes: Mapping[Key, Outcome]
) -> tuple[Finding | None, Study | None, int, str]:
    """What the best study says of a claim, that study, how many others could judge it, and else what is lacking."""
    conditions = {"suite": claim.suite} | dict(claim.where)
    if any(column not in frame.columns for column in conditions):
        return None, None, 0, f"{NO_ROWS} {claim.suite}"
    chosen_by = [c for c in ("split", "test_split") if c in frame.columns]  # of a failed cell the second alone
    held_out = [pl.col(c).fill_null("test") != "validation" for c in chosen_by]
    at = frame.filter(*held_out, *(pl.col(column) == value for column, value in conditions.items()))
    if not at.height:
        which = ", ".join(f"{k} {v}" for k, v in claim.where.items())
        return None, None, 0, f"{NO_ROWS} {claim.suite}{f' with {which}' if which else ''}"
    candidates, lacking = [], []
    for study in _studies(at, claim):
        if not study.final.height:
            lacking.append((study, "no cell has finished"))
            continue
        try:
            candidates.append((study, FORMS[claim.form](replace(study, outcomes=outcomes), **claim.options)))
        except LackingError as error:
            lacking.append((study, str(error)))
    if candidates:
        study, finding = max(candidates, key=lambda pair: rank(pair[0]))
        return finding, study, len(candidates) - 1, ""
    finished = [pair for pair in lacking if pair[0].final.height] or lacking
    why = max(finished, key=lambda pair: rank(pair[0]) if pair[0].final.height else (-2,) * 5)[1] if finished else ""
    return None, None, 0, why or "every cell of it failed"


def _studies(frame: pl.DataFrame, claim: Claim) -> list[Study]:
    """The studies of rows, tested as trained; for a claim that compares two values of a setting, with both in one."""
    as_trained = (
        frame.filter(pl.col("tested_passes") == pl.col("sleep_passes")) if "sleep_passes" in frame.columns else frame
    )
    with_failures = pl.concat([as_trained, frame.filter(pl.col("status") != Status.OK)]).unique(
        _KEYS, maintain_order=True
    )
    if "base" not in claim.options:
        return studies(with_failures)
    by_name: dict[tuple[str, int], list[Study]] = {}  # a version is in the name only where it tells studies apart
    for part in with_failures.partition_by(claim.options["column"], maintain_order=True):
        for study in studies(part):
            version = int(study.scores["task_version"][0])
            by_name.setdefault((study.name, version), []).append(study)
    return [
        replace(
            parts[0],
            scores=pl.concat([part.scores for part in parts]),
            final=pl.concat([part.final for part in parts]),
        )
        for parts in by_name.values()
    ]


def _judgement(
    claim: Claim,
    finding: Finding | None,
    study: Study | None,
    others: int,
    lacking: str,
    p_adjusted: float | None,
    tests: int,
    every: Callable[[Study], Sequence[Study]],
    frame: pl.DataFrame,
) -> Judgement:
    """The verdict on one claim; `tests`: how many claims were tested with it, `frame`: all rows."""
    names = ("id", "figure", "claim", "reduced", "because", "suite", "kind")
    same: dict[str, Any] = {name: getattr(claim, name) for name in names}
    same |= {"smallest": claim.options.get("smallest")}
    if finding is None or study is None:
        return Judgement(**same, verdict="not enough evidence", reading=lacking, command=claim.command)
    if finding.p is None:
        conclusion: Verdict = "reproduced" if finding.effect.low > 0 else "not reproduced"
    else:
        conclusion = verdict(
            finding.effect, math.nan if p_adjusted is None else p_adjusted, smallest=finding.smallest, alpha=ALPHA
        )
    several = len(trained_on) if len(trained_on := processors(study.final)) > 1 else 0
    controls: tuple[artefacts.Control, ...] = ()
    if finding.gain is not None and claim.controls:
        controls = artefacts.examine(claim.controls, study, finding.gain, every(study))
    untuned = _tuning_shortfall(claim, finding, study, conclusion, frame)
    retune = untuned is not None and conclusion == "not reproduced"
    if retune:
        conclusion = "not enough evidence"
    wanting = conclusion == "not enough evidence" and not retune
    seed_count = remedies.seeds_for(finding, tests) if wanting else None
    more = remedies.examples_for(finding, study) if wanting else None
    reservation = artefacts.qualification(controls) if conclusion == "reproduced" else ""
    return Judgement(
        **same,
        verdict=conclusion,
        qualification="; ".join(filter(None, (reservation, untuned.words if untuned else None))),
        reading=f"{finding.reading}; seeds of {several} processors" if several else finding.reading,
        quantity=finding.quantity,
        estimate=_finite(finding.estimate.estimate),
        low=_finite(finding.estimate.low),
        high=_finite(finding.estimate.high),
        p=_finite(finding.p),
        p_adjusted=_finite(p_adjusted),
        seeds=finding.seeds,
        seeds_needed=seed_count,
        examples_needed=more,
        study=about(study),
        others=others,
        command=remedies.command(claim, study, seed_count, more, untuned if retune else None),
        controls=controls,
    )


def _tuning_shortfall(
    claim: Claim, finding: Finding, study: Study, conclusion: Verdict, frame: pl.DataFrame
) -> Shortfall | None:
    """Which N lacks a value of its own of the setting that a claim is sensitive to, if that could turn its verdict.

    A gain may be missing because the larger N has none, and be there because the smaller N has none.
    """
    if not claim.tuned or finding.gain is None or conclusion == "not enough evidence":
        return None
    n = finding.gain.low if conclusion == "reproduced" else finding.gain.high
    return shortfall(frame, study, n, claim.tuned)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
