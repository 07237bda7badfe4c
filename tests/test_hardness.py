"""`bench hardness`: what is planted in a task is found and counted exactly; the committed tables are of these tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from harness import bench

import tasks
from benchmark.cells.suites import SUITES, TOKENS, suite, training_examples
from benchmark.environment import ROOT
from tasks import export, hardness, hardness_tables
from tasks.base import IGNORE, Episode, Task, Tokens
from tasks.rule110 import Rule110
from tasks.training_table import TrainingTable, training_table

COMMITTED = ROOT / "results" / "hardness"


def read(folder: Path) -> list[hardness.Row]:
    """The rows of a folder."""
    return hardness_tables.read((folder / "hardness.csv").read_text())


def committed() -> set[str]:
    """The tasks with a committed table."""
    return {row["task"] for row in read(COMMITTED)}


Asked = tuple[int, tuple[int, int] | None]  # a token of the input; what is predicted there: answer's number, target


@dataclass(frozen=True)
class Example:
    tokens: list[Asked]
    content: list[int]
    facts: dict[str, Any]


def fours(split: str, i: int) -> Example:
    """One in four has the answers 2, the others 1; the first question tells which, the second tells nothing.

    Test shares the contents of its first two examples with training; training says everything twice.
    """
    answer = 2 if i % 4 == 0 else 1
    content = i // 2 if split == "train" else i if i < 2 else 1000 + i
    content += 5000 if split == "validation" else 0
    tokens: list[Asked] = [(i, None), (7, None), (3, None), (10 + i % 4, (0, answer)), (answer, None), (9, (1, answer))]
    facts = {"depth": i % 4, "share": [0.5, 1.5], "kind": "even" if i % 2 else "odd", "question": 0}
    return Example(tokens, [content, content + 10**6], facts)


@dataclass(frozen=True, kw_only=True)
class Fake(Task):
    """Examples made by a function, in windows of 3 tokens."""

    name: ClassVar[str] = "fake"
    version: ClassVar[int] = 3
    axis: ClassVar[str] = "level"
    make: ClassVar[Callable[[str, int], Example]] = staticmethod(fours)
    facts: ClassVar[tuple[str, ...]] = ("depth", "share", "kind")

    level: int = 1

    vocab_size = 5000
    window = 3
    answers = 2

    @property
    def landmarks(self) -> tuple[int, ...]:
        return (1, 2)

    @property
    def seq_len(self) -> int:
        return len(self.make("train", 0).tokens)

    def chance(self, difficulty: int, answer: int | None = None) -> float:
        return difficulty / 8

    def floors(self, difficulty: int, answer: int | None = None) -> dict[str, float]:
        return {"majority": difficulty / 4, "question_only": difficulty / 2}

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        examples = [self.make(split, i) for i in indices.tolist()]
        told = [[asked or (-1, IGNORE) for _, asked in example.tokens] for example in examples]
        answer = np.array([[number for number, _ in row] for row in told])
        return Episode(
            inputs=np.array([[token for token, _ in example.tokens] for example in examples]),
            targets=np.array([[target for _, target in row] for row in told]),
            window=3,
            difficulty=np.where(answer >= 0, self.level, -1),
            answer=answer,
            content=np.array([example.content for example in examples], dtype=np.uint64),
            facts={name: np.array([example.facts[name] for example in examples]) for name in self.facts},
        )


@dataclass(frozen=True, kw_only=True)
class Alone(Fake):
    name: ClassVar[str] = "alone"
    joint: ClassVar[bool] = False


def measured(task: Task, examples: int = 40, level: int = 1) -> dict[str, float]:
    return {row["measure"]: row["value"] for row in hardness.measure(task, level, examples)}


# What is planted is found


def test_planted_contents_are_found_exactly() -> None:
    found = measured(Fake())
    assert found["test_in_train"] == 4 / 80
    assert found["validation_in_train"] == found["test_in_validation"] == 0
    assert found["repeated_in_train"] == 1 / 2
    assert found["repeated_in_test"] == 0


def test_the_most_frequent_answer_is_counted_exactly() -> None:
    assert measured(Fake())["majority_measured"] == 3 / 4
    assert measured(Alone())["majority_measured"] == 3 / 4


def test_a_question_tells_its_own_answer_alone() -> None:
    """The answer before the second question, given to the model by then, would tell it; it is no question."""
    assert measured(Fake())["question_only_measured"] == 3 / 4
    assert measured(Alone())["question_only_measured"] == (1 + 3 / 4) / 2


def test_answers_in_a_row_have_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(split: str, i: int) -> Example:
        a, b = (1, 2) if i % 2 else (2, 1)
        return Example([(i, None), (7, None), (3, None), (10 + i % 2, (0, a)), (a, (1, b))], [i], {})

    monkeypatch.setattr(Fake, "make", staticmethod(row))
    monkeypatch.setattr(Fake, "facts", ())
    found = measured(Fake())
    assert found["question_only_measured"] == 1
    assert found["majority_measured"] in (0, 0.5), "answers of equal frequency"


def test_an_answer_of_several_tokens_is_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 2 is most frequent, though 2 1 and 2 2 make a first token of 2, and a last of 2 or 1, as frequent."""

    def words(split: str, i: int) -> Example:
        a, b = [(1, 2), (1, 2), (2, 1), (2, 2)][i % 4]
        return Example([(i, None), (7, None), (3, None), (9, (0, a)), (a, (0, b)), (b, None)], [i], {})

    monkeypatch.setattr(Alone, "make", staticmethod(words))
    monkeypatch.setattr(Alone, "facts", ())
    found = measured(Alone())
    assert found["majority_measured"] == found["question_only_measured"] == 1 / 2


