"""`bench data`: rows say what the task says, in both formats; a file is whole or not there."""

import json
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from harness import bench, start

import tasks
from tasks import export
from tasks.base import IGNORE, Task
from tasks.recall import Recall
from tasks.rule110 import Rule110

EXAMPLES = 5
ALL = pytest.mark.parametrize("name", tasks.available())


def read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_ndjson(path, schema=export.SCHEMA)


class Breaks(Rule110):
    """A task that fails at its second example."""

    name: ClassVar[str] = "breaks"

    def records(self, split: str, indices: Any, seed: int = 0) -> list[dict[str, Any]]:
        if np.max(indices) > 0:
            raise ValueError("broken here")
        return super().records(split, indices, seed)


# What a row says


@ALL
@pytest.mark.parametrize("suffix", export.SUFFIXES)
def test_a_file_holds_the_episodes_of_a_task(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    done = bench("data", name, "--split", "test", "--examples", EXAMPLES, "--seed", 3, "--out", path)
    assert (done.code, done.err) == (0, "")
    assert done.out.split() == ["5", "examples:", str(path)]
    assert list(tmp_path.iterdir()) == [path]
    task = tasks.load(name)()
    episode = task.episodes("test", range(EXAMPLES), seed=3)
    frame = read(path)
    assert dict(frame.schema) == export.SCHEMA
    assert frame["index"].to_list() == list(range(EXAMPLES))
    for column, value in {"task": name, "version": task.version, "split": "test", "seed": 3}.items():
        assert set(frame[column]) == {value}
    assert frame["tokens"].to_list() == episode.inputs.tolist()
    assert frame["targets"].to_list() == episode.targets.tolist()
    for b, row in enumerate(frame.iter_rows(named=True)):
        assert [int(part, 16) for part in row["structure"].split("-")] == episode.content[b].tolist()
        numbers = sorted(set(episode.answer[b][episode.targets[b] != IGNORE].tolist()))
        assert len(row["answer"]) == len(row["difficulty"]) == len(numbers)
        for number, words, difficulty in zip(numbers, row["answer"], row["difficulty"], strict=True):
            at = episode.answer[b] == number
            assert words == " ".join(task.word(token) for token in episode.targets[b, at].tolist())
            assert set(episode.difficulty[b, at].tolist()) == {difficulty}


@ALL
def test_a_row_tells_how_to_make_it_again(name: str) -> None:
    task = tasks.load(name)()
    (row,) = task.records("validation", [4], seed=7)
    told = json.loads(row["metadata"])
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in told["settings"].items()}
    same = tasks.load(row["task"])(**settings)
    assert same == task
    assert same.records(row["split"], [row["index"]], row["seed"]) == [row]
    facts = task.episodes("validation", [4], seed=7).facts
    assert told["facts"] == {fact: array[0].tolist() for fact, array in facts.items()}


def test_answers_in_words() -> None:
    task = Recall(pairs=2, queries=2)
    (row,) = task.records("train", [0])
    drawn = task.example().splitlines()
    assert row["answer"] == drawn[-1].split()[1:]
    assert row["difficulty"] == [2, 2]
    assert row["prompt"] is None


def test_pieces_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, counted = Rule110(cells=8), list[int]()
    export.write(task, tmp_path / "whole.parquet", split="train", examples=10)
    monkeypatch.setattr(export, "_CHUNK_TOKENS", 3 * task.seq_len)
    export.write(task, tmp_path / "pieces.parquet", split="train", examples=10, advance=counted.append)
    assert counted == [3, 3, 3, 1]
    assert read(tmp_path / "pieces.parquet").equals(read(tmp_path / "whole.parquet"))
    assert read(tmp_path / "pieces.parquet").height == 10
    for examples, size in ((1, 1), (7, 5)):
        monkeypatch.setattr(export, "_CHUNK_TOKENS", size)  # less than an example
        assert [len(piece) for piece in export.chunks(task, examples)] == [1] * examples


