"""What the pages promise is there: commands, suites, files, columns, and no numbers but those of the rows."""

import re
from pathlib import Path

import pytest
import typer

import baselines
import tasks
from baselines.hybrid import MIXERS
from benchmark import rows
from benchmark.cells.suites import SUITES
from benchmark.cli import app
from benchmark.judge import claims, summaries
from benchmark.measure import cost_counts
from benchmark.rows import outcomes

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "results" / "reference"
RESULTS = (ROOT / "results" / "README.md").read_text(encoding="utf-8")


def test_the_column_dictionary_is_that_of_the_schema() -> None:
    assert rows.dictionary() in RESULTS, f"paste into results/README.md:\n{rows.dictionary()}"


@pytest.mark.parametrize("name", [*SUITES, *tasks.TASKS, *baselines.MODELS])
def test_readme_has_a_line_for_every_suite_task_and_model(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", README, re.MULTILINE)


def test_readme_shows_every_command() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in commands:
        assert f"bench {name}" in README, name


@pytest.mark.parametrize("page", [README, RESULTS], ids=["README.md", "results/README.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    base = ROOT if page is README else ROOT / "results"
    links = [link for link in re.findall(r"\]\(([^)]+)\)", page) if "://" not in link]
    missing = [link for link in links if not (base / link.partition("#")[0]).exists()]
    assert not missing


@pytest.mark.parametrize("folder", sorted(REFERENCE.glob("*/")), ids=lambda p: p.name)
def test_reference_results_are_complete_and_read(folder: Path) -> None:
    frame = rows.read_table(folder)
    assert (folder / "environment.json").exists()
    assert f"`{folder.name}`" in RESULTS or f"`reference/{folder.name}`" in RESULTS
    commits = set(frame["commit"])
    assert None not in commits
    assert not any(commit.endswith("-dirty") for commit in commits), "rows come from committed code"
    assert list((folder / "figures").glob("*.png"))
    assert list((folder / "figures").glob("*.svg"))
    assert (folder / "summary.md").read_text(encoding="utf-8") == summaries.markdown(summaries.summary(frame)) + "\n"


def test_the_verdicts_are_those_of_the_rows() -> None:
    judged = claims.judge(rows.read_tables([REFERENCE]), outcomes.read_all([REFERENCE]))
    assert (ROOT / "results" / "verdicts.md").read_text(encoding="utf-8").endswith(f"\n\n{claims.markdown(judged)}\n")


@pytest.mark.parametrize("name", ["hybrid", "transformer", "ssm"])
def test_readme_has_the_counted_cost_of_models(name: str) -> None:
    (line,) = cost_counts.markdown({name: cost_counts.models()[name]}).splitlines()[2:]
    counted = line.removeprefix(f"| `{name}` ")
    assert re.search(rf"^\| `{name}` \|.*{re.escape(counted)}$", README, re.MULTILINE), line


@pytest.mark.parametrize("word", ["linear", "titans"])
def test_readme_has_the_counted_cost_of_update_rules(word: str) -> None:
    (line,) = cost_counts.markdown({word: cost_counts.rules()[word]}).splitlines()[2:]
    counted = line.removeprefix(f"| `{word}` ")
    assert re.search(rf"^\| `{word}` \|.*{re.escape(counted)}$", README, re.MULTILINE), line


@pytest.mark.parametrize("word", MIXERS)
def test_readme_has_a_line_for_every_update_rule(word: str) -> None:
    assert re.search(rf"^\| `{word}` \|", README, re.MULTILINE)
