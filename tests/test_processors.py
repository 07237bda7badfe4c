"""Seeds of several processors: the same seed is another run there, so pairs are of one, and readers are told."""

from collections.abc import Callable

import polars as pl
import pytest
from planted import flat, planted, table

from benchmark import environment, rows
from benchmark.cells.facts import cell_facts
from benchmark.figures import gains
from benchmark.judge import seeds, summaries
from benchmark.judge.claims import judge
from benchmark.judge.evidence import LackingError, Scores, align, common_seeds
from benchmark.rows.studies import studies
from tests.harness import small

PART = {"ns": (1, 2, 4), "depths": (0, 2, 4), "seeds": 5, "noise": 0.01}


def on(processor: Callable[[rows.Row], str | None]) -> pl.DataFrame:
    """Rows in which N = 2 is better than N = 1, each trained where a function of it says."""
    return table([row | {"processor": processor(row)} for row in planted(flat(n1=0.6, n2=0.8, n4=0.8), **PART)])  # type: ignore[arg-type]


def moved(row: rows.Row) -> str:
    """Seeds 3 and 4 of N = 2 were trained elsewhere than all else."""
    return "other" if row["sleep_passes"] == 2 and row["seed"] > 2 else "one"


def test_rows_name_the_processor() -> None:
    assert cell_facts(small(), device="cpu", context={})["processor"] == environment.processor()


def test_a_pair_is_of_one_processor_where_both_are_known() -> None:
    low = Scores({0: 0.1, 1: 0.2, 2: 0.3}, {0: ["a", "a"], 1: ["a", "a"], 2: [None, None]})
    high = Scores({0: 0.5, 1: 0.6, 2: 0.7, 3: 0.8}, {0: ["a", "a"], 1: ["a", "b"], 2: ["b", "b"], 3: ["a", "a"]})
    assert common_seeds(low, high) == [0, 2]
    assert align(low, high) == ([0.1, 0.3], [0.5, 0.7])
    assert common_seeds(low, {0: 1.0, 1: 1.0}) == [0, 1]
    with pytest.raises(LackingError, match="on one processor"):
        align(Scores({1: 0.2}, {1: ["a"]}), Scores({1: 0.3}, {1: ["b"]}))


@pytest.mark.parametrize(
    ("where", "pairs"), [(moved, 3), (lambda row: f"of seed {row['seed'] // 3}", 5), (lambda row: None, 5)]
)
def test_claims_seeds_and_gains_keep_to_pairs_of_one_processor(
    where: Callable[[rows.Row], str | None], pairs: int
) -> None:
    frame = on(where)
    (found,) = (judgement for judgement in judge(frame) if judgement.id == "two-beats-one")
    assert found.seeds == pairs
    (study,) = studies(frame)
    assert {gain.seeds for gain in gains.gains(study)[gains.EQUAL_TOKENS] if gain.n == 2} == {pairs}
    line = next(line for line in seeds.seed_requirements(frame, 0.1) if (line["n"], line["other_n"]) == (1, 2))
    assert line["seeds"] == pairs


def test_two_backends_are_no_pair() -> None:
    """Blocks in C round differently; older rows, which do not say, are torch's."""
    rows_ = planted(flat(n1=0.6, n2=0.8, n4=0.8), processor="one", **PART)  # type: ignore[arg-type]
    backends = {True: "native", False: "torch"}
    mixed = [row | {"backend": backends[row["sleep_passes"] == 2 and row["seed"] > 2]} for row in rows_]
    (study,) = studies(table(mixed))
    assert {gain.seeds for gain in gains.gains(study)[gains.EQUAL_TOKENS] if gain.n == 2} == {3}
    assert "2 processors: one, one, native" in study.note
    older = [row | {"backend": None if row["sleep_passes"] == 1 else "torch"} for row in rows_]
    (study,) = studies(table(older))
    assert {gain.seeds for gain in gains.gains(study)[gains.EQUAL_TOKENS] if gain.n == 2} == {5}


def test_several_processors_are_said() -> None:
    several, single = on(moved), on(lambda row: "one")
    for frame, said in ((several, True), (single, False)):
        (found,) = (judgement for judgement in judge(frame) if judgement.id == "two-beats-one")
        assert ("seeds of 2 processors" in found.reading) == said
        assert ("2 processors, one, other" in summaries.caption(frame)) == said
        assert ("Trained on 2 processors: one, other." in studies(frame)[0].note) == said
