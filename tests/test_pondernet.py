"""PonderNet: its loss and gradients against the equations written out, its law, what is drawn, what tests do."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import WINDOW, Build, same, tokens
from harness import small
from plain import Plain
from test_outcomes import suite
from torch import Tensor

from baselines.base import Model, State
from baselines.hybrid import Hybrid
from baselines.pondernet import PonderNet, PonderSleeper, drawn, log_law
from baselines.report import Report
from benchmark import rows
from benchmark.cells.cost import cost
from benchmark.forward import Batch, predict, token_losses, trained_losses
from benchmark.run.trainer import Trainer
from tasks.base import IGNORE

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES: dict[str, Any] = {"layout": "attn gdn attn gdn", "d_model": 8, "heads": 2, "mlp_ratio": 2}
EVICTIONS = pytest.mark.parametrize("eviction", ["hard", "sliding"])
MOST = 4


def pondering(build: Build, dtype: torch.dtype = torch.float64, **settings: Any) -> PonderSleeper:
    """With a unit that tells windows apart."""
    model = build(PonderNet(**SIZES | settings), dtype=dtype, noise=0.3)
    assert isinstance(model, PonderSleeper)
    with torch.no_grad():
        model.halt.copy_(torch.randn(8, generator=torch.Generator().manual_seed(2)))
        model.halt_bias.fill_(-0.3)
    return model


def hybrid_of(model: PonderSleeper, build: Build, eviction: str = "hard") -> Model:
    """The hybrid with the same weights."""
    plain = build(Hybrid(**SIZES, eviction=eviction), dtype=model.embedding.weight.dtype)
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith("halt")})
    return plain


def with_halt(model: PonderSleeper, bias: float) -> PonderSleeper:
    """The same chance for every window."""
    with torch.no_grad():
        model.halt.zero_()
        model.halt_bias.fill_(bias)
    return model


def batch_of(slept: int, *, batch: int = 3) -> Batch:
    """So many windows that are slept over, then one that is predicted, some places without a target."""
    inputs = tokens(batch, (slept + 1) * WINDOW)
    targets = inputs[:, -WINDOW:].roll(-1, 1).clone()
    targets[:, ::3] = IGNORE
    windows = tuple((i * WINDOW, (i + 1) * WINDOW, i == slept) for i in range(slept + 1))
    return Batch(inputs=inputs, targets=targets, windows=windows)


def trained_on(model: PonderSleeper, batch: Batch, passes: int) -> Tensor:
    """The sum that a step goes down on, over one batch."""
    report = Report()
    losses = trained_losses(predict(model, batch, passes, report=report), batch.targets, report)
    assert report.answers and report.loss is not None
    return losses.sum() / (batch.targets != IGNORE).sum() + report.loss


def written_out(model: PonderSleeper, batch: Batch, passes: int) -> Tensor:
    """The same from the equations, a sequence, a number of passes and a token at a time; one window is slept over."""
    beta, rate = model.config.ponder_weight, model.config.prior_rate
    loss, divergence = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
        slept, asked = inputs.split(WINDOW)
        rest, prior_rest = torch.ones((), dtype=torch.float64), 1.0
        for n in range(1, passes + 1):
            if n < passes:
                features = Plain(model, WINDOW).run([*slept], 0, n)
                mean = sum(h / ((h * h).mean() + torch.finfo(h.dtype).eps).sqrt() for h in features) / len(features)
                halt, prior_halt = 1 / (1 + (-(mean @ model.halt) - model.halt_bias).exp()), rate
            else:
                halt, prior_halt = torch.ones((), dtype=torch.float64), 1.0
            p, prior = halt * rest, prior_halt * prior_rest
            rest, prior_rest = rest * (1 - halt), prior_rest * (1 - prior_halt)
            divergence = divergence + p * (p / prior).log()
            logits = Plain(model, WINDOW).predict([slept, asked], n)
            for at, target in zip(logits, targets.tolist(), strict=True):
                if target != IGNORE:
                    loss = loss + p * (at.exp().sum().log() - at[target])
    return loss / (batch.targets != IGNORE).sum() + beta * divergence / len(batch.inputs)


@EVICTIONS
@pytest.mark.parametrize("passes", [1, 2, MOST])
def test_loss_and_gradients_are_those_of_the_equations(build: Build, eviction: str, passes: int) -> None:
    model, batch = pondering(build, eviction=eviction, ponder_weight=0.3), batch_of(1, batch=2)
    both = [of(model, batch, passes) for of in (trained_on, written_out)]
    torch.testing.assert_close(both[0], both[1], rtol=0, atol=1e-10)
    named = dict(model.named_parameters())
    grads = [torch.autograd.grad(loss, [*named.values()], allow_unused=True) for loss in both]
    for name, one, other in zip(named, *grads, strict=True):
        if passes == 1 and name.startswith("halt"):
            assert one is None and other is None  # one pass has nothing to decide
        elif other is None:
            assert one is None or not one.any(), name
        else:
            assert one is not None and other.abs().max() > 1e-9, name
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")


def test_the_gradient_of_the_unit_by_finite_differences(build: Build) -> None:
    model, batch, step = pondering(build, ponder_weight=0.3), batch_of(1), 1e-6
    gradients = torch.autograd.grad(trained_on(model, batch, MOST), [model.halt, model.halt_bias])
    for parameter, gradient in zip((model.halt, model.halt_bias), gradients, strict=True):
        flat, place, ends = parameter.data.view(-1), int(gradient.abs().argmax()), []
        for sign in (1, -1):
            flat[place] += sign * step
            ends.append(float(trained_on(model, batch, MOST).detach()))
            flat[place] -= sign * step
        assert abs(float(gradient.view(-1)[place])) > 1e-4
        assert float(gradient.view(-1)[place]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_the_law_sums_to_one_and_is_geometric_where_chances_are_alike() -> None:
    logits = 3 * torch.randn(500, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    law = log_law(logits).exp()
    torch.testing.assert_close(law.sum(1), torch.ones(500, dtype=torch.float64))
    geometric = log_law(torch.full((1, 3), 0.4, dtype=torch.float64).logit()).exp()
    torch.testing.assert_close(geometric, torch.tensor([[0.4, 0.24, 0.144, 0.216]], dtype=torch.float64))
    far = log_law(torch.tensor([[-200.0, 200.0, 0.0]], requires_grad=True))
    assert (far.exp() * far).sum().isfinite() and far.isfinite().all()


def test_the_divergence_is_zero_at_the_prior_alone(build: Build) -> None:
    batch = batch_of(1)
    for rate, near in ((0.25, True), (0.6, False)):
        model = with_halt(pondering(build, prior_rate=0.25), math.log(rate / (1 - rate)))
        report = Report()
        predict(model, batch, MOST, report=report)
        assert (abs(report.means()["ponder_divergence"][0]) < 1e-12) == near


@EVICTIONS
def test_halting_at_once_is_one_pass_and_never_is_all(build: Build, eviction: str) -> None:
    """In tests, and expected in training."""
    model = pondering(build, eviction=eviction)
    plain, batch = hybrid_of(model, build, eviction), batch_of(2)
    for bias, of in ((80.0, 1), (-80.0, MOST)):
        with_halt(model, bias)
        theirs = predict(plain, batch, of)
        model.eval()
        torch.testing.assert_close(predict(model, batch, MOST), theirs, rtol=0, atol=1e-12)
        model.train()
        report = Report()
        torch.testing.assert_close(predict(model, batch, MOST, report=report), theirs, rtol=0, atol=1e-12)
        (chances, logits), *more = report.answers
        assert not more and chances.shape == (MOST, 3)
        torch.testing.assert_close(logits[of - 1], theirs, rtol=0, atol=1e-12)
        assert chances[of - 1].detach().tolist() == pytest.approx([1, 1, 1])


@EVICTIONS
def test_each_answer_is_that_of_the_hybrid_after_as_many_passes(build: Build, eviction: str) -> None:
    model, batch = pondering(build, eviction=eviction), batch_of(1, batch=8)
    report = Report()
    answered = predict(model, batch, MOST, report=report)
    ((chances, logits),) = report.answers
    plain = hybrid_of(model, build, eviction)
    for n in range(1, MOST + 1):
        torch.testing.assert_close(logits[n - 1], predict(plain, batch, n), rtol=0, atol=1e-12)
    median = [next(n for n in range(MOST) if sum(p[: n + 1]) >= 0.5) for p in chances.T.tolist()]
    assert len(set(median)) > 1
    for b, n in enumerate(median):
        assert torch.equal(answered[b], logits[n, b])
    torch.testing.assert_close(model.law(batch.inputs[:, :WINDOW], model.start(8), MOST), chances.T)


@EVICTIONS
def test_tests_take_the_median_each_sequence_as_alone(build: Build, eviction: str) -> None:
    model = pondering(build, eviction=eviction).eval()
    plain, windows = hybrid_of(model, build, eviction), tokens(8)[:, :WINDOW]
    report = Report()
    state = model.sleep(windows, model.start(8), MOST, report=report)
    used = report.values["passes_used"][0].int().tolist()
    assert len(set(used)) > 1
    for b, n in enumerate(used):
        law = model.law(windows, model.start(8), MOST)[b].detach()
        assert float(law[:n].sum()) >= 0.5 > float(law[: n - 1].sum())
        theirs = plain.sleep(windows[b : b + 1], plain.start(1), n)
        pairs = zip(state.tensors().values(), theirs.tensors().values(), strict=True)
        assert all(torch.allclose(ours[b], other[0], rtol=1e-9, atol=1e-12) for ours, other in pairs)
    assert same(state, model.sleep(windows, model.start(8), MOST))  # reported or not
    model.train()  # where nobody takes what is expected
    assert same(model.sleep(windows, model.start(8), MOST), plain.sleep(windows, plain.start(8), MOST))


def test_windows_before_the_last_get_as_many_passes_as_their_law_says(build: Build) -> None:
    """One sequence a thousand times over: each is one of the four, as often as it should be."""
    model, many = pondering(build), 1000
    window = tokens(1)[:, :WINDOW].repeat(many, 1)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = model.sleep(window, model.start(many), MOST, report=Report())
        law = model.law(window[:1], model.start(1), MOST)[0]
        one = drawn(state)
        plain = hybrid_of(model, build)
        ways = torch.stack([plain.sleep(window[:1], plain.start(1), n).fast_weights[0][0] for n in range(1, MOST + 1)])
    apart = (one.fast_weights[0][:, None] - ways).flatten(2).abs().amax(2)
    assert apart.amin(1).max() < 1e-9 and type(one) is State
    counts = apart.argmin(1).bincount(minlength=MOST) / many
    spread = (law * (1 - law) / many).sqrt()
    assert ((counts - law).abs() < 4 * spread + 1e-9).all() and (counts > 0).all()


def test_a_sleep_after_a_prediction_goes_on_from_one_state(build: Build) -> None:
    model, windows = pondering(build, eviction="sliding"), tokens(3).split(WINDOW, dim=1)
    report = Report()
    model.wake(windows[0], model.start(3), report=report)
    assert [chances.tolist() for chances, _ in report.answers] == [[[1.0, 1.0, 1.0]]]
    state = model.sleep(windows[0], model.start(3), MOST, report=report)
    _, state = model.wake(windows[1], state, report=report)
    assert {len(t) for name, t in state.tensors().items() if name != "chances"} == {3 * MOST}
    state = model.sleep(windows[2], state, 2, report=report)
    assert {len(t) for name, t in state.tensors().items() if name != "chances"} == {3 * 2}
    assert len(report.answers) == 2


def test_some_windows_expected_and_others_not_are_refused(build: Build) -> None:
    report = Report()
    report.expect(torch.ones(1, 2), torch.zeros(1, 2, 3, 5))
    with pytest.raises(ValueError, match="must in all 4 predicted places; it did in 3"):
        trained_losses(torch.zeros(2, 4, 5), torch.zeros(2, 4, dtype=torch.int64), report)
    with pytest.raises(ValueError, match=r"given \[2\] and \[1, 2, 3, 5\]"):
        report.expect(torch.ones(2), torch.zeros(1, 2, 3, 5))
    logits, targets = torch.randn(2, 4, 5), torch.zeros(2, 4, dtype=torch.int64)
    assert torch.equal(trained_losses(logits, targets, Report()), token_losses(logits, targets))


def ponder_cell(**settings: Any) -> Any:
    plain = small(sleep_passes=3, test_passes=(1, 3))
    sizes = {each: getattr(plain.model, each) for each in ("layout", "d_model", "heads", "mlp_ratio")}
    return plain, replace(plain, model=PonderNet(**sizes, **settings))


def test_training_costs_a_prediction_for_each_number_of_passes() -> None:
    plain, cell = ponder_cell()
    more = cost(cell).train_flops - cost(plain).train_flops
    assert 5 * cost(plain).wake_flops < more < 12 * cost(plain).wake_flops  # two more, forward and backward
    assert cost(cell).sleep_flops == pytest.approx(cost(plain).sleep_flops, rel=0.01)


def test_rows_say_how_many_passes_were_used_and_parts_of_a_batch_add_up(tmp_path: Path) -> None:
    _, cell = ponder_cell(ponder_weight=0.1)
    table = rows.read_table(suite(tmp_path / "a", cell))
    for n in (1, 3):
        of_n = table.filter(table["tested_passes"] == n)
        assert (of_n["report_passes_used"] >= 1).all() and (of_n["report_passes_longest"] <= n).all()
    task = cell.task
    if task.seq_len == 2 * task.window:  # nothing is drawn, so that halves of a batch are the batch
        whole, halves = (Trainer(cell, tmp_path / str(parts), micro_batches=parts) for parts in (1, 2))
        batch = next(iter(whole.batches(0)))
        for trainer in (whole, halves):
            trainer.accumulate(batch, hard=False, passes=3)
        for one, other in zip(whole.model.parameters(), halves.model.parameters(), strict=True):
            assert one.grad is not None and other.grad is not None
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ponder_weight": math.nan}, "ponder_weight = nan: needs to be at least 0"),
        ({"prior_rate": 0.0}, "prior_rate = 0.0: needs to be between 0 and 1"),
        ({"prior_rate": 1.0}, "prior_rate = 1.0"),
        ({"reset_state": True}, "reset_state: a sleep of a drawn number of passes is a loop of its own"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PonderNet(**settings)
