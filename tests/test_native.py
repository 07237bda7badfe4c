"""Blocks and optimizer in C against torch's: values, gradients, the contract, resumption, and what falls back."""

import copy
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import ROOT, bench, comparable, small
from torch import Tensor, nn

from baselines import MODELS, load
from baselines.base import Model, State
from baselines.hybrid import Hybrid
from baselines.native import build
from baselines.native.block import attach, obstacle
from baselines.native.step import prepare
from baselines.sleeper import Sleeper
from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.run.trainer import Trainer

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(shutil.which(os.environ.get("CC", "cc")) is None, reason="no C compiler here"),
]

SMALL = {"layout": "attn gdn", "d_model": 32, "heads": 2, "mlp_ratio": 2}


def model(window: int, *, seed: int = 0, **settings: Any) -> Sleeper:
    """A hybrid for three windows out of 5 kinds of token, every weight away from 0."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Hybrid(**SMALL | settings).build(vocab_size=5, window=window, seq_len=3 * window)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    assert isinstance(made, Sleeper)
    return made


def native(of: Sleeper) -> Sleeper:
    """A copy that runs in C."""
    made = copy.deepcopy(of)
    attach(made)
    return made


def double(of: Sleeper) -> Sleeper:
    """A copy in double precision, of the same function: a norm takes its eps from the precision otherwise."""
    made = copy.deepcopy(of).double()
    for module in made.modules():
        if isinstance(module, nn.RMSNorm):
            module.eps = torch.finfo(torch.float32).eps
    return made


def tokens(window: int, batch: int) -> Tensor:
    return torch.randint(5, (batch, 3 * window), generator=torch.Generator().manual_seed(1))


def gradients(
    of: Sleeper, window: int, *, batch: int, passes: int, keeps: bool, written: float = 0.3
) -> dict[str, Tensor]:
    """Logits, and the gradients by parameters and by the state before, of two sleeps and a prediction.

    What is kept of earlier tokens begins with two of them, or with one where windows have no more.
    """
    inputs = tokens(window, batch)
    random = torch.Generator().manual_seed(2)
    start = of.start(batch)

    def normal(scale: float, *shape: int) -> Tensor:
        drawn = scale * torch.randn(shape, generator=random, dtype=torch.float64)
        return drawn.to(of.norm.weight.dtype).requires_grad_()

    before = [normal(written, *t.shape) for t in start.fast_weights]
    kept = [normal(1.0, *t.shape[:3], min(2, window - 1), t.shape[-1]) for t in start.cache]
    state: State = type(start)(fast_weights=tuple(before), cache=tuple(kept), windows=0)
    for part in inputs[:, : 2 * window].split(window, dim=1):
        state = of.sleep(part, state, passes)
    logits, after = of.wake(inputs[:, 2 * window :], state)
    weights = torch.randn(logits.shape, generator=random, dtype=torch.float64)
    loss = (logits.double() * weights).sum()
    if keeps:  # what survives is needed too, as between the windows of a longer text
        loss = loss + sum((t.double() ** 2).sum() for t in after.tensors().values())
    loss.backward()  # type: ignore[no-untyped-call]
    found = {name: p.grad for name, p in of.named_parameters()} | {
        f"state {i}": t.grad for i, t in enumerate(before + kept)
    }
    return {name: grad.double() for name, grad in found.items() if grad is not None} | {
        "logits": logits.detach().double()
    }


def assert_as_exact(of: Sleeper, window: int, **how: Any) -> None:
    """No further from double precision than torch's single precision is, but for a few roundings."""
    exact = gradients(double(of), window, **how)
    by_torch, by_c = gradients(of, window, **how), gradients(native(of), window, **how)
    assert by_c.keys() == by_torch.keys() == exact.keys()
    rounding = 1e-7 * max(wanted.norm() for wanted in exact.values())  # what is all but nothing is only rounded to that
    for name, wanted in exact.items():
        errors = [float((found[name] - wanted).norm()) for found in (by_torch, by_c)]
        assert errors[1] <= 6 * errors[0] + 1e-5 * wanted.norm() + rounding, (name, errors)


@pytest.mark.parametrize("window", [1, 7, 16, 24, 32, 64])
@pytest.mark.parametrize(("passes", "keeps"), [(1, False), (3, True)])
def test_values_and_gradients(window: int, passes: int, *, keeps: bool) -> None:
    assert_as_exact(model(window), window, batch=3, passes=passes, keeps=keeps)


