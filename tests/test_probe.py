"""Probes of fast weights: solved right, leaking nothing, at chance on noise, perfect where something is planted."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from harness import bench, small
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.base import Model, ModelConfig, State
from baselines.hybrid import Hybrid
from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.figures import probe_figure, style
from benchmark.measure import probe
from benchmark.measure.probe import linear_probe
from benchmark.measure.probe import tables as probe_tables
from benchmark.measure.probe.linear_probe import PENALTIES, Sample, item_groups, read_off, ridge, standardise
from benchmark.measure.probe.states import Examples, effective_rank, fast_weights, network
from benchmark.run import checkpoint
from benchmark.run.trainer import Trainer
from tasks.base import Task
from tasks.depo import Depo
from tasks.gsm_infinite.task import GSMInfinite
from tasks.memories import Memory
from tasks.ragged import ABSENT
from tasks.recall import Recall
from tasks.rule110 import Rule110, evolve

# Solving


@pytest.mark.parametrize(("examples", "features"), [(60, 7), (20, 33)])  # solved in features, and in examples
def test_ridge_is_least_squares_with_rows_for_the_penalty(examples: int, features: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(examples, features)) + 3, rng.normal(size=(examples, 4)) - 2
    for penalty, (weights, offset) in zip(PENALTIES, ridge(torch.tensor(x), torch.tensor(y)), strict=True):
        # The textbook form: a column of ones, and a row of the root of the penalty per weight.
        left = np.block([[x, np.ones((examples, 1))], [np.sqrt(penalty * examples) * np.eye(features, features + 1)]])
        wanted = np.linalg.lstsq(left, np.vstack([y, np.zeros((features, 4))]), rcond=None)[0]
        np.testing.assert_allclose(weights.numpy(), wanted[:-1], atol=1e-5)
        np.testing.assert_allclose(offset.numpy(), wanted[-1], atol=1e-4)


def test_items_of_the_same_examples_are_solved_together() -> None:
    present = np.array([[1, 0, 1, 0], [1, 1, 1, 0], [1, 0, 1, 0]], dtype=bool)
    found = {tuple(items.tolist()): examples.tolist() for examples, items in item_groups(present)}
    assert found == {(0, 2): [0, 1, 2], (1,): [1]}


def test_features_that_hardly_move_are_left_out() -> None:
    fit = torch.tensor([[0.0, 5.0], [2.0, 5.0 + 1e-9]])
    ours, theirs = standardise(fit, torch.tensor([[1.0, 9.0]]))
    assert ours.tolist() == [[-1, 0], [1, 0]]
    assert theirs.tolist() == [[0, 0]]


def sample(features: Tensor, values: NDArray[Any], classes: int = 3) -> Sample:
    memory = Memory(kind="x", step=0, values=values, classes=classes, chance=None, stored=True, asked=None)
    return Sample(features=features, memories=(memory,))


def random_sample(rng: np.random.Generator, examples: int, *, absent: bool) -> Sample:
    """Two items of three values, one-hot in the first six features; the second item is in some examples only."""
    values = rng.integers(3, size=(examples, 2))
    features = np.concatenate([np.eye(3)[values].reshape(examples, 6), rng.normal(size=(examples, 5))], axis=1)
    if absent:
        values[rng.random(examples) < 0.4, 1] = ABSENT
    return sample(torch.tensor(features), values)


@pytest.mark.parametrize("absent", [False, True])
def test_what_is_there_is_read_and_shuffled_values_are_not(absent: bool) -> None:
    rng = np.random.default_rng(1)
    parts = [random_sample(rng, n, absent=absent) for n in (600, 200, 900)]
    (found,) = read_off(*parts)
    present = [(part.memories[0].values != ABSENT).sum() for part in parts]
    assert found.accuracy == 1
    # Features of few kinds are right or wrong together, so one shuffle says little.
    assert abs(np.mean([read_off(*parts, seed=seed)[0].shuffled for seed in range(40)]) - 1 / 3) < 0.05
    assert abs(found.majority - 1 / 3) < 0.08
    assert (found.n_fit, found.n_test) == (present[0] / 2, present[2])


def test_noise_reads_nothing() -> None:
    rng = np.random.default_rng(2)
    parts = [replace(random_sample(rng, n, absent=False), features=torch.randn(n, 40)) for n in (600, 300, 1500)]
    (found,) = read_off(*parts)
    assert abs(found.accuracy - 1 / 3) < 0.06


def test_the_penalty_is_chosen_without_a_look_at_the_test() -> None:
    rng = np.random.default_rng(3)
    fit, choose, test = (random_sample(rng, n, absent=False) for n in (60, 60, 60))
    chosen = read_off(fit, choose, test)[0].penalty
    other = replace(test, memories=tuple(replace(m, values=(m.values + 1) % 3) for m in test.memories))
    assert read_off(fit, choose, other)[0].penalty == chosen
    assert read_off(fit, choose, other)[0].accuracy < 0.2


@pytest.mark.parametrize("job", [0, 1, 2])
def test_a_memory_that_no_example_has(job: int) -> None:
    parts = [random_sample(np.random.default_rng(4), 20, absent=False) for _ in range(3)]
    parts[job] = sample(parts[job].features, np.full((20, 2), ABSENT))
    with pytest.raises(ValueError, match=f"no example to {('fit', 'choose', 'score')[job]} 'x' at step 0"):
        read_off(*parts)


# S, pass by pass


def written_in_passes(model: Any, tokens: Tensor, state: State, passes: int) -> list[list[Tensor]]:
    """What each fast-weight block holds after each of its runs in one sleep, watched: [block][run]."""
    seen: dict[int, list[Tensor]] = {}
    blocks = [block for block in model.stack if block.has_memory]

    def watched(run: Callable[..., Any], b: int, whole: bool) -> Callable[..., Any]:
        def watch(*args: Any) -> Any:
            out = run(*args)
            seen.setdefault(b, []).append(out[1] if whole else out)
            return out

        return watch

    for b, block in enumerate(blocks):  # the last run of a block may write alone
        block.forward, block.write = watched(block.forward, b, True), watched(block.write, b, False)
    model.sleep(tokens, state, passes)
    for block in blocks:
        del block.forward, block.write
    return [seen[b] for b in range(len(blocks))]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"eviction": "sliding"},
        {"eviction": "none"},
        {"reset_state": True},
        {"reembed": True},
        {"layout": "attn titans attn linear"},
        {"layout": "gdn jet delta"},
    ],
    ids=str,
)
def test_s_after_n_passes_is_that_of_pass_n_of_more(build: Any, settings: dict[str, Any]) -> None:
    config = Hybrid(**{"layout": "attn gdn attn gdn", "d_model": 16, "heads": 2, "mlp_ratio": 2} | settings)
    examples, model = read_twice(), build(config, window=6, windows=3)
    trained = 3
    with torch.no_grad():
        before = model.sleep(examples.inputs[:, :6], model.start(len(examples.inputs)), trained)
        watched = written_in_passes(model, examples.inputs[:, 6:12], before, trained)
    for n in range(1, trained + 1):
        found = fast_weights(model, examples, passes=n, trained_passes=trained, precision="fp32")
        for weights, runs in zip(found, watched, strict=True):
            assert torch.equal(weights, runs[n - 1])
    for weights, held in zip(
        fast_weights(model, examples, passes=0, trained_passes=3, precision="fp32"), before.fast_weights, strict=True
    ):
        assert torch.equal(weights, held)


def test_blocks_behind_the_loop_are_shown_as_if_the_pass_were_the_last(build: Any) -> None:
    config = Hybrid(layout="gdn gdn gdn gdn", loop="middle", d_model=16, heads=2, mlp_ratio=2)
    examples, model = read_twice(), build(config, window=6, windows=3)
    with torch.no_grad():
        before = model.sleep(examples.inputs[:, :6], model.start(len(examples.inputs)), 2)
        watched = written_in_passes(model, examples.inputs[:, 6:12], before, 2)
    found = fast_weights(model, examples, passes=1, trained_passes=2, precision="fp32")
    assert [len(runs) for runs in watched] == [1, 2, 2, 1]
    assert [torch.equal(f, w[0]) for f, w in zip(found, watched, strict=True)] == [True, True, True, False]


def test_copies_of_the_window_are_its_passes(build: Any) -> None:
    config = Hybrid(layout="attn gdn", reread=True, d_model=16, heads=2, mlp_ratio=2)
    examples, model = read_twice(), build(config, dtype=torch.float64, window=6, windows=3)
    with torch.no_grad():
        before = model.sleep(examples.inputs[:, :6], model.start(len(examples.inputs)), 3)
        for n in (1, 2):
            copies = model.sleep(examples.inputs[:, 6:12].repeat(1, n), before, 1)
            found = fast_weights(model, examples, passes=n, trained_passes=3, precision="fp32")
            torch.testing.assert_close(found[0], copies.fast_weights[0].float())


def read_twice() -> Examples:
    """Sequences of two windows that are read and one that is predicted."""
    inputs = torch.randint(7, (5, 18), generator=torch.Generator().manual_seed(0))
    windows = ((0, 6, False), (6, 12, False), (12, 18, True))
    return Examples(inputs=inputs, windows=windows, memories=(), content=np.zeros((5, 1), np.uint64))


def test_effective_rank() -> None:
    given = torch.stack([torch.eye(4), torch.ones(4, 4), torch.zeros(4, 4), torch.diag(torch.tensor([1.0, 1, 0, 0]))])
    torch.testing.assert_close(effective_rank(given), torch.tensor([4.0, 1, 0, 2], dtype=torch.float64))


# One cell


@dataclass(frozen=True, kw_only=True)
class Planted(ModelConfig):
    """Its S after pass n holds every cell of the string n steps on and nothing else; before training, nothing at all.

    With `noise`, S has nothing to do with what was read.
    """

    name: ClassVar[str] = "planted"
    version: ClassVar[int] = 1
    noise: bool = False

    def build(self, *, vocab_size: int, window: int, seq_len: int) -> Model:
        return PlantedModel(self.noise)


class PlantedModel(Model):
    def __init__(self, noise: bool) -> None:
        super().__init__()
        self.noise, self.size = noise, nn.Parameter(torch.zeros(()))

    def start(self, batch: int) -> State:
        return State(fast_weights=(torch.zeros(batch, 1, CELLS, 1), torch.zeros(batch, 2, 1, 3)))

    def sleep(self, tokens: Tensor, state: State, passes: int) -> State:
        packed = tokens.numpy() @ (1 << np.arange(CELLS)[::-1])
        bits = evolve(packed, CELLS, passes)[:, None] >> np.arange(CELLS)[::-1] & 1
        held = torch.randn(len(tokens), CELLS) if self.noise else torch.from_numpy(bits).float()
        return replace(state, fast_weights=(self.size * held[:, None, :, None], state.fast_weights[1]))

    def wake(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        raise NotImplementedError


CELLS = 12  # enough, with 5 steps, that held-out views are many


def planted(folder: Path, passes: int = 3, **settings: Any) -> Cell:
    task = Rule110(cells=CELLS, strings=1, rollout_steps=5)
    cell = replace(small(sleep_passes=passes), task=task, model=Planted(**settings))
    save(folder, cell, {"size": torch.ones(())})
    return cell


def save(folder: Path, cell: Cell, parameters: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save(folder / "checkpoint.safetensors", {"cell_id": cell.id, "model": parameters})


def test_what_is_planted_is_read_at_its_pass_alone(tmp_path: Path) -> None:
    probes, _ = probe.probe(planted(tmp_path), tmp_path, examples=1500, test_examples=800)
    table = probe_tables.table("probe.csv", probes).filter(pl.col("block").is_null())
    for row in table.filter(pl.col("kind") == "every cell").iter_rows(named=True):
        if row["step"] == row["pass"]:
            assert row["accuracy"] == 1
        else:
            assert row["accuracy"] < 0.85
        assert abs(row["untrained"] - row["majority"]) < 1e-12  # of nothing, a probe guesses
        assert abs(row["shuffled"] - row["chance"]) < 0.1
    tokens = table.filter((pl.col("kind") == "first cell") & (pl.col("pass") == 1)).sort("step")["tokens"]
    assert tokens[0] == 1 and tokens[1] < 0.85  # the string itself is read off the tokens, what follows is not


def test_blocks_are_probed_together_and_by_themselves(tmp_path: Path) -> None:
    probes, _ = probe.probe(planted(tmp_path, passes=1), tmp_path, examples=600, test_examples=300)
    table = probe_tables.table("probe.csv", probes).filter((pl.col("kind") == "every cell") & (pl.col("step") == 1))
    assert dict(table.select("block", "features").iter_rows()) == {None: 18, 0: 12, 1: 6}
    both, first, second = table.sort("block", nulls_last=False)["accuracy"]
    assert (both, first) == (1, 1)
    assert second < 0.75


def test_noise_is_read_at_chance(tmp_path: Path) -> None:
    probes, _ = probe.probe(planted(tmp_path, noise=True), tmp_path, examples=2000, test_examples=1500)
    table = probe_tables.table("probe.csv", probes)
    assert table.select((pl.col("accuracy") - pl.col("chance")).abs().max()).item() < 0.08


def test_norms_ranks_and_changes(tmp_path: Path) -> None:
    cell = planted(tmp_path, passes=2)
    _, spectra = probe.probe(cell, tmp_path, examples=600, test_examples=300)
    _, _, test = probe.examples_of(cell.task, 600, 300)
    ones = {m.step: m.values for m in test.memories if m.kind == "every cell"}
    found = {(row["pass"], row["block"], row["head"]): row for row in spectra}
    assert sorted(found) == [(n, b, h) for n in (1, 2) for b, h in ((0, 0), (1, 0), (1, 1))]
    for n in (1, 2):
        row, norm = found[n, 0, 0], np.sqrt(ones[n].sum(axis=1))
        assert row["norm"] == pytest.approx(norm.mean())
        assert row["effective_rank"] == pytest.approx((norm > 0).mean())
        assert (row["size"], row["untrained_norm"]) == (1, 0)
        assert found[n, 1, 1]["norm"] == 0
    norms = {n: np.sqrt(ones[n].sum(axis=1)) for n in (1, 2)}
    changed = np.sqrt((ones[2] != ones[1]).sum(axis=1)) / np.maximum(norms[1] + norms[2], 1e-9)
    assert found[1, 0, 0]["change"] == pytest.approx((norms[1] > 0).mean())
    assert found[2, 0, 0]["change"] == pytest.approx(changed.mean())


@pytest.mark.parametrize(
    "task",
    [
        Rule110(cells=10, strings=1, rollout_steps=1),
        Depo(nodes=5, max_hops=2, questions=2, codec="bare", letters=12, window_tokens=10),
        Recall(pairs=3, keys=6, values=5, queries=2),
    ],
)
def test_no_content_is_in_two_parts(task: Task) -> None:
    parts = [set(part.content.ravel().tolist()) for part in probe.examples_of(task, 1000, 1000)]
    assert all(parts)
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    train = set(task.episodes("train", np.arange(3000)).content.ravel().tolist())
    assert not train & set().union(*parts)


@pytest.mark.parametrize(
    ("task", "said"),
    [(Rule110(cells=3, strings=1), "too few different contents"), (GSMInfinite(), "has nothing to probe")],
)
def test_tasks_that_cannot_be_probed(task: Task, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        probe.examples_of(task, 40, 10)


def test_a_model_without_fast_weights(tmp_path: Path) -> None:
    cell = small(cells=8, layout="attn attn")
    save(tmp_path, cell, network(cell).state_dict())
    with pytest.raises(ValueError, match="no fast weights"):
        probe.probe(cell, tmp_path, examples=200, test_examples=50)


def test_a_checkpoint_of_another_cell(tmp_path: Path) -> None:
    cell = planted(tmp_path)
    with pytest.raises(rows.DamagedFileError, match=f"belongs to cell {cell.id}, not"):
        network(replace(cell, seed=1), tmp_path)


# The command


def trained(out: Path, **settings: Any) -> Cell:
    """A cell of 8 cells a string, trained for a moment in a folder as `bench run` leaves it."""
    cell = small(cells=8, **settings)
    folder = out / "cells" / cell.id
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text(json.dumps(cell.as_json()))
    assert Trainer(cell, folder).run() == "ok"
    (folder / "finished.json").write_text(json.dumps({"status": "ok", "reason": None}))
    return cell


FEW = ("--examples", 400, "--test-examples", 100)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells of N = 1 and 2 and two seeds, and one that is not finished."""
    out = tmp_path_factory.mktemp("ran") / "quick-cpu"
    for passes in (1, 2):
        for seed in (0, 1):
            trained(out, sleep_passes=passes, seed=seed)
    waiting = small(cells=8, sleep_passes=4)
    (out / "cells" / waiting.id).mkdir()
    (out / "cells" / waiting.id / "cell.json").write_text(json.dumps(waiting.as_json()))
    return out


