"""What a telephone line does besides: typed numbers, transfers, hold, answering machines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.engine.scenario import DEFAULT_PHRASES, Scenario, policy

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.history import CUT_OFF, REFUSED, TYPED
from antiphon.engine.policy import Digits
from antiphon.types import DIGITS_TOOL, TRANSFER_TOOL

PIN = Digits("pin", "Type your PIN.", least=4, most=6, secret=True)
ORDER = Digits("order", "Type your order number.", least=2)
SALES = json.dumps({"target": "sales"})


class Caller(Scenario):
    """On a telephone, to an agent that knows two numbers."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**{"digits": (PIN, ORDER), **changes})

    def is_asked(self, name: str, said: str = "", question: str = "my account") -> None:
        """A turn that the LLM answers with a wish for a number."""
        self.says(question)
        if said:
            self.writes(said)
        self.wants_tool(DIGITS_TOOL, "d1", json.dumps({"name": name}))
        self.is_done_writing()
        self.voices()

    def is_transferred(self, said: str = "", question: str = "a person please") -> None:
        self.says(question)
        if said:
            self.writes(said)
        self.wants_tool(TRANSFER_TOOL, "t1", SALES)
        self.is_done_writing()
        self.voices()

    def reaches(self, outcome: str, detail: str = "", call_id: str = "t1") -> list[c.Command]:
        return self.send(e.TransferEnded(self.now_ms, call_id, outcome, detail))

    def output(self, call_id: str) -> str:
        return next(
            one.content
            for one in self.conversation.messages()
            if one.role == "tool" and one.tool_call_id == call_id
        )

    def is_held(self, held: bool = True) -> list[c.Command]:
        return self.send(e.LineHeld(self.now_ms, held))

    @property
    def said(self) -> list[str]:
        return [one.text for one in self.all(c.SynthesizeText)]


def marks(call: Scenario) -> list[str]:
    kinds = (c.PauseRecording, c.ResumeRecording, c.CollectDigits, c.DigitsCollected)
    return [type(one).__name__ for one in call.commands if isinstance(one, kinds)]


# ---- a number that is typed ----------------------------------------------------------------


def test_a_secret_number_is_typed_while_nothing_is_recorded() -> None:
    call = Caller()
    call.is_asked("pin")
    assert call.said[-1] == PIN.ask
    assert call.last(c.CollectDigits) == c.CollectDigits("d1", "pin", True)
    call.plays_out()
    call.presses("•", "•", "•", "•", "#")
    assert call.last(c.DigitsCollected) == c.DigitsCollected("d1", "pin", "complete")
    assert marks(call) == ["PauseRecording", "CollectDigits", "DigitsCollected", "ResumeRecording"]
    call.tool_returns('{"digits": "{{secret.pin}}"}', "d1")
    assert call.conversation.messages()[-1].content == TYPED
    call.answers("Thank you.")
    assert call.said[-1] == "Thank you."


def test_one_that_is_no_secret_pauses_nothing() -> None:
    call = Caller()
    call.is_asked("order", "Which order is it?")
    assert call.said[-1] == "Which order is it?"
    call.plays_out()
    call.presses("4", "2", "#")
    assert marks(call) == ["CollectDigits", "DigitsCollected"]


def test_the_last_possible_key_ends_it() -> None:
    call = Caller()
    call.is_asked("pin")
    call.plays_out()
    call.presses(*"••••••")
    assert call.last(c.DigitsCollected).outcome == "complete"


def test_keys_stop_the_question_and_nobody_answers_them() -> None:
    call = Caller()
    call.is_asked("order")
    call.plays(300)
    call.presses("4")
    assert call.all(c.FlushAudio)
    call.presses("2", "#")
    assert call.last(c.DigitsCollected).outcome == "complete"
    assert [outcome for _, outcome in call.outcomes] == ["answered"]


def test_keys_before_the_question_sounds_count() -> None:
    call = Caller()
    call.says("my order")
    call.wants_tool(DIGITS_TOOL, "d1", '{"name": "order"}')
    call.presses("4", "2", "#")
    assert call.last(c.DigitsCollected).outcome == "complete"
    assert call.output("d1")