@pytest.mark.parametrize("window", [1, 7, 16, 24, 32, 64])
@pytest.mark.parametrize("word", ["delta", "gated", "linear"])
def test_other_rules(word: str, window: int) -> None:
    of = model(window, layout=f"{word} attn {word}")
    assert_as_exact(of, window, batch=3, passes=2, keeps=True)
    assert_as_exact(of, window, batch=3, passes=1, keeps=False)


@pytest.mark.parametrize("window", [2, 7, 16, 24, 32, 64])
@pytest.mark.parametrize("eviction", ["sliding", "none"])
def test_kept_keys_and_values(eviction: str, window: int) -> None:
    """Two windows and a prediction after another, so that keys of each are seen from later ones, and fall away."""
    of = model(window, layout="attn gdn attn", eviction=eviction)
    assert_as_exact(of, window, batch=3, passes=2, keeps=True)
    assert_as_exact(of, window, batch=3, passes=1, keeps=False)


def test_what_is_kept_is_what_torch_keeps() -> None:
    of = model(6, layout="attn attn", eviction="sliding")
    inputs = tokens(6, 3)
    with torch.no_grad():
        kept = [made.sleep(inputs[:, :6], made.start(3), 2).cache for made in (of, native(of))]
        assert [t.shape for t in kept[1]] == [(3, 2, 2, 5, 16)] * 2
        for one, other in zip(*kept, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"layout": "gdn attn gdn", "d_model": 16, "heads": 1, "mlp_ratio": 1},
        {"layout": "attn gdn attn", "d_model": 64, "heads": 4, "mlp_ratio": 3},
        {"layout": "gdn gdn", "d_model": 48, "heads": 1},
        {"d_model": 32, "heads": 1, "state_size": 16},
        {"heads": 1, "state_size": 64, "window_embedding": False},
        {"reset_state": True},
        {"loop": "middle", "layout": "attn gdn gdn attn"},
        {"d_model": 48, "heads": 1, "layout": "attn gdn", "eviction": "sliding"},
        {"d_model": 128, "heads": 1, "mlp_ratio": 0.5},
    ],
    ids=str,
)
def test_every_shape_and_loop(settings: dict[str, Any]) -> None:
    assert_as_exact(model(10, **settings), 10, batch=9, passes=2, keeps=True)


@pytest.mark.parametrize("word", ["gdn", "gated"])
@pytest.mark.parametrize(
    ("rate", "bias"),
    [(-20.0, -20.0), (3.0, 5.0), (6.0, 20.0), (100.0, 20.0)],
    ids=["keeps", "fades", "forgets", "infinite"],
)
def test_extreme_gates(word: str, rate: float, bias: float) -> None:
    """From a memory that never fades to one that is empty at each token."""
    extreme = model(24, layout=f"{word} {word}")
    with torch.no_grad():
        for name, parameter in extreme.named_parameters():
            if name.endswith(("log_rate", "step_bias")):
                parameter.fill_(rate if name.endswith("log_rate") else bias)
            if name.endswith("gates.weight"):
                parameter.mul_(20)
    found = gradients(native(extreme), 24, batch=3, passes=2, keeps=True, written=3.0)
    assert all(bool(t.isfinite().all()) for t in found.values())
    if rate < 100:  # double precision holds more
        assert_as_exact(extreme, 24, batch=3, passes=2, keeps=True)


def answers(of: Model, inputs: Tensor, window: int, passes: int) -> Tensor:
    state = of.start(len(inputs))
    for part in inputs[:, : 2 * window].split(window, dim=1):
        state = of.sleep(part, state, passes)
    logits: Tensor = of.wake(inputs[:, 2 * window :], state)[0]
    return logits


def test_no_later_token_and_no_other_sequence_is_heard() -> None:
    window, inputs = 9, tokens(9, 4)
    made = native(model(window))
    with torch.no_grad():
        before = answers(made, inputs, window, 2)
        for at in range(1, window):
            later = inputs.clone()
            later[:, 2 * window + at :] = (later[:, 2 * window + at :] + 1) % 5
            assert torch.equal(answers(made, later, window, 2)[:, :at], before[:, :at])
        assert torch.equal(answers(made, inputs[1:2], window, 2), before[1:2])


def test_a_change_of_parameters_is_seen() -> None:
    made, inputs = native(model(5)), tokens(5, 2)
    with torch.no_grad():
        before = answers(made, inputs, 5, 1)
        made.stack[0].mlp.up.weight.mul_(1.5)
        assert not torch.equal(answers(made, inputs, 5, 1), before)
    assert answers(made, inputs, 5, 1).requires_grad  # what was put together without gradients is not used with them


