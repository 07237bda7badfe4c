"""A task that is not in the registry, given as "package.module:Class": the class of a frozen dataclass of settings.

Modules are looked for where installed ones are, and last in the user's folder, as `baselines.addresses` looks for
models; neither package imports the other.
"""

import importlib
import inspect
import os
import sys
import traceback
import types
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import Any

from tasks.base import Task

FOLDER = "SLEEPBENCH_FOLDER"
"""Environment variable: the user's folder, for a worker that runs elsewhere; unset, the current one."""


TRACE_LIMIT = 4000
"""Characters of what somebody's code raised that are shown: its end."""

FOREIGN = set[str]()
"""The modules that were imported because somebody named them."""


def task_at(path: str) -> type[Task]:
    """The class that `path` names, under the name `path`, so that a cell described in JSON finds it again.

    Raises:
        ValueError: no such module or class, the module fails to import, or the class is no task.
    """
    module, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in f"{module}.{attribute}".split(".")):
        raise ValueError(f"task {path!r}: a path is package.module:Class, with dots and no folders")
    folder = os.environ.get(FOLDER) or str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    kind: Any = load_module(module, f"task {path!r}")
    for part in attribute.split("."):
        if not hasattr(kind, part):
            raise ValueError(f"task {path!r}: module {module} has no {attribute!r}")
        kind = getattr(kind, part)
    return _task(kind, path)


@cache
def _task(kind: Any, path: str) -> type[Task]:
    """The task class of what a path names, always the same one; of one that a notebook defines anew a new one.

    Raises:
        ValueError: it is no task, or lacks something.
    """
    kind = valid_task(kind, f"task {path!r}", path.partition(":")[2])
    attributes = {"name": path, "__doc__": kind.__doc__, "__module__": kind.__module__}
    return types.new_class(kind.__name__, (kind,), exec_body=lambda namespace: namespace.update(attributes))


def valid_task(kind: Any, what: str, attribute: str) -> type[Task]:
    """The class itself, if it is a task that can be made with nothing but defaults.

    Raises:
        ValueError: it lacks something; the message begins with `what` and says what.
    """
    if not (isinstance(kind, type) and issubclass(kind, Task)):
        raise ValueError(f"{what}: {attribute} is not a subclass of tasks.base.Task")
    if missing := [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]:
        raise ValueError(f"{what}: every setting needs a default; {', '.join(missing)} has none")
    if lacking := [name for name in ("version", "axis") if not hasattr(kind, name)]:
        raise ValueError(f"{what}: {attribute} needs a class attribute {' and '.join(lacking)}")
    if inspect.isabstract(kind):
        raise ValueError(f"{what}: {attribute} needs {', '.join(sorted(kind.__abstractmethods__))}")
    return kind


def load_module(module: str, what: str) -> Any:
    """The module of that name.

    Raises:
        ValueError: it is not there, or importing it raised: then the message ends with the place in the user's file.
    """
    if module.partition(".")[0] != "tasks":
        FOREIGN.add(module)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        hint = "; a module is written without .py" if module.endswith(".py") else ""
        raise ValueError(f"{what}: cannot import {module}: {error}{hint}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # one that means to end the process too
        frames = traceback.extract_tb(error.__traceback__)
        lines = traceback.format_list([f for f in frames if "importlib" not in f.filename and f.filename != __file__])
        lines += traceback.format_exception_only(error)
        raise ValueError(f"{what}: importing {module} raised\n{''.join(lines).rstrip()[-TRACE_LIMIT:]}") from error
