"""The page of a report around its sections: head, contents, summary, how to read it, columns of the rows."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from benchmark import rows
from benchmark.report import interactive
from benchmark.report.markup import Html, element, join, raw, table

ASSETS = Path(__file__).parent / "assets"

TITLE = "Do language models gain by sleeping?"


def page(contents: Sequence[tuple[str, str]], body: Sequence[Html], library: str | None) -> str:
    """The whole page: `contents` are (id, title) of what is in `body`; `library` draws the interactive curves.

    A policy in the head lets nothing be loaded and no script run but those written here, whatever is in the rows.
    """
    scripts = [*([library] if library else []), (ASSETS / "report.js").read_text(encoding="utf-8")]
    hashes = " ".join(f"'sha256-{b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{TITLE} A report of sleepbench"),
        raw("style", (ASSETS / "report.css").read_text(encoding="utf-8")),
    )
    links = [element("li", element("a", title, href=f"#{id_}")) for id_, title in contents]
    whole = element(
        "body",
        element("a", "Skip to the verdicts", href="#verdicts", class_="skip"),
        element("nav", element("p", "Contents"), element("ol", *links), aria_label="Contents"),
        element("main", *body),
        *(raw("script", script) for script in scripts),
    )
    return f"<!DOCTYPE html>\n{element('html', head, whole, lang='en')}\n"


def how_to_read(interactive_curves: bool) -> Html:
    """What the numbers mean, and what the curves need."""
    said = [
        element(
            "p",
            "A cell is one training run. The model reads a sequence in windows and runs N times over each before it is "
            "evicted; N = 1 is the plain hybrid. Scores are exact match on held-out examples, as a share of 1, at the "
            "end of training: the mean over seeds, with the lowest and the highest. Chance is what a guess gets "
            "without computing on what was read. ",
            element("b", "At smaller and larger budget"),
            " are the scores when a cell has spent the training FLOPs of the N, or variant, that spent least, and of "
            "the one that spent most; cells that end before that have none. ",
            element("b", "Reached"),
            " counts the seeds that ever came four fifths of the way from chance to 1, ",
            element("b", "tokens needed"),
            " is what that took them on average.",
        ),
        element(
            "p",
            "A verdict is about the claim in the form it takes at the scale of these rows. Reproduced: the effect has "
            "the direction claimed, is clear of zero after correction for the number of claims, and is as large as the "
            "smallest that would matter. Not reproduced: an effect worth having is excluded. Not enough evidence is "
            "neither, and says nothing against the claim. Claims that are true by construction of the model are "
            "counted apart.",
        ),
    ]
    if not interactive_curves:
        install = element("code", interactive.INSTALL)
        said.append(
            element(
                "p",
                "This page was written without interactive learning curves; they come with ",
                install,
                ".",
                class_="note",
            )
        )
    return join(*said)


def dictionary() -> Html:
    """The columns of every rows file."""
    lines = [[element("code", name), column.kind, column.about] for name, column in rows.COLUMNS.items()]
    return table(
        ("column", "type", "meaning"), lines, caption="Columns of every rows file, in order", id_="columns-table"
    )
