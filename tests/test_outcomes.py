"""Outcomes per example: the bits that rows are means of, whatever happens to the run; damage named and set aside."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from harness import small
from planted import flat, planted, study, table

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.judge.claims import judge
from benchmark.judge.claims.forms import beats
from benchmark.judge.statistics import paired_outcomes, shared_variance
from benchmark.rows import outcomes
from benchmark.rows.outcomes import Key, Outcome
from benchmark.run.folder import CellFolder, SweepFolder
from benchmark.run.trainer import Trainer
from tasks.depo import Depo

pytestmark = pytest.mark.usefixtures("one_thread")

JOINT = small(strings=2, test_passes=(1, 2))
SINGLE = replace(
    small(tokens=2000),
    task=Depo(nodes=5, questions=4, max_hops=2, codec="bare", letters=12, distribution="fixed", window_tokens=12),
)  # each answer with a difficulty of its own


def train(cell: Cell, folder: Path, stop_after: int = 10**9) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(cell, folder)
    return trainer.run(stop=lambda: trainer.step >= stop_after)


def suite(root: Path, *cells: Cell) -> Path:
    """A folder as a sweep leaves it."""
    for cell in cells:
        folder = SweepFolder(root).of(cell)
        train(cell, folder.path)
        folder.plan.write_text("{}")
    SweepFolder(root).gather()
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return suite(tmp_path_factory.mktemp("trained"), JOINT)


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A suite of one cell, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "suite"))


@pytest.mark.parametrize("cell", [JOINT, SINGLE], ids=["right together", "each by itself"])
def test_the_mean_of_outcomes_is_the_score_of_the_rows_bit_for_bit(tmp_path: Path, cell: Cell) -> None:
    written = outcomes.read(suite(tmp_path, cell, replace(cell, seed=1)))
    table = rows.read_table(tmp_path)
    steps = cell.evaluation_steps
    tested = table.filter(pl.col("step").is_in(list(outcomes.outcome_steps(steps))))
    scores = {Key(*row[:-1]): row[-1] for row in tested.select(*Key._fields, "exact_match").rows()}
    assert {key: outcome.exact_match for key, outcome in written.items()} == scores
    assert len({key.step for key in scores}) == 2 and max(key.step for key in scores) == steps[-1]
    for outcome in written.values():
        assert len(outcome.asked) == cell.training.test_examples
        assert outcome.values.mean() == pytest.approx(outcome.exact_match)


def test_where_difficulties_differ_from_example_to_example_it_is_kept_which_were_asked(tmp_path: Path) -> None:
    found = outcomes.read(suite(tmp_path, SINGLE))
    episode = SINGLE.task.episodes("test", np.arange(SINGLE.training.test_examples), seed=0)
    for key, outcome in found.items():
        at = (episode.difficulty == key.difficulty) & (episode.targets >= 0)
        if key.answer is not None:
            asked = (at & (episode.answer == key.answer)).any(axis=1).astype(int)
        else:  # how many of its answers have this difficulty
            asked = np.array([len(set(row[here])) for row, here in zip(episode.answer, at, strict=True)])
        assert outcome.asked.tolist() == asked.tolist()
    assert any(outcome.asked.max() > 1 for outcome in found.values())


@pytest.mark.parametrize(("count", "kept"), [(1, {1}), (2, {1, 2}), (3, {2, 3}), (20, {10, 20})])
def test_the_last_test_and_the_one_in_the_middle_are_kept(count: int, kept: set[int]) -> None:
    assert outcomes.outcome_steps(range(1, count + 1)) == kept


class Killed(BaseException):
    """What no code catches: the end of the process."""


@pytest.mark.parametrize("moment", ["before", "torn", "after"])
def test_killed_at_a_test_and_run_again_it_leaves_the_same_file(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    whole = SweepFolder(trained).of(JOINT).outcomes_file.read_bytes()
    broken = tmp_path / "broken"
    append = rows.append

    def killed(path: Path, lines: Any, **options: Any) -> None:
        if path.name == outcomes.LINES and moment != "before":
            append(path, lines, **options)
            if moment == "torn":
                path.write_bytes(path.read_bytes()[:-30])
        if path.name == outcomes.LINES:
            raise Killed

    for _ in range(2):  # at the one in the middle, and once more
        monkeypatch.setattr(rows, "append", killed)
        with pytest.raises(Killed):
            train(JOINT, broken)
        monkeypatch.setattr(rows, "append", append)
    middle = min(outcomes.outcome_steps(JOINT.evaluation_steps))
    assert train(JOINT, broken, stop_after=middle + 1) == "stopped"
    assert train(JOINT, broken) == train(JOINT, broken) == "ok"
    assert (broken / outcomes.LINES).read_bytes() == whole


def test_a_sweep_keeps_no_outcomes_without_rows(folder: Path) -> None:
    """A worker that is killed between the two has written only one."""
    path = SweepFolder(folder).of(JOINT).rows_file
    last = JOINT.evaluation_steps[-1]
    rows.rewrite(path, [row for row in rows.read(path) if row["step"] < last])
    SweepFolder(folder).gather()
    assert {key.step for key in outcomes.read(folder)} == outcomes.outcome_steps(JOINT.evaluation_steps) - {last}


@pytest.mark.parametrize("damage", [b'{"cell_id": "c0f', b'{"cell_id": "c"}', None])
def test_a_damaged_file_is_named_and_set_aside_and_the_cell_trained_again(folder: Path, damage: bytes | None) -> None:
    of_cell = SweepFolder(folder).of(JOINT).path
    path, whole = of_cell / outcomes.LINES, (of_cell / outcomes.LINES).read_bytes()
    (of_cell / "finished.json").write_text('{"status": "ok", "reason": null}')
    lines = whole.split(b"\n")
    lines[1] = damage if damage is not None else lines[1].replace(b'"examples": 16', b'"examples": 17')
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(rows.DamagedFileError, match=r"outcomes\.jsonl, line 2: .*") as error:
        SweepFolder(folder).set_damaged_aside()
    assert f"set aside as {path}.damaged-1" in str(error.value)
    SweepFolder(folder).set_damaged_aside()  # once
    assert CellFolder(of_cell).state == ("waiting", None)
    train(JOINT, of_cell)
    assert path.read_bytes() == whole


def test_a_damaged_table_is_set_aside_and_gathered_again(folder: Path) -> None:
    path = folder / outcomes.FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    place = SweepFolder(folder)
    place.set_damaged_aside()
    said = "\n".join(place.remarks)
    assert re.search(r"outcomes\.parquet is not a readable parquet file.*\n  set aside as .*damaged-1", said)
    assert path.read_bytes() == whole
    rows.table([]).write_parquet(path)
    with pytest.raises(rows.DamagedFileError, match="not a table of outcomes"):
        outcomes.read(folder)
    path.unlink()  # rows of earlier code have none
    assert outcomes.read(folder) == {}


def test_the_weight_of_a_test_is_an_eighth_of_a_byte_an_example() -> None:
    right = np.arange(2048) % 3 == 0
    frame = outcomes.table(
        [
            dict(zip(Key._fields, ("c", 1, 1, 6, None), strict=True))
            | {"examples": 2048, "asked": None, "right": outcomes._pack(right)}
        ]
    )
    assert len(frame["right"][0]) == 256
    assert outcomes._outcome(2048, None, frame["right"][0]).right.tolist() == right.astype(int).tolist()


def test_an_example_of_several_difficulties_counts_once() -> None:
    """Three difficulties ask about the same examples: intervals are those of the means over difficulties."""
    random = np.random.default_rng(5)
    hard = random.standard_normal(400)  # an example that is hard is so at each difficulty
    rows_ = planted(flat(n1=0.5, n2=0.6), depths=(1, 2, 3), seeds=4, examples=400)
    right: dict[tuple[int, int], list[np.ndarray]] = {}
    known = {}
    for row in rows_:
        if row["tokens_seen"] == row["tokens"]:
            n, seed = row["sleep_passes"], row["seed"]
            values = random.standard_normal(400) + 2 * hard * (n == 2) < 0.3 * n
            key = Key(row["cell_id"], row["step"], row["tested_passes"], row["difficulty"], None)
            known[key] = Outcome(asked=np.ones(400, dtype=np.int64), right=values.astype(np.int64))
            row["exact_match"] = float(values.mean())
            right.setdefault((n, seed), []).append(values)
    one, other = (np.array([np.mean(right[n, seed], axis=0) for seed in range(4)]) for n in (1, 2))
    by_hand = paired_outcomes(one, other)
    assert shared_variance(other - one) > 0.01
    found = beats(replace(study(rows_), outcomes=known), low=1, high=2, at="all", smallest=0.05)
    ends = [getattr(found.effect, end) for end in ("estimate", "low", "high")]
    assert ends == pytest.approx([getattr(by_hand.difference, end) for end in ("estimate", "low", "high")])
    assert found.p == pytest.approx(by_hand.p)


def test_verdicts_count_what_examples_add_by_outcomes() -> None:
    """Two N of equal scores, right on the same examples or on others: only the second is open to other examples."""
    rows_ = planted(flat(n1=0.75, n2=0.75, n4=0.75), ns=(1, 2, 4), noise=0.002)
    half, quarter = np.arange(2000) % 2 == 0, np.arange(2000) % 4 == 0
    same, turned = half | quarter, ~(half & quarter)
    ends = {}
    for name, of_two in (("alike", same), ("apart", turned[::-1])):
        known = {}
        for row in rows_:
            right = (of_two if row["sleep_passes"] == 2 else same).astype(np.int64)
            key = Key(row["cell_id"], row["step"], row["tested_passes"], row["difficulty"], None)
            known[key] = Outcome(asked=np.ones(2000, dtype=np.int64), right=right)
        (found,) = (each for each in judge(table(rows_), known) if each.id == "two-beats-one")
        assert found.high is not None and found.estimate is not None
        ends[name] = found.high - found.estimate
    (found,) = (each for each in judge(table(rows_)) if each.id == "two-beats-one")
    assert found.high is not None and found.estimate is not None
    assert ends["alike"] == pytest.approx(found.high - found.estimate, rel=0.05)
    assert ends["apart"] > 1.5 * ends["alike"]