def test_no_further_key_ends_it() -> None:
    call = Caller()
    call.is_asked("order")
    call.plays_out()
    call.presses("4", "2")
    call.wait(call.setup.policy.silence.next_key_ms + 10)
    assert call.last(c.DigitsCollected).outcome == "complete"


def test_too_few_are_asked_for_once_more() -> None:
    call = Caller()
    call.is_asked("order")
    call.plays_out()
    call.presses("4", "#")
    assert call.said[-2:] == [DEFAULT_PHRASES.digits_again, ORDER.ask]
    call.voices()
    call.plays_out()
    call.wait(call.setup.policy.silence.first_key_ms + 10)
    assert call.last(c.DigitsCollected).outcome == "nothing"
    assert len(call.all(c.CollectDigits)) == 2


def test_whoever_types_on_is_not_asked_again() -> None:
    call = Caller()
    call.is_asked("order")
    call.plays_out()
    call.speaks()  # a noise, during which nothing is said
    call.presses("4", "#")
    call.presses("4", "2", "#")
    assert call.last(c.DigitsCollected).outcome == "complete"
    call.wait(200)
    call.falls_silent()
    call.understood("")
    call.wait(3000)
    assert DEFAULT_PHRASES.digits_again not in call.said


def test_a_star_begins_anew() -> None:
    call = Caller()
    call.is_asked("order")
    call.plays_out()
    call.presses("4", "2", "*", "7", "#")
    assert len(call.all(c.CollectDigits)) == 3  # the star, and too few after it
    assert not call.all(c.DigitsCollected)


def test_words_instead_are_answered() -> None:
    call = Caller()
    call.is_asked("pin")
    call.plays_out()
    call.says("I do not have it here")
    assert call.last(c.DigitsCollected).outcome == "abandoned"
    assert marks(call)[-1] == "ResumeRecording"
    assert "spoke instead" in call.output("d1")
    before = len(call.all(c.StartGeneration))
    call.tool_returns("{}", "d1")  # too late
    assert len(call.all(c.StartGeneration)) == before
    assert "spoke instead" in call.output("d1")


def test_a_second_number_takes_the_place_of_the_first() -> None:
    call = Caller()
    call.says("both")
    call.wants_tool(DIGITS_TOOL, "d1", '{"name": "pin"}')
    call.wants_tool(DIGITS_TOOL, "d2", '{"name": "order"}')
    assert call.last(c.CollectDigits).name == "order"
    assert call.last(c.DigitsCollected) == c.DigitsCollected("d1", "pin", "abandoned")


@pytest.mark.parametrize("arguments", ['{"name": "nothing"}', "{", "[]", ""])
def test_an_unknown_number_is_a_tool_like_others(arguments: str) -> None:
    call = Caller()
    call.says("my account")
    call.wants_tool(DIGITS_TOOL, "d1", arguments)
    assert call.last(c.CallTool).name == DIGITS_TOOL


def test_a_number_that_nobody_ends_is_given_up() -> None:
    call = Caller(policy=policy(silence={"first_key_ms": 60_000}))
    call.is_asked("order")
    call.plays_out()
    call.presses("4", "2", "#")
    call.wait(130_000)
    assert "too long" in call.output("d1")


def test_nobody_is_told_anything_while_they_type() -> None:
    call = Caller()
    call.says("my order")
    call.wants_tool("lookup", "t9")
    call.wants_tool(DIGITS_TOOL, "d1", '{"name": "order"}')
    call.is_done_writing()
    call.presses("4")
    before = len(call.all(c.StartGeneration))
    call.tool_returns(call_id="t9")
    assert len(call.all(c.StartGeneration)) == before
    call.presses("2", "#")
    assert len(call.all(c.StartGeneration)) == before + 1


def test_keys_do_not_stop_what_is_protected() -> None:
    call = Caller(policy=policy(interruption={"speech": "protected"}))
    call.is_asked("order")
    call.plays(300)
    call.presses("4", "2", "#")
    assert not call.all(c.FlushAudio)
    assert call.last(c.DigitsCollected).outcome == "complete"


# ---- somebody else -------------------------------------------------------------------------


