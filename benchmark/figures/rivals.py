"""Figures of sleep against its rivals: a line or a row per variant of a suite."""

import math
from collections.abc import Sequence
from dataclasses import replace

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.figures import floors, marks, panels, style, words
from benchmark.figures.style import DOT, LONG, SHORT, Look
from benchmark.rows import Status
from benchmark.rows.studies import Study, values
from benchmark.rows.text import amount, duration

SLEEP, PLAIN = "sleep", "plain"

LOOKS: dict[str, Look] = {
    "longer": Look(color="#4F9D8F", marker="D", dashes=SHORT, width=1),
    "deeper": Look(color="#8A6A9B", marker="^", dashes=DOT, width=1),
    "wider": Look(color="#9A7B4F", marker="v", dashes=LONG, width=1),
    "bigger-state": Look(color="#7F8F3E", marker="P", dashes=SHORT, width=1),
    "reread": Look(color="#C0707B", marker="X", dashes=LONG, width=1),
    "reembed": Look(color="#5C6F7B", marker="h", dashes=DOT, width=1),
    "reset-state": Look(color="#B891B9", marker="<", dashes=SHORT, width=1),
    "wake-loop": Look(color="#A34A4A", marker=">", dashes=LONG, width=1),
    "in-rule": Look(color="#6B7FA8", marker="p", dashes=DOT, width=1),
    "bigger-window": Look(color="#8C8C4A", marker="*", dashes=LONG, width=1),
}
"""The rivals, quieter than sleep; sleep and the plain model look as their N does everywhere."""

OTHERS = tuple(
    Look(color=color, marker="*pdH"[i], width=1) for i, color in enumerate(("#808080", "#A0A060", "#7090A0"))
)

_COSTS = {"parameters": 58, "state": 36, "cache": 36, "train FLOPs": 54, "time": 40}
"""Columns of costs and their widths, in points."""

LATE_MARK = " †"
_COSTS_NOTE = (
    "State: bytes per sequence between windows; cache, if it is counted: those of the keys and values it replaces. "
    "Time: of training and its tests. "
)
_LOOPS_NOTE = "†: runs more than one plain pass at prediction time, which breaks the latency constraint. "


def rivals_by_flops(study: Study) -> Figure | None:
    """Exact match against training FLOPs, a line per variant; a panel per difficulty."""
    exponent = round(math.log10(style.scale_of(study.scores["train_flops"])))
    return _curves(study, "train_flops", "training compute", f"training FLOPs ($10^{{{exponent}}}$)")


def rivals_by_tokens(study: Study) -> Figure | None:
    """Exact match against training tokens, a line per variant; a panel per difficulty."""
    label = style.label_amount("training tokens", study.scores["tokens_seen"])
    return _curves(study, "tokens_seen", "training tokens", label)


def _curves(study: Study, x: str, against: str, x_label: str) -> Figure | None:
    """A panel per difficulty, a curve per variant with its name at its end."""
    variants = variants_of(study.scores)
    if len(variants) < 2:
        return None
    looks, depths, scale = looks_of(variants), values(study.scores["depth"]), style.scale_of(study.scores[x])
    size = (3.7, 2.8) if len(depths) == 1 else (2.8, max(2.0, 0.17 * len(variants) + 0.4))
    seeds = study.scores["seed"].n_unique() > 1
    figure, pairs = panels.over(
        study,
        depths,
        title=f"Exact match of sleep and its rivals, against {against}",
        note=f"{'Line: mean over seeds; band: lowest to highest, of sleep. ' if seeds and SLEEP in variants else ''}"
        f"{loops_note(variants)}{floors.note(study, depths, 'Thin dashes')}",
        size=size,
        x=x_label,
    )
    low, high = style.limits(study.scores)
    for ax, depth in pairs:
        panels.exact(ax, study, depth, (low, high))
        ends = []
        for i, (name, scores) in enumerate(variants.items()):
            at_depth = scores.filter((pl.col("depth") == depth) & pl.col("answer").is_null())
            end = marks.curve(ax, at_depth, looks[name], x, scale, (i, len(variants)), band=_is_sleep(name))
            if end is not None:
                ends.append((name, end, looks[name]))
        marks.label_ends(ax, ends, gap=(high - low) * 0.15 / size[1])
        for text in ax.texts:
            text.set_fontweight("bold" if _is_sleep(text.get_text()) else "normal")
    figure.axes[0].set_xlim(left=0)  # of all panels, now that all curves are drawn
    return figure


def rivals_final(study: Study) -> Figure | None:
    """Exact match at the end of training, a row per variant, best first, with what each of them costs."""
    every = variants_of(pl.concat([study.scores, study.failed]))
    finals = variants_of(study.final.filter(pl.col("answer").is_null()))
    if len(every) < 2 or not finals:
        return None
    means = {name: 100 * float(scores["exact_match"].to_numpy().mean()) for name, scores in finals.items()}
    names = sorted(every, key=lambda name: (means.get(name, -1.0), name))  # from the lowest row to the highest
    looks, depths = looks_of(every), values(study.final["depth"])
    ranges = "Mark: mean over seeds; line: lowest to highest; dots: a seed each. " * (
        study.final["seed"].n_unique() > 1
    )
    figure, pairs = panels.over(
        study,
        depths,
        title="Exact match of sleep and its rivals, at the end of training",
        note=f"{ranges}{_COSTS_NOTE}{loops_note(every)}{floors.note(study, depths, 'Thin dashes')}",
        x="exact match (%)",
        y="",
        size=((5.6 if len(depths) == 1 else 0.9 + 5 / len(depths)), 0.2 * len(names) + 0.75),
        columns=len(depths),
    )
    for ax, depth in pairs:
        panels.exact(ax, study, depth, style.limits(study.final), across=True)
        for place, name in enumerate(names):
            if _is_sleep(name):
                ax.axhspan(place - 0.5, place + 0.5, color=looks[name].color, alpha=0.12, linewidth=0)
            at_depth = finals[name].filter(pl.col("depth") == depth) if name in finals else study.final.clear()
            failed = every[name].filter(pl.col("status") != Status.OK)
            why = str(failed["status"][0]).replace("_", " ") if failed.height else "unfinished"
            start = study.chance(depth) + 2
            marks.seeds(ax, place, marks.percent(at_depth), looks[name], why=why, start=start, across=True)
        ax.set_yticks(range(len(names)), names)
        ax.grid(visible=False, axis="y")
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(-0.6, len(names) - 0.4)
    for label in figure.axes[0].get_yticklabels():
        if _is_sleep(label.get_text()):
            label.set(weight="bold", color=looks[label.get_text()].color)
    _write_costs(pairs[-1][0], names, finals)
    return figure


