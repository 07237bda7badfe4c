"""The forms a claim can take: every verdict on rows planted for it, and false alarms at the stated rate."""

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from benchmark.statistics import verdict
from benchmark.studies import Study
from benchmark.verify import claims
from benchmark.verify.evidence import LackingError
from benchmark.verify.finding import Finding
from tests.planted import Curve, flat, planted, study

BEATS = {"low": 1, "high": 2, "at": "all", "smallest": 0.05}
EQUAL = {"low": 1, "high": "largest", "at": "all", "margin": 0.03}
LIFT = {"n": 1, "at": "deepest", "measure": "lift", "bound": 0.1}
RISES = {"at": "deepest", "smallest": 0.03}
FALLS = {"n": 1, "smallest": 0.03}
LATER = {"n": 1, "lift": 0.8, "smallest": 0.02}
GROWS = {"low": 1, "high": "largest", "smallest": 0.01}


def said(found: Finding) -> str:
    assert found.p is not None
    return verdict(found.effect, found.p, smallest=found.smallest)


def judged(form: str, options: dict[str, Any], curve: Curve, **how: Any) -> str:
    return said(claims.FORMS[form](study(planted(curve, **how)), **options))


def falling(n: int, depth: int, share: float) -> float:
    return 0.95 - 0.08 * depth


def growing(n: int, depth: int, share: float) -> float:
    return 0.6 + (0.05 * depth if n == 2 else 0)


def learned_at(depth: int) -> float:
    return 0.1 + 0.2 * depth


def staged(n: int, depth: int, share: float) -> float:
    return 0.95 if share >= learned_at(depth) else 0.5


@pytest.mark.parametrize(
    ("form", "options", "expected", "curve", "how"),
    [
        ("beats", BEATS, "reproduced", flat(n1=0.7, n2=0.85), {"noise": 0.01}),
        ("beats", BEATS, "not reproduced", flat(n1=0.7, n2=0.7), {"noise": 0.005}),
        ("beats", BEATS, "not reproduced", flat(n1=0.8, n2=0.6), {"noise": 0.01}),
        ("beats", BEATS, "not enough evidence", flat(n1=0.6, n2=0.65), {"noise": 0.2}),
        ("beats", BEATS, "not enough evidence", flat(n1=0.6, n2=0.9), {"seeds": 1}),
        ("equal", EQUAL, "reproduced", flat(n1=0.8, n2=0.8), {"noise": 0.005}),
        ("equal", EQUAL, "not reproduced", flat(n1=0.7, n2=0.8), {"noise": 0.01}),
        ("equal", EQUAL, "not enough evidence", flat(n1=0.7, n2=0.7), {"noise": 0.1}),
        ("equal", EQUAL, "not enough evidence", flat(n1=0.7, n2=0.7), {"seeds": 1}),
        ("above", {"n": 1, "at": "all", "bound": 0.9}, "reproduced", flat(n1=0.97, n2=1), {"noise": 0.01}),
        ("above", {"n": 1, "at": "all", "bound": 0.9}, "not reproduced", flat(n1=0.7, n2=1), {"noise": 0.01}),
        ("above", {"n": 1, "at": "all", "bound": 0.9}, "not enough evidence", flat(n1=0.88, n2=1), {"noise": 0.2}),
        ("below", LIFT, "reproduced", flat(n1=0.51, n2=1), {"noise": 0.005}),
        ("below", LIFT, "not reproduced", flat(n1=0.7, n2=1), {"noise": 0.01}),
        ("below", LIFT, "not enough evidence", flat(n1=0.54, n2=1), {"noise": 0.05}),
        ("below", LIFT, "not enough evidence", flat(n1=0.5, n2=1), {"seeds": 1}),
        ("below", LIFT, "not enough evidence", flat(n1=0.9, n2=1), {"seeds": 1}),
        ("rises", RISES, "reproduced", flat(n1=0.6, n2=0.7, n4=0.8), {"ns": (1, 2, 4), "noise": 0.01}),
        ("rises", RISES, "not reproduced", flat(n1=0.7, n2=0.7, n4=0.7), {"ns": (1, 2, 4), "noise": 0.005}),
        ("rises", RISES, "not enough evidence", flat(n1=0.6, n2=0.65, n4=0.6), {"ns": (1, 2, 4), "noise": 0.2}),
        ("falls", FALLS, "reproduced", falling, {"noise": 0.01}),
        ("falls", FALLS, "not reproduced", flat(n1=0.8, n2=0.8), {"noise": 0.005}),
        ("falls", FALLS, "not enough evidence", flat(n1=0.7, n2=0.7), {"noise": 0.15}),
        ("later", LATER, "reproduced", staged, {"noise": 0.01, "tests": 20}),
        ("later", LATER, "not reproduced", lambda n, depth, share: staged(n, 4 - depth, share), {"noise": 0.01}),
        ("later", LATER, "not enough evidence", flat(n1=0.9, n2=0.9), {"noise": 0.05, "tests": 1, "seeds": 3}),
        ("gain_grows", GROWS, "reproduced", growing, {"noise": 0.01}),
        ("gain_grows", GROWS, "not reproduced", flat(n1=0.6, n2=0.8), {"noise": 0.003}),
        ("gain_grows", GROWS, "not enough evidence", growing, {"noise": 0.2}),
    ],
)
def test_every_form_gives_every_verdict(
    form: str, options: dict[str, Any], expected: str, curve: Curve, how: dict[str, Any]
) -> None:
    assert judged(form, options, curve, **how) == expected


