"""Decoders of transformers that sleep, against the library's own forward passes; eviction; what is refused."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from plain import assert_short_sleep_is_whole, assert_state_stays
from pretrained import ATTENTION, CONFIGS, HYBRIDS, checkpoint, on_transformers
from torch import Tensor, nn

import baselines
from baselines.pretrained.config import Pretrained, pretrained_at
from benchmark.cells.cell import Cell, Training
from benchmark.measure.audit import audit
from benchmark.measure.audit.admission import admit
from benchmark.run.tensors import encode
from benchmark.run.trainer import Trainer
from tasks.recall import Recall

L = 8
EVERY = pytest.mark.parametrize("kind", CONFIGS)
JET = {"insert": "jet", "insert_layers": 2, "insert_heads": 2, "insert_size": 4}
TASK = Recall(pairs=3, keys=6, values=4, queries=2, window_tokens=6)

Folder = Callable[..., Path]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The folder of a tiny decoder of a type, with other settings than usual under another name."""
    root = tmp_path_factory.mktemp("checkpoints")
    return lambda kind, name="", **settings: checkpoint(root / (name or kind), kind, **settings)


def build(folder: Path, window: int = L, **settings: Any) -> Any:
    torch.manual_seed(0)
    return Pretrained(folder=str(folder), **settings).build(vocab_size=40, window=window, seq_len=4 * window).eval()


def awake(model: Any) -> Any:
    """The model with noise on inserted layers, whose outputs start at zero."""
    with torch.no_grad():
        for parameter in model.inserted.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def tokens(length: int, batch: int = 2) -> Tensor:
    return torch.randint(40, (batch, length), generator=torch.Generator().manual_seed(1))


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-5)


# Against the library


@on_transformers
@EVERY
@pytest.mark.parametrize("window", [L, 1])
def test_windows_give_the_logits_of_one_pass_of_the_library(folder: Folder, kind: str, window: int) -> None:
    model, inputs = build(folder(kind), window=window, eviction="none"), tokens(2 * L)
    state, logits = model.start(2), []
    with torch.no_grad():
        for part in inputs.split(window, dim=1):
            output, state = model.wake(part, state)
            logits.append(output)
        theirs = model.lm(input_ids=inputs, use_cache=False).logits
    close(torch.cat(logits, dim=1), theirs)
    assert state.read == 2 * L


def slept_by_the_library(lm: Any, inputs: Tensor, passes: int) -> Tensor:
    """Logits of the last of three windows: the library's forward over its own cache, looped over features by hand.

    Before each pass keys and values are gone, and convolutions are back where they were before the window.
    """
    from transformers import DynamicCache

    base, cache = lm.base_model, DynamicCache(config=lm.config)
    name = "norm" if hasattr(base, "norm") else "norm_f"
    norm = getattr(base, name)
    setattr(base, name, nn.Identity())
    memories = [layer for layer in cache.layers if hasattr(layer, "conv_states")]

    def run(h: Tensor) -> Tensor:
        for layer in cache.layers:
            if layer not in memories:
                layer.reset()
        positions = torch.arange(h.shape[1])[None]
        output: Tensor = base(inputs_embeds=h, cache=cache, position_ids=positions, use_cache=True).last_hidden_state
        return output

    *windows, asked = inputs.split(L, dim=1)
    for number, window in enumerate(windows):
        h = lm.get_input_embeddings()(window)
        before = [{key: t.clone() for key, t in m.conv_states.items()} if number else None for m in memories]
        for again in range(passes):
            for memory, tails in zip(memories, before, strict=True) if again else ():
                for key, tail in memory.conv_states.items():
                    tail.copy_(torch.zeros_like(tail) if tails is None else tails[key])
            h = run(h)
    h = run(lm.get_input_embeddings()(asked))
    logits: Tensor = lm.get_output_embeddings()(norm(h))
    setattr(base, name, norm)
    return logits


@on_transformers
@pytest.mark.parametrize("kind", HYBRIDS)
@pytest.mark.parametrize("passes", [1, 2, 4])
def test_sleep_under_hard_eviction_is_the_library_looped_by_hand(folder: Folder, kind: str, passes: int) -> None:
    model, inputs = build(folder(kind)), tokens(3 * L)
    state = model.start(2)
    with torch.no_grad():
        for window in inputs.split(L, dim=1)[:2]:
            state = model.sleep(window, state, passes)
        logits, _ = model.wake(inputs[:, 2 * L :], state)
        theirs = slept_by_the_library(model.lm, inputs, passes)
    close(logits, theirs)
    assert not torch.allclose(logits, model.wake(inputs[:, 2 * L :], model.start(2))[0])  # it remembers something