def test_the_caller_is_passed_on_once_the_answer_was_heard() -> None:
    call = Caller()
    call.is_transferred("I will connect you. ")
    assert not call.all(c.TransferCall)
    call.plays_out()
    wait_ms = call.setup.policy.dead_air.transfer_deadline_ms
    assert call.last(c.TransferCall) == c.TransferCall("t1", SALES, wait_ms)
    call.reaches("connected")
    assert call.last(c.EndCall) == c.EndCall("transferred")


def test_without_a_word_the_agent_says_that_it_does() -> None:
    call = Caller()
    call.is_transferred()
    assert " ".join(call.said) == DEFAULT_PHRASES.transferring


@pytest.mark.parametrize("outcome", ["no_answer", "busy", "failed"])
def test_if_nobody_answers_the_caller_is_told_and_the_agent_goes_on(outcome: str) -> None:
    call = Caller()
    call.is_transferred()
    call.plays_out()
    call.wait(20_000)
    assert " ".join(call.said) == DEFAULT_PHRASES.transferring  # nothing is said to a ringing line
    call.reaches(outcome)
    assert call.said[-2] + " " + call.said[-1] == DEFAULT_PHRASES.transfer_failed
    assert outcome.replace("_", " ") in call.output("t1")
    call.voices()
    call.plays_out()
    call.says("then a coffee")
    assert call.all(c.StartGeneration)[-1].response_id == call.response


def test_one_that_may_not_be_made_is_the_llms_to_explain() -> None:
    call = Caller()
    call.is_transferred()
    call.plays_out()
    call.reaches("refused", "closed until Monday")
    assert "closed until Monday" in call.output("t1")
    assert call.conversation.messages()[-1].content == REFUSED
    call.llm_fails()
    assert call.said[-1]  # and if it cannot, something is said all the same


def test_one_of_which_nobody_tells_has_failed() -> None:
    call = Caller()
    call.is_transferred()
    call.plays_out()
    call.wait(call.setup.policy.dead_air.transfer_deadline_ms + 2100)
    assert call.said[-2] + " " + call.said[-1] == DEFAULT_PHRASES.transfer_failed
    assert not call.reaches("connected")  # too late


def test_what_the_caller_says_meanwhile_is_answered_afterwards() -> None:
    call = Caller()
    call.is_transferred()
    call.plays_out()
    call.speaks("is anybody there")
    call.wait(500)
    call.falls_silent()
    call.understood("is anybody there", complete=1.0)
    call.wait(5000)
    assert call.outcomes[-1] == ("a person please", "answered")
    call.reaches("busy")
    assert call.outcomes[-1] == ("is anybody there", "answered")


def test_who_interrupts_is_not_passed_on() -> None:
    call = Caller()
    call.is_transferred("I will connect you with our sales people now.")
    call.plays(900)
    call.speaks("no wait stop")
    call.wait(500)
    assert call.all(c.FlushAudio)
    assert "was not made" in call.output("t1")
    call.falls_silent()
    call.understood("no wait stop", complete=1.0)
    call.waits_for_the_end()
    call.answers("All right.")
    call.voices()
    call.plays_out()
    assert not call.all(c.TransferCall)


@pytest.mark.parametrize(("words", "made"), [("thank you", True), ("stop that", False)])
def test_words_at_the_last_moment(words: str, made: bool) -> None:
    call = Caller(policy=policy(interruption={"speech": "patient"}))
    call.is_transferred("One moment.")
    call.speaks()
    call.wait(300)
    call.plays_out()
    call.wait(200)
    call.falls_silent()
    call.understood(words, complete=1.0)
    call.waits_for_the_end()
    call.answers("All right.")
    call.voices()
    call.plays_out()
    assert bool(call.all(c.TransferCall)) is made


def test_when_the_agent_can_do_nothing_more_somebody_else_gets_the_caller() -> None:
    call = Caller(transfer_on_failure="desk")
    for _ in range(2):
        call.says("hello there")
        call.llm_fails()
        call.voices()
        call.plays_out()
    assert call.last(c.TransferCall).arguments == '{"target": "desk"}'
    call.reaches("no_answer", call_id="on_failure")
    call.voices()
    call.plays_out()
    call.says("hello again")
    call.llm_fails()
    call.voices()
    call.plays_out()
    assert call.last(c.EndCall).reason == "the language model failed"


