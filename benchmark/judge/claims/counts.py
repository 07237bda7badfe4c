"""The forms of claims about counted costs: FLOPs and bytes, in which nothing is random."""

import polars as pl

from benchmark.judge.claims.finding import ANY, Finding
from benchmark.judge.evidence import LackingError
from benchmark.judge.statistics import Interval
from benchmark.rows.studies import Study, values


def constant(study: Study, *, column: str) -> Finding:
    """A counted cost is the same for every N; the estimate is that of the largest N over that of the smallest."""
    ratios = _ratios(study, column)
    last = ratios[max(ratios)]
    worst = max(abs(ratio - 1) for ratio in ratios.values())
    name = column.replace("_", " ")
    return _exact_finding(study, f"{name} {_costs(study, column)}", estimate=last, effect=ANY - worst)


def linear(study: Study, *, column: str, within: float, beside: str | None = None) -> Finding:
    """Every further pass adds the same to a counted cost, within a share.

    The cost need not be N times that of N = 1: the last pass of a sleep stops where only the state is still of use, so
    one pass alone is cheaper than each that is added. The estimate is what a pass adds at the largest N over what the
    second adds. `beside` is another column that the reading mentions; it decides nothing.
    """
    ratios = _ratios(study, column)
    added = {n: (ratio - 1) / (n - 1) for n, ratio in sorted(ratios.items()) if n > 1}
    if len(added) < 2:
        raise LackingError(f"whether {column} is linear in N takes N = 1 and two others")
    first, *_, last = added.values()
    worst = max(abs(each / first - 1) for each in added.values()) if first else 1.0  # a cost that no pass adds to
    texts = [f"{column.replace('_', ' ')} {_times(ratios)}; each further pass {last:.2f} of N = 1"]
    if beside is not None:
        texts.append(f"{beside.replace('_', ' ')} {_times(_ratios(study, beside))}")
    return _exact_finding(study, "; ".join(texts), estimate=last / first if first else 0.0, effect=within - worst)


def _ratios(study: Study, column: str) -> dict[int, float]:
    """The cost of every N over that of N = 1, over the difficulties and seeds that have both."""
    if column not in study.final.columns:
        raise LackingError(f"the rows have no column {column}")
    counts = study.final.filter(pl.col("answer").is_null()).drop_nulls(column)
    means = counts.group_by("n", "depth", "seed").agg(pl.col(column).mean()).sort("n", "depth", "seed")
    plain = means.filter(pl.col("n") == 1).select("depth", "seed", plain=pl.col(column))
    both = means.join(plain, on=["depth", "seed"], how="inner", maintain_order="left")
    table = both.group_by("n", maintain_order=True).agg(pl.col(column).sum(), pl.col("plain").sum())
    ratios = {n: cost / one for n, cost, one in table.iter_rows() if one}
    if len(ratios) < 2:
        raise LackingError(f"no {column} of both N = 1 and another N")
    return ratios


def _costs(study: Study, column: str) -> str:
    counts = study.final.filter(pl.col("answer").is_null()).drop_nulls(column)
    each = {n: values(counts.filter(pl.col("n") == n)[column]) for n in values(counts["n"])}
    return ", ".join(
        f"N = {n} {'–'.join(f'{v:,.0f}' for v in (vs[:1] + vs[-1:])[: len(vs)])}" for n, vs in each.items()
    )


def _times(ratios: dict[int, float]) -> str:
    return ", ".join(f"N = {n} {ratio:.2f} times" for n, ratio in sorted(ratios.items()) if n > 1)


def _exact_finding(study: Study, reading: str, *, estimate: float, effect: float) -> Finding:
    """A finding in which nothing is random."""
    return Finding(
        reading=reading,
        quantity="ratio",
        estimate=Interval(estimate=estimate, low=estimate, high=estimate),
        effect=Interval(estimate=effect, low=effect, high=effect),
        smallest=ANY,
        p=None,
        seeds=int(study.final["seed"].n_unique()),
    )
