"""Roads: every system at the sizes and the training compute of one sleep model."""

import pytest

import baselines
from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost
from benchmark.cells.matching import TOLERANCE
from benchmark.cells.roads import MODELS, PASSES, RIVALS, roads
from benchmark.cells.suites import suite

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
    thinkers = {"cot", "cot-asleep"}  # how many thoughts they need, each counted in turn, differs from task to task
    assert set(MODELS) == baselines.MODELS.keys() - settings_of_sleep - sleeps_that_end - thinkers
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


def test_some_of_them_in_the_order_asked_for(sleep: Cell, every: dict[str, Cell]) -> None:
    some = roads(sleep, only=("gist", "sleep"))
    assert list(some) == ["gist", "sleep"]
    assert all(every[name] == road for name, road in some.items())


def test_an_unknown_road_is_named_with_the_nearest(sleep: Cell) -> None:
    with pytest.raises(ValueError, match=r"'gits'.*did you mean 'gist'"):
        roads(sleep, only=("gits",))
