"""Figures that compare a setting over a whole suite: update rules, evictions, distances, tests at another N, tasks."""

from collections.abc import Iterable

import polars as pl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmark.figures import finals, floors, marks, overlay, style
from benchmark.rows.studies import Study, label, values

RULES = {
    "linear": "linear attention",
    "gated": "gated Hebbian (Mamba-2)",
    "delta": "DeltaNet",
    "gdn": "Gated DeltaNet",
    "jet": "Jet",
    "classic": "classic fast weights",
    "titans": "neural memory (Titans)",
}
"""Update rules by their word in a layout."""

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
    figure, axes = style.sheet(
        title="Exact match by update rule and sleep passes N, at the end of training",
        about=study.about,
        note=f"{_ranges(last)}{floors.note(study, depths)}{study.note}",
        panels=len(depths),
        size=(width, (0.13 * len(looks) + 0.1) * len(layouts) + 0.7),
        legend=[
            *(look.handle(f"N = {n}", line=False) for n, look in looks.items()),
            *floors.handles(study, depths),
        ],
    )
    for ax, depth in zip(axes, depths, strict=True):
        ax.axvline(study.chance(depth), **style.CHANCE_LINE)
        floors.line(ax, study, depth, across=True)
        for place, layout in enumerate(layouts):
            for n, offset in zip(looks, style.offsets(len(looks), -0.7), strict=True):
                found = marks.percent(study.whole(last, n, depth).filter(pl.col("layout") == layout))
                why = finals.why_missing(study, (pl.col("n") == n) & (pl.col("layout") == layout), depth)
                start = study.chance(depth) + 2
                marks.seeds(ax, place + offset, found, looks[n], why=why, start=start, across=True)
        for edge in range(1, len(layouts)):
            ax.axhline(edge - 0.5, color="#e6e6e6", linewidth=0.5)
        style.name_panel(ax, study.label(depth), [study.chance(depth)])
        ax.set_yticks(range(len(layouts)), [names[layout] for layout in layouts])
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False, axis="y")
        marks.exact_axis(ax, style.limits(last), across=True)
        ax.set_ylim(-0.5, len(layouts) - 0.5)
    style.label_outer(axes, x="exact match (%)", y="")
    return figure


def evictions(study: Study) -> Figure | None:
    """The paper's Figure 5: exact match by eviction, one stage or two, a colour per N; a panel per answer.

    The paper's own points, where it has some, stand beside the last kind of their eviction.
    """
    kinds = _kinds(study)
    last = study.final
    if len(kinds) < 2 or not last.height:
        return None
    looks, depths = style.by_passes(study.passes), values(last["depth"])
    answers = values(last["answer"])
    panels = [(depth, answer) for depth in depths for answer in ([None, *answers] if len(answers) > 1 else [None])]
    printed = overlay.points(study)
    figure, axes = style.sheet(
        title="Exact match by eviction and sleep passes N, at the end of training",
        about=study.about,
        note=f"{_ranges(last)}{_stages(kinds)}{overlay.note(printed)}{floors.note(study, depths)}{study.note}",
        panels=len(panels),
        size=(max(2.3, 0.62 * len(kinds) + 0.4), 2.0) if len(panels) > 1 else (3.9, 2.3),
        legend=[
            *(look.handle(f"N = {n}", line=False) for n, look in looks.items()),
            *floors.handles(study, depths),
            *overlay.handles(printed, list(looks)),
        ],
        columns=len(answers) + 1 if 1 < len(answers) < 4 else None,
    )
    for ax, (depth, answer) in zip(axes, panels, strict=True):
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
                found = marks.percent(of_panel.filter(of_kind & (pl.col("n") == n)))
                why = finals.why_missing(study, (pl.col("n") == n) & of_kind, depth)
                marks.seeds(ax, place + offset, found, looks[n], why=why, start=max(chances, default=0) + 2)
            if answer is None and eviction not in [later for later, _ in list(kinds)[place + 1 :]]:
                of_paper = printed.filter((pl.col("depth") == depth) & (pl.col("eviction") == eviction))
                overlay.beside(ax, of_paper, {depth: place})
        together = "all answers" if len(answers) > 1 else ""
        told = [study.label(depth)] * (len(depths) > 1 or not together)
        told += [together if answer is None else f"answer {answer + 1}"] * bool(together)
        style.name_panel(ax, ", ".join(told), chances)
        ax.set_xticks(range(len(kinds)), list(kinds.values()))
        ax.grid(visible=False, axis="x")
        marks.exact_axis(ax, style.limits(last))
        ax.set_xlim(-0.5, len(kinds) - 0.5)
    style.label_outer(axes, x="", y="exact match (%)")
    return figure