def test_the_command_writes_tables_and_figures(ran: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    done = bench("probe", ran, "--out", tmp_path / "one", *FEW)
    assert done.code == 0, done.err
    assert f"left out: {small(cells=8, sleep_passes=4).id}" in done.err and "waiting" in done.err
    assert torch.get_num_threads() == threads
    probes, spectra = (probe_tables.read(tmp_path / "one", name) for name in probe_tables.FILES)
    assert probes.columns == list(probe_tables.PROBES) and spectra.columns == list(probe_tables.SPECTRA)
    keys = probes.select("sleep_passes", "pass", "seed").unique().sort(pl.all()).rows()
    assert keys == [(1, 1, 0), (1, 1, 1), (2, 1, 0), (2, 1, 1), (2, 2, 0), (2, 2, 1)]
    asked = probes.filter(pl.col("model_accuracy").is_not_null())
    assert set(asked.select("kind", "step").rows()) == {("first cell", 1)}
    names = {path.name for path in (tmp_path / "one" / "figures").iterdir()}
    stems = ("probe-rule110-hybrid-rollout_steps-1", "fast_weights-rule110-hybrid-rollout_steps-1")
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    described = json.loads((tmp_path / "one" / "environment.json").read_text())
    assert len(described["trained"]) == 4 and described["command"].startswith("bench probe")

    again = bench("probe", ran, "--out", tmp_path / "two", *FEW)
    assert again.code == 0
    for path in sorted((tmp_path / "one").rglob("*")):
        if path.is_file() and path.name != "environment.json":
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path


def test_filters_and_json(ran: Path, tmp_path: Path) -> None:
    one = small(cells=8, sleep_passes=2, seed=1).id
    for options in (("--cells", one[:6]), ("--seeds", 1, "--sleep-passes", 2, "--rollout-steps", 1)):
        done = bench("probe", ran, "--out", tmp_path, *FEW, *options, "--json")
        assert done.code == 0, done.err
        said = json.loads(done.out)
        assert {row["cell_id"] for row in said["probes"]} == {one} == {row["cell_id"] for row in said["fast_weights"]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cells", "zz"), "unknown cell 'zz'"),
        (("--seeds", "7"), "no cell here has --seeds 7; there are 0, 1"),
        (("--rollout-steps", "3"), "no cell here has --rollout-steps 3; there are 1"),
        (("--seeds", "x"), "--seeds takes whole numbers"),
        (("--examples", "0"), "--examples must be a whole number >= 1"),
        (("--sleep-passes", "4"), "no finished cell with a checkpoint; `bench run SUITE --out"),
    ],
)
def test_what_the_user_got_wrong(ran: Path, tmp_path: Path, options: tuple[str, str], said: str) -> None:
    done = bench("probe", ran, "--out", tmp_path / "out", *options)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_cells_and_a_task_without_memories(tmp_path: Path) -> None:
    done = bench("probe", tmp_path)
    assert done.code == 2 and "`bench run` makes them" in done.err
    cell = replace(small(), task=GSMInfinite())
    (tmp_path / "cells" / cell.id).mkdir(parents=True)
    (tmp_path / "cells" / cell.id / "cell.json").write_text(json.dumps(cell.as_json()))
    done = bench("probe", tmp_path)
    assert done.code == 2
    assert "'gsm_infinite' has nothing to probe; tasks that have: rule110, recall, retention, interf" in done.err


