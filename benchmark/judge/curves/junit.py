"""Verdicts as JUnit XML, the form in which CI services show tests.

A condition is a test case: a failure where it fails the check, skipped where seeds cannot tell or nothing is there to
compare with. The elements are those of the Jenkins schema that the services read.
"""

from collections.abc import Callable, Mapping, Sequence
from xml.etree import ElementTree

from benchmark.judge.curves import Comparison

SKIPPED_VERDICTS = ("inconclusive", "missing", "new")
"""Verdicts of a condition that was not really tested, unless they fail the check."""

_CONTROL_CHARACTERS = {code: None for code in range(32) if chr(code) not in "\t\n\r"}
"""Characters that XML cannot hold."""


def document(
    comparisons: Sequence[Comparison],
    *,
    fails: Callable[[Comparison], bool],
    name: str,
    properties: Mapping[str, object],
) -> bytes:
    """The verdicts as a JUnit file.

    Args:
        comparisons: A test case each.
        fails: Which of them fail the check.
        name: Of the test suite.
        properties: What the verdicts depend on, such as the tolerance.
    """
    failing = [comparison for comparison in comparisons if fails(comparison)]
    skips = [c for c in comparisons if c.verdict in SKIPPED_VERDICTS and c not in failing]
    numbers = {"tests": len(comparisons), "failures": len(failing), "errors": 0, "skipped": len(skips)}
    attributes = {key: str(value) for key, value in numbers.items()}
    root = ElementTree.Element("testsuites", attributes)
    suite = ElementTree.SubElement(root, "testsuite", {"name": _text(name), **attributes})
    facts = ElementTree.SubElement(suite, "properties")
    for key, value in properties.items():
        ElementTree.SubElement(facts, "property", {"name": key, "value": _text(value)})
    for comparison in comparisons:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": _text(comparison.group), "name": _text(comparison.name), "time": "0"}
        )
        message = {"message": _text(f"{comparison.verdict}: {comparison.reading}")}
        if comparison in failing:
            failure = ElementTree.SubElement(case, "failure", message | {"type": comparison.verdict})
            failure.text = "\n".join(
                f"{d.measure.name}: {d.here:.4f} against {d.there:.4f}, difference {d.difference}"
                for d in comparison.differences
            )
        elif comparison in skips:
            ElementTree.SubElement(case, "skipped", message)
        else:
            ElementTree.SubElement(case, "system-out").text = message["message"]
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _text(value: object) -> str:
    return str(value).translate(_CONTROL_CHARACTERS)