def rivals_words(study: Study) -> str:
    """Sleep among its rivals."""
    means = words.means(words.last_scores(study), "variant", "n").sort(
        "exact_match", descending=True, maintain_order=True
    )
    scores = words.enumeration(
        f"{variant} (N = {n}) {100 * score:.1f} %"
        for variant, n, score in means.select("variant", "n", "exact_match").iter_rows()
    )
    return (
        "Exact match of sleep and of what else its training compute could buy, at the end of training, mean of seeds: "
        f"{scores}."
    )


def _write_costs(ax: Axes, names: Sequence[str], finals: dict[str, pl.DataFrame]) -> None:
    """Columns of numbers at the right of a row per variant; those that no row has are left out."""
    sleep = next((float(scores["train_flops"][0]) for name, scores in finals.items() if _is_sleep(name)), None)
    costs = {name: _costs(scores, sleep) for name, scores in finals.items()}
    columns = {title: width for title, width in _COSTS.items() if any(of_one[title] for of_one in costs.values())}
    for place, name in [*enumerate(names), (len(names) - 0.4, None)]:
        if name is not None and name not in costs:
            continue
        right = 0  # edge of a column, in points
        for title, width in columns.items():
            right += width
            ax.annotate(
                title if name is None else costs[name][title],
                xy=(1, place),
                xycoords=ax.get_yaxis_transform(),
                xytext=(right, 4 if name is None else 0),
                textcoords="offset points",
                ha="right",
                va="bottom" if name is None else "center_baseline",
                size=6.8 if name is None else 7.5,
                color=style.GREY if name is None else style.INK,
                annotation_clip=False,
            )


def _costs(scores: pl.DataFrame, sleep: float | None) -> dict[str, str]:
    """What a variant costs, by the titles of `_COSTS`; training FLOPs over those of sleep, if there is one."""
    first = scores.row(0, named=True)
    flops, cache, wall = first["train_flops"], first["cache_bytes"], scores["wall_s"].drop_nulls().to_numpy()
    return {
        "parameters": amount(first["parameters"]),
        "state": f"{first['state_bytes']:,}",
        "cache": "" if cache is None else f"{cache:,}",
        "train FLOPs": amount(flops) if sleep is None else f"{flops / sleep:.2f}×",
        "time": duration(float(wall.mean())) if len(wall) else "",
    }


def variants_of(scores: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The rows of each variant, sleep last so that it is drawn on top; a variant of several N is one for each."""
    variants = {}
    for part in scores.filter(pl.col("variant").is_not_null()).partition_by("variant", maintain_order=True):
        passes = values(part["n"])
        for n in passes:
            name = part["variant"][0] + (f", N = {n}" if len(passes) > 1 else "") + (LATE_MARK if is_late(part) else "")
            variants[name] = part.filter(pl.col("n") == n)
    order = [PLAIN, *LOOKS]
    return dict(sorted(variants.items(), key=lambda item: (_is_sleep(item[0]), _rank(item[0], order), item[0])))


def is_late(part: pl.DataFrame) -> bool:
    """Whether rows say that a prediction is more than a plain pass: runs in sequence, or FLOPs of several."""
    most = [part[name].max() or 1 for name in ("wake_passes", "wake_ratio") if name in part.columns]
    return any(more > 1 for more in most)  # type: ignore[operator]


def _rank(name: str, order: Sequence[str]) -> int:
    base = _base(name)
    return order.index(base) if base in order else len(order)


def looks_of(variants: dict[str, pl.DataFrame]) -> dict[str, Look]:
    """The look of each variant, by its name."""
    others = sorted({_base(name) for name in variants} - {SLEEP, PLAIN, *LOOKS})
    looks = {}
    for name, scores in variants.items():
        base, n = _base(name), int(scores["n"][0])
        if base in (SLEEP, PLAIN):
            looks[name] = replace(style.by_passes([n])[n], dashes="solid", width=2.2 if base == SLEEP else 1.4)
        else:
            looks[name] = LOOKS[base] if base in LOOKS else OTHERS[others.index(base) % len(OTHERS)]
    return looks


def _base(name: str) -> str:
    """A variant without its N and its mark."""
    return name.removesuffix(LATE_MARK).partition(", N = ")[0]


def _is_sleep(name: str) -> bool:
    return _base(name) == SLEEP


def loops_note(names: dict[str, pl.DataFrame]) -> str:
    """What the mark at a name means, where one has it."""
    return _LOOPS_NOTE if any(name.endswith(LATE_MARK) for name in names) else ""
