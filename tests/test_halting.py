"""Models that decide how many passes a window gets: what they are at the ends, alone and in a batch."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import WINDOW, Build, live, same, tokens
from harness import bench, small
from test_outcomes import suite
from torch import Tensor

from baselines.act import ACT, EPSILON, ACTSleeper, Ponder
from baselines.base import Model, State
from baselines.early_exit import EarlyExit, EarlyExitSleeper
from baselines.halting import change, normalise
from baselines.hybrid import Hybrid
from baselines.report import Report
from baselines.sleeper import Sleeper
from benchmark import rows
from benchmark.cells.cost import cost
from benchmark.run.folder import SweepFolder
from benchmark.run.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES: dict[str, Any] = {"layout": "attn gdn attn delta", "d_model": 16, "heads": 2, "mlp_ratio": 2}
EVICTIONS = pytest.mark.parametrize("eviction", ["hard", "sliding"])


def exiting(build: Build, dtype: torch.dtype = torch.float64, **settings: Any) -> EarlyExitSleeper:
    """As it is tested."""
    model = build(EarlyExit(**SIZES | settings), dtype=dtype, noise=0.1)
    assert isinstance(model, EarlyExitSleeper)
    model.eval()
    return model


def pondering(build: Build, dtype: torch.dtype = torch.float64, **settings: Any) -> ACTSleeper:
    model = build(ACT(**SIZES | settings), dtype=dtype, noise=0.1)
    assert isinstance(model, ACTSleeper)
    return model


def hybrid_of(model: Sleeper, build: Build, eviction: str = "hard") -> Model:
    """The hybrid with the same weights."""
    plain = build(Hybrid(**SIZES, eviction=eviction), dtype=model.embedding.weight.dtype)
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith("halt")})
    return plain


def slept(model: Model, batch: Tensor, passes: int) -> tuple[State, Report]:
    """The state after two windows, and what was reported of them."""
    state, report = model.start(len(batch)), Report()
    for window in batch[:, : 2 * WINDOW].split(WINDOW, dim=1):
        state = model.sleep(window, state, passes, **model.keywords(report, None))
    return state, report


def rows_of(state: State, b: int) -> State:
    return state.map(lambda t: t[b : b + 1])


def near(one: State, two: State) -> bool:
    pairs = zip(one.tensors().values(), two.tensors().values(), strict=True)
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in pairs)


# --- exits by a fixed rule ---


def changes(model: EarlyExitSleeper, tokens: Tensor, passes: int) -> Tensor:
    """The relative change of each pass over a first window [B, L] but the last [N - 1, B]: it decides who exits."""
    state = model.start(len(tokens))
    seen = model.signals(model.embed(tokens, state.windows), model.unpack(state, len(tokens)))
    found = []
    for _, (h, held) in zip(range(passes - 1), model.each_pass(tokens, state, passes), strict=False):
        before, seen = seen, model.signals(h, held)
        found.append(change(seen, before))
    return torch.stack(found)


@EVICTIONS
@pytest.mark.parametrize("exit_by", ["features", "fast-weights"])
def test_a_rule_that_never_fires_is_the_hybrid(build: Build, eviction: str, exit_by: str) -> None:
    model = exiting(build, eviction=eviction, exit_by=exit_by, exit_below=0.0)
    plain = hybrid_of(model, build, eviction)
    for passes in (1, 2, 5):
        assert same(slept(model, tokens(), passes)[0], slept(plain, tokens(), passes)[0])


def test_training_is_that_of_the_hybrid(build: Build) -> None:
    model = exiting(build, exit_below=1e9)
    plain = hybrid_of(model, build)
    assert not same(slept(model, tokens(), 4)[0], slept(plain, tokens(), 4)[0])
    model.train()
    state, report = slept(model, tokens(), 4)
    assert same(state, slept(plain, tokens(), 4)[0])
    assert report.means()["passes_used"] == (4, 6)
    assert report.loss is None


def test_a_rule_that_always_fires_leaves_one_pass(build: Build) -> None:
    model = exiting(build, torch.float32, exit_below=1e9)
    state, report = slept(model, tokens(), 5)
    assert same(state, slept(model, tokens(), 1)[0])
    assert report.means() == {"passes_used": (1, 6), "passes_longest": (1, 2)}


@EVICTIONS
@pytest.mark.parametrize("exit_by", ["features", "fast-weights"])
def test_each_sequence_of_a_batch_is_as_alone(build: Build, eviction: str, exit_by: str) -> None:
    """Exits between those of the batch: some halt early, some late, and none hears of the others."""
    most, batch = 6, tokens(batch=6)
    model = exiting(build, eviction=eviction, exit_by=exit_by)
    curve = changes(model, batch[:, :WINDOW], most).detach()
    exit_below = 1.001 * float(curve[2].median())
    model = exiting(build, eviction=eviction, exit_by=exit_by, exit_below=exit_below)
    together, report = slept(model, batch, most)
    used = torch.stack(report.values["passes_used"])
    assert len(used[0].unique()) > 1
    for b in range(6):
        alone, of_one = slept(model, batch[b : b + 1], most)
        assert torch.stack(of_one.values["passes_used"])[:, 0].tolist() == used[:, b].tolist()
        assert near(alone, rows_of(together, b))
    assert [float(t) for t in report.values["passes_longest"]] == used.max(1).values.tolist()


def test_the_exit_is_the_first_pass_that_changes_little(build: Build) -> None:
    batch, most = tokens(batch=8)[:, :WINDOW], 7
    curve = changes(exiting(build), batch, most).detach()
    exit_below = 1.001 * float(curve[3].median())
    model, report = exiting(build, exit_below=exit_below), Report()
    state = model.sleep(batch, model.start(8), most, report=report)
    for b, used in enumerate(report.values["passes_used"][0].int().tolist()):
        fires = [n for n, r in enumerate(curve[:, b].tolist(), start=1) if r < exit_below]
        assert used == min(fires, default=most)
        assert near(rows_of(state, b), rows_of(model_at(build, batch, used), b))


def model_at(build: Build, batch: Tensor, passes: int) -> State:
    """What so many passes leave."""
    return exiting(build, exit_below=0.0).sleep(batch, exiting(build).start(len(batch)), passes)


def test_without_a_report_no_pass_is_left_out(build: Build) -> None:
    """Where FLOPs are counted, what they are at most."""
    cells = [small(sleep_passes=3, test_passes=()), small(sleep_passes=3)]
    sizes = {name: getattr(cells[0].model, name) for name in ("layout", "d_model", "heads", "mlp_ratio")}
    exits = replace(cells[0], model=EarlyExit(**sizes, exit_below=1e9))
    assert cost(exits).sleep_flops == cost(cells[1]).sleep_flops
    assert cost(exits).train_flops == cost(cells[1]).train_flops


def test_what_changes_is_relative_to_its_size() -> None:
    old, new = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 2.0]])
    assert change([new], [old]).tolist() == pytest.approx([0, 0, math.sqrt(5) / 2])
    assert change([new, new], [old, old]).tolist() == pytest.approx([0, 0, math.sqrt(5) / 2])


def test_raw_features_change_by_one_over_n_whatever_happens() -> None:
    """The trap: a residual stream that adds the same in every pass, and has nothing to settle, fires at any threshold.

    Normed, the same stream has only its direction left to settle, as 1 / n^2; and where every pass turns the features,
    which never settle, a raw change falls all the same, and a normed one does not.
    """
    generator = torch.Generator().manual_seed(0)
    start, step = torch.randn(2, 1, 4, 64, generator=generator, dtype=torch.float64)
    h = [start + n * step for n in range(41)]
    raw = [float(change([h[n]], [h[n - 1]])) for n in (10, 20, 40)]
    unit = [float(change([normalise(h[n])], [normalise(h[n - 1])])) for n in (10, 20, 40)]
    assert raw == pytest.approx([1 / 10, 1 / 20, 1 / 40], rel=0.05)
    assert unit[0] / unit[2] == pytest.approx(16, rel=0.2) and unit[0] < raw[0] / 5
    turned = [n * torch.roll(start, n, dims=-1) for n in range(1, 42)]
    assert float(change([normalise(turned[40])], [normalise(turned[39])])) > 1


def test_as_built_a_shuffled_window_stops_where_the_window_does(build: Build) -> None:
    """The control: a network that has learned nothing computes nothing, and its exits count passes alone."""
    model = exiting(build)
    batch = tokens(batch=64)[:, :WINDOW]
    shuffled = batch[:, torch.randperm(WINDOW, generator=torch.Generator().manual_seed(1))]
    of_windows, of_shuffled = (changes(model, b, 6).mean(1) for b in (batch, shuffled))
    assert (of_windows.diff() < 0).all()
    torch.testing.assert_close(of_shuffled, of_windows, rtol=0.1, atol=0)


# --- adaptive computation time ---


def with_halt(model: ACTSleeper, bias: float) -> ACTSleeper:
    """The same share of halting for every window."""
    with torch.no_grad():
        model.halt.zero_()
        model.halt_bias.fill_(bias)
    return model


@EVICTIONS
def test_halting_at_once_is_one_pass_and_never_is_all(build: Build, eviction: str) -> None:
    model = pondering(build, torch.float32, eviction=eviction)
    plain = hybrid_of(model, build, eviction)
    for passes in (1, 2, 4):
        assert same(slept(with_halt(model, 1e9), tokens(), passes)[0], slept(plain, tokens(), 1)[0])
        assert same(slept(with_halt(model, -1e9), tokens(), passes)[0], slept(plain, tokens(), passes)[0])


def test_as_built_it_takes_four_passes(build: Build) -> None:
    model = with_halt(pondering(build), -1.0)
    assert slept(model, tokens(), 8)[1].means()["passes_used"] == (4, 6)


def pondered(shares: list[float], most: int) -> tuple[list[float], int, float]:
    """Weights, T and R of one sequence, from Graves's equations 5 to 8."""
    T = next((n for n in range(1, most) if sum(shares[:n]) >= 1 - EPSILON), most)
    R = 1 - sum(shares[: T - 1])
    return [*shares[: T - 1], R, *[0.0] * (most - T)], T, R


