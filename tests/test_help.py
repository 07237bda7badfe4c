"""What the command says of itself: version, help with examples, a description of everything in the list, completion."""

import json
import os
import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest
from harness import ROOT, bench
from typer.main import get_command

from benchmark import cli
from benchmark.cli.examples import EXAMPLES


def test_the_version() -> None:
    done = bench("--version")
    assert (done.code, done.out) == (0, f"sleepbench {version('sleepbench')}\n")


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)], ids=" ".join)
def test_help_by_its_short_name_ends_with_an_example(command: list[str]) -> None:
    short, long = bench(*command, "-h"), bench(*command, "--help")
    assert (short.code, short.out) == (0, long.out)
    if command:
        words = short.out.split()
        assert EXAMPLES[command[0]].split() == words[words.index("Example:") + 1 :]


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_an_example_has_options_that_there_are(command: str) -> None:
    program, name, *words = shlex.split(EXAMPLES[command])
    assert (program, name) == ("bench", command)
    params = get_command(cli.app).commands[command].params  # type: ignore[attr-defined]
    known = {option for param in params for option in (*param.opts, *param.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_options_that_repeat_say_so_and_values_have_names() -> None:
    for command in ("run", "show"):
        words = " ".join(bench(command, "-h").out.replace("│", " ").split())
        assert words.count("may be given several times") == 2  # --set and --axis
        assert "0-4" in words and "NAME=VALUES" in words and "SCALE" in words


def test_the_list_describes_tasks_and_models() -> None:
    told = json.loads(bench("list", "--json").out)
    shown = bench("list").out
    for kind in ("tasks", "models"):
        assert told["about"][kind].keys() == told[kind].keys()
        assert all(len(line) > 20 for line in told["about"][kind].values())
    assert told["about"]["tasks"]["recall"] in shown and told["about"]["models"]["ssm"] in shown


def test_what_cannot_be_loaded_is_described_by_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("tasks").TASKS, "gone", "no_such_module:Task")
    told = json.loads(bench("list", "--json").out)
    assert told["about"]["tasks"]["gone"].startswith("cannot be loaded: task 'gone': cannot import no_such_module")


def test_a_shell_completes_commands() -> None:
    asked = {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench ch", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['bench']; from benchmark.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | asked,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == ["check", "check-model"]
