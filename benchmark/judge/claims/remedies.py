"""What would settle a claim that rows leave open: seeds, examples, and the command that trains them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.judge.claims.differences import settings_of
from benchmark.judge.claims.finding import Finding
from benchmark.judge.claims.tuning import Shortfall
from benchmark.judge.evidence import seeds_of
from benchmark.judge.paper import Claim
from benchmark.judge.statistics import seeds_needed
from benchmark.rows.studies import Study

ALPHA = 0.05
"""Rate of false alarms of a verdict, among all claims."""

MOST_EXAMPLES = 2**22
"""Held-out examples beyond which a test is no plan."""

_ENOUGH = 0.6


def seeds_for(finding: Finding, tests: int) -> int | None:
    """Seeds that would settle an open claim, about: to find the effect seen, or the smallest if that is more.

    With the spread seen, at the level that the smallest of all p values has to reach; at least two more than there are.
    None where nothing allows an estimate, or where no number of seeds that could be trained would do.
    """
    effect = _target_effect(finding)
    if finding.seeds < 2 or not math.isfinite(finding.spread) or effect <= 0:
        return None
    try:
        seeds = seeds_needed(effect, finding.spread, level=1 - ALPHA / max(tests, 1))
    except ValueError:  # more than anyone would train: the mean is all but on its bound
        return None
    return max(seeds, finding.seeds + 2)


def examples_for(finding: Finding, study: Study) -> int | None:
    """The `test_examples` for which what examples leave open is below the effect sought; None if that is so already.

    Below 0.6 of it, for the seeds leave about 0.7: together they then leave less than the effect. None too where that
    takes more than `MOST_EXAMPLES`.
    """
    examples, most_blur = study.final.row(0, named=True).get("test_examples"), _ENOUGH * _target_effect(finding)
    if not examples or finding.blur <= most_blur or finding.blur > most_blur * math.sqrt(MOST_EXAMPLES / examples):
        return None
    return int(examples * 2 ** math.ceil(2 * math.log2(finding.blur / most_blur)))


def command(claim: Claim, study: Study, seeds: int | None, examples: int | None, lack: Shortfall | None = None) -> str:
    """The command of a claim for the scale, model and settings of the rows that judged it, with so many seeds.

    Where each N has learning rates of its own, it is a command for each; where an N lacks trials, one for each trial.
    """
    first = study.final.row(0, named=True)
    words = [claim.command]
    if first["scale"] in ("tiny", "gpu", "paper"):
        words.append(f"--scale {first['scale']}")
    if not _is_default_model(first):
        words.append(f"--model {first['model']}")
    if set(study.final["backend"]) == {"native"}:
        words.append("--backend native")
    if seeds is None and seeds_of(study) < 2:
        seeds = 3
    words += [f"--seeds 0-{seeds - 1}"] if seeds else []
    arms = settings_of(study)
    runs = [
        (ns, _with_changes(settings, [f"test_examples={examples}"] * bool(examples))) for ns, settings in arms.items()
    ]
    if lack:
        own = next((ns, settings) for ns, settings in runs if lack.n in ns)
        runs = [((lack.n,), _with_changes(own[1], trial)) for trial in lack.trials]
    commands = []
    for ns, settings in runs:
        passes = [f"--sleep-passes {','.join(map(str, ns))}"] * (len(arms) > 1)
        commands.append(" ".join([*words, *passes, *(f"--set {text}" for text in settings)]))
    return " && ".join(commands)


def _with_changes(settings: Sequence[str], changes: Sequence[str]) -> list[str]:
    """Settings, each `name=value`, some of them changed."""
    by_name = {text.partition("=")[0]: text for text in (*settings, *changes)}
    return list(by_name.values())


def _target_effect(finding: Finding) -> float:
    """The size of the effect that more rows are planned for; where it is clear but small, what it is too small by."""
    if finding.effect.low > 0 and finding.effect.estimate < finding.smallest:
        return finding.smallest - finding.effect.estimate
    return max(finding.smallest, abs(finding.effect.estimate))


def _is_default_model(row: Mapping[str, Any]) -> bool:
    """Whether the suite trains that model unless told otherwise."""
    if row["model"] == "hybrid" and row["scale"] != "paper":
        return True  # without importing what builds models
    from benchmark.cells.suites import SCALES, SUITES, suite

    if row["suite"] not in SUITES or row["scale"] not in SCALES:
        return True
    return row["model"] in {base.model.name for base in suite(row["suite"], row["scale"]).bases}
