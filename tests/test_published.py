"""Ouro and Jet-Nemotron from folders as they are published, against plain references; eviction; what is refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import bench
from plain import assert_same_function, assert_short_sleep_is_whole, assert_state_stays
from plain_published import PlainDecoder
from published import CONFIGS, FULL, folder, shapes
from safetensors.torch import load_file, save_file
from torch import Tensor

import baselines
from baselines.pretrained.config import Pretrained
from baselines.pretrained.published import load
from benchmark.cells.cell import Cell, Training
from benchmark.measure.audit import audit
from benchmark.measure.audit.admission import admit
from benchmark.run.trainer import Trainer
from tasks.recall import Recall

pytestmark = pytest.mark.usefixtures("one_thread")

L = 6
EVERY = pytest.mark.parametrize("kind", CONFIGS)
JET_BLOCK: dict[str, Any] = {"insert": "jet-block", "insert_layers": 2, "insert_heads": 2, "insert_size": 4}
TASK = Recall(pairs=3, keys=6, values=4, queries=2, window_tokens=6)

Folder = Callable[..., Path]


@pytest.fixture(autouse=True)
def without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this needs the library."""
    monkeypatch.setitem(sys.modules, "transformers", None)


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The folder of a small decoder of a type."""
    root = tmp_path_factory.mktemp("published")

    def written(kind: str) -> Path:
        if not (root / kind).exists():
            folder(root / kind, kind)
        return root / kind

    return written


def build(folder: Path, window: int = L, *, double: bool = True, **settings: Any) -> Any:
    torch.manual_seed(0)
    model = Pretrained(folder=str(folder), **settings).build(vocab_size=40, window=window, seq_len=4 * window).eval()
    with torch.no_grad():  # inserted layers end in zeros
        for parameter in model.inserted.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model.double() if double else model


def tokens(length: int, batch: int = 2) -> Tensor:
    return torch.randint(40, (batch, length), generator=torch.Generator().manual_seed(1))


def plain(model: Any, kind: str, eviction: str, **settings: Any) -> PlainDecoder:
    """The reference, from the parameters of a model by the names that they have in a checkpoint."""
    weights = {name.removeprefix("lm."): p for name, p in model.named_parameters(remove_duplicate=False)}
    return PlainDecoder(weights, CONFIGS[kind], L, eviction, **settings)


# Names, sizes, folders


@EVERY
def test_parameters_have_the_names_and_shapes_of_the_checkpoint(at: Folder, kind: str) -> None:
    network = load(at(kind))
    assert {name: tuple(p.shape) for name, p in network.named_parameters()} == shapes(CONFIGS[kind])


@pytest.mark.parametrize(("kind", "count"), [("ouro", 1_434_652_673), ("jet_nemotron", 1_964_806_208)])
def test_full_sizes_count_what_is_published(tmp_path: Path, kind: str, count: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps(FULL[kind]))
    with torch.device("meta"):
        network = load(tmp_path)
    assert {name: tuple(p.shape) for name, p in network.named_parameters()} == shapes(FULL[kind])
    assert sum(p.numel() for p in network.parameters()) == count


def test_six_jet_blocks_are_less_than_a_tenth_of_ouro(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(FULL["ouro"]))
    settings = Pretrained(folder=str(tmp_path), insert="jet-block", insert_size=128)
    with torch.device("meta"):
        model = settings.build(vocab_size=40, window=8, seq_len=32)
    assert [*model.inserted] == ["3", "7", "11", "15", "19", "23"]
    added = sum(p.numel() for p in model.memory())
    assert added == 116_651_616 and 0.08 < added / 1_434_652_673 < 0.1


@EVERY
@pytest.mark.parametrize(("shards", "dtype"), [(1, torch.float32), (3, torch.float32), (2, torch.bfloat16)])
def test_tensors_are_read_from_one_file_or_several(tmp_path: Path, kind: str, shards: int, dtype: torch.dtype) -> None:
    written = folder(tmp_path, kind, shards=shards, dtype=dtype)
    network = load(tmp_path)
    own = dict(network.named_parameters())
    assert own.keys() == written.keys()
    assert all(torch.equal(own[name], tensor.float()) for name, tensor in written.items())
    assert {p.dtype for p in own.values()} == {torch.float32}
    assert (network.lm_head.weight is network.model.embed_tokens.weight) == (kind == "jet_nemotron")


def test_a_head_that_is_the_table_may_be_written_out(tmp_path: Path) -> None:
    tensors = folder(tmp_path, "jet_nemotron")
    table = tensors["model.embed_tokens.weight"]
    save_file(tensors | {"lm_head.weight": table.clone()}, tmp_path / "model.safetensors")
    assert torch.equal(load(tmp_path).lm_head.weight, table)


@EVERY
def test_a_folder_without_weights_is_drawn_from_the_seed(tmp_path: Path, at: Folder, kind: str) -> None:
    (tmp_path / "config.json").write_bytes((at(kind) / "config.json").read_bytes())
    one, two = build(tmp_path), build(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    logits, _ = one.wake(tokens(L), one.sleep(tokens(L), one.start(2), 2))
    assert logits.isfinite().all() and len(logits.unique()) > 40


# Against the plain reference


@EVERY
def test_logits_and_gradients_are_those_of_the_equations(at: Folder, kind: str) -> None:
    model = build(at(kind), **JET_BLOCK if kind == "ouro" else {})
    inputs = tokens(3 * L, batch=1)
    state = model.start(1)
    for window in inputs.split(L, dim=1)[:2]:
        state = model.sleep(window, state, 2)
    ours, _ = model.wake(inputs[:, 2 * L :], state)
    theirs = plain(model, kind, "hard").predict([*inputs[0].split(L)], 2)
    assert_same_function(model, ours[0], theirs)


@EVERY
@pytest.mark.parametrize(
    ("eviction", "passes", "settings"),
    [
        ("hard", 1, {}),
        ("hard", 3, {}),
        ("hard", 3, {"loop": "middle"}),
        ("hard", 2, {"wake_passes": 4}),
        ("hard", 2, JET_BLOCK),
        ("sliding", 2, JET_BLOCK | {"wake_passes": 2}),
        ("none", 2, {}),
    ],
)
def test_sleep_is_that_of_the_equations(
    at: Folder, kind: str, eviction: str, passes: int, settings: dict[str, Any]
) -> None:
    middle = settings.get("loop") == "middle"
    if kind == "ouro" and middle:
        pytest.skip("Ouro is looped whole")
    model = build(at(kind), eviction=eviction, **settings)
    inputs = tokens(3 * L)
    with torch.no_grad():
        state = model.start(2)
        for window in inputs.split(L, dim=1)[:2]:
            state = model.sleep(window, state, passes)
        ours, _ = model.wake(inputs[:, 2 * L :], state)
        for b in range(2):
            reference = plain(model, kind, eviction, middle=middle)
            theirs = reference.predict([*inputs[b].split(L)], passes, settings.get("wake_passes", 1))
            torch.testing.assert_close(ours[b], theirs, rtol=0, atol=1e-9)


@EVERY
@pytest.mark.parametrize("window", [L, 4, 1])
def test_windows_that_are_not_evicted_are_one_pass(at: Folder, kind: str, window: int) -> None:
    """Longer than the window of layers that have one of their own, and than their convolutions."""
    model, inputs = build(at(kind), window=window, eviction="none"), tokens(3 * 4)
    state, logits = model.start(2), []
    with torch.no_grad():
        for part in inputs.split(window, dim=1):
            output, state = model.wake(part, state)
            logits.append(output)
        whole, _ = model.wake(inputs, model.start(2))
        theirs = plain(model, kind, "none").predict([inputs[0]], 1)
    torch.testing.assert_close(torch.cat(logits, dim=1), whole, rtol=0, atol=1e-9)
    torch.testing.assert_close(whole[0], theirs, rtol=0, atol=1e-9)
    assert state.read == 12
    if kind == "jet_nemotron":  # a layer with a window of 4 keeps 3 tokens
        assert [cache.shape[-2] for cache in state.cache] == [12, 3]


# What goes from window to window


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("ouro", JET_BLOCK),
        ("ouro", JET_BLOCK | {"wake_passes": 4}),
        ("ouro", {"eviction": "sliding"}),
        ("jet_nemotron", {}),
        ("jet_nemotron", {"loop": "middle", "wake_passes": 2}),
        ("jet_nemotron", {"eviction": "none"}),
    ],
)
def test_evicted_tokens_are_heard_by_the_state_alone_and_later_ones_never(
    at: Folder, kind: str, settings: dict[str, Any]
) -> None:
    found = audit(Pretrained(folder=str(at(kind)), **settings), window=4, windows=3, passes=(1, 2), seeds=1)
    assert found.passed, found
    assert found.roads


@pytest.mark.parametrize("settings", [{}, JET_BLOCK | {"insert_carried": False}])
def test_ouro_alone_forgets_what_is_evicted(at: Folder, settings: dict[str, Any]) -> None:
    model = build(at("ouro"), **settings)
    with torch.no_grad():
        state = model.sleep(tokens(L), model.start(2), 2)
        assert not state.tensors()
        fresh, _ = model.wake(tokens(L), model.start(2))
        torch.testing.assert_close(model.wake(tokens(L), state)[0], fresh, rtol=0, atol=1e-9)


@EVERY
@pytest.mark.parametrize("window", [L, 1])
def test_a_state_that_is_handed_in_stays_as_it_is(at: Folder, kind: str, window: int) -> None:
    model = build(at(kind), eviction="sliding", **JET_BLOCK)
    assert_state_stays(model, tokens(L), tokens(window))


@EVERY
def test_a_sleep_cut_short_leaves_the_state_of_a_whole_one(at: Folder, kind: str) -> None:
    for settings in (JET_BLOCK, {"eviction": "sliding"}):
        assert_short_sleep_is_whole(build(at(kind), **settings), tokens(L))


# Training


def test_new_inserted_layers_change_nothing_and_learn_alone(at: Folder, tmp_path: Path) -> None:
    settings = Pretrained(folder=str(at("ouro")), trained="memory", **JET_BLOCK)
    untouched = Pretrained(folder=str(at("ouro"))).build(vocab_size=40, window=L, seq_len=4 * L)
    new = settings.build(vocab_size=40, window=L, seq_len=4 * L)
    with torch.no_grad():
        ours, theirs = (m.wake(tokens(L), m.sleep(tokens(L), m.start(2), 2))[0] for m in (new, untouched))
        assert torch.equal(ours, theirs)
    training = Training(tokens=600, batch=4, evaluations=2, test_examples=8, muon_lr=1e-2, adam_lr=1e-2)
    admit(settings, TASK, 1)
    trainer = Trainer(Cell(task=TASK, model=settings, training=training), tmp_path)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.run()
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if name.startswith("inserted.")}
    assert {name.split(".")[0] for name in trainer.model.state_dict()} == {"inserted"}


def test_gradients_of_new_inserted_layers_arrive_one_layer_of_zeros_after_another(at: Folder) -> None:
    """A mixer that ends in zeros: its output map at first, the rest a step later, what makes kernels two later."""
    model = Pretrained(folder=str(at("ouro")), trained="memory", **JET_BLOCK).build(
        vocab_size=40, window=L, seq_len=4 * L
    )
    optimizer = torch.optim.SGD(model.memory(), lr=0.5)
    waiting = []
    for _ in range(3):
        state = model.sleep(tokens(L), model.start(2), 1)
        model.wake(tokens(L), state)[0].log_softmax(-1)[..., 0].sum().neg().backward()
        named = model.inserted.named_parameters()
        waiting.append({name[2:] for name, p in named if p.grad is None or not p.grad.any()})
        optimizer.step()
        optimizer.zero_grad()
    assert "mixer.o_proj.weight" not in waiting[0]
    assert waiting[1:] == [{"mixer.dynamic_conv1d.kernel_generator.w1.weight"}, set()]


def test_tables_are_no_matrices_and_the_gate_that_is_not_asked_is_not_trained(at: Folder) -> None:
    for kind in CONFIGS:
        model = build(at(kind))
        maps = {id(weight) for weight in model.matrices()}
        assert not maps & {id(model.lm.lm_head.weight), id(model.lm.model.embed_tokens.weight)}
        frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        gate = {"lm.model.early_exit_gate.weight", "lm.model.early_exit_gate.bias"}
        assert frozen == (gate if kind == "ouro" else set())
    assert {"self_attn." in name for name, p in model.named_parameters() if id(p) in {*map(id, model.memory())}} == {
        True
    }


def test_logits_are_in_full_precision_whatever_the_layers_run_in(at: Folder) -> None:
    for kind in CONFIGS:
        model = build(at(kind), double=False, **JET_BLOCK)
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            state = model.sleep(tokens(L), model.start(2), 2)
            logits, _ = model.wake(tokens(L), state)
        assert logits.dtype == torch.float32
        assert {fast.dtype for fast in state.fast_weights} == {torch.float32}
        assert len(logits.unique()) > 0.99 * logits.numel()


@EVERY
def test_the_command_line_knows_them_by_their_folder(at: Folder, kind: str) -> None:
    assert baselines.load(f"hf:{at(kind)}")().name == "hf"
    some = ["--set", "insert=jet-block", "--set", "insert_layers=2"] if kind == "ouro" else []
    told = bench("check-model", f"hf:{at(kind)}", "--task", "recall", *some)
    assert told.code == 0, told.err


# What is refused


def changed(path: Path, kind: str, **settings: Any) -> Path:
    folder(path, kind)
    config = {name: value for name, value in (CONFIGS[kind] | settings).items() if value != "absent"}
    (path / "config.json").write_text(json.dumps(config))
    return path


SETTINGS: list[tuple[str, dict[str, Any], str]] = [
    ("ouro", {"hidden_size": "absent"}, "hidden_size is missing: a whole number of at least 1"),
    ("ouro", {"num_hidden_layers": 2.5}, r"num_hidden_layers = 2.5: a whole number of at least 1 is needed"),
    ("ouro", {"rope_theta": "absent"}, "rope_theta is missing"),
    ("ouro", {"rms_norm_eps": -1}, "rms_norm_eps = -1: a number above 0 is needed"),
    ("ouro", {"hidden_act": "gelu"}, "hidden_act = 'gelu': built is 'silu' alone"),
    ("ouro", {"rope_scaling": {"type": "yarn"}}, "rope_scaling = .*: built is None alone"),
    ("ouro", {"use_sliding_window": True}, "use_sliding_window = True: built is False alone"),
    ("ouro", {"num_key_value_heads": 3}, "num_key_value_heads = 3 does not divide num_attention_heads = 4"),
    ("ouro", {"head_dim": 5}, "head_dim = 5 is odd"),
    ("ouro", {"layer_types": ["sliding_attention"] * 4}, "built is 'full_attention' alone"),
    ("ouro", {"total_ut_steps": 0}, "total_ut_steps = 0"),
    ("jet_nemotron", {"layer_types": ["jet"]}, "4 words out of jet, attn, swa are needed"),
    ("jet_nemotron", {"layer_types": ["jet", "mamba", "swa", "jet"]}, "4 words out of jet, attn, swa are needed"),
    ("jet_nemotron", {"efficient_attention_config": None}, "has no 'jet', which layer_types asks for"),
    (
        "jet_nemotron",
        {"efficient_attention_config": {"jet": {"head_dim": 6, "expand_v": 2.1}, "swa": {}}},
        "expand_v = 2.1 of head_dim = 6 is no whole number",
    ),
]


@pytest.mark.parametrize(("kind", "settings", "message"), SETTINGS)
def test_a_config_that_is_not_built_is_refused(
    tmp_path: Path, kind: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"config.json: .*{message}"):
        load(changed(tmp_path, kind, **settings))


def test_a_tensor_that_is_missing_unknown_or_odd_is_named(tmp_path: Path) -> None:
    tensors, file = folder(tmp_path, "ouro"), tmp_path / "model.safetensors"
    norm = "model.layers.1.input_layernorm_2.weight"
    renamed = {name.replace("input_layernorm_2", "inputs_layernorm_2"): t for name, t in tensors.items()}
    save_file(renamed, file)
    with pytest.raises(
        ValueError, match=r"lacks the tensor 'model.*input_layernorm_2.weight' of shape \[16\]; nearest"
    ):
        load(tmp_path)
    save_file(tensors | {norm: torch.ones(15)}, file)
    with pytest.raises(ValueError, match=rf"'{norm}' has shape \[15\]; by config.json it is \[16\]"):
        load(tmp_path)
    save_file(tensors | {"model.layers.4.mlp.up_proj.weight": torch.ones(2)}, file)
    with pytest.raises(ValueError, match=r"holds the tensor 'model.layers.4.mlp.up_proj.weight'.*nearest is 'model"):
        load(tmp_path)
    save_file(tensors | {norm: torch.ones(16, dtype=torch.int8)}, file)
    with pytest.raises(ValueError, match="is of type I8; needed is one of F64, F32, F16, BF16"):
        load(tmp_path)
    save_file(tensors | {"model.rotary_emb.inv_freq": torch.ones(2)}, file)
    load(tmp_path)


def test_a_file_that_is_damaged_or_not_there_is_named(tmp_path: Path) -> None:
    folder(tmp_path, "ouro", shards=2)
    shard, index = tmp_path / "model-00002-of-00002.safetensors", tmp_path / "model.safetensors.index.json"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="the file may be cut short"):
        load(tmp_path)
    shard.write_bytes(b"\xff" * 20)
    with pytest.raises(ValueError, match="no safetensors file"):
        load(tmp_path)
    kept = load_file(tmp_path / "model-00001-of-00002.safetensors")
    shard.write_bytes(whole)
    kept.pop("model.norm.weight", None)
    name = min(kept)
    kept.pop(name)
    save_file(kept, tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(ValueError, match=r"model-00001-of-00002.safetensors lacks the tensor"):
        load(tmp_path)
    shard.unlink()
    with pytest.raises(ValueError, match="which is no file of the folder"):
        load(tmp_path)
    index.write_text("{")
    with pytest.raises(ValueError, match="holds no JSON"):
        load(tmp_path)
    index.write_text("{}")
    with pytest.raises(ValueError, match="has no 'weight_map'"):
        load(tmp_path)


def test_ouro_is_not_looped_in_the_middle(at: Folder) -> None:
    with pytest.raises(ValueError, match="looped whole, normed between passes; use 'all'"):
        build(at("ouro"), loop="middle")


def test_a_config_that_is_no_json_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json is no JSON"):
        Pretrained(folder=str(tmp_path)).build(vocab_size=40, window=4, seq_len=8)
