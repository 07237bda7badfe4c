"""SVG as it stands in a page: smaller, and as the address of an image, so that no id meets that of another."""

import re

from markupsafe import Markup

_NOISE = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_PLACES = re.compile(r' (?:d|x|y)="[^"]*"|translate\([^)]*\)')
_PATHS = re.compile(r' d="[^"]*"')


def minify(svg: str) -> str:
    """The same picture without what a browser does not need.

    Comments, metadata, ids that nothing refers to, long ids, groups without attributes, and digits of places below a
    hundredth of a point; those of scales stay.
    """
    svg = _shorten_ids(_NOISE.sub("", svg))
    svg = _PLACES.sub(lambda match: _DECIMALS.sub(r"\1", match[0]), re.sub(r"\s+", " ", svg))
    svg = _PATHS.sub(lambda match: ' d="' + re.sub(r" ?([A-Za-z]) ?", r"\1", match[0][4:]), svg)
    svg = re.sub(r' style="[^"]*"', lambda match: match[0].replace("; ", ";").replace(": ", ":"), svg)
    svg = re.sub(r'(<use [^>]*?) transform="translate\(([-\d.]+) ([-\d.]+)\)"/>', r'\1 x="\2" y="\3"/>', svg)
    svg = svg.replace(' y="0"/>', "/>").replace("xlink:href", "href")
    return _drop_groups(re.sub(r"> <", "><", svg).replace("<g/>", "").strip())


def _shorten_ids(svg: str) -> str:
    """The picture with a short name for each id that something refers to, and without the others."""
    short_names = {name: f"{i:x}" for i, name in enumerate(dict.fromkeys(re.findall(r'(?:"|\()#([^")]+)', svg)))}
    svg = re.sub(
        r' id="([^"]*)"', lambda match: f' id="i{short_names[match[1]]}"' if match[1] in short_names else "", svg
    )
    return re.sub(r'("|\()#([^")]+)', lambda match: f"{match[1]}#i{short_names[match[2]]}", svg)


def _drop_groups(svg: str) -> str:
    """The picture without `<g>` that say nothing, and without their ends."""
    parts = re.split(r"(<g(?: [^>]*[^/>])?>|</g>)", svg)  # text, tag, text, ... text
    says: list[bool] = []
    for i in range(1, len(parts), 2):
        if parts[i] != "</g>":
            says.append(parts[i] != "<g>")
        if not (says[-1] if parts[i] != "</g>" else says.pop()):
            parts[i] = ""
    return "".join(parts)


def address(svg: bytes) -> Markup:
    """A data address of an SVG: percent signs only where a browser needs them, a third shorter than base 64.

    It is escaped already, and stands between double quotes.
    """
    text = minify(svg.decode()).replace("'", "&apos;").replace('"', "'")
    for character in "%#<>":
        text = text.replace(character, f"%{ord(character):02X}")
    return Markup(f"data:image/svg+xml,{text.replace('&', '&amp;')}")


def size(svg: bytes) -> tuple[int, int] | None:
    """Width and height in CSS pixels of an SVG that gives them in points; None otherwise."""
    match = re.search(rb'<svg [^>]*?width="([\d.]+)pt"[^>]*? height="([\d.]+)pt"', svg)
    return (round(float(match[1]) * 4 / 3), round(float(match[2]) * 4 / 3)) if match else None
