"""What the pages promise is there: commands, suites, files, columns, and no numbers but those of the rows."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import baselines
import tasks
from baselines.hybrid import MIXERS
from benchmark import figures, rows
from benchmark.cells.suites import SUITES
from benchmark.cli import app
from benchmark.figures import style
from benchmark.judge import claims, paper, summaries
from benchmark.measure import cost_counts
from benchmark.rows import outcomes

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "results" / "reference"
FILES = (
    "README.md",
    "CONTRIBUTING.md",
    "benchmark/CLUSTERS.md",
    *(f"{room}/README.md" for room in ("tasks", "baselines", "benchmark", "results")),
)
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
README, RESULTS = PAGES["README.md"], PAGES["results/README.md"]
EVERYTHING = "\n".join(PAGES.values())


def test_the_column_dictionary_is_that_of_the_schema() -> None:
    assert rows.dictionary() in RESULTS, f"paste into results/README.md:\n{rows.dictionary()}"


@pytest.mark.parametrize("name", [*SUITES, *tasks.TASKS, *baselines.MODELS])
def test_a_page_has_a_line_for_every_suite_task_and_model(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", EVERYTHING, re.MULTILINE)


def test_the_front_page_is_read_in_a_few_minutes() -> None:
    assert len(README.split()) <= 2000


COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_pages_show_every_command(name: str) -> None:
    assert f"bench {name}" in EVERYTHING


def promised(page: str) -> list[str]:
    """The commands that a page shows: in blocks, and in sentences where no word stands for something else."""
    blocks = re.findall(r"```(?:console|yaml|sh)\n(.*?)```", page, re.DOTALL)
    lines = [
        line.partition("  #")[0].strip().removeprefix("- run: ") for block in blocks for line in block.splitlines()
    ]
    sentences = [" ".join(text.split()) for text in re.findall(r"`(bench [^`]+)`", page)]
    lines += [text for text in sentences if " " in text[6:] and not re.search(r"\b[A-Z]{3,}\b|\.\.\.|…", text)]
    return [line for line in lines if line.startswith(("bench ", "make ", "python -m "))]


@pytest.mark.parametrize("page", FILES)
def test_commands_of_pages_can_be_given(page: str) -> None:
    """Each is parsed as the command line does: the command is there, and so is every option that it names."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in promised(PAGES[page]):
        program, *words = shlex.split(line)
        if program == "make":
            targets = [word for word in words if "=" not in word]
            assert all(re.search(rf"^(\S+ )*{target}( \S+)*:", makefile, re.MULTILINE) for target in targets), line
        elif program == "bench":
            assert words[0] in COMMANDS, line
            COMMANDS[words[0]].make_context(words[0], list(words[1:]))
        else:
            done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stderr}"


@pytest.mark.parametrize("page", FILES)
def test_python_of_pages_is_python(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads committed rows or draws problems is run too; what trains is run by `test_plugins` and `test_api`."""
    monkeypatch.chdir(ROOT)
    for block in re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL):
        code = compile(block, page, "exec")
        if "read_parquet" in block or "Problems(" in block:
            exec(code, {})


@pytest.mark.parametrize("page", FILES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    base = (ROOT / page).parent
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PAGES[page]) if "://" not in link]
    missing = [link for link in links if not (base / link.partition("#")[0]).exists()]
    assert not missing


def test_names_of_code_lead_somewhere() -> None:
    """In pages and docstrings: a module that has moved, or a function that is gone, would send readers nowhere."""
    code = [path for package in ("benchmark", "tasks", "baselines") for path in (ROOT / package).rglob("*.py")]
    named: dict[str, str] = {}
    for path in [*code, *(ROOT / page for page in (*FILES, "results/ERRATA.md"))]:
        text = path.read_text(encoding="utf-8")
        named |= {name: str(path) for name in re.findall(r"`((?:benchmark|tasks|baselines)(?:\.\w+)+)[`(]", text)}
    lost = {name: path for name, path in named.items() if not _is_there(name)}
    assert not lost


def _is_there(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    module, parts = name, list[str]()
    while importlib.util.find_spec(module.partition(".")[0]):
        try:
            found = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            parts.insert(0, last)
    for part in parts:
        if not hasattr(found, part):
            return part in getattr(found, "__annotations__", {})
        found = getattr(found, part)
    return True


@pytest.mark.parametrize("folder", sorted(REFERENCE.glob("*/")), ids=lambda p: p.name)
def test_reference_results_are_complete_and_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style, "encode", lambda figure, kind, **texts: b"")  # the names are what counts
    monkeypatch.setattr(style, "settle", lambda figure: None)
    frame = rows.read_table(folder)
    command = json.loads((folder / "environment.json").read_text(encoding="utf-8"))["command"]
    assert not [word for word in command.split() if word.startswith("/")], "a place that readers do not have"
    assert f"`{folder.name}`" in RESULTS or f"`reference/{folder.name}`" in RESULTS
    commits = set(frame["commit"])
    assert None not in commits
    assert not any(commit.endswith("-dirty") for commit in commits), "rows come from committed code"
    made = {f"{drawing.name}.{kind}" for drawing in figures.drawings(frame) for kind in style.KINDS}
    assert made == {path.name for path in (folder / "figures").iterdir()}
    assert (folder / "summary.md").read_text(encoding="utf-8") == summaries.markdown(summaries.summary(frame)) + "\n"


def test_the_verdicts_are_those_of_the_rows() -> None:
    """And each claim has rows to stand on, whatever they say of it."""
    frame = rows.read_tables([REFERENCE])
    judgements = claims.judge(frame, outcomes.read_all([REFERENCE]))
    page = (ROOT / "results" / "verdicts.md").read_text(encoding="utf-8")
    assert page.endswith(f"\n\n{claims.markdown(judgements)}\n")

    scales = {claim.id: claim.where.get("scale", "cpu") for claim in paper.claims()}
    trained = [one for one in judgements if one.suite in set(frame["suite"]) and scales[one.id] == "cpu"]
    assert len(trained) > 15
    lacking = [one for one in trained if not (one.study and one.estimate is not None and one.seeds > 1)]
    assert all("gets everything right" in one.reading for one in lacking)  # rows are there, but none of computation
    assert len(lacking) < 2
    assert {control.status for one in judgements for control in one.controls} >= {"survives", "fails", "not needed"}


@pytest.mark.parametrize("name", ["hybrid", "transformer", "gist", "cot"])
def test_a_page_has_the_counted_cost_of_models(name: str) -> None:
    (line,) = cost_counts.markdown({name: cost_counts.models()[name]}, constraints=True).splitlines()[2:]
    counted = line.removeprefix(f"| `{name}` ")
    assert re.search(rf"^\| `{name}` \|.*{re.escape(counted)}$", EVERYTHING, re.MULTILINE), line


@pytest.mark.parametrize("word", ["linear", "titans"])
def test_a_page_has_the_counted_cost_of_update_rules(word: str) -> None:
    (line,) = cost_counts.markdown({word: cost_counts.rules()[word]}).splitlines()[2:]
    counted = line.removeprefix(f"| `{word}` ")
    assert re.search(rf"^\| `{word}` \|.*{re.escape(counted)}$", EVERYTHING, re.MULTILINE), line


@pytest.mark.parametrize("word", MIXERS)
def test_a_page_has_a_line_for_every_update_rule(word: str) -> None:
    assert re.search(rf"^\| `{word}` \|", EVERYTHING, re.MULTILINE)