def trained_by_tested(study: Study) -> Figure | None:
    """The map of the N of training against that of the test; a panel per difficulty."""
    last = study.final.filter(pl.col("answer").is_null())
    if not last.height or study.scores["test_passes"].is_null().all():
        return None
    tested, passes, depths = values(study.scores["tested_passes"]), study.passes, values(last["depth"])
    seeds = max(last.group_by("n", "tested_passes", "depth").agg(pl.col("cell_id").n_unique())["cell_id"].to_list())
    figure, axes = style.sheet(
        title="Exact match by the N of training and of the test (%)",
        about=study.about,
        note="Shade: share of the way from chance (white) to 100 % (dark). Outlined: tested as trained. "
        f"{'Small: lowest to highest seed. ' if seeds != 1 else ''}{study.note}",
        panels=len(depths),
        size=(0.68 * len(tested) + 0.9, 0.5 * len(passes) + 0.7),
        columns=min(len(depths), 2),
    )
    for ax, depth in zip(axes, depths, strict=True):
        for i, test in enumerate(tested):
            for j, n in enumerate(passes):
                found = marks.percent(study.whole(last, n, depth).filter(pl.col("tested_passes") == test))
                at_test = (pl.col("tested_passes") == test) | pl.col("tested_passes").is_null()
                why = finals.why_missing(study, (pl.col("n") == n) & at_test, depth)
                marks.tile(ax, (i, j), found, chance=study.chance(depth), seeds=seeds, missing=why)
        for n in set(tested) & set(passes):
            corner = (tested.index(n) - 0.47, passes.index(n) - 0.47)
            ax.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=style.INK, linewidth=1.4, zorder=4))
        style.name_panel(ax, study.label(depth), [])
        floor = study.shortcut(depth)
        told = f", {floor[0]} {floor[1]:.1f} %" if floor else ""
        ax.set_title(f"chance {study.chance(depth):.1f} %{told}", loc="right", size=6.8, color=style.GREY)
        marks.grid_of_tiles(ax, [str(n) for n in tested], [f"N = {n}" for n in passes])
    style.label_outer(axes, x="N of the test", y="trained with")
    return figure


def retention(study: Study) -> Figure | None:
    """Exact match against the number of windows consolidated after the one that matters, a curve per N.

    A panel per update rule and distance of training, which a line marks.
    """
    last = study.final.filter(pl.col("answer").is_null())
    if study.axis != "windows_after" or last["depth"].n_unique() < 2 or not _tested_apart(last):
        return None
    names, looks, depths = rule_names(study), style.by_passes(study.passes), values(last["depth"])
    order = list(names)
    panels = sorted(
        last.select("layout", "windows_after").unique().iter_rows(), key=lambda p: (order.index(p[0]), p[1])
    )
    size = (2.6, 1.9) if len(panels) > 1 else (4.2, 2.4)
    ranges = "Mark: mean over seeds; band: lowest to highest. " if last["seed"].n_unique() > 1 else ""
    figure, axes = style.sheet(
        title="Exact match by windows consolidated afterwards",
        about=study.about,
        note=f"{ranges}{floors.note(study, depths)}{study.note}",
        panels=len(panels),
        size=size,
        legend=[
            *(look.handle(f"N = {n}") for n, look in looks.items()),
            *floors.handles(study, depths),
            style.floor_handle(TRAINED_LINE, "distance of training"),
        ],
    )
    for ax, (layout, trained) in zip(axes, panels, strict=True):
        of_panel = last.filter((pl.col("layout") == layout) & (pl.col("windows_after") == trained))
        chances = [study.chance(depth) for depth in depths]
        ax.plot(depths, chances, **style.CHANCE_LINE)
        floors.steps(ax, study, {depth: float(depth) for depth in depths}, 0.25)
        ax.axvline(trained, **TRAINED_LINE)
        for n, look in looks.items():
            of_n = of_panel.filter(pl.col("n") == n).group_by("depth", maintain_order=True)
            drawn = of_n.agg(**marks.spread("exact_match"), cells=pl.len())
            if not drawn.height:
                continue
            if drawn["cells"].to_numpy().max() > 1:
                ax.fill_between(drawn["depth"], drawn["low"], drawn["high"], color=look.color, alpha=0.16, linewidth=0)
            ax.plot(
                drawn["depth"], drawn["mean"], color=look.color, marker=look.marker, linestyle=look.dashes, zorder=3
            )
        style.name_panel(ax, names[layout], chances)
        ax.set_xscale("symlog", base=2, linthresh=1, linscale=0.5)
        ax.set_xticks(depths, [str(depth) for depth in depths], minor=False)
        ax.set_xticks([], minor=True)
        marks.exact_axis(ax, style.limits(last))
        ax.set_xlim(depths[0] - 0.25, depths[-1] * 1.2)
    style.label_outer(axes, x="windows consolidated afterwards", y="exact match (%)")
    return figure


