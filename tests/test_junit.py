"""Verdicts as JUnit XML: what a CI service reads is well-formed and adds up."""

from functools import partial
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmark.judge.curves import LOSS, VERDICTS, Comparison, Difference, listing
from benchmark.judge.curves.junit import document
from benchmark.judge.statistics import Interval


def comparison(verdict: Any, name: str = "a", reading: str = "why") -> Comparison:
    difference = Difference(
        measure=LOSS,
        here=1.0,
        there=0.5,
        difference=Interval(estimate=0.5, low=0.25, high=0.75),
        worse=0.001,
        improved=1.0,
    )
    return Comparison(name=name, group="task.model", verdict=verdict, reading=reading, differences=(difference,))


def parsed(*found: Comparison, **options: bool) -> ElementTree.Element:
    fails = partial(listing.fails, **options)
    return ElementTree.fromstring(document(found, fails=fails, name="check", properties={"alpha": 0.01}))


@pytest.mark.parametrize("options", [{}, {"strict": True}, {"either_way": True}, {"allow_missing": True}])
def test_counts_are_those_of_the_cases(options: dict[str, bool]) -> None:
    found = [comparison(verdict, name=verdict) for verdict in VERDICTS]
    root = parsed(*found, **options)
    failing = {c.name for c in found if listing.fails(c, **options)}
    for element in (root, root[0]):
        assert element.attrib | {"name": ""} == {
            "name": "",
            "tests": str(len(VERDICTS)),
            "failures": str(len(failing)),
            "errors": "0",
            "skipped": str(len({"inconclusive", "missing", "new"} - failing)),
        }
    cases = root.findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == list(VERDICTS), "in the order of the conditions"
    assert {case.get("name") for case in cases if case.find("failure") is not None} == failing
    assert all(len(case) == 1 for case in cases)


def test_a_failure_says_why_and_by_how_much() -> None:
    (failure,) = parsed(comparison("regressed")).iter("failure")
    assert failure.attrib == {"message": "regressed: why", "type": "regressed"}
    assert failure.text == "loss: 1.0000 against 0.5000, difference 0.500 [0.250, 0.750]"


def test_any_text_is_well_formed() -> None:
    awkward = 'a <b> & "c" \x00\x1b[31m ×'
    (case,) = parsed(comparison("regressed", name=awkward, reading=awkward)).iter("testcase")
    assert case.get("name") == 'a <b> & "c" [31m ×'


def test_the_settings_of_the_check_are_properties() -> None:
    (told,) = parsed(comparison("pass")).iter("property")
    assert told.attrib == {"name": "alpha", "value": "0.01"}


def test_the_same_verdicts_give_the_same_bytes() -> None:
    one, other = (document([comparison("pass")], fails=listing.fails, name="n", properties={}) for _ in range(2))
    assert one == other and one.startswith(b"<?xml")