@on_transformers
@pytest.mark.parametrize("kind", ATTENTION)
def test_the_middle_half_looped_is_a_library_model_of_repeated_layers(folder: Folder, kind: str) -> None:
    model = build(folder(kind, f"{kind}-8", num_hidden_layers=8), loop="middle", eviction="none")
    inputs = tokens(L)
    with torch.no_grad():
        h, _ = model._run(inputs, model.start(2), 3, output=True)
        ours = model.parts.head(model.parts.norm(h))
        own = model.lm.base_model.layers
        model.lm.base_model.layers = nn.ModuleList([*own[:2], *[*own[2:6]] * 3, *own[6:]])
        model.lm.config.num_hidden_layers = len(model.lm.base_model.layers)
        if kind == "qwen3":
            model.lm.config.layer_types = ["full_attention"] * len(model.lm.base_model.layers)
        theirs = model.lm(input_ids=inputs, use_cache=False).logits
    close(ours, theirs)


@on_transformers
@pytest.mark.parametrize("kind", ["llama", "nemotron_h"])
def test_logits_are_in_full_precision_whatever_the_layers_run_in(folder: Folder, kind: str) -> None:
    model = awake(build(folder(kind), **JET))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits, _ = model.wake(tokens(L), model.sleep(tokens(L), model.start(2), 2))
    assert logits.dtype == torch.float32
    assert len(logits.unique()) > 0.99 * logits.numel()


# What goes from window to window


@on_transformers
@EVERY
@pytest.mark.parametrize(("eviction", "passes"), [("hard", 1), ("hard", 3), ("sliding", 2)])
def test_gradients_reach_evicted_windows(folder: Folder, kind: str, eviction: str, passes: int) -> None:
    model, inputs = build(folder(kind), eviction=eviction), tokens(3 * L)
    embedded: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Tensor) -> None:
        output.retain_grad()
        embedded.append(output)

    handle = model.parts.embedding.register_forward_hook(keep)
    state = model.start(2)
    for window in inputs.split(L, dim=1)[:2]:
        state = model.sleep(window, state, passes)
    model.wake(inputs[:, 2 * L :], state)[0].sum().backward()
    handle.remove()
    reached = [h.grad is not None and bool(h.grad.abs().sum() > 0) for h in embedded]
    assert reached == ([False, False, True] if kind in ATTENTION and eviction == "hard" else [True] * 3)


@on_transformers
@EVERY
@pytest.mark.parametrize("window", [L, 1])
def test_a_state_that_is_handed_in_stays_as_it_is(folder: Folder, kind: str, window: int) -> None:
    model = awake(build(folder(kind), window=max(2, window), eviction="sliding", **JET))
    assert_state_stays(model, tokens(L), tokens(window))


@on_transformers
def test_a_sleep_cut_short_leaves_the_state_of_a_whole_one(folder: Folder) -> None:
    for settings in ({}, {"loop": "middle"}, JET, {"eviction": "sliding"}):
        for kind in ("olmo_hybrid", "nemotron_h", "llama"):
            assert_short_sleep_is_whole(awake(build(folder(kind), **settings)), tokens(L))


@on_transformers
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("olmo_hybrid", {}),
        ("qwen3_next", {"loop": "middle"}),
        ("nemotron_h", {"eviction": "sliding"}),
        ("qwen3", {"eviction": "sliding"}),
        ("llama", JET),
        ("llama", JET | {"eviction": "none"}),
    ],
)
def test_evicted_tokens_are_heard_by_the_state_alone_and_later_ones_never(
    folder: Folder, kind: str, settings: dict[str, Any]
) -> None:
    found = audit(Pretrained(folder=str(folder(kind)), **settings), window=4, windows=3, passes=(1, 2), seeds=1)
    assert found.passed, found
    assert found.roads


@on_transformers
@pytest.mark.parametrize("settings", [{}, JET | {"insert_carried": False}])
def test_attention_alone_forgets_what_is_evicted(folder: Folder, settings: dict[str, Any]) -> None:
    model = awake(build(folder("llama"), **settings))
    with torch.no_grad():
        state = model.sleep(tokens(L), model.start(2), 2)
        assert not state.tensors()
        close(model.wake(tokens(L), state)[0], model.wake(tokens(L), model.start(2))[0])


# Inserted layers


@on_transformers
def test_new_inserted_layers_change_nothing_and_stand_at_equal_distances(folder: Folder) -> None:
    plain, model = build(folder("llama")), build(folder("llama"), **JET)
    assert [*model.inserted] == ["1", "3"]
    with torch.no_grad():
        assert torch.equal(model.wake(tokens(L), model.start(2))[0], plain.wake(tokens(L), plain.start(2))[0])
        noisy = awake(model)
        assert not torch.equal(noisy.wake(tokens(L), noisy.start(2))[0], plain.wake(tokens(L), plain.start(2))[0])


def small(folder: Path, **settings: Any) -> Cell:
    training = Training(tokens=600, batch=4, evaluations=2, test_examples=8, muon_lr=1e-3, adam_lr=1e-3)
    return Cell(task=TASK, model=Pretrained(folder=str(folder)), training=training).with_settings(settings)


@on_transformers
def test_inserted_layers_learn_alone_and_checkpoints_hold_nothing_else(folder: Folder, tmp_path: Path) -> None:
    cell = small(folder("llama"), **JET, trained="memory")
    trainer = Trainer(cell, tmp_path)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.run()
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert all(name.startswith("inserted.") for name in changed)
    assert {name.split(".")[0] for name in trainer.model.state_dict()} == {"inserted"}
    again = Trainer(cell, tmp_path)
    again.resume()
    assert again.step == cell.steps
    for name, p in trainer.model.named_parameters():
        assert torch.equal(p, dict(again.model.named_parameters())[name])


