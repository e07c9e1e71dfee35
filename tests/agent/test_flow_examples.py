"""The tools of the shipped agents."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from antiphon.agent.load import load_agent
from antiphon.agent.telephone import Destination, resolve_transfer
from antiphon.providers.base import FlowReply
from antiphon.session.vault import Vault
from antiphon.types import Message

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


def test_the_support_line_knows_its_accounts() -> None:
    support = module("support_tools")
    assert support.balance("12345678") == {"euros": "42.50"}
    assert support.balance("87654321") == {"euros": "-19.99"}
    assert support.balance("00000000") == {"error": "there is no such account"}


def test_the_support_line_as_a_caller_meets_it() -> None:
    """Its flow, with the session's vault between it and the tool."""
    loaded = load_agent(EXAMPLES / "support.yaml").for_call({"name": "Mrs. Bo"})
    assert loaded.setup.greeting.startswith("Hello Mrs. Bo, this is the support line.")
    assert (loaded.setup.records, loaded.setup.consent_required) == (True, False)
    assert [one.name for one in loaded.setup.digits] == ["account_number", "account"]
    flow, vault = loaded.hints.brain, Vault()
    assert flow is not None
    messages = [Message("user", "what is my balance please")]

    def step(result: str) -> FlowReply:
        reply = flow.reply(messages)
        messages.append(Message("assistant", reply.text, reply.tool_calls))
        messages.append(Message("tool", result, (), reply.tool_calls[0].tool_call_id))
        return flow.reply(messages)

    vault.begin("account", secret=True)
    shown = "".join(vault.key(key) for key in "12345678#")
    asked = step(vault.finish())
    assert asked.text == "You have typed eight digits. Shall I look up the balance?"
    messages.append(Message("assistant", asked.text))
    messages.append(Message("user", "yes please"))
    (call,) = flow.reply(messages).tool_calls
    arguments = json.loads(vault.reveal(call.arguments))
    result = module("support_tools").balance(**arguments)
    told = step(vault.hide(json.dumps(result))).text
    assert told == "Your balance is 42.50 euros. Is there anything else?"
    assert "12345678" not in f"{shown} {messages}"


@pytest.mark.parametrize(
    ("said", "target"),
    [("i have a question about my bill", "billing"), ("a human please", "desk")],
)
def test_the_support_line_passes_callers_on(said: str, target: str) -> None:
    loaded = load_agent(EXAMPLES / "support.yaml")
    assert loaded.hints.brain is not None
    reply = loaded.hints.brain.reply([Message("user", said)])
    assert "connect you" in reply.text
    (call,) = reply.tool_calls
    monday = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    found = resolve_transfer(loaded.config, call.arguments, monday)
    assert isinstance(found, Destination)
    assert found.name == target


def test_the_support_line_is_closed_at_night() -> None:
    loaded = load_agent(EXAMPLES / "support.yaml")
    night = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)
    said = resolve_transfer(loaded.config, '{"target": "billing"}', night)
    assert said == "billing is closed now and opens again on Tuesday at 09:00"
