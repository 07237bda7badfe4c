"""Settings from text: every type that a field of somebody's task or model may have."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from tasks import values


@dataclass(frozen=True, kw_only=True)
class Other:
    """Settings as other people write them."""

    top_k: int | None = None
    share: float | None = None
    codec: Literal["bare", "named"] = "bare"
    order: Literal[1, 2] = 1
    rates: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    shape: tuple[int, float] = (1, 1.0)
    filler: bool = True


KINDS = values.kinds_of(Other)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("top_k", "3", 3),
        ("top_k", "none", None),
        ("share", "0.5", 0.5),
        ("share", "None", None),
        ("codec", "named", "named"),
        ("order", "2", 2),
        ("rates", "0.5,1", (0.5, 1.0)),
        ("rates", "", ()),
        ("names", "a, b", ("a", "b")),
        ("shape", "2,0.5", (2, 0.5)),
        ("filler", "False", False),
    ],
)
def test_a_value_has_the_type_of_its_field(name: str, text: str, value: Any) -> None:
    found = values.parse(name, text, KINDS[name])
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("top_k", "2.5", "top_k takes a whole number or none; given '2.5'"),
        ("codec", "name", "unknown codec 'name'; valid: bare, named; did you mean 'named'?"),
        ("order", "3", "unknown order '3'; valid: 1, 2"),
        ("rates", "1,x", "rates takes a number; given 'x'"),
        ("shape", "1", "shape takes 2 values separated by commas; given '1'"),
        ("filler", "no", "filler takes true or false; given 'no'"),
    ],
)
def test_another_text_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        values.parse(name, text, KINDS[name])
    assert str(refused.value).startswith(message)
