"""The template of a report: what stands in it, and a policy that lets a browser load and run nothing else."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmark import rows
from benchmark.report import interactive, verdicts
from benchmark.rows.text import Table

ASSETS = Path(__file__).parent / "assets"
COLUMNS = Table(
    ("column", "type", "meaning"),
    [(Markup("<code>{}</code>").format(name), column.kind, column.about) for name, column in rows.COLUMNS.items()],
    "Columns of every rows file, in order",
)


def slug(text: str) -> str:
    """Text as part of an id: ASCII letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def render(
    sections: Sequence[dict[str, Any]], judgements: Sequence[verdicts.Claim], library: str | None, **facts: Any
) -> str:
    """The whole page.

    Every value is escaped, and a policy in the head lets nothing be loaded and no script run but those written here,
    whatever is in the rows.

    Args:
        sections: As of `suite.section`.
        judgements: Claims as plain data.
        library: The script that draws the interactive curves; None without them.
        facts: What else the head of the page says: `counts` of verdicts and `extent` of the rows.
    """
    scripts = [*([library] if library else []), (ASSETS / "report.js").read_text(encoding="utf-8")]
    hashes = " ".join(f"'sha256-{b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    claims = [verdicts.view(claim) for claim in judgements]
    text: str = _template().render(
        title="Do language models gain by sleeping?",
        policy=Markup(f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}"),
        style=_raw_markup((ASSETS / "report.css").read_text(encoding="utf-8")),
        scripts=[_raw_markup(script) for script in scripts],
        sections=sections,
        claims=claims,
        judged=[claim for claim in claims if claim["study"]],
        open=[claim for claim in claims if not claim["study"]],
        controls={control["letter"]: control["name"] for claim in judgements for control in claim["controls"]},
        verdicts=verdicts.VERDICTS,
        signs=verdicts.STATUSES,
        columns=COLUMNS,
        library=library,
        install=interactive.INSTALL,
        **facts,
    )
    return text.lstrip()


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    environment.filters |= {"slug": slug, "data": _data, **verdicts.FILTERS}
    return environment.get_template("page.html")


def _data(value: float | str | None) -> Markup:
    """What a place of a table is sorted by."""
    return Markup("") if value is None else Markup(' data-value="{}"').format(value)


def _raw_markup(text: str) -> Markup:
    """Script or style of this package, or of a library, which must not be escaped.

    Raises:
        ValueError: the text would end the element that it stands in.
    """
    if re.search("</(script|style)", text, re.IGNORECASE):
        raise ValueError("a script or style must not hold the end of its own element")
    return Markup(text)
