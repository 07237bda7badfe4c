"""Figures that compare a setting over a whole suite: update rules, evictions, distances."""

import itertools
from collections.abc import Iterable

import polars as pl
from matplotlib.figure import Figure

from benchmark.figures import floors, marks, overlay, panels, style, words
from benchmark.figures.maps import why_missing
from benchmark.rows.studies import Study, values

RULES = {
    "linear": "linear attention",
    "gated": "gated Hebbian (Mamba-2)",
    "delta": "DeltaNet",
    "gdn": "Gated DeltaNet",
    "jet": "Jet",
    "classic": "classic fast weights",
    "titans": "neural memory (Titans)",
    "product2": "Gated DeltaProduct, 2 steps",
    "product4": "Gated DeltaProduct, 4 steps",
}
"""Update rules by their word in a layout."""

_LONGEST = 36  # characters of a layout beside its marks
TRAINED_LINE = style.CHANCE_LINE | {"linestyle": (0, (1, 1.5)), "color": style.INK}
_RANGES = "Mark: mean over seeds; line: lowest to highest; dots: a seed each. "


def rules(study: Study) -> Figure | None:
    """Exact match at the end of training by update rule and N, best rule first; a panel per difficulty."""
    names = rule_names(study)
    last = study.final.filter(pl.col("answer").is_null())
    if len(names) < 2 or not last.height or study.axis == "windows_after":  # `retention` shows those
        return None
    looks, depths = style.by_passes(study.passes), values(last["depth"])
    score = {layout: last.filter(pl.col("layout") == layout)["exact_match"].to_numpy() for layout in names}
    layouts = sorted(names, key=lambda layout: (float(score[layout].mean()) if len(score[layout]) else -1, layout))
    width = 4.6 if len(depths) == 1 else 2.3
    figure, pairs = panels.over(
        study,
        depths,
        title="Exact match by update rule and sleep passes N, at the end of training",
        note=_ranges(last),
        x="exact match (%)",
        y="",
        size=(width, (0.13 * len(looks) + 0.1) * len(layouts) + 0.7),
        looks=looks,
        line=False,
        floor=depths,
    )
    for ax, depth in pairs:
        panels.exact(ax, study, depth, style.limits(last), across=True)
        for place, layout in enumerate(layouts):
            for n, offset in zip(looks, style.offsets(len(looks), -0.7), strict=True):
                percents = marks.percent(study.scores_at(last, n, depth).filter(pl.col("layout") == layout))
                why = why_missing(study, (pl.col("n") == n) & (pl.col("layout") == layout), depth)
                start = study.chance(depth) + 2
                marks.seeds(ax, place + offset, percents, looks[n], why=why, start=start, across=True)
        for edge in range(1, len(layouts)):
            ax.axhline(edge - 0.5, color="#e6e6e6", linewidth=0.5)
        ax.set_yticks(range(len(layouts)), [names[layout] for layout in layouts])
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False, axis="y")
        ax.set_ylim(-0.5, len(layouts) - 0.5)
    return figure


def rules_words(study: Study) -> str:
    """Each rule with each N."""
    names = rule_names(study)
    means = words.means(words.last_scores(study), "layout", "n")
    parts = [f"{names[layout]} {words.by_passes(of_rule)}" for layout, of_rule in words.split(means, "layout")]
    return f"Exact match at the end of training by update rule and N, mean over seeds: {'; '.join(parts)}."