def test_a_voice_that_fails_over_it_loses_nothing() -> None:
    call = Caller(voices=2)
    call.is_transferred("I will connect you.")
    call.voice_fails()
    call.wait(100)
    call.voices()
    call.plays_out()
    assert call.all(c.TransferCall)


def test_a_turn_takes_the_rest_of_it_back() -> None:
    call = Caller(voices=2)
    call.is_transferred("I will connect you.")
    call.speaks()
    call.voice_fails()
    call.wait(500)
    call.falls_silent()
    call.understood("never mind", complete=1.0)
    call.waits_for_the_end()
    assert "was not made" in call.output("t1")


# ---- on hold -------------------------------------------------------------------------------


def test_what_was_not_heard_is_said_when_the_caller_is_back() -> None:
    call = Caller()
    call.agent_speaks("One two three four five six. Seven eight.")
    call.is_held()
    said = len(call.said)
    assert call.all(c.FlushAudio)
    call.wait(60_000)
    assert len(call.said) == said
    call.is_held(False)
    assert "three" in call.said[said]


def test_what_was_being_written_is_written_again() -> None:
    call = Caller()
    call.says("hello there")
    call.writes("One two three. ")
    call.is_held()
    assert call.all(c.CancelGeneration)
    call.is_held(False)
    assert call.conversation.messages()[-1].content == CUT_OFF


def test_what_was_said_before_is_answered_after_it() -> None:
    call = Caller()
    call.pauses("a coffee please")
    call.is_held()
    call.is_held()
    call.wait(30_000)
    assert not call.outcomes
    call.is_held(False)
    assert call.outcomes == [("a coffee please", "answered")]


def test_a_transfer_whose_announcement_was_heard_is_made_after_the_hold() -> None:
    call = Caller()
    call.is_transferred("I will connect you.")
    call.plays(1200)
    call.is_held()
    call.is_held(False)
    assert call.all(c.TransferCall)


def test_a_line_that_stays_on_hold_is_hung_up() -> None:
    call = Caller()
    call.is_held()
    call.wait(call.setup.policy.silence.line_hold_ms)
    assert call.last(c.EndCall).reason == "on hold for too long"


def test_a_stopped_answer_stays_stopped() -> None:
    call = Caller()
    call.answer_flush = False
    call.agent_speaks("One two three four five six.")
    call.types("stop")
    call.is_held()
    assert len(call.all(c.FlushAudio)) == 1


# ---- a machine -----------------------------------------------------------------------------


def test_a_machine_gets_the_message_and_nothing_else() -> None:
    call = Caller(greeting="Hello, this is the cafe.")
    call.voices()
    call.plays(300)
    call.speaks("please leave a message after the")
    call.send(e.MachineAnswered(call.now_ms, "Your table is booked."))
    call.wait(10)
    assert call.said[-1] == "Your table is booked."
    call.voices()
    call.plays_out()
    assert call.last(c.EndCall).reason == "answering machine"


def test_a_machine_that_is_noticed_between_answers_gets_it_at_once() -> None:
    call = Caller()
    call.send(e.MachineAnswered(call.now_ms, "Your table is booked."))
    assert call.said == ["Your table is booked."]


def test_without_a_message_the_call_ends() -> None:
    call = Caller(greeting="Hello.")
    call.send(e.MachineAnswered(call.now_ms, ""))
    assert call.last(c.EndCall).reason == "answering machine"


# ---- another process -----------------------------------------------------------------------


def test_after_a_crash_nobody_types_and_nobody_is_reached() -> None:
    call = Caller()
    call.is_asked("order")
    call.plays_out()
    call.is_restored()
    call.presses("4")
    assert call.conversation.turn_id == 2  # a key like others
    call = Caller()
    call.is_transferred()
    call.plays_out()
    call.is_restored()
    assert call.said[-2] + " " + call.said[-1] == DEFAULT_PHRASES.transfer_failed