def no_gain(study: Study) -> Figure | None:
    """Learning curves by N of several tasks, a panel per task and difficulty: does sleep help, and sooner?"""
    scores = study.scores.filter(pl.col("answer").is_null())
    tasks = scores.select("task", "axis", "depth").unique().sort("task", "depth").rows()
    if study.scores["task"].n_unique() < 2 or len(study.passes) < 2:
        return None
    looks, scale = style.by_passes(study.passes), style.scale_of(scores["tokens_seen"])
    band = "Line: mean over seeds; band: lowest to highest; thin: a seed each. " * (scores["seed"].n_unique() > 1)
    size = (2.5, 1.9)
    figure, axes = style.sheet(
        title="Exact match by sleep passes N, a panel per task",
        about=study.about,
        note=f"{band}Numbers: mean at the last test, in percent. {study.note}",
        panels=len(tasks),
        size=size,
        legend=[
            *(look.handle(f"N = {n}") for n, look in looks.items()),
            style.floor_handle(style.CHANCE_LINE, "chance"),
            *([style.floor_handle(style.SHORTCUT_LINE, "strongest shortcut")] if scores["shortcut"].count() else []),
        ],
    )
    low, high = style.limits(scores)
    for ax, (task, axis, depth) in zip(axes, tasks, strict=True):
        of_task = scores.filter((pl.col("task") == task) & (pl.col("depth") == depth))
        ends = []
        for i, (n, look) in enumerate(looks.items()):
            of_n = of_task.filter(pl.col("n") == n)
            end = marks.curve(ax, of_n, look, "tokens_seen", scale, (i, len(looks)))
            if end is not None:
                ends.append((f"{end:.1f}", end, look))
        ax.axhline(100 * float(of_task["chance"][0]), **style.CHANCE_LINE)
        for name, shortcut in of_task.drop_nulls("shortcut").select("shortcut_name", "shortcut").unique().iter_rows():
            ax.axhline(100 * shortcut, **style.SHORTCUT_LINE)
            ax.text(0.02, 100 * shortcut, name, size=6.3, color=style.GREY, transform=ax.get_yaxis_transform())
        style.name_panel(ax, f"{task}, {label(axis, depth)}", [])
        marks.exact_axis(ax, (low, high))
        marks.label_ends(ax, ends, gap=(high - low) * 0.19 / size[1])
    axes[0].set_xlim(left=0)  # of all panels, now that all curves are drawn
    style.label_outer(axes, x=style.label_amount("training tokens", scores["tokens_seen"]), y="exact match (%)")
    return figure


def rule_names(study: Study) -> dict[str, str]:
    """The layouts, by the names of their update rules where those are enough to tell them apart."""
    layouts = [str(layout) for layout in values([*study.scores["layout"], *study.failed["layout"]])]
    rules_of = {layout: dict.fromkeys(word for word in layout.split() if word != "attn") for layout in layouts}
    names = {layout: " + ".join(RULES.get(rule, rule) for rule in found) for layout, found in rules_of.items()}
    names = names if len(set(names.values())) == len(names) and all(names.values()) else {lay: lay for lay in layouts}
    order = list(RULES)
    return dict(sorted(names.items(), key=lambda item: [order.index(r) for r in rules_of[item[0]] if r in order]))


def _kinds(study: Study) -> dict[tuple[str, float], str]:
    """The evictions there are, each with its share of training under hard eviction, in words."""
    every = {kind for part in (study.scores, study.failed) for kind in part.select("eviction", "hard_share").rows()}
    order = ("hard", "sliding", "none")
    kinds = sorted(every, key=lambda kind: (order.index(kind[0]) if kind[0] in order else len(order), kind))
    several = len({share for _, share in kinds if share}) > 1
    told = {share: f",\ntwo stages{f' ({share:.0%})' if several else ''}" if share else "" for _, share in kinds}
    return {(eviction, share): f"{eviction}{told[share]}" for eviction, share in kinds}


def _stages(kinds: Iterable[tuple[str, float]]) -> str:
    """What the two stages are, if any kind has them."""
    shares = values(share for _, share in kinds if share)
    told = " or ".join(f"{100 * share:.0f} %" for share in shares)
    return (
        f"Two stages: for {told} of the steps only the fast-weight layers learn, under hard eviction. " if told else ""
    )


def _tested_apart(last: pl.DataFrame) -> bool:
    """Whether any cell was tested at another distance than the trained one."""
    return bool((last["depth"] != last["windows_after"]).any())


def _ranges(scores: pl.DataFrame) -> str:
    return _RANGES if scores["seed"].n_unique() > 1 else ""
