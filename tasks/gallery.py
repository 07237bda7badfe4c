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
        examples: dict[str, str] = {}
        for settings in kind.variations:
            task = kind(**settings)
            of = "".join(f", {setting} {value}" for setting, value in settings.items())
            examples |= {f"{name}{of}, {task.axis} {level}": task.at(level).example() for level in task.landmarks}
        head += [f"- {_link(name)}: {about}", *(f"  - {_link(title)}" for title in examples)]
        body += ["", f"## {name}", "", about]
        for title, text in examples.items():
            fence = "`" * 3
            while fence in text:
                fence += "`"
            body += ["", f"### {title}", "", f"{fence}text", text, fence]
    return "\n".join([*head, *body, ""])


def _link(title: str) -> str:
    """A link to a heading of this page: GitHub makes the anchor of it by dropping commas and joining words."""
    return f"[{title}](#{title.replace(',', '').replace(' ', '-')})"