def test_a_question_never_seen_gets_the_majority(monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(split: str, i: int) -> Example:
        example = fours(split, i)
        if split == "test":
            example.tokens[3] = (100, example.tokens[3][1])
        return example

    monkeypatch.setattr(Alone, "make", staticmethod(shifted))
    assert measured(Alone())["question_only_measured"] == 3 / 4


@pytest.mark.parametrize("shape", ["example", "answer"])
def test_a_task_can_say_what_is_asked(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(split: str, i: int) -> Example:
        example = fours(split, i)
        example.facts["question"] = i % 4 if shape == "example" else [i % 4, i % 2]
        return example

    monkeypatch.setattr(Alone, "make", staticmethod(told))
    monkeypatch.setattr(Alone, "facts", ("depth", "question"))
    found = measured(Alone())
    # By [i % 4, i % 2], question 0 is asked first of every fourth example (answer 2) and then of every second one
    # (answers 2 and 1): 2 is its most frequent answer, and wrong for the second answer of every fourth example.
    assert found["question_only_measured"] == (1 if shape == "example" else (1 + 3 / 4) / 2)
    assert "mean_question" not in found


def test_means_and_what_the_task_says_of_itself() -> None:
    found = measured(Fake(), level=2)
    assert {name: value for name, value in found.items() if name.startswith("mean_")} == {
        "mean_depth": 1.5,
        "mean_share": 1.0,
    }
    assert (found["chance"], found["majority_floor"], found["question_only_floor"]) == (0.25, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class Fixed(Fake):
    """The fourth token, one of four kinds, fixes both answers: 2 2 for the first kind, else 1 1."""

    name: ClassVar[str] = "fixed"

    def determinants(self, episode: Episode) -> np.ndarray:
        kind = episode.inputs[:, 3:4].astype(np.uint64)
        return np.concatenate([kind, kind + np.uint64(100)], axis=1)


@pytest.mark.parametrize(("kind", "score"), [(10, 1), (11, 3 / 4)])
def test_a_table_knows_what_it_has_met_and_guesses_the_rest(kind: int, score: float) -> None:
    """One kind in four is met, in both answers; guessing gets the three kinds whose answer is most frequent."""
    table = TrainingTable(determinants=np.array([kind, kind + 100], dtype=np.uint64), examples=7)
    found = {row["measure"]: row["value"] for row in hardness.measure(Fixed(), 1, 40, table=table)}
    assert (found["training_examples"], found["determinants_in_train"], found["table"]) == (7, 1 / 4, score)
    assert "table" not in measured(Fixed())


@pytest.mark.parametrize(("count", "parts"), [(1, {10, 110}), (3, {10, 11, 12, 110, 111, 112})])
def test_a_table_is_made_of_the_first_training_examples(count: int, parts: set[int]) -> None:
    found = training_table(Fixed(), count)
    assert found is not None and {*found.determinants.tolist()} == parts
    assert training_table(Fake(), count) is None
    rows = list(hardness.measure_all(Fixed(), 40, count))
    shares = [row["value"] for row in rows if row["measure"] == "determinants_in_train"]
    assert shares == [count / 4] * 2


def test_the_table_of_rule_110() -> None:
    """With the training of the suite: up to two steps it has met everything, from then on nothing."""
    task = Rule110(cells=8, strings=1)
    assert training_examples(task) == 5_000_000 // task.seq_len
    for steps, share in ((2, 1), (3, 0), (5, 0)):
        deeper = task.at(steps)
        found = hardness.measure(deeper, steps, 300, table=training_table(deeper, 3000))
        values = {row["measure"]: row["value"] for row in found}
        assert values["determinants_in_train"] == share
        assert values["table"] == (1 if share else values["majority_measured"])


def test_a_task_that_no_suite_trains_on_has_a_budget() -> None:
    assert training_examples(Fake()) == TOKENS // Fake().seq_len


def test_pieces_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, counted = hardness.measure(Fake(), 1, 20), list[int]()
    monkeypatch.setattr(export, "_CHUNK_TOKENS", 6 * Fake().seq_len)
    assert hardness.measure(Fake(), 1, 20, counted.append) == whole
    assert counted == [6, 6, 6, 2] * 3


@pytest.mark.parametrize("name", tasks.available())
def test_no_task_of_ours_leaks(name: str) -> None:
    task = tasks.load(name)()
    found = measured(task, 30, task.landmarks[0])
    assert found["test_in_train"] == found["validation_in_train"] == found["test_in_validation"] == 0
    assert found["chance"] == task.at(task.landmarks[0]).chance(task.landmarks[0])


# The command


def test_the_command_writes_both_files_and_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tasks.TASKS, "fake", f"{__name__}:Fake")
    out = tmp_path / "deep" / "hardness"
    done = bench("hardness", "fake", "recall", "--examples", 40, "--training", 200, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert {path.name for path in out.iterdir()} == {"hardness.csv", "hardness.md"}
    rows = [row for level in (1, 2) for row in hardness.measure(Fake(), level, 40)]
    written = read(out)
    assert written[: len(rows)] == rows
    assert {row["task"] for row in written[len(rows) :]} == {"recall"}
    page = (out / "hardness.md").read_text()
    assert page == hardness_tables.markdown(written)
    for part in ("## fake version 3, 40 examples of each split", "| level | 1 | 2 |", "| chance | 0.1250 | 0.2500 |"):
        assert part in page
    for part in ("fake version 3", "test in train", "0.0500", "recall version", "hardness.csv", "hardness.md"):
        assert part in done.out
    before = {path: path.read_bytes() for path in out.iterdir()}
    refused = bench("hardness", "fake", "--examples", 20, "--out", out)
    assert refused.code == 2 and "--force" in refused.err
    first = (out / "hardness.csv").read_text()
    assert bench("hardness", "fake", "--examples", 20, "--out", out, "--force").code == 0
    after = (out / "hardness.csv").read_text()
    recall = [line for line in first.splitlines() if line.startswith("recall,")]
    assert recall and [line for line in after.splitlines() if line.startswith("recall,")] == recall
    assert after != first
    assert bench("hardness", "fake", "recall", "--examples", 40, "--training", 200, "--out", out, "--force").code == 0
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_settings_are_named(tmp_path: Path) -> None:
    arguments = ("--examples", 20, "--training", 30, "--set", "cells=8", "--set", "strings=1", "--out", tmp_path)
    done = bench("hardness", "rule110", *arguments)
    assert (done.code, done.err) == (0, "")
    assert {row["settings"] for row in read(tmp_path)} == {"cells=8 strings=1"}
    assert "## rule110 version 2 with cells=8 strings=1, 20 examples" in (tmp_path / "hardness.md").read_text()


def test_little_is_told_from_none() -> None:
    same = {"task": "fake", "version": 1, "settings": "", "axis": "level", "difficulty": 1, "examples": 9}
    rows = [same | {"measure": name, "value": value} for name, value in (("a", 0.0), ("b", 1e-5), ("c", 75.0))]
    ((_, columns, lines),) = hardness_tables.tables(rows)
    assert (columns, lines) == (["level", "1"], [["a", "0"], ["b", "1.0e-05"], ["c", "75"]])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recal"], "unknown task 'recal'"),
        (["recall", "--examples", "0"], "--examples must be a whole number >= 1; given 0"),
        (["recall", "--training", "0"], "--training must be a whole number >= 1; given 0"),
        (["recall", "--set", "cells=8"], "unknown setting 'cells'"),
    ],
)
def test_bad_input(arguments: list[str], said: str, tmp_path: Path) -> None:
    told = bench("hardness", *arguments, "--out", tmp_path / "out")
    assert (told.code, told.out) == (2, "")
    assert said in told.err
    assert not (tmp_path / "out").exists()


# The committed tables


def test_the_tasks_of_the_suites_have_a_committed_table() -> None:
    """A new task need not."""
    assert {base.task.name for name in SUITES for base in suite(name, "paper").bases} <= committed()


@pytest.mark.parametrize("name", [name for name in tasks.TASKS if name in committed()])
def test_the_committed_tables_are_of_these_tasks(name: str) -> None:
    rows = read(COMMITTED)
    mine = [row for row in rows if row["task"] == name]
    task = tasks.load(name)()
    assert {row["examples"] for row in mine} == {10_000}
    assert {row["version"] for row in mine} == {task.version}, "`bench hardness` brings it up to date"
    assert tuple(dict.fromkeys(row["difficulty"] for row in mine)) == task.landmarks
    values = {(row["difficulty"], row["measure"]): row["value"] for row in mine}
    for level in task.landmarks:
        assert values[level, "chance"] == pytest.approx(task.at(level).chance(level))
        for floor, value in task.at(level).floors(level).items():
            assert values[level, f"{floor}_floor"] == pytest.approx(value)
        for overlap in ("test_in_train", "validation_in_train", "test_in_validation"):
            assert values[level, overlap] == 0


def test_the_committed_page_is_of_the_committed_rows() -> None:
    assert (COMMITTED / "hardness.md").exists(), "`bench hardness` writes it"
    assert (COMMITTED / "hardness.md").read_text() == hardness_tables.markdown(read(COMMITTED))
