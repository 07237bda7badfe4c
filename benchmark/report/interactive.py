"""Learning curves to hover over: a Vega-Lite chart from rows, and the library that draws it without a network.

Needs the extra `report` (altair, vl-convert-python); without it `is_available` is false.
"""

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import polars as pl

from benchmark.figures import style
from benchmark.figures.rivals import LOOKS, PLAIN, SLEEP
from benchmark.rows.studies import Study, studies

INSTALL = "pip install -e '.[report]'"
"""How the extra is installed in a checkout."""

AS_TRAINED = "tested as trained"
"""Said of the study without a name beside others: those are tests at another N."""

AGAINST = {"tokens": "training tokens", "flops": "training FLOPs"}
"""What curves can be drawn against: the name in a point, and its words."""

PERCENT = "exact match (%)"


def is_available() -> bool:
    """Whether the extra is installed."""
    return all(_is_installed(name) for name in ("altair", "vl_convert"))


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # a module that was put away on purpose
        return False


@lru_cache(maxsize=1)
def library() -> str:
    """Vega, Vega-Lite and vega-embed as one script that needs nothing else; it defines `vegaEmbed`."""
    import altair
    import vl_convert

    version = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return script.replace("\r\n", "\n").replace("\r", "\n")  # as a page is read, or its hash would differ


def points(frame: pl.DataFrame) -> tuple[list[dict[str, Any]], list[str], dict[str, str]]:
    """The points of every learning curve, the names of the views, and the colour of each series by its name.

    A view is what is shown at once: a difficulty, of one setting if others vary too. Within it a series is an N or,
    where settings have one N each (a suite of variants), a setting. A point is a mean over seeds, in percent, as far as
    all seeds got, with the range that they span; `view` and `series` are places in the two lists.
    """
    every = studies(frame)
    variants = len(every) > 1 and all(len(study.passes) == 1 for study in every)
    views: list[str] = []
    looks: dict[str, str] = {}
    lines: list[dict[str, Any]] = []
    for study in every:
        for (depth, n), part in _means(study).group_by("depth", "n", maintain_order=True):
            assert isinstance(depth, int) and isinstance(n, int)
            setting = "" if variants or len(every) == 1 else f"{study.name or AS_TRAINED}, "
            view, series = f"{setting}{study.label(depth)}", _series(study, n) if variants else f"N = {n}"
            looks.setdefault(series, _color(study, n, len(looks)) if variants else style.by_passes([n])[n].color)
            if view not in views:
                views.append(view)
            place = {"view": views.index(view), "series": list(looks).index(series), "name": series}
            lines += [place | row for row in part.drop("depth", "n").iter_rows(named=True)]
    return lines, views, looks


def _means(study: Study) -> pl.DataFrame:
    """Mean, lowest and highest over seeds by difficulty, N and step."""
    whole = study.scores.filter(pl.col("answer").is_null())
    score = 100 * pl.col("exact_match")
    means = whole.group_by("depth", "n", "step").agg(
        pl.col("tokens_seen").first().alias("tokens"),
        pl.col("train_flops").mean().alias("flops"),
        score.mean().round(2).alias("mean"),
        score.min().round(2).alias("low"),
        score.max().round(2).alias("high"),
        (100 * pl.col("chance").first()).round(2).alias("chance"),
        pl.len().alias("seeds"),
    )
    means = means.filter(pl.col("seeds") == pl.col("seeds").max().over("depth", "n"))
    return means.sort("depth", "n", "step").drop("step")


def _series(study: Study, n: int) -> str:
    return study.variant or study.name or f"N = {n}"


def _color(study: Study, n: int, place: int) -> str:
    """As in the figures of rivals; settings that those do not know take the next colour."""
    if study.variant in (SLEEP, PLAIN):
        return style.by_passes([n])[n].color
    others = [look.color for look in LOOKS.values()]
    return LOOKS[study.variant].color if study.variant in LOOKS else others[place % len(others)]


