"""The flow as a caller meets it: examples in both shipped agents."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from antiphon.agent.flow import Flow, FlowConfig
from antiphon.providers.base import FlowReply
from antiphon.types import Message, ToolCall

EXAMPLES = Path(__file__).parents[2] / "examples"


def flow_of(name: str) -> Flow:
    section = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())["flow"]
    return Flow(FlowConfig.model_validate(section))


CAFE, CLINIC = flow_of("cafe"), flow_of("clinic")


class Talk:
    """A conversation in which everything is heard, unless a test says otherwise."""

    def __init__(self, flow: Flow, tool: Callable[[ToolCall], dict[str, Any]] | None = None):
        self.flow, self.messages, self.calls = flow, list[Message](), list[ToolCall]()
        self._tool = tool or (lambda _: {"number": 17})

    def say(self, text: str) -> str:
        """What the agent answers, after its tools."""
        self.messages.append(Message("user", text))
        return self.answer()

    def answer(self) -> str:
        reply = self.flow.reply(self.messages)
        for _ in range(3):
            if not reply.tool_calls:
                break
            self.calls.extend(reply.tool_calls)
            self.messages.append(Message("assistant", reply.text, reply.tool_calls))
            for call in reply.tool_calls:
                result = json.dumps(self._tool(call))
                self.messages.append(Message("tool", result, (), call.tool_call_id))
            reply = self.flow.reply(self.messages)
        assert reply.text
        self.messages.append(Message("assistant", reply.text))
        return reply.text

    def cut(self, words: int) -> None:
        """The caller heard only the first words of the last answer."""
        heard = " ".join(self.messages[-1].content.split()[:words])
        self.messages.pop()
        if heard:
            self.messages.append(Message("assistant", heard, interrupted=True))

    @property
    def order(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.calls[-1].arguments)
        return value


@pytest.fixture
def cafe() -> Talk:
    return Talk(CAFE)


def test_an_order_in_one_breath(cafe: Talk) -> None:
    said = cafe.say("i'd like a large double shot latte with almond milk and a bit of brown sugar")
    assert said == (
        "That's a large double shot latte with almond milk and a bit of brown sugar. Is that right?"
    )
    assert cafe.say("yes please") == ("Thank you. Your order number is 17. Is there anything else?")
    assert cafe.order == {
        "drink": "latte",
        "size": "large",
        "shots": "double shot",
        "milk": "almond milk",
        "sugar": "a bit of brown sugar",
    }
    assert cafe.say("no thanks") == "Goodbye."


def test_asks_only_for_what_is_required(cafe: Talk) -> None:
    assert cafe.say("hello") == "Hello. What would you like to drink?"
    assert cafe.say("a cappuccino please") == "What size would you like?"
    assert CAFE.expects(cafe.messages).kind == "choice"
    assert cafe.say("um a small one").startswith("That's a small cappuccino.")
    assert CAFE.expects(cafe.messages).kind == "yes_no"
    assert not cafe.calls


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        ("no a large one", {"size": "large"}),
        ("no large", {"size": "large"}),
        ("make it a mocha", {"drink": "mocha"}),
        ("yes but make it a mocha", {"drink": "mocha"}),
        ("without milk", {"milk": None}),
        ("no milk", {"milk": None}),
        ("no almond milk", {"milk": "almond milk"}),
        ("black", {"milk": None}),
        ("not small large", {"size": "large"}),
        ("large not small", {"size": "large"}),
        ("small no medium", {"size": "medium"}),
        ("add a lot of sugar", {"sugar": "a lot of sugar"}),
        ("dark roast please", {"roast": "dark roast"}),
        ("instead of soy milk almond milk", {"milk": "almond milk"}),
    ],
)
def test_a_correction_is_read_back_again(
    cafe: Talk, correction: str, expected: dict[str, str | None]
) -> None:
    cafe.say("a small latte with soy milk")
    assert cafe.say(correction).endswith("Is that right?")
    assert not cafe.calls
    cafe.say("yes")
    wanted = {"drink": "latte", "size": "small", "milk": "soy milk", **expected}
    assert cafe.order == {k: v for k, v in wanted.items() if v is not None}


@pytest.mark.parametrize(
    "yes", ["yes", "yeah that's right", "um yes please", "sounds good", "sure"]
)
def test_yes_in_many_words(cafe: Talk, yes: str) -> None:
    cafe.say("a small latte")
    cafe.say(yes)
    assert len(cafe.calls) == 1


@pytest.mark.parametrize(
    "no", ["no", "that's wrong", "yes but no", "not really", "no that's not right", "well maybe"]
)
def test_what_is_no_clean_yes_places_nothing(cafe: Talk, no: str) -> None:
    cafe.say("a small latte")
    cafe.say(no)
    assert not cafe.calls


def test_a_read_back_that_was_not_heard_is_said_again(cafe: Talk) -> None:
    read_back = cafe.say("a small latte with soy milk")
    cafe.cut(words=3)
    assert cafe.say("yes") == read_back
    assert not cafe.calls
    cafe.cut(words=0)
    assert cafe.say("yes") == read_back
    assert not cafe.calls
    cafe.cut(words=len(["That's", "a", "small", "latte", "with", "soy", "milk."]))
    cafe.say("yes")
    assert len(cafe.calls) == 1


def test_a_dropped_call_is_planned_again(cafe: Talk) -> None:
    cafe.say("a small latte")
    cafe.messages.append(Message("user", "yes"))
    assert cafe.flow.reply(cafe.messages).tool_calls
    # The caller spoke on before the reply was acted on: the history knows of no call.
    assert cafe.say("but without sugar").endswith("Is that right?")
    cafe.say("yes")
    assert len(cafe.calls) == 1


def test_while_the_tool_runs_nothing_is_called_again(cafe: Talk) -> None:
    cafe.say("a small latte")
    cafe.messages.append(Message("user", "yes"))
    reply = cafe.flow.reply(cafe.messages)
    call = reply.tool_calls[0]
    running = Message("tool", '{"status": "still running"}', (), call.tool_call_id)
    cafe.messages += [Message("assistant", "", reply.tool_calls), running]
    assert cafe.say("yes yes") == "One moment, I am still working on it."
    done = Message("tool", '{"number": 4}', (), call.tool_call_id)
    after = [done if m is running else m for m in cafe.messages]
    assert "4" in cafe.flow.reply(after[:-2]).text


def test_a_call_in_the_history_counts_even_if_its_id_is_unknown(cafe: Talk) -> None:
    cafe.say("a small latte")
    cafe.cut(words=2)
    call = ToolCall("other", "place_order", "{}")
    cafe.messages += [Message("user", "yes"), Message("assistant", "", (call,))]
    cafe.messages.append(Message("tool", '{"number": 9}', (), "other"))
    assert "9" in cafe.flow.reply(cafe.messages).text


def test_a_failed_tool_is_said_and_tried_again_once_told_so() -> None:
    results = iter(list[dict[str, Any]]([{"error": "disk full"}, {"number": 3}]))
    talk = Talk(CAFE, lambda _: next(results))
    talk.say("a small latte")
    assert talk.say("yes").startswith("I am sorry, I could not write your order down.")
    assert "3" in talk.say("yes please")
    assert len({call.tool_call_id for call in talk.calls}) == 2


def test_repeat_help_cancel_start_over(cafe: Talk) -> None:
    asked = cafe.say("a latte")
    assert cafe.say("sorry what") == asked
    assert "small, medium, large" in cafe.say("help")
    read_back = cafe.say("small")
    assert cafe.say("say that again") == read_back
    assert cafe.say("start over") == "All right, from the beginning. What would you like to drink?"
    assert cafe.say("cancel").startswith("All right, I have cancelled that.")
    assert cafe.say("never mind").startswith("There is nothing to cancel.")
    assert not cafe.calls


def test_help_grows_with_misunderstandings(cafe: Talk) -> None:
    cafe.say("a latte")
    assert cafe.say("purple") == "Sorry, I did not get that. What size would you like?"
    assert "You can have small" in cafe.say("elephant")
    assert cafe.say("large").endswith("Is that right?")


@pytest.mark.parametrize(
    "text", ["capuccino", "a capucino small", "small expresso", "16 oz Latte!"]
)
def test_typing_is_forgiven(cafe: Talk, text: str) -> None:
    cafe.say(text)
    assert CAFE.understood(cafe.messages)["drink"] in ("cappuccino", "espresso", "latte")


@pytest.mark.parametrize("words", ["bye", "no thanks", "thank you"])
def test_a_goodbye_hangs_up(cafe: Talk, words: str) -> None:
    cafe.say("a large latte")
    cafe.say("yes")
    cafe.messages.append(Message("user", words))
    reply = cafe.flow.reply(cafe.messages)
    assert "Goodbye" in reply.text
    assert [call.name for call in reply.tool_calls] == ["end_call"]
    cafe.messages.append(Message("assistant", reply.text, reply.tool_calls))
    cafe.messages.append(Message("user", "wait I want a mocha"))
    assert cafe.flow.reply(cafe.messages).tool_calls == ()


def test_a_second_order_begins_empty(cafe: Talk) -> None:
    cafe.say("a small latte with soy milk")
    cafe.say("yes")
    assert cafe.say("and a large mocha").startswith("That's a large mocha.")


def test_ids_depend_on_the_whole_history(cafe: Talk) -> None:
    def call(*texts: str) -> FlowReply:
        talk = Talk(CAFE)
        for text in texts[:-1]:
            talk.say(text)
        return CAFE.reply([*talk.messages, Message("user", texts[-1])])

    assert call("a small latte", "yes") == call("a small latte", "yes")
    assert call("a small latte", "yes").tool_calls != call("a small latte", "sure").tool_calls


def test_clinic_checks_and_proposes() -> None:
    def tool(call: ToolCall) -> dict[str, Any]:
        if call.name == "book":
            return {"booked": True}
        return {
            "ok": False,
            "day": {"say": "Tuesday", "value": "2026-11-24"},
            "time": {"say": "four o'clock", "value": "16:00"},
        }

    talk = Talk(CLINIC, tool)
    assert talk.say("i'd like to make an appointment") == "What is your name, please?"
    assert talk.say("john smith") == "Which day would you like to come?"
    assert talk.say("next tuesday") == "At what time?"
    said = talk.say("half past three")
    assert said == (
        "That time is not free. I could offer Tuesday at four o'clock. "
        "Shall I book that for John Smith?"
    )
    assert talk.order == {"name": "John Smith", "day": "next tuesday", "time": "15:30"}
    assert talk.say("yes").startswith("Your appointment is booked for Tuesday at four o'clock.")
    assert talk.order == {"name": "John Smith", "day": "2026-11-24", "time": "16:00"}


def test_a_question_in_between_is_answered() -> None:
    talk = Talk(CLINIC)
    talk.say("my name is mary jones")
    said = talk.say("when are you open")
    assert said.startswith("We are open")
    assert said.endswith("Which day would you like to come?")


def test_sentences_are_many_and_the_same_for_a_seed() -> None:
    one = CAFE.sentences(3000, 1)
    assert one == CAFE.sentences(3000, 1) != CAFE.sentences(3000, 2)
    assert len(one) >= 3000
    assert {"yes", "cancel", "say that again", "latte"} <= set(one)
    assert all(line == line.lower() and "," not in line for line in one)
    assert {"latte", "cappuccino", "almond"} <= set(CAFE.vocabulary())
