"""Figures from rows alone: exact match against tokens and FLOPs, and the map of depth against sleep passes N.

Numbers are those of the test split. A cell that failed is left out and named under the figure; settings that vary beside
difficulty, N and seed are never averaged over: each combination gets figures of its own.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmark import rows, style

IDENTITY = ("suite", "scale", "task", "task_version", "model", "model_version", "device")
SYMBOLS = {"rollout_steps": "t", "hops": "k"}
THRESHOLDS = (0.5, 0.8)  # of lift
MOST_NAMED = 4  # failed cells named under a figure
MOST_LINES = 5  # seeds drawn one by one
MANTISSA = {3: "thousands", 6: "millions", 9: "billions", 12: "trillions"}


@dataclass(frozen=True, kw_only=True)
class Study:
    """Rows that may be drawn in one figure: they differ in difficulty, N and seed only.

    Attributes:
        name: What tells this study from the others of the same rows; empty if it is the only one.
        about: What was trained, for the line under the title.
        note: Seeds, failures and unfinished cells, for the line under the figure.
        axis: Name of the difficulty.
        scores: Test rows of every cell that did not fail, with `n` (N in training).
        final: Those of the last step of every finished cell.
        failed: One row per failed cell: `n`, `depth` (null if unknown), `seed`, `status`.
    """

    name: str
    about: str
    note: str
    axis: str
    scores: pl.DataFrame
    final: pl.DataFrame
    failed: pl.DataFrame

    @property
    def passes(self) -> list[int]:
        """Every N there is, failed cells included."""
        return _values([*self.scores["n"], *self.failed["n"]])

    @property
    def depths(self) -> list[int]:
        """Every difficulty there is, failed cells included."""
        return _values([*self.scores["depth"], *self.failed["depth"]])

    def depth(self, value: int) -> str:
        """A difficulty in words, such as "t = 4"."""
        return f"{SYMBOLS.get(self.axis, _words(self.axis))} = {value}"

    @property
    def depth_axis(self) -> str:
        """The name of the difficulty, with its symbol."""
        return f"{_words(self.axis)} {SYMBOLS.get(self.axis, '')}".strip()

    def whole(self, scores: pl.DataFrame, n: int, depth: int) -> pl.DataFrame:
        """The rows, out of `scores` or `final`, of one N and difficulty, all answers together."""
        return scores.filter((pl.col("n") == n) & (pl.col("depth") == depth) & pl.col("answer").is_null())

    def chance(self, depth: int) -> float:
        """Chance of the whole example at a difficulty, in percent; NaN where only failed cells have it."""
        found = self.scores.filter((pl.col("depth") == depth) & pl.col("answer").is_null())["chance"]
        return 100 * float(found[0]) if len(found) else math.nan


def draw(frame: pl.DataFrame, folder: Path) -> list[Path]:
    """Draw every figure that the rows allow as PNG and SVG; the paths written.

    A file is named after its figure and, if there are several studies in the rows, after the settings of its study.
    """
    written = []
    with style.context():
        for study in studies(frame):
            for name, figure_of in FIGURES.items():
                figure = figure_of(study)
                if figure is None:
                    continue
                stem = "-".join([name, *filter(None, [re.sub(r"[^A-Za-z0-9.]+", "-", study.name).strip("-")])])
                for kind in ("png", "svg"):
                    folder.mkdir(parents=True, exist_ok=True)
                    written.append(folder / f"{stem}.{kind}")
                    rows.write_atomically(written[-1], style.encode(figure, kind))
    return written


def studies(frame: pl.DataFrame) -> list[Study]:
    """The studies in a table of rows, in a fixed order; those without any score are left out."""
    axes = [a for a in frame["axis"].unique(maintain_order=True) if a in frame.columns]
    settings = [c for c in frame.columns if c not in rows.COLUMNS and c not in (*axes, "sleep_passes", "test_passes")]
    trained = pl.col("sleep_passes" if "sleep_passes" in frame.columns else "tested_passes")
    depth = pl.coalesce("difficulty", *(pl.when(pl.col("axis") == a).then(a) for a in axes))
    tested = pl.when(pl.col("tested_passes") != trained).then("tested_passes").cast(pl.String).fill_null("as trained")
    frame = frame.filter((pl.col("split") == "test") | (pl.col("status") != "ok"))
    frame = frame.with_columns(n=trained, depth=depth, test_passes=tested)
    frame = frame.sort("n", "depth", "seed", "cell_id", "step", "answer", nulls_last=True, maintain_order=True)
    identity = [c for c in IDENTITY if frame[c].n_unique() > 1]
    found = []
    for group in _split(frame, list(IDENTITY)):
        varying = [c for c in ["test_passes", *settings] if _varies(group, c)]
        for part in _split(group, varying):
            study = _study(part, [c for c in [*identity, *varying]], settings)
            if study.scores.height:
                found.append(study)
    return sorted(found, key=lambda study: study.name)


def _study(part: pl.DataFrame, naming: Sequence[str], settings: Sequence[str]) -> Study:
    """The study of rows that belong together; `naming`: the columns that tell it from others."""
    failed = part.filter(pl.col("status") != "ok").unique("cell_id", keep="first", maintain_order=True)
    scores = part.filter((pl.col("status") == "ok") & ~pl.col("cell_id").is_in(failed["cell_id"].implode()))
    budget = pl.col("tokens") if "tokens" in part.columns else pl.lit(0)
    last = scores.filter(pl.col("step") == pl.col("step").max().over("cell_id"))
    final = last.filter(pl.col("tokens_seen") >= budget)
    first = part.row(0, named=True)
    name = ", ".join(f"{_words(c)} {first[c]}" for c in naming if first[c] is not None)
    said = {c: first[c] for c in ("task", "model", "suite", "scale")}
    about = ", ".join([f"{said['task']}, {said['model']}", f"suite {said['suite']}, scale {said['scale']}"])
    study = Study(
        name=name,
        about=f"{about}\n{name}".strip(),
        note="",
        axis=first["axis"],
        scores=scores,
        final=final,
        failed=failed,
    )
    seeds = scores.group_by("n", "depth").agg(pl.col("seed").n_unique())["seed"]
    note = [f"{_range(seeds)} {'seed' if seeds.max() == 1 else 'seeds'}." if len(seeds) else ""]
    if failed.height:
        cells = [_cell(study, row) for row in failed.iter_rows(named=True)]
        more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
        note.append(f"{_count(len(cells), 'cell')} failed, left out: {'; '.join(cells[:MOST_NAMED])}{more}.")
    if unfinished := scores["cell_id"].n_unique() - final["cell_id"].n_unique():
        note.append(f"{_count(unfinished, 'cell')} unfinished: in curves as far as trained, not in final scores.")
    if differing := [_words(c) for c in settings if part[c].n_unique() > 1]:
        note.append(f"Not the same at every difficulty: {', '.join(differing)}.")
    object.__setattr__(study, "note", " ".join(note))
    return study


# --- the figures ---


def accuracy_by_depth(study: Study) -> Figure | None:
    """The paper's Figure 2a: exact match against training tokens, a curve per difficulty, a panel per N."""
    if len(study.depths) < 2:
        return None
    depths, passes = study.depths, [n for n in study.passes if n in set(study.scores["n"])]
    looks = style.by_order(depths)
    figure, axes = style.sheet(
        title=f"Deeper {_words(study.axis)} are learned later, or not at all",
        about=study.about,
        note=f"Mean over seeds; band: lowest to highest seed. {study.note}",
        panels=len(passes),
        size=(2.9, 2.2) if len(passes) < 3 else (2.45, 2.0),
    )
    return figure


FIGURES: dict[str, Callable[[Study], Figure | None]] = {}