def chart(frame: pl.DataFrame) -> dict[str, Any] | None:
    """A Vega-Lite chart of the learning curves; None where there is no curve to draw.

    A list chooses the view, another tokens or FLOPs; a box per series, which the page's script gives the colour of its
    line, shows or hides it; a point says its values. At first the view is that in which the curves end furthest apart.
    """
    import altair as alt

    values, views, looks = points(frame)
    if not values:
        return None
    choices = alt.binding_select(options=[*range(len(views))], labels=views, name="Show")
    axes = alt.binding_select(options=[*AGAINST], labels=[*AGAINST.values()], name="Against")
    boxes = [alt.param(name=f"show_{i}", value=True, bind=alt.binding_checkbox(name=n)) for i, n in enumerate(looks)]
    visible = " || ".join(f"(show_{i} && datum.series === {i})" for i in range(len(looks)))
    title = " : ".join(f"along === '{name}' ? '{text}'" for name, text in AGAINST.items()) + " : ''"
    layered = (
        alt.layer(*_layers(values, looks))
        .transform_filter(f"datum.view === which && ({visible})")
        .transform_calculate(x="along === 'tokens' ? datum.tokens : datum.flops")
        .add_params(
            alt.param(name="which", value=_best_view(values), bind=choices),
            alt.param(name="along", value="tokens", bind=axes),
            *boxes,
        )
        .properties(
            width="container",
            height=300,
            title=alt.Title(
                text=alt.ExprRef(title), orient="bottom", anchor="middle", fontSize=12, fontWeight="normal"
            ),
        )
        .configure(
            font="system-ui, sans-serif",
            background="#ffffff",
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e6e6e6")
        .configure_view(stroke=None)
    )
    # Points are added last: checking each of them against a schema takes long.
    return {**layered.to_dict(), "datasets": {"curves": values}}


def _best_view(values: list[dict[str, Any]]) -> int:
    """The view in which the series end furthest apart; the first if none does."""
    ends: dict[int, dict[int, float]] = {}
    for value in values:  # a series' last point comes last
        ends.setdefault(value["view"], {})[value["series"]] = value["mean"]
    return max(ends, key=lambda view: max(ends[view].values()) - min(ends[view].values()))


def _layers(values: list[dict[str, Any]], looks: dict[str, str]) -> list[Any]:
    """Chance, the range over seeds, the mean, and the points that say their values."""
    import altair as alt

    data = alt.NamedData(name="curves")
    low = min(min(value["low"], value["chance"]) for value in values)
    domain = [0 if low < 25 else 10 * int((low - 3) // 10), 100]

    def y(field: str) -> Any:
        return alt.Y(field, title=PERCENT, scale=alt.Scale(domain=domain, zero=False, nice=False))

    def tooltip(field: str, title: str, form: str) -> Any:
        return alt.Tooltip(field, title=title, format=form)

    near = alt.selection_point(
        name="near", nearest=True, on="pointerover", clear="pointerout", fields=["series", "tokens"], empty=False
    )
    told_all = [
        alt.Tooltip("name:N", title="series"),
        *(tooltip(f"{name}:Q", title, ".3s") for name, title in AGAINST.items()),
        tooltip("mean:Q", PERCENT, ".1f"),
        tooltip("low:Q", "lowest seed", ".1f"),
        tooltip("high:Q", "highest seed", ".1f"),
        tooltip("seeds:Q", "seeds", "d"),
        tooltip("chance:Q", "chance (%)", ".1f"),
    ]
    base = alt.Chart(data).encode(
        x=alt.X("x:Q", axis=alt.Axis(format="~s", title=None, grid=False), scale=alt.Scale(nice=False)),
        color=alt.Color("name:N", scale=alt.Scale(domain=[*looks], range=[*looks.values()]), legend=None),
    )
    size = alt.when(near).then(alt.value(110)).otherwise(alt.value(22))
    marks = base.mark_point(filled=True).encode(y=y("mean:Q"), tooltip=told_all, size=size, opacity=alt.value(1))
    return [
        alt.Chart(data).mark_rule(strokeDash=[4, 3], color=style.GREY).encode(y=y("mean(chance):Q")),
        base.mark_area(opacity=0.16).encode(y=y("low:Q"), y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y("mean:Q")),
        marks.add_params(near).properties(name="points"),
    ]
