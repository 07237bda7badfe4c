"""What an exit rule could reach at best: how few passes, and what accuracy, by which examples were right at which N.

A model that was tested at several N needs, for each example, the smallest N at which it is right. Whoever knew it in
advance would be right wherever any N is right, with the fewest passes that this takes: no rule that gives an example
one N, for all of its windows, does better on these examples. A rule that halts window by window is not bounded by it.

Guessing flatters such an oracle, since it has a guess at every N: with one binary answer and eight N that guess afresh
it is right in 99.6 % of examples and knows nothing. So two more are told: what an oracle of guesses gets, and how many
passes it takes until an example is right and stays right, up to the best single N: an oracle of that has the accuracy
of the best N, so that many guesses are worth no more than one, and what it saves are passes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmark.rows.outcomes import Key, Outcome
from benchmark.rows.studies import DRAWN_PASSES, Study, suite_studies, values


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What exit rules could reach at best; accuracies and passes are means over what was asked."""

    fixed: float
    """The accuracy of the best N for all examples."""
    fixed_passes: float
    """That N, the smallest of equals."""
    oracle: float
    """The accuracy of the smallest N that is right, where one is."""
    oracle_passes: float
    """Its mean N; an example that no N has right takes the smallest."""
    stays_passes: float
    """The mean of the smallest N from which on it is right at every N up to the best, which has the same accuracy; an
    example that the best N has wrong takes the smallest N."""


def bound(right: NDArray[np.bool_], passes: Sequence[int]) -> Bound:
    """The bound of one model.

    Args:
        right: Whether each of what was asked was right at each N [N, asked].
        passes: Those N, rising.
    """
    counts = np.asarray(passes)
    fixed = right.mean(axis=1)
    best = int(fixed.argmax())
    stays = np.logical_and.accumulate(right[best::-1], axis=0)[::-1]
    # Of an example that is never right argmax is 0, which stands for the smallest N.
    return Bound(
        fixed=float(fixed[best]),
        fixed_passes=float(counts[best]),
        oracle=float(right.any(axis=0).mean()),
        oracle_passes=float(counts[right.argmax(axis=0)].mean()),
        stays_passes=float(counts[stays.argmax(axis=0)].mean()),
    )


def guess_accuracy(chance: float, tests: int) -> float:
    """The accuracy of an oracle whose every N guesses afresh; guesses that agree get less, down to `chance`."""
    return 1 - (1 - chance) ** tests


def bounds(frame: pl.DataFrame, outcomes: Mapping[Key, Outcome]) -> list[dict[str, Any]]:
    """The bound of every model that was tested at several N, at the end of its training, as the mean over its seeds.

    Args:
        frame: Rows.
        outcomes: Which examples were right, as `benchmark.rows.outcomes.read` has them.

    Returns:
        Plain data, a line per difficulty and kind of training: the fields of `Bound`; `tested`: the N of the tests;
        `seeds`; `chance`, and `guessing`: what an oracle of as many guesses gets; `above_guessing`: the share of the
        way from there to 1 that the oracle goes, at most 0 where it does no better than guesses.
    """
    lines = []
    for study in suite_studies(frame, ("test_passes", DRAWN_PASSES)):
        whole = study.final.filter(pl.col("answer").is_null())
        kinds = {*whole.select("depth", "n", DRAWN_PASSES).iter_rows()}
        for depth, n, draws in sorted(kinds, key=lambda kind: (kind[0], kind[2] or "", kind[1])):
            cells = whole.filter(
                pl.col("depth") == depth, pl.col("n") == n, pl.col(DRAWN_PASSES).eq_missing(pl.lit(draws))
            )
            passes = values(cells["tested_passes"])
            if of_study := list(_bounds(study, cells, passes, outcomes)) if len(passes) > 1 else []:
                chance = study.chance(depth) / 100
                facts = {"study": study.name, "at": study.label(depth), "n": n, "drawn": draws, "tested": passes}
                means = {name: float(np.mean([getattr(b, name) for b in of_study])) for name in asdict(of_study[0])}
                luck = guess_accuracy(chance, len(passes))
                rest = {"seeds": len(of_study), "chance": chance, "guessing": luck}
                lines.append(facts | means | rest | {"above_guessing": max(0.0, (means["oracle"] - luck) / (1 - luck))})
    return lines


def _bounds(
    study: Study, cells: pl.DataFrame, passes: Sequence[int], outcomes: Mapping[Key, Outcome]
) -> Iterator[Bound]:
    """The bound of each cell whose outcomes at every N of the tests were kept."""
    for cell_id, step, difficulty in cells.select("cell_id", "step", "difficulty").unique(maintain_order=True).rows():
        keys = [Key(cell_id, step, n, difficulty, None) for n in passes]
        if any(outcomes[key].asked.max() > 1 for key in keys if key in outcomes):  # answers count one by one
            here = (pl.col("cell_id") == cell_id) & (pl.col("difficulty") == difficulty)
            answers = values(study.final.filter(here)["answer"])
            by_n = [[key._replace(answer=answer) for answer in answers] for key in keys]
        else:
            by_n = [[key] for key in keys]
        if all(key in outcomes for of_n in by_n for key in of_n):
            yield bound(np.array([_right_answers([outcomes[key] for key in of_n]) for of_n in by_n]), passes)


def _right_answers(parts: Sequence[Outcome]) -> NDArray[np.bool_]:
    """Whether each of what was asked was right; at every N the same is asked."""
    return np.concatenate([part.right[part.asked > 0] > 0 for part in parts])
