"""`bench evaluate`: scores of trained and of given networks without training, and weights that go through a file."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import bench, small

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.run import tensors, weights
from benchmark.run.folder import SweepFolder
from benchmark.run.trainer import Trainer


@pytest.fixture(scope="module")
def cell() -> Cell:
    return small(test_passes=(1, 2), test_at=(0, 1))


@pytest.fixture(scope="module")
def folder(cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained cell."""
    sweep = SweepFolder(tmp_path_factory.mktemp("run"))
    with sweep.session([cell]):
        Trainer(cell, sweep.of(cell).path).run()
    return sweep.of(cell).path


def scores(*arguments: object) -> list[dict[str, Any]]:
    done = bench("evaluate", *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    told: list[dict[str, Any]] = json.loads(done.out)["scores"]
    return told


def test_a_trained_cell_scores_what_its_last_rows_say(cell: Cell, folder: Path) -> None:
    last = [r for r in rows.read(folder / "rows.jsonl") if r["step"] == cell.steps and r["answer"] is None]
    names = ("difficulty", "tested_passes", "exact_match", "chance", "token_accuracy", "loss")
    told = scores(folder)
    assert [[line[name] for name in names] for line in told] == [[row[name] for name in names] for row in last]
    assert {line["examples"] for line in told} == {16}
    shown = bench("evaluate", folder).out
    assert "rollout_steps" in shown.replace(" ", "_") and f"{told[0]['exact_match']:.3f}" in shown


def test_other_passes_examples_and_settings_of_the_task(folder: Path) -> None:
    told = scores(folder, "--sleep-passes", "3", "--examples", 40, "--split", "validation", "--set", "test_at=1")
    assert [(line["tested_passes"], line["difficulty"], line["examples"]) for line in told] == [(3, 1, 40)]
    assert [line["difficulty"] for line in scores(folder, "--set", "rollout_steps=2")] == [2, 2]


def test_weights_go_through_a_file_into_a_model(cell: Cell, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    expected = scores(folder, "--export", path)
    settings = [f"{name}={value}" for name, value in cell.axes.items() if name in ("layout", "d_model", "heads")]
    settings += ["mlp_ratio=1", "cells=4", "strings=1", "rollout_steps=1", "test_examples=16", "test_at=0,1"]
    told = scores(
        "hybrid", "--weights", path, "--sleep-passes", "1,2", *(w for text in settings for w in ("--set", text))
    )
    assert told == expected
    again = bench("evaluate", folder, "--export", path)
    assert (again.code, "exists; --force replaces it" in again.err) == (2, True)
    assert bench("evaluate", folder, "--export", path, "--force").code == 0


def test_a_model_without_weights_is_tested_as_it_is_built() -> None:
    (line,) = scores("hybrid", "--set", "layout=gdn", "--set", "d_model=8", "--set", "cells=4", "--examples", 32)
    assert (line["tested_passes"], line["examples"]) == (1, 32)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["FOLDER", "--task", "recall"], "task 'recall' has 33 tokens and the network was built for 3"),
        (["FOLDER", "--set", "d_model=4"], "unknown setting of a test 'd_model'; valid: cells,"),
        (["FOLDER", "--set", "strings=3"], "was read by a model built for"),
        (["FOLDER", "--weights", "w.safetensors"], "--weights is for a MODEL"),
        (["FOLDER", "--examples", "0"], "--examples must be a whole number >= 1; given 0"),
        (["FOLDER", "--split", "train"], "unknown split 'train'; valid: test, validation"),
        (["FOLDER", "--export", "w.bin"], "weights lie in a file NAME.safetensors; given w.bin"),
        (["FOLDER/..", "--examples", "8"], "is not the folder of a cell"),
        (["hybird"], "unknown model 'hybird'"),
        (["hybrid", "--weights", "nowhere.safetensors"], "no weights at nowhere.safetensors"),
        (["hybrid", "--weights", "w.pt"], "w.pt may hold code, and is not read; where you trust it"),
    ],
)
def test_bad_input_gets_one_message(folder: Path, arguments: list[str], said: str) -> None:
    done = bench("evaluate", *(word.replace("FOLDER", str(folder)) for word in arguments))
    assert (done.code, done.out) == (2, "")
    assert said in done.err and len(done.err.splitlines()) == 1


@pytest.mark.parametrize("contents", [b"no weights", b""])
def test_a_file_that_holds_no_weights_of_the_model(cell: Cell, tmp_path: Path, contents: bytes) -> None:
    model = cell.model.build(vocab_size=3, window=4, seq_len=5)
    (tmp_path / "bytes.safetensors").write_bytes(contents)
    (tmp_path / "other.safetensors").write_bytes(b"".join(tensors.encode({"other": torch.zeros(1)}, {})))
    for name in ("bytes.safetensors", "other.safetensors"):
        with pytest.raises(ValueError, match=f"{name} does not fit this model: "):
            weights.load(model, tmp_path / name)
