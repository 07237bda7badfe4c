"""The gallery: one worked example per task and difficulty, as a page."""

from collections.abc import Iterable

import tasks


def page(names: Iterable[str] = tasks.TASKS) -> str:
    """The gallery of the tasks `names` in Markdown: contents, then example 0 of training at every difficulty.

    Once for each of the variations that a task names.
    """
    head = ["# Gallery", "", "One worked example per task and difficulty. Written by `bench gallery`; do not edit.", ""]
    body: list[str] = []
    for name in names:
        kind = tasks.load(name)
        about = (kind.__doc__ or "").partition("\n")[0]
        shown: dict[str, str] = {}
        for settings in kind.variations:
            task = kind(**settings)
            of = "".join(f", {setting} {value}" for setting, value in settings.items())
            shown |= {f"{name}{of}, {task.axis} {level}": task.at(level).example() for level in task.landmarks}
        head += [f"- {_link(name)}: {about}", *(f"  - {_link(title)}" for title in shown)]
        body += ["", f"## {name}", "", about]
        for title, drawn in shown.items():
            fence = "`" * 3
            while fence in drawn:
                fence += "`"
            body += ["", f"### {title}", "", f"{fence}text", drawn, fence]
    return "\n".join([*head, *body, ""])


def _link(title: str) -> str:
    """A link to a heading of this page: GitHub makes the anchor of it by dropping commas and joining words."""
    return f"[{title}](#{title.replace(',', '').replace(' ', '-')})"
