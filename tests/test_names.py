"""Names are nouns of the field: nothing is called by a bare participle, which says what was done and not what it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.environment import ROOT

ROOMS = ("benchmark", "tasks", "baselines")

IRREGULAR = frozenset(
    "asked begun born bought bound broken brought built caught chosen dealt done drawn driven eaten fallen felt found "
    "given gone got grown held hidden kept known laid led left lent lost made meant met paid said seen sent shown "
    "sold sought spent stood struck taken taught thought thrown told torn understood woken won worn written".split()
)
NOUNS = frozenset("bed embed exceed feed led need red seed shed speed weed".split())
"""Words that end as participles do."""

SEEN_BY_USERS: dict[str, str] = {}
"""Names that stay, because users write or read them: where they stand."""


def is_participle(name: str) -> bool:
    """Whether a name is one word, and that word a participle."""
    word = name.strip("_")
    return word in IRREGULAR or (word.endswith("ed") and len(word) > 3 and word.isalpha() and word not in NOUNS)


def is_truth(value: ast.expr | None) -> bool:
    """Whether an expression plainly is true or false, of which a participle is a fair name: `finished = step == last`."""
    match value:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()) | ast.Constant(value=bool()):
            return True
        case ast.BoolOp(values=values):
            return all(map(is_truth, values))
        case ast.Call(func=ast.Name(id=name)):
            return name in ("any", "all", "bool", "isinstance", "hasattr", "callable", "issubclass")
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in ("exists", "any", "all", "is_file", "is_dir", "startswith", "endswith", "is_set")
    return False


def is_bool(annotation: ast.expr | None) -> bool:
    """Whether something is annotated as true or false, or as a tensor or array of such."""
    return annotation is not None and "bool" in ast.unparse(annotation)


def participles(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that is bound in a module and is a bare participle, with its line."""
    truths = {
        target
        for node in ast.walk(tree)
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr))
        and (is_truth(node.value) or (isinstance(node, ast.AnnAssign) and is_bool(node.annotation)))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    for node in ast.walk(tree):
        name = ""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                name = "" if is_bool(node.returns) else node.name
            case ast.ClassDef():
                name = node.name.lower()
            case ast.arg():
                name = "" if is_bool(node.annotation) else node.arg
            case ast.Name(ctx=ast.Store()):
                name = "" if node in truths else node.id
            case ast.Attribute(ctx=ast.Store()):
                name = "" if node in truths else node.attr
        if name and is_participle(name) and name not in SEEN_BY_USERS:
            yield node.lineno, name


@pytest.mark.parametrize("room", ROOMS)
def test_names_are_nouns(room: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in sorted((Path(ROOT) / room).rglob("*.py"))
        for line, name in participles(ast.parse(path.read_text()))
    ]
    assert not found, "\n".join(found)


def test_a_participle_is_noticed() -> None:
    code = "found = 1\nseed = 2\ndone = a == b\nrows_kept = 3\ndef drawn(given): ...\ndef solved(x) -> bool: ..."
    assert [name for _, name in participles(ast.parse(code))] == ["found", "drawn", "given"]
