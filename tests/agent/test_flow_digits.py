"""Digits in a flow: typed when asked, spoken at any time, and secret ones told to tools only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from antiphon.agent.flow import Flow, FlowConfig
from antiphon.agent.flow_digits import expanded, find_digits, say_digits
from antiphon.engine.policy import Digits
from antiphon.types import Message, ToolCall

FLOW: dict[str, Any] = {
    "help": "I can tell you your balance.",
    "intents": {
        "balance": {
            "phrases": ["(what is|tell me) my balance", "balance of account {account}"],
            "slots": {
                "account": {
                    "kind": "digits", "required": True, "min": 4, "max": 6, "ask": "Your account?",
                },
                "pin": {
                    "kind": "digits", "required": True, "min": 4, "max": 4, "secret": True,
                    "ask": "Now your PIN, please.",
                },
            },
            "confirm": "Account {account}, and a PIN of {pin}. Is that right?",
            "tool": "balance",
            "done": "You have {eur} euros. Is there anything else?",
        }
    },
}  # fmt: skip
SECRET = {"digits": "{{secret.pin}}", "count": 4}


class Line:
    """A conversation over a telephone line."""

    def __init__(self) -> None:
        self.flow = Flow(FlowConfig.model_validate(FLOW))
        self.messages: list[Message] = []

    def say(self, text: str) -> str:
        self.messages.append(Message("user", text))
        return self._answer()

    def type(self, result: dict[str, Any]) -> str:
        """The tool under way gives this."""
        open_call = self.messages[-1].tool_calls[0]
        self.messages.append(Message("tool", json.dumps(result), (), open_call.tool_call_id))
        return self._answer()

    @property
    def call(self) -> ToolCall | None:
        calls = self.messages[-1].tool_calls
        return calls[0] if calls else None

    def collects(self) -> str:
        """Which number is being typed."""
        assert self.call is not None
        assert self.call.name == "collect_digits"
        return str(json.loads(self.call.arguments)["name"])

    def _answer(self) -> str:
        reply = self.flow.reply(self.messages)
        assert reply == self.flow.reply(list(self.messages))
        self.messages.append(Message("assistant", reply.text, reply.tool_calls))
        return reply.text


def test_what_is_missing_is_typed() -> None:
    line = Line()
    assert line.say("what is my balance") == "Your account?"
    assert line.collects() == "account"
    assert line.flow.expects(line.messages).kind == "digits"
    assert line.type({"digits": "04171"}) == "Now your PIN, please."
    assert line.collects() == "pin"
    said = line.type(SECRET)
    assert said == "Account zero four one, seven one, and a PIN of four digits. Is that right?"
    assert line.say("yes") == ""
    assert line.call is not None
    assert line.call.name == "balance"
    assert json.loads(line.call.arguments) == {"account": "04171", "pin": "{{secret.pin}}"}
    assert line.type({"eur": 12}) == "You have 12 euros. Is there anything else?"


@pytest.mark.parametrize("spoken", ["zero four one seven one", "04171", "it's oh 4 1 71"])
def test_spoken_digits_count_as_well(spoken: str) -> None:
    line = Line()
    line.say("what is my balance")
    assert line.say(spoken) == "Now your PIN, please."
    assert line.collects() == "pin"
    assert line.flow.understood(line.messages) == {"account": "04171"}


def test_said_with_the_wish() -> None:
    line = Line()
    assert line.say("balance of account one two double three") == "Now your PIN, please."
    assert line.flow.understood(line.messages) == {"account": "1233"}


def test_a_secret_is_never_taken_from_words() -> None:
    line = Line()
    line.say("balance of account 1234")
    assert line.say("my pin is 9 8 7 6").endswith("Now your PIN, please.")
    assert line.collects() == "pin"
    assert "pin" not in line.flow.understood(line.messages)


def test_talk_while_digits_are_wanted_does_not_end_the_collecting() -> None:
    line = Line()
    line.say("what is my balance")
    first = line.call
    assert line.say("one moment") == "Of course, take your time."
    assert line.collects() == "account"
    assert line.call != first
    assert line.say("what can i say").startswith("I can tell you")
    assert line.collects() == "account"


def test_nothing_typed_is_asked_again_once() -> None:
    line = Line()
    line.say("what is my balance")
    again = line.type({"error": "no digits were pressed"})
    assert again == "Sorry, I did not get that. Your account?"
    assert line.collects() == "account"
    assert line.type({"error": "no digits were pressed"}).endswith("I can tell you your balance.")
    assert line.call is None
    assert line.say("one two three four") == "Now your PIN, please."


def test_who_speaks_instead_of_typing_is_not_given_up() -> None:
    line = Line()
    line.say("what is my balance")
    for said in ("well", "hmm so", "let me see"):
        open_call = line.messages[-1].tool_calls[0]
        spoke = '{"error": "the caller spoke instead of typing"}'
        line.messages.append(Message("tool", spoke, (), open_call.tool_call_id))
        assert line.say(said)
        assert line.collects() == "account"
    assert line.say("zero four one seven one") == "Now your PIN, please."


def test_a_late_number_is_not_taken() -> None:
    line = Line()
    line.say("what is my balance")
    late = line.call
    assert late is not None
    assert line.say("never mind").startswith("All right, I have cancelled that.")
    line.messages.append(Message("tool", '{"digits": "04171"}', (), late.tool_call_id))
    assert not line.flow.reply(line.messages).tool_calls
    assert line.flow.understood(line.messages) == {}


def test_digits_for_something_that_is_not_asked_any_more() -> None:
    flow = Flow(FlowConfig.model_validate(FLOW))
    call = ToolCall("x", "collect_digits", '{"name": "account"}')
    messages = [
        Message("user", "balance of account 4711"),
        Message("assistant", "", (call,)),
        Message("tool", '{"digits": "9999"}', (), "x"),
    ]
    assert flow.understood(messages) == {"account": "4711"}
    messages = [*messages[:1], Message("user", "start over"), *messages[1:]]
    assert flow.reply(messages)


def test_a_number_that_was_not_asked_for_in_the_end() -> None:
    """A reply may be dropped before it is acted on: then no digits come, and it is made again."""
    line = Line()
    line.messages.append(Message("user", "what is my balance"))
    assert line.flow.reply(line.messages).tool_calls
    assert line.say("what is my balance") == "Your account?"
    assert line.collects() == "account"


PERSON = {"phrases": ["(a person|somebody) please"], "transfer": "desk", "answer": "Of course."}


def test_a_wish_for_a_person() -> None:
    line = Line()
    flow = {**FLOW, "intents": {**FLOW["intents"], "person": PERSON}}
    line.flow = Flow(FlowConfig.model_validate(flow))
    assert line.say("somebody please") == "Of course."
    assert line.call is not None
    assert (line.call.name, line.call.arguments) == ("transfer_call", '{"target": "desk"}')
    said = line.type({"error": "desk is closed now and opens again on Monday at 09:00"})
    assert said.startswith("I am sorry, I could not do that: desk is closed now and opens again on")
    assert line.say("what is my balance") == "Your account?"
    assert line.say("a person please") == "Of course."
    again = line.type({"error": "nobody answered"})
    assert again == "I am sorry, I could not do that: nobody answered. Your account?"
    assert line.collects() == "account"


def test_what_the_engine_is_told() -> None:
    assert FlowConfig.model_validate(FLOW).digits() == (
        Digits("account", "Your account?", 4, 6),
        Digits("pin", "Now your PIN, please.", 4, 4, secret=True),
    )


@pytest.mark.parametrize(
    ("slot", "says"),
    [
        ({"kind": "digits", "max": 33}, "`min` and `max` of digits"),
        ({"kind": "digits", "min": 9, "max": 8}, "`min` and `max` of digits"),
        ({"kind": "name", "secret": True}, "can be `secret`"),
    ],
)
def test_what_is_wrong_is_said(slot: dict[str, Any], says: str) -> None:
    wrong = {**FLOW["intents"]["balance"], "slots": {"account": slot}, "confirm": "{account}?"}
    wrong["phrases"] = ["my balance"]
    with pytest.raises(ValidationError, match=says):
        FlowConfig.model_validate({**FLOW, "intents": {"balance": wrong}})


def test_one_name_has_one_meaning() -> None:
    other = {**FLOW["intents"]["balance"]}
    other["slots"] = {**other["slots"], "pin": {**other["slots"]["pin"], "max": 8}}
    both = {**FLOW, "intents": {**FLOW["intents"], "other": other}}
    with pytest.raises(ValidationError, match="digits called `pin` that differ"):
        FlowConfig.model_validate(both)


@pytest.mark.parametrize(
    ("text", "asked", "digits"),
    [
        ("four one seven two", True, "4172"),
        ("forty one seventy two", True, "4172"),
        ("it is 0049 17", True, "004917"),
        ("triple five two", True, "5552"),
        ("one two um three four", True, "1234"),
        ("twelve", True, "12"),
        ("oh", True, None),
        ("oh one two", True, "012"),
        ("one latte", False, None),
        ("i am 42 years old", False, None),
        ("one two three", False, "123"),
        ("double", True, None),
        ("one hundred", False, None),
    ],
)
def test_runs_of_digits(text: str, asked: bool, digits: str | None) -> None:
    found = find_digits(text.split(), 1, 8, asked=asked)
    assert (found.value if found else None) == digits


@given(st.text("0123456789", min_size=3, max_size=12), st.sampled_from([[], ["it", "is"]]))
def test_what_is_said_back_is_understood_again(digits: str, before: list[str]) -> None:
    words = [*before, *say_digits(digits).replace(",", "").split()]
    found = find_digits(words, 3, 12, asked=False)
    assert found is not None
    assert (found.value, found.start, found.end) == (digits, len(before), len(words))


@given(st.lists(st.sampled_from(["17", "2026", "12345", "one", "twenty", "double", "oh", "x"])))
def test_places_are_those_of_the_expanded_words(raw: list[str]) -> None:
    found = find_digits(raw, 1, 32, asked=True)
    if found is not None:
        assert 0 <= found.start < found.end <= len(expanded(raw))


SAYINGS = st.sampled_from(
    ["what is my balance", "yes", "no", "1234", "oh four one seven one", "one moment", "cancel",
     "a person please", "my pin is 9876", "what", "repeat", "start over", "9 8 7 6", "thanks",
     "balance of account 4711", "hello", "goodbye"]
)  # fmt: skip
RESULTS = st.sampled_from(
    [SECRET, {"digits": "04171"}, {"error": "the caller spoke"}, {"status": "still running"},
     {"eur": 5}, {"digits": 7}, {}, {"count": 4}, {"digits": "12", "count": "x"}]
)  # fmt: skip


@given(st.lists(st.tuples(SAYINGS, RESULTS, st.booleans()), max_size=10))
def test_whatever_happens_it_answers_and_takes_no_secret_from_words(
    turns: list[tuple[str, dict[str, Any], bool]],
) -> None:
    flow = {**FLOW, "intents": {**FLOW["intents"], "person": PERSON}}
    line = Line()
    line.flow = Flow(FlowConfig.model_validate(flow))
    for said, result, dropped in turns:
        line.messages.append(Message("user", said))
        for _ in range(4):
            reply = line.flow.reply(line.messages)
            assert reply == line.flow.reply(list(line.messages))
            assert reply.text or reply.tool_calls
            assert len({call.tool_call_id for call in reply.tool_calls}) == len(reply.tool_calls)
            if dropped:
                break
            line.messages.append(Message("assistant", reply.text, reply.tool_calls))
            if not reply.tool_calls:
                break
            (call,) = reply.tool_calls
            if call.name == "balance":
                known = json.loads(call.arguments)
                assert known["pin"] == "{{secret.pin}}"
            line.messages.append(Message("tool", json.dumps(result), (), call.tool_call_id))
        values = line.flow.understood(line.messages)
        assert values.get("pin", "{{secret.pin}}") == "{{secret.pin}}"
