"""The tools of a telephone line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from antiphon.agent.config import AgentConfig
from antiphon.agent.telephone import Destination, keys_of, line_tools, resolve_transfer

# 2026-03-06 is a Friday; Berlin is an hour ahead of UTC then.
FRIDAY = datetime(2026, 3, 6, 10, 0, tzinfo=UTC)
EVENING = datetime(2026, 3, 6, 18, 0, tzinfo=UTC)

CONFIG = AgentConfig.model_validate(
    {
        "name": "Ann",
        "transfer": {
            "time_zone": "Europe/Berlin",
            "targets": {
                "sales": {
                    "to": "+493012345678", "description": "Orders and prices.",
                    "hours": "Mon-Fri 09:00-17:00", "ring_s": 40,
                },
                "desk": {"to": "sip:desk@example.com", "warm": True},
                "boss": {
                    "to": "+15005550006", "warm": True, "message": "For you: {{reason}} Thanks.",
                },
            },
        },
        "digits": {
            "account_number": {"ask": "?", "secret": True, "description": "Of the customer."},
            "zip": {"ask": "?"},
        },
        "press_keys": True,
    }
)  # fmt: skip
BARE = AgentConfig.model_validate({"name": "Ann"})


def wants(name: Any = "sales", **more: Any) -> str:
    return json.dumps({"target": name, **more})


def test_only_what_is_there_is_offered() -> None:
    assert [tool.name for tool in line_tools(CONFIG, telephone=True)] == [
        "transfer_call",
        "collect_digits",
        "press_keys",
    ]
    assert [tool.name for tool in line_tools(CONFIG, telephone=False)] == ["collect_digits"]
    assert line_tools(BARE, telephone=True) == ()


def test_the_llm_is_told_what_there_is() -> None:
    transfer, digits, _ = line_tools(CONFIG, telephone=True)
    assert transfer.parameters["properties"]["target"]["enum"] == ["sales", "desk", "boss"]
    assert "- sales: Orders and prices. (there Mon-Fri 09:00-17:00)" in transfer.description
    assert "- desk\n" in transfer.description
    assert "- account_number: Of the customer. (you are not told it" in digits.description
    assert "{{secret.account_number}}" in digits.description
    assert digits.description.endswith("- zip")
    assert "+49" not in str(transfer), "nobody can talk the LLM into telling a number"
    for tool in line_tools(CONFIG, telephone=True):
        Draft202012Validator.check_schema(tool.parameters)


def test_a_cold_transfer() -> None:
    found = resolve_transfer(CONFIG, wants("sales", reason="Wants a quote."), FRIDAY)
    assert found == Destination("sales", "+493012345678", 40, "")


def test_the_person_is_told_why() -> None:
    found = resolve_transfer(CONFIG, wants("boss", reason="Bo\nis angry."), FRIDAY)
    assert found == Destination("boss", "+15005550006", 25, "For you: Bo is angry. Thanks.")
    found = resolve_transfer(CONFIG, wants("desk"), FRIDAY)
    assert isinstance(found, Destination)
    assert found.message == "Hello, I have a caller for you."


def test_closed_says_when_it_opens() -> None:
    said = resolve_transfer(CONFIG, wants(), EVENING)
    assert said == "sales is closed now and opens again on Monday at 09:00"
    assert isinstance(resolve_transfer(CONFIG, wants("desk"), EVENING), Destination)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "not JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "callers cannot be passed to `None`; they can to: sales, desk, boss"),
        (wants("+4930999"), "cannot be passed to `+4930999`"),
        (wants(["sales"]), "cannot be passed"),
        (wants("sales", reason=7), "reason: 7 is not of type 'string'"),
        (wants("sales", to="+1900"), "'to' was unexpected"),
        ('{"target":' * 1000, "too long"),
        ('{"target":' * 300, "not JSON"),
    ],
)
def test_what_is_refused(arguments: str, says: str) -> None:
    found = resolve_transfer(CONFIG, arguments, FRIDAY)
    assert isinstance(found, str)
    assert says in found


def test_an_agent_that_passes_nobody_on() -> None:
    assert (
        resolve_transfer(BARE, wants(), FRIDAY) == "there is nobody to whom callers can be passed"
    )


@given(st.text(max_size=60) | st.dictionaries(st.text(), st.text() | st.integers()).map(json.dumps))
def test_only_listed_numbers_are_ever_called(arguments: str) -> None:
    found = resolve_transfer(CONFIG, arguments, FRIDAY)
    assert isinstance(found, str), "none of these is a name of the file"


@pytest.mark.parametrize("keys", ["1", "12#", "1w*0"])
def test_keys(keys: str) -> None:
    assert keys_of(json.dumps({"keys": keys})) == (keys, "")


@pytest.mark.parametrize("text", ['{"keys": "a"}', '{"keys": ""}', "{}", "x", '{"keys": 1}'])
def test_what_are_no_keys(text: str) -> None:
    keys, problem = keys_of(text)
    assert keys == ""
    assert problem
