"""Rows and checkpoints on disk: whole or not there, damage named and set aside, tables that tell nothing of order."""

import os
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from benchmark import rows
from benchmark.rows import COLUMNS, DamagedFileError, OtherCodeError, outcomes
from benchmark.run import checkpoint

CPU = torch.device("cpu")


NOW = rows.SCHEMA_VERSION


def row(step: int = 1, **values: Any) -> rows.Row:
    named = {
        "schema_version": NOW,
        "cell_id": "c0ffee",
        "status": "ok",
        "task": "rule110",
        "task_version": 2,
        "seed": 0,
    }
    model = {"model": "hybrid", "model_version": 1, "seq_len": 9, "window": 8, "axis": "rollout_steps", "difficulty": 2}
    scores = {"tested_passes": 1, "n_examples": 4, "tokens_seen": 9, "answer": None, "exact_match": 0.5, "chance": 0.5}
    return named | model | scores | {"step": step} | values


class Interrupted(BaseException):
    """What no code catches: the end of the process."""


def interrupt(*_: Any, **__: Any) -> None:
    raise Interrupted


# JSON lines


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    first, second = (
        [row(1, loss=0.1 + 0.2, reason=None), row(1, answer=3)],
        [row(2, test_passes=[1, 2], model="Bücher")],
    )
    rows.append(path, first)
    rows.append(path, second)
    assert rows.read(path) == first + second
    assert list(tmp_path.iterdir()) == [path]


def test_no_file_means_no_rows(tmp_path: Path) -> None:
    assert rows.read(tmp_path / "rows.jsonl") == []


@pytest.mark.parametrize("kept", [1, 10, -1])
def test_a_torn_last_line_is_dropped(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "rows.jsonl"
    rows.append(path, [row(1), row(2)])
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    path.write_bytes(whole[:start] + whole[start:][:kept])
    assert rows.read(path) == [row(1)]
    rows.append(path, [row(2)])
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"cell_id": "c0f', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b"{}", "has no check"),
    ],
)
def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    rows.append(path, [row(1)])
    with path.open("ab") as file:
        file.write(line + b"\n")
    rows.append(path, [row(2)])
    with pytest.raises(DamagedFileError, match=rf"rows\.jsonl, line 2: {said}"):
        rows.read(path)


def test_rewriting_replaces_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows.append(path, [row(1), row(2)])
    rows.rewrite(path, [row(2)])
    assert rows.read(path) == [row(2)]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    path = tmp_path / "rows.jsonl"
    rows.append(path, [row(1)])
    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[moment], interrupt)
    with pytest.raises(Interrupted):
        rows.rewrite(path, [row(2)])
    assert rows.read(path) == [row(1)]
    monkeypatch.undo()
    rows.rewrite(path, [row(2)])
    assert rows.read(path) == [row(2)]
    assert list(tmp_path.iterdir()) == [path]


def test_setting_aside_never_overwrites(tmp_path: Path) -> None:
    path, moved = tmp_path / "rows.jsonl", []
    for number in range(3):
        path.write_text(f"damage {number}")
        moved.append(rows.set_aside(path))
        assert not path.exists()
    assert [p.name for p in moved] == [f"rows.jsonl.damaged-{n}" for n in (1, 2, 3)]
    assert [p.read_text() for p in moved] == [f"damage {n}" for n in range(3)]


# Tables

SAMPLE = [
    row(
        step,
        suite="passes",
        scale="tiny",
        task="rule110",
        cell_id=f"cell{n}{seed}",
        seed=seed,
        sleep_passes=n,
        rollout_steps=2,
        muon_lr=0.1,
        layout="attn gdn",
        window_embedding=True,
        test_passes=[],
        tested_passes=n,
        difficulty=2,
        answer=answer,
        loss=step / 7,
    )
    for n in (1, 2)
    for seed in (0, 1)
    for step in (5, 10)
    for answer in (None, 0, 1)
] + [row(7, cell_id="broken", status="crashed", reason="why", suite="passes", scale="tiny", task="rule110")]


def test_columns_stand_in_their_order_and_have_their_types() -> None:
    frame = rows.table(SAMPLE)
    settings = ["layout", "muon_lr", "rollout_steps", "sleep_passes", "test_passes", "window_embedding"]
    assert frame.columns == [*COLUMNS, *settings]
    kinds = {"str": pl.String, "int": pl.Int64, "float": pl.Float64}
    assert {name: frame.schema[name] for name in COLUMNS} == {name: kinds[c.kind] for name, c in COLUMNS.items()}
    assert [frame.schema[name] for name in settings] == [
        pl.String,
        pl.Float64,
        pl.Int64,
        pl.Int64,
        pl.List(pl.Int64),
        pl.Boolean,
    ]
    assert frame.height == len(SAMPLE)
    assert frame["train_flops"].is_null().all()