def evictions(study: Study) -> Figure | None:
    """Exact match by eviction, one stage or two, a colour per N; a panel per answer (the paper's Figure 5).

    The paper's own points, where it has some, stand beside the last kind of their eviction.
    """
    kinds = _kinds(study)
    last = study.final
    if len(kinds) < 2 or not last.height:
        return None
    looks, depths = style.by_passes(study.passes), values(last["depth"])
    answers = values(last["answer"])
    keys = [(depth, answer) for depth in depths for answer in ([None, *answers] if len(answers) > 1 else [None])]
    paper = overlay.points(study)
    figure, pairs = panels.over(
        study,
        keys,
        title="Exact match by eviction and sleep passes N, at the end of training",
        note=f"{_ranges(last)}{_stages(kinds)}{overlay.note(paper)}",
        x="",
        size=(max(2.3, 0.62 * len(kinds) + 0.4), 2.0) if len(keys) > 1 else (3.9, 2.3),
        looks=looks,
        line=False,
        floor=depths,
        legend=overlay.handles(paper, list(looks)),
        columns=len(answers) + 1 if 1 < len(answers) < 4 else None,
    )
    for ax, (depth, answer) in pairs:
        which = pl.col("answer").is_null() if answer is None else pl.col("answer") == answer
        of_panel = last.filter((pl.col("depth") == depth) & which)
        chances = [100 * chance for chance in values(of_panel["chance"])]
        for chance in chances:
            ax.axhline(chance, **style.CHANCE_LINE)
        if answer is None:
            floors.line(ax, study, depth)
        for place, (eviction, share) in enumerate(kinds):
            of_kind = (pl.col("eviction") == eviction) & (pl.col("hard_share") == share)
            for n, offset in zip(looks, style.offsets(len(looks), 0.6), strict=True):
                percents = marks.percent(of_panel.filter(of_kind & (pl.col("n") == n)))
                why = why_missing(study, (pl.col("n") == n) & of_kind, depth)
                marks.seeds(ax, place + offset, percents, looks[n], why=why, start=max(chances, default=0) + 2)
            if answer is None and eviction not in [later for later, _ in list(kinds)[place + 1 :]]:
                of_paper = paper.filter((pl.col("depth") == depth) & (pl.col("eviction") == eviction))
                overlay.draw_points(ax, of_paper, {depth: place})
        together = "all answers" if len(answers) > 1 else ""
        heading = [study.label(depth)] * (len(depths) > 1 or not together)
        heading += [together if answer is None else f"answer {answer + 1}"] * bool(together)
        style.name_panel(ax, ", ".join(heading), chances)
        ax.set_xticks(range(len(kinds)), list(kinds.values()))
        ax.grid(visible=False, axis="x")
        marks.exact_axis(ax, style.limits(last))
        ax.set_xlim(-0.5, len(kinds) - 0.5)
    return figure


def evictions_words(study: Study) -> str:
    """Each eviction with each N."""
    means = words.means(words.last_scores(study), "eviction", "hard_share", "n")
    parts = [
        f"{eviction}{', two stages' if share else ''} {words.by_passes(of_kind)}"
        for (eviction, share), of_kind in means.group_by("eviction", "hard_share", maintain_order=True)
    ]
    return (
        f"Exact match at the end of training by eviction and N, mean over seeds and difficulties: {'; '.join(parts)}."
    )


def retention(study: Study) -> Figure | None:
    """Exact match against the number of windows consolidated after the one that matters, a curve per N.

    A panel per update rule and distance of training, which a line marks.
    """
    last = study.final.filter(pl.col("answer").is_null())
    if study.axis != "windows_after" or last["depth"].n_unique() < 2 or not _tested_apart(last):
        return None
    names, looks, depths = rule_names(study), style.by_passes(study.passes), values(last["depth"])
    order = list(names)
    keys = sorted(last.select("layout", "windows_after").unique().iter_rows(), key=lambda p: (order.index(p[0]), p[1]))
    size = (2.6, 1.9) if len(keys) > 1 else (4.2, 2.4)
    ranges = "Mark: mean over seeds; band: lowest to highest. " if last["seed"].n_unique() > 1 else ""
    figure, pairs = panels.over(
        study,
        keys,
        title="Exact match by windows consolidated afterwards",
        note=ranges,
        x="windows consolidated afterwards",
        size=size,
        looks=looks,
        floor=depths,
        legend=[style.floor_handle(TRAINED_LINE, "distance of training")],
    )
    for ax, (layout, distance) in pairs:
        of_panel = last.filter((pl.col("layout") == layout) & (pl.col("windows_after") == distance))
        chances = [study.chance(depth) for depth in depths]
        ax.plot(depths, chances, **style.CHANCE_LINE)
        floors.steps(ax, study, {depth: float(depth) for depth in depths}, 0.25)
        ax.axvline(distance, **TRAINED_LINE)
        for n, look in looks.items():
            of_n = of_panel.filter(pl.col("n") == n).group_by("depth", maintain_order=True)
            means = of_n.agg(**marks.spread("exact_match"), cells=pl.len())
            if not means.height:
                continue
            if means["cells"].to_numpy().max() > 1:
                ax.fill_between(means["depth"], means["low"], means["high"], color=look.color, alpha=0.16, linewidth=0)
            ax.plot(
                means["depth"], means["mean"], color=look.color, marker=look.marker, linestyle=look.dashes, zorder=3
            )
        style.name_panel(ax, names[layout], chances)
        ax.set_xscale("symlog", base=2, linthresh=1, linscale=0.5)
        ax.set_xticks(depths, [str(depth) for depth in depths], minor=False)
        ax.set_xticks([], minor=True)
        marks.exact_axis(ax, style.limits(last))
        ax.set_xlim(depths[0] - 0.25, depths[-1] * 1.2)
    return figure