def test_weights_are_those_of_the_equations_and_sum_to_one() -> None:
    shares = torch.rand(5, 300, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 2
    shares[0, 0] = 0.995
    ponder = Ponder(300, torch.device("cpu"))
    weights = torch.stack([ponder.step(shares[n] if n < 4 else None) for n in range(5)])
    torch.testing.assert_close(weights.sum(0), torch.ones(300, dtype=torch.float64))
    assert not ponder.running.any() and set(ponder.used.tolist()) == {1, 2, 3, 4, 5}
    for b in range(300):
        expected, T, R = pondered(shares[:, b].tolist(), 5)
        assert weights[:, b].tolist() == pytest.approx(expected)
        assert (float(ponder.used[b]), float(ponder.remainder[b])) == (T, pytest.approx(R))


def test_what_is_kept_is_the_mix_of_the_passes(build: Build) -> None:
    """Of a batch whose sequences halt at different passes; keys and values are those of the last pass of each."""
    model = pondering(build, eviction="sliding")
    with torch.no_grad():
        model.halt.copy_(6 * torch.randn(16, generator=torch.Generator().manual_seed(0)))
        model.halt_bias.fill_(1.0)
    batch, most = tokens(batch=6)[:, :WINDOW], 5
    state, report = model.sleep(batch, model.start(6), most, report=(told := Report())), told
    plain = hybrid_of(model, build, "sliding")
    after = [plain.sleep(batch, plain.start(6), n) for n in range(1, most + 1)]
    halts = [model.halting_logit(h).sigmoid() for h, _ in model.each_pass(batch, model.start(6), most)]
    used = report.values["passes_used"][0].int().tolist()
    assert len(set(used)) > 1
    for b, T in enumerate(used):
        weights, expected, _ = pondered([h[b].item() for h in halts], most)
        assert expected == T
        for number, kept in enumerate(state.fast_weights):
            mix = sum(w * of_n.fast_weights[number][b] for w, of_n in zip(weights, after, strict=True))
            torch.testing.assert_close(kept[b], mix)
        for number, cache in enumerate(state.cache):
            torch.testing.assert_close(cache[b], after[T - 1].cache[number][b])
        alone = model.sleep(batch[b : b + 1], model.start(1), most)
        assert near(alone, rows_of(state, b))


def test_the_gradient_of_the_penalty_by_finite_differences(build: Build) -> None:
    """Between jumps of T, of which there is none in a step so small."""
    model = pondering(build, ponder_weight=0.5)

    def penalty() -> Tensor:
        report = slept(model, tokens(), 3)[1]
        assert report.loss is not None
        return report.loss

    wanted = [model.halt, model.halt_bias, model.stack[0].mlp.up.weight]
    gradients = torch.autograd.grad(penalty(), wanted)
    for parameter, gradient in zip(wanted, gradients, strict=True):
        place, step = int(gradient.abs().argmax()), 1e-6
        with torch.no_grad():
            flat = parameter.view(-1)
            ends = []
            for sign in (1, -1):
                flat[place] += sign * step
                ends.append(float(penalty()))
                flat[place] -= sign * step
        slope = float(gradient.view(-1)[place])
        assert abs(slope) > 1e-4
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_one_pass_has_nothing_to_decide(build: Build) -> None:
    """T + R is 2 of every window whatever the unit says, and it gets no gradient."""
    model = pondering(build)
    report = Report()
    state = model.sleep(tokens()[:, :WINDOW], model.start(3), 1, report=report)
    assert report.means()["ponder_cost"] == (2, 3)
    model.wake(tokens()[:, WINDOW:][:, :WINDOW], state)[0].sum().backward()
    assert model.halt.grad is None and model.halt_bias.grad is None


@pytest.mark.parametrize("name", ["early-exit", "act"])
def test_rows_say_how_many_passes_were_used(tmp_path: Path, name: str) -> None:
    """And the unit that halts learns; a test at another N has its own."""
    kinds: dict[str, Any] = {"early-exit": EarlyExit, "act": ACT}
    settings = {"exit_below": 0.2} if name == "early-exit" else {"ponder_weight": 0.1}
    plain = small(sleep_passes=3, test_passes=(1, 3))
    sizes = {each: getattr(plain.model, each) for each in ("layout", "d_model", "heads", "mlp_ratio")}
    cell = replace(plain, model=kinds[name](**sizes, **settings))
    table = rows.read_table(suite(tmp_path, cell))
    for n in (1, 3):
        of_n = table.filter(table["tested_passes"] == n)
        used, longest = of_n["report_passes_used"], of_n["report_passes_longest"]
        assert (used >= 1).all() and (used <= longest).all() and (longest <= n).all()
    assert (table.filter(table["tested_passes"] == 3)["report_passes_longest"] > 1).any() or name == "early-exit"
    assert live(cell.model.build(vocab_size=7, window=6, seq_len=24), tokens(), 2)[0].isfinite().all()


def test_the_weights_of_a_trained_hybrid_are_tested_with_any_rule(tmp_path: Path) -> None:
    """From its folder to a file, and from there: one that never fires scores as the hybrid did, one that does tells."""
    cell = small(sleep_passes=3)
    sweep, weights = SweepFolder(tmp_path / "run"), tmp_path / "w.safetensors"
    with sweep.session([cell]):
        Trainer(cell, sweep.of(cell).path).run()
    before = json.loads(bench("evaluate", sweep.of(cell).path, "--export", weights, "--json").out)["scores"]
    known = ("layout", "d_model", "heads", "mlp_ratio", "cells", "strings", "rollout_steps", "test_examples")
    settings = [word for name in known for word in ("--set", f"{name}={cell.axes[name]}")]
    told = []
    for below in (0, 1e9):
        rule = ["--weights", weights, "--sleep-passes", 3, "--set", f"exit_below={below}", "--json"]
        told.append(json.loads(bench("evaluate", "early-exit", *settings, *rule).out)["scores"])
    shared = {name: value for name, value in told[0][0].items() if not name.startswith("report_")}
    assert [shared] == before
    assert [line["report_passes_used"] for scores in told for line in scores] == [3, 1]


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (EarlyExit, {"exit_by": "logits"}, "exit_by = 'logits': needs to be one of features, fast-weights"),
        (EarlyExit, {"exit_below": -0.1}, "exit_below = -0.1: needs to be at least 0"),
        (EarlyExit, {"exit_below": math.nan}, "exit_below = nan"),
        (EarlyExit, {"reread": True}, "reread: a sleep that may end after any pass is a loop of its own"),
        (ACT, {"ponder_weight": -1.0}, "ponder_weight = -1.0: needs to be at least 0"),
        (ACT, {"backprop_passes": 2}, "backprop_passes: a sleep that mixes its passes is a loop of its own"),
        (ACT, {"loop": "middle", "evict_every": 2}, "loop and evict_every: a sleep that mixes"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(kind: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**settings)
