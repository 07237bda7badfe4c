"""Tasks: what a model is asked, made of addressed examples, knowing nothing of any model.

`TASKS` is the whole registry: one line per task. Importing this package imports none of them.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.base import Task

TASKS: dict[str, str] = {
    "rule110": "tasks.rule110:Rule110",
    "recall": "tasks.recall:Recall",
    "retention": "tasks.retention:Retention",
    "interference": "tasks.interference:Interference",
    "colors": "tasks.colors:Colors",
    "depo": "tasks.depo:Depo",
    "depo_foretold": "tasks.depo.foretold:ForetoldDepo",
    "gsm_infinite": "tasks.gsm_infinite.task:GSMInfinite",
    "gsm_compact": "tasks.gsm_infinite.compact:GSMCompact",
}

ENTRY_POINTS = "sleepbench.tasks"


def available() -> dict[str, str]:
    """Every task that can be loaded, name -> "module:Class": `TASKS`, then installed plug-ins.

    A plug-in declares its tasks in the entry-point group `sleepbench.tasks`.

    Raises:
        ValueError: two entries claim one name; which of them ran would depend on the order of installation.
    """
    from importlib.metadata import entry_points  # slow to import, and needed only here

    entries = dict(TASKS)
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in entries:
            raise ValueError(f"two tasks are named {entry.name!r}: {entries[entry.name]} and {entry.value}")
        entries[entry.name] = entry.value
    return entries


def load(name: str, *, imports: bool = True) -> "type[Task]":
    """The class of a task, imported only now, so one broken task cannot break the others.

    Args:
        name: A name of `available()`, or "package.module:Class" (`tasks.addresses`).
        imports: Whether the module of "package.module:Class" is imported, which runs its code; without, it must have
            been before. For names that come from files.

    Raises:
        ValueError: unknown name (the message lists the valid ones and the nearest), a module that cannot be imported,
            not a `Task`, or one that calls itself something else.
    """
    from tasks.addresses import load_module, task_at, valid_task
    from tasks.base import nearest

    if ":" in name:
        check_imported(name, imports)
        return task_at(name)
    tasks = available()
    if name not in tasks:
        raise ValueError(nearest(name, (*tasks, "package.module:Class"), kind="task"))
    module, _, attribute = tasks[name].partition(":")
    task = valid_task(getattr(load_module(module, f"task {name!r}"), attribute, None), f"task {name!r}", tasks[name])
    own = getattr(task, "name", None)
    if tasks.get(str(own)) != tasks[name]:  # nobody's name, or that of another task, whose rows these would pass for
        raise ValueError(f"task {name!r}: {tasks[name]} calls itself {own!r}; its name must be {name!r}")
    return task


def check_imported(address: str, imports: bool) -> None:
    """Refuse "package.module:attribute" that only an import would find, unless `imports` says that one is wanted.

    Raises:
        ValueError: the module was not imported before.
    """
    module = address.partition(":")[0]
    if not imports and module not in sys.modules:
        raise ValueError(f"{address!r} is code of the module {module}, imported only if you trust it: --trust")
