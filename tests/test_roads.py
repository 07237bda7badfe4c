"""Roads: every system at the sizes and the training compute of one sleep model."""

from dataclasses import replace

import pytest

import baselines
from baselines.chain_of_thought import ChainOfThoughtAsleep
from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost
from benchmark.cells.matching import TOLERANCE
from benchmark.cells.roads import MODELS, PASSES, RIVALS, roads
from benchmark.cells.suites import suite
from tasks.recall import Recall

BASES = {grid.base.task.name: grid.cells()[0] for grid in (g.only(("sleep",)) for g in suite("roads", "tiny").grids)}


@pytest.fixture(scope="module", params=BASES)
def sleep(request: pytest.FixtureRequest) -> Cell:
    return BASES[request.param]


@pytest.fixture(scope="module")
def every(sleep: Cell) -> dict[str, Cell]:
    return roads(sleep)


def test_every_model_is_a_road_or_has_a_reason_not_to_be() -> None:
    settings_of_sleep = {"hybrid", "looped", "jet", "transformer"}  # other sizes of it; the last keeps nothing
    sleeps_that_end = {"early-exit", "act", "pondernet"}  # sleep itself, with fewer passes where fewer do
    assert set(MODELS) == baselines.MODELS.keys() - settings_of_sleep - sleeps_that_end
    assert set(PASSES) <= set(MODELS)


def test_roads_have_the_sizes_and_the_compute_of_sleep(sleep: Cell, every: dict[str, Cell]) -> None:
    assert set(every) == {*RIVALS, *MODELS}
    whole = sleep.steps * cost(sleep).train_flops
    for name, road in every.items():
        assert road.variant == name and road.task == sleep.task and road.seed == sleep.seed
        if name != "plain":  # what the paper compares with: the same tokens
            assert road.steps * cost(road).train_flops == pytest.approx(whole, rel=TOLERANCE), name
        if name in MODELS:
            assert road.model.name == name
            assert road.axes["d_model"] == sleep.axes["d_model"]
            blocks = road.axes.get("blocks") or len(road.axes["layout"].split())
            assert blocks == len(sleep.axes["layout"].split())
            assert road.training.sleep_passes == (sleep.training.sleep_passes if name in PASSES else 1)


def test_thinkers_have_room_for_the_workings_of_the_task(sleep: Cell) -> None:
    """At scale tiny: the rows after 1 and 2 steps, the cone above a cell; a table of 2 hops, and two hops on."""
    asleep, awake = roads(sleep, only=("cot-asleep", "cot")).values()
    expected = {"rule110": (2 * 8, 3 + 1), "depo": (2 * 5, 2)}[sleep.task.name]
    assert (asleep.axes["thoughts"], awake.axes["thoughts"]) == expected
    assert cost(awake).breaks_latency and not cost(asleep).breaks_latency


def test_where_a_task_has_no_workings_thinkers_think_as_much_as_they_do_by_default(sleep: Cell) -> None:
    storage = replace(sleep, task=Recall(pairs=4, keys=8, values=16, queries=4, window_tokens=8))
    (road,) = roads(storage.with_settings({"tokens": 200_000}), only=("cot-asleep",)).values()
    assert road.axes["thoughts"] == ChainOfThoughtAsleep().thoughts


def test_some_of_them_in_the_order_asked_for(sleep: Cell, every: dict[str, Cell]) -> None:
    some = roads(sleep, only=("gist", "sleep"))
    assert list(some) == ["gist", "sleep"]
    assert all(every[name] == road for name, road in some.items())


def test_an_unknown_road_is_named_with_the_nearest(sleep: Cell) -> None:
    with pytest.raises(ValueError, match=r"'gits'.*did you mean 'gist'"):
        roads(sleep, only=("gits",))
