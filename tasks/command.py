"""`python -m tasks.<name>`: one example of a task on the terminal, with an option per field of its config."""

import argparse
import inspect
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import NoReturn

from tasks.base import SPLITS, Task
from tasks.values import kind_words, kinds_of, parse


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the usage text: the message says what is allowed."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(task: type[Task], arguments: Sequence[str] | None = None) -> None:
    """Print one example of `task`; bad values end the process with exit code 2 and one line on stderr."""
    parser = _Parser(prog=f"python -m tasks.{task.name}", allow_abbrev=False)
    parser.description = inspect.getdoc(task)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    kinds = kinds_of(task)
    for field in fields(task):
        assert field.default is not MISSING, "a task draws an example of itself without being told anything"
        option = f"--{field.name.replace('_', '-')}"
        kind = f"{kind_words(kinds[field.name])}; " if kinds[field.name] not in (int, str) else ""
        parser.add_argument(option, default=field.default, help=f"{kind}default: %(default)s")
    parser.add_argument("--index", type=int, default=0, help="which example, default: 0")
    parser.add_argument("--split", default="train", help=f"{', '.join(SPLITS)}; default: train")
    parser.add_argument("--seed", type=int, default=0, help="data seed, default: 0")
    options = vars(parser.parse_args(arguments))
    settings = {field.name: options.pop(field.name) for field in fields(task)}
    try:
        config = {
            name: parse(name, value, kinds[name]) if isinstance(value, str) else value
            for name, value in settings.items()
        }
        text = task(**config).example(**options)
    except (ValueError, RuntimeError) as error:
        parser.error(str(error))
    sys.stdout.write(text + "\n")