IN_TORCH = ("jet", "retrieval")  # of the models of this project


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_what_it_gives_in_torch(name: str) -> None:
    """Logits, and gradients by each parameter, after two sleeps of three passes, or a word why not."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        of = load(name)(**{"d_model": 32, "heads": 2}).build(vocab_size=5, window=8, seq_len=24)
        with torch.no_grad():
            for parameter in of.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    assert bool(obstacle(of)) == (name in IN_TORCH)
    if name in IN_TORCH:
        return
    made = copy.deepcopy(of)
    attach(made)
    logits = [answers(each, tokens(8, 4), 8, 3) for each in (of, made)]
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-4, atol=1e-4)
    for each in logits:
        each.square().sum().backward()  # type: ignore[no-untyped-call]
    for (path, one), other in zip(of.named_parameters(), made.parameters(), strict=True):
        if one.grad is not None:
            assert other.grad is not None
            assert float((one.grad - other.grad).norm()) <= 1e-3 * float(one.grad.norm()) + 1e-6, path


# What runs in torch


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"layout": "attn jet"}, "update rule Jet runs in torch"),
        ({"layout": "gdn", "d_model": 24, "heads": 1}, "multiples of 16 are needed"),
        ({"heads": 4}, "multiples of 16 are needed"),
    ],
)
def test_what_cannot_run_says_why(settings: dict[str, Any], why: str) -> None:
    made = model(6, **settings)
    assert why in obstacle(made)
    with pytest.raises(ValueError, match="backend 'native' does not run this model: "):
        attach(made)


def test_longer_windows_and_other_precisions_run_in_torch() -> None:
    long = model(70)
    inputs = tokens(70, 2)
    with torch.no_grad():
        assert torch.equal(answers(long, inputs, 70, 1), answers(native(long), inputs, 70, 1))
        one, other = model(8), native(model(8))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(answers(one, tokens(8, 2), 8, 1), answers(other, tokens(8, 2), 8, 1))


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv(build.CACHE, str(tmp_path))
    build.library.cache_clear()
    try:
        with pytest.raises(ValueError, match="no C compiler: no-such-compiler cannot be run"):
            Trainer(cell(), tmp_path, backend="native")
        trainer = Trainer(cell(), tmp_path, backend="auto")
        assert trainer.facts["backend"] == "torch"
    finally:
        build.library.cache_clear()


def test_the_gate_can_ask_whether_there_is_a_compiler(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "baselines.native.build"]
    named = os.environ | {"CC": "no-such-compiler", build.CACHE: str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=named, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("no C compiler: no-such-compiler cannot be run")
    assert subprocess.run(command, cwd=ROOT, env=os.environ).returncode == 0


def test_a_compiler_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(build.CACHE, str(tmp_path))
    with pytest.raises(build.CompilerError, match=r"does not compile it: .*"):
        build.library_file("-no-such-flag")
    assert list(tmp_path.iterdir()) == []
    library = build.library_file("-O0")
    assert [library] == list(tmp_path.iterdir()) and build.library_file("-O0") == library


# Training


def cell(**settings: Any) -> Cell:
    return small(d_model=16, heads=1, mlp_ratio=1, **settings)


def trained(folder: Path, *, stop_after: int = 10**9, backend: str = "native") -> list[rows.Row]:
    folder.mkdir(exist_ok=True)
    trainer = Trainer(cell(sleep_passes=2, weight_decay=0.1), folder, backend=backend)
    trainer.run(stop=lambda: trainer.step >= stop_after)
    return comparable(rows.read(folder / "rows.jsonl"))


def test_the_same_bits_again_and_after_a_stop(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    assert trained(tmp_path / "again") == whole
    trained(tmp_path / "broken", stop_after=11)
    assert trained(tmp_path / "broken") == whole
    assert {row["backend"] for row in whole} == {"native"}
    by_torch = trained(tmp_path / "torch", backend="torch")
    assert [row["loss"] for row in whole] == pytest.approx([row["loss"] for row in by_torch], rel=2e-3)
    trained(tmp_path / "other", stop_after=11, backend="torch")
    resumed = trained(tmp_path / "other")  # checkpoints of one are those of the other
    assert [row["backend"] for row in resumed[:1] + resumed[-1:]] == ["torch", "native"]
    assert resumed[-1]["step"] == whole[-1]["step"]


def test_two_threads_are_not_in_each_others_way() -> None:
    made = [native(model(24, seed=seed, layout="gdn attn gdn")) for seed in (0, 1)]
    inputs = tokens(24, 64)

    def ask(which: int) -> Tensor:
        with torch.no_grad():
            return answers(made[which], inputs, 24, 3)

    alone = [ask(0), ask(1)]
    with ThreadPoolExecutor(2) as threads:
        for turn, found in enumerate(threads.map(ask, [0, 1] * 20)):
            assert torch.equal(found, alone[turn % 2])


@pytest.mark.usefixtures("undrawn")
def test_the_command_takes_a_backend(tmp_path: Path) -> None:
    tiny = ("run", "quick", "--scale", "tiny", "--rollout-steps", "0", "--sleep-passes", "1", "--set", "tokens=2000")
    done = bench(*tiny, "--executor", "serial", "--backend", "auto", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert set(rows.read_table(tmp_path / "run")["backend"]) <= {"torch", "native"}
    wrong = bench(*tiny, "--backend", "naitve", "--out", tmp_path)
    assert wrong.code == 2 and "did you mean 'native'" in wrong.err


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_step_is_that_of_torch(decay: float) -> None:
    """On the same gradients; Newton-Schulz rounds to bf16 in both, so that a matrix's direction has three digits."""
    random = torch.Generator().manual_seed(0)
    shapes = [(16, 48), (40, 8), (32, 32), (7,), (5, 3)]
    start = [torch.randn(shape, generator=random) for shape in shapes]
    results = []
    for in_c in (False, True):
        parameters = [nn.Parameter(t.clone()) for t in start]
        muon = torch.optim.Muon(parameters[:3], lr=0.02, weight_decay=decay, momentum=0.95, nesterov=True)
        adam = torch.optim.AdamW(parameters[3:], lr=0.01, weight_decay=decay, fused=True)
        muon.param_groups[0] |= {"adjust_lr_fn": "original"}
        step = prepare(muon, adam, 1.0)
        random = torch.Generator().manual_seed(1)
        for turn in range(4):
            for parameter in parameters[: len(parameters) if turn else -1]:  # in a first stage some are not trained
                parameter.grad = torch.randn(parameter.shape, generator=random)
            if in_c:
                step()
                assert all(parameter.grad is None for parameter in parameters)
            else:
                nn.utils.clip_grad_norm_(parameters, 1.0)
                muon.step()
                adam.step()
        momenta = [muon.state[p]["momentum_buffer"] for p in parameters[:3]]
        results.append((parameters, momenta, [adam.state[p] for p in parameters[3:]]))
    (by_torch, momenta, states), (by_c, own_momenta, own_states) = results
    for one, other, before in zip(by_torch, by_c, start, strict=True):
        moved = (one - before).norm()
        assert float((one - other).detach().norm() / moved.detach()) < (
            0.02 if before.dim() == 2 and before.shape != (5, 3) else 1e-5
        )
    for one, other in zip(momenta, own_momenta, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    for state, own in zip(states, own_states, strict=True):
        assert state.keys() == own.keys()
        for name in state:
            torch.testing.assert_close(state[name], own[name], rtol=1e-5, atol=1e-8)


# Other builds of the same source

BUILT = """
import functools, sys
from baselines.native import build
build.library_file = functools.partial(build.library_file, *sys.argv[1:])
sys.path.insert(0, "tests")
import test_native as t
for window, batch, settings in (
    (1, 3, {}),
    (17, 9, {}),
    (64, 1, {}),
    (7, 2, {"layout": "attn linear delta gated attn", "eviction": "sliding"}),
    (17, 5, {"layout": "attn", "eviction": "none", "heads": 1}),
):
    t.assert_as_exact(t.model(window, **settings), window, batch=batch, passes=2, keeps=True)
t.test_a_step_is_that_of_torch(0.1)
"""


def built(tmp_path: Path, *flags: str, **environment: str) -> None:
    """Values, gradients and steps with other flags, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", BUILT, *flags],
        cwd=ROOT,
        env=os.environ | environment | {"PYTHONPATH": str(ROOT), build.CACHE: str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.long
def test_a_sanitizer_finds_no_memory_that_is_not_its_own(tmp_path: Path) -> None:
    runtime = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.skip("no address sanitizer here")
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-O1", "-g")
    built(tmp_path, *flags, LD_PRELOAD=runtime, ASAN_OPTIONS="detect_leaks=0")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="another processor than x86")
def test_narrower_vectors(tmp_path: Path) -> None:
    built(tmp_path, "-mno-avx512f")
