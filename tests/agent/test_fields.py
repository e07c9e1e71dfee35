"""Models made from dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from antiphon.agent.fields import FromDataclass, dataclass_model


@dataclass(frozen=True, slots=True)
class Wheel:
    inches: int = field(default=26, metadata={"doc": "Diameter.", "min": 10, "max": 30})
    names: tuple[str, ...] = field(default=("round",), metadata={"doc": "Names."})


@dataclass(frozen=True, slots=True)
class Bike:
    front: Wheel = field(default_factory=Wheel)
    gears: int = 3
    label: str = "x"

    def __post_init__(self) -> None:
        if self.gears > self.front.inches:
            raise ValueError("more gears than inches")


class Shop(BaseModel):
    bike: Annotated[Bike, FromDataclass()]


def test_values_are_the_dataclass() -> None:
    made = Shop.model_validate({"bike": {"front": {"inches": 20, "names": "one"}}})
    assert made.bike == Bike(Wheel(20, ("one",)))
    assert Shop.model_validate(made.model_dump()) == made


@pytest.mark.parametrize(
    ("written", "loc", "kind"),
    [
        ({"front": {"inches": 9}}, ("front", "inches"), "greater_than_equal"),
        ({"front": {"inches": 31}}, ("front", "inches"), "less_than_equal"),
        ({"front": {"inches": True}}, ("front", "inches"), "int_type"),
        ({"front": {"inch": 1}}, ("front", "inch"), "extra_forbidden"),
        ({"front": {"names": [1]}}, ("front", "names", 0), "string_type"),
        ({"label": 3}, ("label",), "string_type"),
        ({"gears": 27}, (), "value_error"),
    ],
)
def test_errors_name_the_place(
    written: dict[str, object], loc: tuple[str | int, ...], kind: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Shop.model_validate({"bike": written})
    error = caught.value.errors()[0]
    assert (error["loc"], error["type"]) == (("bike", *loc), kind)


def test_documentation_reaches_the_schema() -> None:
    schema = dataclass_model(Wheel).model_json_schema()
    inches = schema["properties"]["inches"]
    assert (inches["description"], inches["minimum"], inches["default"]) == ("Diameter.", 10, 26)
