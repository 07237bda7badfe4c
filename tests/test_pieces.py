"""GSM-Infinite as text, in the tokens of a pretrained decoder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretrained import checkpoint, on_transformers

from baselines.pretrained.config import Pretrained
from benchmark.cells.cell import Cell, Training
from benchmark.cells.facts import cell_facts
from benchmark.cells.request import Request
from benchmark.run.trainer import Trainer
from tasks.base import IGNORE, Task
from tasks.colors import Colors
from tasks.gsm_infinite.problems import Problems
from tasks.gsm_infinite.task import GSMInfinite

PIECES = 512
SIZES: dict[str, Any] = {
    "least_operations": 1,
    "most_operations": 2,
    "theme": "animals",
    "most_words": 1000,
    "least_words": 1000,
    "window_tokens": 400,
}


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny decoder with a tokenizer made for such problems."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("speaking") / "llama"
    problems = Problems(operations=2).problems("train", range(50), 0)
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    pieces.train_from_iterator([f"{p.problem} {p.question} Answer: {p.answer}" for p in problems], trainer)
    checkpoint(folder, "llama", vocab_size=PIECES)
    pieces.save(str(folder / "tokenizer.json"))
    return folder


@on_transformers
@pytest.mark.parametrize("question_first", [True, False])
def test_pieces_are_the_text_of_the_problem(decoder: Path, question_first: bool) -> None:
    from tokenizers import Tokenizer

    task = GSMInfinite(tokenizer=str(decoder), question_first=question_first, **SIZES)
    pieces = Tokenizer.from_file(str(decoder / "tokenizer.json"))
    assert task.vocab_size == pieces.get_vocab_size() < PIECES
    indices = np.arange(6)
    episode = task.episodes("train", indices)
    for row, problem in enumerate(task.texts("train", indices, task.key("train"))):
        tokens, targets = episode.inputs[row], episode.targets[row]
        asked = targets[targets != IGNORE]
        assert pieces.decode(asked.tolist()) == f" {problem.answer}"
        read = np.concatenate([tokens, asked[-1:]])
        assert pieces.decode(read[read != 0].tolist()) == f"{task.prompt(problem)} {problem.answer}"
        assert np.flatnonzero(targets != IGNORE).min() >= 800  # in the last window of 400
        assert (tokens == 0).sum() < 100  # filled up, by its own tokens
        assert len(tokens) == 1000
    assert task.word(int(asked[-1])) == str(problem.answer)[-1]


@on_transformers
def test_a_place_is_no_part_of_an_address_and_another_tokenizer_is_refused(decoder: Path, tmp_path: Path) -> None:
    text = (decoder / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(text)
    here, there = (GSMInfinite(tokenizer=str(folder), **SIZES) for folder in (decoder, tmp_path))
    assert here.key("train") == there.key("train") != GSMInfinite(**SIZES).key("train")
    (tmp_path / "tokenizer.json").write_text(json.dumps(json.loads(text) | {"version": "1.1"}))
    with pytest.raises(ValueError, match="another tokenizer than was asked for"):
        GSMInfinite(tokenizer=str(tmp_path), tokenizer_sha256=there.tokenizer_sha256, **SIZES).episodes("train", [0])
    with pytest.raises(ValueError, match="no tokenizer at"):
        GSMInfinite(tokenizer=str(tmp_path / "nothing"), **SIZES)


@pytest.mark.parametrize("kind", [Colors, GSMInfinite])
def test_pieces_of_a_tokenizer_that_is_not_here_are_not_taken_for_words(kind: type[Task]) -> None:
    with pytest.raises(ValueError, match="no folder that has it is named"):
        kind(**{"tokenizer_sha256": "0" * 64}).episodes("train", [0])


@on_transformers
def test_a_model_that_brings_a_tokenizer_reads_texts_with_it(decoder: Path) -> None:
    for request in (
        Request(suite="operations", task="gsm_infinite", model=f"hf:{decoder}"),
        Request(suite="operations", scale="paper", model=f"hf:{decoder}"),
    ):
        (base, *_) = request.plan().bases
        assert base.axes["tokenizer"] == str(decoder)
        assert base.task.vocab_size < PIECES
        facts = cell_facts(base, device="cpu", context={})
        assert not {"tokenizer", "folder"} & facts.keys()  # a row names no place of a machine
        assert {"tokenizer_sha256", "checkpoint_sha256"} <= facts.keys()


@on_transformers
def test_word_problems_train_a_decoder(decoder: Path, tmp_path: Path) -> None:
    cell = Cell(
        task=GSMInfinite(tokenizer=str(decoder), **SIZES),
        model=Pretrained(folder=str(decoder), insert="jet", insert_layers=2, trained="memory"),
        training=Training(tokens=2000, batch=1, sleep_passes=2, test_at=(1,), muon_lr=1e-3, adam_lr=1e-3),
    )
    trainer = Trainer(cell, tmp_path)
    losses = [float(trainer.train_step(batch)) for batch in trainer.batches(0)]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