def retention_words(study: Study) -> str:
    """How far each rule falls from the nearest to the furthest test."""
    names, last = rule_names(study), words.last_scores(study)
    ends = values(last["depth"])[:: max(last["depth"].n_unique() - 1, 1)]
    means = words.means(last.filter(pl.col("depth").is_in(ends)), "layout", "n", "depth")
    parts = [
        f"{names[str(layout)]}, N = {n}: {' to '.join(f'{100 * s:.0f} %' for s in of_curve['exact_match'])}"
        for (layout, n), of_curve in means.group_by("layout", "n", maintain_order=True)
    ]
    return (
        f"Exact match against the number of windows consolidated afterwards, from {' to '.join(map(str, ends))}: "
        f"{'; '.join(parts)}."
    )


def rule_names(study: Study) -> dict[str, str]:
    """The layouts, by the names of their update rules where those are enough to tell them apart."""
    layouts = [str(layout) for layout in values([*study.scores["layout"], *study.failed["layout"]])]
    rules_of = {layout: dict.fromkeys(word for word in layout.split() if word != "attn") for layout in layouts}
    names = {
        layout: " + ".join(RULES.get(rule, rule) for rule in layout_rules) for layout, layout_rules in rules_of.items()
    }
    if len(set(names.values())) < len(names) or not all(names.values()):
        names = {layout: _layout_name(layout, number) for number, layout in enumerate(layouts, 1)}
    order = list(RULES)
    return dict(sorted(names.items(), key=lambda item: [order.index(r) for r in rules_of[item[0]] if r in order]))


def _layout_name(layout: str, number: int) -> str:
    """A layout as short as it repeats, such as "(attn gdn) × 5" or "attn × 3 gdn × 7"; a long one has its number."""
    blocks = layout.split()
    period = next(p for p in range(1, len(blocks) + 1) if blocks == (blocks[:p] * len(blocks))[: len(blocks)])
    times, rest = divmod(len(blocks), period)
    if times > 1 and not rest:
        unit = " ".join(blocks[:period])
        text = f"({unit}) × {times}" if period > 1 else f"{unit} × {times}"
    else:
        runs = [(word, len(list(run))) for word, run in itertools.groupby(blocks)]
        text = " ".join(word if count == 1 else f"{word} × {count}" for word, count in runs)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 14]}… (layout {number})"


def _kinds(study: Study) -> dict[tuple[str, float], str]:
    """The evictions there are, each with its share of training under hard eviction, in words."""
    every = {kind for part in (study.scores, study.failed) for kind in part.select("eviction", "hard_share").rows()}
    order = ("hard", "sliding", "none")
    kinds = sorted(every, key=lambda kind: (order.index(kind[0]) if kind[0] in order else len(order), kind))
    several = len({share for _, share in kinds if share}) > 1
    stages = {share: f",\ntwo stages{f' ({share:.0%})' if several else ''}" if share else "" for _, share in kinds}
    return {(eviction, share): f"{eviction}{stages[share]}" for eviction, share in kinds}


def _stages(kinds: Iterable[tuple[str, float]]) -> str:
    """What the two stages are, if any kind has them."""
    shares = values(share for _, share in kinds if share)
    percents = " or ".join(f"{100 * share:.0f} %" for share in shares)
    return (
        f"Two stages: for {percents} of the steps only the fast-weight layers learn, under hard eviction. "
        if percents
        else ""
    )


def _tested_apart(last: pl.DataFrame) -> bool:
    """Whether any cell was tested at another distance than the trained one."""
    return bool((last["depth"] != last["windows_after"]).any())


def _ranges(scores: pl.DataFrame) -> str:
    return _RANGES if scores["seed"].n_unique() > 1 else ""