def test_a_damaged_checkpoint(ran: Path, tmp_path: Path) -> None:
    cell = trained(tmp_path)
    path = tmp_path / "cells" / cell.id / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    done = bench("probe", tmp_path, *FEW)
    assert done.code == 2 and "not a checkpoint, or not whole" in done.err


# Tables and figures


def test_tables_that_are_not_there_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`bench probe` writes it"):
        probe_tables.read(tmp_path, "probe.csv")
    (tmp_path / "probe.csv").write_text("a,b\n1,2\n")
    with pytest.raises(rows.DamagedFileError, match="not a table of `bench probe`"):
        probe_tables.read(tmp_path, "probe.csv")


def test_every_column_is_explained() -> None:
    text = probe_tables.dictionary()
    assert all(f"| `{name}` | " in text for columns in probe_tables.FILES.values() for name in columns)


def test_a_task_where_nothing_is_computed_is_drawn_by_pass(tmp_path: Path) -> None:
    cell = replace(small(sleep_passes=2), task=Recall(pairs=3, keys=5, values=4, queries=2, window_tokens=6))
    save(tmp_path, cell, network(cell).state_dict())
    probes, _ = probe.probe(cell, tmp_path, examples=400, test_examples=100)
    with style.context():
        figure = probe_figure.by_step(probe_tables.table("probe.csv", probes))
    (ax,) = figure.axes
    assert ax.get_xlabel() == "pass n"
    assert [tick for tick in ax.get_xticks()] == [1, 2]


def test_module_penalties_fall() -> None:
    assert list(linear_probe.PENALTIES) == sorted(linear_probe.PENALTIES, reverse=True)
