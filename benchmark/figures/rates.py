"""The figure of trials of learning rates: whether an arm wins by what it is or by the rate that it was given."""

import polars as pl
from matplotlib.figure import Figure

from benchmark.figures import panels, style, words
from benchmark.rows.studies import Study, values

LEAST_RATES = 3
"""Rates of Muon without which there is no curve."""


def accuracy_by_rate(study: Study) -> Figure | None:
    """Exact match at the end of training against the rate of Muon, a colour per N; a panel per difficulty."""
    last = study.final.filter(pl.col("answer").is_null())
    rates = values(last["muon_lr"])
    if last.group_by("n").agg(pl.col("muon_lr").n_unique())["muon_lr"].max() < LEAST_RATES:  # type: ignore[operator]
        return None
    looks = style.by_passes(study.passes)
    keys = [(depth, variant) for variant in last["variant"].unique().sort() for depth in values(last["depth"])]
    figure, pairs = panels.over(
        study,
        keys,
        title="Exact match by Muon's learning rate and sleep passes N, at the end of training",
        note=f"Rates of AdamW: {', '.join(f'{rate:g}' for rate in values(last['adam_lr']))}. "
        "Mark: mean over seeds at the better of them; dots: every rate and seed. ",
        x="learning rate of Muon",
        looks=looks,
        floor=study.depths,
        size=(2.3, 1.9),
    )
    for ax, (depth, variant) in pairs:
        of_panel = last.filter((pl.col("depth") == depth) & pl.col("variant").eq_missing(variant))
        panels.exact(ax, study, depth, style.limits(last))
        if variant is not None:
            style.name_panel(ax, f"{variant}, {study.label(depth)}" if len(study.depths) > 1 else variant, [])
        for n, look in looks.items():
            arm = of_panel.filter(pl.col("n") == n)
            ax.plot(arm["muon_lr"], 100 * arm["exact_match"], ".", color=look.color, markersize=2.5, alpha=0.5)
            mean = _best_rates(arm).sort("muon_lr")
            line = {"color": look.color, "marker": look.marker, "linestyle": look.dashes, "linewidth": look.width}
            ax.plot(mean["muon_lr"], 100 * mean["exact_match"], **line)
        ax.set_xscale("log", base=2)
        ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
        ax.minorticks_off()
    return figure


def accuracy_by_rate_words(study: Study) -> str:
    """The best rate of each N, and what it comes to."""
    last = words.last_scores(study)
    parts = list[str]()
    for (n, depth), arm in last.sort("n", "depth").partition_by("n", "depth", as_dict=True).items():
        best = _best_rates(arm).sort("exact_match").tail(1).row(0, named=True)
        parts.append(f"N = {n} at {study.label(depth)}: {100 * best['exact_match']:.0f} % at {best['muon_lr']:g}")
    return f"Exact match at the best rate of Muon, mean over seeds: {'; '.join(parts)}."


def _best_rates(arm: pl.DataFrame) -> pl.DataFrame:
    """Of each rate of Muon the mean over seeds at the better rate of AdamW."""
    means = arm.group_by("muon_lr", "adam_lr").agg(pl.col("exact_match").mean())
    return means.group_by("muon_lr").agg(pl.col("exact_match").max())
