"""Names say what a thing is: nothing is called by a participle that only says what was done with it."""

import ast
from collections.abc import Iterator

import pytest

from benchmark.environment import ROOT

PARTICIPLES = (
    *("found", "told", "said", "kept", "given", "held", "begun", "ended", "gone", "heard", "made", "moved", "noted"),
    *("reached", "spent", "stepped", "wanted", "written", "saved", "opened", "collected", "counted", "taken", "done"),
    *("shown", "met", "decided", "listed", "owned"),
)
TERMS = {"tasks": {"given"}, "baselines": {"kept", "held"}}
"""What the field itself calls so: the given quantity of a reverse problem; keys and values kept, what decoders held."""


def participles(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every variable, argument, attribute and function of a module that has such a name, with its line."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.arg(arg=name)
                | ast.Name(id=name, ctx=ast.Store())
                | ast.Attribute(attr=name, ctx=ast.Store())
            ) if name.strip("_") in PARTICIPLES:
                yield node.lineno, name


@pytest.mark.parametrize("room", ["benchmark", "tasks", "baselines"])
def test_names_say_what_a_thing_is(room: str) -> None:
    every = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for line, name in participles(ast.parse(path.read_text("utf-8")))
        if name not in TERMS.get(room, ())
    ]
    assert not every, "\n".join(every)


def test_a_participle_is_noticed() -> None:
    code = "found = 1\nkept_rows = 2\ndef draw(given): ...\nclass A:\n  def _told(self):\n    self.held = 1"
    assert sorted(participles(ast.parse(code))) == [(1, "found"), (3, "given"), (5, "_told"), (6, "held")]
