"""The sections of an agent's file about a telephone line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from antiphon.agent.config import AgentConfig
from antiphon.agent.explain import AgentFileError
from antiphon.agent.line import QUESTION
from antiphon.agent.load import load_agent
from antiphon.engine.policy import Digits

TOLD = "This is an automated assistant, and the call is recorded."
LINE = """\
name: Desk
greeting: Hello {{name}}.
llm: scripted
stt: scripted
tts: scripted
disclosure:
  text: This is {{company}}'s assistant.
  consent: ask
  if_refused: hang_up
recording: {keep_days: 7}
digits:
  account_number: {ask: "Your account number?", min: 4, max: 12, secret: true}
  zip_code: {ask: "Your zip code?", min: 5, max: 5}
transfer:
  time_zone: Europe/Berlin
  on_failure: desk
  targets:
    desk: {to: "+493012345678", hours: "Mon-Fri 09:00-17:00"}
    sales: {to: "sip:sales@pbx.example.com", warm: true, message: "For {{name}}: {{reason}}"}
press_keys: true
variables: {name: there, company: Example}
"""


def agent(**more: Any) -> AgentConfig:
    return AgentConfig.model_validate({"name": "Ann", **more})


def problem(**more: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        agent(**more)
    return "; ".join(str(one["msg"]) for one in caught.value.errors())


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_the_engine_is_told(tmp_path: Path) -> None:
    setup = load_agent(write(tmp_path, LINE)).for_call({}).setup
    assert setup.disclosure == "This is Example's assistant."
    assert setup.consent_question == QUESTION
    assert setup.consent_required
    assert setup.records
    assert setup.digits == (
        Digits("account_number", "Your account number?", 4, 12, secret=True),
        Digits("zip_code", "Your zip code?", 5, 5),
    )
    assert setup.transfer_on_failure == "desk"


def test_an_agent_without_a_line_is_told_nothing_of_it(tmp_path: Path) -> None:
    setup = load_agent(
        write(tmp_path, "name: Ann\nllm: scripted\nstt: scripted\ntts: scripted\n")
    ).setup
    assert (setup.disclosure, setup.records, setup.consent_question) == ("", False, "")
    assert (setup.digits, setup.transfer_on_failure) == ((), "")


def test_short_forms() -> None:
    config = agent(disclosure=TOLD, recording=True)
    assert config.disclosure is not None
    assert (config.disclosure.text, config.disclosure.consent) == (TOLD, "none")
    assert config.recording.enabled
    assert agent(recording=False).recording.enabled is False
    assert agent().recording.enabled is False
    assert agent(recording={"keep_days": 3}, disclosure=TOLD).recording.enabled


def test_a_question_of_its_own() -> None:
    told = {"text": TOLD, "consent": "ask", "question": "May I?"}
    config = agent(disclosure=told, recording=True)
    assert AgentConfig.model_validate(config.model_dump(mode="json")) == config
    assert "hang_up" in problem(disclosure={**told, "if_refused": "shout"}, recording=True)


def test_nobody_is_recorded_unannounced() -> None:
    assert "callers are not told" in problem(recording=True)
    assert agent(recording={"announced": True}).recording.enabled


def test_nobody_is_asked_for_nothing() -> None:
    told = {"text": TOLD, "consent": "ask"}
    assert "write `recording: true`" in problem(disclosure=told)
    assert "write `recording: true`" in problem(disclosure=told, recording=False)


@pytest.mark.parametrize(
    ("digits", "says"),
    [
        ({"ask": "?", "min": 5, "max": 4}, "no number has both"),
        ({"ask": "?", "max": 33}, "less than or equal to 32"),
        ({"ask": ""}, "at least 1 character"),
        ({}, "Field required"),
        ({"ask": "?", "hidden": True}, "Extra inputs"),
    ],
)
def test_wrong_digits(digits: dict[str, Any], says: str) -> None:
    assert says in problem(digits={"zip": digits})


@pytest.mark.parametrize(
    "to",
    ["+493012345678", "+15005550006", "+442071838750", "sip:desk@pbx.example.com", "sips:a@b:5061",
     "sip:192.0.2.7", "sip:+4930@trunk.example.com;transport=tls"],
)  # fmt: skip
def test_who_can_be_called(to: str) -> None:
    config = agent(transfer={"targets": {"desk": {"to": to}}})
    assert config.transfer is not None
    assert config.transfer.targets["desk"].to == to


@pytest.mark.parametrize(
    "to",
    ["", "030 1234", "+49 30 12345678", "4930123456", "+49", "+999123456789", "sip:", "sip:a b",
     "tel:+493012345678", "+4930123456781234567", "sip:a@b@c", "http://x", "+49301234567\n"],
)  # fmt: skip
def test_who_cannot(to: str) -> None:
    assert "cannot be called" in problem(transfer={"targets": {"desk": {"to": to}}})


@pytest.mark.parametrize(
    ("transfer", "says"),
    [
        ({"targets": {}}, "at least 1 item"),
        ({"targets": {"two words": {"to": "sip:a@b"}}}, "should match pattern"),
        ({"targets": {"a": {"to": "sip:a@b"}}, "on_failure": "b"}, "not one of: `a`"),
        ({"targets": {"a": {"to": "sip:a@b", "hours": "Mon 09:00-10:00"}}}, "need a clock"),
        ({"targets": {"a": {"to": "sip:a@b", "hours": "Mo"}}, "time_zone": "UTC"}, "not a day"),
        ({"targets": {"a": {"to": "sip:a@b"}}, "time_zone": "Berlin"}, "no time zone `Berlin`"),
        ({"targets": {"a": {"to": "sip:a@b", "message": "Hi."}}}, "without `warm: true`"),
        ({"targets": {"a": {"to": "sip:a@b", "ring_s": 1}}}, "greater than or equal to 5"),
    ],
)
def test_wrong_transfers(transfer: dict[str, Any], says: str) -> None:
    assert says in problem(transfer=transfer)


@pytest.mark.parametrize("name", ["transfer_call", "collect_digits", "press_keys", "end_call"])
def test_tools_of_the_line_cannot_be_taken(name: str) -> None:
    tool = {"name": name, "description": "Mine.", "python": "tools.py:mine"}
    assert f"`{name}` is a tool that agents have of their own" in problem(tools=[tool])


def test_errors_name_their_lines(tmp_path: Path) -> None:
    text = LINE.replace("keep_days: 7", "keep_day: 7").replace('"+493012345678"', '"03012345"')
    with pytest.raises(AgentFileError) as caught:
        load_agent(write(tmp_path, text))
    lines = [(error.line, error.key) for error in caught.value.errors]
    assert lines == [(10, "recording.keep_day"), (18, "transfer.targets.desk.to")]
    assert "did you mean `keep_days`?" in str(caught.value.errors[0])


def test_the_recording_error_is_at_the_recording(tmp_path: Path) -> None:
    text = "name: A\nllm: scripted\nstt: scripted\ntts: scripted\nrecording: true\n"
    with pytest.raises(AgentFileError) as caught:
        load_agent(write(tmp_path, text))
    (error,) = caught.value.errors
    assert (error.line, error.key) == (5, "recording")


def test_digits_of_the_file_and_of_the_flow_differ_in_name(tmp_path: Path) -> None:
    flow = """\
flow:
  help: Your balance.
  intents:
    balance:
      phrases: [my balance]
      slots: {zip_code: {kind: digits, required: true, ask: "Zip?"}}
      answer: It is fine.
"""
    with pytest.raises(AgentFileError) as caught:
        load_agent(write(tmp_path, LINE + flow))
    (error,) = caught.value.errors
    assert (error.line, error.key) == (13, "digits.zip_code")
    assert "also a slot of the flow" in str(error)


def test_a_flow_passes_callers_only_to_who_is_there(tmp_path: Path) -> None:
    flow = """\
flow:
  help: A person.
  intents:
    person: {phrases: [a person], transfer: seles}
"""
    with pytest.raises(AgentFileError) as caught:
        load_agent(write(tmp_path, LINE + flow))
    (error,) = caught.value.errors
    assert (error.line, error.key) == (25, "flow.intents.person.transfer")
    assert "did you mean `sales`?" in str(error)