def test_a_table_tells_nothing_of_the_order_of_rows() -> None:
    expected = rows.table(SAMPLE)
    for seed in range(5):
        shuffled = random.Random(seed).sample(SAMPLE, len(SAMPLE))
        assert rows.table(shuffled).equals(expected)
        assert rows.table([dict(reversed(r.items())) for r in shuffled]).equals(expected)


def test_tables_of_different_settings_have_the_same_types() -> None:
    tables = [rows.table([row(test_passes=passes)]) for passes in ([], [1, 2])]
    assert tables[0].schema == tables[1].schema
    assert rows.table([row(test_passes=[]), row(test_passes=[1])])["test_passes"].to_list() == [[], [1]]


def test_whole_numbers_in_a_column_of_fractions() -> None:
    frame = rows.table([row(1, loss=1), row(2, loss=0.5)])
    assert frame["loss"].to_list() == [1.0, 0.5]


def test_a_failed_attempt_has_no_scores() -> None:
    (failed,) = rows.table(SAMPLE).filter(pl.col("status") != "ok").to_dicts()
    assert (failed["status"], failed["reason"], failed["step"]) == ("crashed", "why", 7)
    assert all(failed[name] is None for name in ("loss", "train_loss", "lift", "muon_lr"))


def test_a_table_comes_back_from_its_file_or_folder(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows.write_table(path, SAMPLE)
    assert rows.read_table(path).equals(rows.table(SAMPLE))
    assert rows.read_table(tmp_path).equals(rows.table(SAMPLE))
    assert list(tmp_path.iterdir()) == [path]


def test_no_table_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no rows at .*rows\.parquet; `bench run` writes them"):
        rows.read_table(tmp_path)


@pytest.mark.parametrize("damage", ["half", "tail", "text", "empty"])
def test_a_damaged_table_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "rows.parquet"
    rows.write_table(path, SAMPLE)
    data = path.read_bytes()
    damaged = {"half": data[: len(data) // 2], "tail": data[:-9], "text": b"step,loss\n1,2\n" * 9, "empty": b""}
    path.write_bytes(damaged[damage])
    with pytest.raises(DamagedFileError, match=r"rows\.parquet is not (a readable parquet file|what was)"):
        rows.read_table(path)


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows.table(SAMPLE).drop("chance", "lift").write_parquet(path)
    with pytest.raises(DamagedFileError, match="not a table of rows: it lacks chance, lift"):
        rows.read_table(path)


def test_a_column_that_varies_within_a_cell_is_no_setting(tmp_path: Path) -> None:
    """As pandas writes its index: no study could hold two rows of a cell any more."""
    path = tmp_path / "rows.parquet"
    rows.table(SAMPLE).with_row_index("__index_level_0__").write_parquet(path)
    with pytest.raises(DamagedFileError, match=r"__index_level_0__ varies within a cell, so that it is no setting"):
        rows.read_table(path)
    rows.table(SAMPLE).with_columns(laboratory=pl.lit("here")).write_parquet(path)
    assert rows.read_table(path)["laboratory"].to_list() == ["here"] * len(SAMPLE)


@pytest.mark.parametrize("folder", ["exp[lr=0.1]", "run*", "g?"])
def test_a_path_is_no_pattern(folder: str, tmp_path: Path) -> None:
    for number, name in enumerate((folder, "expl", "run1", "ga")):
        (tmp_path / name).mkdir()
        rows.write_table(tmp_path / name / "rows.parquet", [row(seed=number)])
        rows.write_frame(tmp_path / name / outcomes.FILE, outcomes.table([]))
    assert rows.read_tables([tmp_path / folder])["seed"].to_list() == [0]
    assert outcomes.read(tmp_path / folder) == {}


@pytest.mark.parametrize(("column", "value"), [("exact_match", "high"), ("seed", "0"), ("task", 3)])
def test_a_column_of_another_type_is_named(tmp_path: Path, column: str, value: object) -> None:
    path = tmp_path / "rows.parquet"
    rows.table(SAMPLE).with_columns(pl.lit(value).alias(column)).write_parquet(path)
    with pytest.raises(
        DamagedFileError, match=f"not a table of rows: column {column} is of (numbers|texts), and holds"
    ):
        rows.read_table(path)


def test_rows_of_version_1_read_as_if_written_now(tmp_path: Path) -> None:
    """Alone, and in a file with newer ones; what else they say stays."""
    old = row(1, chance=0.25, exact_match=0.5) | {"schema_version": 1}
    new = row(2, chance=0.25, majority=0.1, question_only=0.2)
    bare = rows.table([old]).drop("majority", "question_only", *rows.LATER)
    bare.write_parquet(tmp_path / "alone.parquet")
    rows.write_table(tmp_path / "both.parquet", [old, new])
    alone, both = rows.read_table(tmp_path / "alone.parquet"), rows.read_table(tmp_path / "both.parquet")
    assert alone.columns[: len(rows.COLUMNS)] == list(rows.COLUMNS)
    assert alone.select(bare.columns).drop("schema_version").equals(bare.drop("schema_version"))
    assert alone.select("schema_version", "majority", "question_only").rows() == [(NOW, 0.25, 0.25)]
    assert both.select("step", "schema_version", "majority", "question_only").rows() == [
        (1, NOW, 0.25, 0.25),
        (2, NOW, 0.1, 0.2),
    ]


@pytest.mark.parametrize(("version", "variant"), [(2, None), (3, "wider")])
def test_columns_that_came_later_are_null_before(version: int, variant: str | None, tmp_path: Path) -> None:
    old = row(1, majority=0.1, question_only=0.2, chance=0.25, variant=variant) | {"schema_version": version}
    later = [name for name in rows.LATER if name != "variant" or variant is None]
    rows.table([old]).drop(later).write_parquet(tmp_path / "rows.parquet")
    (read,) = rows.read_table(tmp_path / "rows.parquet").to_dicts()
    assert (read["schema_version"], read["variant"], read["majority"]) == (NOW, variant, 0.1)
    assert {read[name] for name in rows.LATER if name != "variant"} == {None}


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows.write_table(path, [row(1), row(2) | {"schema_version": rows.SCHEMA_VERSION + 1}])
    with pytest.raises(OtherCodeError, match=r"schema versions .*; this code reads 1"):
        rows.read_table(path)


def test_every_column_is_explained() -> None:
    for name, column in COLUMNS.items():
        assert name == name.lower()
        assert column.kind in ("str", "int", "float")
        assert len(column.about) > 8
    assert set(rows.WALL_COLUMNS) < set(COLUMNS)


# Checkpoints


def contents() -> dict[str, Any]:
    return {"step": 7, "cell_id": "c0ffee", "model": {"weight": torch.arange(100.0)}, "optimizer": [{"lr": 0.1}]}


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, contents())
    checkpoint.verify(path)
    loaded = checkpoint.load(path, CPU)
    assert torch.equal(loaded.pop("model")["weight"], torch.arange(100.0))
    assert loaded == {"step": 7, "cell_id": "c0ffee", "optimizer": [{"lr": 0.1}]}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["digest", "flipped bit", "half", "headless", "header", "text", "empty"])
def test_a_damaged_checkpoint_is_never_loaded(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, contents())
    data = path.read_bytes()
    digest = data.index(b'"sha256": "') + 11
    damaged = {
        "digest": data[:digest] + (b"0" if data[digest : digest + 1] != b"0" else b"1") + data[digest + 1 :],
        "flipped bit": data[:-200] + bytes([data[-200] ^ 1]) + data[-199:],
        "half": data[: len(data) // 2],
        "headless": data[8:],
        "header": data.replace(b"c0ffee", b"c0ffe0"),
        "text": b"weights\n",
        "empty": b"",
    }
    path.write_bytes(damaged[damage])
    for read in (checkpoint.verify, lambda path: checkpoint.load(path, CPU)):
        with pytest.raises(DamagedFileError, match=r"checkpoint\.safetensors: not a checkpoint, or not whole"):
            read(path)


def test_an_interrupted_save_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, contents())
    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(Interrupted):
        checkpoint.save(path, contents() | {"step": 8})
    assert checkpoint.load(path, CPU)["step"] == 7


def test_a_checkpoint_keeps_plain_values_alone(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="model is of type PosixPath"):
        checkpoint.save(tmp_path / "checkpoint.safetensors", {"model": Path("x")})
    with pytest.raises(ValueError, match=r"'net' has in its state what a checkpoint cannot keep: a\.1 is of type set"):
        checkpoint.check_savable({"a": [1, {2}]}, "model 'net'")
    assert not list(tmp_path.iterdir())