def test_settings(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.jsonl"
    done = bench("data", "rule110", "--set", "cells=5", "--set", "strings=1", "--out", path, "--examples", 2)
    assert (done.code, done.err) == (0, "")
    assert [len(json.loads(line)["tokens"]) for line in path.read_text().splitlines()] == [6, 6]


def test_show() -> None:
    task = Recall(pairs=2, queries=1)
    arguments = ["--split", "test", "--seed", 2, "--set", "pairs=2", "--set", "queries=1"]
    done = bench("data", "recall", "--show", 3, *arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out == "".join(task.example(i, "test", 2) + "\n\n" for i in range(3))


# A file is whole or not there


def test_a_file_is_not_replaced_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_text("mine")
    told = bench("data", "recall", "--out", path, "--examples", 2)
    assert (told.code, told.out) == (2, "")
    assert told.err == f"bench: {path} is there already; --force replaces it\n"
    assert path.read_text() == "mine"
    assert bench("data", "recall", "--out", path, "--examples", 2, "--force").code == 0
    assert read(path).height == 2


@pytest.mark.parametrize("suffix", export.SUFFIXES)
def test_what_breaks_leaves_what_was_there(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tasks.TASKS, "breaks", f"{__name__}:Breaks")
    monkeypatch.setattr(export, "_CHUNK_TOKENS", 1)
    path = tmp_path / f"rows{suffix}"
    path.write_text("mine")
    done = bench("data", "breaks", "--out", path, "--examples", 3, "--force")
    assert (done.code, done.out) == (2, "")
    assert "broken here" in done.err
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "mine"


@pytest.mark.parametrize("suffix", export.SUFFIXES)
def test_ctrl_c_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    process = start("data", "rule110", "--examples", 10**8, "--out", tmp_path / f"rows{suffix}", cwd=tmp_path)
    try:
        for _ in range(600):
            if list(tmp_path.iterdir()) or process.poll() is not None:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()  # else it would go on for hours should this fail
    assert (process.returncode, out, err) == (130, "", "Stopped; nothing was written.\n")
    assert not list(tmp_path.iterdir())


# Bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rule110"], "give --out FILE.parquet or FILE.jsonl to write examples, --show K to print some"),
        (["rul110", "--show", "1"], "unknown task 'rul110'; valid: rule110"),
        (["rule110", "--out", "rows.csv"], "rows.csv: unknown suffix '.csv'; valid: .parquet, .jsonl"),
        (["rule110", "--out", "rows.json"], "did you mean '.jsonl'?"),
        (["rule110", "--show", "1", "--split", "tset"], "unknown split 'tset'; valid: train, validation, test"),
        (["rule110", "--show", "0"], "--show must be a whole number >= 1; given 0"),
        (["rule110", "--out", "rows.jsonl", "--examples", "0"], "--examples must be a whole number >= 1; given 0"),
        (["rule110", "--show", "1", "--seed", "-1"], "seed must be a whole number >= 0; given -1"),
        (["rule110", "--show", "1", "--set", "cels=4"], "unknown setting 'cels'; valid: asked, boundary, cells"),
        (["rule110", "--show", "1", "--set", "seed=4"], "unknown setting 'seed'"),
        (["rule110", "--show", "1", "--set", "cells=few"], "cells takes a whole number; given 'few'"),
        (["rule110", "--show", "1", "--set", "cells=2"], "cells must be a whole number in 3..24"),
    ],
    ids=" ".join,
)
def test_bad_input(arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = bench("data", *arguments)
    assert (told.code, told.out) == (2, "")
    assert said in told.err
    assert len(told.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_every_task_gives_every_column() -> None:
    assert issubclass(Breaks, Task)
    for name in tasks.available():
        (row,) = tasks.load(name)().records("train", [0])
        assert list(row) == list(export.SCHEMA)
