"""The tools of the shipped agents."""

from __future__ import annotations

import importlib.util
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FRIDAY = "2026-11-20"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANTIPHON_DATA", str(tmp_path / "var"))
    return tmp_path / "var"


def test_orders_are_written_and_numbered(data: Path) -> None:
    cafe = module("cafe_tools")
    assert cafe.place_order(drink="latte", size="large", sugar="a bit of sugar") == {"number": 1}
    assert cafe.place_order(drink="mocha", size="small") == {"number": 2}
    database = sqlite3.connect(data / "cafe.sqlite")
    rows = database.execute("select drink, size, milk, sugar from orders").fetchall()
    database.close()
    assert rows == [("latte", "large", None, "a bit of sugar"), ("mocha", "small", None, None)]


def test_a_taken_time_is_not_given_twice() -> None:
    clinic = module("clinic_tools")
    free = clinic.find_time("next tuesday", "15:30", today=FRIDAY)
    assert free["ok"]
    assert free["day"]["value"] == "2026-11-24"
    assert free["time"]["say"] == "three thirty in the afternoon"
    booking = {"name": "John", "day": "2026-11-24", "time": "15:30", "today": FRIDAY}
    assert "booked" in clinic.book(**booking)
    assert "error" in clinic.book(**booking)
    other = clinic.find_time("next tuesday", "15:30", today=FRIDAY)
    assert (other["ok"], other["time"]["value"]) == (False, "16:00")


@pytest.mark.parametrize(
    ("day", "time", "value"),
    [
        ("sunday", "10:00", ("2026-11-23", "09:00")),
        ("monday", "17:30", ("2026-11-24", "09:00")),
        ("monday", "07:10", ("2026-11-23", "09:00")),
        ("monday", "09:10", ("2026-11-23", "09:30")),
        ("2026-11-02", "09:00", ("2026-11-20", "09:00")),
    ],
)
def test_outside_hours_the_next_free_time_is_proposed(
    day: str, time: str, value: tuple[str, str]
) -> None:
    found = module("clinic_tools").find_time(day, time, today=FRIDAY)
    assert not found["ok"]
    assert (found["day"]["value"], found["time"]["value"]) == value


def test_what_is_no_time_is_an_error() -> None:
    clinic = module("clinic_tools")
    assert "error" in clinic.find_time("someday", "15:30", today=FRIDAY)
    assert "error" in clinic.find_time("monday", "late", today=FRIDAY)
    assert "error" in clinic.find_time("in 9 weeks", "10:00", today=FRIDAY)
