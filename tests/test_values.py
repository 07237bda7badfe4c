"""Values as people type them: numbers with units, ranges, types of settings; what no row could hold is refused."""

from typing import Any, Literal

import pytest
from harness import bench, small

from benchmark.cells.request import Request
from tasks import values

LARGEST = "the largest whole number that rows hold is 9223372036854775807"


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("-3", -3), ("1e5", 100_000), ("2M", 2_000_000), ("50k", 50_000), ("2.5M", 2_500_000), ("1G", 10**9)],
)
def test_whole_numbers(text: str, value: int) -> None:
    assert values.parse("tokens", text, int) == value


@pytest.mark.parametrize("text", ["1.5", "1e-3", "few", "", "M", "nan", "inf", "0x10"])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(ValueError, match=f"tokens takes a whole number; given '{text}'"):
        values.parse("tokens", text, int)


@pytest.mark.parametrize(
    ("text", "listed"), [("1,2,4", [1, 2, 4]), ("0-4", [0, 1, 2, 3, 4]), ("0,3-4,-1", [0, 3, 4, -1])]
)
def test_lists_of_whole_numbers(text: str, listed: list[int]) -> None:
    assert values.numbers("--seeds", text) == listed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4-2", "--seeds: a range goes up and stands for at most 10000 numbers, not 4-2"),
        ("0-1e9", "--seeds takes whole numbers separated by commas, such as 1,2,4 or 0-4; given '0-1e9'"),
        ("0-999999", "stands for at most 10000 numbers, not 0-999999"),
        ("9" * 20, f"--seeds: {LARGEST}; given"),
        ("1e400", f"--seeds: {LARGEST}; given"),
    ],
)
def test_lists_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        values.numbers("--seeds", text)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (float, "1e-3", 1e-3),
        (float, "2k", 2000.0),
        (bool, "True", True),
        (str, "attn gdn", "attn gdn"),
        (int | None, "3", 3),
        (int | None, "none", None),
        (Literal["a", "b"], "b", "b"),
        (tuple[int, ...], "1,3-5", (1, 3, 4, 5)),
        (tuple[int, ...], "", ()),
        (tuple[float, ...], "0.5,1", (0.5, 1.0)),
        (tuple[str, ...], "x, y", ("x", "y")),
        (tuple[int, float], "2,0.5", (2, 0.5)),
        (Literal[1, 2], "2", 2),
        (int | float | None, "0.5", 0.5),
    ],
)
def test_the_type_of_a_setting(kind: Any, text: str, value: Any) -> None:
    parsed = values.parse("setting", text, kind)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (float, "setting takes a number; given 'bare'"),
        (bool, "setting takes true or false; given 'bare'"),
        (int | None, "setting takes a whole number or none; given 'bare'"),
        (tuple[int, int], "setting takes 2 values separated by commas; given 'bare'"),
        (Literal["bar", "named"], r"unknown setting 'bare'; valid: bar, named; did you mean 'bar'"),
    ],
)
def test_another_type_is_refused(kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        values.parse("setting", "bare", kind)


@pytest.mark.parametrize("settings", [{"seed": 2**63}, {"test_at": (0, 2**64)}])
def test_a_cell_holds_only_what_rows_can(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(settings))}: {LARGEST}"):
        small(**settings)
    assert small(seed=2**63 - 1).seed == values.LARGEST


# Axes and difficulties of a request


def test_any_setting_is_an_axis() -> None:
    plan = Request(suite="quick", scale="tiny", axes=("cells=6-8", "layout=attn gdn,gdn", "sleep_passes=3")).plan()
    assert plan.axes == ("seed", "cells", "layout", "rollout_steps", "sleep_passes")
    chosen = [(cell.axes["cells"], cell.axes["layout"], cell.axes["rollout_steps"]) for cell in plan.cells()]
    assert chosen == [(c, layout, t) for c in (6, 7, 8) for layout in ("attn gdn", "gdn") for t in (0, 2)]
    assert {cell.training.sleep_passes for cell in plan.cells()} == {3}


def test_an_axis_of_one_value_makes_the_cells_of_a_setting() -> None:
    axis, setting = (Request(suite="quick", scale="tiny", **{word: ("cells=6",)}) for word in ("axes", "settings"))
    assert [cell.id for cell in axis.plan().cells()] == [cell.id for cell in setting.plan().cells()]


def test_difficulties_that_are_no_setting_are_tested_alone() -> None:
    hops = Request(suite="hops", scale="tiny", hops=(2,)).plan()
    assert {cell.levels for cell in hops.cells()} == {(2,)}
    both = Request(suite="no-gain", scale="tiny", hops=(1,)).plan()
    assert {cell.training.test_at for cell in both.cells()} == {(), (1,)}, "tasks that count other things are left"
    operations = Request(suite="operations", scale="tiny", operations=(2, 3)).plan()
    assert {cell.levels for cell in operations.cells()} == {(2, 3)}


def test_a_request_is_the_command_that_makes_it() -> None:
    asked = Request(suite="hops", seeds=(0, 1), hops=(1, 2), axes=("d_model=8,16",), settings=("tokens=2M",))
    assert asked.command == "bench run hops --seeds 0,1 --hops 1,2 --axis d_model=8,16 --set tokens=2M"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "99999999999999999999"], f"--seeds: {LARGEST}; given '99999999999999999999'"),
        (["--axis", "cells"], "an axis is written name=value,value; given 'cells'"),
        (["--axis", "cells="], "an axis is written name=value,value; given 'cells='"),
        (["--axis", "cels=4,8"], "did you mean 'cells'?"),
        (["--axis", "test_passes=1,2"], "test_passes is a list itself"),
        (["--axis", "cells=4,x"], "cells takes whole numbers separated by commas"),
        (["--axis", "cells=2,8"], "cells must be a whole number in 3..24"),
        (["--hops", "1"], "no task of this suite counts hops; the difficulty here is rollout_steps"),
    ],
)
def test_bad_values_are_refused_before_anything_is_written(arguments: list[str], said: str, tmp_path: object) -> None:
    done = bench("run", "quick", "--scale", "tiny", "--out", f"{tmp_path}/out", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
