"""The suite `pretrained`: what differs between its arms, what each keeps, what is said where weights are missing."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import bench
from pretrained import checkpoint, on_transformers
from test_colors import SENTENCES, tokenizer

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.request import Request
from benchmark.cells.suites import suite
from benchmark.forward import Batch, predict, token_losses
from benchmark.measure.audit import audit
from benchmark.measure.binding import table
from benchmark.run.recomputation import recompute

REMEMBER = {"sleep": True, "plain": True, "whole-cache": True, "nothing-kept": False}


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny decoder with a tokenizer that knows the words of the sentences."""
    folder = tokenizer(tmp_path_factory.mktemp("reading") / "llama", SENTENCES)
    return checkpoint(folder, "llama", vocab_size=4000)


def cells(decoder: Path, *settings: str) -> dict[str, Cell]:
    request = Request(suite="pretrained", scale="tiny", model=f"hf:{decoder}", settings=settings)
    return {str(cell.variant): cell for cell in request.cells()}


def test_arms_differ_in_what_outlives_a_window_and_train_the_same() -> None:
    arms = {str(cell.variant): cell for cell in suite("pretrained", "cpu").narrow(seed=[0]).cells()}
    assert set(arms) == set(REMEMBER)
    kept = {name: (c.training.sleep_passes, c.axes["eviction"], c.axes["insert_carried"]) for name, c in arms.items()}
    assert kept == {
        "sleep": (2, "hard", True),
        "plain": (1, "hard", True),
        "whole-cache": (1, "none", False),
        "nothing-kept": (1, "hard", False),
    }
    changed = dict.fromkeys(("sleep_passes", "eviction", "insert_carried"))
    assert len({tuple((k, str(v)) for k, v in c.axes.items() if k not in changed) for c in arms.values()}) == 1
    assert {c.axes["trained"] for c in arms.values()} == {"memory"}


def test_variants_are_chosen_by_name() -> None:
    chosen = suite("pretrained", "cpu").narrow(seed=[0]).only(["plain", "sleep"]).cells()
    assert [cell.variant for cell in chosen] == ["plain", "sleep"]
    with pytest.raises(ValueError, match="did you mean 'nothing-kept'"):
        suite("pretrained", "cpu").only(["nothing-keep"]).cells()


@pytest.mark.parametrize("command", ["run", "show"])
def test_without_a_decoder_the_option_is_named(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = bench(command, "pretrained")
    assert done.code == 2 and "needs a checkpoint folder: --model hf:FOLDER" in done.err
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    done = bench("run", "pretrained", "--model", f"hf:{tmp_path}", "--out", tmp_path / "out")
    assert done.code == 2 and "need transformers: pip install" in done.err
    assert not (tmp_path / "out").exists()


@on_transformers
def test_an_arm_hears_evicted_facts_by_what_it_keeps_and_by_nothing_else(decoder: Path) -> None:
    for name, cell in cells(decoder).items():
        found = audit(cell.model, window=4, windows=3, passes=(1, 2), seeds=1)
        assert found.passed, name
        roads = {road.path.partition("[")[0] for road in found.roads if road.reaches}
        memory = {"fast_weights"}
        wanted = {"sleep": memory, "plain": memory, "whole-cache": {"cache"}, "nothing-kept": set[str]()}
        assert roads == wanted[name], name


def gradients(cell: Cell, *, again: bool) -> tuple[torch.Tensor, list[torch.Tensor], int]:
    """Logits, gradients and the bytes that are kept for the backward pass, activations computed again or not."""
    torch.manual_seed(0)
    task = cell.task
    model = cell.model.build(vocab_size=task.vocab_size, window=task.window, seq_len=task.seq_len)
    with torch.no_grad():
        for parameter in model.memory():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    recompute(model, again)
    given, kept = Batch.of(task.episodes("train", range(4)), torch.device("cpu")), dict[int, int]()
    weights = {p.untyped_storage()._cdata for p in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
            held.append(tensor)  # so that no other tensor takes its place
        return tensor

    held: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = predict(model, given, cell.training.sleep_passes)
    token_losses(logits, given.targets).mean().backward()  # type: ignore[no-untyped-call]
    return logits, [p.grad for p in model.memory() if p.grad is not None], sum(kept.values())


@on_transformers
@pytest.mark.parametrize("settings", [(), ("trained=all", "eviction=sliding"), ("loop=middle",)])
def test_windows_computed_again_are_the_same_bits_in_less_memory(decoder: Path, settings: tuple[str, ...]) -> None:
    sleep = cells(decoder, "facts=8", "sleep_passes=4", *settings)["sleep"]
    (logits, plain, kept), (same, again, less) = (gradients(sleep, again=again) for again in (False, True))
    assert torch.equal(logits, same) and len(plain) == len(again) > 10
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))
    assert 0 < less < kept / 4


@on_transformers
def test_the_suite_runs_and_its_rows_say_which_arm_and_decoder(
    decoder: Path, tmp_path: Path, workers_here: None, undrawn: None
) -> None:
    arguments: list[Any] = ["run", "pretrained", "--scale", "tiny", "--model", f"hf:{decoder}", "--jobs", 1]
    done = bench(*arguments, "--set", "tokens=300", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    frame = rows.read_table(tmp_path / "out")
    assert set(frame["variant"]) == set(REMEMBER)
    assert frame["checkpoint_sha256"].n_unique() == frame["tokenizer_sha256"].n_unique() == 1
    assert set(frame["shortcut_name"]) == {"seen_colors"} and set(frame["shortcut"]) == {0.5}
    assert not {"folder", "tokenizer"} & set(frame.columns)
    keeps = {name: frame.filter(frame["variant"] == name)["state_bytes"][-1] for name in REMEMBER}
    assert {name: size > 0 for name, size in keeps.items()} == REMEMBER
    asked = table(sorted((tmp_path / "out" / "cells").iterdir()), 16).lines
    assert {(line[0], line[2]) for line in asked} == {(name, state) for name in REMEMBER for state in STATES}
    assert all(len(set(map(str, pair))) == 1 for pair in _of("nothing-kept", asked)), "it has no state to throw away"


STATES = ("kept", "thrown away")


def _of(variant: str, lines: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Each share of a variant, with its state and without."""
    return list(zip(*(line[3:] for line in lines if line[0] == variant), strict=True))