@on_transformers
@pytest.mark.parametrize(("kind", "part"), [("llama", "inserted."), ("olmo_hybrid", "linear_attn.")])
def test_two_stages_train_memory_first(folder: Folder, tmp_path: Path, kind: str, part: str) -> None:
    settings = JET if kind == "llama" else {}
    trainer = Trainer(small(folder(kind), hard_share=0.5, eviction="sliding", **settings), tmp_path)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    for batch in trainer.batches(0):
        trainer.train_step(batch)
        trainer.step += 1
        changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
        if trainer.step == trainer.cell.hard_steps:
            assert changed
            assert all(part in name for name in changed)
    assert any(part not in name for name in changed)
    encode(trainer.model.state_dict(), {})


@on_transformers
def test_the_token_table_and_the_head_are_no_matrices(folder: Folder) -> None:
    model = build(folder("llama", "tied", tie_word_embeddings=True), **JET)
    tables = {id(model.parts.head.weight), id(model.parts.embedding.weight)}
    assert not tables & {id(weight) for weight in model.matrices()}
    assert len(model.matrices()) > 4 * 7


# Names, ids, refusals


@on_transformers
def test_an_address_is_a_folder_and_an_id_its_content(folder: Folder, tmp_path: Path) -> None:
    one, other = folder("llama"), checkpoint(tmp_path / "elsewhere", "llama")
    cells = [Cell(task=TASK, model=baselines.load(f"hf:{at}")(), training=Training(tokens=600)) for at in (one, other)]
    assert cells[0].id == cells[1].id
    assert cells[0].id != replace(cells[0], model=baselines.load(f"hf:{folder('qwen3')}")()).id
    again = Cell.from_json(json.loads(json.dumps(cells[0].as_json())), imports=False)
    assert (again, again.id) == (cells[0], cells[0].id)
    assert again.model.name == "hf"


@on_transformers
def test_a_folder_without_weights_is_drawn_from_the_seed(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder("llama") / "config.json").read_bytes())
    one, two = build(tmp_path), build(tmp_path)
    assert torch.equal(one.parts.head.weight, two.parts.head.weight)
    assert not torch.equal(one.parts.head.weight, build(folder("llama")).parts.head.weight)
    assert (
        pretrained_at(f"hf:{tmp_path}")().checkpoint_sha256
        != pretrained_at(f"hf:{folder('llama')}")().checkpoint_sha256
    )


@on_transformers
def test_an_admitted_decoder_has_its_logits_cut_to_the_task(folder: Folder) -> None:
    config = Pretrained(folder=str(folder("llama")))
    admit(config, TASK, 1)
    model = config.build(vocab_size=11, window=4, seq_len=8)
    assert model.wake(torch.zeros(1, 4, dtype=torch.int64), model.start(1))[0].shape == (1, 4, 11)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"checkpoint_sha256": "0" * 64}, "asked for is 000000000000"),
    ({"insert": "jet", "insert_layers": 5}, "the decoder has 4 blocks"),
    ({"trained": "memory"}, "no fast weights; insert some"),
]


@on_transformers
@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_what_cannot_be_built_is_refused(folder: Folder, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(folder("llama"), **settings)


@on_transformers
@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("granite", {"embedding_multiplier": 3.0}, "other logits than its own forward pass"),
        ("mistral", {"sliding_window": 4}, "a window of their own"),
        ("gpt2", {}, "its layers was not found"),
    ],
)
def test_a_decoder_that_is_not_recognised_is_refused(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, settings: dict[str, Any], message: str
) -> None:
    monkeypatch.setitem(CONFIGS, kind, CONFIGS["llama"])
    with pytest.raises(ValueError, match=f"model type '{kind}' is not recognised: .*{message}"):
        build(checkpoint(tmp_path, kind, **settings))


@on_transformers
def test_more_tokens_than_the_decoder_knows_are_refused(folder: Folder) -> None:
    with pytest.raises(ValueError, match="the task has 41 tokens"):
        Pretrained(folder=str(folder("llama"))).build(vocab_size=41, window=4, seq_len=8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eviction": "soft"}, "one of hard, sliding, none"),
        ({"insert": "gru"}, "one of nothing, gdn, jet"),
        ({"trained": "half"}, "one of all, memory"),
        ({"insert_size": 0}, "at least 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pretrained(**settings)


def test_a_missing_folder_or_library_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no checkpoint at"):
        baselines.load(f"hf:{tmp_path / 'nothing'}")
    with pytest.raises(ValueError, match="needs a checkpoint folder: --model hf:FOLDER"):
        Pretrained().build(vocab_size=4, window=4, seq_len=8)
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"need transformers: pip install 'transformers>=5.24,<6'"):
        Pretrained(folder=str(tmp_path)).build(vocab_size=4, window=4, seq_len=8)