def halves(other: float, noise: float, draw: int = 0, seeds: int = 5) -> Study:
    """Two values of a setting in one study, as `verify` puts them together."""
    parts = [
        study(
            planted(flat(n2=score), ns=(2,), depths=(5,), noise=noise, draw=2 * draw + i, seeds=seeds, hard_share=share)
        )
        for i, (share, score) in enumerate([(0.0, 0.6), (0.33, other)])
    ]
    return replace(
        parts[0],
        scores=pl.concat([part.scores for part in parts]),
        final=pl.concat([part.final for part in parts]),
    )


HELPS = {"column": "hard_share", "base": 0.0, "n": "largest", "at": "all", "smallest": 0.05}


@pytest.mark.parametrize(
    ("other", "noise", "expected"),
    [(0.8, 0.01, "reproduced"), (0.6, 0.005, "not reproduced"), (0.65, 0.3, "not enough evidence")],
)
def test_a_setting_that_helps(other: float, noise: float, expected: str) -> None:
    assert said(claims.helps(halves(other, noise), **HELPS)) == expected


@pytest.mark.parametrize(
    ("form", "options", "ratio", "holds"),
    [
        ("constant", {"column": "state_bytes"}, 1.0, True),
        ("constant", {"column": "sleep_flops"}, 2.0, False),
        ("linear", {"column": "sleep_flops", "within": 0.05}, 1.0, True),
        ("linear", {"column": "wake_flops", "within": 0.05}, 0.5, False),
        ("linear", {"column": "train_flops", "within": 0.25, "beside": "wall_s"}, 1.0, True),
    ],
)
def test_counted_costs_need_no_seeds(form: str, options: dict[str, Any], ratio: float, holds: bool) -> None:
    found = claims.FORMS[form](study(planted(flat(n1=0.6, n2=0.6), seeds=1)), **options)
    assert found.p is None
    assert found.estimate.estimate == pytest.approx(ratio)
    assert (found.effect.low > 0) is holds


@pytest.mark.parametrize("form", claims.FORMS)
def test_what_rows_lack_is_said(form: str) -> None:
    """One N, one difficulty: no form can judge that, and each says why."""
    parameters = inspect.signature(claims.FORMS[form]).parameters
    given = {
        "low": 1, "high": 2, "n": 2, "at": "deepest", "smallest": 0.1, "margin": 0.1, "bound": 0.5, "lift": 0.8,
        "column": "wake_flops", "base": 0.0, "within": 0.1,
    }  # fmt: skip
    options = {name: given[name] for name in parameters if name in given}
    with pytest.raises(LackingError, match=r"N = 2|difficult|N above 1|N = 1"):
        claims.FORMS[form](study(planted(flat(n1=0.6), ns=(1,), depths=(3,))), **options)


# Calibration. A true effect of nothing, or a value exactly at the bound, passes for a reproduced claim in at most 5 %.

DRAWS = 150
MOST = 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / DRAWS)  # one chance in two hundred to fail by bad luck


def noise_only(draw: int, **how: Any) -> Study:
    curve = how.pop("curve", lambda n, depth, share: 0.6)
    return study(planted(curve, ns=(1, 2, 4), seeds=4, noise=0.05, tests=1, draw=draw, examples=4000, **how))


@pytest.mark.parametrize(
    ("form", "options", "make"),
    [
        ("beats", BEATS, noise_only),
        ("rises", RISES, noise_only),
        ("falls", FALLS, noise_only),
        ("gain_grows", GROWS, noise_only),
        ("later", LATER | {"lift": 0.2}, lambda draw: noise_only(draw)),
        ("equal", EQUAL | {"margin": 0.1}, lambda draw: noise_only(draw, curve=flat(n1=0.6, n2=0.6, n4=0.7))),
        ("above", {"n": 1, "at": "all", "bound": 0.6}, noise_only),
        ("below", {"n": 1, "at": "deepest", "bound": 0.2, "measure": "lift"}, noise_only),
        ("helps", HELPS, lambda draw: halves(0.6, 0.05, draw, seeds=4)),
    ],
)
def test_noise_is_rarely_taken_for_a_claim(form: str, options: dict[str, Any], make: Callable[[int], Study]) -> None:
    alarms = sum(said(claims.FORMS[form](make(draw), **options)) == "reproduced" for draw in range(DRAWS))
    assert alarms / DRAWS <= MOST
